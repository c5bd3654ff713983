"""Describe a lead's history in sentences."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from adapter.bookings.decisions import FIELD
from adapter.console.activity import changed_labels, confirmed, listed
from adapter.console.context import services
from adapter.console.lead_facts import NO_FACTS, LeadFacts
from adapter.console.needs_you import held_by_formats, place_name
from adapter.console.problem_text import problem_sentence
from adapter.console.time_html import local_text
from adapter.console.wording import CANCELED_IN_KNOCK, ignored_text
from adapter.models import (
    CHOSEN_BY_RENTER,
    REPLAYED,
    Booking,
    BookingState,
    Change,
    InvitationMail,
    Kind,
    KnockStatus,
    LeadHistory,
    Message,
    shown_user,
)
from adapter.operations.advice import (
    BY_CODE,
    DECISIONS,
    EMAIL_GIVEN_UP,
    EMAIL_WAITS,
    EMAILS,
    IN_SHORT,
    NOTE_WAITS,
    NOTES,
)
from adapter.operations.take_back import TOUR_UNDONE
from adapter.store import AuditEntry

#: What a change of state means, by the new state. ``{by}`` is the user's name.
_STATES: Final[Mapping[str, str]] = {
    "received": "The request arrived.",
    "mapped": "The request was read.",
    "pending": "Ready to send to Knock.",
    "sending": "Sending to Knock.",
    "submitted": "Knock is saving the request.",
    "booked": "Booked in Knock.",
    "failed": "Not booked.",
    "unknown": "We don't know if Knock saved the request.",
    "expired": "The tour time passed before we could book it.",
    "held": "Needs review.",
    "superseded": "Replaced by a newer request.",
    "duplicate": "Duplicate of another request.",
    "discarded": "Dismissed.",
}
#: What a change means by its reason.
_WHYS: Final[Mapping[str, str]] = {
    "released": "{by} sent the lead to Knock.",
    "time_given": "{by} added a tour time.",
    CHOSEN_BY_RENTER: "The renter chose this time.",
    "seen_in_knock": "{by} marked the lead as already in Knock.",
    "brought_back": "{by} brought the lead back.",
    "rate_limited": "Too many requests right now. We'll try again soon.",
    "not_sent": "We couldn't reach Knock. We'll try again soon.",
    "job_succeeded": "Booked in Knock.",
    "confirmed_in_knock": "Knock confirmed the booking.",
    "canceled_in_knock": "Someone canceled the tour in Knock.",
    "replaced_in_knock": "Knock canceled this tour when it booked a newer one:",
    "booked_again_in_knock": "The tour is booked in Knock again.",
    "visited_in_knock": "The renter came to the tour.",
    "no_show_in_knock": "The renter didn't come to the tour.",
    "waiting_in_knock": "The tour is waiting for the community to accept it in Knock.",
    "calendar_free": "Knock's calendar shows this time as available. Sending to Knock.",
    "calendar_no_answer": "Knock's calendar didn't respond. Sending to Knock anyway.",
    "calendar_rejected": "We don't have access to Knock's calendar. Sending to Knock anyway.",
    "calendar_busy": "We couldn't check Knock's calendar in time. Sending to Knock anyway.",
    "calendar_unreadable": "We couldn't read Knock's calendar. Sending to Knock anyway.",
    "calendar_too_short": "Knock's calendar doesn't go that far yet. Sending to Knock anyway.",
}
#: The actions that users take to book a lead.
_RELEASES: Final = frozenset({"released", "edited_and_released"})
#: The name of a tour that the message itself requested.
ASKED_FOR: Final = "Tour"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StoryLine:
    """A sentence about one event in a lead's history."""

    at: dt.datetime
    text: str
    #: The other lead that caused it, or None.
    other: Booking | None = None
    #: The earlier or later booking that the sentence ends with, or None.
    ends_with: Booking | None = None


def story_of(story: LeadHistory, facts: LeadFacts = NO_FACTS) -> list[StoryLine]:
    """Return a lead's history as sentences, oldest first. Leave out purely technical steps."""
    lines = [*_lines(story, facts), *_reports(story, facts), *map(_note_line, story.messages)]
    lines += [*_email_lines(story.emails), *_replaced_lines(story, facts)]
    lines.sort(key=lambda line: line.at)
    return [line for n, line in enumerate(lines) if n == 0 or not _is_same(line, lines[n - 1])]


def _is_same(line: StoryLine, other: StoryLine) -> bool:
    return (line.text, line.ends_with) == (other.text, other.ends_with)


