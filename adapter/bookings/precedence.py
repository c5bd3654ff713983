"""One tour for one person at one community, in the order of asking. Pure decisions.

Knock keeps one upcoming tour for a person at a community: a second booking cancels the first, and
each one mails the renter. So the newest request wins, an older one never goes out after it, and
the same tour asked for twice is booked once.

A tour makes the person's guest card too. So a guest card that waits gives way to a tour, a tour
never gives way to a guest card, and whoever has either needs no other card.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from adapter.models import Booking, BookingState, Kind

#: States of a booking that stands, may stand, or is on its way.
LIVE = (
    BookingState.PENDING,
    BookingState.SENDING,
    BookingState.SUBMITTED,
    BookingState.BOOKED,
    BookingState.UNKNOWN,
)


#: States of a booking that has left, as far as anybody knows.
GONE_OUT = tuple(state for state in LIVE if state is not BookingState.PENDING)
#: Who asks again so long after a guest card was asked for has a new wish: agents shall see it.
CARD_LASTS = dt.timedelta(days=30)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What becomes of a new booking beside those that the same person has already."""

    state: BookingState
    #: A constant word; None: nothing stands in its way.
    reason: str | None = None
    #: The booking that decided, or None.
    because_of: int | None = None
    #: Waiting bookings that it replaces.
    replaces: tuple[int, ...] = ()


def decide(
    *,
    event_id: int,
    starts_at: dt.datetime | None,
    asked_at: dt.datetime,
    others: Sequence[Booking],
    now: dt.datetime,
) -> Decision:
    """The place of a new booking among ``others``: live ones of its person and community.

    Without ``starts_at`` it is a guest card.
    """
    standing = [other for other in others if stands(other, now)]
    tours = [other for other in standing if other.kind is Kind.APPOINTMENT]
    if starts_at is None:
        return _card_beside(max(tours or standing, key=_age, default=None))
    verdict = _tour_beside(tours, event_id, starts_at, asked_at)
    cards = tuple(
        other.id
        for other in others
        if other.kind is Kind.PROSPECT and other.state is BookingState.PENDING
    )
    return dataclasses.replace(verdict, replaces=verdict.replaces + cards)


def stands(other: Booking, now: dt.datetime) -> bool:
    """Whether it still counts: a tour to come, a guest card of these days."""
    if other.kind is Kind.PROSPECT:
        return max(other.created_at, other.asked_at) > now - CARD_LASTS
    return other.starts_at is not None and other.starts_at > now


def _age(booking: Booking) -> tuple[dt.datetime, int]:
    return (booking.asked_at, booking.id)


def _card_beside(known: Booking | None) -> Decision:
    """The verdict on a guest card beside the newest that the person has, a tour if any."""
    if known is None:
        return Decision(state=BookingState.PENDING)
    has_tour = known.kind is Kind.APPOINTMENT
    return Decision(
        state=BookingState.DUPLICATE,
        reason="same_person_has_a_tour" if has_tour else "same_person_asked_before",
        because_of=known.id,
    )


def _tour_beside(
    upcoming: Sequence[Booking], event_id: int, starts_at: dt.datetime, asked_at: dt.datetime
) -> Decision:
    if not upcoming:
        return Decision(state=BookingState.PENDING)
    newest = max(upcoming, key=_age)
    if newest.starts_at == starts_at:
        return Decision(
            state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=newest.id
        )
    if newest.event_id == event_id:
        # One webhook names two tours of one person here. Knock would keep the last only.
        return Decision(state=BookingState.HELD, reason="two_tours_at_once", because_of=newest.id)
    if newest.asked_at > asked_at:
        return Decision(
            state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=newest.id
        )
    waiting = tuple(other.id for other in upcoming if other.state is BookingState.PENDING)
    gone = [other for other in upcoming if other.state in GONE_OUT]
    latest = max(gone, key=_age, default=None)
    if latest is not None and latest.starts_at == starts_at:
        # There and back again, and what lay between has not gone out.
        return Decision(
            state=BookingState.DUPLICATE,
            reason="same_person_and_time",
            because_of=latest.id,
            replaces=waiting,
        )
    return Decision(state=BookingState.PENDING, replaces=waiting)


def has_newer(booking: Booking, others: Sequence[Booking], now: dt.datetime) -> bool:
    """Whether one of ``others`` was asked for later and still counts; to a card any tour does."""
    return any(
        stands(other, now)
        and may_replace(other.kind, booking.kind)
        and (other.kind is not booking.kind or _age(other) > _age(booking))
        for other in others
    )


def may_replace(kind: Kind, other: Kind) -> bool:
    """Whether one of a kind may take the place of another: no guest card takes a tour's."""
    return kind is Kind.APPOINTMENT or other is Kind.PROSPECT


def replaced_in_knock(other: Booking, booking: Booking) -> bool:
    """Whether Knock has cancelled ``booking`` for ``other``: booked later, with both to come."""
    starts = (booking.starts_at, other.starts_at)
    return (
        booking.state is other.state is BookingState.BOOKED
        and booking.kind is other.kind is Kind.APPOINTMENT
        and booking.updated_at < other.updated_at
        and all(start is not None and other.updated_at < start for start in starts)
    )
