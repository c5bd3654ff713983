"""Parse the available tour times in Propexo's response about a community's calendar.

Propexo does not document the items of this response, so every plausible shape is read: strings,
objects with a start, dates with lists of times, and lists nested by day. A part that cannot be read
makes the list incomplete. A time that is missing from an incomplete list may still be free.
"""

import contextlib
import dataclasses
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapter.exceptions import Unreadable
from adapter.parsing.local_time import YEARS, read_absolute_instant, read_instant, utc_from_local
from adapter.parsing.zone_names import zone_from_name

#: Values that are nested more deeply are not read.
MAX_DEPTH: Final = 10
#: Maximum number of available times to keep. A longer list is incomplete.
MAX_TIMES: Final = 5000
#: A span that is longer than one tour is a window. A tour may start every 15 minutes in it.
LONGEST_TOUR: Final = dt.timedelta(hours=1)
STEP: Final = dt.timedelta(minutes=15)
#: The part of a window after this time is not read.
LONGEST_WINDOW: Final = dt.timedelta(days=1)

#: Names of members, in lower case and without punctuation.
STARTS: Final = (
    *("start", "starttime", "startsat", "startat", "startdatetime", "datetime"),
    *("time", "from", "begin", "begins", "beginsat", "slot", "availabletime", "value"),
)
ENDS: Final = ("end", "endtime", "endsat", "endat", "enddatetime", "to", "until")
DAYS: Final = ("date", "day", "localdate", "startdate")
ZONES: Final = ("timezone", "tz", "timezonename")
#: Members with times that are not available, besides the end of a span.
NOT_FREE: Final = (
    *(
        "unavailable",
        "unavailabletimes",
        "unavailableslots",
        "booked",
        "bookedtimes",
        "bookedslots",
    ),
    *("blocked", "blockedtimes", "busy", "busytimes", "taken", "takentimes", "closed"),
)
#: Members that mark a time as not available if they are false or 0.
FLAGS: Final = ("available", "isavailable", "free", "isfree", "open", "isopen", "bookable")
#: Flags that are true if the time is not available.
TAKEN: Final = ("booked", "isbooked", "taken", "unavailable", "blocked", "busy", "full")
LEFT: Final = ("remaining", "capacity", "spots", "spotsleft", "remainingcapacity", "openings")
#: Values of ``status`` for a time that is not available. Other values are ignored.
TAKEN_STATUSES: Final = ("unavailable", "booked", "blocked", "busy", "taken", "full", "closed")

_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])")
_CLOCK: Final = re.compile(r"(\d{1,2})(?::(\d{2})(?::\d{2}(?:\.\d+)?)?)? ?([AaPp])?(?:\.?[Mm]\.?)?")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Calendar:
    """The available tour times in a response."""

    #: When a tour may start (aware, UTC), in ascending order.
    times: tuple[dt.datetime, ...] = ()
    #: True if every part of the response could be read.
    is_complete: bool = False

    def is_free(self, at: dt.datetime) -> bool | None:
        """Return True if ``at`` is available, False if it is taken, or None if unknown.

        A calendar says nothing about times after its last available time.
        """
        if at in self.times:
            return True
        if not self.is_complete or not self.times or at > self.times[-1]:
            return None
        return False


def calendar_from(data: Any, zone: ZoneInfo) -> Calendar:
    """Read all available times in a response. Times without an offset are in ``zone``."""
    reader = _Reader()
    result = _first_of(data, "result", "results", "data") if isinstance(data, dict) else data
    if isinstance(result, list | dict):
        reader.read(result, _Context(zone=zone))
    times = sorted(reader.times)
    is_complete = bool(times) and not reader.unread and len(times) <= MAX_TIMES
    return Calendar(times=tuple(times[:MAX_TIMES]), is_complete=is_complete)


def _first_of(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if name in data), None)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """The time zone and day of a value, inherited from the objects that contain it."""

    zone: ZoneInfo
    day: dt.date | None = None
    depth: int = 0


class _Reader:
    """Collects available times, and counts the parts that cannot be read."""

    def __init__(self) -> None:
        self.times: set[dt.datetime] = set()
        self.unread = 0

    def read(self, value: Any, context: _Context) -> None:
        """Collect the available times in a value and in everything nested in it."""
        if context.depth > MAX_DEPTH or len(self.times) > MAX_TIMES:
            self.unread += 1
        elif isinstance(value, list):
            inner = dataclasses.replace(context, depth=context.depth + 1)
            for item in value:
                self.read(item, inner)
        elif isinstance(value, dict):
            self._read_object(value, dataclasses.replace(context, depth=context.depth + 1))
        elif value is not None:
            self._add(value, None, context)

    def _read_object(self, value: Mapping[str, Any], context: _Context) -> None:
        names = {_plain(name): item for name, item in value.items()}
        if not _is_offered(names):
            return
        context = _inside(names, context)
        start = _first(names, STARTS)
        if start is not None:
            self._add(start, _first(names, ENDS), context)
        elif not self._read_members(value, context):
            day = _first(names, DAYS)
            if day is None:
                self.unread += bool(value)
            elif not _is_whole_day(day):
                self._add(day, None, context)

    def _read_members(self, value: Mapping[str, Any], context: _Context) -> bool:
        """Read all lists and objects in an object. Return False if it contains none."""
        inner = [(name, item) for name, item in value.items() if isinstance(item, list | dict)]
        for name, item in inner:
            if _plain(name) not in (*NOT_FREE, *ENDS):
                self.read(item, dataclasses.replace(context, day=_day_from(name) or context.day))
        return bool(inner)

    def _add(self, start: Any, end: Any, context: _Context) -> None:
        try:
            first = _instant_from(start, context)
            self.times.add(first)
            if end is not None:
                self.times.update(_later_starts(first, _instant_from(end, context)))
        except (Unreadable, OverflowError):
            self.unread += 1


