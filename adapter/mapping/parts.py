"""Dates and times that come in parts: ``{"year": "2025", "month": "11", "day": "18"}``.

Form builders and assistants send them so; they are written as ISO 8601 and read as that.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

#: The names that senders give to each part.
HOUR: Final = ("hour", "hours", "hourSelect")
MINUTE: Final = ("minute", "minutes", "minuteSelect")
HALF: Final = ("ampm", "AMPM", "meridiem")


def text_from_parts(value: Any) -> Any:
    """ISO text for an object of parts; everything else as it is, to be read or refused later."""
    if not isinstance(value, Mapping):
        return value
    day = _date(value)
    clock = _clock(value)
    return " ".join(part for part in (day, clock) if part) or value


def _date(value: Mapping[str, Any]) -> str | None:
    year, month, day = (_number(value, (name,)) for name in ("year", "month", "day"))
    if year is None or month is None or day is None:
        return None
    return f"{year:04}-{month:02}-{day:02}"


def _clock(value: Mapping[str, Any]) -> str | None:
    hour, minute = _number(value, HOUR), _number(value, MINUTE)
    if hour is None:
        return None
    half = next((str(value[name]).strip().upper() for name in HALF if value.get(name)), "")
    if half in ("AM", "PM") and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "PM" else 0)
    elif half:
        return None
    return f"{hour:02}:{minute or 0:02}"


def _number(value: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """A whole number of at most four digits, as a number or as text."""
    for name in names:
        part = value.get(name)
        if isinstance(part, float) and part.is_integer() and 0 <= part <= 9999:
            part = int(part)
        text = str(part) if isinstance(part, int | str) and not isinstance(part, bool) else ""
        if text.isascii() and text.isdigit() and len(text) <= 4:
            return int(text)
    return None
