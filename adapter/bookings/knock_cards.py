"""Predict which tours Knock keeps, based on how Knock identifies people.

Knock identifies a prospect only by email and phone, and cancels the prospect's tour when it books
another one. If a request matches two prospects, or has an email or phone that was overwritten
since, we do not know which tour Knock cancels, so any of them may still exist.
"""

import dataclasses
import datetime as dt
from collections.abc import Container, Iterable, Mapping, Sequence

from adapter.models import Booking, BookingState, Kind


@dataclasses.dataclass(slots=True)
class _Card:
    """A prospect in Knock, with the contact details and bookings that may belong to it."""

    contacts: frozenset[int] = frozenset()
    former: frozenset[int] = frozenset()
    bookings: list[Booking] = dataclasses.field(default_factory=list)


def replaced(posted: Iterable[Booking]) -> Mapping[int, Booking]:
    """Map the ID of each tour that was definitely replaced in Knock to its replacement.

    ``posted`` contains bookings that may exist in Knock, in the order of their POSTs.
    """
    return _simulate(posted)[1]


def left_beside(
    new: Booking, others: Iterable[Booking], same: Container[int], now: dt.datetime
) -> Sequence[Booking]:
    """Return the upcoming tours that Knock might keep or cancel when it books ``new``.

    ``others`` are in the order of their POSTs, followed by bookings not sent yet. ``same`` contains
    the IDs of requests from the same person, which Knock may replace if it definitely uses their
    card.
    """
    card, near = _find(new, _simulate(others)[0])
    if new.kind is Kind.PROSPECT:
        return []
    return [
        one
        for one in (one for found in near for one in found.bookings)
        if one.kind is Kind.APPOINTMENT
        and (card is None or one.state is BookingState.PENDING or one.id not in same)
        and one.starts_in_knock is not None
        and one.starts_in_knock > now
    ]


def _simulate(posted: Iterable[Booking]) -> tuple[list[_Card], Mapping[int, Booking]]:
    cards, gone = list[_Card](), dict[int, Booking]()
    for one in posted:
        card, _ = _find(one, cards)
        if card is None:
            card = _Card()
            cards.append(card)
        if one.kind is Kind.APPOINTMENT and one.state is BookingState.BOOKED:
            gone |= {other.id: one for other in card.bookings}
            card.bookings.clear()
        if not one.is_gone:
            card.bookings.append(one)
        if len(one.person_keys) > 1 or not card.contacts:
            card.former |= card.contacts
            card.contacts = one.person_keys
    return cards, gone


def _find(booking: Booking, cards: Sequence[_Card]) -> tuple[_Card | None, Sequence[_Card]]:
    """Return the prospect that Knock will use (None if uncertain), and all candidates."""
    keys = booking.person_keys
    near = [card for card in cards if keys & (card.contacts | card.former)]
    is_certain = len(near) == 1 and keys & near[0].contacts
    return (near[0] if is_certain else None), near
