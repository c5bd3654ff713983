"""Group all requests from one person at one community."""

import dataclasses
import datetime as dt
import functools
from collections.abc import Iterable, Mapping, Sequence

from adapter.bookings import knock_cards
from adapter.bookings.same_person import Relation, relation
from adapter.models import TIME_TAKEN, Booking, BookingState, Kind

#: The ID of a request that is not stored yet. It counts as newer than all others.
NEW = 2**63 - 1

#: States of a booking that exists, may exist, or will soon exist in Knock.
SENT = (
    BookingState.SENDING,
    BookingState.SUBMITTED,
    BookingState.BOOKED,
    BookingState.UNKNOWN,
)

#: States in which a request needs review.
WAITING = (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED)

#: States of a booking that can be canceled locally, because it is definitely not in Knock.
CANCELABLE = (BookingState.PENDING, *WAITING)

#: Reason codes of requests that were ready to be sent before they were held.
_HELD_WHILE_SENT = frozenset({"not_authorized", "internal_error", TIME_TAKEN})

#: Reason codes of decisions that may change when the other lead changes.
_REVISABLE = frozenset(
    {
        "newer_request",
        "newer_request_came_first",
        "same_person_and_time",
        "same_person_has_a_tour",
        "same_person_asked_before",
    }
)

#: States of requests that were merged with another request or replaced by it.
MERGED = (BookingState.SUPERSEDED, BookingState.DUPLICATE)
#: Reason codes of cancellations that have no effect until they are reviewed, because they are
#: ambiguous or may be retries.
WITHOUT_EFFECT = frozenset({"cancellation_unclear", "repeat_or_change", "same_delivery"})
#: A request that arrives this long after the last guest card is a new lead.
PROSPECT_LIFETIME = dt.timedelta(days=30)


def order(booking: Booking) -> tuple[dt.datetime, int]:
    """Return a request's sort key: the time of the request, then its ID."""
    return (booking.asked_at, booking.id)


def is_current(booking: Booking, now: dt.datetime) -> bool:
    """Return True for an upcoming tour or a guest card less than 30 days old.

    A tour that Knock moved is upcoming until both times have passed, because it may be requested
    again for the first one.
    """
    if booking.kind is Kind.PROSPECT:
        return max(booking.created_at, booking.asked_at) > now - PROSPECT_LIFETIME
    starts = filter(None, (booking.starts_at, booking.starts_in_knock))
    return any(start > now for start in starts)


def may_exist(booking: Booking) -> bool:
    """Return True if a booking exists or may exist in Knock, or is being sent."""
    return booking.state in SENT and not booking.is_gone


def is_wish_to_cancel(booking: Booking) -> bool:
    """Return True for a cancellation from the renter page that still needs review."""
    is_open = booking.is_cancellation and booking.state is BookingState.HELD
    return is_open and booking.item_key is None and booking.because_of is not None


def may_replace(kind: Kind, other: Kind) -> bool:
    """Return True if ``kind`` may replace ``other``. A guest card never replaces a tour."""
    return kind is Kind.APPOINTMENT or other is Kind.PROSPECT


