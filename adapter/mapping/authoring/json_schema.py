"""Generate the JSON Schema of mapping files, for completion and error marks in editors."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from marshmallow import Schema, fields, validate

from adapter.mapping.loader import schema
from adapter.mapping.loader.compile_sections import NEEDED_BY
from adapter.mapping.respond import SENTENCES
from adapter.mapping.transforms import TRANSFORMS
from adapter.mapping.webhook_outcome import Outcome
from adapter.propexo.appointment import TARGETS
from adapter.settings import NEUTRAL_WORDS
from adapter.signatures import PRESETS

#: The committed schema, relative to the project's root.
FILE: Final = "docs/mapping.schema.json"

TEXT: Final[dict[str, Any]] = {"type": "string"}
OBJECT: Final[dict[str, Any]] = {"type": "object"}
SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]}
SCALARS: Final[dict[str, Any]] = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}
TEXTS: Final[dict[str, Any]] = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}

#: What editors show for a section or option.
DESCRIPTIONS: Final = {
    "description": "One sentence about the source.",
    "docs": "The sender's own documentation.",
    "about": "What to know about the sender.",
    "switch_on": "How to turn on its webhook.",
    "signs": "How it signs webhooks, in words.",
    "retries": "How it retries.",
    "cannot": "What its webhooks cannot do.",
    "shape": "Source of the samples: documentation or traffic.",
    "body": "Kind of the body; only if the content type is wrong.",
    "blank": "Values that this sender uses for empty fields.",
    "ignore": "Webhooks that are not bookings.",
    "cancellation": "Cancels an earlier booking.",
    "accept": "Every condition must be met.",
    "dedupe": "Paths whose values identify a booking; a list in the list holds alternatives.",
    "sent_at": "When the renter made the request, by the sender's clock.",
    "payload": "A file in the mapping's folder, or the payload itself.",
    "change": "New values by path.",
    "expect": "The whole appointment, exactly.",
    "prospect": "The whole guest card, exactly.",
    "received": "When the webhook is received, as an instant.",
}


def mapping_schema() -> dict[str, Any]:
    """Return the whole schema."""
    sections = _from_schema(schema.Sections())
    sections["properties"] |= _sections()
    sections["required"].remove("dedupe")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A mapping of knock-lead-adapter",
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
    properties = {name: _from_field(field) | _described(name) for name, field in named.items()}
    return _object(properties, **({"required": required} if required else {}))


def _described(name: str) -> dict[str, str]:
    return {"description": DESCRIPTIONS[name]} if name in DESCRIPTIONS else {}


def _from_field(field: fields.Field[Any]) -> dict[str, Any]:
    for validator in field.validators:
        if isinstance(validator, validate.OneOf):
            return {"enum": list(validator.choices)}
        if isinstance(validator, validate.Equal):
            return {"const": validator.comparable}
    shapes = (shape(field) for kind, shape in SHAPES if isinstance(field, kind))
    return next(shapes, {})


#: The schema of each kind of field; the first that fits counts.
SHAPES: Final[Sequence[tuple[type, Callable[[Any], dict[str, Any]]]]] = (
    (fields.Nested, lambda field: _from_schema(field.schema)),
    (schema.Shorthand, lambda field: _or_texts(_from_schema(field.schema()))),
    (schema.ZoneSection, lambda _: {"anyOf": [TEXT, _from_schema(schema.FromSchema())]}),
    (
        schema.KeyParts,
        lambda _: {"anyOf": [TEXT, {"type": "array", "items": TEXTS, "minItems": 1}]},
    ),
    (schema.Texts, lambda _: TEXTS),
    (fields.Dict, lambda field: _map(_from_field(field.value_field) if field.value_field else {})),
    (
        fields.List,
        lambda field: {"type": "array", "items": _from_field(field.inner), "minItems": 1},
    ),
    (fields.Boolean, lambda _: {"type": "boolean"}),
    (schema.Appointments, lambda _: {"anyOf": [OBJECT, {"type": "array", "items": OBJECT}]}),
    (fields.Url, lambda _: {**TEXT, "format": "uri"}),
    (fields.String, lambda _: TEXT),
)


def _or_texts(section: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"anyOf": [*TEXTS["anyOf"], section], **more}


def _sections() -> dict[str, Any]:
    """Return the sections that the program checks by hand, in more detail than declared."""
    exclusion = _object({"not": SCALARS}, required=["not"])
    emptiness = _object({"empty": {"type": "boolean"}}, required=["empty"])
    conditions = _map({"anyOf": [*SCALARS["anyOf"], exclusion, emptiness]})
    groups = {"anyOf": [conditions, {"type": "array", "items": conditions}]}
    detailed = {
        "signature": _signature(),
        "respond": _respond(),
        "blank": SCALARS,
        "ignore": groups,
        "cancellation": groups,
        "accept": conditions,
        "read": _map(_reading()),
        "for_each": {**_map(TEXT), "maxProperties": 1, "minProperties": 1},
        "appointment": _object({name: _field(name) for name in TARGETS}),
    }
    return {name: section | _described(name) for name, section in detailed.items()}


def _signature() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "scheme": {"enum": ["hmac", "hash", "token", "basic", "none"]},
            "preset": {"enum": sorted(PRESETS)},
            "secrets": {
                "type": "array",
                "items": TEXT,
                "description": "Names of environment variables, newest last.",
            },
        },
        "anyOf": [{"required": ["scheme"]}, {"required": ["preset"]}],
    }


def _respond() -> dict[str, Any]:
    templates: dict[str, Any] = {"json": {"type": ["object", "array"]}, "xml": TEXT, "text": TEXT}
    one = _object(templates, minProperties=1, maxProperties=1)
    return _object(
        {
            "deadline": {**TEXT, "description": "How long the sender waits, such as 10s."},
            "wait": {**TEXT, "description": "How long the adapter waits: 1s to 25s."},
            "say": {
                **_object(dict.fromkeys(map(str, SENTENCES), TEXT)),
                "description": "Sentences for the renter, by outcome: what {say} stands for.",
            },
            **templates,
            **dict.fromkeys(map(str, Outcome), one),
        }
    )


def _reading() -> dict[str, Any]:
    options = _from_schema(schema.ReadSection())["properties"]
    kinds = []
    for kind, needed in NEEDED_BY.items():
        names = [kind, *sorted(needed), *(["labels"] if kind == "list" else [])]
        required = [kind, *sorted(needed)]
        kinds.append(_object({name: options[name] for name in names}, required=required))
    return {"anyOf": kinds}


def _field(name: str) -> dict[str, Any]:
    target = TARGETS[name]
    if name == "notes":
        return {**TEXTS, "description": "Lines; {path} stands for a value."}
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
