"""Apply a user's changes to a booking before its release, and validate the result."""

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adapter.exceptions import NotPossible, Unreadable
from adapter.mapping.engine import Community
from adapter.mapping.engine.tour_time import plausibility_problems
from adapter.mapping.transforms import TRANSFORMS, Noted
from adapter.models import Booking, Kind
from adapter.parsing.local_time import utc_from_local
from adapter.propexo import appointment as fields
from adapter.propexo import notes
from adapter.settings import Policy, Settings

#: Transforms that normalize user input the way a mapping does, so that values can be compared.
INPUT_TRANSFORMS: Mapping[str, str] = {
    "first_name": "text",
    "last_name": "text",
    "email_1": "email",
    "phone_1": "phone",
}

#: The fields that Knock identifies a person by.
CONTACTS = frozenset({"email_1", "phone_1"})

#: The fields that a user may set: appointment fields, ``community`` and ``starts_at``.
SETTABLE_FIELDS = frozenset(fields.TARGETS) - {"name", "starts_at"}
SETTABLE = SETTABLE_FIELDS | {"community", "starts_at"}


def edited(
    booking: Booking,
    changes: Mapping[str, Any],
    communities: Mapping[str, Community],
    policy: Policy,
) -> Booking:
    """Return a booking with a user's changes. Raise :class:`NotPossible` if a change is invalid."""
    appointment = _with_fields(booking.appointment, changes, policy)
    key, timezone = booking.community, booking.timezone
    if "community" in changes:
        community = _community(communities, str(changes["community"]))
        key, timezone = community.key, community.timezone.key
        appointment |= _propexo_ids(community, booking.source)
    starts_at = _starts_at(booking, changes, timezone)
    if starts_at is not None:
        appointment |= {
            "appointment_date": starts_at.strftime("%Y-%m-%d"),
            "appointment_time": starts_at.strftime("%H:%M:%S"),
        }
    return dataclasses.replace(
        booking,
        kind=booking.kind if starts_at is None else Kind.APPOINTMENT,
        appointment=appointment,
        community=key,
        timezone=timezone,
        starts_at=starts_at,
    )


def _with_fields(
    appointment: Mapping[str, Any], changes: Mapping[str, Any], policy: Policy
) -> dict[str, Any]:
    """Return an appointment with changed fields. Leave out fields that are now empty."""
    unknown = ", ".join(sorted(changes.keys() - SETTABLE))
    if unknown:
        raise NotPossible(f"unknown field {unknown}; the fields are {', '.join(sorted(SETTABLE))}")
    values = {
        name: _normalize(name, value, policy)
        for name, value in changes.items()
        if name in SETTABLE_FIELDS
    }
    merged = {**appointment, **values}
    return {name: value for name, value in merged.items() if value not in (None, "", [])}


def shared_contacts(appointment: Mapping[str, Any], other: Booking) -> frozenset[str]:
    """Return the names of the contact fields that an appointment shares with another lead."""
    return frozenset(
        name
        for name in CONTACTS & appointment.keys()
        if appointment[name] and appointment[name] == other.appointment.get(name)
    )


