"""Decide which of a person's requests counts. All functions are pure.

Knock keeps one upcoming tour per person and community: a second booking cancels the first, and
each booking emails the renter. So the newest request wins, an older one is never sent after it,
and the same tour requested twice is booked once.

A tour creates the person's guest card too. So a tour replaces a pending guest card, a guest card
never replaces a tour, and a person who has either needs no further guest card.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from adapter.models import Booking, BookingState, Kind

#: States of a booking that exists, may exist, or may still be made in Knock.
LIVE = (
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.SUBMITTED,
    BookingState.BOOKED,
    BookingState.UNKNOWN,
)

#: States of a booking that may have reached Propexo.
SENT = tuple(state for state in LIVE if state is not BookingState.PENDING)
#: A request this long after the last guest card is a new lead that agents should see.
PROSPECT_LIFETIME = dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What happens to a new booking, given the person's other bookings."""

    state: BookingState
    #: A reason code, or None if nothing prevents the booking.
    reason: str | None = None
    #: The id of the booking that decided, or None.
    because_of: int | None = None
    #: Ids of pending bookings that it replaces.
    replaces: tuple[int, ...] = ()


def decide(
    *,
    event_id: int,
    starts_at: dt.datetime | None,
    asked_at: dt.datetime,
    others: Sequence[Booking],
    now: dt.datetime,
) -> Decision:
    """Decide a new booking, given ``others``: live bookings of the same person and community.

    Without ``starts_at``, it is a guest card.
    """
    current = [other for other in others if is_current(other, now)]
    tours = [other for other in current if other.kind is Kind.APPOINTMENT]
    if starts_at is None:
        return _decide_prospect(max(tours or current, key=_request_order, default=None))
    decision = _decide_tour(tours, event_id, starts_at, asked_at)
    prospects = tuple(
        other.id
        for other in others
        if other.kind is Kind.PROSPECT and other.state is BookingState.PENDING
    )
    return dataclasses.replace(decision, replaces=decision.replaces + prospects)


def is_current(other: Booking, now: dt.datetime) -> bool:
    """Return True for an upcoming tour or a guest card less than 30 days old."""
    if other.kind is Kind.PROSPECT:
        return max(other.created_at, other.asked_at) > now - PROSPECT_LIFETIME
    return other.starts_at is not None and other.starts_at > now


def _request_order(booking: Booking) -> tuple[dt.datetime, int]:
    return (booking.asked_at, booking.id)


def _decide_prospect(existing: Booking | None) -> Decision:
    """Decide a guest card, given the person's newest tour, or else newest guest card."""
    if existing is None:
        return Decision(state=BookingState.PENDING)
    has_tour = existing.kind is Kind.APPOINTMENT
    return Decision(
        state=BookingState.DUPLICATE,
        reason="same_person_has_a_tour" if has_tour else "same_person_asked_before",
        because_of=existing.id,
    )


def _decide_tour(
    upcoming: Sequence[Booking], event_id: int, starts_at: dt.datetime, asked_at: dt.datetime
) -> Decision:
    if not upcoming:
        return Decision(state=BookingState.PENDING)
    newest = max(upcoming, key=_request_order)
    if newest.starts_at == starts_at:
        return Decision(
            state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=newest.id
        )
    if newest.event_id == event_id:
        # One webhook requests two tours for one person here. Knock would keep only the last.
        return Decision(state=BookingState.HELD, reason="two_tours_at_once", because_of=newest.id)
    if newest.asked_at > asked_at:
        return Decision(
            state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=newest.id
        )
    pending = tuple(other.id for other in upcoming if other.state is BookingState.PENDING)
    sent = [other for other in upcoming if other.state in SENT]
    latest = max(sent, key=_request_order, default=None)
    if latest is not None and latest.starts_at == starts_at:
        # The request went back to the tour sent last, and nothing in between was sent.
        return Decision(
            state=BookingState.DUPLICATE,
            reason="same_person_and_time",
            because_of=latest.id,
            replaces=pending,
        )
    return Decision(state=BookingState.PENDING, replaces=pending)


def has_newer(booking: Booking, others: Sequence[Booking], now: dt.datetime) -> bool:
    """Return whether one of ``others`` is a newer request.

    A tour always takes precedence over a guest card.
    """
    return any(
        is_current(other, now)
        and may_replace(other.kind, booking.kind)
        and (other.kind is not booking.kind or _request_order(other) > _request_order(booking))
        for other in others
    )


def may_replace(kind: Kind, other: Kind) -> bool:
    """Return whether one kind may replace another. A guest card never replaces a tour."""
    return kind is Kind.APPOINTMENT or other is Kind.PROSPECT


def replaced_in_knock(other: Booking, booking: Booking) -> bool:
    """Return whether Knock canceled ``booking``: ``other`` was booked later, both upcoming."""
    starts = (booking.starts_at, other.starts_at)
    return (
        booking.state is other.state is BookingState.BOOKED
        and booking.kind is other.kind is Kind.APPOINTMENT
        and booking.updated_at < other.updated_at
        and all(start is not None and other.updated_at < start for start in starts)
    )