@dataclasses.dataclass(frozen=True)
class Person:
    """All known requests from one person at one community."""

    requests: tuple[Booking, ...]
    now: dt.datetime

    @functools.cached_property
    def by_id(self) -> Mapping[int, Booking]:
        """The person's requests, keyed by ID."""
        return {request.id: request for request in self.requests}

    @functools.cached_property
    def first_version(self) -> Mapping[int | None, int]:
        """The ID of the first request for each sender and key."""
        newest_first = sorted(self.requests, key=lambda one: -one.id)
        return {one.item_key: one.id for one in newest_first if one.item_key is not None}

    @functools.cached_property
    def cancellations(self) -> Mapping[int, Booking]:
        """The newest cancellation of each canceled request, keyed by the request's ID."""
        return {
            request.id: max(after, key=order)
            for request in self.requests
            if not request.is_cancellation and (after := canceling(request, self.requests))
        }

    @functools.cached_property
    def wanted(self) -> Sequence[Booking]:
        """The current requests that are or will be in Knock, including merged requests."""
        return [one for one in self.requests if is_current(one, self.now) and self._counts(one)]

    @functools.cached_property
    def wanted_ids(self) -> frozenset[int]:
        """The IDs of the wanted requests. Comparing IDs is much faster than comparing requests."""
        return frozenset(one.id for one in self.wanted)

    def _counts(self, request: Booking) -> bool:
        if request.is_cancellation or request.is_gone:
            return False
        if request.state in SENT:
            return True
        return request.id not in self.cancellations and (
            request.state is BookingState.PENDING
            or _was_ready(request)
            or self.is_revisable(request)
        )

    def is_revisable(self, request: Booking) -> bool:
        """Return True if the decision to merge or replace this request may still change."""
        other = self.by_id.get(request.because_of or 0)
        if request.state not in MERGED or other is None:
            return False
        if request.reason == "item_seen_before":
            between = canceling(other, self.requests)
            between += [one for one in self.requests if is_between(one, other, request)]
            return any(order(one) < order(request) for one in between)
        end = self.end_of(request)
        if end.state is BookingState.HELD and end.id not in self.cancellations:
            return False  # the request that it depends on needs review
        is_same_tour = request.starts_at == other.starts_at
        is_known = is_current(other, self.now) and (not other.is_gone or is_same_tour)
        return request.reason in _REVISABLE and is_known

    def end_of(self, request: Booking) -> Booking:
        """Follow merges and replacements from a request, and return the last request."""
        seen: set[int] = set()
        while request.state in MERGED and request.id not in seen:
            seen.add(request.id)
            request = self.by_id.get(request.because_of or 0, request)
        return request

    def at(self, community: str | None) -> "Person":
        """Return a copy of this person with only the requests at one community."""
        if all(one.community in (community, None) for one in self.requests):
            return self
        local = (one for one in self.requests if one.community in (community, None))
        return Person(tuple(local), self.now)

    @functools.cached_property
    def tours(self) -> Sequence[Booking]:
        """The wanted requests that are tours."""
        return [one for one in self.wanted if one.kind is Kind.APPOINTMENT]

    @functools.cached_property
    def last(self) -> Booking | None:
        """The wanted tour that the person requested last, or None."""
        return max(self.tours, key=order, default=None)

    @functools.cached_property
    def standing(self) -> Booking | None:
        """The tour that Knock keeps, or None. It is the wanted tour that was posted last."""
        sent = [one for one in self.tours if one.state in SENT]
        return max(sent, key=posting_order, default=None)

    @functools.cached_property
    def replaced(self) -> Mapping[int, Booking]:
        """The replacement of each tour that was definitely replaced in Knock, keyed by tour ID."""
        return knock_cards.replaced(posted(self.requests))

    def may_be_gone(self, tour: Booking) -> bool:
        """Return True if a later tour may have replaced ``tour`` in Knock."""
        standing = self.standing
        is_later = standing is not None and posting_order(standing) > posting_order(tour)
        is_booked = standing is not None and standing.state is BookingState.BOOKED
        return is_later and is_booked and tour.id not in self.replaced

    def newer_version(self, request: Booking) -> Booking | None:
        """Return the newest later version of a pending request, or None.

        A version at another community also counts if it was merged with a request there.
        """
        newer = [
            one
            for one in self.requests
            if (self._is_wanted_elsewhere(one, request) or self._is_queued(one))
            and are_versions(one, request)
            and order(one) > order(request)
            and may_replace(one.kind, request.kind)
        ]
        return max(newer, key=order, default=None)

    def _is_queued(self, one: Booking) -> bool:
        return one.state is BookingState.PENDING and one.id in self.wanted_ids

    def _is_wanted_elsewhere(self, one: Booking, request: Booking) -> bool:
        """Return True if ``one`` is wanted and is for a different community than ``request``."""
        if one.community == request.community:
            return False
        is_merged_there = one.state in MERGED and one.because_of not in self.by_id
        is_wanted = (
            is_merged_there and is_current(one, self.now) and one.id not in self.cancellations
        )
        return one.id in self.wanted_ids or is_wanted

    def tour_for(self, request: Booking) -> Booking:
        """Return the booking that represents all requests for the same time as ``request``."""
        twins = [one for one in self.tours if one.starts_at == request.starts_at]
        if self.standing in twins:
            assert self.standing is not None  # noqa: S101 - the same tour is a booking
            return self.standing
        sent = [one for one in twins if one.state in SENT]
        if sent and (
            any(one and one.state is BookingState.UNKNOWN for one in (*sent, self.standing))
            or any(map(self.may_be_gone, sent))
        ):
            # It is unknown which tour Knock has. Until that is resolved, none is posted again.
            return max(sent, key=posting_order)
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


