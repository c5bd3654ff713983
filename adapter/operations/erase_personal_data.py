"""Erase old payloads and personal data, and a renter's data on request.

IDs, states, times and keyed hashes are kept, so statistics stay correct, and a webhook that is sent
again is recognized and restores nothing. Knock is not changed.
"""

import contextlib
import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from adapter.bookings.person import MERGED, is_current
from adapter.bookings.reconcile import reconcile
from adapter.exceptions import KeyMissing, NotPossible
from adapter.models import BookingState, Clock, EventState
from adapter.operations.allowed_actions import may_discard
from adapter.operations.contact_matcher import Contact
from adapter.settings import Settings
from adapter.store import SIGN_IN_WINDOW, Database, Transaction, Undecryptable

log = logging.getLogger(__name__)

#: Number of events to erase in one transaction.
BATCH = 200
#: Number of events to search for a contact in one statement.
STRIDE = 5000

#: States of a booking that may reach Knock at any moment.
IN_FLIGHT = (BookingState.SENDING, BookingState.SUBMITTED)

Done = TypeVar("Done")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The IDs of the stored requests that contain a contact."""

    events: tuple[int, ...]
    rejections: tuple[int, ...]
    #: Requests that could not be searched. For events, only their bookings were searched.
    undecryptable: Undecryptable = dataclasses.field(default_factory=Undecryptable)


class Eraser:
    """Erases payloads and personal data from the database."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock

    # --- by age

    def forget_old(self) -> int:
        """Erase one batch of data older than the settings allow. Return the batch's size.

        Audit log entries are deleted at the same age as leads. Workers call this repeatedly.
        """
        now = self._clock()
        payloads = now - dt.timedelta(days=self._settings.payload_days)
        people = now - dt.timedelta(days=self._settings.lead_days)
        with self._store.transaction() as tx:
            erased = self._old_people(tx, people, now, by="worker")
            old = tx.erasure.erasable(payloads, people=False, now=now, limit=BATCH)
            tx.erasure.erase_payloads(old)
            tx.erasure.erase_lost_notes(payloads)
            rejected = tx.erasure.erase_rejections(payloads, limit=BATCH)
            tx.users.delete_old_failures(now - SIGN_IN_WINDOW, limit=BATCH)
            tx.audit.delete_old(people, limit=BATCH)
        count = erased + len(old) + rejected
        if count:
            log.info("erased", extra={"count": count})
        return count

    def older_than(self, days: int, *, by: str, progress: Callable[[int], object]) -> int:
        """Erase leads and rejected requests older than ``days``, except upcoming tours.

        Call ``progress`` after each batch with the number of rows erased so far. Return the total.
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
            progress(count)

    def _old_people(
        self, tx: Transaction, before: dt.datetime, now: dt.datetime, *, by: str
    ) -> int:
        old = tx.erasure.erasable(before, people=True, now=now, limit=BATCH)
        _discard_all(tx, old, by, now)
        tx.erasure.erase_people(old)
        return len(old)

    # --- by contact

    def find(self, contact: Contact, progress: Callable[[int, int], object]) -> Found:
        """Return the IDs of all events and rejected requests that contain a contact.

        Also return the IDs of requests that cannot be searched because their key is not set. Read
        all rows in batches of a few thousand. Call ``progress`` with (read, total) after each
        batch.
        """
        last = self._read(lambda tx: tx.erasure.last_event_id())
        events: list[int] = []
        for start in range(0, last, STRIDE):
            events += self._events(contact, start, min(start + STRIDE, last))
            progress(min(start + STRIDE, last), last)
        candidates = self._read(lambda tx: tx.erasure.rejections_that_match(contact.prefilter))
        rejections = [one for one in candidates if self._is_in_rejection(contact, one)]
        lost, known = self._read(lambda tx: tx.encryption.undecryptable()), frozenset(events)
        others = tuple(one for one in lost.events if one not in known)
        lost = dataclasses.replace(lost, events=others)
        return Found(events=tuple(events), rejections=tuple(rejections), undecryptable=lost)

    def _is_in_rejection(self, contact: Contact, rejection_id: int) -> bool:
        one = None
        with contextlib.suppress(KeyMissing):
            one = self._read(lambda tx: tx.rejections.get(rejection_id))
        return one is not None and contact.is_in_request(one.body, one.url, str(dict(one.headers)))

    def _events(self, contact: Contact, after: int, until: int) -> list[int]:
        candidates = self._read(
            lambda tx: tx.erasure.events_that_match(contact.prefilter, after=after, until=until)
        )
        return [event_id for event_id in candidates if self._is_named(contact, event_id)]

    def _is_named(self, contact: Contact, event_id: int) -> bool:
        event = None
        with self._store.statement() as tx:
            bookings = tx.bookings.of_event(event_id)
            with contextlib.suppress(KeyMissing):
                event = tx.events.get(event_id)
        values = [str(value) for booking in bookings for value in booking.appointment.values()]
        if event is not None:
            values += [event.query, str(dict(event.headers)), event.fetched or ""]
        return contact.is_in_request(event.body if event else None, *values)

    def _read(self, read: Callable[[Transaction], Done]) -> Done:
        with self._store.transaction() as tx:
            return read(tx)

    def erase(self, found: Found, *, by: str) -> list[int]:
        """Erase the rows that were found. Return the IDs of events that cannot be erased yet.

        These events have bookings in flight, which cannot be recalled. Other bookings are discarded
        first.
        """
        now, left = self._clock(), []
        for event_id in found.events:
            try:
                with self._store.transaction() as tx:
                    _discard_all(tx, [event_id], by, now)
                    tx.erasure.erase_people([event_id])
            except NotPossible:
                left.append(event_id)
        with self._store.transaction() as tx:
            tx.erasure.remove_rejections(found.rejections)
        log.warning("person_erased", extra={"count": len(found.events) - len(left)})
        return left


def _discard_all(tx: Transaction, event_ids: Iterable[int], by: str, now: dt.datetime) -> None:
    """Discard events and their bookings, and update the leads that depend on them.

    Raise NotPossible if a booking may still reach Knock.
    """
    # Do not read whole events, because an event's encryption key may be missing.
    locked = {one: tx.events.state_of(one, lock=True) for one in sorted(event_ids)}
    states = {event_id: found[0] for event_id, found in locked.items() if found}
    tx.bookings.lock_related(tx.bookings.of_events(states), now)
    # Until then, a renter may have chosen a tour time, which adds a booking.
    found = tx.bookings.of_events(states)
    waiting = [
        booking
        for booking in found
        if may_discard(booking)
        or booking.state in IN_FLIGHT
        # Otherwise, it would be booked instead of the other lead, even if that lead is erased too.
        or (booking.state in MERGED and is_current(booking, now))
    ]
    if not tx.messages.delete_waiting(list(states)):
        raise NotPossible("a note for the guest card is being sent")
    for booking in waiting:
        current = tx.bookings.get(booking.id, lock=True) or booking
        is_searched_for = current.state is BookingState.UNKNOWN and current.due_at is not None
        if current.state in IN_FLIGHT or is_searched_for:
            raise NotPossible(f"booking {booking.id} is {current.state}")
        tx.bookings.move(
            booking.id,
            BookingState.DISCARDED,
            why="erased",
            because_of=current.because_of,
            now=now,
            by=by,
        )
    for booking in waiting:
        reconcile(tx, booking, now)
    for event_id, state in states.items():
        if state in (EventState.HELD, EventState.RECEIVED):
            tx.events.discard(event_id, why="erased", by=by, now=now)
