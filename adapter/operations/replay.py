"""Replay: a stored event is mapped again, after a mapping was mended, with the difference shown."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adapter.bookings.fingerprints import Fingerprints
from adapter.bookings.intake import BookingPlanner
from adapter.exceptions import NotPossible
from adapter.mapping.engine import Item, Mapped, Outcome
from adapter.mapping.source import Source
from adapter.models import Booking, BookingState, Clock, Event, EventState, Kind
from adapter.operations.diff import changed_fields, facts_of_item, tour_of
from adapter.settings import Settings
from adapter.store import Database, Transaction

#: Bookings of an event that a replay puts aside for what the mapping makes of it now.
REPLAYED = (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED, BookingState.PENDING)

#: What nobody can force: it is on its way, or nobody knows whether it stands in Knock.
ON_ITS_WAY = (BookingState.SENDING, BookingState.SUBMITTED, BookingState.UNKNOWN)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What one event would become, beside what it is."""

    event_id: int
    source: str
    #: Why it is left alone; None: it is replayed.
    refusal: str | None
    outcome: str
    #: ``item.field`` → (as it is, as it would be).
    fields: Mapping[str, tuple[Any, Any]]


class Replays:
    """Maps events again, over one store and the mappings of now."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._clock = clock

    def replay(
        self, event_id: int, *, by: str, dry_run: bool, forced_because: str | None = None
    ) -> Difference:
        """Maps an event again with the mapping of now; ``dry_run`` only says what would change.

        What is on its way, booked, put aside, or past is left alone; of several tours in one
        webhook, each by itself where the mapping gives it a key of its own. With
        ``forced_because``, the reason that the history keeps, only what is on its way is: what
        was booked is booked once more, and a past tour is held with what the mapping makes of it.
        """
        seen, now = Fingerprints(self._store.hash_key()), self._clock()
        intake = BookingPlanner(seen, self._settings.policy.shared_contacts)
        with self._store.transaction() as tx:
            event = tx.events.get(event_id, lock=True)
            if event is None:
                raise NotPossible(f"there is no event {event_id}")
            source, bookings = self._sources.get(event.source), tx.bookings.of_event(event_id)
            mapped = Mapped(outcome=Outcome.HELD)
            if source is not None:
                mapped = source.map(event.request, now=now)
            is_forced = forced_because is not None
            if not is_forced:
                mapped = _without_settled(tx, seen, event, bookings, mapped)
            refusal = _refusal(event, source, bookings, mapped, is_forced=is_forced)
            if refusal is None and not is_forced and _is_past(mapped, now):
                refusal = "its tour has passed"
            difference = _difference(event, refusal, bookings, mapped, is_forced=is_forced)
            if refusal is None and source is not None and not dry_run:
                for booking in bookings:
                    tx.bookings.move(
                        booking.id, BookingState.SUPERSEDED, why="replayed", now=now, by=by
                    )
                tx.events.reopen(event_id, why=forced_because or "replayed", by=by, now=now)
                intake.apply(tx, event, mapped, source.hash, now, is_forced=is_forced)
                act = "replayed_by_force" if is_forced else "replayed"
                tx.audit.record(act, by=by, at=now, lead_id=event_id)
        return difference


def _without_settled(
    tx: Transaction, seen: Fingerprints, event: Event, bookings: tuple[Booking, ...], mapped: Mapped
) -> Mapped:
    """The items whose bookings still wait, where others of the same webhook are settled."""
    if not any(map(_is_settled, bookings)):
        return mapped
    waiting = {booking.id for booking in bookings if booking.state in REPLAYED}

    def waits(item: Item) -> bool:
        if item.dedupe_key is None:
            return False
        digest = seen.item(event.source, item.dedupe_key)
        return tx.claims.owner(event.source, digest) in waiting

    return dataclasses.replace(mapped, items=tuple(filter(waits, mapped.items)))


def _refusal(
    event: Event,
    source: Source | None,
    bookings: tuple[Booking, ...],
    mapped: Mapped,
    *,
    is_forced: bool,
) -> str | None:
    if source is None:
        return f"there is no mapping called {event.source}"
    if event.state is EventState.RECEIVED:
        return "it waits to be mapped"
    if event.kept != "all":
        return "what was sent is erased"
    if event.state is EventState.DISCARDED and not is_forced:
        return "it was discarded"
    if mapped.items and not is_forced:
        return None  # the others of it are left out
    for booking in bookings:
        if booking.state in ON_ITS_WAY if is_forced else _is_settled(booking):
            return f"booking {booking.id} of it is {booking.state}"
    return None


def _is_settled(booking: Booking) -> bool:
    return booking.state not in REPLAYED and booking.reason != "replayed"


def _is_past(mapped: Mapped, now: dt.datetime) -> bool:
    """Whether every tour of it has begun."""
    starts = [item.starts_at for item in mapped.items if item.outcome is not Outcome.IGNORED]
    return bool(starts) and all(start is not None and start <= now for start in starts)


def _difference(
    event: Event,
    refusal: str | None,
    bookings: tuple[Booking, ...],
    mapped: Mapped,
    *,
    is_forced: bool,
) -> Difference:
    items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
    before = [
        booking
        for booking in bookings
        if booking.state in REPLAYED or (is_forced and booking.reason != "replayed")
    ]
    changed = changed_fields(
        [_facts_of_booking(booking) for booking in before], [facts_of_item(item) for item in items]
    )
    return Difference(
        event_id=event.id,
        source=event.source,
        refusal=refusal,
        outcome=str(mapped.outcome),
        fields=changed,
    )


def _facts_of_booking(booking: Booking) -> dict[str, Any]:
    ready = booking.state in (BookingState.PENDING, BookingState.BOOKED)
    outcome = Outcome.BOOK if booking.kind is Kind.APPOINTMENT else Outcome.PROSPECT
    zone = ZoneInfo(booking.timezone) if booking.timezone is not None else None
    told = {**booking.appointment, **tour_of(booking.starts_at, zone)}
    return told | {"outcome": str(outcome if ready else Outcome.HELD)}
