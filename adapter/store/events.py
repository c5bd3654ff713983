"""Store events (verified webhook requests), and read their history."""

import datetime as dt
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256

from psycopg.types.json import Jsonb

from adapter.models import Booking, Change, Event, EventState, LeadHistory, Reason
from adapter.signatures import Scheme, covers_query, proved_headers
from adapter.store.attempts import Attempts
from adapter.store.bookings import Bookings
from adapter.store.invitation_mails import InvitationMails
from adapter.store.messages import Messages
from adapter.store.queries import STATEMENTS, Statements
from adapter.store.rows import (
    NewEvent,
    Row,
    delivery_headers,
    event_from_row,
    id_from_text,
    json_from_reasons,
    storable,
    values_from_event,
)

#: The event's position in the batch, and the values from :func:`values_from_event`.
_NEW_EVENT = (
    b"(%s::int, %s, %s::bytea, %s::bytea, %s::timestamptz, %s, %s::jsonb, %s, %b::bytea, %s::text)"
)


@functools.cache
def _insert_events(count: int) -> bytes:
    """Return the SQL statement that inserts ``count`` events. It is cached for each count."""
    return STATEMENTS["insert_events"].replace(b"(ROWS)", b", ".join([_NEW_EVENT] * count))


def _is_same_delivery(
    one: Mapping[str, str], other: Mapping[str, str], names: Iterable[str], proved: Collection[str]
) -> bool | None:
    """Return True if two deliveries have the same ID, False if the IDs differ, or None if unknown.

    The ID is in a header. If the signature does not cover this header, equal IDs show that the
    deliveries are the same. Different IDs prove nothing, because anyone may have changed them.
    """
    shared = [name for name in names if name in one and name in other]
    certain = [name for name in shared if name in proved]
    is_same = all(one[name] == other[name] for name in certain or shared)
    return is_same if certain or (shared and is_same) else None


