"""Read the start of the tour (``starts_at``) from one or two paths, and convert it to UTC."""

import dataclasses
import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import PathLookup, paths_of
from adapter.mapping.engine.results import Community
from adapter.mapping.engine.scope import Scope, reason_for
from adapter.mapping.transforms import Reader, clean_text
from adapter.models import Reason
from adapter.parsing.date_formats import Format
from adapter.parsing.date_parts import iso_from_parts, start_of_range
from adapter.parsing.local_time import Instant, read_instant
from adapter.parsing.paths import unwrap_single
from adapter.parsing.zone_names import zone_from_name
from adapter.settings import Policy

UTC: Final = zoneinfo.ZoneInfo("UTC")
CAP_PART: Final = 100
CAP_RANGE: Final = 200
NO_TIME: Final = "this sender's webhooks have no tour time"
TO_FETCH: Final = "needs_enrichment: the webhook has no tour time; fetch it with this ID or URL"
SEVERAL_TIMES: Final = (
    "this answer is repeated with different values, so the tour time is uncertain"
)
NO_TIME_OF_DAY: Final = "there is a date but no time of day"
UTC_TIME_OF_DAY: Final = "a time of day in UTC, which may be a local time"
EDGE_OF_DAY: Final = (
    "the start or end of a day in another time zone, which may be a date without a time of day"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TourTime:
    """The ``starts_at`` section: paths, formats and time zone of the tour's start."""

    at: str
    #: One lookup for the date and time together, or one for the date and one for the time of day.
    lookups: tuple[PathLookup, ...]
    formats: Sequence[Format] = ()
    zone: zoneinfo.ZoneInfo | None = None
    zone_from: PathLookup | None = None
    dst: str | None = None
    ignore_offset: bool = False
    #: How to handle an offset that does not match the community's time zone. ``trust`` accepts the
    #: time; ``must_agree`` blocks the booking unless the offset is Z; ``own_clock`` blocks it
    #: even then, because some senders put Z on local times. By default, suspicious offsets
    #: block the booking, and others are reported.
    offset: str = ""
    #: True if the first of two paths is a date, and the second a time of day.
    has_date: bool = False
    #: Reads the date. If None, the date is read together with the time of day.
    read_date: Reader | None = None
    #: True to read the start of a range of times, such as ``2:30 - 3:00 PM``.
    takes_start: bool = False
    #: The path of the ID or URL for fetching the time from the sender.
    fetch_by: PathLookup | None = None

    @property
    def path(self) -> str:
        """The paths as a comma-separated string."""
        return ", ".join(lookup.text for lookup in self.lookups)

    def fill(self, scope: Scope, draft: Draft) -> None:
        """Set the tour's start time, or block the booking if the time is uncertain."""
        value: object = None
        try:
            found = [unwrap_single(lookup.first(scope)[1]) for lookup in self.lookups]
            value = found if self.has_date else found[0]
            if scope.has_others:
                self._reject_repeated(scope)
            parts = [iso_from_parts(part) for part in found]
            draft.found += any(part is not None for part in parts)
            if parts[0] is None:
                self._block_without_time(parts, scope, draft)
                return
            text = value = _joined(parts) if self.has_date else parts[0]
            if self.read_date:
                text = _joined([self.read_date(parts[0]), parts[1]])
            self._read(text, value, scope, draft)
        except Unreadable as exc:
            draft.block(self._reason(str(exc), value))

    def _reject_repeated(self, scope: Scope) -> None:
        """Raise Unreadable if the payload contains several answers with different tour times."""
        for lookup in self.lookups:
            used = next((place for place, _ in lookup.values(scope)), None)
            for place in lookup.places:
                for path in paths_of(place):
                    value = scope.read(path)
                    others = (one for one in scope.others(path) if not scope.is_empty(one))
                    if any(other != value for other in others):
                        raise Unreadable(SEVERAL_TIMES)
                if place is used:
                    break

    def _block_without_time(self, parts: Sequence[Any], scope: Scope, draft: Draft) -> None:
        path, value = self.fetch_by.first(scope) if self.fetch_by else ("", None)
        if value is not None:  # the tour has a time, so `without_time` does not apply
            draft.block(reason_for("starts_at", TO_FETCH, at=self.at, path=path, value=value))
            return
        # A time of day without a date needs review, regardless of `without_time`.
        draft.has_no_time = not any(part is not None for part in parts)
        value = None if draft.has_no_time else parts
        draft.block(self._reason(self.lookups[0].missing(scope), value))

    def _read(self, text: object, value: object, scope: Scope, draft: Draft) -> None:
        if self.takes_start and isinstance(text, str):
            text = start_of_range(clean_text(text, CAP_RANGE))
        zone, problem = self._zone(scope, draft.community)
        instant = read_instant(
            text,
            formats=self.formats,
            zone=zone or UTC,
            dst=self.dst,
            ignore_offset=self.ignore_offset,
        )
        if zone is None and instant.offset is None:
            draft.wall_time = instant.local
            if problem:
                raise Unreadable(problem)
            return  # the booking is already blocked by the unknown community
        self._compare(instant, value, draft)
        draft.starts_at = instant.at
        draft.appointment |= fields_from_instant(instant.at)
        zone = draft.community.timezone if draft.community else None
        problems = plausibility_problems(instant.at, zone, draft.policy, draft.now)
        draft.block(*(self._reason(problem, value) for problem in problems))

    def _zone(
        self, scope: Scope, community: Community | None
    ) -> tuple[zoneinfo.ZoneInfo | None, str]:
        """Return the time zone for times without an offset, or None and the reason."""
        if self.zone:
            return self.zone, ""
        if self.zone_from:
            _, value = self.zone_from.first(scope)
            if value is None:
                return None, f"there is no time zone: {self.zone_from.missing(scope)}"
            return zone_from_name(unwrap_single(value)), ""
        return (community.timezone if community else None), ""

    def _compare(self, instant: Instant, value: object, draft: Draft) -> None:
        """Compare a time's UTC offset with the community's, and report any difference.

        Raise :class:`Unreadable` if the offset is probably incorrect.
        """
        zone = draft.community.timezone if draft.community else None
        here = instant.at.astimezone(zone).utcoffset() if zone else None
        if instant.offset in (None, here):
            return
        self._doubt(instant)
        if not zone:
            return
        reason = self._reason(f"the offset does not match {zone.key} at that time", value)
        if self.offset == "own_clock" or (self.offset == "must_agree" and instant.offset):
            draft.block(reason)
        elif instant.offset:
            draft.note(reason)

    def _doubt(self, instant: Instant) -> None:
        """Raise :class:`Unreadable` if a time's UTC offset is probably incorrect."""
        if self.offset in ("trust", "own_clock"):
            return
        if self.has_date and not instant.offset:
            raise Unreadable(UTC_TIME_OF_DAY)
        if not dt.time(0, 1) <= instant.local.time() < dt.time(23, 59):
            raise Unreadable(EDGE_OF_DAY)

    def _reason(self, text: str, value: object) -> Reason:
        return reason_for("starts_at", text, at=self.at, path=self.path, value=value)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NoTourTime:
    """Replaces ``starts_at`` in mappings whose leads have no tour times."""

    at: str

    def fill(self, scope: Scope, draft: Draft) -> None:  # noqa: ARG002 - the protocol's
        """Block the booking because it has no tour time."""
        draft.has_no_time = True
        draft.block(reason_for("starts_at", NO_TIME, at=self.at))


def _joined(parts: Sequence[Any]) -> str:
    """Join a date and a time of day with a space. Raise Unreadable if the time is missing."""
    if parts[1] is None:
        raise Unreadable(NO_TIME_OF_DAY)
    return " ".join(clean_text(part, CAP_PART) for part in parts)


def fields_from_instant(at: dt.datetime) -> dict[str, str]:
    """Convert a time in UTC to the appointment's date and time fields."""
    return {
        "appointment_date": at.date().isoformat(),
        "appointment_time": at.time().isoformat("seconds"),
    }


def plausibility_problems(
    at: dt.datetime, zone: zoneinfo.ZoneInfo | None, policy: Policy, now: dt.datetime | None
) -> Iterator[str]:
    """Yield each reason that a start time is implausible, such as "is in the past"."""
    if now is not None and at <= now:
        yield "is in the past"
    if now is not None and at > now + dt.timedelta(days=policy.horizon_days):
        yield f"is more than {policy.horizon_days} days ahead"
    if zone is None:
        return
    local = at.astimezone(zone)
    if not policy.earliest_tour <= local.time() <= policy.latest_tour:
        yield (
            f"is at {local:%H:%M} in {zone.key}, but tours start between "
            f"{policy.earliest_tour:%H:%M} and {policy.latest_tour:%H:%M}"
        )
