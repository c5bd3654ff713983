"""Build the form that edits a booking, and parse the user's changes."""

import dataclasses
import datetime as dt
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from adapter.console.context import services
from adapter.console.problem_text import REQUIRED
from adapter.console.time_html import ago_text, zone_title
from adapter.console.wording import (
    cents_from_dollars,
    choice_word,
    dollars,
    fault_text,
    phone_text,
    state_word,
)
from adapter.exceptions import NotPossible, TimeNotAvailable
from adapter.models import Booking, BookingState
from adapter.operations.advice import label_of, open_reasons
from adapter.parsing.text import joined_text
from adapter.propexo.appointment import TARGETS, TRANSFORM_OF, value_from_text
from adapter.settings import NEUTRAL_WORDS
from adapter.store.calendars import RIVAL_TIME

#: The fields of an appointment that a user may set, in the order of the form.
EDITABLE_FIELDS: Final = tuple(TRANSFORM_OF)
#: The input types of fields other than text. ``area`` means a textarea.
_INPUT_TYPES: Final = {
    "starts_at": "datetime-local",
    "move_in_date": "date",
    "notes": "area",
    "phone_1": "tel",
    "email_1": "email",
}
#: A phone number is more useful than an email address, so it comes first.
_IN_ORDER: Final = ("phone_1", "email_1", *(n for n in EDITABLE_FIELDS if n[-2:] != "_1"))
_DATETIME_LOCAL: Final = "%Y-%m-%dT%H:%M"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FormField:
    """A field of the form that edits a booking."""

    name: str
    label: str
    value: str
    #: The values and labels for a select or check boxes. Empty for an input.
    choices: Sequence[tuple[str, str]]
    fault: str
    #: The type of an HTML input, or ``area``, ``money``, ``select`` or ``checks``.
    type: str
    #: True for a field that the user has to fix. These fields are shown first.
    is_first: bool

    @property
    def values(self) -> Sequence[str]:
        """The values of the selected check boxes."""
        return [one for one in self.value.split(", ") if one]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RefusedForm:
    """A rejected form. It is shown again with the user's input and the error."""

    booking_id: int
    typed: Mapping[str, str]
    error: NotPossible


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FreeTime:
    """An available time in Knock that a user may choose instead of the tour's own time."""

    at: dt.datetime
    #: The value for the tour time field in the form.
    value: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """The available times in Knock to offer for a lead, and when they were read."""

    times: Sequence[FreeTime] = ()
    as_of: dt.datetime | None = None


def offer_of(booking: Booking, refused: RefusedForm | None = None) -> Offer:
    """Return the upcoming available times that a user may choose instead of a taken time.

    Times that other tours of ours have taken since are left out.
    """
    if booking.timezone is None:
        return Offer()
    if refused is not None and isinstance(refused.error, TimeNotAvailable):
        return _offer(booking.timezone, refused.error.free_times, services.now())
    offered = [one for one in booking.offered_times if one > services.now()]
    if not offered:
        return Offer()
    with services.store.transaction() as tx:
        at = tx.free_times.offered_at(booking)
        taken = tx.free_times.own_tours(booking, offered, at - RIVAL_TIME)
    return _offer(booking.timezone, [one for one in offered if one not in taken], at)


def _offer(zone: str, times: Sequence[dt.datetime], as_of: dt.datetime) -> Offer:
    local = [(one, one.astimezone(ZoneInfo(zone)).strftime(_DATETIME_LOCAL)) for one in times]
    return Offer(times=[FreeTime(at=one, value=text) for one, text in local], as_of=as_of)


def form_fields(booking: Booking, refused: RefusedForm | None, chosen: str = "") -> list[FormField]:
    """Return the fields of a booking's form. A rejected form has the user's input and errors.

    ``chosen`` is the available time that the user has chosen, as in the form.
    """
    values = current_values(booking)
    if chosen and any(one.value == chosen for one in offer_of(booking).times):
        values["starts_at"] = chosen
    if booking.starts_at is None and booking.wall_time is not None:
        values["starts_at"] = booking.wall_time.strftime(_DATETIME_LOCAL)
    typed = refused.typed if refused else {}
    values |= {name: text for name, text in typed.items() if name in values}
    faults = refused.error.faults if refused else {}
    first = _first_fields(booking, faults)
    zone = zone_of(booking, typed.get("community", ""))
    return [
        FormField(
            name=name,
            label=_label(name, zone),
            value=values[name],
            choices=_choices(name, values[name]),
            fault=_fault(name, faults.get(name, "")),
            type=_type(name),
            is_first=name in first,
        )
        for name in ("community", "starts_at", *_IN_ORDER)
    ]


def _first_fields(booking: Booking, faults: Mapping[str, str]) -> Container[str]:
    """Return the names of the fields that the user has to fix, which are shown first."""
    first = {*faults, *_blocking_fields(booking)}
    if "email_1" in first or "phone_1" in first:
        first |= {"phone_1", "email_1"}
    if "name" in first:
        first |= {"first_name", "last_name"}
    if "community" in first or booking.community is None:
        first |= {"community", "starts_at"}
    if booking.starts_at is None or booking.state in (BookingState.EXPIRED, BookingState.FAILED):
        first.add("starts_at")
    return first


