"""Say what became of a webhook, as far as its sender is concerned."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Final

from adapter.models import Booking, BookingState, EventState, Kind, Reason


class Outcome(enum.StrEnum):
    """What became of a webhook, as far as its sender is concerned."""

    #: Stored; what becomes of it is not known yet.
    ACCEPTED = "accepted"
    #: Nothing was to be booked.
    IGNORED = "ignored"
    #: The tour stands already, or a newer request of the same person counts.
    DUPLICATE = "duplicate"
    BOOKED = "booked"
    #: No tour was asked for: the renter's guest card stands in Knock.
    PROSPECT = "prospect"
    #: A person looks at it first.
    HELD = "held"
    #: It may stand in Knock, or not; a person finds out.
    UNKNOWN = "unknown"
    #: No tour was booked.
    FAILED = "failed"


#: What a booking's state means to its sender.
OUTCOME_OF: Final[Mapping[BookingState, Outcome]] = {
    BookingState.PENDING: Outcome.ACCEPTED,
    BookingState.SENDING: Outcome.ACCEPTED,
    BookingState.SUBMITTED: Outcome.ACCEPTED,
    BookingState.BOOKED: Outcome.BOOKED,
    BookingState.HELD: Outcome.HELD,
    BookingState.FAILED: Outcome.FAILED,
    BookingState.EXPIRED: Outcome.FAILED,
    BookingState.UNKNOWN: Outcome.UNKNOWN,
    BookingState.SUPERSEDED: Outcome.DUPLICATE,
    BookingState.DUPLICATE: Outcome.DUPLICATE,
    BookingState.DISCARDED: Outcome.IGNORED,
}

#: Of several bookings the first of these is told: nothing while one is open, then the worst.
WORST_FIRST: Final = (
    Outcome.ACCEPTED,
    Outcome.FAILED,
    Outcome.UNKNOWN,
    Outcome.HELD,
    Outcome.PROSPECT,
    Outcome.BOOKED,
    Outcome.DUPLICATE,
    Outcome.IGNORED,
)

#: What an event is that no booking was made of.
_OUTCOME_WITHOUT_BOOKING: Final = {
    EventState.RECEIVED: Outcome.ACCEPTED,
    EventState.MAPPED: Outcome.IGNORED,
    EventState.IGNORED: Outcome.IGNORED,
    EventState.HELD: Outcome.HELD,
    EventState.DISCARDED: Outcome.IGNORED,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WebhookOutcome:
    """What is known of an event at one moment."""

    event_id: int
    outcome: Outcome = Outcome.ACCEPTED
    #: The first booking that ended so; None where there is none.
    booking: Booking | None = None
    #: Why it ended so.
    reasons: Sequence[Reason] = ()
    #: All bookings of the event, in the order of its items.
    bookings: Sequence[Booking] = ()

    @property
    def is_final(self) -> bool:
        """Whether the sender has nothing more to wait for."""
        return self.outcome is not Outcome.ACCEPTED

    def per_item(self, count: int) -> "list[WebhookOutcome]":
        """What is known of each of ``count`` bookings; of each the worst, where they are others."""
        if len(self.bookings) != count:
            return [self] * count
        return [_outcome_of_booking(self.event_id, booking) for booking in self.bookings]


def webhook_outcome_from(
    event_id: int, state: EventState, bookings: Sequence[Booking], reasons: Sequence[Reason] = ()
) -> WebhookOutcome:
    """What an event in ``state`` with these bookings is to its sender."""
    if state is EventState.RECEIVED or not bookings:
        outcome = _OUTCOME_WITHOUT_BOOKING[state]
        return WebhookOutcome(event_id=event_id, outcome=outcome, reasons=reasons)
    booking = min(bookings, key=lambda one: WORST_FIRST.index(_outcome_of(one)))
    return _outcome_of_booking(event_id, booking, bookings)


def _outcome_of_booking(
    event_id: int, booking: Booking, bookings: Sequence[Booking] = ()
) -> WebhookOutcome:
    return WebhookOutcome(
        event_id=event_id,
        outcome=_outcome_of(booking),
        booking=booking,
        reasons=booking.reasons,
        bookings=bookings,
    )


def _outcome_of(booking: Booking) -> Outcome:
    outcome = OUTCOME_OF[booking.state]
    is_card = booking.kind is Kind.PROSPECT
    return Outcome.PROSPECT if is_card and outcome is Outcome.BOOKED else outcome
