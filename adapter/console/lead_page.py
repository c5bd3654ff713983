"""Serve a lead's page, with its payload, its result and the origin of each field."""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import flask
from werkzeug.exceptions import NotFound

from adapter.bookings.person import SENT
from adapter.bookings.renter_tours import is_time_taken
from adapter.console.booking_form import (
    EDITABLE_FIELDS,
    FormField,
    Offer,
    RefusedForm,
    form_fields,
    offer_of,
    version_of,
    zone_of,
)
from adapter.console.context import bp, services
from adapter.console.display import MAX_RAW_BODY, PayloadLine, anchor_for, payload_lines
from adapter.console.lead_facts import LeadFacts, load_facts
from adapter.console.needs_you import FormatTrouble, format_trouble_of, neighbors_of, place_name
from adapter.console.problem_text import agent_advice, problem_sentences, unused_values
from adapter.console.readable import most_similar
from adapter.console.renters import contact_in
from adapter.console.story import ASKED_FOR, gone_text, part_names, replaced_text, story_of
from adapter.console.time_html import clock_in, local_text, reader_zone
from adapter.console.wording import answer_text, shown_value
from adapter.exceptions import NotPossible, PayloadError, TimeNotAvailable
from adapter.mapping.engine import SENT_OUTCOMES, Item
from adapter.mapping.provenance import Provenance, provenance_of
from adapter.mapping.source import Source
from adapter.models import (
    SETTLED,
    Attempt,
    Booking,
    BookingState,
    Change,
    Kind,
    LeadHistory,
    Reason,
)
from adapter.operations import serializers
from adapter.operations.advice import DECISIONS, Advice, label_of, open_reasons
from adapter.operations.allowed_actions import (
    RELEASABLE,
    is_merged,
    is_repeat,
    is_sent_guest_card,
    may_be_another_person,
    may_confirm,
    may_discard,
    why_not_release,
)
from adapter.operations.pms_hint import pms_hint
from adapter.operations.release_changes import CONTACTS, shared_contacts
from adapter.operations.take_back import (
    TOUR_UNDONE,
    Snooze,
    may_bring_back,
    may_undo,
    snooze_choices,
)
from adapter.store import Issue

