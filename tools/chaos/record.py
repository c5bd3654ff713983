"""Collect the final state of a round from the senders, the database and the sandbox."""

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from adapter.models import Booking, Event, EventState, Message
from adapter.propexo.client import CREATE_PATHS
from adapter.store import Database
from tools.chaos.leads import Lead
from tools.chaos.renters import Chosen
from tools.chaos.senders import Senders, Told
from tools.chaos.stage import Stage
from tools.people.record import WAITING

#: Responses to a create request that prove that nothing was booked, such as the sandbox's 503.
CLEAR_NO = frozenset({400, 401, 403, 404, 429, 503})
#: More rows than any run creates.
ALL = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A create request that reached the sandbox."""

    lead_id: str
    #: True if the outcome is ambiguous, so that the adapter must assume that it may be booked.
    may_have_booked: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tour:
    """One appointment in Knock."""

    lead_id: str
    starts_at: dt.datetime
    community_id: str
    #: True unless the same person's later tour canceled it.
    stands: bool
    id: str = ""
    #: The ID of the tour that replaced it, or ``person`` if an agent canceled it.
    canceled_by: str | None = None
    #: Its status in Knock.
    status: str = "booked"
    #: The lines of the notes that it was booked with.
    lines: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A request for a guest card that Knock accepted."""

    lead_id: str
    community_id: str
    #: The lines of its notes.
    lines: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A note on a guest card in Knock."""

    prospect_id: str
    #: The job that added it.
    job_id: str
    added_at: dt.datetime
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Any request that the sandbox received."""

    at: dt.datetime
    status: int | None
    #: True if an injected fault caused this status.
    is_injected: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The complete record of a round."""

    leads: Mapping[str, Lead]
    told: Sequence[Told]
    #: The stored events for each lead: one, unless there is a bug.
    events: Mapping[str, Sequence[Event]]
    bookings: Mapping[str, Sequence[Booking]]
    posts: Sequence[Post]
    tours: Sequence[Tour]
    cards: Sequence[Card]
    #: All requests since the start of the minute before the round.
    calls: Sequence[Call]
    #: Rows that had not reached a final state at the timeout.
    moving: Sequence[str]
    worst_seconds: float
    worst_row: str
    #: When each lead was written, by its sender's clock.
    sent_at: Mapping[str, dt.datetime] = dataclasses.field(default_factory=dict)
    #: All notes on guest cards, in the order they were added.
    notes: Sequence[Note] = ()
    #: The later messages that the adapter keeps for each lead.
    messages: Mapping[str, Sequence[Message]] = dataclasses.field(default_factory=dict)
    #: The times that renters chose, in order.
    chosen: Sequence[Chosen] = ()
    #: When agents canceled tours in Knock, by place and start.
    canceled_at: Mapping[tuple[tuple[str, str], dt.datetime], dt.datetime] = dataclasses.field(
        default_factory=dict
    )
    #: The IDs of records with a webhook that was not accepted.
    given_up: Collection[str] = ()


def read_rows(
    store: Database, leads: Mapping[str, Lead]
) -> tuple[dict[str, list[Event]], dict[str, list[Booking]]]:
    """Return the events and bookings of the given leads."""
    events: dict[str, list[Event]] = {}
    bookings: dict[str, list[Booking]] = {}
    with store.transaction() as found:
        lead_of = {}
        for listed in found.search.events(limit=ALL):
            event = found.events.get(listed.id)
            assert event is not None
            lead_id = json.loads(event.body)["message"]
            if lead_id in leads:
                lead_of[event.id] = lead_id
                events.setdefault(lead_id, []).append(event)
        for booking in found.search.bookings(limit=ALL):
            if booking.event_id in lead_of:
                bookings.setdefault(lead_of[booking.event_id], []).append(booking)
    return events, bookings


def posts_from(calls: Sequence[Mapping[str, Any]], leads: Mapping[str, Lead]) -> list[Post]:
    """Return the POST requests that create the given leads' tours or guest cards."""
    posts = []
    for call in calls:
        lead_id = _lead_id(call["body"]) if call["path"] in CREATE_PATHS.values() else ""
        if lead_id in leads:
            # A repeated request without a time gets another guest card if the first one failed.
            has_failed = (call["fault"] or {}).get("job") == "FAILURE"
            is_no = has_failed and leads[lead_id].starts_at is None
            may_have_booked = call["status"] not in CLEAR_NO and not is_no
            posts.append(Post(lead_id=lead_id, may_have_booked=may_have_booked))
    return posts