def changes_for_another_person(
    booking: Booking, other: Booking, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the changes, and move contact details shared with ``other`` to the notes.

    Raise :class:`NotPossible` if no other contact is left, because Knock would treat both as one
    person.
    """
    appointment = {**booking.appointment, **changes}
    still_shared = shared_contacts(appointment, other)
    shared = still_shared | shared_contacts(booking.appointment, other)
    if not shared or not any(appointment.get(name) for name in CONTACTS - still_shared):
        problem = "has no other email or phone than" if shared else "shares no email or phone with"
        raise NotPossible(
            f"booking {booking.id} {problem} booking {other.id}, so Knock or the sender treats "
            "both as one person. Enter another contact, or book it anyway (command: --anyway)"
        )
    facts = [
        f"{fields.TARGETS[name].label} shared with someone else: {other.appointment[name]}"
        for name in sorted(shared)
    ]
    text = notes.append(str(appointment.get("notes") or ""), facts)
    return {**changes, **dict.fromkeys(still_shared), "notes": text}


def check(booking: Booking, settings: Settings, now: dt.datetime, *, is_any_hour: bool) -> None:
    """Raise :class:`NotPossible`, with all problems in the message, if a booking cannot be sent."""
    faults = {
        name: "; ".join(texts)
        for name, texts in fields.problems(booking.appointment, kind=booking.kind).items()
    }
    if booking.kind is Kind.APPOINTMENT:
        fault = _time_fault(booking, settings, now, is_any_hour=is_any_hour)
        faults |= {"starts_at": fault} if fault else {}
    if booking.community is None:
        faults["community"] = "is missing: set it"
    if faults:
        raise NotPossible("\n".join(f"{name}: {text}" for name, text in faults.items()), faults)


def _time_fault(
    booking: Booking, settings: Settings, now: dt.datetime, *, is_any_hour: bool
) -> str | None:
    if booking.starts_at is None:
        return "is missing: set it, for example 2026-03-14T14:30"
    if booking.starts_at <= now:
        return "has passed"
    if booking.starts_at <= now + dt.timedelta(minutes=settings.notice_minutes):
        return "is too soon"
    if is_any_hour:
        return None
    zone = ZoneInfo(booking.timezone) if booking.timezone else None
    unusual = "; ".join(plausibility_problems(booking.starts_at, zone, settings.policy, now))
    return f"{unusual}. If it is right, confirm it (command: --any-hour)" if unusual else None


def _normalize(name: str, value: Any, policy: Policy) -> Any:
    transform = INPUT_TRANSFORMS.get(name)
    if transform is None or not isinstance(value, str) or not value.strip():
        return value
    try:
        result = TRANSFORMS[transform].bind({}, policy)(value)
    except Unreadable as exc:
        raise _fault(name, str(exc)) from None
    return result.value if isinstance(result, Noted) else result


def _community(communities: Mapping[str, Community], key: str) -> Community:
    if key not in communities:
        names = ", ".join(sorted(communities)) or "none"
        text = f"there is no community {key}; the communities are: {names}"
        raise NotPossible(text, {"community": text})
    return communities[key]


def _propexo_ids(community: Community, source: str) -> dict[str, str]:
    """Return a community's IDs in Propexo, including the source's attribution ID."""
    attribution = community.attributions.get(source)
    if isinstance(attribution, Mapping):
        attribution = attribution.get("*")
    if attribution is None:
        raise NotPossible(
            f"community {community.key} has no attribution for {source}; "
            "add one to communities.yaml"
        )
    return {
        "integration_id": community.integration_id,
        "community_id": community.community_id,
        "attribution_id": attribution,
    }


def _starts_at(
    booking: Booking, changes: Mapping[str, Any], timezone: str | None
) -> dt.datetime | None:
    if "starts_at" in changes:
        text = str(changes["starts_at"]).strip()
        return _parse_time(text, timezone) if text else None
    if booking.starts_at is not None and booking.timezone not in (None, timezone):
        raise _fault("starts_at", f"enter it again in the community's time zone, {timezone}")
    return booking.starts_at


def _parse_time(text: str, timezone: str | None) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise _fault("starts_at", "write it as 2026-03-14T14:30") from None
    if not dt.MINYEAR < at.year < dt.MAXYEAR:  # converting to UTC could overflow
        raise _fault("starts_at", "has an impossible year")
    if at.tzinfo is not None:
        return at.astimezone(dt.UTC)
    if timezone is None:
        raise _fault("starts_at", "set the community too, or add a UTC offset")
    try:
        return utc_from_local(at, ZoneInfo(timezone))
    except Unreadable as exc:
        raise _fault("starts_at", str(exc)) from None


def _fault(field: str, text: str) -> NotPossible:
    return NotPossible(f"{field}: {text}", {field: text})