#: What to do if the sender has changed its format.
_FORMAT: Final = (
    "Ask an admin to fix this under Mappings. You don't need to call the renter about it."
)
_READ_NOW: Final = Advice(
    wrong="We couldn't read this lead when it arrived, but we can read it now.",
    todo="Read it again to book it. You don't need to call the renter about it.",
)
#: What to do if the renter canceled a tour that did not come from here.
_NOT_OURS: Final = Advice(
    wrong="The renter canceled a tour that we didn't book.",
    todo="Look for the renter in Knock. If they have a tour there, cancel it.",
)
#: The label of the check box that allows any tour time.
ANY_TIME: Final = "Book it anyway (outside booking hours or more than a year ahead)"
#: The label for each choice of how long to snooze a lead.
SNOOZES: Final[Mapping[Snooze, str]] = {
    Snooze.HOUR: "In an hour",
    Snooze.AFTERNOON: "This afternoon",
    Snooze.TOMORROW: "Tomorrow morning",
    Snooze.TOUR: "Before the tour",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FieldRow:
    """A row in the table of appointment fields, with the origin of the value."""

    name: str
    label: str
    value: str
    #: The path of each value that was read, with its anchor in the payload or None.
    paths: Sequence[tuple[str, str | None]]
    #: ``file:line`` in the mapping and the text of that line; None if a user set the field.
    at: str | None
    line: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BookingView:
    """A booking, with everything that the lead's page displays about it."""

    booking: Booking
    #: The problem and how to solve it, or None if the booking does not need review.
    advice: Advice | None
    #: A sentence for each further problem.
    problems: Sequence[str]
    #: Labels and values of optional fields that could not be used.
    unused: Sequence[tuple[str, str]]
    #: The change in the sender's format that caused the lead to be held, or None.
    trouble: FormatTrouble | None
    #: True if the mapping in use can read a message that could not be read on arrival.
    is_read_now: bool
    #: A sentence about the booking's state, or "" if it needs review.
    sentence: str
    #: The key of its group in the queue, or None.
    group: str | None
    fields: Sequence[FieldRow]
    form: Sequence[FormField]
    #: Available times in Knock to choose from, if the tour's own time is not available.
    offer: Offer
    #: The time zone used in the form, and the version of the booking that it shows.
    zone: str
    version: str
    #: True if a user may release the booking, add a time to its guest card, or undo a decision.
    may_release: bool
    may_add_time: bool
    is_merged: bool
    #: True if sending this lead would change nothing in Knock.
    is_repeat: bool
    #: The other lead that caused this lead's state.
    other: Booking | None
    #: The upcoming tour of the other lead that Knock cancels when it books this one, or None.
    cancels: Booking | None
    #: The leads whose state this lead caused, except those that it replaced.
    related: Sequence[Booking]
    #: Labels of the contact details that it shares with the other lead, and whether it has more.
    shared: Sequence[str]
    has_own_contact: bool
    may_confirm: bool
    may_discard: bool
    may_bring_back: bool
    may_undo: bool
    #: The choices of how long to snooze the lead, each with its label and its time.
    snoozes: Sequence[tuple[str, str, str]]
    #: The label of the check box that allows an unusual tour time, or "".
    any_hour: str
    #: True to ask whether to release the booking despite another request.
    asks_anyway: bool
    asks_taken_time: bool
    #: What Knock needs before it can pass the guest card to another system, or None.
    hint: str | None
    error: NotPossible | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEntry:
    """An entry in a lead's timeline: a change of state, or a request to Propexo."""

    at: dt.datetime
    title: str
    text: str
    #: Propexo's response, or None.
    response: str | None = None
    #: The body of the POST, or None.
    request: str | None = None
    #: The other lead that caused the change, or None.
    because_of: int | None = None


@bp.get("/leads/<key>", endpoint="lead")
def lead_page(key: str, refused: RefusedForm | None = None) -> Any:
    """Render a lead's page. Respond with 409 if it shows a rejected form."""
    story, facts = _load(key)
    event, source = story.event, services.sources.get(story.event.source)
    payload, problem = _payload(source, story)
    common = _common(key, story, refused, facts)
    is_in_list = common["neighbors"].is_in_list and "search" not in flask.request.args
    flask.g.opened_from = "console.queue" if is_in_list else "console.leads"
    page = flask.render_template(
        "console/lead.html",
        **common,
        is_in_list=is_in_list,
        payload=payload,
        problem=problem,
        raw=event.body[:MAX_RAW_BODY].decode("utf-8", "replace"),
        is_cut=len(event.body) > MAX_RAW_BODY,
        timeline=timeline_of(story),
        audit_entries=facts.actions,
        is_same_mapping=source is not None and source.hash == event.mapping_hash,
    )
    return (page, 409) if refused else page


@bp.get("/leads/<key>/panel")
def lead_panel(key: str, refused: RefusedForm | None = None) -> Any:
    """Render the side panel with a lead's details and actions."""
    story, facts = _load(key)
    common = _common(key, story, refused, facts)
    common["views"] = [
        one for one in common["views"] if str(one.booking.id) == key or not key.isdigit()
    ] or common["views"]
    return flask.render_template("console/_panel.html", **common)


@bp.get("/leads/<int:number>/state")
def lead_state(number: int) -> flask.Response:
    """Render the state of a booking that is being sent. Reload the page once it is settled."""
    with services.store.transaction() as tx:
        booking = tx.bookings.get(number)
    if booking is None:
        raise NotFound("There is no such lead.")
    answer = flask.make_response(flask.render_template("console/_state.html", booking=booking))
    if booking.state in SETTLED:
        answer.headers["HX-Refresh"] = "true"
    return answer


def _common(
    key: str,
    story: LeadHistory,
    refused: RefusedForm | None,
    facts: LeadFacts,
) -> dict[str, Any]:
    """Return the template variables that the page and the panel share."""
    source = services.sources.get(story.event.source)
    number = int(key) if key.isascii() and key.isdigit() else story.event.id
    views = list(_booking_views(source, story, refused))
    ids = [one.booking.id for one in views]
    return {
        "key": key,
        "story": story,
        "event": story.event,
        "source": source,
        "views": views,
        "lines": story_of(story, facts),
        "facts": facts,
        "replaced_text": replaced_text,
        "any_time": ANY_TIME,
        "gone_text": lambda change: gone_text(change or None),
        "replaced": facts.replaced,
        "canceled": facts.cancellations,
        "part_names": part_names(story),
        "tours_asked_for": sum(ASKED_FOR in name for name in part_names(story).values()),
        "neighbors": neighbors_of(number if number in ids or not ids else ids[0]),
        "advice": agent_advice(Issue.of_event(story.event)),
        "contact": "" if views else contact_in(story.event),
        "was_dismissed": story.event.state == "discarded" and story.event.kept == "all",
    }


def _load(key: str) -> tuple[LeadHistory, LeadFacts]:
    """Load a lead's history and the facts about the lead, and record the view."""
    with services.store.transaction() as tx:
        story = tx.events.history(key)
        if story is None:
            raise NotFound("There is no lead with this ID.")
        by, at = flask.g.user.name, services.now()
        tx.audit.record("looked", by=by, at=at, lead_id=story.event.id)
        return story, load_facts(tx, story, at)


def _payload(source: Source | None, story: LeadHistory) -> tuple[list[PayloadLine], str | None]:
    """Return the display lines of a lead's payload, and the reason if it cannot be shown."""
    if story.event.kept != "all":
        return [], "The original message was deleted."
    if source is None:
        return [], "This lead source no longer has a mapping, so only the raw text is shown."
    try:
        return payload_lines(source.scope(story.event.request).payload), None
    except PayloadError:
        return [], "We can't read this message, so only the raw text is shown."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MappedAgain:
    """A stored webhook that is mapped again to find the origin of each field."""

    source: Source
    story: LeadHistory
    items: Sequence[Item]
    provenance: Sequence[Sequence[Provenance]]
    mapping_lines: Sequence[str]

    @classmethod
    def of(cls, source: Source | None, story: LeadHistory) -> Self | None:
        """Remap a stored webhook. Return None if its mapping or payload no longer exists."""
        if source is None or story.event.kept != "all":
            return None
        delivery = story.event.request
        return cls(
            source=source,
            story=story,
            items=source.map(delivery, now=story.event.received_at).items,
            provenance=provenance_of(source, delivery),
            mapping_lines=services.mapping_text(source.name).splitlines(),
        )

    def origins(self, booking: Booking) -> dict[str, Provenance]:
        """Return the origin of each of a booking's fields, except fields set by a user."""
        number = self._item_number(booking)
        if number >= min(len(self.provenance), len(self.items)):
            return {}
        mapped = self.items[number].appointment
        return {
            field: origin
            for origin in self.provenance[number]
            for field in origin.fields
            if booking.appointment.get(field) == mapped.get(field)
        }

    def line_at(self, at: str | None) -> str:
        """Return the text of the mapping's line at ``file:line``, or "" if there is none."""
        number = int(at.rpartition(":")[2]) if at and ":" in at else 0
        is_there = 0 < number <= len(self.mapping_lines)
        return self.mapping_lines[number - 1].strip() if is_there else ""

    def is_read_now(self, booking: Booking) -> bool:
        """Return True if a held booking would be sent to Knock when mapped again."""
        number = self._item_number(booking)
        is_held = booking.state is BookingState.HELD and booking.reason == "held_by_mapping"
        return is_held and number < len(self.items) and self.items[number].outcome in SENT_OUTCOMES

    def _item_number(self, booking: Booking) -> int:
        return most_similar(booking, self.items)


def _lead(booking_id: int) -> Booking | None:
    with services.store.statement() as tx:
        return tx.bookings.get(booking_id)


def _booking_views(
    source: Source | None, story: LeadHistory, refused: RefusedForm | None
) -> Iterator[BookingView]:
    mapped = MappedAgain.of(source, story) if story.bookings else None
    for booking in story.current:
        if booking.reason == TOUR_UNDONE:
            continue
        is_refused = refused is not None and refused.booking_id == booking.id
        yield _booking_view(booking, story, mapped, refused if is_refused else None)


def _booking_view(
    booking: Booking, story: LeadHistory, mapped: MappedAgain | None, refused: RefusedForm | None
) -> BookingView:
    now = services.now()
    issue = Issue.of(booking) if booking.state in RELEASABLE else None
    other = story.others.get(booking.because_of or 0)
    shared = _shared(booking, other)
    error = refused.error if refused else None
    told = str(error or "")
    is_held = issue is not None and booking.state is BookingState.HELD
    trouble = format_trouble_of(booking.id, issue) if issue and is_held else None
    advice, problems = _explained(booking, story, issue, trouble) if issue else (None, ())
    is_read_now = mapped is not None and mapped.is_read_now(booking)
    if is_read_now:
        advice, problems = _READ_NOW, ()
    return BookingView(
        booking=booking,
        advice=advice,
        problems=problems,
        unused=unused_values(_notes_reasons(booking)),
        trouble=trouble,
        is_read_now=is_read_now,
        sentence="" if issue else DECISIONS.get(booking.reason or "", ""),
        group=issue.key if issue else None,
        fields=list(_field_rows(booking, mapped)),
        form=form_fields(booking, refused, flask.request.args.get("time", "")),
        offer=offer_of(booking, refused),
        zone=zone_of(booking, refused.typed.get("community", "") if refused else ""),
        version=version_of(booking),
        may_release=why_not_release(booking) is None,
        may_add_time=is_sent_guest_card(booking)
        and not any(_is_live_tour(one, now) for one in story.current),
        is_merged=is_merged(booking),
        is_repeat=is_repeat(booking, other),
        other=other,
        cancels=other if _is_canceled_by(booking, other, now) else None,
        related=list(_related(booking, story, other)),
        shared=[label_of(name).lower() for name in sorted(shared)],
        has_own_contact=any(booking.appointment.get(name) for name in CONTACTS - shared),
        may_confirm=may_confirm(booking),
        may_discard=may_discard(booking),
        may_bring_back=may_bring_back(booking, _lead),
        may_undo=may_undo(booking, now),
        snoozes=list(_snoozes(booking, now)),
        any_hour=_any_hour_text(booking, told, now),
        asks_anyway="--anyway" in told,
        asks_taken_time=is_time_taken(booking) or isinstance(error, TimeNotAvailable),
        hint=_hint(booking),
        error=error,
    )


def _is_canceled_by(booking: Booking, other: Booking | None, now: dt.datetime) -> bool:
    """Return True if booking one lead's tour makes Knock cancel another lead's upcoming tour."""
    if other is None or booking.kind is Kind.PROSPECT or is_repeat(booking, other):
        return False
    is_one_person = is_merged(booking) or bool(_shared(booking, other))
    return _is_live_tour(other, now) and is_one_person


def _is_live_tour(one: Booking, now: dt.datetime) -> bool:
    """Return True for an upcoming tour that is in Knock or on its way there."""
    is_upcoming = one.starts_in_knock is not None and one.starts_in_knock > now
    is_sent = one.state in (BookingState.PENDING, *SENT) and not one.is_gone
    return one.kind is Kind.APPOINTMENT and is_upcoming and is_sent


def _related(booking: Booking, story: LeadHistory, other: Booking | None) -> Iterator[Booking]:
    """Yield the leads whose state a booking caused, except those that it replaced."""
    for one in story.related:
        is_caused = one.because_of == booking.id and one.state is not BookingState.SUPERSEDED
        if is_caused and (other is None or one.id != other.id):
            yield one


def _hint(booking: Booking) -> str | None:
    source = services.sources.get(booking.source)
    return pms_hint(booking, source.communities.get(booking.community or "") if source else None)


def _shared(booking: Booking, other: Booking | None) -> frozenset[str]:
    if other is None or not may_be_another_person(booking):
        return frozenset()
    return shared_contacts(booking.appointment, other)


def _notes_reasons(booking: Booking) -> Sequence[Reason]:
    """Return a booking's reasons, except the one that its mapping gave for holding it."""
    return booking.reasons[booking.reason == "held_by_mapping" :]


def _any_hour_text(booking: Booking, told: str, now: dt.datetime) -> str:
    """Return the label of the check box that allows an unusual tour time, or ""."""
    texts = [reason.reason for reason in open_reasons(booking, now)]
    if any(text.startswith("is at ") for text in texts):
        return "Book it anyway, outside booking hours"
    if any(text.startswith("is more than") for text in texts):
        return "Book it anyway, more than a year ahead"
    return ANY_TIME if "--any-hour" in told else ""


def format_advice(trouble: FormatTrouble) -> Advice:
    """Return the advice for leads that are held because a sender changed its format."""
    return Advice(wrong=f"{trouble.source} seems to have changed its format.", todo=_FORMAT)


def _explained(
    booking: Booking, story: LeadHistory, issue: Issue, trouble: FormatTrouble | None
) -> tuple[Advice, Sequence[str]]:
    """Return the advice for a booking's main problem, and a sentence for each other problem."""
    advice = agent_advice(issue)
    shared = sorted(_shared(booking, story.others.get(booking.because_of or 0)))
    if booking.reason == "another_person" and shared:
        labels = " and ".join(label_of(name).lower() for name in shared)
        wrong = f"Someone with a different name has the same {labels}."
        return dataclasses.replace(advice, wrong=wrong), ()
    if booking.reason == "cancellation" and booking.because_of is None:
        return _NOT_OURS, ()
    if trouble is not None:
        return format_advice(trouble), [trouble.sentence]
    if booking.state is BookingState.HELD and booking.reason == "held_by_mapping":
        return _with_problems(advice, booking, story)
    answers = story.attempts.get(booking.id, ())
    words = answer_text(answers[-1].answer) if answers else ""
    if words and booking.state in (BookingState.FAILED, BookingState.HELD):
        return advice, [f"Knock's response: “{words.rstrip('.')}.”"]
    return advice, ()


def _with_problems(
    advice: Advice, booking: Booking, story: LeadHistory
) -> tuple[Advice, Sequence[str]]:
    reasons = open_reasons(booking, services.now())
    values = [one.value for one in reasons if one.field == "community" and one.value]
    place = place_name(story.event, values[0]) if values else ""
    told = [*problem_sentences(booking, reasons, place)]
    if not told:
        return advice, ()
    return dataclasses.replace(advice, wrong=told[0]), told[1:]


def _snoozes(booking: Booking, now: dt.datetime) -> Iterator[tuple[str, str, str]]:
    zone = reader_zone()
    shown = ZoneInfo(booking.timezone) if booking.timezone else zone
    for choice, at in snooze_choices(booking, now, zone).items():
        words = SNOOZES[choice]
        if choice is Snooze.TOUR and booking.starts_at is None and booking.wall_time is None:
            words = "For 12 hours"
        is_on = choice is Snooze.TOUR
        yield choice, words, local_text(at, shown) if is_on else clock_in(at, shown)


def _field_rows(booking: Booking, mapped: MappedAgain | None) -> Iterator[FieldRow]:
    origins: Mapping[str, Provenance] = mapped.origins(booking) if mapped else {}
    order = {name: number for number, name in enumerate(EDITABLE_FIELDS)}
    for name in sorted(booking.appointment, key=lambda name: order.get(name, len(order))):
        origin = origins.get(name)
        at = origin.at if origin else None
        yield FieldRow(
            name=name,
            label=label_of(name),
            value=shown_value(name, booking.appointment[name]),
            paths=[
                (path, anchor_for(locations[0]) if locations else None)
                for path, locations in (origin.places if origin else ())
            ],
            at=at,
            line=mapped.line_at(at) if mapped else "",
        )


def timeline_of(story: LeadHistory) -> list[TimelineEntry]:
    """Return a lead's changes of state and requests to Propexo, oldest first."""
    entries = [_change(change) for change in story.history]
    for attempts in story.attempts.values():
        entries += map(_attempt, attempts)
    return sorted(entries, key=lambda entry: entry.at)


def _change(change: Change) -> TimelineEntry:
    what = f"booking {change.booking_id}" if change.booking_id else "webhook"
    states = f"{change.from_state} → {change.to_state}" if change.from_state else change.to_state
    title, text = f"{what}: {states}", f"{change.why}, by {change.by}"
    return TimelineEntry(at=change.at, title=title, text=text, because_of=change.because_of)


def _attempt(attempt: Attempt) -> TimelineEntry:
    status = f", HTTP {attempt.status}" if attempt.status else ""
    outcome = attempt.outcome or "no outcome yet"
    return TimelineEntry(
        at=attempt.finished_at or attempt.started_at,
        title=f"booking {attempt.booking_id}: posted to Propexo",
        text=f"{outcome}{status}; started {serializers.utc(attempt.started_at)}",
        response=attempt.answer,
        request=json.dumps(dict(attempt.request), indent=2, ensure_ascii=False),
    )
