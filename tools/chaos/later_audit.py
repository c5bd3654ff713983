"""Check events after a request: later messages, chosen times, and reports from Knock."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from adapter.models import Booking, BookingState, KnockStatus, MessageState
from tools.chaos.leads import Lead
from tools.chaos.record import Note, Record, Tour, needs_review
from tools.people.record import MOVING, WAITING

#: The adapter's name for each status in the sandbox.
STATUSES = {
    "waiting": KnockStatus.WAITING,
    "booked": KnockStatus.BOOKED,
    "cancelled": KnockStatus.CANCELED,
    "visited": KnockStatus.VISITED,
    "no_show": KnockStatus.NO_SHOW,
}
#: A message counts as stored before another one was sent if it was stored this much earlier.
MARGIN = dt.timedelta(seconds=1)


def own_notes(record: Record) -> list[Note]:
    """Return the notes that contain text from this round's leads."""
    lines = {line for lead in record.leads.values() for line in lead.words}
    return [note for note in record.notes if lines & {*note.lines}]


# --- messages


def _sent_lines(record: Record) -> set[str]:
    """Return the lines of the notes that tours and guest cards were created with."""
    tours = (line for tour in record.tours for line in tour.lines)
    return {*tours, *(line for card in record.cards for line in card.lines)}


def words_twice(record: Record) -> Iterator[str]:
    """Yield texts that are in Knock twice: in two notes, or in a note and their own booking."""
    noted = Counter(line for note in record.notes for line in note.lines)
    sent = _sent_lines(record)
    for lead in record.leads.values():
        for line in lead.words:
            number = noted[line] + (line in sent)
            if noted[line] and number > 1:
                yield f"{line!r} is in {noted[line]} notes{' and a booking' * (line in sent)}"


def words_lost(record: Record) -> Iterator[str]:
    """Yield acknowledged texts that are neither in Knock nor waiting for a user."""
    kept = _sent_lines(record) | {line for note in record.notes for line in note.lines}
    acknowledged = {told.lead.id for told in record.told if told.is_acknowledged}
    asked = {record.leads[one].place for one in record.leads if needs_review(record, one)}
    for lead in record.leads.values():
        missing = [line for line in lead.words if line not in kept]
        if lead.id not in acknowledged or lead.is_cancellation or not missing:
            continue
        if not _is_taken_back(record, lead) and not _waits(record, lead, asked):
            states = [str(one.state) for one in record.bookings.get(lead.id, ())]
            found = [str(one.state) for one in record.messages.get(lead.id, ())]
            yield f"{missing}: bookings {states}, messages {found}"


def _is_taken_back(record: Record, lead: Lead) -> bool:
    """Return True if the sender canceled the request before it was sent."""
    bookings = record.bookings.get(lead.id, ())
    return any(one.state is BookingState.DISCARDED for one in bookings)


def _waits(record: Record, lead: Lead, asked: set[tuple[str, str]]) -> bool:
    """Return True if the text is waiting for a user or for a lead that needs review."""
    if needs_review(record, lead.id):
        return True
    waiting = any(one.state is MessageState.WAITING for one in record.messages.get(lead.id, ()))
    return waiting and lead.place in asked


def words_out_of_order(record: Record) -> Iterator[str]:
    """Yield notes whose text was written earlier than the previous note on the guest card.

    A message that arrived too late cannot be in order.
    """
    written = {
        line: (_asked_at(record, lead), lead.id)
        for lead in record.leads.values()
        if lead.id in record.events
        for line in lead.words
    }
    last: dict[str, tuple[dt.datetime, dt.datetime, str]] = {}
    for note in record.notes:
        known = [written[line] for line in note.lines if line in written]
        if not known:
            continue
        at, lead_id = min(known)
        before = last.get(note.prospect_id)
        if before and at < before[0] and _stored_at(record, lead_id) < before[1] - MARGIN:
            yield f"{lead_id}, written at {at:%H:%M:%S.%f}, was sent after {before[2]}"
        else:
            last[note.prospect_id] = (max(known)[0], note.added_at, lead_id)


