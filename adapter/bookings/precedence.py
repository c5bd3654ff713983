"""Decide what counts of all requests of one person at one community. All functions are pure.

Knock keeps one upcoming tour per person and community: a second booking cancels the first, and
each booking emails the renter. So the person's last word counts, an older request is never sent
after it, and the same tour requested twice is booked once. A tour creates the guest card too, so a
person who has a tour or a guest card needs no further card.

:func:`plan` computes this again from everything that is known, whenever something changes. Nothing
depends on the order in which requests and answers arrived. What only a new request raises (is it a
repeat? another person?) is decided once, by :func:`decide_new`.
"""

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence

from adapter.bookings.same_person import Relation, relation
from adapter.models import Booking, BookingState, Kind, Reason

#: The ID of a request that is not stored yet: it is newer than all others.
NEW = 2**63 - 1
#: The field of a reason that names the rule of a decision and the other lead.
FIELD = "decision"

#: States of a booking that exists, may exist, or is about to be made in Knock.
SENT = (
    BookingState.SENDING,
    BookingState.SUBMITTED,
    BookingState.BOOKED,
    BookingState.UNKNOWN,
)
#: States in which a request waits for a person.
WAITING = (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED)
#: States of a booking that can be canceled here, because it is certainly not in Knock.
CANCELABLE = (BookingState.PENDING, *WAITING)
#: Reason codes of requests that were ready to be sent before a person was needed.
_HELD_WHILE_SENT = frozenset({"not_authorized", "internal_error"})
#: Reason codes of decisions that change when the other lead changes.
_REVISABLE = frozenset(
    {
        "newer_request",
        "newer_request_came_first",
        "same_person_and_time",
        "same_person_has_a_tour",
        "same_person_asked_before",
    }
)
#: A request this long after the last guest card is a new lead that agents should see.
PROSPECT_LIFETIME = dt.timedelta(days=30)

