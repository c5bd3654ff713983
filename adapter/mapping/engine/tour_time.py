"""``starts_at``: the tour's start out of one place or two, as one UTC instant."""

import dataclasses
import datetime as dt
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import PathLookup
from adapter.mapping.engine.results import Community
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.transforms import clean_text
from adapter.models import Reason
from adapter.parsing.date_formats import Format
from adapter.parsing.datetimes import Instant, read_instant
from adapter.parsing.paths import unwrap_single
from adapter.parsing.timezones import zone_from_name
from adapter.settings import Policy

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


UTC: Final = zoneinfo.ZoneInfo("UTC")

CAP_PART: Final = 100

NO_TIME: Final = "this sender gives no tour time"

TO_FETCH: Final = "needs_enrichment: the time is not in the webhook, it must be fetched by this"

NO_TIME_OF_DAY: Final = "there is a date and no time of day"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TourTime:
    """Where the tour's start stands and how it is read."""

    at: str
    #: One place for the whole, or one for the date and one for the time of day.
    looks: tuple[PathLookup, ...]
    formats: Sequence[Format] = ()
    zone: zoneinfo.ZoneInfo | None = None
    zone_from: PathLookup | None = None
    dst: str | None = None
    ignore_offset: bool = False
    #: Hold where the offset contradicts the community's zone; else it is only told.
    must_agree: bool = False
    #: Hold a Z as well: whoever wrote it may have meant the wall clock.
    doubts_z: bool = False
    #: Where the sender's own id or address stands by which the time can be fetched.
    fetch_by: PathLookup | None = None

    @property
    def name(self) -> str:
        """The field's name in reasons."""
        return "starts_at"

    @property
    def path(self) -> str:
        """The paths, for people."""
        return ", ".join(look.text for look in self.looks)

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Reads the instant; every failure holds, for the time is never guessed."""
        value: object = None
        try:
            parts = [self._part(look, scope) for look in self.looks]
            draft.found += any(part is not None for part in parts)
            if parts[0] is None:
                self._lacks(parts, scope, draft)
                return
            value = _joined(parts)
            self._read(value, scope, draft)
        except Unreadable as exc:
            draft.block(self._reason(str(exc), value))

    def _part(self, look: PathLookup, scope: Scope) -> Any:
        for _, value in look.found(scope):
            return text_from_parts(unwrap_single(value))
        return None

    def _lacks(self, parts: Sequence[Any], scope: Scope, draft: Draft) -> None:
        """Holds. A time that can be fetched is not lacking: ``without_time`` is not for it."""
        for place, value in self.fetch_by.found(scope) if self.fetch_by else ():
            draft.block(reason_for(self.name, TO_FETCH, at=self.at, path=place.text, value=value))
            return
        # A time of day without a date says something: that is for a person.
        draft.has_no_time = not any(part is not None for part in parts)
        draft.block(self._reason(self.looks[0].missing(scope), None))

    def _read(self, value: object, scope: Scope, draft: Draft) -> None:
        zone, named = self._zone(scope, draft.community)
        instant = read_instant(
            value,
            formats=self.formats,
            zone=zone or UTC,
            dst=self.dst,
            ignore_offset=self.ignore_offset,
        )
        if zone is None and instant.offset is None:
            if named:
                raise Unreadable(named)
            return  # the community is unknown, which is said already
        draft.starts_at = instant.at
        draft.appointment |= fields_from_instant(instant.at)
        self._compare(instant, value, draft)
        zone = draft.community.timezone if draft.community else None
        found = implausible(instant.at, zone, draft.policy, draft.now)
        draft.block(*(self._reason(why, value) for why in found))

    def _zone(
        self, scope: Scope, community: Community | None
    ) -> tuple[zoneinfo.ZoneInfo | None, str]:
        """The zone for a time without an offset; None with the reason why there is none."""
        if self.zone:
            return self.zone, ""
        if self.zone_from:
            for _, value in self.zone_from.found(scope):
                return zone_from_name(unwrap_single(value)), ""
            return None, f"there is no time zone: {self.zone_from.missing(scope)}"
        return (community.timezone if community else None), ""

    def _compare(self, instant: Instant, value: object, draft: Draft) -> None:
        """An offset that the community's clock does not have. Z claims no clock, unless doubted."""
        is_silent = instant.offset is None if self.doubts_z else not instant.offset
        if is_silent or not draft.community:
            return
        own = instant.at.astimezone(draft.community.timezone).utcoffset()
        if own == instant.offset:
            return
        reason = self._reason(
            f"the offset is not that of {draft.community.timezone.key} at that time", value
        )
        if self.must_agree:
            draft.block(reason)
        else:
            draft.note(reason)

    def _reason(self, text: str, value: object) -> Reason:
        return reason_for(self.name, text, at=self.at, path=self.path, value=value)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NoTourTime:
    """For a sender that gives no tour time: ``without_time`` says what becomes of its leads."""

    at: str

    def fill(self, scope: Scope, draft: Draft) -> None:  # noqa: ARG002 - the protocol's
        """Holds."""
        draft.has_no_time = True
        draft.block(reason_for("starts_at", NO_TIME, at=self.at))


def _joined(parts: Sequence[Any]) -> object:
    """One text out of a date and a time. Raises :class:`Unreadable`."""
    if len(parts) == 1:
        return parts[0]
    if parts[1] is None:
        raise Unreadable(NO_TIME_OF_DAY)
    return " ".join(clean_text(part, CAP_PART) for part in parts)


def fields_from_instant(at: dt.datetime) -> dict[str, str]:
    """Date and time of day, both from the one UTC instant."""
    return {
        "appointment_date": at.date().isoformat(),
        "appointment_time": at.time().isoformat("seconds"),
    }


def implausible(
    at: dt.datetime, zone: zoneinfo.ZoneInfo | None, policy: Policy, now: dt.datetime | None
) -> Iterator[str]:
    """Why a tour would not start then: past, far ahead, or outside tour hours."""
    if now is not None and at <= now:
        yield "is in the past"
    if now is not None and at > now + dt.timedelta(days=policy.horizon_days):
        yield f"is more than {policy.horizon_days} days ahead"
    if zone is None:
        return
    local = at.astimezone(zone)
    if not policy.earliest_tour <= local.time() <= policy.latest_tour:
        yield (
            f"is at {local:%H:%M} in {zone.key}, and tours start from "
            f"{policy.earliest_tour:%H:%M} to {policy.latest_tour:%H:%M}"
        )