def _inside(names: Mapping[str, Any], context: _Context) -> _Context:
    """Return the context for an object's members, based on the object's own time zone and day."""
    zone, day = context.zone, _day_from(_first(names, DAYS))
    with contextlib.suppress(Unreadable):
        zone = zone_from_name(_first(names, ZONES))
    return dataclasses.replace(context, zone=zone, day=day or context.day)


def _is_offered(names: Mapping[str, Any]) -> bool:
    """Return False if an object marks its time as not available."""
    status = names.get("status")
    return not (
        any(names.get(name) is False for name in FLAGS)
        or any(names.get(name) is True for name in TAKEN)
        or any(_is_zero(names.get(name)) for name in LEFT)
        or (isinstance(status, str) and status.lower() in TAKEN_STATUSES)
    )


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0


def _later_starts(first: dt.datetime, until: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the start times after ``first`` in a long window, 15 minutes apart."""
    if until - first > LONGEST_TOUR:
        at, last = first + STEP, min(until, first + LONGEST_WINDOW)
        while at < last:
            yield at
            at += STEP


def _instant_from(value: Any, context: _Context) -> dt.datetime:
    """Convert a value to a time in UTC. Raise :class:`Unreadable` if it is not a time."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable("not a time")
    if not isinstance(value, str):
        return _minute(read_absolute_instant(f"{value:.0f}"))
    text = value.strip()
    if context.day is not None and (clock := _clock_from(text)) is not None:
        return utc_from_local(dt.datetime.combine(context.day, clock), context.zone)
    return _minute(read_instant(text, zone=context.zone).at)


def _minute(at: dt.datetime) -> dt.datetime:
    return at.replace(second=0, microsecond=0)


def _clock_from(text: str) -> dt.time | None:
    """Parse a time of day such as ``14:30`` or ``2:30 PM``. Return None for other text."""
    match = _CLOCK.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    hour, half = int(match[1]), (match[3] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    try:
        return dt.time(hour, int(match[2] or 0))
    except ValueError:
        return None


def _day_from(value: Any) -> dt.date | None:
    match = _DATE.match(value) if isinstance(value, str) else None
    try:
        day = dt.date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
    return day if day is None or day.year in YEARS else None


def _is_whole_day(value: Any) -> bool:
    """Return True if a value is a date without a time of day."""
    return isinstance(value, str) and _DATE.fullmatch(value.strip()) is not None


def _plain(name: str) -> str:
    return "".join(one for one in name.lower() if one.isalnum())


def _first(names: Mapping[str, Any], known: tuple[str, ...]) -> Any:
    """Return the first string or number among the members with the given names, or None."""
    found = (names.get(name) for name in known)
    return next((one for one in found if isinstance(one, str | int | float)), None)


#: Names that are shown. Their letters cannot identify anyone.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,30}")
_TIME_TEXT: Final = re.compile(r"[0-9:.,/+TZ -]{1,40}(?: ?[AaPp]\.?[Mm]\.?)?")
#: Maximum length of a shape, in characters.
MAX_SHAPE: Final = 2000
#: Maximum number of items in a list or object to describe.
MAX_ITEMS: Final = 40


def shape_of(value: Any) -> str:
    """Describe a response by its keys and types only, without its values.

    In dates and times, 0 stands for each digit. A key that is not a plain word is shown as ``…``.
    """
    return _shape(value, 0)[:MAX_SHAPE]


def _shape(value: Any, depth: int) -> str:
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:MAX_ITEMS]
        members = (f"{_shown(name)}: {_shape(item, depth + 1)}" for name, item in items)
        return "{" + ", ".join(dict.fromkeys(members)) + "}"
    if isinstance(value, list):
        shapes = (_shape(item, depth + 1) for item in value[:MAX_ITEMS])
        return "[" + " | ".join(dict.fromkeys(shapes)) + "]"
    if isinstance(value, str):
        is_time = _TIME_TEXT.fullmatch(value) and any(one.isdigit() for one in value)
        return _masked(value) if is_time else "text"
    return {bool: "true/false", type(None): "null"}.get(type(value), "number")


def _shown(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    return _masked(name) if _TIME_TEXT.fullmatch(name) else "…"


def _masked(text: str) -> str:
    return re.sub("[0-9]", "0", text)
