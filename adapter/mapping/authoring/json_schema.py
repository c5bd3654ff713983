"""Generate the JSON Schema that editors use to complete and validate mapping files."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from marshmallow import Schema, fields, validate

from adapter.mapping.loader import schema
from adapter.mapping.loader.compile_sections import READERS
from adapter.mapping.renter_language import LANGUAGE
from adapter.mapping.transforms import TRANSFORMS
from adapter.parsing.body import KINDS
from adapter.propexo.appointment import TARGETS
from adapter.settings import NEUTRAL_WORDS
from adapter.signatures import PRESETS
from adapter.signatures.config import KEYS

#: The path of the committed schema, relative to the repository.
FILE: Final = "docs/mapping.schema.json"

TEXT: Final[dict[str, Any]] = {"type": "string"}
OBJECT: Final[dict[str, Any]] = {"type": "object"}
SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]}
SCALARS: Final[dict[str, Any]] = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}
TEXTS: Final[dict[str, Any]] = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}


def mapping_schema() -> dict[str, Any]:
    """Return the complete JSON Schema for mapping files."""
    sections = _from_schema(schema.Sections())
    for name, detailed in _sections().items():
        sections["properties"][name] = detailed | schema.Sections().fields[name].metadata
    sections["required"].remove("dedupe")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mapping for knock-lead-adapter",
        **sections,
        "anyOf": [{"required": ["dedupe"]}, {"required": ["delivery_id"]}],
    }


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def _from_schema(section: Schema) -> dict[str, Any]:
    named = {field.data_key or name: field for name, field in section.fields.items()}
    required = [name for name, field in named.items() if field.required]
    properties = {name: {**_from_field(field), **field.metadata} for name, field in named.items()}
    return _object(properties, **({"required": required} if required else {}))


def _from_field(field: fields.Field[Any]) -> dict[str, Any]:
    for validator in field.validators:
        if isinstance(validator, validate.OneOf):
            return {"enum": list(validator.choices)}
        if isinstance(validator, validate.Equal):
            return {"const": validator.comparable}
    shapes = (shape(field) for kind, shape in SHAPES if isinstance(field, kind))
    return next(shapes, {}) | _bounds(field)


def _bounds(field: fields.Field[Any]) -> dict[str, Any]:
    is_object = isinstance(field, fields.Nested | fields.Dict)
    bounds = (one for one in field.validators if is_object and isinstance(one, validate.Length))
    return next(({"minProperties": one.min, "maxProperties": one.max} for one in bounds), {})


#: The schema of each kind of field. The first match applies.
SHAPES: Final[Sequence[tuple[type, Callable[[Any], dict[str, Any]]]]] = (
    (fields.Nested, lambda field: _from_schema(field.schema)),
    (schema.Shorthand, lambda field: _or_texts(_from_schema(field.schema()))),
    (schema.ZoneSection, lambda _: {"anyOf": [TEXT, _from_schema(schema.FromSchema())]}),
    (
        schema.KeyParts,
        lambda _: {"anyOf": [TEXT, {"type": "array", "items": TEXTS, "minItems": 1}]},
    ),
    (schema.SayTexts, lambda _: _say()),
    (schema.BodyKinds, lambda _: _or_list({"enum": [*KINDS]})),
    (schema.Texts, lambda _: TEXTS),
    (fields.Dict, lambda field: _map(_from_field(field.value_field) if field.value_field else {})),
    (
        fields.List,
        lambda field: {"type": "array", "items": _from_field(field.inner), "minItems": 1},
    ),
    (fields.Boolean, lambda _: {"type": "boolean"}),
    (schema.JsonTemplate, lambda _: {"type": ["object", "array"]}),
    (schema.Appointments, lambda _: {"anyOf": [OBJECT, {"type": "array", "items": OBJECT}]}),
    (fields.Url, lambda _: {**TEXT, "format": "uri"}),
    (fields.String, lambda _: TEXT),
)


def _say() -> dict[str, Any]:
    by_outcome = _from_schema(schema.SaySection())
    return {**by_outcome, "patternProperties": {f"^{LANGUAGE.pattern[:-2]}$": by_outcome}}


def _or_list(one: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _or_texts(section: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"anyOf": [*TEXTS["anyOf"], section], **more}


def _sections() -> dict[str, Any]:
    """Return the schemas for sections that are validated by code instead of marshmallow."""
    exclusion = _object({"not": SCALARS}, required=["not"])
    emptiness = _object({"empty": {"type": "boolean"}}, required=["empty"])
    conditions = _map({"anyOf": [*SCALARS["anyOf"], exclusion, emptiness]})
    groups = {"anyOf": [conditions, {"type": "array", "items": conditions}]}
    return {
        "signature": _signature(),
        "blank": SCALARS,
        "ignore": groups,
        "cancellation": groups,
        "accept": conditions,
        "read": _map(_reading()),
        "appointment": _object({name: _field(name) for name in TARGETS}),
    }


def _signature() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "scheme": {"enum": sorted(KEYS)},
            "preset": {"enum": sorted(PRESETS)},
            "secrets": {
                "type": "array",
                "items": TEXT,
                "description": "Names of environment variables, newest last.",
            },
        },
        "anyOf": [{"required": ["scheme"]}, {"required": ["preset"]}],
    }


def _reading() -> dict[str, Any]:
    options = _from_schema(schema.ReadSection())["properties"]
    kinds = (
        _object({name: options[name] for name in (*needed, *optional)}, required=[*needed])
        for needed, optional in READERS
    )
    return {"anyOf": [*kinds]}


def _field(name: str) -> dict[str, Any]:
    target = TARGETS[name]
    if name == "notes":
        return {**TEXTS, "description": "Lines of text; {path} is replaced with a value."}
    if name == "starts_at":
        return _or_texts(_from_schema(schema.StartSection()))
    words = NEUTRAL_WORDS.get(name)
    result: dict[str, Any] = {"enum": list(words)} if words else {}
    if target.many:
        result = {"anyOf": [result, {"type": "array", "items": result}]}
    table = _map({"anyOf": [result, {"const": []}]})
    options = _from_schema(schema.FieldOptions())["properties"]
    options |= {"always": result, "table": table, "default": result}
    for transform in TRANSFORMS.values():
        options |= {option.name: _option(option) for option in transform.options}
    return _or_texts(_object(options), description=f"{target.label}.")


def _option(option: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"enum": list(option.allowed)} if option.allowed else {}
    return {**values, "description": option.meaning}
