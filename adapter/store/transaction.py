"""What can be read and written in one transaction: events, bookings, attempts, history."""

import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from adapter.models import (
    MOVES,
    SETTLED,
    Attempt,
    AttemptOutcome,
    Booking,
    BookingState,
    Event,
    EventState,
    Kind,
    Reason,
)
from adapter.store.history import History
from adapter.store.jobs import Task
from adapter.store.queries import STATEMENTS
from adapter.store.rows import (
    NewBooking,
    NewEvent,
    attempt_from_row,
    booking_from_row,
    event_from_row,
    json_from_reasons,
    storable,
    values_from_event,
)
from adapter.store.send_queue import SendQueue

#: Longest answer of Propexo's that is kept, in characters.
ANSWER_CHARACTERS = 10_000


#: The place among those that are stored together, and :func:`values_from_event`.
_NEW_EVENT = b"(%s::int, %s, %s::bytea, %s::bytea, %s::timestamptz, %s, %s::jsonb, %s, %b::bytea)"


@functools.cache
def _insert_events(count: int) -> bytes:
    """The statement that stores so many events: a ferry's seats bound how many there are."""
    return STATEMENTS["insert_events"].replace(b"(ROWS)", b", ".join([_NEW_EVENT] * count))


class Transaction(SendQueue, History):
    """Events, bookings and attempts, over one connection and within its transaction."""

    # --- events

    def insert_event(self, new: NewEvent) -> int | None:
        """Claims its digest and stores the event with its task; None when it was claimed before.

        The workers are not woken by it.
        """
        return self.insert_events([new])[0]

    def insert_events(self, new: Sequence[NewEvent]) -> list[int | None]:
        """The same for several, by one statement: two cost little more than one."""
        values = [
            value for place, event in enumerate(new) for value in (place, *values_from_event(event))
        ]
        rows = self.connection.execute(_insert_events(len(new)), values).fetchall()
        ids = {row["place"]: int(row["id"]) for row in rows}
        return [ids.get(place) for place in range(len(new))]

    def record_duplicate(
        self, *, source: str, digest: bytes, content: bytes, now: dt.datetime
    ) -> tuple[int, bool]:
        """Counts one more delivery; the event that came first, and whether this is the same."""
        row = self._one("record_duplicate", source=source, digest=digest, content=content, at=now)
        if row is None:
            raise LookupError("a claim vanished between two statements")
        return int(row["lead_id"]), bool(row["is_same"])

    def event(self, event_id: int, *, lock: bool = False) -> Event | None:
        """One event; with ``lock``, locked until the transaction ends."""
        row = self._one("lock_event" if lock else "event", id=event_id)
        return event_from_row(row) if row else None

    def map_later(self, event_id: int, at: dt.datetime) -> None:
        """Puts the task of a received event again, to run at ``at``."""
        self.put_task(Task.MAP, event_id, at)

    def settle_event(
        self,
        event_id: int,
        state: EventState,
        *,
        why: str,
        reasons: Iterable[Reason] = (),
        mapping_hash: str | None,
        now: dt.datetime,
    ) -> None:
        """Says what became of a received event."""
        self._one(
            "settle_event",
            id=event_id,
            state=state,
            why=why,
            reasons=json_from_reasons(reasons),
            mapping_hash=mapping_hash,
            at=now,
            by="worker",
        )

    # --- bookings

    def next_id(self) -> int:
        """A number that no event and no booking has had."""
        row = self._one("next_id")
        assert row is not None  # noqa: S101 - a sequence does not end
        return int(row["id"])

    def claim(self, source: str, digest: bytes, booking_id: int, *, now: dt.datetime) -> bool:
        """Claims ``digest`` for a booking; False when it was claimed before."""
        row = self._one("claim_item", source=source, digest=digest, booking_id=booking_id, at=now)
        return row is not None

    def reassign_claims(self, from_id: int, to_id: int) -> None:
        """Lets all claims of one booking point to another. Reads every claim: for people only."""
        self._run("reassign_claims", from_id=from_id, to_id=to_id)

    def reassign_claim(self, source: str, digest: bytes, booking_id: int) -> None:
        """Lets a claim point to the booking that took the first one's place."""
        self._run("reassign_claim", source=source, digest=digest, booking_id=booking_id)

    def insert_booking(
        self,
        event: Event,
        new: NewBooking,
        booking_id: int,
        *,
        now: dt.datetime,
        by: str = "worker",
    ) -> None:
        """Stores a booking. A pending one goes out when a lane is woken."""
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

    def booking(self, booking_id: int, *, lock: bool = False) -> Booking | None:
        """One booking; with ``lock``, locked until the transaction ends."""
        row = self._one("lock_booking" if lock else "booking", id=booking_id)
        return booking_from_row(row) if row else None

    def booking_of_job(self, job_id: str) -> Booking | None:
        """The booking that Propexo gave this job id, locked."""
        row = self._one("booking_of_job", job_id=storable(job_id))
        return booking_from_row(row) if row else None

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
    ) -> bool:
        """Changes a booking's state, with its next task where it has one.

        Only along :data:`adapter.models.MOVES`; False when the booking was in none of those
        states, and then nothing is changed.
        """
        row = self._one(
            "move_booking",
            id=booking_id,
            from_states=[str(state) for state in MOVES[to]],
            to_state=to,
            is_settled=to in SETTLED,
            why=why,
            due_at=due_at,
            job_id=job_id,
            reasons=json_from_reasons(reasons),
            at=now,
            by=by,
        )
        if row is not None and due_at is not None:
            self._wake(booking_id, to, due_at)
        return row is not None

    def note_cancellation(self, booking_id: int, *, now: dt.datetime) -> None:
        """The sender called it off while it may be on the wire."""
        self._run("note_cancellation", id=booking_id, at=now)

    def edit_booking(self, booking: Booking) -> None:
        """Writes what a person made of a booking: its kind, appointment, place, time and person."""
        self._run(
            "edit_booking",
            id=booking.id,
            kind=booking.kind,
            appointment=Jsonb(dict(booking.appointment)),
            community=booking.community,
            timezone=booking.timezone,
            starts_at=booking.starts_at,
            person_keys=list(booking.person_keys),
            asked_at=booking.asked_at,
        )

    def deny_attempts(self, booking_id: int, *, now: dt.datetime) -> None:
        """A person says that nothing of this booking stands in Knock: it may be sent again."""
        self._run("deny_attempts", booking_id=booking_id, at=now)

    def discard_event(self, event_id: int, *, why: str, by: str, now: dt.datetime) -> bool:
        """Puts a held event aside; False when it is not held."""
        return self._one("discard_event", id=event_id, why=why, by=by, at=now) is not None

    def reopen_event(self, event_id: int, *, why: str, by: str, now: dt.datetime) -> bool:
        """Lets an event be mapped again; False when it waits for that already or is discarded."""
        return self._one("reopen_event", id=event_id, why=why, by=by, at=now) is not None

    def reschedule(self, booking: Booking, due_at: dt.datetime) -> None:
        """Puts off the next look at a booking whose state does not change."""
        self._run("reschedule", id=booking.id, state=booking.state, due_at=due_at)
        self._wake(booking.id, booking.state, due_at)

    def stop_reconciling(self, booking: Booking, *, why: str, now: dt.datetime) -> None:
        """Gives an unknown booking to a person: it is not looked for any more."""
        self._run("stop_reconciling", id=booking.id, state=booking.state, why=why, at=now)

    # --- attempts

    def begin_attempt(
        self,
        booking_id: int,
        request: Mapping[str, Any],
        *,
        now: dt.datetime,
        lease_until: dt.datetime,
        kind: Kind = Kind.APPOINTMENT,
    ) -> Attempt:
        """Writes down that a POST is about to leave.

        The database refuses a second attempt while an earlier one may have booked something.
        """
        row = self._one(
            "insert_attempt",
            booking_id=booking_id,
            kind=kind,
            request=Jsonb(dict(request)),
            started_at=now,
            lease_until=lease_until,
        )
        assert row is not None  # noqa: S101 - RETURNING gives a row or the statement fails
        return attempt_from_row(row)

    def finish_attempt(
        self,
        attempt_id: int,
        outcome: AttemptOutcome,
        *,
        now: dt.datetime,
        status: int | None = None,
        answer: str | None = None,
    ) -> bool:
        """Writes what became of a POST; False when that was settled before."""
        row = self._one(
            "finish_attempt",
            id=attempt_id,
            outcome=outcome,
            at=now,
            status=status,
            answer=storable(answer)[:ANSWER_CHARACTERS] if answer is not None else None,
        )
        return row is not None

    def fail_job_of(self, booking_id: int) -> None:
        """Notes that the job which this booking's accepted POST started has failed."""
        self._run("fail_job_of", booking_id=booking_id)

    def hash_key(self) -> bytes:
        """The key of this installation's hashes."""
        row = self._one("hash_key")
        if row is None:
            raise LookupError("the database has no hash key; run adapter migrate")
        return bytes(row["hash_key"])
