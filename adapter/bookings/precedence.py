"""Decide which of a person's requests at a community takes precedence.

Knock keeps one upcoming tour per person and community: a second booking cancels the first, and
Knock emails the renter about each booking. So the person's latest request counts, an older request
is never sent after it, and a tour requested twice is booked once. Booking a tour also creates the
guest card, so a person who has a tour or a guest card does not need another card.

:func:`plan` recomputes this from all requests whenever something changes. The result does not
depend on the order of requests and responses. Questions that arise only for a new request (Is it a
repeat? Is it from another person?) are decided once, by :func:`decide_new`. All functions are pure.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from adapter.bookings.decisions import Decision, duplicate_of, held, seen_before, superseded
from adapter.bookings.person import (
    CANCELABLE,
    MERGED,
    NEW,
    SENT,
    WAITING,
    WITHOUT_EFFECT,
    Person,
    are_versions,
    canceling,
    concerns,
    may_exist,
    may_replace,
    order,
    posting_order,
)
from adapter.models import CANCELED_BY_RENTER, Booking, BookingState, Kind

#: Maximum number of times that all decisions are recomputed.
MOST_ROUNDS = 5
#: Reason codes of held requests that are new versions of earlier ones with the same key.
_NEW_VERSION = frozenset(
    {
        *("held_by_mapping", "another_person", "changed_after_first", "contact_changed"),
        *("not_proved", "shared_key"),
    }
)


def plan(requests: Iterable[Booking], now: dt.datetime) -> dict[int, Decision]:
    """Return the decisions that change a person's requests, keyed by request ID.

    ``requests`` contains all requests from one person at one community, in any order, with those
    that have the same sender and key. One decision may affect another, so all are recomputed until
    none changes.
    """
    before = {request.id: request for request in requests}
    after, found = dict(before), dict[int, Decision]()
    for _ in range(MOST_ROUNDS):
        person = Person(tuple(after.values()), now)
        changes = dict(_changed(person))
        if not changes:
            break
        found |= changes
        after |= {id_: decision.changed(after[id_]) for id_, decision in changes.items()}
    return {id_: decision for id_, decision in found.items() if decision.changes(before[id_])}


def _changed(person: Person) -> Iterator[tuple[int, Decision]]:
    for request in person.requests:
        decision = _decide(request, person)
        if decision is not None and _changes(decision, request, person):
            yield request.id, decision


def _changes(decision: Decision, request: Booking, person: Person) -> bool:
    """Return True if a decision differs from the stored one and must be saved.

    A replaced request keeps the ID of the first request that replaced it, unless that request was
    discarded or needs review. Otherwise, each new request would rewrite all earlier ones.
    """
    is_same = decision.state is request.state is BookingState.SUPERSEDED
    other = person.by_id.get(request.because_of or 0)
    is_true = other is not None and other.state not in (BookingState.DISCARDED, *WAITING)
    return decision.changes(request) and not (is_same and is_true)


def _decide(request: Booking, person: Person) -> Decision | None:
    if request.is_cancellation:
        is_theirs = concerns(request, person.requests)
        return _decide_cancellation(request, person) if is_theirs else None
    canceled = person.cancellations.get(request.id)
    if canceled is not None and request.state in CANCELABLE:
        return Decision(
            state=BookingState.DISCARDED, code="cancelled_by_sender", because_of=canceled.id
        )
    if request.state in WAITING:
        return _decide_waiting(request, person)
    if request.id not in person.wanted_ids or request.state in SENT or _is_forced_card(request):
        return _decide_repeat(request, person)
    newer = person.newer_version(request) if request.state is BookingState.PENDING else None
    if newer is not None:
        return superseded(request, newer)
    local = person.at(request.community)
    if request.state in MERGED and request.because_of not in local.by_id:
        return None  # its sender moved it to another community
    is_tour = request.kind is Kind.APPOINTMENT
    return _decide_tour(request, local) if is_tour else _decide_prospect(request, local)


def _decide_repeat(request: Booking, person: Person) -> Decision | None:
    """Hold a repeated request if an older request arrived after it."""
    original, last = person.by_id.get(request.because_of or 0), person.at(request.community).last
    if request.reason != "item_seen_before" or original is None or last is None:
        return None
    is_between = order(original) < order(last) < order(request)
    is_other = last.starts_at != request.starts_at and request.state in MERGED
    return held("repeat_or_change", last) if is_between and is_other else None


def _decide_tour(request: Booking, person: Person) -> Decision | None:
    """Decide whether a tour is the latest request, a duplicate, or already replaced."""
    last = person.last
    assert last is not None  # noqa: S101 - the request is one of the tours
    if request.starts_at != last.starts_at:
        return superseded(request, last)
    tour = person.tour_for(request)
    if tour is request:
        return _wanted_again(request, person)
    is_newer_version = are_versions(tour, request) and order(tour) > order(request)
    return superseded(request, tour) if is_newer_version else duplicate_of(request, tour)


def _decide_prospect(request: Booking, person: Person) -> Decision | None:
    sendable = (BookingState.PENDING, *SENT)
    tours = [one for one in person.tours if one.state in sendable]
    if tours:
        tour = max(tours, key=order)
        was_ready = request.state is BookingState.PENDING and request.id != NEW
        is_replaced = was_ready or request.state is BookingState.SUPERSEDED
        return superseded(request, tour) if is_replaced else duplicate_of(request, tour)
    cards = [
        one
        for one in person.wanted
        if one.kind is Kind.PROSPECT
        and (one.state in SENT or _is_earlier_card(one, request, person))
    ]
    if cards:
        return duplicate_of(request, max(cards, key=order))
    newer = person.newer_version(request)
    return superseded(request, newer) if newer else _wanted_again(request, person)


def _is_earlier_card(one: Booking, request: Booking, person: Person) -> bool:
    """Return True if the guest card ``one`` will be sent instead of ``request``.

    All versions from a sender rank like the first of them. Otherwise, three guest cards could each
    wait for the next.
    """
    if one.state is not BookingState.PENDING or are_versions(one, request):
        return False
    places = [
        (person.first_version.get(card.item_key, card.id), card.id) for card in (one, request)
    ]
    return places[0] < places[1]


def _wanted_again(request: Booking, person: Person) -> Decision | None:
    """Decide whether to send or review a request after the lead it was merged with has changed."""
    if request.state is BookingState.PENDING or request.because_of is None:
        return None
    other = person.end_of(request)
    canceled = person.cancellations.get(other.id)
    again = Decision(state=BookingState.PENDING, code="asked_again", because_of=other.id)
    if other.reason == CANCELED_BY_RENTER:
        # The renter wants no tour, but the lead still needs a guest card.
        return again if request.kind is Kind.PROSPECT else None
    if canceled is not None and not may_exist(other):
        is_later = order(request) > order(canceled)
        return again if is_later else held("original_canceled", other)
    if other.state in WAITING or other.is_gone:
        return None
    if other.state is not BookingState.DISCARDED:
        return again
    if are_versions(request, other):
        return None
    return held("original_dismissed", other)


def _decide_waiting(request: Booking, person: Person) -> Decision | None:
    """Close a request in review if a newer version or a booked tour makes it obsolete."""
    versions = [
        one
        for one in person.requests
        if are_versions(one, request)
        and order(one) > order(request)
        and _is_version(one, request, person)
    ]
    if versions:
        return superseded(request, max(versions, key=order))
    tour = person.at(request.community).standing
    if tour is None or tour.state is not BookingState.BOOKED or request.id not in person.wanted_ids:
        return None
    if order(tour) < order(request) or not may_replace(tour.kind, request.kind):
        return None
    is_same = tour.starts_at == request.starts_at or request.kind is Kind.PROSPECT
    return duplicate_of(request, tour) if is_same else superseded(request, tour)


def _is_version(newer: Booking, request: Booking, person: Person) -> bool:
    """Return True if ``newer`` is a later version that replaces ``request``.

    A version that was merged with ``request`` itself is no reason to close it.
    """
    if newer.is_cancellation or not may_replace(newer.kind, request.kind):
        return False
    if newer.state is BookingState.HELD:
        return newer.reason in _NEW_VERSION
    other = person.by_id.get(newer.because_of or 0)
    is_merged = newer.state in MERGED and (other is None or other.state not in SENT)
    return newer.id in person.wanted_ids and not is_merged


def _decide_cancellation(request: Booking, person: Person) -> Decision | None:
    """Decide whether a cancellation is complete, withdrawn, or still has to be made in Knock."""
    if request.state is not BookingState.HELD or request.item_key is None:
        return None
    if request.reason == "repeat_or_change":
        return _decide_repeated_cancellation(request, person)
    if request.reason in WITHOUT_EFFECT:
        return None
    first = _first_cancellation(request, person.requests)
    if first is not request:
        return seen_before(first)
    canceled = [
        one
        for one in person.requests
        if not one.is_cancellation and request in canceling(one, person.requests)
    ]
    again = _asked_after(request, canceled, person)
    if again is not None:
        is_unclear = again.state in WAITING and again.reason != "contact_changed"
        code = "booking_came_later" if is_unclear else "taken_back"
        return Decision(state=BookingState.DISCARDED, code=code, because_of=again.id)
    standing = sorted((one for one in canceled if _may_stand(one, person)), key=posting_order)
    if standing:
        also = tuple(one.id for one in standing[:-1])
        return dataclasses.replace(held("cancellation", standing[-1]), also=also)
    merged = [one for one in _covering(canceled, person) if _may_stand(one, person)]
    if merged:
        return held("cancellation_merged", max(merged, key=posting_order))
    canceled = canceled or _canceled_since(request, person)
    if canceled:
        code, newest = "cancellation_done", max(canceled, key=order)
        return Decision(state=BookingState.DISCARDED, code=code, because_of=newest.id)
    if person.standing is not None and order(person.standing) < order(request):
        return held("cancellation_elsewhere", person.standing)
    return Decision(state=BookingState.HELD, code="cancellation")


def _decide_repeated_cancellation(request: Booking, person: Person) -> Decision | None:
    """Close a repeated cancellation in review if the sender requested a tour after it."""
    later = [
        one
        for one in person.requests
        if are_versions(one, request)
        and not one.is_cancellation
        and order(one) > order(request)
        and one.state is not BookingState.DISCARDED
    ]
    if not later:
        return None
    newest = max(later, key=order)
    return Decision(state=BookingState.DISCARDED, code="taken_back", because_of=newest.id)


def _canceled_since(cancellation: Booking, person: Person) -> list[Booking]:
    """Return the canceled, unsent requests with a cancellation's sender and key."""
    return [
        one
        for one in person.requests
        if are_versions(one, cancellation)
        and not one.is_cancellation
        and one.id in person.cancellations
        and one.state not in SENT
    ]


