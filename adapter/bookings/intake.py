"""What a mapped event becomes: its bookings, each in its place among those of the same person.

Everything here is written in the transaction that settles the event, under a lock for each person
and community that it names.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Collection, Iterable, Sequence

from adapter.bookings import precedence
from adapter.bookings.fingerprints import Fingerprints, lock_key
from adapter.mapping.engine import GOES_OUT, Item, Mapped, Outcome
from adapter.models import Booking, BookingState, Event, EventState, Kind, Reason
from adapter.store import NewBooking, Transaction

log = logging.getLogger(__name__)

#: What a person is told of each verdict; the number is the other booking's.
SENTENCES = {
    "same_person_and_time": "the same person has this tour already: booking {}",
    "same_person_has_a_tour": "the same person has a tour, which makes the guest card: booking {}",
    "same_person_asked_before": "the same person has a guest card already: booking {}",
    "newer_request_came_first": "a newer request of the same person came first: booking {}",
    "two_tours_at_once": "the same webhook asks for another tour of this person here: booking {}; "
    "Knock keeps one",
    "called_off_before": "the sender has called it off already: booking {}",
    "changed_after_first": "the sender changed the contact after booking {} had gone out",
    "replaced": "a newer request of the same person took its place: booking {}",
}

#: What is to be done where a tour is called off that stood for a guest card too.
SUPERSEDED_REASON = (
    "; it stood for booking {0} too, the same person's lead without a time, which is in Knock by "
    "neither: adapter replay {0} --force --reason …"
)

#: States of a booking that can be called off here: it is not in Knock for certain.
STILL_OURS = (
    BookingState.PENDING,
    BookingState.HELD,
    BookingState.FAILED,
    BookingState.EXPIRED,
)


class BookingPlanner:
    """Makes the bookings of events."""

    def __init__(self, seen: Fingerprints, shared_contacts: Collection[str]) -> None:
        self._seen = seen
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
        """Writes an event's outcome and its bookings; a lane is woken for each that may go out.

        With ``is_forced`` a person wants them whatever came before: they are asked for now, and
        neither an earlier item nor an earlier tour of the same person makes them duplicates.
        """
        items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
        first = len(tx.bookings.of_event(event.id))  # those of an earlier look, when it is replayed
        drafts = [self._draft(number, item, event) for number, item in enumerate(items, first)]
        tx.lock_keys(self._keys_of(event, items, drafts))
        woken, seen_here = set[int](), set[str | None]()
        for item, draft in zip(items, drafts, strict=True):
            if item.outcome is Outcome.CANCELLATION:
                self._cancel(tx, event, item, draft, now)
            elif item.dedupe_key is not None and item.dedupe_key in seen_here:
                twice = draft.with_state(BookingState.DUPLICATE, "item_seen_before")
                tx.bookings.insert(event, twice, tx.bookings.next_id(), now=now)
            elif is_forced:
                woken.add(self._force(tx, event, item, draft, now))
            else:
                woken.add(self._plan(tx, event, item, draft, now))
            seen_here.add(item.dedupe_key)
        tx.send_queue.schedule_senders(woken - {0})
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
        """Everything that is decided about here: the items and the people."""
        keys = {key for draft in drafts for key in draft.person_keys}
        named = (item.dedupe_key for item in items)
        return keys | {lock_key(self._seen.item(event.source, key)) for key in named if key}

    def _draft(self, number: int, item: Item, event: Event) -> NewBooking:
        community = item.community
        is_ready = item.outcome in GOES_OUT
        return NewBooking(
            item=number,
            kind=item.kind,
            state=BookingState.PENDING if is_ready else BookingState.HELD,
            reason=None if is_ready else "held_by_mapping",
            community=community.key if community else None,
            timezone=community.timezone.key if community else None,
            starts_at=item.starts_at,
            appointment=item.appointment,
            # What stands in the way first: it is what a person has to mend.
            reasons=tuple(dict.fromkeys((*item.because, *item.reasons))),
            # A sender's clock that runs ahead counts for nothing.
            asked_at=min(item.sent_at or event.received_at, event.received_at),
            person_keys=self._seen.person_keys(
                community.key if community else None, item.appointment, self._shared
            ),
        )

    def _plan(
        self, tx: Transaction, event: Event, item: Item, draft: NewBooking, now: dt.datetime
    ) -> int:
        """Stores a booking: pending, held, a duplicate, or superseded by a newer one.

        Returns its id where it may go out, else 0.
        """
        booking_id = tx.bookings.next_id()
        draft = self._compare_with_same_key(tx, event, item, draft, booking_id, now)
        replaces: tuple[int, ...] = ()
        if draft.state is BookingState.PENDING:
            verdict = precedence.decide(
                event_id=event.id,
                starts_at=draft.starts_at,
                asked_at=draft.asked_at,
                others=tx.bookings.of_people(draft.person_keys, precedence.LIVE),
                now=now,
            )
            replaces = verdict.replaces
            if verdict.reason is not None:
                why = _sentence(verdict.reason, verdict.because_of)
                draft = draft.with_state(verdict.state, verdict.reason, why)
        return self._insert(tx, event, item, draft, booking_id, replaces, now)

    def _force(
        self, tx: Transaction, event: Event, item: Item, draft: NewBooking, now: dt.datetime
    ) -> int:
        """Stores a booking that a person wants whatever came before; what waits gives way to it.

        Two tours of one person here in one webhook still wait: Knock would keep the last only.
        """
        booking_id, draft = tx.bookings.next_id(), dataclasses.replace(draft, asked_at=now)
        waiting = [
            other
            for other in tx.bookings.of_people(draft.person_keys, (BookingState.PENDING,))
            if precedence.may_replace(draft.kind, other.kind)
        ]
        twin = next((one for one in waiting if _are_twins(one, draft, event)), None)
        if draft.state is BookingState.PENDING:
            draft = dataclasses.replace(draft, reason="forced")
            if twin is not None:
                why = _sentence("two_tours_at_once", twin.id)
                draft = draft.with_state(BookingState.HELD, "two_tours_at_once", why)
        if item.dedupe_key is not None:
            key = self._seen.item(event.source, item.dedupe_key)
            tx.claims.insert(event.source, key, booking_id, now=now)
        replaces = [other.id for other in waiting] if draft.state is BookingState.PENDING else []
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
        """Writes a booking in its place; its id where it may go out, else 0."""
        tx.bookings.insert(event, draft, booking_id, now=now)
        for other in replaces:
            _replace(tx, other, booking_id, now)
        if draft.state is not BookingState.PENDING:
            return 0
        if item.dedupe_key is not None:
            key = self._seen.item(event.source, item.dedupe_key)
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
        """The draft beside what came under the same key before.

        The very same again is a duplicate. A changed one takes the place of one that still waits;
        where that has gone out for another person, somebody must look.
        """
        if item.dedupe_key is None:
            return draft
        key = self._seen.item(event.source, item.dedupe_key)
        off = self._seen.cancellation(event.source, item.dedupe_key)
        called_off = tx.claims.owner(event.source, off)
        if called_off is not None and tx.claims.owner(event.source, key) is None:
            why = _sentence("called_off_before", called_off)
            draft = draft.with_state(BookingState.HELD, "called_off_before", why)
        content = self._seen.item_content(event.source, item.dedupe_key, item.appointment)
        is_new_content = tx.claims.insert(event.source, content, booking_id, now=now)
        if tx.claims.insert(event.source, key, booking_id, now=now):
            return draft
        earlier = self._earlier(tx, event, item)
        if earlier is not None and earlier.event_id == event.id:
            return draft  # the same event is looked at again, with another mapping
        if earlier is None or not is_new_content:
            return draft.with_state(BookingState.DUPLICATE, "item_seen_before")
        return _beside_earlier(tx, earlier, draft, booking_id, now)

    def _cancel(
        self, tx: Transaction, event: Event, item: Item, draft: NewBooking, now: dt.datetime
    ) -> None:
        """Stops the booking that is called off where it is still ours; else a person must.

        Propexo has no call that cancels a tour in Knock.
        """
        booking_id = tx.bookings.next_id()
        if item.dedupe_key is not None:
            off = self._seen.cancellation(event.source, item.dedupe_key)
            tx.claims.insert(event.source, off, booking_id, now=now)
        earlier = self._earlier(tx, event, item)
        if earlier is not None and earlier.state in STILL_OURS:
            tx.bookings.move(
                earlier.id,
                BookingState.DISCARDED,
                why="cancelled_by_sender",
                now=now,
                by=event.source,
            )
            done = f"booking {earlier.id} was still waiting and is discarded"
            card = _find_superseded_prospect(tx, earlier, now)
            if card is None:
                draft = draft.with_state(BookingState.DISCARDED, "cancellation_done", _reason(done))
            else:
                todo = _reason(done + SUPERSEDED_REASON.format(card.id))
                draft = draft.with_state(BookingState.HELD, "cancellation", todo)
        elif earlier is not None:
            tx.bookings.mark_canceled(earlier.id, now=now)
            what = "the tour" if earlier.kind is Kind.APPOINTMENT else "what came of the lead"
            todo = _reason(f"booking {earlier.id} is {earlier.state}: cancel {what} in Knock")
            draft = draft.with_state(BookingState.HELD, "cancellation", todo)
        else:
            todo = _reason("the booking that it calls off is not known here: look in Knock")
            draft = draft.with_state(BookingState.HELD, "cancellation", todo)
        tx.bookings.insert(event, draft, booking_id, now=now)

    def _earlier(self, tx: Transaction, event: Event, item: Item) -> Booking | None:
        if item.dedupe_key is None:
            return None
        digest = self._seen.item(event.source, item.dedupe_key)
        booking_id = tx.claims.owner(event.source, digest)
        return tx.bookings.get(booking_id, lock=True) if booking_id is not None else None


def event_state(mapped: Mapped) -> EventState:
    """What a mapped event is called."""
    if any(item.outcome is not Outcome.IGNORED for item in mapped.items):
        return EventState.MAPPED
    return EventState.IGNORED if mapped.outcome is Outcome.IGNORED else EventState.HELD


def _beside_earlier(
    tx: Transaction, earlier: Booking, draft: NewBooking, booking_id: int, now: dt.datetime
) -> NewBooking:
    """The draft beside what came under the same key with other content."""
    is_outdone = draft.kind is earlier.kind or earlier.kind is Kind.APPOINTMENT
    if earlier.asked_at > draft.asked_at and is_outdone:
        why = _sentence("newer_request_came_first", earlier.id)
        return draft.with_state(BookingState.SUPERSEDED, "newer_request_came_first", why)
    if draft.state is BookingState.PENDING:
        is_same_person = not {*draft.person_keys}.isdisjoint(earlier.person_keys)
        still_waits = earlier.state in (BookingState.HELD, BookingState.PENDING)
        if still_waits and precedence.may_replace(draft.kind, earlier.kind):
            _replace(tx, earlier.id, booking_id, now)
        if earlier.state in precedence.GONE_OUT and not is_same_person:
            why = _sentence("changed_after_first", earlier.id)
            return draft.with_state(BookingState.HELD, "changed_after_first", why)
    return draft


def _find_superseded_prospect(tx: Transaction, tour: Booking, now: dt.datetime) -> Booking | None:
    """The newest guest card that was not made because of a tour, where that person has nothing."""
    standing = tx.bookings.of_people(tour.person_keys, precedence.LIVE)
    if precedence.decide(event_id=0, starts_at=None, asked_at=now, others=standing, now=now).reason:
        return None
    states = (BookingState.SUPERSEDED, BookingState.DUPLICATE)
    cards = [
        other
        for other in tx.bookings.of_people(tour.person_keys, states)
        if other.kind is Kind.PROSPECT and precedence.stands(other, now)
    ]
    return cards[-1] if cards else None


def _are_twins(other: Booking, draft: NewBooking, event: Event) -> bool:
    """Whether one webhook asks for two tours of one person here."""
    are_tours = other.kind is draft.kind is Kind.APPOINTMENT
    return are_tours and other.event_id == event.id


def _replace(tx: Transaction, other: int, by: int, now: dt.datetime) -> None:
    reasons = [_sentence("replaced", by)]
    tx.bookings.move(other, BookingState.SUPERSEDED, why="newer_request", now=now, reasons=reasons)


def _sentence(word: str, other: int | None) -> Reason:
    return _reason(SENTENCES[word].format(other))


def _reason(text: str) -> Reason:
    return Reason(field="event", reason=text)
