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
#: A time of day anywhere in a string, except a UTC offset.
_CLOCK_IN_TEXT: Final = re.compile(
    r"(?<![0-9/.:+-])([0-9]{1,2})(?::([0-9]{2})(?::[0-9]{2}(?:\.[0-9]+)?)?)?(?![0-9/:])"
    r"(?: ?([aApP])\.?[mM]\b\.?)?"
)
_DURATION: Final = re.compile(r"PT(?:([0-9]{1,3})H)?(?:([0-9]{1,4})M)?(?:[0-9]+S)?")
#: Maximum length of a tour, in hours. A longer range is a period when the renter is available.
LONGEST_TOUR: Final = 2
NOT_A_TOUR: Final = "a range of times that is longer than a tour, or has no end, is not a tour time"
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

    Return any other text unchanged. Raise :class:`Unreadable` if the range is too long for a tour.
    """
    start, end = [*_RANGE.split(text, 1), ""][:2]
    if _is_period(start, end, text[len(start) : len(text) - len(end)].strip()):
        raise Unreadable(NOT_A_TOUR)
    clock = _CLOCK.fullmatch(start.rpartition(" ")[2])
    until = _CLOCK.fullmatch(end.strip())
    if not clock or not until or clock[3] or not until[3]:
        return start
    # The start is at most twelve hours before the end: 11:30 - 1:00 PM starts in the morning.
    is_before = _minutes(clock) <= _minutes(until)
    half = until[3].upper() if is_before else "AP"[until[3] in "aA"]
    return f"{start} {half}M"


def _is_period(start: str, end: str, separator: str) -> bool:
    """Return True if a range is longer than a tour, or has no readable end."""
    if duration := _DURATION.fullmatch(end):
        return int(duration[1] or 0) * 60 + int(duration[2] or 0) > LONGEST_TOUR * 60
    (first, day), (last, last_day) = _clock_and_day(start), _clock_and_day(end)
    if first is None:
        return False
    if last is None:  # a word after a hyphen may be anything, such as a kind of tour
        return separator.isalpha() or re.match(r"P[0-9T]", end) is not None
    is_24_hours = (first[3] and last[3]) or not all(1 <= int(one[1]) < 13 for one in (first, last))
    length = _since_midnight(last) - _since_midnight(first)
    is_long = length % (24 * 60 if is_24_hours else 12 * 60) > LONGEST_TOUR * 60
    return is_long or (bool(re.search("[0-9]", last_day)) and last_day != day)


def _clock_and_day(text: str) -> tuple[re.Match[str] | None, str]:
    """Return the last time of day in a string, and the rest of the string without punctuation."""
    found = [one for one in _CLOCK_IN_TEXT.finditer(text) if one[2] or one[3]]
    clock = found[-1] if found else _CLOCK.fullmatch(text.rpartition(" ")[2])
    rest = text.replace(clock[0], "", 1) if clock else text
    return clock, " ".join(re.findall(r"[^\W_]+", rest.lower()))


def _since_midnight(clock: re.Match[str]) -> int:
    hour = int(clock[1]) % 12 + 12 * (clock[3] in "pP") if clock[3] else int(clock[1])
    return hour * 60 + int(clock[2] or 0)


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
