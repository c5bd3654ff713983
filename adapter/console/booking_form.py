"""Build the form that edits a booking, and parse the user's changes."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from adapter.console.context import services
from adapter.exceptions import NotPossible
from adapter.models import Booking
from adapter.propexo.appointment import TARGETS, TRANSFORM_OF, value_from_text
from adapter.settings import NEUTRAL_WORDS

#: The fields of an appointment that a user may set, in the order of the form.
EDITABLE_FIELDS: Final = tuple(TRANSFORM_OF)
#: The input types of fields other than text. ``area`` means a textarea.
_INPUT_TYPES: Final = {"starts_at": "datetime-local", "move_in_date": "date", "notes": "area"}
_DATETIME_LOCAL: Final = "%Y-%m-%dT%H:%M"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FormField:
    """A field of the form that edits a booking."""

    name: str
    label: str
    value: str
    #: The options of a select, or empty for an input.
    choices: Sequence[str]
    fault: str
    #: The type of an HTML input, or ``area``.
    type: str
    #: True for the time, the community, and fields with problems, which are shown first.
    is_first: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RefusedForm:
    """A rejected form, which is shown again with the user's input and the errors."""

    booking_id: int
    typed: Mapping[str, str]
    error: NotPossible


def form_fields(
    booking: Booking, refused: RefusedForm | None, wall_time: dt.datetime | None
) -> list[FormField]:
    """Return the fields of a booking's form, with the input and errors of a rejected form.

    ``wall_time`` is the local start time as the sender wrote it, if the community is unknown.
    """
    values = current_values(booking)
    if wall_time is not None:
        values["starts_at"] = wall_time.strftime(_DATETIME_LOCAL)
    typed = refused.typed if refused else {}
    values |= {name: text for name, text in typed.items() if name in values}
    faults = refused.error.faults if refused else {}
    first = {"starts_at", "community", *faults, *(reason.field for reason in booking.reasons)}
    zone = zone_of(booking, typed.get("community", "")) or "the community's time zone"
    labels = {"starts_at": f"Tour starts at ({zone})", "community": "Community"}
    return [
        FormField(
            name=name,
            label=labels.get(name) or TARGETS[name].label,
            value=values[name],
            choices=_choices(name, values[name]),
            fault=faults.get(name, ""),
            type=_INPUT_TYPES.get(name, "text"),
            is_first=name in first,
        )
        for name in (*labels, *EDITABLE_FIELDS)
    ]


def _choices(name: str, value: str) -> Sequence[str]:
    """Return the options for a field that is shown as a select, or an empty sequence."""
    if name == "community":
        choices = ["", *services.communities()]
    elif name in NEUTRAL_WORDS and not TARGETS[name].many:
        choices = ["", *NEUTRAL_WORDS[name]]
    else:
        return ()
    # Keep the current value as a choice, even if it is no longer valid, so that it does not change.
    return choices if value in choices else [*choices, value]


def form_changes(booking: Booking, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that the user has changed in the form, with their new values.

    Raise NotPossible if the booking changed after the form was shown, or if the time was entered
    in a time zone other than the community's.
    """
    if form.get("version", "") != version_of(booking):
        raise NotPossible("This lead has changed since you opened the page. Review it again.")
    before = current_values(booking)
    shown_zone, zone = form.get("zone", ""), zone_of(booking, form.get("community", ""))
    if shown_zone and zone and shown_zone != zone:
        text = f"Enter the time again, in {zone}. The form showed it in {shown_zone}."
        raise NotPossible(text, {"starts_at": text})
    if booking.timezone is not None and zone != booking.timezone:
        before["starts_at"] = ""  # in another zone, the same digits are a different time
    typed = {name: form[name].replace("\r\n", "\n") for name in before if name in form}
    return {
        name: text if name in ("community", "starts_at") else value_from_text(name, text)
        for name, text in typed.items()
        if text != before[name]
    }


def current_values(booking: Booking) -> dict[str, str]:
    """Return a booking's current values as the unedited form would submit them."""
    values = {name: text_of(booking.appointment.get(name, "")) for name in EDITABLE_FIELDS}
    values |= {"community": booking.community or "", "starts_at": ""}
    if booking.starts_at is not None and booking.timezone is not None:
        local = booking.starts_at.astimezone(ZoneInfo(booking.timezone))
        values["starts_at"] = local.strftime(_DATETIME_LOCAL)
    return values


def text_of(value: Any) -> str:
    """Return a field's value as the text that is shown in the form."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def zone_of(booking: Booking, community: str) -> str:
    """Return the time zone of the chosen community, or of the booking if none is chosen."""
    source = services.sources.get(booking.source)
    chosen = source.communities.get(community) if source is not None else None
    return chosen.timezone.key if chosen is not None else booking.timezone or ""


def version_of(booking: Booking) -> str:
    """Return a value that changes with each update of a booking, to detect conflicting edits."""
    return f"{booking.state} {booking.updated_at.isoformat()}"
