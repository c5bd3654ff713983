"""One lead's whole story: what came beside what it became, each field with where it came from."""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import flask
from werkzeug.exceptions import NotFound

from adapter.console.context import ConsoleServices
from adapter.console.display import LONGEST_RAW, Line, anchor_of, lines_of
from adapter.exceptions import NotPossible, PayloadError
from adapter.mapping.engine import Item, Outcome
from adapter.mapping.provenance import Provenance, provenance_of, wall_clock_time
from adapter.mapping.source import Source
from adapter.models import Attempt, Booking, Change, LeadHistory
from adapter.operations import serializers
from adapter.operations.advice import Advice, advice_for, label_of
from adapter.operations.allowed_actions import (
    RELEASABLE,
    may_confirm,
    may_discard,
    why_not_release,
)
from adapter.propexo.appointment import TARGETS
from adapter.settings import NEUTRAL_WORDS
from adapter.store import AuditEntry, AuditLog, Issue

#: What a person may set of an appointment, in the order of the form.
FORM: Final = (
    "first_name",
    "last_name",
    "email_1",
    "phone_1",
    "tour_type",
    "first_contact_type",
    "move_in_date",
    "number_of_occupants",
    "lease_term_in_months",
    "rent_minimum_in_cents",
    "rent_maximum_in_cents",
    "desired_num_bedrooms",
    "pets",
    "notes",
)


def communities_of(services: ConsoleServices) -> list[str]:
    """The keys of all communities."""
    return sorted({key for source in services.sources.values() for key in source.communities})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One field of an appointment, with where it came from."""

    name: str
    label: str
    value: str
    #: (path, anchor in the payload), or none.
    places: Sequence[tuple[str, str | None]]
    #: ``file:line`` of the mapping and what stands there; None where a person set it.
    at: str | None
    line: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One field of the form that edits a booking."""

    name: str
    label: str
    value: str
    #: For a choice: what there is to choose from.
    choices: Sequence[str] = ()
    fault: str = ""
    kind: str = "text"
    #: Whether it is one of those that this lead waits for, or that most leads wait for.
    is_first: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BookingView:
    """One booking as the page shows it."""

    booking: Booking
    #: What is wrong and what to do; None where it does not wait for a person.
    advice: Advice | None
    fields: Sequence[Shown]
    inputs: Sequence[Input]
    attempts: Sequence[Attempt]
    #: The clock that the form's hour is read on, and the version of the booking that it shows.
    zone: str
    version: str
    #: When the tour starts on the clock of a community that is not known yet, or None.
    wall_at: dt.datetime | None
    #: The group that it waits in, or None.
    group: str | None
    why_not_release: str | None
    may_confirm: bool
    may_discard: bool


def lead_page(
    services: ConsoleServices,
    key: str,
    *,
    typed: Mapping[str, str] | None = None,
    error: NotPossible | None = None,
    edited: int | None = None,
) -> Any:
    """One lead's story. After a refused form: what was ``typed`` for ``edited``, and the error."""
    with services.pipeline.store.transaction() as tx:
        story = tx.events.history(key)
        if story is None:
            raise NotFound("Nothing is known by that number.")
        by, at = flask.g.user.name, services.pipeline.clock()
        tx.audit.record("looked", by=by, at=at, lead_id=story.event.id)
        acts = _acts(tx.audit, story)
    source = services.sources.get(story.event.source)
    payload, problem = _payload(source, story)
    views = [_view(services, source, story, one, typed, error, edited) for one in story.bookings]
    page = flask.render_template(
        "console/lead.html",
        story=story,
        event=story.event,
        source=source,
        views=views,
        payload=payload,
        problem=problem,
        raw=story.event.body[:LONGEST_RAW].decode("utf-8", "replace"),
        is_cut=len(story.event.body) > LONGEST_RAW,
        timeline=timeline_of(story),
        acts=acts,
        error=error,
        is_same_mapping=source is not None and source.hash == story.event.mapping_hash,
    )
    return (page, 409) if error is not None else page