def _is_forced_card(request: Booking) -> bool:
    """Return True if a user chose to send this guest card even though a tour may exist."""
    return request.reason == "forced" and request.kind is Kind.PROSPECT


def _covering(canceled: Iterable[Booking], person: Person) -> list[Booking]:
    """Return the uncanceled bookings that canceled requests were merged into."""
    ids = {
        one.because_of
        for one in canceled
        if one.state is BookingState.DUPLICATE or one.reason == "erased"
    }
    return [
        one
        for one in person.requests
        if one.id in ids and one.id not in person.cancellations and not one.is_cancellation
    ]


def _first_cancellation(request: Booking, requests: Iterable[Booking]) -> Booking:
    """Return the first of a request's consecutive cancellations."""
    versions = sorted((one for one in requests if are_versions(one, request)), key=order)
    first = request
    for one in reversed(versions[: versions.index(request)]):
        if not one.is_cancellation:
            break
        first = one
    return first


def _asked_after(
    cancellation: Booking, canceled: Sequence[Booking], person: Person
) -> Booking | None:
    """Return a later request that makes a cancellation obsolete, or None."""
    tours = {
        (one.community, one.starts_at)
        for one in canceled
        if one.starts_at is not None and one.state is not BookingState.SUPERSEDED
    }
    again = [
        one
        for one in person.requests
        if not one.is_cancellation
        and order(one) > order(cancellation)
        and _takes_back(one, is_first=not canceled)
        and (
            are_versions(one, cancellation)
            or (
                (one.community, one.starts_at) in tours and one.state is not BookingState.SUPERSEDED
            )
        )
    ]
    return max(again, key=order, default=None)


