"""Derive a booking's status in Knock from Knock's records. All functions are pure.

Webhooks arrive late, repeatedly and in any order, so a record may be older than what is known.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Iterable
from typing import Final

from adapter.bookings import knock_records
from adapter.bookings.knock_records import FINAL, STANDING
from adapter.bookings.matching import parse_instant
from adapter.models import Booking, BookingState, Kind, KnockFacts, KnockStatus
from adapter.propexo.crm_records import KnockRecord, Model

#: The name of a field with a tour's start, in lower-case letters.
_START: Final = re.compile(
    r"(?<!lease)start(?!ed)|(?:tour|appointment|event|visit|scheduled)(?:date|time|at)"
)


def is_proof(booking: Booking, record: KnockRecord) -> bool:
    """Return True if a record proves that a booking was made, even if it was canceled later."""
    if record.model is Model.EVENTS:
        return True
    is_card = booking.kind is Kind.PROSPECT
    return is_card and knock_records.is_complete_card(record, booking.appointment)


def of_card(record: KnockRecord, booking: Booking, now: dt.datetime) -> KnockFacts:
    """Extract the facts about a booking from the record of its guest card."""
    is_confirmed = is_proof(booking, record) and booking.confirmed_at is None
    is_booked = booking.state is BookingState.BOOKED
    # Roommates may share a phone, and the renter's words are sent to this guest card.
    is_own = knock_records.is_complete_card(record, booking.appointment)
    return KnockFacts(
        prospect_id=record.id if is_own or booking.prospect_id is None else None,
        confirmed_at=now if is_confirmed else None,
        why="confirmed_in_knock" if is_confirmed and is_booked else None,
    )


def of_tour(
    record: KnockRecord, booking: Booking, newer: Booking | None, now: dt.datetime
) -> KnockFacts:
    """Extract the facts about a booking from the record of its tour.

    ``newer`` is the same person's booking that replaced this one in Knock, if there is one.
    """
    facts = KnockFacts(prospect_id=knock_records.prospect_of(record), tour_id=record.id)
    status, at = knock_records.status_of(record), knock_records.changed_at(record, now)
    if status is None and booking.knock_status is None:
        status = KnockStatus.BOOKED  # it is listed, and nothing says that it was canceled
    if status is not None and is_seen_later(status, at, booking):
        return dataclasses.replace(facts, status_at=at)
    if status is None or not is_news(status, at, booking):
        return facts
    is_first = status in STANDING and booking.confirmed_at is None
    is_replaced = status is KnockStatus.CANCELED and newer is not None
    return dataclasses.replace(
        facts,
        confirmed_at=now if is_first else None,
        status=status,
        status_at=at or now,
        why="replaced_in_knock" if is_replaced else _why(status, booking, is_first=is_first),
        because_of=newer.id if newer is not None and is_replaced else None,
    )


def _why(status: KnockStatus, booking: Booking, *, is_first: bool) -> str | None:
    """Return the reason code of a status change, or None to omit it from the history."""
    if status is not KnockStatus.BOOKED:
        return f"{status}_in_knock"
    if not is_first:
        return "booked_again_in_knock" if booking.knock_status in FINAL else None
    is_settled = booking.state in (BookingState.BOOKED, BookingState.SUBMITTED)
    return "confirmed_in_knock" if is_settled else None


def is_news(status: KnockStatus, at: dt.datetime | None, booking: Booking) -> bool:
    """Return True if a status differs from the known one and is newer.

    If a time is missing, the status decides: waiting comes before booked, and booked before
    canceled, visited or missed.
    """
    known, known_at = booking.knock_status, booking.knock_status_at
    if known is None or known_at is None:
        return True
    if status is known:
        return False
    if at is None or at == known_at:
        return _rank(status) > _rank(known)
    return at > known_at


def _rank(status: KnockStatus) -> int:
    return 2 if status in FINAL else int(status is KnockStatus.BOOKED)


def is_seen_later(status: KnockStatus, at: dt.datetime | None, booking: Booking) -> bool:
    """Return True if a newer record repeats a status that is not final."""
    known_at = booking.knock_status_at
    is_same = status is booking.knock_status and status not in FINAL
    return is_same and at is not None and known_at is not None and at > known_at


def of_move(record: KnockRecord, booking: Booking, now: dt.datetime) -> KnockFacts | None:
    """Return a tour's new start time if the tour was moved in Knock, otherwise None.

    The record must belong to the tour for certain, and contain exactly one new start. A tour is
    not moved into the past, so an earlier time has another meaning, such as the time of change.
    """
    is_over = (knock_records.status_of(record) or booking.knock_status) in FINAL
    if record.id != booking.tour_id or booking.starts_in_knock is None or is_over:
        return None
    starts = _starts(record, booking.starts_in_knock)
    at, known_at = knock_records.changed_at(record, now), booking.moved_at
    is_late = known_at is not None and (at is None or at <= known_at)
    if len(starts) != 1 or booking.starts_in_knock in starts or is_late:
        return None
    start, moved_at = starts.pop(), at or now
    if start <= moved_at:
        return None
    return KnockFacts(moved_to=start, moved_at=moved_at, why="moved_in_knock")


def _starts(record: KnockRecord, known: dt.datetime) -> set[dt.datetime]:
    """Return the tour's possible start times, read from the field that held the known start."""
    before = {name for name, value in record.previous if parse_instant(value) == known}
    names = before or {name for name, _ in record.values if _START.search(name)}
    return set(_instants(record.texts(*names))) if names else set()


def _instants(texts: Iterable[str]) -> Iterable[dt.datetime]:
    return filter(None, map(parse_instant, texts))