#: The sentence for each reason code, with the other lead's ID.
SENTENCES: Mapping[str, str] = {
    "same_person_and_time": "the same person already requested this tour: booking {}",
    "same_person_has_a_tour": "this person has a tour, which creates the guest card: booking {}",
    "same_person_asked_before": "this person already has a guest card: booking {}",
    "item_seen_before": "the sender sent this before, unchanged: booking {}",
    "newer_request": "a newer request of the same person replaced it: booking {}",
    "newer_request_came_first": "this person has a newer request: booking {}",
    "two_tours_at_once": "the same webhook requests another tour for this person here: booking {}; "
    "Knock keeps only one",
    "changed_after_first": "the sender changed the contact or the community after booking {} was "
    "sent",
    "repeat_or_change": "the sender sent exactly this before, and something else since: booking "
    "{}. It is a late repeat, or the renter changed back",
    "dismissed_before": "booking {}, the same request, was dismissed; the renter asked again after "
    "that",
    "another_person": "someone with another name uses the same email or phone at this community: "
    "booking {}. Knock may take them for one person and cancel that tour",
    "canceled_before": "the sender canceled it before it arrived: booking {}",
    "original_canceled": "its sender canceled booking {}, which this request was merged with",
    "original_dismissed": "booking {}, which this request was merged with, was dismissed",
    "asked_again": "the renter's last word again, after booking {}",
    "carried_out_late": "Propexo carried this request out after the renter's newer one, booking "
    "{}, so Knock may have this tour instead of that one",
    "cancelled_by_sender": "the sender canceled it: booking {}",
    "cancellation": "booking {} was sent to Knock: cancel any tour of it there",
    "cancellation_elsewhere": "no booking with this key is known here, but the same person has a "
    "tour that another sender booked: booking {}",
    "cancellation_unclear": "several people have this key: find out whose tour to cancel",
    "cancellation_done": "booking {} does not stand in Knock: nothing is left to cancel",
    "taken_back": "the sender took the cancellation back: booking {}",
    "booking_came_later": "its booking arrived after it and waits for a person: booking {}",
}
_NO_BOOKING = "no booking with this key is known here: look for the tour in Knock"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What happens to a request, by which rule, and because of which other lead."""

    state: BookingState
    code: str
    because_of: int | None = None

    @property
    def reason(self) -> Reason:
        """The rule as a sentence for a person."""
        if self.because_of is None and self.code == "cancellation":
            return Reason(field=FIELD, reason=_NO_BOOKING)
        return Reason(field=FIELD, reason=SENTENCES[self.code].format(self.because_of))

    def applied_to(self, booking: Booking) -> Booking:
        """Return a booking that is not stored yet, as decided."""
        return dataclasses.replace(
            booking,
            state=self.state,
            reason=self.code,
            because_of=self.because_of,
            reasons=(*booking.reasons, self.reason),
            due_at=booking.due_at if self.state is BookingState.PENDING else None,
        )

    def changes(self, booking: Booking) -> bool:
        """Return whether the booking is not yet as decided."""
        return (self.state, self.code, self.because_of) != (
            booking.state,
            booking.reason,
            booking.because_of,
        )


def plan(requests: Iterable[Booking], now: dt.datetime) -> dict[int, Decision]:
    """Return the decisions that change something, by request ID.

    ``requests`` are all of one person at one community, in any order, with those under the same
    keys of the senders.
    """
    person = _Person(tuple(requests), now)
    found = {request.id: _decide(request, person) for request in person.requests}
    return {
        id_: decision
        for id_, decision in found.items()
        if decision is not None and decision.changes(person.by_id[id_])
    }


def decide_new(
    new: Booking,
    same: Sequence[Booking],
    unclear: Sequence[Booking],
    now: dt.datetime,
    *,
    is_repeat: bool,
    has_sent_at: bool,
) -> Decision | None:
    """Return the decision on a new request, or None if it may go on as mapped.

    ``same`` are the person's other requests, ``unclear`` those of someone who may be the same.
    With ``is_repeat``, the same bytes came before. ``has_sent_at``: the sender said when it was.
    """
    repeat = _unchanged(new, same, has_sent_at=has_sent_at) or _older_version(new, same)
    if repeat is not None or new.state is not BookingState.PENDING:
        return repeat
    changed = _held_change(new, same, now)
    if changed is not None:
        return changed
    if is_repeat and _may_undo(new, same, now):
        return _held_repeat(same, now)
    planned = plan((*same, new), now).get(new.id)
    if planned is not None and planned.state is not BookingState.SUPERSEDED:
        return planned
    return (
        held_twins(new, same, now)
        or planned
        or _held_canceled(new, same, has_sent_at=has_sent_at)
        or held_person(unclear, now)
    )


def is_current(booking: Booking, now: dt.datetime) -> bool:
    """Return True for an upcoming tour or a guest card less than 30 days old."""
    if booking.kind is Kind.PROSPECT:
        return max(booking.created_at, booking.asked_at) > now - PROSPECT_LIFETIME
    return booking.starts_at is not None and booking.starts_at > now


def may_replace(kind: Kind, other: Kind) -> bool:
    """Return whether one kind may replace another. A guest card never replaces a tour."""
    return kind is Kind.APPOINTMENT or other is Kind.PROSPECT


def replaced_in_knock(other: Booking, booking: Booking) -> bool:
    """Return whether Knock canceled ``booking``: ``other`` was posted later, both upcoming then."""
    if booking.posted_at is None or other.posted_at is None:
        return False
    return (
        booking.state is other.state is BookingState.BOOKED
        and booking.kind is other.kind is Kind.APPOINTMENT
        and booking.posted_at < other.posted_at
        and all(
            tour.starts_at is not None and other.posted_at < tour.starts_at
            for tour in (booking, other)
        )
    )


def posted_later(booking: Booking, others: Iterable[Booking]) -> Booking | None:
    """Return the tour that Knock replaced ``booking`` with, the last posted after it, or None.

    Knock knows people by their contacts alone.
    """
    later = [
        one
        for one in others
        if one.kind is Kind.APPOINTMENT
        and one.state in SENT
        and one.gone_at is None
        and one.posted_at is not None
        and booking.posted_at is not None
        and one.posted_at > booking.posted_at
        and one.person_keys & booking.person_keys
    ]
    return max(later, key=_posting_order, default=None)


def newer_but_posted_earlier(booking: Booking, others: Iterable[Booking]) -> Booking | None:
    """Return the newest request whose tour Knock canceled for the older ``booking``, or None."""
    newer = [
        one
        for one in others
        if order(one) > order(booking)
        and relation(one, booking) is Relation.SAME
        and one.starts_at != booking.starts_at
        and posted_later(one, (booking,)) is not None
    ]
    return max(newer, key=order, default=None)


def carried_out_late(newer: Booking) -> Reason:
    """Return the reason to leave a booking to a person because ``newer`` should stand instead."""
    return Reason(field=FIELD, reason=SENTENCES["carried_out_late"].format(newer.id))


def order(booking: Booking) -> tuple[dt.datetime, int]:
    """Return what requests are ordered by: when the renter asked, then the arrival."""
    return (booking.asked_at, booking.id)


@dataclasses.dataclass(frozen=True)
class _Person:
    """Everything that is known of one person at one community."""

    requests: tuple[Booking, ...]
    now: dt.datetime

    @functools.cached_property
    def by_id(self) -> Mapping[int, Booking]:
        return {request.id: request for request in self.requests}

    @functools.cached_property
    def cancellations(self) -> Mapping[int, Booking]:
        """The newest cancellation of each request that the sender canceled after it."""
        return {
            request.id: max(after, key=order)
            for request in self.requests
            if not request.is_cancellation and (after := _canceling(request, self.requests))
        }

    @functools.cached_property
    def wanted(self) -> Sequence[Booking]:
        """The current requests that were ready to be sent, or were sent."""
        return [one for one in self.requests if is_current(one, self.now) and self._counts(one)]

    def _counts(self, request: Booking) -> bool:
        if request.is_cancellation or request.gone_at is not None:
            return False
        if request.state in SENT:
            return True
        return request.id not in self.cancellations and (
            request.state is BookingState.PENDING
            or _was_ready(request)
            or self.is_revisable(request)
        )

    def is_revisable(self, request: Booking) -> bool:
        """Return whether the request was merged or replaced, by a lead that is still known."""
        merged = (BookingState.SUPERSEDED, BookingState.DUPLICATE)
        other = self.by_id.get(request.because_of or 0)
        if request.state not in merged or other is None:
            return False
        if request.reason == "item_seen_before":
            between = _canceling(other, self.requests)
            between += [one for one in self.requests if _is_between(one, other, request)]
            return any(order(one) < order(request) for one in between)
        if other.state is BookingState.HELD and other.id not in self.cancellations:
            return False  # the other one waits for a person
        is_same_tour = request.starts_at == other.starts_at
        is_known = is_current(other, self.now) and (other.gone_at is None or is_same_tour)
        return request.reason in _REVISABLE and is_known

    @functools.cached_property
    def tours(self) -> Sequence[Booking]:
        return [one for one in self.wanted if one.kind is Kind.APPOINTMENT]

    @functools.cached_property
    def last(self) -> Booking | None:
        """The tour that the person asked for last."""
        return max(self.tours, key=order, default=None)

    @functools.cached_property
    def standing(self) -> Booking | None:
        """The tour that Knock has, or will have once it is made: the one posted last."""
        sent = [one for one in self.tours if one.state in SENT]
        return max(sent, key=_posting_order, default=None)

    def newer_version(self, request: Booking) -> Booking | None:
        """Return the newest version of a pending request that its sender sent after it."""
        newer = [
            one
            for one in self.wanted
            if one.state is BookingState.PENDING
            and _are_versions(one, request)
            and order(one) > order(request)
            and may_replace(one.kind, request.kind)
        ]
        return max(newer, key=order, default=None)

    def tour_for(self, request: Booking) -> Booking:
        """Return the booking that stands for the tour of ``request``."""
        twins = [one for one in self.tours if one.starts_at == request.starts_at]
        if self.standing in twins:
            assert self.standing is not None  # noqa: S101 - a twin is a booking
            return self.standing
        pending = [
            one
            for one in twins
            if one.state is BookingState.PENDING and self.newer_version(one) is None
        ]
        waiting = [one for one in twins if one.state in WAITING]
        if pending:
            return min(pending, key=lambda one: one.id)
        unsent = waiting or [one for one in twins if one.state not in SENT]
        return max(unsent, key=order)


def _canceling(request: Booking, requests: Iterable[Booking]) -> list[Booking]:
    return [
        one
        for one in requests
        if one.is_cancellation
        and one.reason != "cancellation_unclear"
        and _are_versions(one, request)
        and order(one) > order(request)
    ]


def _are_versions(one: Booking, other: Booking) -> bool:
    """Return whether two requests have the same key of their sender."""
    return one.item_key is not None and one.item_key == other.item_key


def _was_ready(booking: Booking) -> bool:
    is_held = booking.state is BookingState.HELD
    return booking.state in WAITING and (not is_held or booking.reason in _HELD_WHILE_SENT)


def _posting_order(booking: Booking) -> tuple[dt.datetime, int]:
    return (booking.posted_at or booking.updated_at, booking.id)


def _decide(request: Booking, person: _Person) -> Decision | None:
    if request.is_cancellation:
        return _decide_cancellation(request, person)
    canceled = person.cancellations.get(request.id)
    if canceled is not None and request.state in CANCELABLE:
        return Decision(
            state=BookingState.DISCARDED, code="cancelled_by_sender", because_of=canceled.id
        )
    if request.state in WAITING:
        return _decide_waiting(request, person)
    if request not in person.wanted or request.state in SENT or request.reason == "forced":
        return None
    newer = person.newer_version(request) if request.state is BookingState.PENDING else None
    if newer is not None:
        return _superseded(request, newer)
    is_tour = request.kind is Kind.APPOINTMENT
    return _decide_tour(request, person) if is_tour else _decide_prospect(request, person)


def _decide_tour(request: Booking, person: _Person) -> Decision | None:
    """Decide a tour: it is the last word, the same tour as another request, or outdated."""
    last = person.last
    assert last is not None  # noqa: S101 - it is one of the tours
    if request.starts_at != last.starts_at:
        return _superseded(request, last)
    tour = person.tour_for(request)
    if tour is request:
        return _wanted_again(request, person)
    is_newer_version = _are_versions(tour, request) and order(tour) > order(request)
    return _superseded(request, tour) if is_newer_version else duplicate_of(request, tour)


def _decide_prospect(request: Booking, person: _Person) -> Decision | None:
    tours = [one for one in person.tours if one.state not in WAITING]
    if tours:
        tour = max(tours, key=order)
        was_ready = request.state is BookingState.PENDING and request.id != NEW
        is_replaced = was_ready or request.state is BookingState.SUPERSEDED
        return _superseded(request, tour) if is_replaced else duplicate_of(request, tour)
    cards = [
        one
        for one in person.wanted
        if one.kind is Kind.PROSPECT and (one.state in SENT or _is_earlier_card(one, request))
    ]
    if cards:
        return duplicate_of(request, max(cards, key=order))
    return _wanted_again(request, person)


def _is_earlier_card(one: Booking, request: Booking) -> bool:
    is_waiting = one.state is BookingState.PENDING and one.id < request.id
    return is_waiting and not _are_versions(one, request)


def duplicate_of(request: Booking, other: Booking) -> Decision:
    """Return the decision that ``other`` covers a request."""
    codes = {
        (Kind.APPOINTMENT, Kind.APPOINTMENT): "same_person_and_time",
        (Kind.PROSPECT, Kind.APPOINTMENT): "same_person_has_a_tour",
        (Kind.PROSPECT, Kind.PROSPECT): "same_person_asked_before",
    }
    code = codes[request.kind, other.kind]
    return Decision(state=BookingState.DUPLICATE, code=code, because_of=other.id)


def _superseded(request: Booking, other: Booking) -> Decision:
    code = "newer_request_came_first" if request.id == NEW else "newer_request"
    if request.state is BookingState.SUPERSEDED and request.reason is not None:
        code = request.reason
    return Decision(state=BookingState.SUPERSEDED, code=code, because_of=other.id)


def _wanted_again(request: Booking, person: _Person) -> Decision | None:
    """Decide the last word. If it was merged with a lead that ended, someone may have to decide."""
    if request.state is BookingState.PENDING or request.because_of is None:
        return None
    other = person.by_id[request.because_of]
    canceled = person.cancellations.get(other.id)
    again = Decision(state=BookingState.PENDING, code="asked_again", because_of=other.id)
    if canceled is not None and (other.state not in SENT or other.gone_at is not None):
        held = Decision(state=BookingState.HELD, code="original_canceled", because_of=other.id)
        return again if order(request) > order(canceled) else held
    if other.state in WAITING or other.gone_at is not None:
        return None
    if other.state is not BookingState.DISCARDED:
        return again
    if _are_versions(request, other):
        return None
    return Decision(state=BookingState.HELD, code="original_dismissed", because_of=other.id)


def _decide_waiting(request: Booking, person: _Person) -> Decision | None:
    """Replace a request that waits for a person, by a newer version or by a tour that stands."""
    versions = [
        one
        for one in person.requests
        if _are_versions(one, request)
        and order(one) > order(request)
        and _is_version(one, request, person)
    ]
    if versions:
        return _superseded(request, max(versions, key=order))
    tour = person.standing
    if tour is None or tour.state is not BookingState.BOOKED or request not in person.wanted:
        return None
    if order(tour) < order(request) or not may_replace(tour.kind, request.kind):
        return None
    is_same = tour.starts_at == request.starts_at or request.kind is Kind.PROSPECT
    return duplicate_of(request, tour) if is_same else _superseded(request, tour)


def _is_version(newer: Booking, request: Booking, person: _Person) -> bool:
    """Return whether ``newer`` is the sender's newer version of a request."""
    is_held_as_mapped = newer.state is BookingState.HELD and newer.reason == "held_by_mapping"
    return (
        not newer.is_cancellation
        and may_replace(newer.kind, request.kind)
        and (newer in person.wanted or is_held_as_mapped)
    )


