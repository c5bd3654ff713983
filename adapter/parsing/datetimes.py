"""Local time to UTC, with the hours that a clock change skips or repeats found and refused."""

import dataclasses
import datetime as dt
import re
import zoneinfo
from collections.abc import Sequence
from typing import Final

from adapter.exceptions import Unreadable
from adapter.parsing.date_formats import Format, compile_format
from adapter.parsing.text import CAP_NUMBER, clean_text

#: A year outside is a typing error or a filler.
YEARS: Final = range(2000, 2101)

# The shape is checked here, the numbers by fromisoformat, which alone would take a date for
# midnight and any character between the two.
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")

_ISO_INSTANT: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[Tt ]"
    r"(?P<time>[0-9]{2}:?[0-9]{2})(?P<seconds>:?[0-9]{2}(?:[.,][0-9]{1,9})?)? ?"
    r"(?P<offset>[Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Instant:
    """One moment, and how it was written."""

    #: Aware, UTC.
    at: dt.datetime
    #: The offset that the value carried, or None. An offset that was ignored is None.
    offset: dt.timedelta | None
    #: The wall clock as written, naive.
    local: dt.datetime


def utc_from_local(
    local: dt.datetime, zone: zoneinfo.ZoneInfo, *, dst: str | None = None
) -> dt.datetime:
    """The UTC instant of a naive local time.

    A time that a clock change skips or repeats is :class:`Unreadable`, unless ``dst`` says
    which of the two possible instants is meant: ``earlier`` or ``later``.
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


def certain_instant(value: object) -> dt.datetime:
    """The moment that a value names without any zone: ISO 8601 with an offset, or an epoch.

    Raises :class:`Unreadable` for all others.
    """
    text = clean_text(value, CAP_NUMBER)
    if text.isascii() and text.isdigit():
        form = compile_format("epoch" if len(text) <= 10 else "epoch_ms")
        return read_instant(value, formats=[form], zone=zoneinfo.ZoneInfo("UTC")).at
    if _datetime_from_iso(text).utcoffset() is None:
        raise Unreadable("it has no offset")
    return read_instant(value, zone=zoneinfo.ZoneInfo("UTC")).at


def read_instant(
    value: object,
    *,
    formats: Sequence[Format] = (),
    zone: zoneinfo.ZoneInfo,
    dst: str | None = None,
    ignore_offset: bool = False,
) -> Instant:
    """The moment that a value says; ISO 8601 unless ``formats`` are given (first match wins).

    An offset in the value decides; ``zone`` is for values without one, and for all of them
    with ``ignore_offset``. A date and a time from two places are passed as one text,
    ``"date time"``. A date without a time of day is never midnight.

    Raises :class:`Unreadable`.
    """
    text = clean_text(value, CAP_NUMBER)
    for form in formats:
        if not (form.has_date and form.has_time):
            raise Unreadable(f"the format {form.text} does not say both a date and a time")
    read = _read_any(text, formats) if formats else _datetime_from_iso(text)
    local, offset = read.replace(tzinfo=None), read.utcoffset()
    _check_plausible(local, offset)
    if offset is None or ignore_offset:
        return Instant(at=utc_from_local(local, zone, dst=dst), offset=None, local=local)
    return Instant(at=read.astimezone(dt.UTC), offset=offset, local=local)


def read_date(value: object, formats: Sequence[Format] = ()) -> dt.date:
    """The calendar date that a value says; ISO 8601 unless ``formats`` are given.

    Of a date with a time the date is taken as written: no zone is ever applied. A time in UTC
    other than midnight is refused, because its date depends on the zone of the reader.

    Raises :class:`Unreadable`.
    """
    text = clean_text(value, CAP_NUMBER)
    if not formats and _ISO_DATE.fullmatch(text):
        read = _from_iso(text)
    else:
        read = _read_any(text, formats) if formats else _datetime_from_iso(text, "date")
    if read.utcoffset() == dt.timedelta(0) and read.time() != dt.time(0):
        raise Unreadable("an instant in UTC, whose date depends on the time zone")
    _check_plausible(read.replace(tzinfo=None), None)
    return read.date()


def _read_any(text: str, formats: Sequence[Format]) -> dt.datetime:
    for form in formats:
        try:
            return form.parse(text)
        except Unreadable as exc:
            reason = exc
    if len(formats) == 1:
        raise reason
    raise Unreadable("not written as " + " or ".join(form.text for form in formats))


def _datetime_from_iso(text: str, wanted: str = "date and time") -> dt.datetime:
    if _ISO_DATE.fullmatch(text):
        raise Unreadable("a date without a time of day")
    match = _ISO_INSTANT.fullmatch(text)
    if not match:
        raise Unreadable(f"not a {wanted} in ISO 8601")
    # Fractions of a second are dropped: a tour starts at a minute.
    seconds = re.split("[.,]", match["seconds"] or "")[0]
    offset = "Z" if match["offset"] == "UTC" else match["offset"] or ""
    return _from_iso(f"{match['date']}T{match['time']}{seconds}{offset}")


def _from_iso(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable("no such date or time") from None


def _check_plausible(local: dt.datetime, offset: dt.timedelta | None) -> None:
    if local.year not in YEARS:
        raise _implausible_year()
    if offset is not None and abs(offset) > dt.timedelta(hours=14):
        raise Unreadable("no place has such an offset from UTC")


def _implausible_year() -> Unreadable:
    return Unreadable(f"the year is not between {YEARS[0]} and {YEARS[-1]}")
