"""Read a date and time from an object with separate year, month, day, hour and minute."""

import re
from collections.abc import Mapping
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.parsing.local_time import read_instant
from adapter.parsing.text import CAP_NUMBER, clean_text, is_empty, single_value
from adapter.parsing.zone_names import zone_from_name

#: Part names, in lower case without "_" and "-", and their meanings.
PARTS: Final = {
    name: part
    for part, names in {
        "year": "year",
        "month": "month",
        "day": "day",
        "hour": "hour hours hourselect",
        "minute": "minute minutes min mins minuteselect",
        "half": "ampm meridiem meridian ispm",
        "offset": "utcoffset",
        "zone": "timezone",
        # Tours start on a full minute. A time picker's text repeats the other parts.
        "ignored": "second seconds sec secs nano nanos millisecond milliseconds timeinput",
    }.items()
    for name in names.split()
}
#: Spellings of AM and PM, with the hours to add. True and false are the values of isPM.
HALVES: Final = {"AM": 0, "A": 0, "FALSE": 0, "PM": 12, "P": 12, "TRUE": 12}
#: Separators of a range of times. A hyphen needs spaces, or a time with AM or PM after it, because
#: it may otherwise be part of a date or of an offset.
_RANGE: Final = re.compile(
    r" (?:-|to|until|till) | ?[\u2013\u2014] ?| ?/ ?(?=[0-9]{4}-|P)"
    r"|(?<=[0-9mM.])-(?=[0-9]{1,2}(?::[0-9]{2})? ?[aApP]\.?[mM])"
)
_CLOCK: Final = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(?: ?([aApP])\.?[mM]\.?)?")
UNKNOWN_PART: Final = "it has a part other than year, month, day, hour, minute, AM or PM, and zone"


def date_part_kinds(value: Any) -> frozenset[str]:
    """Return the kinds of date parts that an object contains: ``date``, ``time`` or both.

    A date needs at least a year, and a time at least an hour.
    """
    parts = [_meaning(name) for name in value] if isinstance(value, Mapping) else []
    if None in parts or len(parts) < 2:
        return frozenset()
    kinds = {"year": "date", "hour": "time"}
    return frozenset(kind for part, kind in kinds.items() if part in parts)


def iso_from_parts(value: Any) -> Any:
    """Convert an object with date parts to an ISO 8601 string, or to None if all are empty.

    Return other values unchanged. Raise :class:`Unreadable` for an unknown or unreadable part,
    because an unknown part may mean AM or PM.
    """
    if not isinstance(value, Mapping) or not value:
        return value
    if all(map(is_empty, value.values())):
        return None
    parts: dict[str, Any] = {}
    for name, part in value.items():
        meaning = _meaning(name)
        if meaning is None or (meaning in parts and meaning != "ignored"):
            raise Unreadable(UNKNOWN_PART)
        parts[meaning] = part
    return _with_zone(" ".join(filter(None, (_date(parts), _clock(parts)))), parts)


def _meaning(name: object) -> str | None:
    return PARTS.get(str(name)[:20].lower().replace("_", "").replace("-", ""))


def start_of_range(text: str) -> str:
    """Return the start time of a range, with AM or PM added if only the end time has it.

    Return any other text unchanged.
    """
    start, end = [*_RANGE.split(text, 1), ""][:2]
    clock = _CLOCK.fullmatch(start.rpartition(" ")[2])
    until = _CLOCK.fullmatch(end.strip())
    if not clock or not until or clock[3] or not until[3]:
        return start
    # The start is at most twelve hours before the end: 11:30 - 1:00 PM starts in the morning.
    is_before = _minutes(clock) <= _minutes(until)
    half = until[3].upper() if is_before else "AP"[until[3] in "aA"]
    return f"{start} {half}M"


def _minutes(clock: re.Match[str]) -> int:
    return int(clock[1]) % 12 * 60 + int(clock[2] or 0)


def _date(parts: Mapping[str, Any]) -> str:
    if not {"year", "month", "day"} & parts.keys():
        return ""
    year, month, day = (_number(parts, name) for name in ("year", "month", "day"))
    return f"{year:04}-{month:02}-{day:02}"


def _clock(parts: Mapping[str, Any]) -> str:
    if not {"hour", "minute", "half"} & parts.keys():
        return ""
    hour, minute = _number(parts, "hour"), _number({"minute": 0, **parts}, "minute")
    return f"{_hour_of_day(hour, parts):02}:{minute:02}"


def _hour_of_day(hour: int, parts: Mapping[str, Any]) -> int:
    if "half" not in parts:
        return hour
    half = HALVES.get(_text(parts["half"]).replace(".", "").replace(" ", "").upper())
    if half is not None and 1 <= hour <= 12:
        return hour % 12 + half
    if half == hour // 12 * 12 or (not _text(parts["half"]) and not 1 <= hour <= 12):
        return hour
    raise Unreadable("it is not clear whether the hour is AM or PM")


def _with_zone(text: str, parts: Mapping[str, Any]) -> str:
    """Append a UTC offset to a local time, based on the date parts or their time zone."""
    offset, zone = _text(parts.get("offset")), parts.get("zone")
    if isinstance(zone, Mapping):
        zone = zone.get("id", zone)  # Google sends an object
    if offset:
        return text + _offset(offset)
    if is_empty(zone):
        return text
    there = zone_from_name(zone)
    return read_instant(text, zone=there).at.astimezone(there).isoformat(" ", "minutes")


def _offset(text: str) -> str:
    """Convert a UTC offset in seconds, such as "-25200s", to "-07:00". Keep other formats."""
    seconds = re.fullmatch("(-?)([0-9]{1,5})s", text)
    if not seconds:
        return text
    minutes = int(seconds[2]) // 60
    return f"{seconds[1] or '+'}{minutes // 60:02}:{minutes % 60:02}"


def _text(part: Any) -> str:
    return "" if part is None else str(part) if isinstance(part, bool) else clean_text(part, 20)


def _number(parts: Mapping[str, Any], name: str) -> int:
    """Return a date part of up to four digits as an integer. Raise Unreadable for other values."""
    part = single_value(parts.get(name))
    text = "" if is_empty(part) else clean_text(part, CAP_NUMBER).removesuffix(".0")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise Unreadable(f"its {name} is missing or not a number")
    return int(text)
