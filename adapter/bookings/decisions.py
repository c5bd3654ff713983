"""Define decisions on requests: the state, the rule, and the other lead. All functions are pure."""

import dataclasses
from collections.abc import Mapping

from adapter.bookings.person import NEW
from adapter.models import Booking, BookingState, Kind, Reason

#: The field of a reason that names the rule of a decision and the other lead.
FIELD = "decision"

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
    "original_changed": "booking {}, which this request was merged with, was changed to another "
    "person or community",
    "cancellation_merged": "it was merged with booking {}, which another sender requested and "
    "which may be in Knock",
    "cancellation_elsewhere": "no booking with this key is known here, but the same person has a "
    "tour that another sender booked: booking {}",
    "cancellation_unclear": "several people have this key: find out whose tour to cancel",
    "cancellation_done": "booking {} does not stand in Knock: nothing is left to cancel",
    "taken_back": "the sender took the cancellation back: booking {}",
    "booking_came_later": "its booking arrived after it and waits for a person: booking {}",
}

_NO_BOOKING = "no booking that it cancels is known here: look for the tour in Knock"


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


def held(code: str, other: Booking) -> Decision:
    """Return the decision that a person must decide, because of ``other``."""
    return Decision(state=BookingState.HELD, code=code, because_of=other.id)


def superseded(request: Booking, other: Booking) -> Decision:
    """Return the decision that ``other`` replaces a request."""
    code = "newer_request_came_first" if request.id == NEW else "newer_request"
    if request.state is BookingState.SUPERSEDED and request.reason is not None:
        code = request.reason
    return Decision(state=BookingState.SUPERSEDED, code=code, because_of=other.id)


def duplicate_of(request: Booking, other: Booking) -> Decision:
    """Return the decision that ``other`` covers a request."""
    codes = {
        (Kind.APPOINTMENT, Kind.APPOINTMENT): "same_person_and_time",
        (Kind.PROSPECT, Kind.APPOINTMENT): "same_person_has_a_tour",
        (Kind.PROSPECT, Kind.PROSPECT): "same_person_asked_before",
    }
    code = codes[request.kind, other.kind]
    return Decision(state=BookingState.DUPLICATE, code=code, because_of=other.id)


def carried_out_late(newer: Booking) -> Reason:
    """Return the reason to leave a booking to a person because ``newer`` should stand instead."""
    return Reason(field=FIELD, reason=SENTENCES["carried_out_late"].format(newer.id))
