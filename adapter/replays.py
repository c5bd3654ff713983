"""Replay: a stored event is mapped again, after a mapping was mended, with the difference shown."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from adapter.config import Settings
from adapter.events import Booking, BookingState, Clock, Event, EventState
from adapter.exceptions import NotPossible
from adapter.intake import Intake
from adapter.mapping import Delivery, Item, Mapped, Outcome
from adapter.seen import Seen
from adapter.sources import Source
from adapter.store import Store

#: Bookings of an event that a replay puts aside for what the mapping makes of it now.
REPLAYED = (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED, BookingState.PENDING)


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
        self, settings: Settings, store: Store, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self._settings = settings
        self._store = store
        self._sources = sources
        self._clock = clock

    def replay(self, event_id: int, *, by: str, dry_run: bool) -> Difference:
        """Maps an event again with the mapping of now; ``dry_run`` only says what would change.

        What is on its way, booked, or may be, is left alone.
        """
        intake = Intake(Seen(self._store.hash_key()), self._settings.policy.shared_contacts)
        now = self._clock()
        with self._store.transaction() as leads:
            event = leads.event(event_id, lock=True)
            if event is None:
                raise NotPossible(f"there is no event {event_id}")
            source, bookings = self._sources.get(event.source), leads.bookings_of(event_id)
            refusal = _refusal(event, source, bookings)
            mapped = Mapped(outcome=Outcome.HELD)
            if source is not None:
                mapped = source.map(delivery_of(event), now=now)
            difference = _difference(event, refusal, bookings, mapped)
            if refusal is None and source is not None and not dry_run:
                for booking in bookings:
                    leads.move(booking.id, BookingState.SUPERSEDED, why="replayed", now=now, by=by)
                leads.reopen_event(event_id, why="replayed", by=by, now=now)
                intake.keep(leads, event, mapped, source.hash, now)
        return difference


def delivery_of(event: Event) -> Delivery:
    """What a mapping reads of a stored event."""
    return Delivery(
        body=event.body,
        content_type=event.content_type,
        headers=event.headers,
        query=event.query,
    )


def _refusal(event: Event, source: Source | None, bookings: tuple[Booking, ...]) -> str | None:
    if source is None:
        return f"there is no mapping called {event.source}"
    if event.state is EventState.RECEIVED:
        return "it waits to be mapped"
    if event.state is EventState.DISCARDED:
        return "it was discarded"
    settled = [
        booking
        for booking in bookings
        if booking.state not in REPLAYED and booking.reason != "replayed"
    ]
    if settled:
        return f"booking {settled[0].id} of it is {settled[0].state}"
    return None


def _difference(
    event: Event, refusal: str | None, bookings: tuple[Booking, ...], mapped: Mapped
) -> Difference:
    items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
    before = [booking for booking in bookings if booking.state in REPLAYED]
    changed: dict[str, tuple[Any, Any]] = {}
    for number in range(max(len(items), len(before))):
        old = _facts_of_booking(before[number]) if number < len(before) else {}
        new = _facts_of_item(items[number]) if number < len(items) else {}
        changed |= {
            f"{number}.{name}": (old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        }
    return Difference(
        event_id=event.id,
        source=event.source,
        refusal=refusal,
        outcome=str(mapped.outcome),
        fields=changed,
    )


def _facts_of_booking(booking: Booking) -> dict[str, Any]:
    ready = booking.state is BookingState.PENDING
    return {**booking.appointment, "outcome": "book" if ready else "held"}


def _facts_of_item(item: Item) -> dict[str, Any]:
    return {**item.appointment, "outcome": str(item.outcome)}