def _fault(name: str, text: str) -> str:
    if text and name.endswith("_in_cents"):
        return "Enter an amount in dollars, such as 1,500."
    return fault_text(text) if text else ""


def _blocking_fields(booking: Booking) -> Iterator[str]:
    """Yield the fields that hold up a booking.

    These are the field of the first reason for review, and all required fields with a reason.
    """
    if booking.state in (BookingState.HELD, BookingState.FAILED, BookingState.EXPIRED):
        for number, reason in enumerate(open_reasons(booking, services.now())):
            if number == 0 or reason.field in REQUIRED:
                yield reason.field


def _label(name: str, zone: str) -> str:
    if name == "community":
        return "Community"
    if name == "starts_at":
        # Without an abbreviation such as MST, which depends on the day of the tour.
        return f"Tour time ({zone_title(zone)})" if zone else "Tour time (community's local time)"
    return label_of(name)


def _type(name: str) -> str:
    if name == "community":
        return "select"
    if TARGETS[name].many:
        return "checks"
    if name in NEUTRAL_WORDS:
        return "select"
    return "money" if name.endswith("_in_cents") else _INPUT_TYPES.get(name, "text")


def _choices(name: str, value: str) -> Sequence[tuple[str, str]]:
    """Return the values and labels of a select box or check boxes, or () for other inputs."""
    if name == "community":
        choices = ["", *services.communities()]
    elif name in NEUTRAL_WORDS:
        choices = [*NEUTRAL_WORDS[name]] if TARGETS[name].many else ["", *NEUTRAL_WORDS[name]]
    elif name == "desired_num_bedrooms":
        choices = ["0", "1", "2", "3"]
    else:
        return ()
    # Keep the current value as a choice, even if it is no longer valid, so that it does not change.
    known = [one for one in ([value] if not _is_many(name) else value.split(", ")) if one]
    choices += [one for one in known if one not in choices]
    return [(one, _choice_words(name, one)) for one in choices]


def _is_many(name: str) -> bool:
    return name in TARGETS and TARGETS[name].many


def _choice_words(name: str, choice: str) -> str:
    if name == "community":
        return services.community_name(choice) if choice else "Pick a community"
    return choice_word(name, choice) if choice else "Not set"


def typed_values(form: MultiDict[str, str]) -> dict[str, str]:
    """Return the user's input, keyed by field. Multiple check box values are comma-separated."""
    return {
        name: ", ".join(one for one in form.getlist(name) if one) if _is_many(name) else form[name]
        for name in form
    }


def form_changes(booking: Booking, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the new values of the fields that the user has changed in the form.

    Raise NotPossible if the booking changed after the form was shown, or if the time was entered
    in a time zone other than the community's.
    """
    if form.get("version", "") != version_of(booking):
        raise NotPossible(_changed_by(booking))
    before = current_values(booking)
    shown_zone, zone = form.get("zone", ""), zone_of(booking, form.get("community", ""))
    if shown_zone and zone and shown_zone != zone:
        shown, right = zone_title(shown_zone), zone_title(zone)
        text = f"Check the time. It was shown in {shown}, but this community is in {right}."
        raise NotPossible(text, {"starts_at": text})
    if booking.timezone is not None and zone != booking.timezone:
        before["starts_at"] = ""  # in another zone, the same digits are a different time
    typed = {name: form[name].replace("\r\n", "\n") for name in before if name in form}
    return {name: _value(name, text) for name, text in typed.items() if text != before[name]}


def _value(name: str, text: str) -> Any:
    if name in ("community", "starts_at"):
        return text
    return cents_from_dollars(text) if name.endswith("_in_cents") else value_from_text(name, text)


def _changed_by(booking: Booking) -> str:
    with services.store.transaction() as tx:
        story = tx.events.history(str(booking.id))
    changes = [one for one in story.history if one.booking_id == booking.id] if story else []
    by = changes[-1].by if changes else "worker"
    who = "" if by in ("worker", "web") else f" by {by}"
    when = ago_text(booking.updated_at)
    state = state_word(booking)
    return f"This lead was changed{who} {when}. Its status is now “{state}”. Check it again."


def current_values(booking: Booking) -> dict[str, str]:
    """Return the form's values before any edit, as strings keyed by field."""
    values = {name: _text(name, booking.appointment.get(name, "")) for name in EDITABLE_FIELDS}
    values |= {"community": booking.community or "", "starts_at": ""}
    if booking.starts_at is not None and booking.timezone is not None:
        local = booking.starts_at.astimezone(ZoneInfo(booking.timezone))
        values["starts_at"] = local.strftime(_DATETIME_LOCAL)
    return values


def _text(name: str, value: Any) -> str:
    if name.startswith("phone"):
        return phone_text(value)
    return dollars(value) if name.endswith("_in_cents") else joined_text(value)


def zone_of(booking: Booking, community: str) -> str:
    """Return the chosen community's time zone, or the booking's if none is chosen."""
    source = services.sources.get(booking.source)
    chosen = source.communities.get(community) if source is not None else None
    return chosen.timezone.key if chosen is not None else booking.timezone or ""


def version_of(booking: Booking) -> str:
    """Return a value that changes whenever a booking is updated, to detect conflicting edits."""
    return f"{booking.state} {booking.updated_at.isoformat()}"
