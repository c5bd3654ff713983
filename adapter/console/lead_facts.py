"""Load the facts that a lead's page shows in addition to the lead's history."""

import dataclasses
import datetime as dt
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from adapter.bookings.reconcile import after_in_knock, before_in_knock, replacing_in_knock
from adapter.models import REPLAYED, Booking, BookingState, Change, Kind, LeadHistory
from adapter.store import AuditEntry, Pause, Transaction


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LeadFacts:
    """A lead's related bookings in Knock, pauses and user actions."""

    #: The newer tour, by the ID of the tour that it replaced in Knock.
    replaced: Mapping[int, Booking] = dataclasses.field(default_factory=dict)
    #: The tour that was added to a guest card later, by the guest card's ID.
    tours: Mapping[int, Booking] = dataclasses.field(default_factory=dict)
    #: The earlier bookings that a booking replaced, and the guest card that it was added to, by ID.
    before: Mapping[int, Sequence[Booking]] = dataclasses.field(default_factory=dict)
    #: The renter's cancellation that still needs review, by the ID of the tour in Knock.
    cancellations: Mapping[int, Booking] = dataclasses.field(default_factory=dict)
    #: The change that a user made to report a booking as no longer in Knock, by the booking's ID.
    gone: Mapping[int, Change] = dataclasses.field(default_factory=dict)
    #: The pause that keeps a pending booking from being sent, by the booking's ID.
    pauses: Mapping[int, Pause] = dataclasses.field(default_factory=dict)
    #: Other leads that the sender gave a booking's ID and the page does not name elsewhere, by ID.
    same_id: Mapping[int, Sequence[Booking]] = dataclasses.field(default_factory=dict)
    #: What users did, newest first, except views.
    actions: Sequence[AuditEntry] = ()
    #: The changes of the property's community that caused the lead to be read again, by time.
    assignments: Mapping[dt.datetime, AuditEntry] = dataclasses.field(default_factory=dict)


#: Maximum time between a property's assignment and a lead that it changes.
ONE_CLICK: Final = dt.timedelta(minutes=2)
#: Maximum number of other leads with the same ID to show.
MOST_WITH_SAME_ID: Final = 5
#: An empty set of facts, for a description based only on the history.
NO_FACTS: Final = LeadFacts()


def load_facts(tx: Transaction, story: LeadHistory, now: dt.datetime) -> LeadFacts:
    """Load a lead's related bookings in Knock, pauses and user actions."""
    booked = [one for one in story.current if one.state is BookingState.BOOKED]
    cards = ((one.id, after_in_knock(tx, one)) for one in booked if one.kind is Kind.PROSPECT)
    before = {one.id: _unsent(story, one.id) for one in story.current}
    for tour in booked:
        if tour.kind is Kind.APPOINTMENT:
            before[tour.id] += before_in_knock(tx, tour)
    actions = tx.audit.of_lead(story)
    replaced = replacing_in_knock(tx, story.bookings)
    tours = {number: tour for number, tour in cards if tour is not None}
    linked = {*story.others, *(one.id for one in (*story.related, *replaced.values()))}
    linked |= {one.id for one in itertools.chain(tours.values(), *before.values())}
    return LeadFacts(
        replaced=replaced,
        tours=tours,
        before=before,
        same_id=_with_same_id(tx, story, linked, now),
        cancellations=tx.bookings.open_cancellations(booked),
        gone={one.id: why for one in booked if (why := tx.bookings.why_gone(one)) is not None},
        pauses=_pauses(tx, story),
        actions=actions,
        assignments=_assignments(tx, story, actions),
    )


def _assignments(
    tx: Transaction, story: LeadHistory, actions: Sequence[AuditEntry]
) -> Mapping[dt.datetime, AuditEntry]:
    replays = [one for one in actions if one.action == "replayed"]
    found = ((one.at, tx.audit.assignment_before(one)) for one in replays)
    return {
        at: one
        for at, one in found
        if one is not None and at - one.at < ONE_CLICK and _has_moved(story, one, at)
    }


def _has_moved(story: LeadHistory, assignment: AuditEntry, at: dt.datetime) -> bool:
    """Return True if a lead that was read again got or lost the community of an assignment."""
    source, _, community = assignment.detail.partition(": ")
    replaced = {one.booking_id for one in story.history if one.at == at and one.why == REPLAYED}
    before = {one.community == community for one in story.bookings if one.id in replaced}
    after = {one.community == community for one in story.bookings if one.created_at == at}
    is_undone = assignment.action == "property_unassigned"
    return source == story.event.source and is_undone in before and (not is_undone) in after


def _with_same_id(
    tx: Transaction, story: LeadHistory, linked: Collection[int], now: dt.datetime
) -> Mapping[int, Sequence[Booking]]:
    """Return the newest other leads that the sender gave a booking's ID, by booking ID."""
    keys = {one.item_key: one.id for one in story.current if one.item_key is not None}
    if not keys:
        return {}
    others: dict[int, list[Booking]] = {}
    for one in reversed(tx.bookings.of_keys(keys, now)):
        if one.item_key in keys and one.event_id != story.event.id and one.id not in linked:
            others.setdefault(keys[one.item_key], []).append(one)
    return {number: found[:MOST_WITH_SAME_ID] for number, found in others.items()}


def _pauses(tx: Transaction, story: LeadHistory) -> Mapping[int, Pause]:
    pending = [one for one in story.current if one.state is BookingState.PENDING]
    found = ((one.id, tx.send_queue.pause_of(one.source, one.community)) for one in pending)
    return {number: pause for number, pause in found if pause is not None}


def _unsent(story: LeadHistory, number: int) -> list[Booking]:
    """Return the requests that a booking replaced before they were sent, oldest first."""
    is_replaced = (BookingState.SUPERSEDED, number)
    found = [one for one in reversed(story.related) if (one.state, one.because_of) == is_replaced]
    return [one for one in found if one.reason != REPLAYED]
