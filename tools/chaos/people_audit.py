"""Check a round against the same rules for people that ``tools.people`` checks."""

import datetime as dt
import re
from collections.abc import Iterator

from adapter.models import Booking
from tools.chaos.leads import Lead
from tools.chaos.record import Record, Tour
from tools.people import promises
from tools.people import record as people


def broken_promises(record: Record) -> Iterator[str]:
    """Yield violations of the rules for people."""
    for one in promises.broken(people_record(record)):
        yield f"{one.promise}: {one.text}"


def people_record(record: Record) -> people.Record:
    """Convert a round's results to messages, leads and tours. Guest cards are omitted."""
    leads = [lead for lead in record.leads.values() if lead.starts_at and lead.id in record.events]
    bookings = [one for lead in leads for one in record.bookings.get(lead.id, ())]
    ids = {one.id for one in bookings}
    return people.Record(
        words=[_word(record, lead, number) for number, lead in enumerate(leads)],
        leads=[_lead(one, ids) for one in bookings],
        tours=[
            _tour(record, tour) for tour in record.tours if not record.leads[tour.lead_id].chooses
        ],
        canceled_in_knock={
            ("{} at {}".format(*place), starts_at): at
            for (place, starts_at), at in record.canceled_at.items()
        },
    )


def _word(record: Record, lead: Lead, number: int) -> people.Word:
    verb = "cancels" if lead.is_cancellation else f"asks for {lead.starts_at:%b %d %H:%MZ}"
    return people.Word(
        number=number,
        person=_person(lead),
        instant=None if lead.is_cancellation else lead.starts_at,
        at=_asked_at(record, lead),
        thread=f"{lead.source} {lead.key or lead.id}",
        leads=_ids(record, lead.id),
        text=f"{lead.id} ({lead.person} {verb} through {lead.source})",
    )


def _asked_at(record: Record, lead: Lead) -> dt.datetime:
    """Return the sender's time of the request, or the time of arrival if there is none."""
    if lead.source == "portal":
        return record.sent_at[lead.id]
    return min(event.received_at for event in record.events[lead.id])


def _lead(booking: Booking, ids: set[int]) -> people.Lead:
    sentences = [reason.reason for reason in booking.reasons]
    named = {int(one) for text in sentences for one in re.findall(r"\b\d{4,}\b", text)}
    return people.Lead(
        id=booking.id,
        state=booking.state,
        reason=booking.reason or "",
        sentences=sentences,
        names=(named & ids) - {booking.id},
    )


def _tour(record: Record, tour: Tour) -> people.Tour:
    return people.Tour(
        id=tour.id,
        person=_person(record.leads[tour.lead_id]),
        instant=tour.starts_at,
        stands=tour.stands,
        canceled_by=tour.canceled_by,
        leads=_ids(record, tour.lead_id),
    )


def _ids(record: Record, lead_id: str) -> frozenset[int]:
    return frozenset(booking.id for booking in record.bookings.get(lead_id, ()))


def _person(lead: Lead) -> str:
    return f"{lead.person} at {lead.community}"