def _asked_at(record: Record, lead: Lead) -> dt.datetime:
    """Return the sender's timestamp, or the time of arrival if that is earlier."""
    received_at = min(event.received_at for event in record.events[lead.id])
    is_told = lead.source == "portal"
    return min(record.sent_at.get(lead.id, received_at), received_at) if is_told else received_at


def _stored_at(record: Record, lead_id: str) -> dt.datetime:
    messages = record.messages.get(lead_id, ())
    return min((one.created_at for one in messages), default=dt.datetime.max.replace(tzinfo=dt.UTC))


# --- choices


def choice_lost(record: Record) -> Iterator[str]:
    """Yield renters whose last confirmed time is neither booked nor in review."""
    for lead_id in dict.fromkeys(one.lead_id for one in record.chosen):
        chosen = [one for one in record.chosen if one.lead_id == lead_id]
        confirmed = [number for number, one in enumerate(chosen) if one.is_confirmed]
        if not confirmed:
            continue
        # A later choice whose response was lost may or may not be stored.
        allowed = [one.at for one in chosen[confirmed[-1] :]]
        standing = {tour.starts_at for tour in _tours(record, lead_id) if tour.stands}
        is_asked = any(one.starts_at in allowed for one in _waiting(record, lead_id))
        if not is_asked and not standing & {*allowed}:
            yield f"{lead_id} chose {allowed[0]:%m-%d %H:%MZ}, and Knock has {_texts(standing)}"
        elif standing - {*allowed} and standing & {*allowed}:
            yield f"{lead_id} chose {allowed[0]:%m-%d %H:%MZ}, and Knock also has another tour"


def choice_doubled(record: Record) -> Iterator[str]:
    """Yield times that a renter chose once and that were booked more than once."""
    for lead_id in dict.fromkeys(one.lead_id for one in record.chosen):
        booked = Counter(tour.starts_at for tour in _tours(record, lead_id))
        for at, number in booked.items():
            if number > 1:
                yield f"{lead_id} was booked {number} times for {at:%m-%d %H:%MZ}"


def _tours(record: Record, lead_id: str) -> list[Tour]:
    return [tour for tour in record.tours if tour.lead_id == lead_id]


def _waiting(record: Record, lead_id: str) -> list[Booking]:
    return [one for one in record.bookings.get(lead_id, ()) if one.state in (*WAITING, *MOVING)]


def _texts(times: set[dt.datetime]) -> str:
    return ", ".join(f"{at:%m-%d %H:%MZ}" for at in sorted(times)) or "none"


# --- reports from Knock


def is_changed_by_agent(tour: Tour) -> bool:
    """Return True if an agent canceled the tour, or recorded a visit or a missed tour."""
    return tour.canceled_by == "person" or tour.status in ("visited", "no_show")


def knock_status(record: Record) -> Iterator[str]:
    """Yield booked tours whose status in the adapter differs from their status in Knock."""
    known = {
        booking.tour_id: booking
        for bookings in record.bookings.values()
        for booking in bookings
        if booking.tour_id is not None
    }
    for tour in record.tours:
        booking, status = known.get(tour.id), STATUSES[tour.status]
        if tour.id in record.given_up:
            continue
        if booking is not None and booking.knock_status is not status:
            yield f"{tour.lead_id} is {status} in Knock, and {booking.knock_status} here"
        elif booking is None and is_changed_by_agent(tour) and _is_booked(record, tour):
            yield f"{tour.lead_id} is {status} in Knock, and no status is known here"


def _is_booked(record: Record, tour: Tour) -> bool:
    bookings = record.bookings.get(tour.lead_id, ())
    return any(
        one.state is BookingState.BOOKED and one.starts_at == tour.starts_at for one in bookings
    )