class Events(Statements):
    """Reads and writes webhook events within a transaction."""

    def insert(self, new: NewEvent) -> int | None:
        """Claim an event's dedupe key and store the event. Return None if the key is taken."""
        return self.insert_many([new])[0]

    def insert_many(self, new: Sequence[NewEvent]) -> list[int | None]:
        """Insert several events in one statement, each like :meth:`insert`."""
        values = [
            value
            for position, event in enumerate(new)
            for value in (position, *values_from_event(event, self.connection.cipher))
        ]
        rows = self.connection.execute(_insert_events(len(new)), values).fetchall()
        ids = {row["position"]: int(row["id"]) for row in rows}
        return [ids.get(position) for position in range(len(new))]

    def next_received(self, now: dt.datetime) -> tuple[Event, bool] | None:
        """Lock the next event to map. Return the event, and True if more events are due.

        Return None if no event is due.
        """
        row = self._one("next_received", now=now)
        return (self._event(row), row["has_more"]) if row else None

    def postpone(self, event_id: int, due_at: dt.datetime) -> None:
        """Postpone the mapping of a received event to ``due_at``."""
        self._run("postpone_event", id=event_id, due_at=due_at)

    def store_fetched(
        self,
        event_id: int,
        fetched: str,
        due_at: dt.datetime,
        *,
        readable: Collection[str],
        states: Sequence[EventState] = (EventState.RECEIVED,),
    ) -> None:
        """Store the documents fetched for an event, and schedule its mapping for ``due_at``.

        Do nothing if the event is in another state or its payload was erased. Do not encrypt the
        headers in ``readable``.
        """
        row = self._one("received_event", id=event_id, states=list(states))
        if row is None:
            return
        cipher = self.connection.cipher
        row = cipher.sealed(cipher.opened(row) | {"fetched": storable(fetched)}, readable=readable)
        self._run("encrypt_event", **row | {"headers": Jsonb(row["headers"])})
        self.postpone(event_id, due_at)

    def get(self, event_id: int, *, lock: bool = False) -> Event | None:
        """Return an event, or None. With ``lock``, lock the event until the transaction ends."""
        row = self._one("lock_event" if lock else "get_event", id=event_id)
        return self._event(row) if row else None

    def state_of(
        self, event_id: int, *, lock: bool = False
    ) -> tuple[EventState, tuple[Reason, ...]] | None:
        """Return an event's state and reasons without reading or decrypting its request."""
        row = self._one("lock_state_of_event" if lock else "state_of_event", id=event_id)
        if row is None:
            return None
        return EventState(row["state"]), tuple(map(Reason.from_dict, row["reasons"]))

    def repeated(
        self,
        event_id: int,
        others: Iterable[int],
        *,
        header: str | None,
        scheme: Scheme | None,
    ) -> tuple[int, bool] | None:
        """Find an earlier event with the same content as a new event.

        Return the event's ID, and True if both events are the same delivery. Return None if there
        is no such event. The delivery ID is in ``header`` or in one of the usual headers. If
        ``scheme`` verifies the IDs of both events, and the IDs differ, they are two deliveries.
        """
        names, has_query = delivery_headers(header), covers_query(scheme)
        proved = proved_headers(scheme, names)
        ids = [event_id, *others]
        rows = self._all("possible_repeats", id=event_id, ids=ids, has_query=has_query)
        known = {row["id"]: row["headers"] for row in rows}
        new = known.pop(event_id)
        repeats = [
            (bool(is_retry), other_id)
            for other_id, headers in known.items()
            if (is_retry := _is_same_delivery(headers, new, names, proved)) is not False
        ]
        encrypted = {row["id"] for row in rows if row["is_encrypted"]}
        content = functools.cache(functools.partial(self._content, has_query=has_query))
        for is_retry, other_id in sorted(repeats, reverse=True):
            if other_id not in encrypted or content(other_id) == content(event_id):
                return other_id, is_retry
        return None

    def _content(self, event_id: int, *, has_query: bool) -> tuple[bytes, str] | None:
        """Return the hash and the query string that identify an event's content."""
        event = self.get(event_id)
        if event is None:
            return None
        return sha256(event.body).digest(), event.query if has_query else ""

    def settle(
        self,
        event_id: int,
        state: EventState,
        *,
        why: str,
        reasons: Iterable[Reason] = (),
        mapping_hash: str | None,
        now: dt.datetime,
    ) -> None:
        """Set the final state of an event after it was mapped."""
        self._run(
            "settle_event",
            id=event_id,
            state=state,
            why=why,
            reasons=json_from_reasons(reasons),
            mapping_hash=mapping_hash,
            at=now,
            by="worker",
        )

    def discard(self, event_id: int, *, why: str, by: str, now: dt.datetime) -> bool:
        """Discard a held or received event. Return False if the event has another state."""
        return self._has("discard_event", id=event_id, why=why, by=by, at=now)

    def bring_back(self, event_id: int, *, by: str, now: dt.datetime) -> bool:
        """Send a discarded event back to review. Return False if that is not possible."""
        return self._has("bring_back_event", id=event_id, by=by, at=now)

    def reopen(self, event_id: int, *, why: str, by: str, now: dt.datetime) -> bool:
        """Reset an event's state to ``received``. Return False if that is already its state."""
        return self._has("reopen_event", id=event_id, why=why, by=by, at=now)

    def ids_to_replay(
        self,
        *,
        ids: Sequence[int] = (),
        source: str | None = None,
        states: Sequence[str] = (),
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        limit: int = 1000,
    ) -> list[int]:
        """Return the IDs of events that match all given filters, oldest first."""
        return self._values(
            "events_to_replay",
            ids=list(ids) or None,
            source=source,
            states=list(states) or None,
            since=since,
            until=until,
            limit=limit,
        )

    def unbooked_ids(
        self,
        source: str,
        since: dt.datetime,
        until: dt.datetime | str = "infinity",
        *,
        searched: int,
        limit: int,
    ) -> list[int]:
        """Return the IDs of events in a time range that were ignored, or held by their mapping.

        Search only the newest ``searched`` events that still have payloads.
        """
        where = {"source": source, "since": since, "until": until}
        return self._values("unbooked_events", **where, searched=searched, limit=limit)

    def ids_to_read_again(self, source: str, mapping_hash: str, *, limit: int) -> list[int]:
        """Return the IDs of the newest events that an earlier mapping has left waiting.

        Events that the mapping with this hash has already read are left out, because reading them
        again would change nothing.
        """
        where = {"source": source, "mapping_hash": mapping_hash, "limit": limit}
        return self._values("events_to_read_again", **where)

    def received_times(self, bookings: Iterable[Booking]) -> dict[int, dt.datetime]:
        """Return when each booking's event was received, keyed by booking ID.

        A booking that was created when its event was mapped again is newer than its event.
        """
        events = {one.id: one.event_id for one in bookings}
        rows = self._all("times_of_events", ids=[*events.values()])
        times = {row["id"]: row["received_at"] for row in rows}
        return {number: times[event_id] for number, event_id in events.items()}

    def history(self, key: str) -> LeadHistory | None:
        """Return the full history of the lead with an event ID, booking ID or Propexo job ID."""
        event = self._event_by(key)
        if event is None:
            return None
        table, attempts = Bookings(self.connection), Attempts(self.connection)
        bookings = table.of_event(event.id)
        repeats = self._one("duplicates_of_event", event_id=event.id)
        changes = [Change(**row) for row in self._all("history_of_event", event_id=event.id)]
        others = {one.because_of for one in bookings} | {one.because_of for one in changes}
        return LeadHistory(
            event=event,
            bookings=bookings,
            attempts={booking.id: attempts.of_booking(booking.id) for booking in bookings},
            history=tuple(changes),
            duplicates=repeats["repeats"] if repeats else 0,
            has_versions=bool(repeats and repeats["has_versions"]),
            others={other.id: other for other in table.of_ids(others)},
            related=table.because_of(booking.id for booking in bookings),
            messages=Messages(self.connection).of_event(event.id),
            emails=InvitationMails(self.connection).of_event(event.id),
        )

    def _event(self, row: Row) -> Event:
        return event_from_row(self.connection.cipher.opened(row))

    def _event_by(self, key: str) -> Event | None:
        if (number := id_from_text(key)) is not None:
            event = self.get(number)
            owner = None if event else self._one("event_of_booking", id=number)
        else:
            event, owner = None, self._one("event_of_job", job_id=storable(key))
        return event if owner is None else self.get(owner["id"])
