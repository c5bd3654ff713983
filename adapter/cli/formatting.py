"""Format tables of leads, and the history of one lead, for the terminal."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.models import (
    Attempt,
    Booking,
    BookingState,
    Change,
    Event,
    InvitationMail,
    Kind,
    KnockStatus,
    LeadHistory,
    Message,
    Reason,
)
from adapter.operations.serializers import dump, local, person, utc
from adapter.parsing.text import readable_json
from adapter.store import AuditEntry, Undecryptable

#: Maximum number of IDs in a line. JSON output contains all IDs.
MOST_IDS = 50


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format rows as a table with aligned columns."""
    cells = [list(titles), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    lines = (
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def undecryptable_lines(lost: Undecryptable) -> list[str]:
    """Return lines with the IDs of requests skipped because their encryption key is not set."""
    return [
        f"skipped, because their key is not in ADAPTER_ENCRYPTION_KEYS: {len(ids)} {kind}: "
        + ", ".join([*map(str, ids[:MOST_IDS]), *(["…"] if len(ids) > MOST_IDS else [])])
        for kind, ids in (("events", lost.events), ("rejected requests", lost.rejections))
        if ids
    ]


def bookings_table(bookings: Iterable[Booking]) -> str:
    """Format bookings as a table with one line each."""
    return table(
        (
            "id",
            "event",
            "source",
            "state",
            "why",
            "community",
            "tour (local)",
            "UTC",
            "person",
            "job",
        ),
        (
            (
                *dump(booking, "id event_id source").values(),
                _state(booking),
                _why(booking),
                booking.community,
                _tour(booking),
                booking.starts_in_knock,
                person(booking.appointment),
                booking.job_id,
            )
            for booking in bookings
        ),
    )


def _state(booking: Booking) -> str:
    """Return a booking's state, with the tour's status in Knock if Knock has changed it."""
    status = KnockStatus.CANCELED if booking.is_gone else booking.knock_status
    is_other = booking.state is BookingState.BOOKED and status not in (None, KnockStatus.BOOKED)
    return f"{booking.state}, {status} in Knock" if is_other else booking.state


def _tour(booking: Booking) -> str | None:
    if booking.kind is Kind.PROSPECT:
        return "no time (guest card)"
    return local(booking.starts_in_knock, booking.timezone)


def _why(booking: Booking) -> str | None:
    """Return the reason for a booking's state: the mapping's first reason, or the reason code."""
    if booking.reason == "held_by_mapping" and booking.reasons:
        first = booking.reasons[0]
        return f"{first.field}: {first.reason}"
    return booking.reason


def events_table(events: Iterable[Event]) -> str:
    """Format webhook events as a table with one line each."""
    return table(
        ("id", "source", "state", "received", "bytes", "content type", "why"),
        (
            (
                *dump(event, "id source state received_at size content_type").values(),
                event.reasons[0].reason if event.reasons else None,
            )
            for event in events
        ),
    )


def reason_line(reason: Reason) -> str:
    """Format a reason as one line: ``field (mapping line) value from path: reason``."""
    location = f" ({reason.at})" if reason.at else ""
    value = f" {readable_json(reason.value)}" if reason.value is not None else ""
    path = f" from {reason.path}" if reason.path else ""
    return f"{reason.field}{location}{value}{path}: {reason.reason}"


def change_lines(fields: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    """Format the changed fields of a lead, one per line."""
    for name, (old, new) in fields.items():
        yield f"  {name}: {json.dumps(old)} → {json.dumps(new)}"


def story_text(
    story: LeadHistory,
    acts: Iterable[AuditEntry],
    replaced: Mapping[int, Booking],
    why_unsent: str | None,
) -> str:
    """Format a lead's history, including users' actions and tours that replaced the lead's tour.

    ``why_unsent`` is the reason why pending bookings are not sent, or None.
    """
    event = story.event
    content_type = _cell(event.content_type or "unknown type")
    lines = [
        f"event {event.id} from {event.source}: {event.state}",
        f"  received {utc(event.received_at)}, {event.size} bytes of {content_type}",
    ]
    if event.kept != "all":
        lines.append(
            "  payload deleted" + (", personal data deleted" if event.kept == "nothing" else "")
        )
    if story.duplicates:
        times = "once" if story.duplicates == 1 else f"{story.duplicates} times"
        what = "at least once with changes" if story.has_versions else "not booked again"
        lines.append(f"  sent again {times}; {what}")
    lines += [f"  {reason_line(reason)}" for reason in event.reasons]
    for booking in story.bookings:
        lines += ["", *_booking_lines(booking, story.attempts[booking.id])]
        if why_unsent is not None and booking.state is BookingState.PENDING:
            lines.append(f"  not sent yet: {why_unsent}")
        lines += [f"  {line}" for line in _link_lines(booking, story)]
        lines += [f"  {_email_line(one)}" for one in story.emails if one.booking_id == booking.id]
        lines += [f"  {_note_line(one)}" for one in story.messages if one.booking_id == booking.id]
        if later := replaced.get(booking.id):
            lines.append(f"  Knock canceled this tour when it booked booking {later.id}")
    lines += ["", "history"]
    lines += [f"  {_change_line(change)}" for change in story.history]
    done = [
        f"  {utc(act.at)}  {act.lead_id}: {act.action}{_detail(act)}, by {act.by}" for act in acts
    ]
    lines += ["", "user actions", *done] if done else []
    return "\n".join(lines)


def _note_line(message: Message) -> str:
    why = f" ({message.reason})" if message.reason else ""
    at = utc(message.updated_at)
    return f"note for the guest card: {message.state}{why} since {at}: {_cell(message.text or '')}"


def _email_line(email: InvitationMail) -> str:
    if email.due_at is not None:
        outcome = f" ({email.outcome})" if email.outcome else ""
        return f"email with a link: will be sent at {utc(email.due_at)}{outcome}"
    at = f" at {utc(email.tried_at)}" if email.tried_at else ""
    return f"email with a link: {email.outcome or 'being sent'}{at}"


def _detail(act: AuditEntry) -> str:
    return f" ({act.detail})" if act.detail else ""


def _booking_lines(booking: Booking, attempts: Iterable[Attempt]) -> list[str]:
    why = f" ({booking.reason})" if booking.reason else ""
    tour = _tour(booking) or "no time"
    at = booking.starts_in_knock
    instant = f" = {utc(at)}" if at else ""
    community = booking.community or "an unknown community"
    lines = [
        f"booking {booking.id}: {_state(booking)}{why}",
        f"  {person(booking.appointment)} at {community}, {tour}{instant}",
    ]
    lines += [f"  {line}" for line in _contact_lines(booking.appointment)]
    if booking.job_id:
        lines.append(f"  Propexo job {booking.job_id}")
    if booking.confirmed_at is not None:
        lines.append(f"  confirmed in Knock at {utc(booking.confirmed_at)}")
    if booking.is_moved:
        lines.append(f"  moved in Knock from {local(booking.starts_at, booking.timezone)}")
    lines += [f"  {reason_line(reason)}" for reason in booking.reasons]
    lines += [
        f"  available in Knock: {local(at, booking.timezone)}" for at in booking.offered_times
    ]
    lines += [f"  {_attempt_line(attempt)}" for attempt in attempts]
    return lines


def _link_lines(booking: Booking, story: LeadHistory) -> Iterator[str]:
    """Yield lines about the lead that caused a booking's state, and the leads that it affected."""
    other = story.others.get(booking.because_of or 0)
    if other is not None:
        yield f"because of booking {other.id}: {person(other.appointment)}, {other.state}"
    for one in story.related:
        if one.because_of == booking.id:
            why = f"{one.state} ({one.reason})"
            yield f"booking {one.id} because of this one: {person(one.appointment)}, {why}"


def _contact_lines(appointment: Mapping[str, Any]) -> list[str]:
    """Return lines with the renter's contact details and the appointment's notes."""
    contact = filter(None, (appointment.get("email_1"), appointment.get("phone_1")))
    notes = str(appointment.get("notes", "")).splitlines()
    return [_cell(line) for line in (", ".join(map(str, contact)), *notes) if line]


def _attempt_line(attempt: Attempt) -> str:
    status = f" with {attempt.status}" if attempt.status else ""
    outcome = attempt.outcome or "no outcome yet"
    return f"posted {utc(attempt.started_at)}: {outcome}{status}"


def _change_line(change: Change) -> str:
    subject = f"booking {change.booking_id}" if change.booking_id else "event"
    states = f"{change.from_state} → {change.to_state}" if change.from_state else change.to_state
    other = f" because of booking {change.because_of}" if change.because_of else ""
    return f"{utc(change.at)}  {subject}: {states} ({change.why}{other}, by {change.by})"


def _cell(value: object) -> str:
    if isinstance(value, dt.datetime):
        value = utc(value)
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else " " for character in text)
