"""What is read for people: one lead's whole story."""

import datetime as dt
from collections.abc import Sequence

from adapter.models import Attempt, Booking, Change, Event, EventState, LeadHistory, Reason
from adapter.store.rows import attempt_from_row, booking_from_row, event_from_row, storable
from adapter.store.search import Search


class History(Search):
    """Lists and stories, over one connection and within its transaction."""

    def bookings_of(self, event_id: int) -> tuple[Booking, ...]:
        """The bookings of one event, in the order of its items."""
        return tuple(map(booking_from_row, self._all("bookings_of_event", event_id=event_id)))

    def state_of(self, event_id: int) -> tuple[EventState, tuple[Reason, ...]] | None:
        """How far an event has come and why, without its body."""
        row = self._one("state_of_event", id=event_id)
        if row is None:
            return None
        return EventState(row["state"]), tuple(map(Reason.from_dict, row["reasons"]))

    def story(self, key: str) -> LeadHistory | None:
        """One lead's whole story, by the id of an event or a booking, or by Propexo's job id."""
        event = self._event_by(key)
        if event is None:
            return None
        bookings = self.bookings_of(event.id)
        repeats = self._one("duplicates_of_event", event_id=event.id)
        return LeadHistory(
            event=event,
            bookings=bookings,
            attempts={booking.id: self.attempts_of(booking.id) for booking in bookings},
            history=tuple(
                Change(**row) for row in self._all("history_of_event", event_id=event.id)
            ),
            duplicates=repeats["repeats"] if repeats else 0,
        )

    def _event_by(self, key: str) -> Event | None:
        row = None
        if key.isascii() and key.isdigit() and len(key) < 18:
            row = self._one("event", id=int(key))
            owner = None if row else self._one("event_of_booking", id=int(key))
        else:
            owner = self._one("event_of_job", job_id=storable(key))
        if owner is not None:
            row = self._one("event", id=owner["id"])
        return event_from_row(row) if row else None

    def attempts_of(self, booking_id: int) -> tuple[Attempt, ...]:
        """The attempts of one booking, oldest first."""
        return tuple(
            attempt_from_row(row) for row in self._all("attempts_of", booking_id=booking_id)
        )

    def events_to_replay(
        self,
        *,
        ids: Sequence[int] = (),
        source: str | None = None,
        states: Sequence[str] = (),
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        limit: int = 1000,
    ) -> list[int]:
        """Ids of events that all of these choose, oldest first; booking ids name their events."""
        rows = self._all(
            "events_to_replay",
            ids=list(ids) or None,
            source=source,
            states=list(states) or None,
            since=since,
            until=until,
            limit=limit,
        )
        return [row["id"] for row in rows]
