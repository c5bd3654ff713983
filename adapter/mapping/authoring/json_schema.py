"""The JSON Schema of mapping files, for completion and error marks in editors."""

from typing import Any, Final

from adapter.mapping.engine import WithoutTime
from adapter.mapping.engine.fields import OnUnreadable
from adapter.mapping.loader.schema import FAMILIES, SHAPES
from adapter.mapping.respond import SENTENCES
from adapter.mapping.transforms import TRANSFORMS
from adapter.mapping.webhook_outcome import Outcome
from adapter.parsing.body import KINDS
from adapter.propexo.appointment import TARGETS
from adapter.settings import NEUTRAL_WORDS
from adapter.signatures import PRESETS

#: Path of the committed schema in the project.
FILE: Final = "docs/mapping.schema.json"

TEXT: Final[dict[str, Any]] = {"type": "string"}
SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]}
TEXTS: Final[dict[str, Any]] = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}
SCALARS: Final[dict[str, Any]] = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **more,
    }


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def mapping_schema() -> dict[str, Any]:
    """Return the schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A mapping of knock-lead-adapter",
        **_object(
            _sections(),
            required=["signature", "community", "appointment", "tests"],
            anyOf=[{"required": ["dedupe"]}, {"required": ["delivery_id"]}],
        ),
    }


def _sections() -> dict[str, Any]:
    conditions = _conditions()
    groups = {"anyOf": [conditions, {"type": "array", "items": conditions}]}
    return {
        "description": {**TEXT, "description": "One sentence about the source."},
        "docs": {**TEXT, "format": "uri", "description": "The sender's own documentation."},
        "about": _about(),
        "body": {
            "enum": list(KINDS),
            "description": "Kind of the body; only if the content type is wrong.",
        },
        "signature": _signature(),
        "handshake": {},
        "delivery_id": TEXT,
        "respond": _respond(),
        "blank": {**SCALARS, "description": "Values that this sender uses for empty fields."},
        "ignore": {**groups, "description": "Webhooks that are not bookings."},
        "cancellation": {**groups, "description": "Cancels an earlier booking."},
        "accept": {**conditions, "description": "Every condition must be met."},
        "read": _map(_reading()),
        "for_each": {**_map(TEXT), "maxProperties": 1, "minProperties": 1},
        "dedupe": {**TEXTS, "description": "Paths whose values identify a booking."},
        "sent_at": {
            **TEXTS,
            "description": "When the renter made the request, by the sender's clock.",
        },
        "community": {"anyOf": [*TEXTS["anyOf"], _object({"from": TEXTS, "always": TEXT})]},
        "attribution": TEXTS,
        "without_time": {"enum": [*WithoutTime]},
        "appointment": _object({name: _field(name) for name in TARGETS}),
        "tests": {"type": "array", "items": _test(), "minItems": 1},
    }


def _about() -> dict[str, Any]:
    return _object(
        {
            "family": {"enum": list(FAMILIES)},
            "switch_on": {**TEXT, "description": "How to turn on its webhook."},
            "signs": {**TEXT, "description": "How it signs webhooks, in words."},
            "retries": {**TEXT, "description": "How it retries."},
            "cannot": {**TEXT, "description": "What its webhooks cannot do."},
            "shape": {
                "enum": list(SHAPES),
                "description": "Source of the sample: documentation or traffic.",
            },
        },
        description="What to know about the sender.",
    )


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
            "wait": {
                **TEXT,
                "description": "How long the adapter waits: 1s to 25s, less than the deadline.",
            },
            "say": {
                **_object(dict.fromkeys(map(str, SENTENCES), TEXT)),
                "description": "Sentences for the renter, by outcome: the text of {say}.",
            },
            **templates,
            **dict.fromkeys(map(str, Outcome), one),
        }
    )


def _conditions() -> dict[str, Any]:
    exclusion = _object({"not": SCALARS}, required=["not"])
    emptiness = _object({"empty": {"type": "boolean"}}, required=["empty"])
    return _map({"anyOf": [*SCALARS["anyOf"], exclusion, emptiness]})


def _reading() -> dict[str, Any]:
    labels = _object(dict.fromkeys(("list", "by", "value"), TEXT))
    return {
        "anyOf": [
            _object({"json": TEXT}, required=["json"]),
            _object(
                {"list": TEXT, "by": TEXT, "value": TEXTS, "labels": labels},
                required=["list", "by", "value"],
            ),
            _object({"text": TEXT, "line": TEXT}, required=["text", "line"]),
        ]
    }


def _field(name: str) -> dict[str, Any]:
    target = TARGETS[name]
    if name == "notes":
        return {**TEXTS, "description": "Lines; {path} is replaced by its value."}
    if name == "starts_at":
        return {"anyOf": [*TEXTS["anyOf"], _start()]}
    words = NEUTRAL_WORDS.get(name)
    result: dict[str, Any] = {"enum": list(words)} if words else {}
    if target.many:
        result = {"anyOf": [result, {"type": "array", "items": result}]}
    options: dict[str, Any] = {
        "from": TEXTS,
        "all": TEXTS,
        "always": result,
        "as": {"enum": sorted(TRANSFORMS)},
        "table": _map({"anyOf": [result, {"const": []}]}),
        "default": result,
        "unreadable": {"enum": [word.value for word in OnUnreadable]},
    }
    for transform in TRANSFORMS.values():
        options |= {option.name: _option(option) for option in transform.options}
    return {"anyOf": [*TEXTS["anyOf"], _object(options)], "description": f"{target.label}."}


def _option(option: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"enum": list(option.allowed)} if option.allowed else {}
    return {**values, "description": option.meaning}


def _start() -> dict[str, Any]:
    return _object(
        {
            "from": TEXTS,
            "date": TEXTS,
            "time": TEXTS,
            "format": TEXTS,
            "timezone": {"anyOf": [TEXT, _object({"from": TEXTS}, required=["from"])]},
            "dst": {"enum": ["earlier", "later"]},
            "ignore_offset": {"type": "boolean"},
            "offset": {"enum": ["trust", "must_agree", "own_clock"]},
            "fetch_by": TEXTS,
            "as": {"const": "instant"},
        }
    )


def _test() -> dict[str, Any]:
    appointment = {"type": "object"}
    appointments = {"anyOf": [appointment, {"type": "array", "items": appointment}]}
    return _object(
        {
            "name": TEXT,
            "payload": {"description": "A file in the mapping's folder, or the payload itself."},
            "change": {"type": "object", "description": "New values by path."},
            "expect": {**appointments, "description": "The whole appointment, exactly."},
            "expect_some": appointments,
            "prospect": {**appointments, "description": "The whole guest card, exactly."},
            "prospect_some": appointments,
            "held": _map(TEXT),
            "ignored": {"const": True},
            "cancellation": {"const": True},
            "received": {**TEXT, "description": "When the webhook is received, as an instant."},
            "headers": _map(TEXT),
            "query": TEXT,
            "content_type": TEXT,
        },
        required=["payload"],
    )