def _decide_cancellation(request: Booking, person: _Person) -> Decision | None:
    """Decide an open cancellation: done, taken back, or to be carried out in Knock by a person."""
    if request.state is not BookingState.HELD or request.item_key is None:
        return None if request.id != NEW else Decision(state=BookingState.HELD, code="cancellation")
    if request.reason == "cancellation_unclear":
        return None
    first = _first_cancellation(request, person.requests)
    if first is not request:
        return Decision(state=BookingState.DUPLICATE, code="item_seen_before", because_of=first.id)
    canceled = [
        one
        for one in person.requests
        if not one.is_cancellation and request in _canceling(one, person.requests)
    ]
    again = _asked_after(request, canceled, person)
    if again is not None:
        is_held = again.reason == "canceled_before"
        code = "booking_came_later" if is_held else "taken_back"
        return Decision(state=BookingState.DISCARDED, code=code, because_of=again.id)
    standing = [one for one in canceled if _may_stand(one, person)]
    if standing:
        newest = max(standing, key=_posting_order)
        return Decision(state=BookingState.HELD, code="cancellation", because_of=newest.id)
    if canceled:
        code, newest = "cancellation_done", max(canceled, key=order)
        return Decision(state=BookingState.DISCARDED, code=code, because_of=newest.id)
    if person.standing is not None:
        return _held("cancellation_elsewhere", person.standing)
    return Decision(state=BookingState.HELD, code="cancellation")


