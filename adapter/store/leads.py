"""What can be read and written in one transaction: events, bookings, attempts, history."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from adapter.events import (
    MOVES,
    Attempt,
    AttemptOutcome,
    Booking,
    BookingState,
    Change,
    Event,
    EventState,
    Reason,
    Story,
)
from adapter.store import tasks
from adapter.store.rows import (
    NewBooking,
    Row,
    attempt_from_row,
    booking_from_row,
    event_from_row,
    json_from_reasons,
    storable,
)
from adapter.store.statements import STATEMENTS

#: Longest answer of Propexo's that is kept, in characters.
ANSWER_CHARACTERS = 10_000


class Leads:
    """The rows, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    # --- events

    def insert_event(
        self,
        *,
        source: str,
        digest: bytes,
        content: bytes,
        content_type: str,
        headers: Mapping[str, str],
        query: str,
        body: bytes,
        now: dt.datetime,
    ) -> int | None:
        """Claims ``digest`` and stores the event with its task; None when it was claimed before."""
        row = self._one(
            "insert_event",
            source=source,
            digest=digest,
            content=content,
            received_at=now,
            content_type=storable(content_type),
            headers=Jsonb({storable(name): storable(value) for name, value in headers.items()}),
            query=storable(query),
            body=body,
        )
        if row is None:
            return None
        tasks.put(self.connection, tasks.Task.MAP_EVENT, row["id"])
        return int(row["id"])

    def count_repeat(
        self, *, source: str, digest: bytes, content: bytes, now: dt.datetime
    ) -> tuple[int, bool]:
        """Counts one more delivery; the event that came first, and whether this is the same."""
        row = self._one("count_repeat", source=source, digest=digest, content=content, at=now)
        if row is None:
            raise LookupError("a claim vanished between two statements")
        return int(row["lead_id"]), bool(row["is_same"])

    def event(self, event_id: int, *, lock: bool = False) -> Event | None:
        """One event; with ``lock``, locked until the transaction ends."""
        row = self._one("lock_event" if lock else "event", id=event_id)
        return event_from_row(row) if row else None

    def map_later(self, event_id: int, at: dt.datetime) -> None:
        """Puts the task of a received event again, to run at ``at``."""
        tasks.put(self.connection, tasks.Task.MAP_EVENT, event_id, at=at)

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

    def pass_claim_on(self, source: str, digest: bytes, booking_id: int) -> None:
        """Lets a claim point to the booking that took the first one's place."""
        self._run("pass_claim_on", source=source, digest=digest, booking_id=booking_id)

    def insert_booking(
        self, event: Event, new: NewBooking, booking_id: int, *, now: dt.datetime
    ) -> None:
        """Stores a booking. A pending one goes out when a lane is woken."""
        self._run(
            "insert_booking",
            id=booking_id,
            event_id=event.id,
            item=new.item,
            source=event.source,
            state=new.state,
            community=new.community,
            timezone=new.timezone,
            starts_at=new.starts_at,
            appointment=Jsonb(dict(new.appointment)),
            reasons=json_from_reasons(new.reasons),
            due_at=now if new.state is BookingState.PENDING else None,
            reason=new.reason,
            why=new.reason or "mapped",
            by="worker",
            at=now,
            asked_at=new.asked_at,
            person_keys=list(new.person_keys),
        )

    def booking(self, booking_id: int, *, lock: bool = False) -> Booking | None:
        """One booking; with ``lock``, locked until the transaction ends."""
        row = self._one("lock_booking" if lock else "booking", id=booking_id)
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

        Only along :data:`adapter.events.MOVES`; False when the booking was in none of those
        states, and then nothing is changed.
        """
        row = self._one(
            "move_booking",
            id=booking_id,
            from_states=[str(state) for state in MOVES[to]],
            to_state=to,
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

    def look_again(self, booking: Booking, due_at: dt.datetime) -> None:
        """Puts off the next look at a booking whose state does not change."""
        self._run("look_again", id=booking.id, state=booking.state, due_at=due_at)
        self._wake(booking.id, booking.state, due_at)

    def stop_looking(self, booking: Booking, *, why: str, now: dt.datetime) -> None:
        """Gives an unknown booking to a person: it is not looked for any more."""
        self._run("stop_looking", id=booking.id, state=booking.state, why=why, at=now)

    def bookings(
        self, *, states: Sequence[str] = (), source: str | None = None, limit: int = 100
    ) -> list[Booking]:
        """Bookings, newest first."""
        rows = self._all("bookings", states=list(states) or None, source=source, limit=limit)
        return [booking_from_row(row) for row in rows]

    def events(
        self, *, states: Sequence[str] = (), source: str | None = None, limit: int = 100
    ) -> list[Event]:
        """Events, newest first."""
        rows = self._all("events", states=list(states) or None, source=source, limit=limit)
        return [event_from_row(row) for row in rows]

    def wake_lane(self, number: int, at: dt.datetime | None = None) -> None:
        """Puts the task of a lane, to run at ``at`` or now. Any number names one."""
        tasks.put(self.connection, tasks.Task.SEND, number % tasks.SEND_LANES, at=at)

    def wake_all_lanes(self) -> None:
        """Puts the task of every lane."""
        for lane in range(tasks.SEND_LANES):
            self.wake_lane(lane)

    def wake_siblings(self, booking_id: int) -> None:
        """Wakes a lane where another booking of the same person waited for this one."""
        if self._one("has_waiting_sibling", id=booking_id):
            self.wake_lane(booking_id)

    # --- order

    def lock_keys(self, keys: Iterable[int]) -> None:
        """Keeps everybody else from deciding about these keys until the transaction ends.

        Keys are of people at a community and of items. All that a transaction needs are locked
        at once, in one order, so that two transactions cannot wait for each other.
        """
        self._all("lock_keys", keys=list(keys))

    def live_bookings_of(
        self, keys: Iterable[int], states: Iterable[BookingState], *, except_id: int = 0
    ) -> list[Booking]:
        """Bookings in ``states`` of whoever has one of ``keys``."""
        rows = self._all(
            "bookings_of_people", keys=list(keys), states=list(states), except_id=except_id
        )
        return [booking_from_row(row) for row in rows]

    def most_urgent(self, now: dt.datetime, soon: dt.datetime) -> Booking | None:
        """The booking to send next, locked: a soon tour, else by turns among the sources."""
        row = self._one("most_urgent_soon", now=now, soon=soon)
        row = row or self._one("most_urgent_in_turn", now=now)
        return booking_from_row(row) if row else None

    def take_turn(self, source: str, weight: int) -> None:
        """Puts a source behind the others after one of its bookings was taken."""
        self._run("take_turn", source=source, weight=weight)

    def too_late(self, before: dt.datetime) -> list[int]:
        """Ids of waiting bookings whose tour starts by ``before``, locked."""
        return [row["id"] for row in self._all("expire", before=before)]

    def is_awaited(self, before: dt.datetime) -> bool:
        """Whether a booking has been due to be sent since ``before``."""
        row = self._one("is_awaited", before=before)
        return bool(row and row["awaited"])

    def known_jobs(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that belong to a booking already."""
        return [row["job_id"] for row in self._all("known_jobs", job_ids=list(job_ids))]

    def lead_of_claim(self, source: str, digest: bytes) -> int | None:
        """The event or booking that claimed ``digest`` first."""
        row = self._one("lead_of_claim", source=source, digest=digest)
        return int(row["lead_id"]) if row else None

    # --- attempts

    def begin_attempt(
        self,
        booking_id: int,
        request: Mapping[str, Any],
        *,
        now: dt.datetime,
        lease_until: dt.datetime,
    ) -> Attempt:
        """Writes down that a POST is about to leave.

        The database refuses a second attempt while an earlier one may have booked something.
        """
        row = self._one(
            "insert_attempt",
            booking_id=booking_id,
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

    def attempts_of(self, booking_id: int) -> tuple[Attempt, ...]:
        """The attempts of one booking, oldest first."""
        return tuple(
            attempt_from_row(row) for row in self._all("attempts_of", booking_id=booking_id)
        )

    # --- recovery

    def abandoned(self, now: dt.datetime) -> list[Attempt]:
        """Attempts in flight whose sender did not live to write the outcome."""
        return [attempt_from_row(row) for row in self._all("abandoned", now=now)]

    def wake_forgotten(self, before: dt.datetime) -> int:
        """Puts a task for each row that has been due since ``before`` and has none."""
        if self.is_awaited(before):
            self.wake_all_lanes()
        events = self._all("events_without_task", before=before)
        for row in events:
            tasks.put(self.connection, tasks.Task.MAP_EVENT, row["id"])
        bookings = self._all("bookings_without_task", before=before)
        for row in bookings:
            self._wake(row["id"], BookingState(row["state"]), None)
        return len(events) + len(bookings)

    # --- stories

    def story(self, key: str) -> Story | None:
        """One lead's whole story, by the id of an event or a booking, or by Propexo's job id."""
        event = self._event_by(key)
        if event is None:
            return None
        bookings = tuple(map(booking_from_row, self._all("bookings_of_event", event_id=event.id)))
        repeats = self._one("repeats_of_event", event_id=event.id)
        return Story(
            event=event,
            bookings=bookings,
            attempts={booking.id: self.attempts_of(booking.id) for booking in bookings},
            history=tuple(
                Change(**row) for row in self._all("history_of_event", event_id=event.id)
            ),
            repeats=repeats["repeats"] if repeats else 0,
        )

    def hash_key(self) -> bytes:
        """The key of this installation's hashes."""
        row = self._one("hash_key")
        if row is None:
            raise LookupError("the database has no hash key; run adapter migrate")
        return bytes(row["hash_key"])

    # --- below: how the rows are reached

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

    def _wake(self, booking_id: int, state: BookingState, at: dt.datetime | None) -> None:
        tasks.put(self.connection, tasks.TASK_OF[state], booking_id, at=at)

    def _run(self, name: str, **values: Any) -> None:
        self.connection.execute(STATEMENTS[name], values)

    def _one(self, name: str, **values: Any) -> Row | None:
        return self.connection.execute(STATEMENTS[name], values).fetchone()

    def _all(self, name: str, **values: Any) -> list[Row]:
        return self.connection.execute(STATEMENTS[name], values).fetchall()
