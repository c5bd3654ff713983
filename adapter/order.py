"""One tour for one person at one community, in the order of asking. Pure decisions.

Knock keeps one upcoming tour for a person at a community: a second booking cancels the first, and
each one mails the renter. So the newest request wins, an older one never goes out after it, and
the same tour asked for twice is booked once.
"""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from adapter.events import Booking, BookingState

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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What becomes of a new booking beside those that the same person has already."""

    state: BookingState
    #: A constant word; None: nothing stands in its way.
    reason: str | None = None
    #: The booking that decided, or None.
    because_of: int | None = None
    #: Waiting bookings that it replaces.
    replaces: tuple[int, ...] = ()


def judge(
    *,
    event_id: int,
    starts_at: dt.datetime,
    asked_at: dt.datetime,
    others: Sequence[Booking],
    now: dt.datetime,
) -> Verdict:
    """The place of a new booking among ``others``: live ones of its person and community."""
    upcoming = [other for other in others if other.starts_at and other.starts_at > now]
    if not upcoming:
        return Verdict(state=BookingState.PENDING)
    newest = max(upcoming, key=lambda other: (other.asked_at, other.id))
    if newest.starts_at == starts_at:
        return Verdict(
            state=BookingState.DUPLICATE, reason="same_person_and_time", because_of=newest.id
        )
    if newest.event_id == event_id:
        # One webhook names two tours of one person here. Knock would keep the last only.
        return Verdict(state=BookingState.HELD, reason="two_tours_at_once", because_of=newest.id)
    if newest.asked_at > asked_at:
        return Verdict(
            state=BookingState.SUPERSEDED, reason="newer_request_came_first", because_of=newest.id
        )
    waiting = tuple(other.id for other in upcoming if other.state is BookingState.PENDING)
    gone = [other for other in upcoming if other.state in GONE_OUT]
    latest = max(gone, key=lambda other: (other.asked_at, other.id), default=None)
    if latest is not None and latest.starts_at == starts_at:
        # There and back again, and what lay between has not gone out.
        return Verdict(
            state=BookingState.DUPLICATE,
            reason="same_person_and_time",
            because_of=latest.id,
            replaces=waiting,
        )
    return Verdict(state=BookingState.PENDING, replaces=waiting)


def has_newer(booking: Booking, others: Sequence[Booking], now: dt.datetime) -> bool:
    """Whether one of ``others`` was asked for later and is still to come."""
    return any(
        other.starts_at is not None
        and other.starts_at > now
        and (other.asked_at, other.id) > (booking.asked_at, booking.id)
        for other in others
    )