def canceling(request: Booking, requests: Iterable[Booking]) -> list[Booking]:
    """Return the later cancellations with the same sender and key as a request."""
    known = tuple(requests)
    return [
        one
        for one in known
        if one.is_cancellation
        and one.reason not in WITHOUT_EFFECT
        and are_versions(one, request)
        and order(one) > order(request)
        and concerns(one, known)
    ]


def concerns(cancellation: Booking, requests: Sequence[Booking]) -> bool:
    """Return True if a cancellation comes from the person who made ``requests``.

    A cancellation without a contact comes from the person whose request it canceled.
    """
    if cancellation.person_keys or cancellation.because_of is None:
        return True
    other = next((one for one in requests if one.id == cancellation.because_of), None)
    if other is None or not other.is_cancellation:
        return other is not None
    return concerns(other, requests)


def are_versions(one: Booking, other: Booking) -> bool:
    """Return True if two requests from different webhooks have the same sender and key."""
    is_same_event = one.event_id == other.event_id and one.id != other.id
    return one.item_key is not None and one.item_key == other.item_key and not is_same_event


def is_between(one: Booking, earlier: Booking, later: Booking) -> bool:
    """Return True if the sender requested a different tour between the two requests."""
    return (
        one.source == later.source
        and one.starts_at != later.starts_at
        and one.state not in (BookingState.HELD, BookingState.DISCARDED)
        and not one.is_cancellation
        and one.reason != "same_delivery"
        and order(earlier) < order(one) < order(later)
    )


def _was_ready(booking: Booking) -> bool:
    is_held = booking.state is BookingState.HELD
    return booking.state in WAITING and (not is_held or booking.reason in _HELD_WHILE_SENT)


def posting_order(booking: Booking) -> tuple[dt.datetime, int]:
    """Return a sort key for the order in which Knock received bookings: POST time, then ID."""
    return (booking.posted_at or booking.updated_at, booking.id)


def posted(requests: Iterable[Booking]) -> Sequence[Booking]:
    """Return the bookings that may have reached Knock, in the order of their POSTs."""
    return sorted((one for one in requests if one.state in SENT), key=posting_order)


def posted_later(booking: Booking, others: Iterable[Booking]) -> Booking | None:
    """Return the last tour that was posted after ``booking`` and replaced it, or None."""
    later = [
        one
        for one in _tours_of_contacts(booking, others)
        if one.posted_at is not None
        and booking.posted_at is not None
        and one.posted_at > booking.posted_at
    ]
    return max(later, key=posting_order, default=None)


def other_owner(booking: Booking, others: Sequence[Booking]) -> Booking | None:
    """Return another request that a tour found in Knock may belong to, or None.

    Either Knock replaced the booking's tour with one posted later, or the tour is someone else's at
    the same time.
    """
    known = _tours_of_contacts(booking, others)
    gone = knock_cards.replaced(posted(known))
    same_instant = [
        one for one in known if one.starts_at == booking.starts_at and one.id not in gone
    ]
    return posted_later(booking, known) or max(same_instant, key=posting_order, default=None)


def _tours_of_contacts(booking: Booking, others: Iterable[Booking]) -> Sequence[Booking]:
    """Return the tours that may be in Knock and share a contact with the booking."""
    return [
        one
        for one in others
        if one.kind is Kind.APPOINTMENT and may_exist(one) and one.person_keys & booking.person_keys
    ]


def newer_but_posted_earlier(booking: Booking, others: Iterable[Booking]) -> Booking | None:
    """Return the newest request whose tour an older ``booking`` replaced in Knock, or None."""
    newer = [
        one
        for one in others
        if order(one) > order(booking)
        and may_exist(one)
        and relation(one, booking) is Relation.SAME
        and one.starts_at != booking.starts_at
        and posted_later(one, (booking,)) is not None
    ]
    return max(newer, key=order, default=None)


def replaced_in_knock(other: Booking, booking: Booking) -> bool:
    """Return True if Knock canceled ``booking`` when ``other`` was posted later."""
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


def follows_in_knock(other: Booking, booking: Booking) -> bool:
    """Return True if Knock replaced a tour with ``other``, or added ``other`` to a guest card."""
    if booking.kind is Kind.APPOINTMENT:
        return replaced_in_knock(other, booking)
    is_tour = other.kind is Kind.APPOINTMENT and other.event_id != booking.event_id
    if not is_tour or booking.posted_at is None or other.posted_at is None:
        return False
    is_booked = booking.state is other.state is BookingState.BOOKED
    return is_booked and booking.posted_at < other.posted_at
