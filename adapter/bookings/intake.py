"""Plan and store a mapped event's bookings, given the person's other bookings.

Everything is written in the transaction that settles the event, under one lock for each person
and community that it names.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Collection, Iterable, Sequence

from adapter.bookings import precedence
from adapter.mapping.engine import SENT_OUTCOMES, Item, Mapped, Outcome
from adapter.models import Booking, BookingState, Event, EventState, Kind, Reason
from adapter.store import NewBooking, Transaction
from adapter.store.fingerprints import Fingerprints, lock_key

log = logging.getLogger(__name__)

#: The sentence for each reason code of a decision, with the id of the other booking.
SENTENCES = {
    "same_person_and_time": "this person already has this tour: booking {}",
    "same_person_has_a_tour": "this person has a tour, which creates the guest card: booking {}",
    "same_person_asked_before": "this person already has a guest card: booking {}",
    "newer_request_came_first": "this person has a newer request: booking {}",
    "two_tours_at_once": "the same webhook requests another tour for this person here: booking {}; "
    "Knock keeps only one",
    "called_off_before": "the sender has already canceled it: booking {}",
    "changed_after_first": "the sender changed the contact after booking {} was sent",
    "replaced": "a newer request of the same person replaced it: booking {}",
}

#: Added when the canceled tour had made a guest card unnecessary.
SUPERSEDED_REASON = (
    "; the same person's lead without a time, booking {0}, was not sent because of this tour, so "
    "Knock has neither: run adapter replay {0} --force --reason …"
)

#: States of a booking that can be canceled here, because it is certainly not in Knock.
CANCELABLE = (
    BookingState.PENDING,
    BookingState.HELD,
    BookingState.FAILED,
    BookingState.EXPIRED,
)


class BookingPlanner:
    """Plan and store the bookings of events."""

    def __init__(self, fingerprints: Fingerprints, shared_contacts: Collection[str]) -> None:
        self._fingerprints = fingerprints
        self._shared = shared_contacts

    def apply(
        self,
        tx: Transaction,
        event: Event,
        mapped: Mapped,
        mapping_hash: str | None,
        now: dt.datetime,
        *,
        is_forced: bool = False,
    ) -> None:
        """Store an event's outcome and its bookings.

        With ``is_forced``, a user wants the bookings regardless of earlier ones: they count as
        requested now, and neither an earlier item nor an earlier tour makes them duplicates.
        """
        items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
        first = len(tx.bookings.of_event(event.id))  # bookings of an earlier mapping, in a replay
        drafts = [self._draft(number, item, event) for number, item in enumerate(items, first)]
        tx.lock_keys(self._keys_of(event, items, drafts))
        ready, dedupe_keys = set[int](), set[str | None]()
        for item, draft in zip(items, drafts, strict=True):
            if item.outcome is Outcome.CANCELLATION:
                self._cancel(tx, event, item, draft, now)
            elif item.dedupe_key is not None and item.dedupe_key in dedupe_keys:
                duplicate = draft.with_state(BookingState.DUPLICATE, "item_seen_before")
                tx.bookings.insert(event, duplicate, tx.bookings.next_id(), now=now)
            elif is_forced:
                ready.add(self._force(tx, event, item, draft, now))
            else:
                ready.add(self._plan(tx, event, item, draft, now))
            dedupe_keys.add(item.dedupe_key)
        state = event_state(mapped)
        tx.events.settle(
            event.id,
            state,
            why=str(mapped.outcome),
            reasons=mapped.reasons,
            mapping_hash=mapping_hash,
            now=now,
        )
        log.info("event_settled", extra={"event_id": event.id, "state": state})

    def _keys_of(
        self, event: Event, items: Sequence[Item], drafts: Sequence[NewBooking]
    ) -> set[int]:
        """Return the lock keys for all items and people that this event names."""
        keys = {key for draft in drafts for key in draft.person_keys}
        dedupe_keys = (item.dedupe_key for item in items)
        return keys | {
            lock_key(self._fingerprints.item(event.source, key)) for key in dedupe_keys if key
        }

    def _draft(self, number: int, item: Item, event: Event) -> NewBooking:
        community = item.community
        is_ready = item.outcome in SENT_OUTCOMES
        return NewBooking(
            item=number,
            kind=item.kind,
            state=BookingState.PENDING if is_ready else BookingState.HELD,
            reason=None if is_ready else "held_by_mapping",
            community=community.key if community else None,
            timezone=community.timezone.key if community else None,
            starts_at=item.starts_at,
            appointment=item.appointment,
            # What blocks the booking comes first: it is what a user has to fix.
            reasons=tuple(dict.fromkeys((*item.blocking_reasons, *item.reasons))),
            # A time in the future comes from a wrong clock, so it is ignored.
            asked_at=min(item.sent_at or event.received_at, event.received_at),
            person_keys=self._fingerprints.person_keys(
                community.key if community else None, item.appointment, self._shared
            ),
        )

    def _plan(
        self, tx: Transaction, event: Event, item: Item, draft: NewBooking, now: dt.datetime
    ) -> int:
        """Store a booking as pending, held, a duplicate, or superseded by a newer one.

        Return its ID if it may be sent, else 0.
        """
        booking_id = tx.bookings.next_id()
        draft = self._compare_with_same_key(tx, event, item, draft, booking_id, now)
        replaces: tuple[int, ...] = ()
        if draft.state is BookingState.PENDING:
            decision = precedence.decide(
                event_id=event.id,
                starts_at=draft.starts_at,
                asked_at=draft.asked_at,
                others=tx.bookings.of_people(draft.person_keys, precedence.LIVE),
                now=now,
            )
            replaces = decision.replaces
            if decision.reason is not None:
                why = _reason_with(decision.reason, decision.because_of)
                draft = draft.with_state(decision.state, decision.reason, why)
        return self._insert(tx, event, item, draft, booking_id, replaces, now)

    def _force(
        self, tx: Transaction, event: Event, item: Item, draft: NewBooking, now: dt.datetime
    ) -> int:
        """Store a booking that a user forces, and replace the person's pending bookings.

        A second tour for the same person in the same webhook is still held: Knock would keep only
        the last.
        """
        booking_id, draft = tx.bookings.next_id(), dataclasses.replace(draft, asked_at=now)
        pending = [
            other
            for other in tx.bookings.of_people(draft.person_keys, (BookingState.PENDING,))
            if precedence.may_replace(draft.kind, other.kind)
        ]
        twin = next((one for one in pending if _are_twins(one, draft, event)), None)
        if draft.state is BookingState.PENDING:
            draft = dataclasses.replace(draft, reason="forced")
            if twin is not None:
                why = _reason_with("two_tours_at_once", twin.id)
                draft = draft.with_state(BookingState.HELD, "two_tours_at_once", why)
        if item.dedupe_key is not None:
            key = self._fingerprints.item(event.source, item.dedupe_key)
            tx.claims.insert(event.source, key, booking_id, now=now)
        replaces = [other.id for other in pending] if draft.state is BookingState.PENDING else []
        return self._insert(tx, event, item, draft, booking_id, replaces, now)

    def _insert(
        self,
        tx: Transaction,
        event: Event,
        item: Item,
        draft: NewBooking,
        booking_id: int,
        replaces: Iterable[int],
        now: dt.datetime,
    ) -> int:
        """Store a booking and mark what it replaces. Return its ID if it may be sent, else 0."""
        tx.bookings.insert(event, draft, booking_id, now=now)
        for other in replaces:
            _replace(tx, other, booking_id, now)
        if draft.state is not BookingState.PENDING:
            return 0
        if item.dedupe_key is not None:
            key = self._fingerprints.item(event.source, item.dedupe_key)
            tx.claims.reassign(event.source, key, booking_id)
        return booking_id

    def _compare_with_same_key(
        self,
        tx: Transaction,
        event: Event,
        item: Item,
        draft: NewBooking,
        booking_id: int,
        now: dt.datetime,
    ) -> NewBooking:
        """Compare the draft with earlier bookings that have the same dedupe key.

        The same content again is a duplicate. Changed content replaces a booking that is still
        waiting. If that booking was sent for another person, the draft is held for review.
        """
        if item.dedupe_key is None:
            return draft
        key = self._fingerprints.item(event.source, item.dedupe_key)
        canceled = self._fingerprints.cancellation(event.source, item.dedupe_key)
        canceled_by = tx.claims.owner(event.source, canceled)
        if canceled_by is not None and tx.claims.owner(event.source, key) is None:
            why = _reason_with("called_off_before", canceled_by)
            draft = draft.with_state(BookingState.HELD, "called_off_before", why)
        content = self._fingerprints.item_content(event.source, item.dedupe_key, item.appointment)
        is_new_content = tx.claims.insert(event.source, content, booking_id, now=now)
        if tx.claims.insert(event.source, key, booking_id, now=now):
            return draft
        earlier = self._earlier(tx, event, item)
        if earlier is not None and earlier.event_id == event.id:
            return draft  # a replay of the same event
        if earlier is None or not is_new_content:
            return draft.with_state(BookingState.DUPLICATE, "item_seen_before")
        return _compare_with_earlier(tx, earlier, draft, booking_id, now)

    def _cancel(
        self, tx: Transaction, event: Event, item: Item, draft: NewBooking, now: dt.datetime
    ) -> None:
        """Discard the canceled booking if it was not sent, else hold the cancellation for review.

        Propexo's API cannot cancel a tour in Knock.
        """
        booking_id = tx.bookings.next_id()
        if item.dedupe_key is not None:
            canceled = self._fingerprints.cancellation(event.source, item.dedupe_key)
            tx.claims.insert(event.source, canceled, booking_id, now=now)
        earlier = self._earlier(tx, event, item)
        if earlier is not None and earlier.state in CANCELABLE:
            tx.bookings.move(
                earlier.id,
                BookingState.DISCARDED,
                why="cancelled_by_sender",
                now=now,
                by=event.source,
            )
            done = f"booking {earlier.id} was not sent yet and is now discarded"
            prospect = _find_superseded_prospect(tx, earlier, now)
            if prospect is None:
                draft = draft.with_state(BookingState.DISCARDED, "cancellation_done", _reason(done))
            else:
                todo = _reason(done + SUPERSEDED_REASON.format(prospect.id))
                draft = draft.with_state(BookingState.HELD, "cancellation", todo)
        elif earlier is not None:
            tx.bookings.mark_canceled(earlier.id, now=now)
            what = "the tour" if earlier.kind is Kind.APPOINTMENT else "any tour of the lead"
            todo = _reason(f"booking {earlier.id} is {earlier.state}: cancel {what} in Knock")
            draft = draft.with_state(BookingState.HELD, "cancellation", todo)
        else:
            todo = _reason("no booking with this key is known here: look for the tour in Knock")
            draft = draft.with_state(BookingState.HELD, "cancellation", todo)
        tx.bookings.insert(event, draft, booking_id, now=now)

    def _earlier(self, tx: Transaction, event: Event, item: Item) -> Booking | None:
        if item.dedupe_key is None:
            return None
        digest = self._fingerprints.item(event.source, item.dedupe_key)
        booking_id = tx.claims.owner(event.source, digest)
        return tx.bookings.get(booking_id, lock=True) if booking_id is not None else None


def event_state(mapped: Mapped) -> EventState:
    """Return an event's state after mapping."""
    if any(item.outcome is not Outcome.IGNORED for item in mapped.items):
        return EventState.MAPPED
    return EventState.IGNORED if mapped.outcome is Outcome.IGNORED else EventState.HELD


