"""Look up renters' names for lists of leads and messages."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from adapter.console.display import full_name, name_or_contact
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


def messages_of(tx: Transaction, events: Sequence[Event]) -> list[Message]:
    """Return the events as messages with their current bookings."""
    found = _current(tx.bookings.of_events(one.id for one in events))
    return [Message(event=event, bookings=found.get(event.id, ())) for event in events]


def names_of(tx: Transaction, lead_ids: Iterable[int]) -> Mapping[int, str]:
    """Return renters' names, or else their contacts, keyed by booking or event ID.

    Leads without either are left out.
    """
    ids = list(dict.fromkeys(lead_ids))
    events = _current(tx.bookings.of_events(ids))
    leads = {number: bookings[0] for number, bookings in events.items()}
    leads |= {one.id: one for one in tx.bookings.of_ids(ids)}
    names = {number: name_or_contact(one) for number, one in leads.items()}
    return {number: name for number, name in names.items() if name}


def _current(bookings: Iterable[Booking]) -> Mapping[int, Sequence[Booking]]:
    """Return bookings grouped by event, without bookings replaced by remapping."""
    by_event: dict[int, list[Booking]] = {}
    for booking in bookings:
        if booking.reason != REPLAYED:
            by_event.setdefault(booking.event_id, []).append(booking)
    return by_event
