"""Convert stored rows to plain data, for JSON."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adapter.models import Attempt, Booking, Change, Event, LeadHistory


def utc(at: dt.datetime | None) -> str | None:
    """Return an instant as ISO 8601 in UTC: ``2026-03-14T20:30:00Z``."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def local(at: dt.datetime | None, timezone: str | None) -> str | None:
    """Return an instant in the community's time zone: ``Sat 2026-03-14 14:30 MDT``."""
    if at is None or timezone is None:
        return None
    return at.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M %Z")


def person(appointment: dict[str, Any] | Any) -> str:
    """Return the renter's name, or ``-``."""
    names = (appointment.get("first_name"), appointment.get("last_name"))
    return " ".join(filter(None, names)) or "-"


def dump(row: Any, fields: str) -> dict[str, Any]:
    """Return attributes of ``row`` as plain data; ``key=attribute`` renames one."""
    names = (field.partition("=") for field in fields.split())
    return {key: _plain(getattr(row, attribute or key)) for key, _, attribute in names}


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return utc(value)
    if isinstance(value, Mapping):
        return dict(value)
    return [reason.as_dict() for reason in value] if isinstance(value, tuple) else value


def event_as_dict(event: Event) -> dict[str, Any]:
    """Convert an event, without its body."""
    return dump(
        event,
        "id source state received_at content_type bytes=size mapping_hash kept reasons",
    )


def booking_as_dict(booking: Booking) -> dict[str, Any]:
    """Convert a booking."""
    return dump(
        booking,
        "id event=event_id source kind state reason community starts_at timezone appointment "
        "reasons job_id due_at created_at updated_at",
    ) | {"starts_at_local": local(booking.starts_at, booking.timezone)}


def attempt_as_dict(attempt: Attempt) -> dict[str, Any]:
    """Convert an attempt."""
    return dump(
        attempt,
        "id booking=booking_id kind started_at finished_at outcome status request answer",
    )


def change_as_dict(change: Change) -> dict[str, Any]:
    """Convert a change of state."""
    return dump(change, "at booking=booking_id from=from_state to=to_state why by")


def story_as_dict(story: LeadHistory) -> dict[str, Any]:
    """Convert the whole history of a lead."""
    attempts = [attempt for booking in story.bookings for attempt in story.attempts[booking.id]]
    return {
        "event": event_as_dict(story.event) | {"body": _body_text(story.event)},
        "repeats": story.duplicates,
        "bookings": [booking_as_dict(booking) for booking in story.bookings],
        "attempts": [attempt_as_dict(attempt) for attempt in attempts],
        "history": [change_as_dict(change) for change in story.history],
    }


def _body_text(event: Event) -> Any:
    """Return the body as JSON if possible, else as text with undecodable bytes replaced."""
    text = event.body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
