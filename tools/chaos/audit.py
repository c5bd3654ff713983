"""Compares what the senders were told, what the database says and what stands in Knock."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from adapter.models import BookingState, EventState
from tools.chaos.leads import COMMUNITIES, Lead
from tools.chaos.record import Record, is_limit

#: Recovery longer than this counts as a fault, and so do more calls in any 60 seconds.
RECOVERY_SECONDS = 60.0
CALLS_PER_MINUTE = 120

#: States in which a person is told to look.
WAITING = frozenset(
    {BookingState.HELD, BookingState.FAILED, BookingState.UNKNOWN, BookingState.EXPIRED}
)
#: States that a booking leaves by itself.
MOVING = frozenset({BookingState.PENDING, BookingState.SENDING, BookingState.SUBMITTED})
#: States that say that something may stand in Knock.
SENT = frozenset(
    {BookingState.SENDING, BookingState.SUBMITTED, BookingState.BOOKED, BookingState.UNKNOWN}
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that must not be, and is."""

    kind: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """One round in numbers."""

    #: Sent, acknowledged, events, and the bookings by state.
    counts: Mapping[str, int]
    faults: tuple[Fault, ...]
    recovery_seconds: float
    #: What waited so long.
    slowest: str
    most_calls: int

    def faults_by_kind(self) -> dict[str, int]:
        """Every number that must be zero."""
        found = Counter(fault.kind for fault in self.faults)
        return {kind: found[kind] for kind in AUDITS}


def findings_from(record: Record, without: Collection[str] = ()) -> Findings:
    """All audits but those that are switched off."""
    faults = [
        Fault(kind=kind, text=text)
        for kind, (group, audit) in AUDITS.items()
        if group not in without
        for text in audit(record)
    ]
    seconds, slowest = max(
        (record.worst_seconds, record.worst_row), (_longest_wait(record), "a sender")
    )
    return Findings(
        counts=_counts(record),
        faults=tuple(faults),
        recovery_seconds=seconds,
        slowest=slowest,
        most_calls=most_calls(record),
    )


def absent(record: Record) -> Iterator[str]:
    """A webhook that was acknowledged, and whose event is not in the database."""
    for told in record.told:
        stored = {event.id for event in record.events.get(told.lead.id, ())}
        if told.is_acknowledged and told.event_id not in stored:
            yield f"{told.lead.id} was told {told.status}, event {told.event_id}"


def lost(record: Record) -> Iterator[str]:
    """An acknowledged lead that neither stands in Knock nor waits for a person.

    One that was replaced, or is a repeat, is not lost while another of its person stands or waits.
    To a lead without a time the guest card is enough, and that of a tour is one.
    """
    toured = {record.leads[tour.lead_id].place for tour in record.tours if tour.stands}
    known = toured | {record.leads[card.lead_id].place for card in record.cards}
    waiting = {record.leads[lead_id].place for lead_id in record.leads if _waits(record, lead_id)}
    for lead in _acknowledged(record):
        states = {booking.state for booking in record.bookings.get(lead.id, ())}
        if _waits(record, lead.id) or _moves(record, lead.id):
            continue
        replaced = states <= {BookingState.DUPLICATE, BookingState.SUPERSEDED} and states
        standing = known if lead.starts_at is None else toured
        if lead.place not in standing and not (replaced and lead.place in waiting):
            yield f"{lead.id} is {_words(states)}, and nothing stands or waits for a person"


def stored_twice(record: Record) -> Iterator[str]:
    """One webhook that became two events."""
    for lead_id, events in record.events.items():
        if len(events) > 1:
            yield f"{lead_id} is events {', '.join(str(event.id) for event in events)}"


def posted_twice(record: Record) -> Iterator[str]:
    """A second POST for one tour or guest card of one person, after one that may have made it."""
    seen: dict[tuple[object, ...], str] = {}
    for post in record.posts:
        lead = record.leads[post.lead_id]
        key = (*lead.place, lead.starts_at)
        if key in seen:
            yield f"{post.lead_id} was posted after {seen[key]} may have been booked"
        if post.may_have_booked:
            seen[key] = post.lead_id


def older_after_newer(record: Record) -> Iterator[str]:
    """A POST of a person's older request after one of a newer request."""
    newest: dict[tuple[str, str], Lead] = {}
    for post in record.posts:
        lead = record.leads[post.lead_id]
        if lead.starts_at is None:
            continue  # a guest card changes no tour
        before = newest.get(lead.place)
        if before is not None and lead.number < before.number:
            yield f"{lead.id} was posted after {before.id}"
        else:
            newest[lead.place] = lead


def older_stands(record: Record) -> Iterator[str]:
    """A person's newest request was booked in Knock, and an older one of theirs stands."""
    newest: dict[tuple[str, str], Lead] = {}
    for lead in sorted(record.leads.values(), key=lambda lead: lead.number):
        if lead.starts_at is not None:
            newest[lead.place] = lead
    booked = {record.leads[tour.lead_id].number_at_place for tour in record.tours}
    for tour in record.tours:
        lead = record.leads[tour.lead_id]
        last = newest.get(lead.place, lead)
        if tour.stands and lead.number < last.number and last.number_at_place in booked:
            yield f"{lead.id} stands, though {last.id} was booked"


