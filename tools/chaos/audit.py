"""Compare the responses to senders, the rows in the database and the appointments in Knock."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from adapter.models import BookingState, EventState
from tools.chaos import later_audit
from tools.chaos.leads import COMMUNITIES, Lead
from tools.chaos.people_audit import broken_promises
from tools.chaos.record import Record, is_limit, needs_review
from tools.people.record import MOVING

#: Limits: recovery time, and requests in any 60 seconds.
RECOVERY_SECONDS = 60.0
CALLS_PER_MINUTE = 120

#: States in which a tour or guest card may exist in Knock.
SENT = frozenset(
    {BookingState.SENDING, BookingState.SUBMITTED, BookingState.BOOKED, BookingState.UNKNOWN}
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A violation of an invariant."""

    kind: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """The audit's counts for one round."""

    #: Counts of sent and acknowledged webhooks, events, and bookings by state.
    counts: Mapping[str, int]
    faults: tuple[Fault, ...]
    recovery_seconds: float
    #: Longest waiting times.
    slowest: str
    most_calls: int

    def faults_by_kind(self) -> dict[str, int]:
        """Return the counts that must be zero."""
        found = Counter(fault.kind for fault in self.faults)
        return {kind: found[kind] for kind in AUDITS}


def _steady(audit: Callable[[Record], Iterator[str]]) -> Callable[[Record], Iterator[str]]:
    """Limit an audit to people who only request one tour after another.

    :mod:`tools.chaos.people_audit` covers everyone, and :mod:`tools.chaos.later_audit` covers
    people who choose a time on the renter page.
    """

    def audited(record: Record) -> Iterator[str]:
        leads = {key: lead for key, lead in record.leads.items() if not _is_audited_apart(lead)}
        steady = dataclasses.replace(
            record,
            leads=leads,
            posts=[one for one in record.posts if one.lead_id in leads],
            tours=[one for one in record.tours if one.lead_id in leads],
            cards=[one for one in record.cards if one.lead_id in leads],
        )
        return audit(steady)

    return audited


def _is_audited_apart(lead: Lead) -> bool:
    return lead.wavers or lead.chooses


def findings_from(record: Record, without: Collection[str] = ()) -> Findings:
    """Return the findings of all enabled audits."""
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
    """Yield acknowledged webhooks whose events are not in the database."""
    for told in record.told:
        stored = {event.id for event in record.events.get(told.lead.id, ())}
        # The response to a later message about a booking contains the first event's ID.
        is_named = told.event_id in stored or (told.lead.key and stored)
        if told.is_acknowledged and not is_named:
            yield f"{told.lead.id} got {told.status}, event {told.event_id}"


def lost(record: Record) -> Iterator[str]:
    """Yield acknowledged leads that neither exist in Knock nor need review.

    A superseded or duplicate lead is not lost while the same person's other lead is booked or needs
    review. For a lead without a time, a guest card is enough, including that of a tour.
    """
    # A tour that an agent cancels in Knock is not lost.
    toured = {
        record.leads[tour.lead_id].place
        for tour in record.tours
        if tour.stands or tour.canceled_by == "person"
    }
    known = toured | {record.leads[card.lead_id].place for card in record.cards}
    waiting = {
        record.leads[lead_id].place for lead_id in record.leads if needs_review(record, lead_id)
    }
    for lead in _acknowledged(record):
        states = {booking.state for booking in record.bookings.get(lead.id, ())}
        if needs_review(record, lead.id) or _moves(record, lead.id):
            continue
        replaced = states <= {BookingState.DUPLICATE, BookingState.SUPERSEDED} and states
        standing = known if lead.starts_at is None else toured
        if lead.place not in standing and not (replaced and lead.place in waiting):
            yield f"{lead.id} is {_words(states)}, and nothing is booked or needs review"


def stored_twice(record: Record) -> Iterator[str]:
    """Yield webhooks that were stored as two events.

    A form does not send the time of the request. If another request came in between, the same bytes
    may be a new request. An event that is not mapped yet may be that request, so the bytes are
    stored again. The same applies to several versions of one booking.
    """
    for lead_id, events in record.events.items():
        lead = record.leads[lead_id]
        if len(events) > 1 and lead.source == "portal" and not lead.key:
            yield f"{lead_id} is events {', '.join(str(event.id) for event in events)}"


def posted_twice(record: Record) -> Iterator[str]:
    """Yield repeated POSTs for a tour or guest card after a POST that may have succeeded."""
    seen: dict[tuple[object, ...], str] = {}
    for post in record.posts:
        lead = record.leads[post.lead_id]
        key = (*lead.place, lead.starts_at)
        if key in seen:
            yield f"{post.lead_id} was posted after {seen[key]} may have been booked"
        if post.may_have_booked:
            seen[key] = post.lead_id


def older_after_newer(record: Record) -> Iterator[str]:
    """Yield POSTs for a person's older request after a newer one."""
    newest: dict[tuple[str, str], Lead] = {}
    for post in record.posts:
        lead = record.leads[post.lead_id]
        if lead.starts_at is None:
            continue  # a guest card does not change a tour
        before = newest.get(lead.place)
        if before is not None and lead.number < before.number:
            yield f"{lead.id} was posted after {before.id}"
        else:
            newest[lead.place] = lead