def part_names(story: LeadHistory) -> Mapping[int, str]:
    """Return a name such as ``Tour 2`` or ``Guest card`` for each current booking in a message."""
    chosen = {one.booking_id for one in story.history if one.why == CHOSEN_BY_RENTER}
    kinds = {one.id: _kind_name(one, is_chosen=one.id in chosen) for one in story.current}
    seen: dict[str, int] = {}
    names = {}
    for number, kind in kinds.items():
        seen[kind] = seen.get(kind, 0) + 1
        is_only = [*kinds.values()].count(kind) == 1
        names[number] = kind if is_only else f"{kind} {seen[kind]}"
    return names


def _kind_name(booking: Booking, *, is_chosen: bool) -> str:
    if booking.is_cancellation:
        return "Cancellation"
    if booking.kind is Kind.PROSPECT:
        return "Guest card"
    return "The renter's choice" if is_chosen else ASKED_FOR


def _lines(story: LeadHistory, facts: LeadFacts) -> Iterator[StoryLine]:
    numbers = part_names(story)
    releases = {one.at: one for one in facts.actions if one.action in _RELEASES}
    replaced = {one.id for one in story.bookings} - {*numbers}
    at = story.event.received_at
    for change in story.history:
        at = max(at, change.at)  # the processes' clocks differ by milliseconds
        if change.booking_id is None and change.to_state == "mapped":
            continue
        if change.booking_id in replaced and change.why == REPLAYED:
            continue
        other = story.others.get(change.because_of or 0)
        text = _sentence(change, story, facts)
        if change.why == "released" and change.at in releases:
            text = _release_sentence(releases[change.at])
        yield StoryLine(at=at, text=_named(text, change.booking_id, numbers), other=other)


def _named(text: str, booking_id: int | None, names: Mapping[int, str]) -> str:
    """Prefix a sentence with the name of the part that it is about, if there are several parts."""
    part = names.get(booking_id or 0)
    return f"{part}: {text}" if len(names) > 1 and part is not None else text


def _release_sentence(entry: AuditEntry) -> str:
    """Describe how a user booked a lead, and what the user changed and confirmed first."""
    by, detail = shown_user(entry.by), entry.detail
    if "another_person" in detail.split(", "):
        moved = " The shared contact is now in the notes." if "notes" in detail else ""
        return f"{by} sent the lead to Knock as a different person's.{moved}"
    labels = changed_labels(detail)
    changed = f"changed the {listed(labels)} and " if labels else ""
    return f"{by} {changed}sent the lead to Knock{confirmed(detail)}."


def _reports(story: LeadHistory, facts: LeadFacts) -> Iterator[StoryLine]:
    """Yield a line for each tour that a user reported as canceled.

    This report does not change the tour's state.
    """
    for booking in story.current:
        if booking.gone_at is not None and booking.knock_status is not KnockStatus.CANCELED:
            text = gone_text(facts.gone.get(booking.id)) + "."
            text = _named(text, booking.id, part_names(story))
            yield StoryLine(at=booking.gone_at, text=text)


def gone_text(change: Change | None) -> str:
    """Describe who reported that a tour is no longer in Knock, and how."""
    if change is None:
        return "Someone on your team reported that the tour was canceled in Knock"
    if change.to_state == BookingState.DISCARDED:
        return f"{change.user} reported that the tour was canceled in Knock"
    return f"{change.user} booked it again because it was no longer in Knock"


def _replaced_lines(story: LeadHistory, facts: LeadFacts) -> Iterator[StoryLine]:
    """Yield a line for each earlier booking that one of the lead's bookings replaced."""
    names = part_names(story)
    booked = {one.booking_id: one.at for one in story.history if one.to_state == "booked"}
    for booking in story.current:
        for one in facts.before.get(booking.id, ()):
            is_sent = one.state is BookingState.BOOKED
            at = booked.get(booking.id, booking.updated_at) if is_sent else one.updated_at
            text = _named(replaced_text(one), booking.id, names)
            yield StoryLine(at=at, text=text, ends_with=one)
        if (tour := facts.tours.get(booking.id)) is not None:
            at = tour.posted_at or tour.updated_at
            text = _named("This guest card now has", booking.id, names)
            yield StoryLine(at=at, text=text, ends_with=tour)


def replaced_text(earlier: Booking) -> str:
    """Return the beginning of a sentence about an earlier booking."""
    is_card = earlier.kind is Kind.PROSPECT and earlier.state is BookingState.BOOKED
    return "This was added to" if is_card else "This replaced"