def _first_cancellation(request: Booking, requests: Iterable[Booking]) -> Booking:
    """Return the cancellation that ``request`` repeats: nothing was requested between them."""
    versions = sorted((one for one in requests if _are_versions(one, request)), key=order)
    first = request
    for one in reversed(versions[: versions.index(request)]):
        if not one.is_cancellation:
            break
        first = one
    return first


def _asked_after(
    cancellation: Booking, canceled: Sequence[Booking], person: _Person
) -> Booking | None:
    """Return a request after the cancellation, under its key or for a tour that it canceled."""
    starts = {one.starts_at for one in canceled if one.starts_at is not None}
    again = [
        one
        for one in person.requests
        if not one.is_cancellation
        and order(one) > order(cancellation)
        and one.state is not BookingState.DISCARDED
        and one.reason != "repeat_or_change"
        and (
            _are_versions(one, cancellation)
            or (one.starts_at in starts and one.state is not BookingState.SUPERSEDED)
        )
    ]
    return max(again, key=order, default=None)


def _may_stand(canceled: Booking, person: _Person) -> bool:
    """Return whether Knock may still have a canceled booking: no later tour has replaced it."""
    if canceled.state not in SENT or canceled.gone_at is not None:
        return False
    return not any(
        one.kind is Kind.APPOINTMENT
        and one.state in (BookingState.SUBMITTED, BookingState.BOOKED)
        and _posting_order(one) > _posting_order(canceled)
        for one in person.tours
    )


