"""Convert stored rows to plain data, for JSON."""

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

from adapter.models import Attempt, Booking, Change, Event, LeadHistory


def utc(at: dt.datetime | None) -> str | None:
    """An instant as ISO 8601 in UTC: ``2026-03-14T20:30:00Z``."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def local(at: dt.datetime | None, timezone: str | None) -> str | None:
    """The same on the community's clock: ``Sat 2026-03-14 14:30 MDT``."""
    if at is None or timezone is None:
        return None
    return at.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M %Z")


def person(appointment: dict[str, Any] | Any) -> str:
    """The name on an appointment, as far as there is one."""
    names = (appointment.get("first_name"), appointment.get("last_name"))
    return " ".join(filter(None, names)) or "-"


def event_as_dict(event: Event) -> dict[str, Any]:
    """An event as plain data, without its body."""
    return {
        "id": event.id,
        "source": event.source,
        "state": event.state,
        "received_at": utc(event.received_at),
        "content_type": event.content_type,
        "bytes": event.size,
        "mapping_hash": event.mapping_hash,
        "kept": event.kept,
        "reasons": [reason.as_dict() for reason in event.reasons],
    }


def booking_as_dict(booking: Booking) -> dict[str, Any]:
    """A booking as plain data."""
    return {
        "id": booking.id,
        "event": booking.event_id,
        "source": booking.source,
        "kind": booking.kind,
        "state": booking.state,
        "reason": booking.reason,
        "community": booking.community,
        "starts_at": utc(booking.starts_at),
        "starts_at_local": local(booking.starts_at, booking.timezone),
        "timezone": booking.timezone,
        "appointment": dict(booking.appointment),
        "reasons": [reason.as_dict() for reason in booking.reasons],
        "job_id": booking.job_id,
        "due_at": utc(booking.due_at),
        "created_at": utc(booking.created_at),
        "updated_at": utc(booking.updated_at),
    }


def attempt_as_dict(attempt: Attempt) -> dict[str, Any]:
    """An attempt as plain data."""
    return {
        "id": attempt.id,
        "booking": attempt.booking_id,
        "kind": attempt.kind,
        "started_at": utc(attempt.started_at),
        "finished_at": utc(attempt.finished_at),
        "outcome": attempt.outcome,
        "status": attempt.status,
        "request": dict(attempt.request),
        "answer": attempt.answer,
    }


def change_as_dict(change: Change) -> dict[str, Any]:
    """A change of state as plain data."""
    return {
        "at": utc(change.at),
        "booking": change.booking_id,
        "from": change.from_state,
        "to": change.to_state,
        "why": change.why,
        "by": change.by,
    }


def story_as_dict(story: LeadHistory) -> dict[str, Any]:
    """One lead's whole story as plain data."""
    attempts = [attempt for booking in story.bookings for attempt in story.attempts[booking.id]]
    return {
        "event": event_as_dict(story.event) | {"body": _body_text(story.event)},
        "repeats": story.duplicates,
        "bookings": [booking_as_dict(booking) for booking in story.bookings],
        "attempts": [attempt_as_dict(attempt) for attempt in attempts],
        "history": [change_as_dict(change) for change in story.history],
    }


def _body_text(event: Event) -> Any:
    """The body as JSON where it is, else as text; bytes that are no text are replaced."""
    text = event.body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
