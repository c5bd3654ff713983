"""Store bookings (appointments and guest cards) with their states and due times."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from adapter.models import MOVES, SETTLED, Booking, BookingState, Change, KnockFacts, Reason
from adapter.store.queries import STATEMENTS, Statements
from adapter.store.rows import booking_from_row, json_from_reasons, storable

#: Requests older than this are related to new ones only if they are upcoming or open.
RELATED_AGE = dt.timedelta(days=30)
#: A key shared by this many requests does not identify a person, so it is not compared.
MOST_RELATED = 500
RELATED = STATEMENTS["related"] + b"\n"

#: Maximum number of leads to return whose state was caused by one lead.
MOST_LINKED = 50


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DueCheck:
    """A submitted or unknown booking that is due to be checked with Propexo."""

    booking: Booking
    #: True if more bookings are due.
    has_more: bool
    #: True if another request shares a key with the booking.
    has_related: bool


class Bookings(Statements):
    """Reads and writes bookings within a transaction."""

    def insert(self, new: Booking, number: int, *, now: dt.datetime, by: str = "worker") -> Booking:
        """Store the booking for item ``number`` of a webhook event. Return it with its ID.

        A pending booking enters the send queue.
        """
        row = self._one(
            "insert_booking",
            event_id=new.event_id,
            item=number,
            source=new.source,
            kind=new.kind,
            state=new.state,
            community=new.community,
            timezone=new.timezone,
            starts_at=new.starts_at,
            appointment=Jsonb(dict(new.appointment)),
            reasons=json_from_reasons(new.reasons),
            due_at=new.due_at,
            reason=new.reason,
            why=new.reason or "mapped",
            by=by,
            at=now,
            asked_at=new.asked_at,
            match_keys=list(new.match_keys),
            item_key=new.item_key,
            content=new.content,
            is_cancellation=new.is_cancellation,
            because_of=new.because_of,
            wall_time=new.wall_time,
        )
        assert row is not None  # noqa: S101 - RETURNING returns a row unless the statement fails
        return dataclasses.replace(new, id=int(row["booking_id"]), created_at=now, updated_at=now)

    def get(self, booking_id: int, *, lock: bool = False) -> Booking | None:
        """Return a booking, or None. With ``lock``, lock the booking until the transaction ends."""
        row = self._one("lock_booking" if lock else "get_booking", id=booking_id)
        return booking_from_row(row) if row else None

    def of_job(self, job_id: str) -> Booking | None:
        """Return the booking with the given Propexo job ID, or None if there is none."""
        row = self._one("booking_of_job", job_id=storable(job_id))
        return booking_from_row(row) if row else None

    def of_event(self, event_id: int) -> tuple[Booking, ...]:
        """Return an event's bookings in item order."""
        return tuple(map(booking_from_row, self._all("bookings_of_event", event_id=event_id)))

    def of_events(self, event_ids: Iterable[int]) -> tuple[Booking, ...]:
        """Return the bookings of the given events, ordered by event and item."""
        rows = self._all("bookings_of_events", event_ids=list(event_ids))
        return tuple(map(booking_from_row, rows))

    def made_by(self, event_id: int, by: str) -> frozenset[int]:
        """Return the IDs of an event's bookings that the given user or the renter made."""
        return frozenset(self._values("bookings_made_by", event_id=event_id, by=by))

    def pending_at_first(self, event_ids: Iterable[int]) -> frozenset[tuple[int, dt.datetime]]:
        """Return (event ID, time) for each time that mapping an event created a pending booking."""
        rows = self._all("bookings_pending_at_first", event_ids=list(event_ids))
        return frozenset((row["event_id"], row["at"]) for row in rows)

    def of_ids(self, ids: Iterable[int | None]) -> tuple[Booking, ...]:
        """Return the bookings with the given IDs."""
        return tuple(map(booking_from_row, self._all("bookings_of_ids", ids=list(ids))))

    def because_of(self, ids: Iterable[int]) -> tuple[Booking, ...]:
        """Return the newest bookings whose state was caused by one of the given bookings."""
        rows = self._all("bookings_because_of", ids=list(ids), limit=MOST_LINKED)
        return tuple(map(booking_from_row, rows))

    def open_cancellations(self, bookings: Iterable[Booking]) -> dict[int, Booking]:
        """Return the newest cancellation in review of each booked tour, keyed by the tour's ID.

        Tours without one, and those that are no longer in Knock, are left out.
        """
        tours = [one.id for one in bookings if one.state is BookingState.BOOKED and not one.is_gone]
        found = map(booking_from_row, self._all("open_cancellations", ids=tours))
        return {one.because_of: one for one in found if one.because_of is not None}

    def of_keys(
        self, keys: Iterable[int], now: dt.datetime, *, lock: bool = False
    ) -> list[Booking]:
        """Return relevant bookings with any of the given person or item keys, oldest first.

        Relevant bookings are open, upcoming or from the last 30 days. Keys with too many bookings
        are left out. With ``lock``, lock the bookings until the transaction ends; the caller must
        already have locked the keys.
        """
        statement = RELATED + STATEMENTS["bookings_of_keys"] + (b" FOR UPDATE" if lock else b"")
        rows = self.connection.execute(statement, _related_to(keys, now)).fetchall()
        return [booking_from_row(row) for row in rows]

    def lock_related(
        self, bookings: Iterable[Booking], now: dt.datetime
    ) -> Callable[[], frozenset[int]]:
        """Lock the keys of the given bookings and of all related bookings.

        Call this before reading a booking that the transaction will change, to avoid deadlocks.
        Return a function that returns the keys that have too many bookings.
        """
        keys = {key for booking in bookings for key in booking.match_keys}
        rows = self.connection.execute(RELATED + STATEMENTS["lock_related"], _related_to(keys, now))
        return functools.cache(
            lambda: frozenset(row["crowded"] if (row := rows.fetchone()) else ())
        )

    def why_gone(self, booking: Booking) -> Change | None:
        """Return the state change in another lead that reports a booking as gone."""
        if booking.gone_at is None:
            return None
        rows = self._all(
            "changes_with",
            id=booking.id,
            keys=list(booking.match_keys),
            at=booking.gone_at,
            limit=MOST_RELATED,
        )
        return next((one for row in rows if (one := Change(**row)).user), None)

    def known_jobs(self, job_ids: Sequence[str]) -> list[str]:
        """Return the given Propexo job IDs that belong to a booking."""
        return self._values("known_jobs", job_ids=list(job_ids))

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
        because_of: int | None = None,
        posted_at: dt.datetime | None = None,
        reasons: Iterable[Reason] = (),
        only_from: BookingState | None = None,
    ) -> Callable[[], bool]:
        """Change a booking's state, and set its next due time (``due_at``).

        Only the changes in :data:`adapter.models.MOVES` are allowed; ``only_from`` restricts them
        to one previous state. Return a function that returns True if the state was changed.
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
            because_of=because_of,
            posted_at=posted_at,
            reasons=json_from_reasons(reasons),
            at=now,
            by=by,
        )
        return lambda: rows.fetchone() is not None

    def record_prospect(self, booking_id: int, prospect_id: str) -> None:
        """Save the ID of a booking's guest card, unless a confirmed ID is already stored."""
        self._run("record_prospect", id=booking_id, prospect_id=storable(prospect_id))

    def update(self, booking: Booking) -> None:
        """Save the fields of a booking that users can edit, such as its community and time."""
        self._run(
            "update_booking",
            id=booking.id,
            kind=booking.kind,
            appointment=Jsonb(dict(booking.appointment)),
            community=booking.community,
            timezone=booking.timezone,
            starts_at=booking.starts_at,
            match_keys=list(booking.match_keys),
            asked_at=booking.asked_at,
        )

    def snooze(self, booking_id: int, until: dt.datetime | None) -> bool:
        """Hide a lead until a given time, or show it again. Return False if it needs no review."""
        return self._has("snooze", id=booking_id, until=until)

    def assign(self, booking_id: int, user: str | None) -> bool:
        """Assign a lead to a user. Return False if the booking does not exist."""
        return self._has("assign", id=booking_id, user=user)

    def state_before(self, booking_id: int) -> tuple[str, str, int | None]:
        """Return a booking's previous state, its reason, and the ID of the lead that caused it."""
        row = self._one("state_before", id=booking_id) or {}
        return row.get("from_state") or "", row.get("why") or "", row.get("because_of")

    def repoint(self, from_id: int, to_id: int) -> None:
        """Replace booking ``from_id`` with ``to_id`` as the cause of other leads' states."""
        self._run("repoint", from_id=from_id, to_id=to_id)

    def pass_on_plan(self, old: Booking, to_id: int) -> None:
        """Copy a booking's assigned user and snooze time to the booking that replaces it."""
        self._run("pass_on_plan", user=old.assigned_to, until=old.snoozed_until, id=to_id)

    def mark_gone(self, ids: Iterable[int], *, now: dt.datetime) -> None:
        """Record that, according to a user, the given bookings no longer exist in Knock."""
        self._run("mark_gone", ids=list(ids), at=now)

    def unmark_gone(self, ids: Iterable[int], *, at: dt.datetime) -> None:
        """Undo :meth:`mark_gone` for bookings that were marked at the given time."""
        self._run("unmark_gone", ids=list(ids), at=at)

    def of_record(
        self,
        record_id: str,
        prospect_id: str | None,
        emails: Iterable[str],
        phones: Iterable[str],
    ) -> tuple[Booking, ...]:
        """Return recent bookings that a Knock record may belong to, oldest first.

        ``phones`` contains the last ten digits of North American numbers.
        """
        rows = self._all(
            "bookings_of_record",
            record_id=record_id,
            prospect_id=prospect_id,
            emails=[storable(email) for email in emails],
            phones=[f"{digits[::-1]}1+" for digits in phones],
            limit=MOST_LINKED,
        )
        return tuple(map(booking_from_row, rows))

    def record_in_knock(
        self, booking: Booking, facts: KnockFacts, *, by: str, now: dt.datetime
    ) -> None:
        """Save the facts from Knock about a booking. Add ``facts.why``, if set, to the history."""
        self._run("record_in_knock", id=booking.id, by=by, at=now, **dataclasses.asdict(facts))

    def search_again_soon(
        self, integration_id: str, instants: Iterable[dt.datetime], at: dt.datetime
    ) -> None:
        """Search sooner for unknown bookings whose tours start at one of the given times."""
        self._run(
            "search_again_soon", integration_id=integration_id, instants=list(instants), at=at
        )

    def has_unseen_tour(
        self,
        integration_id: str,
        instants: Iterable[dt.datetime],
        since: dt.datetime,
        *,
        is_of_any_card: bool,
    ) -> bool:
        """Return True if a recent tour was sent but has not been seen in Knock.

        Only tours requested after ``since`` count. Without ``instants``, tours at any time count.
        With ``is_of_any_card``, tours count even if their guest card has been seen.
        """
        return self._has(
            "has_unseen_tour",
            integration_id=integration_id,
            instants=list(instants),
            since=since,
            is_of_any_card=is_of_any_card,
        )

    def next_check(self, now: dt.datetime) -> DueCheck | None:
        """Lock and return the next booking to check with Propexo, or None if none is due."""
        row = self._one("next_check", now=now)
        if row is None:
            return None
        return DueCheck(
            booking=booking_from_row(row), has_more=row["has_more"], has_related=row["has_related"]
        )

    def reschedule(self, booking: Booking, due_at: dt.datetime) -> None:
        """Set a booking's next due time, unless its state has changed."""
        self._run("reschedule", id=booking.id, state=booking.state, due_at=due_at)

    def stop_reconciling(self, booking: Booking, *, why: str, now: dt.datetime) -> None:
        """Stop searching Propexo for an unknown booking, so that a user reviews it."""
        self._run("stop_reconciling", id=booking.id, state=booking.state, why=why, at=now)


def _related_to(keys: Iterable[int], now: dt.datetime) -> dict[str, Any]:
    since = now - RELATED_AGE
    return {"keys": list(keys), "now": now, "since": since, "limit": MOST_RELATED}
