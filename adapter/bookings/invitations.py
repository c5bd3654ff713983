"""Decide who gets a link to choose, move or cancel a tour, and add the link to the notes."""

from collections.abc import Mapping
from typing import Any, Final

from adapter.bookings.calendar_check import checks_availability
from adapter.bookings.later_words import LINK_LABEL
from adapter.mapping.engine import WithoutTime
from adapter.mapping.source import Source
from adapter.models import Booking, BookingState, Clock, Kind
from adapter.propexo import notes
from adapter.settings import Settings
from adapter.signatures.renter_links import RenterLinks
from adapter.store import Database

#: States of a tour that the renter may move or cancel.
LIVE: Final = (
    *(BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED, BookingState.BOOKED),
)
#: States of a guest card whose renter may choose a tour.
LIVE_CARD: Final = (*LIVE, BookingState.SUPERSEDED, BookingState.DUPLICATE)


def with_link(appointment: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the appointment with the renter's link added to its notes, if there is room."""
    lines = [str(appointment.get("notes") or ""), LINK_LABEL + url]
    text = "\n".join(filter(None, lines))
    fits = notes.units(text) <= notes.LIMIT  # never shorten the renter's own text for the link
    return {**appointment, "notes": text} if fits else dict(appointment)


def without_link(appointment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the appointment with the renter's link removed from its notes."""
    lines = str(appointment.get("notes") or "").split("\n")
    text = "\n".join(line for line in lines if not line.startswith(LINK_LABEL))
    rest = {name: value for name, value in appointment.items() if name != "notes"}
    return rest | ({"notes": text} if text else {})


def renter_links(settings: Settings, store: Database, clock: Clock) -> RenterLinks | None:
    """Return a signer for renters' links, or None if ADAPTER_PUBLIC_URL is not set.

    The first link reads the installation's key, unless :meth:`Database.hash_key` was called before.
    """
    if settings.public_url is None:
        return None
    return RenterLinks(store.hash_key, settings.public_url, clock)


def is_invited(booking: Booking, source: Source | None) -> bool:
    """Return True if a guest card's renter gets a link to choose a tour time."""
    if source is None or source.compiled.without_time is not WithoutTime.INVITE:
        return False
    community = source.communities.get(booking.community or "")
    has_times = community is not None and (
        bool(community.tour_hours) or checks_availability(booking, source)
    )
    return booking.kind is Kind.PROSPECT and booking.state in LIVE_CARD and has_times


def link_texts(
    booking: Booking, source: Source, links: RenterLinks | None, language: str
) -> Mapping[str, str]:
    """Return the renter's links, keyed by placeholder. A link that does not apply is ""."""
    is_tour = booking.kind is Kind.APPOINTMENT and booking.state in LIVE
    url = links.url(booking.id, language) if links else ""
    return {
        "invitation": url if is_invited(booking, source) else "",
        "change_link": url if is_tour and not booking.is_cancellation else "",
    }
