"""Check whether Knock can export a guest card to the property management system."""

from adapter.mapping.engine import Community
from adapter.models import Booking, BookingState

#: Leads in these states do not get a guest card of their own.
_WITHOUT_CARD = (BookingState.SUPERSEDED, BookingState.DUPLICATE, BookingState.DISCARDED)
_CONTACTS = frozenset({"email_1", "phone_1"})
_NAMES = {"first_name": "a first name", "last_name": "a last name"}


def pms_hint(booking: Booking, community: Community | None) -> str | None:
    """Return a sentence about fields that Yardi requires but a guest card is missing, or None.

    Knock keeps the guest card anyway, so this is only a hint. It never holds a lead.
    """
    if community is None or community.pms != "yardi" or booking.is_cancellation:
        return None
    fields = {name for name, value in booking.appointment.items() if value}
    is_erased = not fields & (_CONTACTS | _NAMES.keys())
    missing = [text for name, text in _NAMES.items() if name not in fields]
    missing += [] if fields & _CONTACTS else ["an email or phone"]
    missing += [] if "move_in_date" in fields else ["a move-in date"]
    if is_erased or not missing or booking.state in _WITHOUT_CARD:
        return None
    text = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    return f"Knock does not pass this guest card to Yardi without {text}."