def _acts(audit: AuditLog, story: LeadHistory) -> list[AuditEntry]:
    """The newest of what people did with it, without the looks."""
    numbers = (story.event.id, *(booking.id for booking in story.bookings))
    found = [
        act
        for number in numbers
        for act in audit.entries(lead_id=number, limit=20, except_action="looked")
    ]
    return sorted(found, key=lambda act: act.id, reverse=True)[:20]


def _payload(source: Source | None, story: LeadHistory) -> tuple[list[Line], str | None]:
    """The payload line by line, or why there is none."""
    if story.event.kept != "all":
        return [], "What was sent is erased."
    if source is None:
        return [], "There is no mapping of this source any more: only the raw text is shown."
    try:
        return lines_of(source.scope(story.event.request).payload), None
    except PayloadError as exc:
        return [], f"It cannot be read: {exc}. Only the raw text is shown."


def _view(
    services: ConsoleServices,
    source: Source | None,
    story: LeadHistory,
    booking: Booking,
    typed: Mapping[str, str] | None,
    error: NotPossible | None,
    edited: int | None,
) -> BookingView:
    is_edited = booking.id == edited
    trouble = Issue.of(booking) if booking.state in RELEASABLE else None
    wall_at = _wall_at(source, story, booking)
    shown = dict(typed or {}) if is_edited else {}
    if wall_at is not None:
        shown.setdefault("starts_at", wall_at.strftime("%Y-%m-%dT%H:%M"))
    faults = error.faults if error is not None and is_edited else {}
    return BookingView(
        booking=booking,
        advice=advice_for(trouble) if trouble else None,
        group=trouble.key if trouble else None,
        wall_at=wall_at,
        zone=zone_named(services, booking, (typed or {}).get("community", "") if is_edited else ""),
        version=version_of(booking),
        fields=list(_fields(source, story, booking)),
        inputs=inputs_of(services, booking, shown, faults),
        attempts=story.attempts[booking.id],
        why_not_release=why_not_release(booking),
        may_confirm=may_confirm(booking),
        may_discard=may_discard(booking),
    )


def _wall_at(source: Source | None, story: LeadHistory, booking: Booking) -> dt.datetime | None:
    if source is None or booking.starts_at is not None or booking.community is not None:
        return None
    if story.event.kept != "all":
        return None
    delivery = story.event.request
    items = source.map(delivery, now=story.event.received_at).items
    return wall_clock_time(source, delivery, _number_of(booking, items))


def _fields(source: Source | None, story: LeadHistory, booking: Booking) -> Iterator[Shown]:
    origins = _origins(source, story, booking)
    texts = _mapping_lines(source)
    order = {name: number for number, name in enumerate(FORM)}
    pairs = sorted(booking.appointment.items(), key=lambda pair: order.get(pair[0], len(order)))
    for name, value in pairs:
        origin = origins.get(name)
        at = origin.at if origin else None
        number = int(at.rpartition(":")[2]) if at and ":" in at else 0
        yield Shown(
            name=name,
            label=label_of(name),
            value=text_of(value),
            places=[
                (path, anchor_of(spots[0]) if spots else None)
                for path, spots in (origin.places if origin else ())
            ],
            at=at,
            line=texts[number - 1].strip() if 0 < number <= len(texts) else "",
        )


