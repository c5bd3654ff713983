"""Determine the outcome of a webhook from its bookings' states, as reported to the sender."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Final

from adapter.models import Booking, BookingState, EventState, Kind, Reason


class Outcome(enum.StrEnum):
    """The outcome of a webhook, as reported to its sender.

    If a webhook's bookings differ, the outcome listed first applies.
    """

    #: Stored; the outcome is not known yet.
    ACCEPTED = "accepted"
    #: No tour was booked.
    FAILED = "failed"
    #: The booking may or may not exist in Knock. It needs review.
    UNKNOWN = "unknown"
    #: The lead needs review.
    HELD = "held"
    #: No tour was requested; the renter has a guest card in Knock.
    PROSPECT = "prospect"
    BOOKED = "booked"
    #: The tour is already booked, or a newer request from the same person replaced it.
    DUPLICATE = "duplicate"
    #: The webhook contained nothing to book.
    IGNORED = "ignored"


#: The outcome that is reported to the sender for each booking state.
OUTCOME_BY_STATE: Final[Mapping[BookingState, Outcome]] = {
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

#: The outcome for an event without bookings, by its state.
_OUTCOME_BY_EVENT_STATE: Final = {
    EventState.RECEIVED: Outcome.ACCEPTED,
    EventState.MAPPED: Outcome.IGNORED,
    EventState.IGNORED: Outcome.IGNORED,
    EventState.HELD: Outcome.HELD,
    EventState.DISCARDED: Outcome.IGNORED,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WebhookOutcome:
    """The current outcome of a webhook event."""

    event_id: int
    outcome: Outcome = Outcome.ACCEPTED
    #: The first booking with this outcome, if any.
    booking: Booking | None = None
    #: The reasons for the outcome.
    reasons: Sequence[Reason] = ()
    #: All bookings of the event, in item order.
    bookings: Sequence[Booking] = ()

    @property
    def is_final(self) -> bool:
        """True if the outcome will not change while the sender waits for the response."""
        return self.outcome is not Outcome.ACCEPTED

    def per_item(self, count: int) -> "list[WebhookOutcome]":
        """Return the outcome of each booking, or copies of this outcome if the counts differ."""
        if len(self.bookings) != count:
            return [self] * count
        return [_outcome_of_booking(self.event_id, booking) for booking in self.bookings]


def webhook_outcome_from(
    event_id: int, state: EventState, bookings: Sequence[Booking], reasons: Sequence[Reason] = ()
) -> WebhookOutcome:
    """Determine the outcome of a webhook event from its state and its bookings."""
    if state is EventState.RECEIVED or not bookings:
        outcome = _OUTCOME_BY_EVENT_STATE[state]
        return WebhookOutcome(event_id=event_id, outcome=outcome, reasons=reasons)
    booking = min(bookings, key=lambda one: [*Outcome].index(_outcome_of(one)))
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
    outcome = OUTCOME_BY_STATE[booking.state]
    is_card = booking.kind is Kind.PROSPECT
    return Outcome.PROSPECT if is_card and outcome is Outcome.BOOKED else outcome