def _versions(new: Booking, same: Iterable[Booking]) -> list[Booking]:
    """Return the other requests under the new one's key, oldest first."""
    versions = [
        one
        for one in same
        if _are_versions(one, new) and not one.is_cancellation and one.event_id != new.event_id
    ]
    return sorted(versions, key=order)


def _unchanged(new: Booking, same: Sequence[Booking], *, has_sent_at: bool) -> Decision | None:
    """Recognize what the sender sent last under the same key, unless it canceled it since.

    If a user has dismissed it, and the renter asked again after that, a user decides again.
    """
    latest = next(reversed(_versions(new, same)), None)
    if latest is None or latest.content != new.content or _was_canceled(new, same):
        return None
    if any(_is_between(one, latest, new) for one in same):
        return None
    if latest.state is BookingState.DISCARDED and has_sent_at and new.asked_at > latest.updated_at:
        return _held("dismissed_before", latest)
    return Decision(state=BookingState.DUPLICATE, code="item_seen_before", because_of=latest.id)


def _is_between(one: Booking, earlier: Booking, later: Booking) -> bool:
    """Return whether the sender requested another tour between two requests."""
    return (
        one.source == later.source
        and one.starts_at != later.starts_at
        and one.state not in (BookingState.HELD, BookingState.DISCARDED)
        and not one.is_cancellation
        and order(earlier) < order(one) < order(later)
    )