def wrong_hour(record: Record) -> Iterator[str]:
    """A tour at another instant, or at another community, than the lead said; or a guest card."""
    for tour in record.tours:
        lead = record.leads[tour.lead_id]
        if (tour.starts_at, tour.community_id) != (lead.starts_at, COMMUNITIES[lead.community][1]):
            yield f"{lead.id} stands at {tour.starts_at:%Y-%m-%dT%H:%MZ} in {tour.community_id}"
    for card in record.cards:
        lead = record.leads[card.lead_id]
        if lead.starts_at is not None or card.community_id != COMMUNITIES[lead.community][1]:
            yield f"{lead.id} has a guest card in {card.community_id}"


def denied(record: Record) -> Iterator[str]:
    """A tour or a guest card in Knock whose booking says that it is not there."""
    in_knock = {tour.lead_id for tour in record.tours} | {card.lead_id for card in record.cards}
    for lead_id in in_knock:
        states = {booking.state for booking in record.bookings.get(lead_id, ())}
        if not states & SENT:
            yield f"{lead_id} is in Knock, and its booking is {_words(states)}"


def stuck(record: Record) -> Iterator[str]:
    """A row that still moves after all patience."""
    yield from record.moving


def refused(record: Record) -> Iterator[str]:
    """A sender that was told no, or nothing at all, until it gave up."""
    for told in record.told:
        if not told.is_acknowledged:
            yield f"{told.lead.id} was told {told.status} after {told.waited_seconds:.0f} s"


def slow(record: Record) -> Iterator[str]:
    """A sender or a row that waited longer than recovery may take."""
    if record.worst_seconds > RECOVERY_SECONDS:
        yield f"{record.worst_row} stood still for {record.worst_seconds:.0f} s"
    if _longest_wait(record) > RECOVERY_SECONDS:
        yield f"a sender waited {_longest_wait(record):.0f} s for its answer"


def over_rate(record: Record) -> Iterator[str]:
    """More calls in 60 seconds than the limit."""
    if most_calls(record) > CALLS_PER_MINUTE:
        yield f"{most_calls(record)} calls in 60 s"


def limited(record: Record) -> Iterator[str]:
    """A 429 that nobody asked the sandbox for."""
    yield from (f"429 at {call.at:%H:%M:%S}" for call in record.calls if is_limit(call))


#: Each number that must be zero: the group by which it is switched off, and its audit.
AUDITS: Mapping[str, tuple[str, Callable[[Record], Iterator[str]]]] = {
    "absent": ("absent", absent),
    "lost": ("lost", lost),
    "stored twice": ("twice", stored_twice),
    "posted twice": ("twice", posted_twice),
    "older after newer": ("order", older_after_newer),
    "older stands": ("order", older_stands),
    "wrong hour": ("hour", wrong_hour),
    "denied": ("denied", denied),
    "stuck": ("stuck", stuck),
    "refused": ("refused", refused),
    "slow": ("slow", slow),
    "over rate": ("rate", over_rate),
    "429": ("rate", limited),
}


def most_calls(record: Record) -> int:
    """Most calls in any window of 60 seconds."""
    times = sorted(call.at.timestamp() for call in record.calls)
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 60.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def _counts(record: Record) -> dict[str, int]:
    states = Counter(str(booking.state) for booking in itertools.chain(*record.bookings.values()))
    return {
        "sent": len(record.told),
        "acknowledged": sum(told.is_acknowledged for told in record.told),
        "events": sum(map(len, record.events.values())),
        **{state: states[state] for state in COUNTED},
        "without a time": sum(lead.starts_at is None for lead in record.leads.values()),
        "guest cards": len(record.cards),
        "unknown and never posted": len(_unsent(record)),
    }


#: Bookings are counted by these states.
COUNTED = ("booked", "held", "unknown", "failed", "superseded", "duplicate", "expired")


def _acknowledged(record: Record) -> list[Lead]:
    ids = {told.lead.id for told in record.told if told.is_acknowledged}
    return [lead for lead in record.leads.values() if lead.id in ids]


def _waits(record: Record, lead_id: str) -> bool:
    """Whether a person is told to look at it."""
    if any(event.state is EventState.HELD for event in record.events.get(lead_id, ())):
        return True
    return any(booking.state in WAITING for booking in record.bookings.get(lead_id, ()))


def _moves(record: Record, lead_id: str) -> bool:
    """Whether it is on its way; that it should have come to its end is told by ``stuck``."""
    if any(event.state is EventState.RECEIVED for event in record.events.get(lead_id, ())):
        return True
    return any(booking.state in MOVING for booking in record.bookings.get(lead_id, ()))


def _unsent(record: Record) -> set[str]:
    """Leads that were parked as unknown by a crash between the intent and the POST."""
    posted = {post.lead_id for post in record.posts}
    return {
        lead_id
        for lead_id, bookings in record.bookings.items()
        if lead_id not in posted
        and any(booking.state is BookingState.UNKNOWN for booking in bookings)
    }


def _words(states: Collection[BookingState]) -> str:
    return " and ".join(sorted(states)) or "no booking"


def _longest_wait(record: Record) -> float:
    return max((told.waited_seconds for told in record.told), default=0.0)
