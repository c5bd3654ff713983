"""Parse dates and times, and convert local times to UTC.

Local times that a clock change skips or repeats are rejected.
"""

import dataclasses
import datetime as dt
import re
import zoneinfo
from collections.abc import Sequence
from typing import Final

from adapter.exceptions import Unreadable
from adapter.parsing.date_formats import Format, compile_format
from adapter.parsing.text import CAP_NUMBER, clean_text

#: Other years are typos or placeholders.
YEARS: Final = range(2000, 2101)

# This checks only the shape; fromisoformat checks the numbers. By itself, fromisoformat would read
# a date as midnight and accept any separator.
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")

_ISO_INSTANT: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[Tt ]"
    r"(?P<time>[0-9]{2}:?[0-9]{2})(?P<seconds>:?[0-9]{2}(?:[.,][0-9]{1,9})?)? ?"
    r"(?P<offset>[Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Instant:
    """A point in time, with its UTC offset and its local time as the sender wrote them."""

    #: Aware datetime in UTC.
    at: dt.datetime
    #: The offset in the value, or None if it is absent or ignored.
    offset: dt.timedelta | None
    #: Naive local time, as written.
    local: dt.datetime


def utc_from_local(
    local: dt.datetime, zone: zoneinfo.ZoneInfo, *, dst: str | None = None
) -> dt.datetime:
    """Convert a naive local time to UTC.

    Raise :class:`Unreadable` for a time that a clock change skips or repeats, unless ``dst``
    selects one of the two possible instants: ``earlier`` or ``later``.
    """
    try:
        before, after = (
            local.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)
        )
    except OverflowError:
        raise _implausible_year() from None
    if before == after:
        return before
    if dst is not None:
        return min(before, after) if dst == "earlier" else max(before, after)
    if before.astimezone(zone).replace(tzinfo=None) != local:
        raise Unreadable(f"the time does not exist in {zone.key} (the clocks change)")
    raise Unreadable(f"the time happens twice in {zone.key} (the clocks change)")


def read_absolute_instant(value: object) -> dt.datetime:
    """Parse a time with a known UTC offset: ISO 8601 with an offset, or a Unix timestamp.

    Raise :class:`Unreadable` for any other value.
    """
    text = clean_text(value, CAP_NUMBER)
    is_epoch = re.fullmatch(r"[0-9]+(\.[0-9]+)?", text)
    if is_epoch:
        is_in_seconds = len(text.partition(".")[0]) <= 10
        written = compile_format("epoch" if is_in_seconds else "epoch_ms").parse(text)
    else:
        written = _parse_iso(text)
    offset = written.utcoffset()
    if offset is None:
        raise Unreadable("it has no offset")
    _check_plausible(written.replace(tzinfo=None), offset)
    return written.astimezone(dt.UTC)


def read_instant(
    value: object,
    *,
    formats: Sequence[Format] = (),
    zone: zoneinfo.ZoneInfo,
    dst: str | None = None,
    ignore_offset: bool = False,
) -> Instant:
    """Parse a date and time in ISO 8601 or one of the given formats, and convert it to UTC.

    An offset in the value takes precedence. ``zone`` applies to values without an offset, or to all
    values if ``ignore_offset`` is True. A date and a time from two paths are joined with a space.

    Raise :class:`Unreadable` for any other value, such as a date without a time of day.
    """
    text = clean_text(value, CAP_NUMBER)
    for form in formats:
        if not (form.has_date and form.has_time):
            raise Unreadable(f"the format {form.text} does not have both a date and a time")
    # Tours start on a full minute, so fractions of a second are dropped.
    written = (_parse_any(text, formats) if formats else _parse_iso(text)).replace(microsecond=0)
    local, offset = written.replace(tzinfo=None), written.utcoffset()
    _check_plausible(local, offset)
    if offset is not None and not ignore_offset:
        return Instant(at=written.astimezone(dt.UTC), offset=offset, local=local)
    at = utc_from_local(local, zone, dst=dst)
    if written.tzinfo and not ignore_offset:
        _check_abbreviation(written, at.astimezone(zone))
    return Instant(at=at, offset=None, local=local)


def read_date(value: object, formats: Sequence[Format] = ()) -> dt.date:
    """Parse a calendar date in ISO 8601 or in one of the given formats.

    For a date with a time, the date is used as written: no time zone is applied. A time in UTC
    other than midnight is rejected, because its date depends on the time zone.

    Raise :class:`Unreadable` for any other value.
    """
    text = clean_text(value, CAP_NUMBER)
    if not formats and _ISO_DATE.fullmatch(text):
        written = _from_iso(text)
    else:
        written = _parse_any(text, formats) if formats else _parse_iso(text, "date")
    if written.utcoffset() == dt.timedelta(0) and written.time() != dt.time(0):
        raise Unreadable("a time in UTC, whose date depends on the time zone")
    _check_plausible(written.replace(tzinfo=None), None)
    return written.date()


def _parse_any(text: str, formats: Sequence[Format]) -> dt.datetime:
    """Parse text with all formats. Raise Unreadable if none matches or two give different times."""
    found: dict[dt.datetime, dt.datetime] = {}
    reason = Unreadable("not written as " + " or ".join(form.text for form in formats))
    for form in formats:
        try:
            written = form.parse(text)
            found.setdefault(written.replace(tzinfo=None), written)
        except Unreadable as exc:
            reason = exc if len(formats) == 1 else reason
    if not found:
        raise reason
    if len(found) > 1:
        raise Unreadable("it matches two formats that give different times")
    return next(iter(found.values()))


def _parse_iso(text: str, expected: str = "date and time") -> dt.datetime:
    if _ISO_DATE.fullmatch(text):
        raise Unreadable("a date without a time of day")
    match = _ISO_INSTANT.fullmatch(text)
    if not match:
        raise Unreadable(f"not a {expected} in ISO 8601")
    offset = (match["offset"] or "").upper().replace("UTC", "Z")
    return _from_iso(f"{match['date']}T{match['time']}{match['seconds'] or ''}{offset}")


def _from_iso(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable("no such date or time") from None


def _check_plausible(local: dt.datetime, offset: dt.timedelta | None) -> None:
    if local.year not in YEARS:
        raise _implausible_year()
    if offset is not None and abs(offset) > dt.timedelta(hours=14):
        raise Unreadable("the offset from UTC is more than 14 hours")


def _check_abbreviation(written: dt.datetime, there: dt.datetime) -> None:
    """Raise :class:`Unreadable` if a zone abbreviation does not match the zone at that time."""
    name = there.tzname() or ""
    if written.tzname() not in (name, name[:1] + name[-1:]):
        raise Unreadable(f"its time zone abbreviation is wrong: {there.tzinfo} uses {name}")


def _implausible_year() -> Unreadable:
    return Unreadable(f"the year is not between {YEARS[0]} and {YEARS[-1]}")
