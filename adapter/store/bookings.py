"""Bookings: appointments and guest cards, their states and when they are due."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from psycopg.types.json import Jsonb

from adapter.models import MOVES, SETTLED, Booking, BookingState, Event, Reason
from adapter.store.queries import Statements
from adapter.store.rows import NewBooking, booking_from_row, json_from_reasons, storable


class Bookings(Statements):
    """The bookings, within one transaction."""

    def next_id(self) -> int:
        """Return an ID that no event and no booking has had."""
        row = self._one("next_id")
        assert row is not None  # noqa: S101 - a sequence does not end
        return int(row["id"])

    def insert(
        self,
        event: Event,
        new: NewBooking,
        booking_id: int,
        *,
        now: dt.datetime,
        by: str = "worker",
    ) -> None:
        """Store a booking. A pending one is in the send queue."""
        self._run(
            "insert_booking",
            id=booking_id,
            event_id=event.id,
            item=new.item,
            source=event.source,
            kind=new.kind,
            state=new.state,
            community=new.community,
            timezone=new.timezone,
            starts_at=new.starts_at,
            appointment=Jsonb(dict(new.appointment)),
            reasons=json_from_reasons(new.reasons),
            due_at=now if new.state is BookingState.PENDING else None,
            reason=new.reason,
            why=new.reason or "mapped",
            by=by,
            at=now,
            asked_at=new.asked_at,
            person_keys=list(new.person_keys),
        )

    def get(self, booking_id: int, *, lock: bool = False) -> Booking | None:
        """Return one booking. With ``lock``, lock it until the transaction ends."""
        row = self._one("lock_booking" if lock else "get_booking", id=booking_id)
        return booking_from_row(row) if row else None

    def of_job(self, job_id: str) -> Booking | None:
        """Return the booking with this Propexo job, locked."""
        row = self._one("booking_of_job", job_id=storable(job_id))
        return booking_from_row(row) if row else None

    def of_event(self, event_id: int) -> tuple[Booking, ...]:
        """Return one event's bookings, in the order of its items."""
        return tuple(map(booking_from_row, self._all("bookings_of_event", event_id=event_id)))

    def of_people(
        self, keys: Iterable[int], states: Iterable[BookingState], *, except_id: int = 0
    ) -> list[Booking]:
        """Return bookings in ``states`` of everyone who has one of ``keys``."""
        rows = self._all(
            "bookings_of_people", keys=list(keys), states=list(states), except_id=except_id
        )
        return [booking_from_row(row) for row in rows]

    def known_jobs(self, job_ids: Sequence[str]) -> list[str]:
        """Return the jobs that belong to a booking."""
        return [row["job_id"] for row in self._all("known_jobs", job_ids=list(job_ids))]

    def move(
        self,
        booking_id: int,
        to: BookingState,
        *,
        why: str,
        now: dt.datetime,
        by: str = "worker",
        due_at: dt.datetime | None = None,
        job_id: str | None = None,
        reasons: Iterable[Reason] = (),
        only_from: BookingState | None = None,
    ) -> Callable[[], bool]:
        """Change a booking's state; ``due_at`` says when it is processed next.

        Follow only :data:`adapter.models.MOVES`, or one of them with ``only_from``. Return a
        function that says whether the booking was in such a state; otherwise nothing is changed.
        """
        from_states = MOVES[to] if only_from is None else MOVES[to] & {only_from}
        rows = self._run(
            "move_booking",
            id=booking_id,
            from_states=[str(state) for state in from_states],
            to_state=to,
            is_settled=to in SETTLED,
            why=why,
            due_at=due_at,
            job_id=job_id,
            reasons=json_from_reasons(reasons),
            at=now,
            by=by,
        )
        return lambda: rows.fetchone() is not None

    def update(self, booking: Booking) -> None:
        """Save a user's changes: kind, appointment, community, time and person."""
        self._run(
            "update_booking",
            id=booking.id,
            kind=booking.kind,
            appointment=Jsonb(dict(booking.appointment)),
            community=booking.community,
            timezone=booking.timezone,
            starts_at=booking.starts_at,
            person_keys=list(booking.person_keys),
            asked_at=booking.asked_at,
        )

    def mark_canceled(self, booking_id: int, *, now: dt.datetime) -> None:
        """Record that the sender canceled a booking that may be in flight."""
        self._run("mark_canceled", id=booking_id, at=now)

    def next_check(self, now: dt.datetime) -> tuple[Booking, bool] | None:
        """Return the booking to check next, locked, and whether more are due. None: none is due."""
        row = self._one("next_check", now=now)
        return (booking_from_row(row), row["has_more"]) if row else None

    def reschedule(self, booking: Booking, due_at: dt.datetime) -> None:
        """Postpone the next check of a booking whose state does not change."""
        self._run("reschedule", id=booking.id, state=booking.state, due_at=due_at)

    def stop_reconciling(self, booking: Booking, *, why: str, now: dt.datetime) -> None:
        """Leave an unknown booking to a person, and stop searching for it in Knock."""
        self._run("stop_reconciling", id=booking.id, state=booking.state, why=why, at=now)