def _note_line(message: Message) -> StoryLine:
    """Describe the delivery of a renter's later message to Knock."""
    said = NOTES.get(message.reason, NOTE_WAITS) if message.due_at is None else NOTE_WAITS
    words = f": “{message.text}”" if message.text else "."
    return StoryLine(at=message.updated_at, text=said + words)


def _email_lines(emails: Iterable[InvitationMail]) -> Iterator[StoryLine]:
    """Yield a sentence for each attempted email with a tour link, except unneeded emails."""
    for one in emails:
        if one.tried_at is not None and one.outcome not in ("not_needed", "restored"):
            is_over = one.due_at is None
            text = EMAILS.get(one.outcome, EMAIL_GIVEN_UP) if is_over else EMAIL_WAITS
            yield StoryLine(at=one.tried_at, text=text)


def _sentence(change: Change, story: LeadHistory, facts: LeadFacts) -> str:
    by, why = change.user, change.why
    if change.to_state == "ignored":
        return ignored_text(story.event.reasons)
    if change.to_state == "received" and change.from_state and why not in _WHYS:
        return _replay_sentence(by, facts.assignments.get(change.at))
    if by and (did := _taken_back(change)):
        return f"{by} {did}."
    if why == "seen_in_knock" and not by:
        return "Found in Knock."
    if change.to_state == "pending" and why in _WHYS:
        return _WHYS[why].format(by=by or "A user")
    booking = next((one for one in story.bookings if one.id == change.booking_id), None)
    is_card = booking is not None and booking.kind is Kind.PROSPECT
    if change.to_state == "booked" and is_card and why in ("job_succeeded", "mapped"):
        return "The guest card is in Knock."
    if why == "moved_in_knock":
        return _move_sentence(change, booking, story)
    text = _WHYS.get(why, "").format(by=by or "A user") or DECISIONS.get(why, "")
    if text:
        return text
    return _state_sentence(change, story)


def _taken_back(change: Change) -> str:
    """Describe a dismissal or an undone action. Return "" for other changes."""
    if change.to_state == "discarded" and change.why == CANCELED_IN_KNOCK:
        return "reported that the tour was canceled in Knock"
    if change.to_state == "discarded" and change.why == TOUR_UNDONE:
        return "undid the booking before it was sent"
    if change.to_state == "discarded":
        return f"dismissed the lead: {change.why.rstrip('.')}"
    taken = {"pending": "undid this before it was sent", "discarded": "brought the lead back"}
    return taken.get(change.from_state or "", "") if change.to_state == "held" else ""


def _move_sentence(change: Change, booking: Booking | None, story: LeadHistory) -> str:
    """Describe how a tour was moved to another time in Knock.

    Only the time of the latest move is known.
    """
    same = [one for one in story.history if one.booking_id == change.booking_id]
    is_latest = [one for one in same if one.why == change.why][-1] is change
    if not is_latest or booking is None or booking.moved_to is None or booking.timezone is None:
        return "Knock moved the tour to another time."
    return f"Knock moved the tour to {local_text(booking.moved_to, ZoneInfo(booking.timezone))}."


def _replay_sentence(by: str, assignment: AuditEntry | None) -> str:
    """Describe why a message was read again: a user changed its community or requested it."""
    if assignment is not None:
        place = services.community_name(assignment.detail.partition(": ")[2])
        is_undone = assignment.action == "property_unassigned"
        did = "removed the assignment of this property" if is_undone else "assigned this property"
        return f"{by} {did} to {place}."
    return f"{by} read the message again." if by else "The message was read again."


def _state_sentence(change: Change, story: LeadHistory) -> str:
    state, why = change.to_state, change.why
    if state in ("held", "failed", "unknown", "expired") and why in BY_CODE:
        more = IN_SHORT.get(why, "")
        return f"{_STATES[state]} {more}." if more else BY_CODE[why][0]
    booking = next((one for one in story.bookings if one.id == change.booking_id), None)
    if state == BookingState.HELD and booking is not None and why == "held_by_mapping":
        found = [one for one in booking.reasons if one.field != FIELD]
        if booking.id in held_by_formats():
            return f"Needs review. {booking.source} seems to have changed its format."
        if found:
            place = place_name(story.event, found[0].value or "")
            return f"Needs review. {problem_sentence(found[0], booking, place)}"
    return _STATES.get(state, state)