def _takes_back(request: Booking, *, is_first: bool) -> bool:
    """Return True if a request after a cancellation shows that the renter wants a tour again.

    A request in review shows that only if the cancellation had nothing to cancel, or if the review
    is only about a contact for the same tour.
    """
    if request.reason in ("item_seen_before", "same_delivery", "repeat_or_change"):
        return False
    if request.state in WAITING:
        return is_first or request.reason == "contact_changed"
    return request.state in (BookingState.PENDING, *SENT, *MERGED)


def _may_stand(canceled: Booking, person: Person) -> bool:
    """Return True if a canceled booking may still be in Knock."""
    if canceled.state is BookingState.PENDING and canceled.id not in person.cancellations:
        return True  # it is about to be sent
    return may_exist(canceled) and canceled.id not in person.replaced


def may_be_gone(tour: Booking, requests: Iterable[Booking], now: dt.datetime) -> bool:
    """Return True if Knock or a user may have canceled a tour in Knock.

    Knock may have replaced it with another tour. A user may have canceled it before dismissing a
    cancellation that needed review.
    """
    dismissed = [one for one in requests if _is_dismissed(one)]
    reopened = [
        dataclasses.replace(one, state=BookingState.HELD, reason="cancellation")
        for one in dismissed
    ]
    person = Person((*(one for one in requests if one not in dismissed), *reopened), now)
    asked = [_decide_cancellation(one, person) for one in reopened]
    is_asked = any(
        one.state is BookingState.HELD and one.because_of == tour.id for one in asked if one
    )
    return is_asked or person.at(tour.community).may_be_gone(tour)


def _is_dismissed(request: Booking) -> bool:
    is_users = request.reason not in ("cancellation_done", "taken_back", "booking_came_later")
    return request.is_cancellation and request.state is BookingState.DISCARDED and is_users
