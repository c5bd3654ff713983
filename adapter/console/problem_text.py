"""Describe each problem with a lead in one sentence."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from adapter.bookings.decisions import FIELD
from adapter.console.wording import hours_text, value_text
from adapter.mapping.engine.mapping import IDS_ONLY_REASON
from adapter.mapping.engine.tour_time import EDGE_OF_DAY, NO_TIME, SEVERAL_TIMES, UTC_TIME_OF_DAY
from adapter.models import Booking, Reason
from adapter.operations.advice import Advice, advice_for, label_of
from adapter.operations.todo import renamed_path
from adapter.parsing.date_parts import NOT_A_TOUR
from adapter.propexo.appointment import NO_CONTACT
from adapter.store import Issue

#: The fields that a booking requires. Unusable values of other fields go into the notes.
REQUIRED: Final = frozenset(
    {"attribution_id", "community", "email_1", "first_name", "last_name", "phone_1", "starts_at"}
)
_CONTACTS: Final = ("email_1", "phone_1")
#: The fields of a renter's name.
NAMES: Final = frozenset({"name", "first_name", "last_name"})
#: Sentences about the tour time, by the beginning of the reason. ``{value}`` is from the message.
_TIMES: Final[Mapping[str, str]] = {
    NO_TIME: "{source} doesn't send tour times.",
    "needs_enrichment": "The tour time is in the sender's system, not in the message.",
    SEVERAL_TIMES: "The message has more than one tour time.",
    UTC_TIME_OF_DAY: "We can't tell which time zone the tour time is in{value}.",
    EDGE_OF_DAY: "The message may have only a date, without a time{value}.",
    "there is a date but no time of day": "The message has a date but no time{value}.",
    NOT_A_TOUR: "The renter gave a range of times, but no exact time{value}.",
    "a date without a time of day": "The message has a date but no time{value}.",
    "the offset does not match": "The tour time isn't in the community's time zone{value}.",
    "there is no time zone": "The message doesn't say which time zone the tour time is in.",
    "not the name of a time zone": "We don't recognize the time zone of this tour.",
    "its time zone abbreviation": "The time zone doesn't match the date{value}.",
    "the offset from UTC": "The tour time has an invalid time zone{value}.",
    "the time does not exist": "This time doesn't exist: clocks spring forward that night{value}.",
    "the time happens twice": "This time happens twice: clocks fall back that night{value}.",
    "is in the past": "This tour was already in the past when the request arrived.",
    "the weekday does not match": "The weekday and the date don't match{value}.",
    "it is not clear whether": "We can't tell if the tour is in the morning or afternoon{value}.",
    "it matches two formats": "The date can be read in two ways{value}.",
    "the year is not": "The year can't be right{value}.",
    "this list has several items": "The message has more than one tour time.",
}


def agent_advice(issue: Issue) -> Advice:
    """Return the advice for an issue, in terms that leasing agents understand."""
    advice = advice_for(issue)
    if issue.field == "event":
        return dataclasses.replace(advice, wrong="We can't read this message.")
    if issue.field == "community" and issue.value:
        place = issue.value.strip('"')
        return dataclasses.replace(advice, wrong=f"We don't recognize this property: “{place}”.")
    return advice


def problem_sentences(
    booking: Booking, reasons: Sequence[Reason], place: str = ""
) -> Iterator[str]:
    """Yield a sentence for each reason for review, without repeating any.

    ``place`` is the name of the property in the message, if it is known.
    """
    sentences = (
        _contact_sentence(reasons)
        if reason.field in _CONTACTS
        else problem_sentence(reason, booking, place)
        for number, reason in enumerate(reasons)
        # The first reason always blocks the lead. Others may be about optional fields.
        if reason.field != FIELD and (number == 0 or reason.field in REQUIRED)
    )
    yield from dict.fromkeys(sentences)


def problem_sentence(reason: Reason, booking: Booking, place: str = "") -> str:
    """Return a sentence that describes a problem with a lead."""
    value = value_text(reason)
    match reason.field:
        case "starts_at":
            return _time_sentence(reason, booking)
        case "community":
            return _place_sentence(reason, place or value)
        case "attribution_id":
            return f"{booking.source} isn't set up as a lead source for this community in Knock."
        case "email_1" | "phone_1":
            return _contact_sentence([reason])
        case "event" if reason.reason == IDS_ONLY_REASON:
            return "The message has only IDs. The lead itself is in the sender's system."
        case "event" | "for_each":
            return "We can't read part of this message."
        case "accept":
            return "We can't tell if this message is a tour request."
    if value and reason.field in NAMES:
        return f"“{value}” doesn't look like a real name."
    return _field_sentence(label_of(reason.field), value)


def _field_sentence(label: str, value: str) -> str:
    if value:
        return f"{label}: “{value}” can't be right."
    return f"The {label.lower()} is missing."


def _time_sentence(reason: Reason, booking: Booking) -> str:
    text, value = reason.reason, value_text(reason)
    if "is not in the payload" in text or text.endswith(" is empty"):
        return _missing_sentence(text, value)
    if text.startswith("is at 00:00 in "):
        return "The message has a date but no time."  # some senders write it as midnight
    if hours := hours_text(text):
        return hours
    if text.startswith("is more than"):
        return f"This tour is more than a year away{_local_date(booking)}."
    for beginning, sentence in _TIMES.items():
        if text.startswith(beginning):
            shown = f" (“{value}”)" if value else ""
            return sentence.format(value=shown, source=booking.source)
    return (
        f"We couldn't read the tour time: “{value}”."
        if value
        else "We couldn't read the tour time."
    )


def _missing_sentence(text: str, value: str) -> str:
    new = re.search(r"\(there is ['\"](.*)['\"]\)$", text)
    if new is None and value:
        return f"The message has a time (“{value}”) but no date."
    if new is None:
        return "We couldn't find a tour time in the message."
    path = text.partition(" is not in the payload")[0]
    name = renamed_path(path, new[1])
    return f"The message has “{name}” instead of “{path}”, so we couldn't read the tour time."


def _place_sentence(reason: Reason, place: str) -> str:
    if "is not in the payload" in reason.reason or reason.reason.endswith(" is empty"):
        return "The message doesn't say which property the renter wants to see."
    if reason.reason.startswith("this list has several items"):
        return "The message names more than one property."
    return (
        f"We don't recognize this property: “{place}”."
        if place
        else "We don't recognize this property."
    )


def _contact_sentence(reasons: Sequence[Reason]) -> str:
    contacts = [one for one in reasons if one.field in _CONTACTS]
    values = [value for one in contacts if (value := value_text(one))]
    if not any(one.reason == NO_CONTACT for one in contacts):
        label = label_of(contacts[0].field).lower()
        return (
            f"The {label} can't be right: “{values[0]}”." if values else f"The {label} is missing."
        )
    if not values:
        return "No phone or email."
    found = " and ".join(f"“{value}”" for value in dict.fromkeys(values))
    return f"No valid phone or email. The message has only {found}."


def _local_date(booking: Booking) -> str:
    if booking.starts_at is None:
        return ""
    at = booking.starts_at.astimezone(ZoneInfo(booking.timezone or "UTC"))
    return f" ({at:%B} {at.day}, {at.year})"


def unused_values(reasons: Sequence[Reason]) -> list[tuple[str, str]]:
    """Return the labels and values of optional fields that could not be used."""
    special = REQUIRED | {FIELD, "event", "for_each"}
    optional = (one for one in reasons if one.field not in special)
    return [(label_of(one.field), value) for one in optional if (value := value_text(one))]