def text_of(value: Any) -> str:
    """A field's value as a person would type it."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _origins(
    source: Source | None, story: LeadHistory, booking: Booking
) -> Mapping[str, Provenance]:
    """Where each field of a booking came from, by the mapping of now; not what a person set."""
    if source is None or story.event.kept != "all":
        return {}
    delivery = story.event.request
    items = source.map(delivery, now=story.event.received_at).items
    number = _number_of(booking, items)
    found = provenance_of(source, delivery)
    lines = found[number] if number < len(found) else []
    mapped = items[number].appointment if number < len(items) else {}
    return {
        field: origin
        for origin in lines
        for field in origin.fields
        if booking.appointment.get(field) == mapped.get(field)
    }


def _number_of(booking: Booking, items: Sequence[Item]) -> int:
    """Which item of a webhook became this booking: the one that is most like it."""

    def alike(number: int) -> int:
        pairs = items[number].appointment.items()
        same = sum(booking.appointment.get(name) == value for name, value in pairs)
        return same if items[number].outcome is not Outcome.IGNORED else -1

    return max(range(len(items)), key=alike, default=0)


def _mapping_lines(source: Source | None) -> list[str]:
    if source is None:
        return []
    try:
        return source.path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def inputs_of(
    services: ConsoleServices, booking: Booking, typed: Mapping[str, str], faults: Mapping[str, str]
) -> list[Input]:
    """The form of one booking, with what was typed and what was wrong with it."""
    known = values_of(booking)
    first = {"starts_at", "community", *(reason.field for reason in booking.reasons)}

    def field(name: str, label: str, choices: Sequence[str] = (), kind: str = "text") -> Input:
        value = typed.get(name, known.get(name, ""))
        # A value that is no choice any more stays one, so that the form does not change it.
        more = [value] if choices and value and value not in choices else []
        return Input(
            name=name,
            label=label,
            value=value,
            choices=[*choices, *more],
            fault=faults.get(name, ""),
            kind=kind,
            is_first=name in first or name in faults,
        )

    zone = zone_named(services, booking, typed.get("community", "")) or "the community's clock"
    return [
        field("starts_at", f"Tour starts at ({zone})", kind="datetime-local"),
        field("community", "Community", ["", *communities_of(services)]),
        *(
            field(name, TARGETS[name].label, _choices(name), _kind(name))
            for name in FORM
            if name in TARGETS
        ),
    ]


def _choices(name: str) -> Sequence[str]:
    is_one_of = name in NEUTRAL_WORDS and not TARGETS[name].many
    return ["", *NEUTRAL_WORDS[name]] if is_one_of else ()


def _kind(name: str) -> str:
    return {"move_in_date": "date", "notes": "area"}.get(name, "text")


def zone_named(services: ConsoleServices, booking: Booking, community: str) -> str:
    """The zone of the community that is chosen in the form, or of the booking's; empty: none."""
    source = services.sources.get(booking.source)
    place = source.communities.get(community) if source is not None else None
    return place.timezone.key if place is not None else booking.timezone or ""


def version_of(booking: Booking) -> str:
    """What a form carries, so that it does not undo what somebody else did meanwhile."""
    return f"{booking.state} {booking.updated_at.isoformat()}"


def values_of(booking: Booking) -> dict[str, str]:
    """What stands in the form before anybody types: texts by field."""
    values = {name: text_of(booking.appointment.get(name, "")) for name in FORM}
    values["community"] = booking.community or ""
    values["starts_at"] = ""
    if booking.starts_at is not None and booking.timezone is not None:
        local = booking.starts_at.astimezone(ZoneInfo(booking.timezone))
        values["starts_at"] = local.strftime("%Y-%m-%dT%H:%M")
    return values


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One line of a timeline."""

    at: dt.datetime
    title: str
    text: str
    #: What Propexo answered, or None.
    answer: str | None = None


def timeline_of(story: LeadHistory) -> list[Moment]:
    """Every change of state and every POST with its answer, in the order of time."""
    moments = [_change(change) for change in story.history]
    for attempts in story.attempts.values():
        moments += map(_attempt, attempts)
    return sorted(moments, key=lambda moment: moment.at)


def _change(change: Change) -> Moment:
    what = f"booking {change.booking_id}" if change.booking_id else "webhook"
    way = f"{change.from_state} → {change.to_state}" if change.from_state else change.to_state
    return Moment(at=change.at, title=f"{what}: {way}", text=f"{change.why}, by {change.by}")


def _attempt(attempt: Attempt) -> Moment:
    status = f", HTTP {attempt.status}" if attempt.status else ""
    outcome = attempt.outcome or "no outcome yet"
    return Moment(
        at=attempt.finished_at or attempt.started_at,
        title=f"booking {attempt.booking_id}: posted to Propexo",
        text=f"{outcome}{status}; begun {serializers.utc(attempt.started_at)}",
        answer=attempt.answer,
    )