def tours_from(appointments: Sequence[Mapping[str, Any]], leads: Mapping[str, Lead]) -> list[Tour]:
    """Return the appointments of the given leads, in the order they were booked."""
    return [
        Tour(
            lead_id=lead_id,
            starts_at=dt.datetime.fromisoformat(one["starts_at"]),
            community_id=one["community_id"],
            stands=one["status"] != "cancelled",
            status=one["status"],
            lines=_lines(one["request"]),
            id=one["id"],
            canceled_by=one["canceled_by"],
        )
        for one in appointments
        if (lead_id := _lead_id(one["request"])) in leads
    ]


def cards_from(prospects: Sequence[Mapping[str, Any]], leads: Mapping[str, Lead]) -> list[Card]:
    """Return the guest cards of the given leads."""
    return [
        Card(
            lead_id=lead_id,
            community_id=one["community_id"],
            lines=_lines(inquiry["request"]),
        )
        for one in prospects
        for inquiry in one["inquiries"]
        if (lead_id := _lead_id(inquiry["request"])) in leads
    ]


def notes_from(notes: Sequence[Mapping[str, Any]]) -> list[Note]:
    """Return the notes on guest cards."""
    return [
        Note(
            prospect_id=one["request"]["prospect_id"],
            job_id=one["job_id"],
            added_at=dt.datetime.fromisoformat(one["created_at"]),
            lines=_lines(one["request"]),
        )
        for one in notes
    ]


def read_messages(
    store: Database, events: Mapping[str, Sequence[Event]]
) -> dict[str, list[Message]]:
    """Return each lead's later messages."""
    with store.transaction() as tx:
        return {
            lead_id: [one for event in stored for one in tx.messages.of_event(event.id)]
            for lead_id, stored in events.items()
        }


def calls_from(calls: Sequence[Mapping[str, Any]], since: dt.datetime) -> list[Call]:
    """Return all requests since the given time."""
    found = [
        Call(
            at=dt.datetime.fromisoformat(call["received_at"]),
            status=call["status"],
            is_injected=(call["fault"] or {}).get("status") == call["status"],
        )
        for call in calls
    ]
    return [call for call in found if call.at >= since]


def is_limit(call: Call) -> bool:
    """Return True if the sandbox responded with 429 although no fault was injected."""
    return call.status == HTTPStatus.TOO_MANY_REQUESTS and not call.is_injected


def needs_review(record: Record, lead_id: str) -> bool:
    """Return True if a lead needs review."""
    if any(event.state is EventState.HELD for event in record.events.get(lead_id, ())):
        return True
    return any(booking.state in WAITING for booking in record.bookings.get(lead_id, ()))


def read(
    stage: Stage,
    store: Database,
    *,
    leads: Mapping[str, Lead],
    senders: Senders,
    began_at: dt.datetime,
    moving: Sequence[str],
    worst: tuple[float, str],
) -> Record:
    """Read the final state from the database and the sandbox."""
    events, bookings = read_rows(store, leads)
    calls = stage.upstream.calls()
    return Record(
        leads=leads,
        told=senders.told,
        events=events,
        bookings=bookings,
        posts=posts_from(calls, leads),
        tours=tours_from(stage.upstream.appointments(), leads),
        cards=cards_from(stage.upstream.prospects(), leads),
        calls=calls_from(calls, began_at - dt.timedelta(seconds=60)),
        moving=moving,
        worst_seconds=worst[0],
        worst_row=worst[1],
        sent_at=senders.sent_at,
        notes=notes_from(stage.upstream.stored_notes()),
        messages=read_messages(store, events),
        chosen=[one for one in senders.renters.chosen if one.lead_id in leads],
        canceled_at=senders.agents.canceled_at,
        given_up=[*stage.upstream.given_up(), *stage.upstream.undelivered()],
    )


def _lines(request: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(request.get("notes") or "").split("\n"))


def _lead_id(body: Any) -> str:
    """Return the lead ID in the notes of a POST request."""
    notes = body.get("notes", "") if isinstance(body, dict) else ""
    found = re.search(r"lead (\S+)", notes)
    return found[1] if found else ""
