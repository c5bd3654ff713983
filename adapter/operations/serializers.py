"""Convert events, bookings and their history to JSON-compatible data."""

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapter.models import Attempt, Booking, Change, Event, InvitationMail, LeadHistory, Message

_AGE: Final = re.compile(r"\{ago ([^}]+)\}")


def utc(at: dt.datetime | None) -> str | None:
    """Format a time in UTC, for example ``2026-03-14T20:30:00Z``."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def ago(at: dt.datetime | None, now: dt.datetime) -> str:
    """Describe how far a time is from now, for example ``3 h ago`` or ``in 5 min``."""
    if at is None:
        return "-"
    seconds = (now - at).total_seconds()
    size, unit = next(
        (abs(seconds) / length, name)
        for length, name in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s"))
        if abs(seconds) >= 2 * length or length == 1
    )
    return f"{size:.0f} {unit} ago" if seconds >= 0 else f"in {size:.0f} {unit}"


def age_of(at: dt.datetime | None) -> str:
    """Return a placeholder for an age, which :func:`with_ages` replaces when the text is shown."""
    return "-" if at is None else f"{{ago {at.isoformat()}}}"


def with_ages(text: str, now: dt.datetime) -> str:
    """Replace the placeholders for ages in a string."""
    return _AGE.sub(lambda found: _age(found, now), text)


def _age(found: re.Match[str], now: dt.datetime) -> str:
    """Return the age for a placeholder. A sender's key may look like one: return it unchanged."""
    try:
        at = dt.datetime.fromisoformat(found[1])
    except ValueError:
        return found[0]
    return found[0] if at.tzinfo is None else ago(at, now)


def local(at: dt.datetime | None, timezone: str | None) -> str | None:
    """Format a time in the community's time zone, for example ``Sat 2026-03-14 14:30 MDT``."""
    if at is None or timezone is None:
        return None
    return at.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M %Z")


def person(appointment: dict[str, Any] | Any) -> str:
    """Return the renter's full name, or ``-`` if it is unknown."""
    names = (appointment.get("first_name"), appointment.get("last_name"))
    return " ".join(filter(None, names)) or "-"


#: The attributes of each row type that JSON includes. ``key=attribute`` renames one.
_FIELDS: Final[Mapping[type, str]] = {
    Event: "id source state received_at content_type bytes=size mapping_hash kept reasons",
    Booking: (
        "id event=event_id source kind state reason community starts_at timezone appointment "
        "free_times=offered_times reasons because_of job_id due_at created_at updated_at "
        "prospect_id tour_id confirmed_at knock_status knock_status_at moved_to moved_at gone_at"
    ),
    Attempt: "id booking=booking_id kind started_at finished_at outcome status request answer",
    Message: (
        "id booking=booking_id state reason asked_at text prospect_id job_id posted_at updated_at"
    ),
    InvitationMail: "booking=booking_id outcome attempts created_at due_at tried_at",
    Change: "at booking=booking_id from=from_state to=to_state why because_of by",
}


def dump(row: Any, fields: str) -> dict[str, Any]:
    """Return the named attributes as a dictionary. ``key=attribute`` renames an attribute."""
    names = (field.partition("=") for field in fields.split())
    return {key: getattr(row, attribute or key) for key, _, attribute in names}


def to_json(data: Any, **options: Any) -> str:
    """Format data as JSON, including database rows and times."""
    return json.dumps(data, indent=2, default=_plain, **options)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return utc(value)
    if isinstance(value, Mapping):
        return dict(value)
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"{type(value).__name__} has no JSON")
    names = " ".join(field.name for field in dataclasses.fields(value))
    data = dump(value, _FIELDS.get(type(value), names))
    if isinstance(value, Booking):
        data["starts_at_local"] = local(value.starts_at, value.timezone)
    return data


def story_as_dict(story: LeadHistory, replaced: Mapping[int, Booking]) -> dict[str, Any]:
    """Return a lead's history as JSON-compatible data."""
    return {
        "event": dump(story.event, _FIELDS[Event]) | {"body": _body_text(story.event)},
        "repeats": story.duplicates,
        "bookings": story.bookings,
        "attempts": [one for booking in story.bookings for one in story.attempts[booking.id]],
        "history": story.history,
        "messages": story.messages,
        "emails": story.emails,
        "because_of": [_link(one) for one in story.others.values()],
        "related": [_link(one) for one in story.related],
        "replaced_in_knock": {id_: _link(one) for id_, one in replaced.items()},
    }


def _link(booking: Booking) -> dict[str, Any]:
    """Return a related lead without its appointment as JSON-compatible data."""
    fields = "id event=event_id source state reason because_of"
    return dump(booking, fields) | {"person": person(booking.appointment)}


def _body_text(event: Event) -> Any:
    """Return an event's body as parsed JSON if possible, or else as text."""
    text = event.body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