def _compare_with_earlier(
    tx: Transaction, earlier: Booking, draft: NewBooking, booking_id: int, now: dt.datetime
) -> NewBooking:
    """Compare the draft with an earlier booking that has the same key and other content."""
    is_older = draft.kind is earlier.kind or earlier.kind is Kind.APPOINTMENT
    if earlier.asked_at > draft.asked_at and is_older:
        why = _reason_with("newer_request_came_first", earlier.id)
        return draft.with_state(BookingState.SUPERSEDED, "newer_request_came_first", why)
    if draft.state is BookingState.PENDING:
        is_same_person = not {*draft.person_keys}.isdisjoint(earlier.person_keys)
        still_waits = earlier.state in (BookingState.HELD, BookingState.PENDING)
        if still_waits and precedence.may_replace(draft.kind, earlier.kind):
            _replace(tx, earlier.id, booking_id, now)
        if earlier.state in precedence.SENT and not is_same_person:
            why = _reason_with("changed_after_first", earlier.id)
            return draft.with_state(BookingState.HELD, "changed_after_first", why)
    return draft


def _find_superseded_prospect(tx: Transaction, tour: Booking, now: dt.datetime) -> Booking | None:
    """Return the newest guest card not made because of ``tour``, if the person has nothing else."""
    current = tx.bookings.of_people(tour.person_keys, precedence.LIVE)
    if precedence.decide(event_id=0, starts_at=None, asked_at=now, others=current, now=now).reason:
        return None
    states = (BookingState.SUPERSEDED, BookingState.DUPLICATE)
    prospects = [
        other
        for other in tx.bookings.of_people(tour.person_keys, states)
        if other.kind is Kind.PROSPECT and precedence.is_current(other, now)
    ]
    return prospects[-1] if prospects else None


def _are_twins(other: Booking, draft: NewBooking, event: Event) -> bool:
    """Return whether both are tours from the same webhook."""
    are_tours = other.kind is draft.kind is Kind.APPOINTMENT
    return are_tours and other.event_id == event.id


def _replace(tx: Transaction, other: int, by: int, now: dt.datetime) -> None:
    reasons = [_reason_with("replaced", by)]
    tx.bookings.move(other, BookingState.SUPERSEDED, why="newer_request", now=now, reasons=reasons)


def _reason_with(code: str, other: int | None) -> Reason:
    return _reason(SENTENCES[code].format(other))


def _reason(text: str) -> Reason:
    return Reason(field="event", reason=text)
