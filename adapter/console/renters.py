"""Look up renters' names for lists of leads and messages."""

import dataclasses
import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from adapter.console.context import services
from adapter.console.display import NO_NAME, full_name, message_name, name_or_contact
from adapter.console.stored_messages import event_of
from adapter.models import REPLAYED, Booking, Event
from adapter.store import Transaction


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A stored webhook with its current bookings."""

    event: Event
    bookings: Sequence[Booking]

    @property
    def name(self) -> str:
        """The renters' names, or an empty string if there are none."""
        names = dict.fromkeys(filter(None, map(full_name, self.bookings)))
        return " and ".join(names)

    @property
    def title(self) -> str:
        """The renters' names, or what lists call the message if it has none."""
        return self.name or (NO_NAME if self.bookings else message_name(self.event))


#: Maximum number of bytes per message, and of messages per list, to search for contact details.
MAX_SEARCHED: Final = 20_000
MAX_MESSAGES: Final = 50
_CONTACTS: Final = (
    re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"),
    re.compile(r"(?<!\d)(?:(?:\+?1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}|\+1\d{10})(?!\d)"),
)


def contacts_in(events: Iterable[Event]) -> Mapping[int, str]:
    """Return the first email address or phone number in each message, keyed by event ID.

    It tells users which renter a message is about, if the message did not become a lead. Events in
    lists come without their bodies, so they are read here.
    """
    with services.store.transaction() as tx:
        full = [event_of(tx, one.id) for one in list(events)[:MAX_MESSAGES]]
    return {one.id: text for one in full if one and (text := contact_in(one))}


def contact_in(event: Event) -> str:
    """Return the first email address or phone number in a message, or ""."""
    text = event.body[:MAX_SEARCHED].decode("utf-8", "replace")
    found = (pattern.search(text) for pattern in _CONTACTS)
    return next((match[0] for match in found if match), "")


def received_times(bookings: Iterable[Booking]) -> Mapping[int, dt.datetime]:
    """Return when each booking's message arrived, keyed by booking ID.

    A message that was read again has newer bookings.
    """
    with services.store.transaction() as tx:
        return tx.events.received_times(bookings)


def messages_of(tx: Transaction, events: Sequence[Event]) -> list[Message]:
    """Return the events as messages with their current bookings."""
    found = _current(tx.bookings.of_events(one.id for one in events))
    return [Message(event=event, bookings=found.get(event.id, ())) for event in events]


def names_of(tx: Transaction, lead_ids: Iterable[int]) -> Mapping[int, str]:
    """Return renters' names, or else an email or phone, keyed by booking or event ID.

    Leads without either are left out.
    """
    names = {number: name_or_contact(one) for number, one in first_leads(tx, lead_ids).items()}
    return {number: name for number, name in names.items() if name}


def first_leads(tx: Transaction, lead_ids: Iterable[int]) -> dict[int, Booking]:
    """Return bookings by booking or event ID. For an event, return its first current booking."""
    ids = list(dict.fromkeys(lead_ids))
    events = _current(tx.bookings.of_events(ids))
    leads = {number: bookings[0] for number, bookings in events.items()}
    return leads | {one.id: one for one in tx.bookings.of_ids(ids)}


def _current(bookings: Iterable[Booking]) -> Mapping[int, Sequence[Booking]]:
    """Return bookings grouped by event, except those replaced by remapping."""
    by_event: dict[int, list[Booking]] = {}
    for booking in bookings:
        if booking.reason != REPLAYED:
            by_event.setdefault(booking.event_id, []).append(booking)
    return by_event