def _was_canceled(new: Booking, same: Sequence[Booking]) -> bool:
    """Return whether the sender canceled the latest version before it sent the new one."""
    latest = next(reversed(_versions(new, same)), None)
    return latest is not None and any(order(one) < order(new) for one in _canceling(latest, same))


def _older_version(new: Booking, same: Sequence[Booking]) -> Decision | None:
    newer = [
        one
        for one in _versions(new, same)
        if order(one) > order(new) and may_replace(one.kind, new.kind)
    ]
    return _superseded(new, newer[-1]) if newer else None


def held_twins(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold the second of two tours that one webhook requests for one person."""
    twins = [
        one
        for one in _Person(tuple(same), now).tours
        if one.event_id == new.event_id and one.starts_at != new.starts_at
    ]
    if not twins or new.kind is Kind.PROSPECT:
        return None
    return _held("two_tours_at_once", max(twins, key=order))


def _held_change(new: Booking, same: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a version for another contact or community: Knock would keep the first tour too."""
    sent = [
        one
        for one in _versions(new, same)
        if one.state in SENT
        and one.gone_at is None
        and is_current(one, now)
        and not one.person_keys & new.person_keys
    ]
    return _held("changed_after_first", sent[-1]) if sent else None


def _held_canceled(new: Booking, same: Sequence[Booking], *, has_sent_at: bool) -> Decision | None:
    """Hold the first booking under a key that was canceled before, if its own time is not known."""
    before = [
        one
        for one in same
        if one.is_cancellation
        and _are_versions(one, new)
        and one.state is BookingState.HELD
        and one.because_of is None
    ]
    if has_sent_at or not before or _versions(new, same):
        return None
    return _held("canceled_before", max(before, key=order))


def _may_undo(new: Booking, same: Sequence[Booking], now: dt.datetime) -> bool:
    """Return whether a repeat would undo what the sender or another one sent since."""
    last = _Person(tuple(same), now).last
    is_other_tour = last is None or last.starts_at != new.starts_at
    return new.kind is Kind.APPOINTMENT and (is_other_tour or _was_canceled(new, same))


def _held_repeat(same: Sequence[Booking], now: dt.datetime) -> Decision:
    """Hold the same bytes again: a late repeat must not undo what the sender sent since."""
    since = _Person(tuple(same), now).last or max(same, key=order)
    return _held("repeat_or_change", since)


def held_person(unclear: Sequence[Booking], now: dt.datetime) -> Decision | None:
    """Hold a request if someone else may be the same person for Knock, which keeps one tour."""
    others = [one for one in unclear if one in _Person(tuple(unclear), now).wanted]
    return _held("another_person", max(others, key=order)) if others else None


def _held(code: str, other: Booking) -> Decision:
    return Decision(state=BookingState.HELD, code=code, because_of=other.id)
