"""Print a sequence in readable form: requests, Propexo's actions, and the result."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from adapter.propexo.client import CREATE_PATHS
from tools.people.promises import Broken
from tools.people.record import Lead, Record, Tour
from tools.people.steps import PEOPLE, TOURS, ZONE
from tools.people.world import World


def story(sequence: Sequence[Any], world: World, record: Record, faults: Sequence[Broken]) -> str:
    """Return the whole report as text."""
    return "\n".join(_lines(sequence, world, record, faults))


def _lines(
    sequence: Sequence[Any], world: World, record: Record, faults: Sequence[Broken]
) -> Iterator[str]:
    yield "The sequence:"
    yield from (f"    {step!r}," for step in sequence)
    yield "The people:"
    named = {word.person for word in record.words}
    yield from (f"    {one.name}, {one.email}, {one.phone}" for one in PEOPLE if one.name in named)
    yield "What happened:"
    entries = [*_calls(world), *_late(record), *world.log]
    yield from (f"    {_time(at)}  {text}" for at, text in sorted(entries, key=lambda one: one[0]))
    yield "What Knock holds at the end:"
    yield from (f"    {_tour(tour, record)}" for tour in record.tours)
    yield "The leads:"
    for lead in record.leads:
        yield from _lead(lead, record)
    yield "Not as promised:" if faults else "All as promised."
    yield from (f"    {fault.promise}: {fault.text}" for fault in faults)


def _calls(world: World) -> Iterator[tuple[dt.datetime, str]]:
    for call in world.sandbox.calls():
        if call["path"] in CREATE_PATHS.values():
            body, answer = call["body"], call["status"] or "no answer"
            at = dt.datetime.fromisoformat(
                f"{body['appointment_date']}T{body['appointment_time']}Z"
            )
            fault = f" ({call['fault']})" if call["fault"] else ""
            text = f"Propexo gets {body.get('first_name')}'s tour {_letter(at)}: {answer}{fault}"
            yield dt.datetime.fromisoformat(call["received_at"]), text


def _late(record: Record) -> Iterator[tuple[dt.datetime, str]]:
    for tour in record.tours:
        if tour.booked_at is not None:
            yield tour.booked_at, f"Knock books {tour.person}'s tour {_letter(tour.instant)}"


def _tour(tour: Tour, record: Record) -> str:
    at = f"{tour.instant.astimezone(ZONE):%a %b %d, %I:%M %p}"
    text = f"{tour.person}'s tour {_letter(tour.instant)}, {at}"
    if tour.stands:
        return text
    if tour.canceled_by == "person":
        return f"{text}: canceled by somebody in Knock"
    by = next(one for one in record.tours if one.id == tour.canceled_by)
    return f"{text}: canceled by Knock for {by.person}'s tour {_letter(by.instant)}"


def _lead(lead: Lead, record: Record) -> Iterator[str]:
    words = " = ".join(
        word.text for word in record.words if lead.id in word.leads and not word.is_move
    )
    acts = f" [{', '.join(sorted(lead.acts))} by a user]" if lead.acts else ""
    yield f"    {lead.id} {lead.state} ({lead.reason}){acts}: {words}"
    yield from (f"        {sentence}" for sentence in lead.sentences)


def _letter(at: dt.datetime) -> str:
    return next((letter for letter, one in TOURS.items() if one == at), f"of {at:%b %d %H:%MZ}")


def _time(at: dt.datetime) -> str:
    return f"{at.astimezone(ZONE):%I:%M:%S %p}"
