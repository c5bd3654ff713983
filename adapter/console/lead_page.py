"""Serve the page of one lead, with its payload, its result and the origin of each field."""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import flask
from werkzeug.exceptions import NotFound

from adapter.bookings.decisions import FIELD
from adapter.bookings.reconcile import replacing_in_knock
from adapter.console.booking_form import (
    EDITABLE_FIELDS,
    FormField,
    RefusedForm,
    form_fields,
    text_of,
    version_of,
    zone_of,
)
from adapter.console.context import bp, services
from adapter.console.display import MAX_RAW_BODY, PayloadLine, anchor_for, payload_lines
from adapter.exceptions import PayloadError
from adapter.mapping.engine import Item, Outcome
from adapter.mapping.provenance import Provenance, provenance_of, wall_clock_time
from adapter.mapping.source import Source
from adapter.models import Attempt, Booking, Change, LeadHistory
from adapter.operations import serializers
from adapter.operations.advice import Advice, advice_for, explanation_of, label_of
from adapter.operations.allowed_actions import (
    RELEASABLE,
    is_merged,
    may_be_another_person,
    may_confirm,
    may_discard,
    why_not_release,
)
from adapter.operations.release_changes import CONTACTS, shared_contacts
from adapter.store import AuditEntry, Issue


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FieldRow:
    """A row of the page's table of appointment fields, with the origin of the value."""

    name: str
    label: str
    value: str
    #: For each value that was read, its path, and its anchor in the payload or None.
    paths: Sequence[tuple[str, str | None]]
    #: ``file:line`` in the mapping and the text of that line; None if a user set the field.
    at: str | None
    line: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BookingView:
    """A booking as the lead's page displays it."""

    booking: Booking
    #: The problem and what to do about it, or None if the booking does not need review.
    advice: Advice | None
    #: The key of its group in the queue, or None.
    group: str | None
    fields: Sequence[FieldRow]
    form: Sequence[FormField]
    #: The time zone used in the form, and the version of the booking that it shows.
    zone: str
    version: str
    #: The tour's local start if the community is not yet known, or None.
    wall_time: dt.datetime | None
    why_not_release: str | None
    #: The other lead that caused this one's state, and the text before and after its name.
    other: Booking | None
    sentence: tuple[str, str]
    #: The leads whose state this one caused.
    related: Sequence[Booking]
    #: True if it was merged or replaced, which a user may undo.
    is_merged: bool
    #: Labels of the contacts that it shares with the other lead, and whether it has others.
    shared: Sequence[str]
    has_own_contact: bool
    may_confirm: bool
    may_discard: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEntry:
    """An entry of a lead's timeline: a change of state, or a request to Propexo."""

    at: dt.datetime
    title: str
    text: str
    #: Propexo's response, or None.
    response: str | None = None
    #: The other lead that caused the change, or None.
    because_of: int | None = None


@bp.get("/leads/<key>", endpoint="lead")
def lead_page(key: str, refused: RefusedForm | None = None) -> Any:
    """Render a lead's page. Respond with 409 if it shows a rejected form."""
    story, replaced, audit_entries = _load(key)
    event, source = story.event, services.sources.get(story.event.source)
    payload, problem = _payload(source, story)
    page = flask.render_template(
        "console/lead.html",
        story=story,
        event=event,
        source=source,
        views=list(_booking_views(source, story, refused)),
        payload=payload,
        problem=problem,
        raw=event.body[:MAX_RAW_BODY].decode("utf-8", "replace"),
        is_cut=len(event.body) > MAX_RAW_BODY,
        timeline=timeline_of(story),
        audit_entries=audit_entries,
        replaced=replaced,
        error=refused.error if refused else None,
        is_same_mapping=source is not None and source.hash == event.mapping_hash,
    )
    return (page, 409) if refused else page


def _load(key: str) -> tuple[LeadHistory, Mapping[int, Booking], list[AuditEntry]]:
    """Load a lead with its replaced tours and user actions, and record that a user viewed it."""
    with services.store.transaction() as tx:
        story = tx.events.history(key)
        if story is None:
            raise NotFound("There is no lead with this ID.")
        by, at = flask.g.user.name, services.now()
        tx.audit.record("looked", by=by, at=at, lead_id=story.event.id)
        return story, replacing_in_knock(tx, story.bookings), tx.audit.of_lead(story)


