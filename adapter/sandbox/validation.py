"""What Propexo accepts, as tables of rules; what is wrong with a body, as Zod's issues.

It is written apart from :mod:`adapter.propexo.appointment` on purpose: a stand-in that shared the
adapter's own checks would agree with every mistake in them. Where Propexo's pages leave a doubt,
the stricter reading is taken, so that what passes here has the best chance to pass there.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from adapter.exceptions import ConfigurationError

Issue = dict[str, Any]
Path = list[str | int]
#: Finds what is wrong with one value at one place.
Rule = Callable[[Any, Path], list[Issue]]

#: The fields that are enums at Propexo, with values that its published pages lack.
ENUMS = ("first_contact_type", "pets", "tour_type")

_PHONE = re.compile(r"\+?[0-9]{1,50}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2}))?"
)
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}


def date_from(text: str) -> dt.date | None:
    """The UTC date of ``2026-11-24`` or of an RFC 3339 instant; None: it is neither."""
    if not _DATE.fullmatch(text):
        return None
    try:
        instant = dt.datetime.fromisoformat(text)
        return (instant.astimezone(dt.UTC) if instant.tzinfo else instant).date()
    except (ValueError, OverflowError):
        return None


def text(*, most: int | None = None, pattern: re.Pattern[str] | None = None) -> Rule:
    """A string, of at most so many UTF-16 units (Propexo counts as JavaScript does)."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, str):
            return [_wrong_type("string", value, path)]
        if most is not None and len(value.encode("utf-16-le", "surrogatepass")) // 2 > most:
            limit = {"maximum": most, "type": "string", "inclusive": True, "exact": False}
            message = f"String must contain at most {most} character(s)"
            return [_issue("too_big", path, message, **limit)]
        if pattern is not None and not pattern.fullmatch(value):
            return [_issue("invalid_string", path, "Invalid", validation="regex")]
        return []

    return check


def date() -> Rule:
    """A date, or an instant of which the UTC date counts."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, str):
            return [_wrong_type("string", value, path)]
        return [] if date_from(value) else [_issue("invalid_union", path, "Invalid input")]

    return check


def integer(*, least: int | None = None, most: int | None = None) -> Rule:
    """A whole number; ``12.0`` is one, as in JavaScript."""

    def check(value: Any, path: Path) -> list[Issue]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return [_wrong_type("number", value, path)]
        if value != int(value):
            message = "Expected integer, received float"
            kind = {"expected": "integer", "received": "float"}
            return [_issue("invalid_type", path, message, **kind)]
        limit = {"type": "number", "inclusive": True, "exact": False}
        if least is not None and value < least:
            message = f"Number must be greater than or equal to {least}"
            return [_issue("too_small", path, message, minimum=least, **limit)]
        if most is not None and value > most:
            message = f"Number must be less than or equal to {most}"
            return [_issue("too_big", path, message, maximum=most, **limit)]
        return []

    return check


def flag() -> Rule:
    """True or false."""
    return lambda value, path: (
        [] if isinstance(value, bool) else [_wrong_type("boolean", value, path)]
    )


def choice(options: Collection[str]) -> Rule:
    """One of some words. Without options every word is refused."""
    quoted = " | ".join(f"'{option}'" for option in options)

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, str):
            return [_wrong_type("string", value, path)]
        if value in options:
            return []
        message = f"Invalid enum value. Expected {quoted}, received '{value}'"
        return [_issue("invalid_enum_value", path, message, received=value, options=list(options))]

    return check


def listing(rule: Rule) -> Rule:
    """A list of which each item keeps the rule."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, list):
            return [_wrong_type("array", value, path)]
        return [issue for number, item in enumerate(value) for issue in rule(item, [*path, number])]

    return check


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """One body: its fields, which of them must be there, and of which one is enough."""

    fields: Mapping[str, Rule]
    required: Sequence[str]
    any_of: Sequence[str] = ("email_1", "phone_1")

    def issues(self, body: Any) -> list[Issue]:
        """What is wrong with the body; an empty list: nothing."""
        if not isinstance(body, dict):
            return [_wrong_type("object", body, [])]
        return [*self._missing(body), *self._wrong(body), *_unrecognized(body, self.fields)]

    def _missing(self, body: Mapping[str, Any]) -> list[Issue]:
        kind = {"expected": "string", "received": "undefined"}
        issues = [
            _issue("invalid_type", [name], "Required", **kind)
            for name in self.required
            if name not in body
        ]
        if not any(name in body for name in self.any_of):
            message = f"{' and/or '.join(self.any_of)} required"
            issues.append(_issue("custom", [], message))
        return issues

    def _wrong(self, body: Mapping[str, Any]) -> list[Issue]:
        present = (name for name in self.fields if name in body)
        return [issue for name in present for issue in self.fields[name](body[name], [name])]


def appointment_schema(enums: Mapping[str, Collection[str]]) -> Schema:
    """The body of ``POST /crm/v1/appointments/knock``."""
    when = {
        "appointment_date": date(),
        "appointment_time": text(pattern=_TIME),
    }
    contact = {
        "first_contact_type": choice(enums.get("first_contact_type", ())),
        "tour_type": choice(enums.get("tour_type", ())),
    }
    required = (*_IDS, *when, "last_name")
    return Schema(fields={**_shared_fields(enums), **when, **contact}, required=required)


def prospect_schema(enums: Mapping[str, Collection[str]]) -> Schema:
    """The body of ``POST /crm/v1/prospects/knock``."""
    names = ("agent_id", "address_1", "city", "state", "zip")
    own = {**{name: text() for name in names}, "subscribe": flag()}
    return Schema(fields={**_shared_fields(enums), **own}, required=_IDS)


def checked_enums(enums: Mapping[str, Collection[str]]) -> Mapping[str, Collection[str]]:
    """The same, where each name is one of Propexo's enums; else :class:`ConfigurationError`."""
    for name in enums:
        if name not in ENUMS:
            raise ConfigurationError(f"{name!r} is not an enum; the enums are {', '.join(ENUMS)}")
    return enums


_IDS = ("integration_id", "community_id", "attribution_id")


def _shared_fields(enums: Mapping[str, Collection[str]]) -> dict[str, Rule]:
    return {
        **{name: text() for name in (*_IDS, "last_name", "first_name", "email_1")},
        "phone_1": text(pattern=_PHONE),
        "move_in_date": date(),
        "number_of_occupants": integer(),
        "lease_term_in_months": integer(least=1, most=18),
        "rent_minimum_in_cents": integer(least=1),
        "rent_maximum_in_cents": integer(least=1),
        "notes": text(most=1000),
        "desired_num_bedrooms": listing(integer()),
        "pets": listing(choice(enums.get("pets", ()))),
    }


def _issue(code: str, path: Path, message: str, **more: Any) -> Issue:
    return {"code": code, **more, "path": path, "message": message}


def _wrong_type(expected: str, value: Any, path: Path) -> Issue:
    received = "null" if value is None else _TYPES.get(type(value), "object")
    message = f"Expected {expected}, received {received}"
    return _issue("invalid_type", path, message, expected=expected, received=received)


def _unrecognized(body: Mapping[str, Any], known: Collection[str]) -> list[Issue]:
    keys = [key for key in body if key not in known]
    if not keys:
        return []
    message = "Unrecognized key(s) in object: " + ", ".join(f"'{key}'" for key in keys)
    return [_issue("unrecognized_keys", [], message, keys=keys)]
