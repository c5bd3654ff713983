"""Validate request bodies, and report errors as Zod issues like Propexo does.

``requests.json`` holds a JSON Schema for each create call and for the queries of the lists. It was
written independently of :mod:`adapter.propexo.appointment`, because a sandbox with the adapter's
own checks would repeat its mistakes. If Propexo's documentation is ambiguous, the stricter reading
applies. Only the keywords that the file uses are implemented, because a JSON Schema library would
not produce Zod's codes and messages.
"""

import copy
import datetime as dt
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from adapter.exceptions import ConfigurationError

Issue = dict[str, Any]
#: Keys and indexes that lead to a value.
Location = tuple[str | int, ...]
Schema = Mapping[str, Any]

#: Propexo's enums, whose values are not published.
ENUMS: Final = ("first_contact_type", "pets", "tour_type")

_SCHEMAS: Final = json.loads(Path(__file__).with_name("requests.json").read_text("utf-8"))
_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2}))?"
)
#: JavaScript's names for these types.
_TYPES: Final = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def schemas_with(enums: Mapping[str, Collection[str]]) -> Mapping[str, Schema]:
    """Return the request schemas with these enum values. An enum without values rejects everything.

    Raise :class:`ConfigurationError` for a name that is not an enum.
    """
    for name in enums:
        if name not in ENUMS:
            raise ConfigurationError(f"{name!r} is not an enum; the enums are {', '.join(ENUMS)}")
    schemas: Mapping[str, Schema] = copy.deepcopy(_SCHEMAS)
    for schema in schemas.values():
        for name in schema["properties"].keys() & enums.keys():
            field = schema["properties"][name]
            field.get("items", field)["enum"] = list(enums[name])
    return schemas


def date_from(text: str) -> dt.date | None:
    """Parse a date or an RFC 3339 time. Return the UTC date, or None if it is invalid."""
    if not _DATE.fullmatch(text):
        return None
    try:
        instant = dt.datetime.fromisoformat(text)
        return (instant.astimezone(dt.UTC) if instant.tzinfo else instant).date()
    except (ValueError, OverflowError):
        return None


def issues_of(value: Any, schema: Schema, location: Location = ()) -> Iterator[Issue]:
    """Yield all validation issues in a value, in the order of the schema's keywords."""
    received = _TYPES[type(value)]
    expected = "number" if schema["type"] == "integer" else schema["type"]
    if received != expected:
        yield _wrong_type(location, expected, received)
    elif schema["type"] == "integer" and value != int(value):
        yield _wrong_type(location, "integer", "float")
    else:
        for keyword in schema:
            if keyword in _CHECKS:
                yield from _CHECKS[keyword](value, schema, location)


def _required(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    for name in schema["required"]:
        if name not in value:
            yield _issue(
                "invalid_type", (*location, name), "Required",
                expected="string", received="undefined",
            )  # fmt: skip


def _any_of(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    names = [name for branch in schema["anyOf"] for name in branch["required"]]
    if not any(name in value for name in names):
        yield _issue("custom", location, f"{' and/or '.join(names)} required")


def _properties(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    for name, property_ in schema["properties"].items():
        if name in value:
            yield from issues_of(value[name], property_, (*location, name))


def _additional_properties(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    keys = [key for key in value if key not in schema["properties"]]
    if keys:
        message = "Unrecognized key(s) in object: " + ", ".join(f"'{key}'" for key in keys)
        yield _issue("unrecognized_keys", location, message, keys=keys)


def _items(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    for index, item in enumerate(value):
        yield from issues_of(item, schema["items"], (*location, index))


def _enum(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    options = schema["enum"]
    if value not in options:
        quoted = " | ".join(f"'{option}'" for option in options)
        message = f"Invalid enum value. Expected {quoted}, received '{value}'"
        yield _issue("invalid_enum_value", location, message, received=value, options=options)


def _pattern(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    if not re.fullmatch(schema["pattern"], value):
        yield _issue("invalid_string", location, "Invalid", validation="regex")


def _format(value: Any, _schema: Schema, location: Location) -> Iterator[Issue]:
    if date_from(value) is None:
        yield _issue("invalid_union", location, "Invalid input")


def _max_length(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    limit = schema["maxLength"]
    # JavaScript counts UTF-16 code units.
    if len(value.encode("utf-16-le", "surrogatepass")) // 2 > limit:
        message = f"String must contain at most {limit} character(s)"
        yield _limit_issue("too_big", location, message, type="string", maximum=limit)


def _minimum(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    if value < schema["minimum"]:
        message = f"Number must be greater than or equal to {schema['minimum']}"
        yield _limit_issue("too_small", location, message, type="number", minimum=schema["minimum"])


def _maximum(value: Any, schema: Schema, location: Location) -> Iterator[Issue]:
    if value > schema["maximum"]:
        message = f"Number must be less than or equal to {schema['maximum']}"
        yield _limit_issue("too_big", location, message, type="number", maximum=schema["maximum"])


_CHECKS: Final[Mapping[str, Callable[[Any, Schema, Location], Iterator[Issue]]]] = {
    "required": _required,
    "anyOf": _any_of,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "items": _items,
    "enum": _enum,
    "pattern": _pattern,
    "format": _format,
    "maxLength": _max_length,
    "minimum": _minimum,
    "maximum": _maximum,
}


def _issue(code: str, location: Location, message: str, **details: Any) -> Issue:
    return {"code": code, **details, "path": list(location), "message": message}


def _limit_issue(code: str, location: Location, message: str, **details: Any) -> Issue:
    return _issue(code, location, message, **details, inclusive=True, exact=False)


def _wrong_type(location: Location, expected: str, received: str) -> Issue:
    message = f"Expected {expected}, received {received}"
    return _issue("invalid_type", location, message, expected=expected, received=received)