def _payload(source: Source | None, story: LeadHistory) -> tuple[list[PayloadLine], str | None]:
    """Return the display lines of a lead's payload, or the reason why it cannot be shown."""
    if story.event.kept != "all":
        return [], "The original webhook was deleted."
    if source is None:
        return [], "This source no longer has a mapping, so only the raw text is shown."
    try:
        return payload_lines(source.scope(story.event.request).payload), None
    except PayloadError as exc:
        return [], f"This webhook cannot be read: {exc}. Only the raw text is shown."


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MappedAgain:
    """A stored webhook, mapped again to find the origin of each field."""

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

    def wall_time(self, booking: Booking) -> dt.datetime | None:
        """Return a tour's local time as the sender wrote it, or None if its time zone is known."""
        if booking.starts_at is not None or booking.community is not None:
            return None
        delivery = self.story.event.request
        return wall_clock_time(self.source, delivery, self._item_number(booking))

    def origins(self, booking: Booking) -> dict[str, Provenance]:
        """Return the origin of each field of a booking, except those that a user set."""
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
        """Return the text of a mapping's line, given its position as ``file:line``."""
        number = int(at.rpartition(":")[2]) if at and ":" in at else 0
        is_there = 0 < number <= len(self.mapping_lines)
        return self.mapping_lines[number - 1].strip() if is_there else ""

    def _item_number(self, booking: Booking) -> int:
        """Return the index of the webhook's item that is most similar to a booking."""

        def likeness(number: int) -> int:
            if self.items[number].outcome is Outcome.IGNORED:
                return -1
            pairs = self.items[number].appointment.items()
            return sum(booking.appointment.get(name) == value for name, value in pairs)

        return max(range(len(self.items)), key=likeness, default=0)


def _booking_views(
    source: Source | None, story: LeadHistory, refused: RefusedForm | None
) -> Iterator[BookingView]:
    mapped = MappedAgain.of(source, story) if story.bookings else None
    for booking in story.bookings:
        is_refused = refused is not None and refused.booking_id == booking.id
        yield _booking_view(booking, story, mapped, refused if is_refused else None)


def _booking_view(
    booking: Booking, story: LeadHistory, mapped: MappedAgain | None, refused: RefusedForm | None
) -> BookingView:
    issue = Issue.of(booking) if booking.state in RELEASABLE else None
    wall_time = mapped.wall_time(booking) if mapped else None
    other = story.others.get(booking.because_of or 0)
    shared: frozenset[str] = frozenset()
    if other is not None and may_be_another_person(booking):
        shared = shared_contacts(booking.appointment, other)
    return BookingView(
        booking=booking,
        advice=advice_for(issue) if issue else None,
        group=issue.key if issue else None,
        fields=list(_field_rows(booking, mapped)),
        form=form_fields(booking, refused, wall_time),
        zone=zone_of(booking, refused.typed.get("community", "") if refused else ""),
        version=version_of(booking),
        wall_time=wall_time,
        why_not_release=why_not_release(booking),
        other=other,
        sentence=_sentence_around(booking, other),
        related=[one for one in story.related if one.because_of == booking.id],
        is_merged=is_merged(booking),
        shared=[label_of(name).lower() for name in sorted(shared)],
        has_own_contact=any(booking.appointment.get(name) for name in CONTACTS - shared),
        may_confirm=may_confirm(booking),
        may_discard=may_discard(booking),
    )


def _sentence_around(booking: Booking, other: Booking | None) -> tuple[str, str]:
    """Return a decision's sentence in two parts, before and after the link to the other lead."""
    if other is None:
        return "", ""
    texts = [reason.reason for reason in booking.reasons if reason.field == FIELD]
    text = texts[-1] if texts else explanation_of(booking)
    before, _, after = text.partition(f"booking {other.id}")
    return f"{before[:1].upper()}{before[1:].rstrip()} ", after


def _field_rows(booking: Booking, mapped: MappedAgain | None) -> Iterator[FieldRow]:
    origins: Mapping[str, Provenance] = mapped.origins(booking) if mapped else {}
    order = {name: number for number, name in enumerate(EDITABLE_FIELDS)}
    for name in sorted(booking.appointment, key=lambda name: order.get(name, len(order))):
        origin = origins.get(name)
        at = origin.at if origin else None
        yield FieldRow(
            name=name,
            label=label_of(name),
            value=text_of(booking.appointment[name]),
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
    )