def older_stands(record: Record) -> Iterator[str]:
    """Yield older tours that still exist although the person's newest request was booked."""
    newest: dict[tuple[str, str], Lead] = {}
    for lead in sorted(record.leads.values(), key=lambda lead: lead.number):
        if lead.starts_at is not None:
            newest[lead.place] = lead
    booked = {record.leads[tour.lead_id].number_at_place for tour in record.tours}
    for tour in record.tours:
        lead = record.leads[tour.lead_id]
        last = newest.get(lead.place, lead)
        if tour.stands and lead.number < last.number and last.number_at_place in booked:
            yield f"{lead.id} is still booked although {last.id} was booked"


def wrong_hour(record: Record) -> Iterator[str]:
    """Yield tours and guest cards that differ from the lead in time or community."""
    for tour in record.tours:
        lead = record.leads[tour.lead_id]
        chosen = [one.at for one in record.chosen if one.lead_id == lead.id]
        wanted = chosen if lead.chooses else [lead.starts_at]
        is_there = tour.community_id == COMMUNITIES[lead.community][1]
        if tour.starts_at not in wanted or not is_there:
            yield f"{lead.id} is booked at {tour.starts_at:%Y-%m-%dT%H:%MZ} in {tour.community_id}"
    for card in record.cards:
        lead = record.leads[card.lead_id]
        if lead.starts_at is not None or card.community_id != COMMUNITIES[lead.community][1]:
            yield f"{lead.id} has a guest card in {card.community_id}"


def denied(record: Record) -> Iterator[str]:
    """Yield tours and guest cards in Knock whose bookings say that they do not exist."""
    in_knock = {tour.lead_id for tour in record.tours} | {card.lead_id for card in record.cards}
    for lead_id in in_knock:
        states = {booking.state for booking in record.bookings.get(lead_id, ())}
        if not states & SENT:
            yield f"{lead_id} is in Knock, but its booking is {_words(states)}"


def stuck(record: Record) -> Iterator[str]:
    """Yield rows that have not reached a final state before the timeout."""
    yield from record.moving


def refused(record: Record) -> Iterator[str]:
    """Yield senders that gave up without ever getting a 2xx response."""
    for told in record.told:
        if not told.is_acknowledged:
            yield f"{told.lead.id} got {told.status} after {told.waited_seconds:.0f} s"


def slow(record: Record) -> Iterator[str]:
    """Yield senders and rows that waited longer than recovery may take."""
    if record.worst_seconds > RECOVERY_SECONDS:
        yield f"{record.worst_row} was idle for {record.worst_seconds:.0f} s"
    if _longest_wait(record) > RECOVERY_SECONDS:
        yield f"a sender waited {_longest_wait(record):.0f} s for a response"


def over_rate(record: Record) -> Iterator[str]:
    """Yield windows of 60 seconds with more requests than the limit."""
    if most_calls(record) > CALLS_PER_MINUTE:
        yield f"{most_calls(record)} requests in 60 s"


def limited(record: Record) -> Iterator[str]:
    """Yield 429 responses that the test did not inject."""
    yield from (f"429 at {call.at:%H:%M:%S}" for call in record.calls if is_limit(call))


#: Counts that must be zero, each with its audit and the group that disables it.
AUDITS: Mapping[str, tuple[str, Callable[[Record], Iterator[str]]]] = {
    "absent": ("absent", absent),
    "lost": ("lost", _steady(lost)),
    "stored twice": ("twice", stored_twice),
    "posted twice": ("twice", _steady(posted_twice)),
    "older after newer": ("order", _steady(older_after_newer)),
    "older stands": ("order", _steady(older_stands)),
    "wrong hour": ("hour", wrong_hour),
    "denied": ("denied", denied),
    "stuck": ("stuck", stuck),
    "refused": ("refused", refused),
    "slow": ("slow", slow),
    "over rate": ("rate", over_rate),
    "429": ("rate", limited),
    "people": ("people", broken_promises),
    "words twice": ("words", later_audit.words_twice),
    "words lost": ("words", later_audit.words_lost),
    "words out of order": ("words", later_audit.words_out_of_order),
    "choice lost": ("choices", later_audit.choice_lost),
    "choice doubled": ("choices", later_audit.choice_doubled),
    "knock status": ("status", later_audit.knock_status),
}


def most_calls(record: Record) -> int:
    """Return the highest number of requests in any 60-second window."""
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
        "notes": len({note.job_id for note in later_audit.own_notes(record)}),
        "times chosen": sum(one.is_confirmed for one in record.chosen),
        "tours changed in Knock": sum(later_audit.is_changed_by_agent(one) for one in record.tours),
        "tours with a status": sum(
            one.knock_status is not None for one in itertools.chain(*record.bookings.values())
        ),
        "webhooks given up": len(record.given_up),
        "unknown and never posted": len(_unsent(record)),
    }


#: The states by which bookings are counted.
COUNTED = ("booked", "held", "unknown", "failed", "superseded", "duplicate", "expired")


def _acknowledged(record: Record) -> list[Lead]:
    ids = {told.lead.id for told in record.told if told.is_acknowledged}
    return [lead for lead in record.leads.values() if lead.id in ids]


def _moves(record: Record, lead_id: str) -> bool:
    """Return True if a row is not in a final state. ``stuck`` reports rows that should be."""
    if any(event.state is EventState.RECEIVED for event in record.events.get(lead_id, ())):
        return True
    return any(booking.state in MOVING for booking in record.bookings.get(lead_id, ()))


def _unsent(record: Record) -> set[str]:
    """Return leads whose state is unknown because of a crash between the commit and the POST."""
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
