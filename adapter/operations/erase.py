"""What is forgotten: payloads and people after their days, and a renter who asks to be.

Ids, states, times and keyed hashes stay: the numbers still add up, and a webhook that comes again
does not bring anybody back. Nothing here touches Knock.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable
from typing import TypeVar

from adapter.exceptions import NotPossible
from adapter.models import BookingState, Clock, EventState
from adapter.operations.contact_matcher import Contact
from adapter.settings import Settings
from adapter.store import SIGN_IN_WINDOW, Database, Transaction

log = logging.getLogger(__name__)

#: Events that are erased in one transaction.
BATCH = 200
#: Events that are read for a contact in one statement.
STRIDE = 5000

#: A booking in one of these may be in Knock in a moment, or nobody knows.
ON_ITS_WAY = (BookingState.SENDING, BookingState.SUBMITTED)

Done = TypeVar("Done")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Where a contact is named."""

    events: tuple[int, ...]
    rejections: tuple[int, ...]


class Erasure:
    """Erasing over one store."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    # --- by age

    def forget_old(self) -> int:
        """Erases one batch of what is older than the settings keep; how many rows it was.

        With the renters goes who looked at them. For a worker, which calls it again and again.
        """
        now = self._clock()
        payloads = now - dt.timedelta(days=self._settings.payload_days)
        people = now - dt.timedelta(days=self._settings.lead_days)
        with self._store.transaction() as tx:
            erased = self._old_people(tx, people, now, by="worker")
            old = tx.erasure.erasable(payloads, people=False, now=now, limit=BATCH)
            tx.erasure.erase_payloads(old)
            refused = tx.erasure.erase_rejections(payloads, limit=BATCH)
            tx.users.delete_old_failures(now - SIGN_IN_WINDOW, limit=BATCH)
            tx.audit.delete_old(people, limit=BATCH)
        count = erased + len(old) + refused
        if count:
            log.info("erased", extra={"count": count})
        return count

    def older_than(self, days: int, *, by: str, told: Callable[[int], object]) -> int:
        """Erases every lead and refused request that came before ``days`` ago, tours to come kept.

        ``told`` hears after each batch how many events and requests it has been so far.
        """
        now = self._clock()
        before, count = now - dt.timedelta(days=days), 0
        while True:
            with self._store.transaction() as tx:
                erased = self._old_people(tx, before, now, by=by)
                erased += tx.erasure.erase_rejections(before, limit=BATCH)
            if not erased:
                return count
            count += erased
            told(count)

    def _old_people(
        self, tx: Transaction, before: dt.datetime, now: dt.datetime, *, by: str
    ) -> int:
        old = tx.erasure.erasable(before, people=True, now=now, limit=BATCH)
        for event_id in old:
            _put_aside(tx, event_id, by, now)
        tx.erasure.erase_people(old)
        return len(old)

    # --- by contact

    def find(self, contact: Contact, told: Callable[[int, int], object]) -> Found:
        """Every event and refused request that names ``contact``, in whatever spelling.

        Reads all of them, some thousand in each statement; ``told`` hears how far it has come.
        """
        last = self._read(lambda tx: tx.erasure.last_event_id())
        events: list[int] = []
        for start in range(0, last, STRIDE):
            events += self._events(contact, start, min(start + STRIDE, last))
            told(min(start + STRIDE, last), last)
        rough = self._read(lambda tx: tx.erasure.rejections_that_match(contact.prefilter))
        rows = self._read(lambda tx: tx.erasure.rejections_by_id(rough))
        rejections = [
            row["id"]
            for row in rows
            if _names(contact, row["body"] or b"", row["url"], str(row["headers"]))
        ]
        return Found(events=tuple(events), rejections=tuple(rejections))

    def _events(self, contact: Contact, after: int, until: int) -> list[int]:
        rough = self._read(
            lambda tx: tx.erasure.events_that_match(contact.prefilter, after=after, until=until)
        )
        return [event_id for event_id in rough if self._is_named(contact, event_id)]

    def _is_named(self, contact: Contact, event_id: int) -> bool:
        with self._store.transaction() as tx:
            event, bookings = tx.events.get(event_id), tx.bookings.of_event(event_id)
        said = [str(value) for booking in bookings for value in booking.appointment.values()]
        return event is not None and _names(
            contact, event.body, event.query, str(dict(event.headers)), *said
        )

    def _read(self, read: Callable[[Transaction], Done]) -> Done:
        with self._store.transaction() as tx:
            return read(tx)

    def erase(self, found: Found, *, by: str) -> list[int]:
        """Erases what was found; the ids of events that cannot be erased yet.

        These are on their way to Knock: what may be posted at this moment cannot be taken back.
        What waits is put aside first.
        """
        now, left = self._clock(), []
        for event_id in found.events:
            with self._store.transaction() as tx:
                try:
                    _put_aside(tx, event_id, by, now)
                except NotPossible:
                    left.append(event_id)
                    continue
                tx.erasure.erase_people([event_id])
        with self._store.transaction() as tx:
            tx.erasure.remove_rejections(found.rejections)
        log.warning("person_erased", extra={"count": len(found.events) - len(left)})
        return left


def _names(contact: Contact, body: bytes, *texts: str) -> bool:
    return contact.is_in(body) or any(contact.is_in(text.encode()) for text in texts)


def _put_aside(tx: Transaction, event_id: int, by: str, now: dt.datetime) -> None:
    """Discards what still waits of an event. Raises NotPossible for one that is on its way."""
    event = tx.events.get(event_id, lock=True)
    bookings = [
        tx.bookings.get(booking.id, lock=True) for booking in tx.bookings.of_event(event_id)
    ]
    for booking in bookings:
        if booking is None:
            continue
        is_looked_for = booking.state is BookingState.UNKNOWN and booking.due_at is not None
        if booking.state in ON_ITS_WAY or is_looked_for:
            raise NotPossible(f"booking {booking.id} is {booking.state}")
        tx.bookings.move(booking.id, BookingState.DISCARDED, why="erased", now=now, by=by)
    if event is not None and event.state in (EventState.HELD, EventState.RECEIVED):
        tx.events.discard(event_id, why="erased", by=by, now=now)
