"""Decide which actions a user may take on a booking."""

from collections.abc import Mapping
from typing import Any

from adapter.bookings.person import MERGED, SENT, may_exist
from adapter.exceptions import NotPossible
from adapter.models import MOVES, Booking, BookingState, Kind
from adapter.store import Issue

#: States of a booking that a user may release.
RELEASABLE = (
    BookingState.HELD,
    BookingState.FAILED,
    BookingState.EXPIRED,
    BookingState.UNKNOWN,
)

#: Reason codes of leads that may be released as a group, without checking each one.
GROUP_RELEASABLE: Mapping[BookingState, frozenset[str]] = {
    BookingState.HELD: frozenset({"held_by_mapping", "not_authorized", "internal_error"}),
    BookingState.FAILED: frozenset({"refused"}),
}

#: More reason codes of leads that may be released together with other leads that a user selected.
_SELECTABLE = frozenset({"undone", "brought_back", "waited_too_long", "tour_time_passed"})


def why_not_release(booking: Booking) -> str | None:
    """Return the reason why a booking cannot be released, or None."""
    if booking.state in (BookingState.SENDING, BookingState.SUBMITTED):
        return "It is being sent."
    if booking.state is BookingState.PENDING:
        return "It is in the send queue and will be sent automatically."
    if booking.state is BookingState.BOOKED and booking.kind is Kind.PROSPECT:
        return "Its guest card exists in Knock. Set a time with adapter release to add a tour."
    if booking.state is BookingState.BOOKED:
        return (
            "It is booked. Sending it again would email the renter again and cancel the first tour."
        )
    if booking.state not in RELEASABLE and not is_merged(booking):
        return f"It is {booking.state}: another request replaced it, or it was discarded."
    if booking.is_cancellation:
        return "It is a cancellation. Cancel the tour in Knock."
    return None


def is_merged(booking: Booking) -> bool:
    """Return True if a request was merged, replaced or canceled because of another request.

    A user may undo this decision.
    """
    is_decided = booking.state in MERGED or booking.reason == "cancelled_by_sender"
    return is_decided and booking.because_of is not None and _is_bookable(booking)


def is_repeat(booking: Booking, other: Booking | None) -> bool:
    """Return True if sending a merged request would change nothing in Knock.

    The request was merged with ``other``. It can be released only with changes.
    """
    if booking.state not in MERGED or other is None or other.community != booking.community:
        return False
    is_same = other.kind is Kind.APPOINTMENT and other.starts_at == booking.starts_at
    is_live = other.state is BookingState.PENDING or may_exist(other)
    return is_live and (is_same or booking.kind is Kind.PROSPECT)


def may_be_another_person(booking: Booking) -> bool:
    """Return True if a user may say that someone else made the request."""
    is_taken_for_same = booking.state in MERGED and is_merged(booking)
    return is_taken_for_same or booking.reason == "another_person"


def _is_bookable(booking: Booking) -> bool:
    has_time = booking.kind is Kind.PROSPECT or booking.starts_at is not None
    return has_time and not booking.is_cancellation


def check_release(
    booking: Booking, *, is_not_in_knock: bool, is_wanted_anyway: bool = False
) -> None:
    """Raise :class:`NotPossible` if a user may not release a booking."""
    if is_merged(booking) and not is_wanted_anyway:
        options = "--anyway, or --another-person" if booking.state in MERGED else "--anyway"
        raise NotPossible(
            f"booking {booking.id} is {booking.state} because of booking {booking.because_of}. To "
            f"book it anyway, confirm that (command: {options})"
        )
    if booking.state not in RELEASABLE and not is_merged(booking):
        raise NotPossible(f"booking {booking.id} is {booking.state}: there is nothing to release")
    if booking.is_cancellation:
        raise NotPossible(
            f"booking {booking.id} is a cancellation: cancel the tour in Knock, then discard it"
        )
    if booking.state is BookingState.UNKNOWN and not is_not_in_knock:
        raise NotPossible(
            f"booking {booking.id} is unknown: it may exist in Knock, and sending it again would "
            "email the renter again. Check Knock; if it is not there, confirm that "
            "(command: --not-in-knock)"
        )


def is_tour_for_prospect(booking: Booking, changes: Mapping[str, Any]) -> bool:
    """Return True if the changes add a tour time to a pending or sent guest card.

    The guest card is then kept, and the tour becomes a separate booking.
    """
    return is_sent_guest_card(booking) and bool(str(changes.get("starts_at") or "").strip())


def is_sent_guest_card(booking: Booking) -> bool:
    """Return True for a pending or sent guest card that a tour can be added to."""
    live = (BookingState.PENDING, *SENT)
    is_prospect = booking.kind is Kind.PROSPECT and booking.state in live
    return is_prospect and booking.state is not BookingState.UNKNOWN


def may_confirm(booking: Booking) -> bool:
    """Return True if a user may confirm that a booking exists in Knock."""
    return booking.state in RELEASABLE and _is_bookable(booking)


def check_confirm(booking: Booking) -> None:
    """Raise :class:`NotPossible` if a user may not confirm that a booking exists in Knock."""
    if booking.state not in RELEASABLE:
        raise NotPossible(f"booking {booking.id} is {booking.state}: there is nothing to confirm")
    if not may_confirm(booking):
        raise NotPossible(
            f"booking {booking.id} has no tour to confirm: discard it when it is done"
        )


def may_release_together(state: str, code: str) -> bool:
    """Return True if leads with this state and reason code can be released as a group."""
    return code in GROUP_RELEASABLE.get(BookingState(state), ())


def must_be_opened(booking: Booking) -> bool:
    """Return True if a user must look at a lead in review before booking it."""
    is_known = booking.reason in _SELECTABLE
    return not is_known and not may_release_together(booking.state, booking.reason or "")


def can_be_booked_unchanged(issue: Issue) -> bool:
    """Return False if a required field is missing from leads with this issue."""
    is_lacking = issue.field in ("community", "attribution_id", "starts_at", "email_1", "phone_1")
    return not (issue.code == "held_by_mapping" and is_lacking) or "…" in issue.message


def may_discard(booking: Booking) -> bool:
    """Return True if a user may discard a booking."""
    return booking.state in MOVES[BookingState.DISCARDED] - {*MERGED}
