"""Replace the personal data in a webhook, so that the webhook can be kept as a sample."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from adapter.mapping.engine import Mapped, Scope
from adapter.mapping.provenance import provenance_of, read_locations
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.paths import Location

#: The made-up person of every sample.
FIRST_NAME: Final = "Dana"
LAST_NAME: Final = "Okafor"
EMAIL: Final = "dana.okafor@example.com"
PHONE: Final = "(303) 555-0142"
NOTE: Final = "Is there covered parking?"
#: The replacement for a short value in the notes, such as a unit number.
UNIT: Final = "2B"
REMOVED: Final = "(removed)"

_EMAIL: Final = re.compile(r"[^\s@<>\"',;:]+@[^\s@<>\"',;:]+")
_UNIT: Final = re.compile(r"[A-Za-z]{0,2}-?\d{1,4}[A-Za-z]?")
_PHONE: Final = re.compile(r"\+?\(?\d[\d\s().-]{7,}\d")
#: Mapping lines whose values identify the renter, with the replacements.
_PERSON: Final = {
    "name": f"{FIRST_NAME} {LAST_NAME}",
    "first_name": FIRST_NAME,
    "last_name": LAST_NAME,
    "email_1": EMAIL,
    "email_2": EMAIL,
    "phone_1": PHONE,
    "phone_2": PHONE,
    "notes": NOTE,
}


def anonymized_payload(source: Source, request: WebhookRequest, scope: Scope) -> Any:
    """Return a request's payload without personal data.

    Values that the mapping does not read are removed. Among those that it reads, the renter's
    name, contact details and notes are replaced.
    """
    lines = {
        location: _PERSON[line.line]
        for item in provenance_of(source, request)
        for line in item
        if line.line in _PERSON
        for _, locations in line.places
        for location in locations
    }
    names = _names(source.compiled.apply(scope, None))
    return _replaced(scope.payload, (), read_locations(source, request), lines, names)


def anonymized_parameter(source: Source, area: str, name: str, text: str) -> str:
    """Return the value of a header or query parameter, with personal data replaced or removed.

    ``area`` is the first key of its path, which is "headers" or "query".
    """
    wheres = [one.where for one in source.used_paths if one.path.parts[:2] == (area, name)]
    lines = [where[1] for where in wheres if where[0] == "appointment"]
    line = next((one for one in lines if one in _PERSON), None)
    if line is not None:
        return _PERSON[line]
    # A name under ``read`` may be part of any line.
    is_read = any(where[0] == "read" for where in wheres)
    return REMOVED if is_read else _text_without_contacts(text, {})


def _names(mapped: Mapped) -> dict[str, str]:
    """Return a replacement for each word in the renters' names, except single letters."""
    fields = {"last_name": LAST_NAME, "first_name": FIRST_NAME}
    words = (
        (word, made_up)
        for field, made_up in fields.items()
        for item in mapped.items
        for word in str(item.appointment.get(field, "")).split()
    )
    return {word: made_up for word, made_up in words if len(word) > 1}


def _replaced(
    value: Any,
    at: Location,
    read: Collection[Location],
    lines: Mapping[Location, str],
    names: Mapping[str, str],
) -> Any:
    if at in lines and isinstance(value, str | int) and not isinstance(value, bool):
        return _made_up(lines[at], value)
    if isinstance(value, Mapping):
        return {key: _replaced(one, (*at, key), read, lines, names) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, (*at, n), read, lines, names) for n, one in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    if not any(at[:length] in read for length in range(1, len(at) + 1)):
        return REMOVED if isinstance(value, str) else 0
    return _text_without_contacts(value, names) if isinstance(value, str) else value


def _made_up(text: str, value: str | int) -> str | int:
    if text == NOTE and _UNIT.fullmatch(str(value)):
        return UNIT if isinstance(value, str) else 2
    return text if isinstance(value, str) else value and int("3035550142")


def _text_without_contacts(text: str, names: Mapping[str, str]) -> str:
    text = _EMAIL.sub(EMAIL, text)
    if not re.search(r"\d{4}-\d\d|\d/\d", text):  # a date is not a phone number
        text = _PHONE.sub(PHONE, text)
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", names[name], text, flags=re.IGNORECASE)
    return text
