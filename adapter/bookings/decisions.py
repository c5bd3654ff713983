"""Represent decisions about requests, and explain them to users."""

import dataclasses
from collections.abc import Mapping

from adapter.bookings.person import NEW
from adapter.models import Booking, BookingState, Kind, Reason

#: The field name of reasons that contain a decision's rule and the other lead.
FIELD = "decision"

#: The message for each reason code, with a placeholder for the other lead's ID.
SENTENCES: Mapping[str, str] = {
    "same_person_and_time": "the same person already requested this tour: booking {}",
    "same_person_has_a_tour": "this person has a tour, which creates the guest card: booking {}",
    "same_person_asked_before": "this person already has a guest card: booking {}",
    "same_delivery": "the sender delivered the same webhook again: booking {}",
    "item_seen_before": "the sender already sent this, unchanged: booking {}",
    "newer_request": "a newer request from the same person replaced it: booking {}",
    "newer_request_came_first": "this person has a newer request: booking {}",
    "two_tours_at_once": "the same webhook requests another tour for this person here: booking {}; "
    "Knock keeps only one",
    "changed_after_first": "the sender changed the contact or the community of booking {}, which "
    "has been or is about to be sent: Knock would keep both, and this may be another person",
    "contact_changed": "the sender changed the email or phone after booking {} was sent: "
    "Knock has the old one",
    "two_cards": "the email or phone was used with a different contact before, so Knock may keep "
    "the tour from booking {} in addition to this one, or cancel it",
    "maybe_gone": "the same person requested this tour before, but it may have been canceled in "
    "Knock: booking {}",
    "repeat_or_change": "the sender sent exactly this before, and then something different: "
    "booking {}. Either this is a late repeat, or the renter changed back",
    "after_restore": "the webhook of booking {} was lost with the database, so it is not known "
    "whether this request is newer",
    "dismissed_before": "booking {} was the same request and was discarded; the renter has asked "
    "again since",
    "another_person": "someone with a different name uses the same email or phone at this "
    "community: booking {}. Knock may treat them as one person and cancel that tour",
    "another_name": "the sender used the same key for someone with a different name: booking {}. "
    "Neither has an email or phone that shows whether they are one person",
    "shared_key": "booking {} has the same key and replaced this request, but is or may be from "
    "another person",
    "contact_of_many": "hundreds of requests at this community have the same email or phone, so "
    "it is not known whether this renter has another request",
    "not_proved": "one of the two senders is not verified (scheme: none), and the same person has "
    "another request: booking {}",
    "canceled_before": "the sender canceled this request before it arrived: booking {}",
    "original_canceled": "the sender canceled booking {}, which this request was merged with",
    "original_dismissed": "booking {}, which this request was merged with, was discarded",
    "asked_again": "this is once again the renter's latest request, after booking {}",
    "carried_out_late": "Propexo may have processed this request after booking {}, which has the "
    "same email or phone, so Knock may have this tour instead of that one",
    "cancelled_by_sender": "the sender canceled it: booking {}",
    "canceled_by_renter": "the renter canceled it with the link before it was sent",
    "cancellation": "booking {} was sent to Knock: cancel its tour there, or, if it is a "
    "guest card, note there that the renter canceled",
    "original_changed": "booking {}, which this request was merged with, was changed to another "
    "person or community",
    "cancellation_merged": "another request is for the same tour, which may be in Knock: "
    "booking {}",
    "cancellation_elsewhere": "no booking with this key is known here, but the same person has a "
    "tour from another request: booking {}",
    "cancellation_unclear": "several people share this key: find out whose tour to cancel",
    "cancellation_done": "booking {} is no longer active: there is nothing left to cancel",
    "taken_back": "a later request or a user withdrew the cancellation: booking {}",
    "booking_came_later": "the request that it cancels arrived later and needs review: booking {}",
}

_NO_BOOKING = "the booking that it cancels is not known here: look for the tour in Knock"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A decision about a request: its new state, the applied rule, and any other lead involved."""

    state: BookingState
    code: str
    because_of: int | None = None
    #: For a cancellation, older bookings that may also be in Knock.
    also: tuple[int, ...] = ()

    @property
    def reason(self) -> Reason:
        """A sentence that explains the decision to users."""
        if self.because_of is None and self.code == "cancellation":
            return Reason(field=FIELD, reason=_NO_BOOKING)
        also = "".join(
            f". Knock may also still have booking {id_}: cancel it too" for id_ in self.also
        )
        return Reason(field=FIELD, reason=SENTENCES[self.code].format(self.because_of) + also)

    def applied_to(self, booking: Booking) -> Booking:
        """Return a copy of a new booking that includes the decision and its reason."""
        return dataclasses.replace(
            self.changed(booking),
            reasons=(*booking.reasons, self.reason),
            due_at=booking.due_at if self.state is BookingState.PENDING else None,
        )

    def changed(self, booking: Booking) -> Booking:
        """Return a copy of the booking with this decision's state and rule."""
        return dataclasses.replace(
            booking, state=self.state, reason=self.code, because_of=self.because_of
        )

    def changes(self, booking: Booking) -> bool:
        """Return True if the decision would change the booking's state, rule or other lead."""
        return (self.state, self.code, self.because_of) != (
            booking.state,
            booking.reason,
            booking.because_of,
        )


def held(code: str, other: Booking) -> Decision:
    """Return the decision to hold a request for review because of another request."""
    return Decision(state=BookingState.HELD, code=code, because_of=other.id)


def seen_before(original: Booking, code: str = "item_seen_before") -> Decision:
    """Return a decision that marks a request as a repeat of the sender's earlier request."""
    return Decision(state=BookingState.DUPLICATE, code=code, because_of=original.id)


def superseded(request: Booking, other: Booking) -> Decision:
    """Return a decision that marks a request as replaced by another request."""
    code = "newer_request_came_first" if request.id == NEW else "newer_request"
    if request.state is BookingState.SUPERSEDED and request.reason is not None:
        code = request.reason
    return Decision(state=BookingState.SUPERSEDED, code=code, because_of=other.id)


def duplicate_of(request: Booking, other: Booking) -> Decision:
    """Return a decision that marks a request as a duplicate of another request."""
    codes = {
        (Kind.APPOINTMENT, Kind.APPOINTMENT): "same_person_and_time",
        (Kind.PROSPECT, Kind.APPOINTMENT): "same_person_has_a_tour",
        (Kind.PROSPECT, Kind.PROSPECT): "same_person_asked_before",
    }
    code = codes[request.kind, other.kind]
    return Decision(state=BookingState.DUPLICATE, code=code, because_of=other.id)


BOOKED_AFTER_CANCELLATION = Reason(
    field=FIELD,
    reason="Propexo booked this tour after its cancellation was done: make sure that Knock no "
    "longer has it",
)


def carried_out_late(newer: Booking) -> Reason:
    """Return the reason to review a booking that may have replaced a newer booking in Knock."""
    return Reason(field=FIELD, reason=SENTENCES["carried_out_late"].format(newer.id))
