"""Explain to leasing agents why a lead needs review and how to fix it.

The texts are for leasing agents who work through the review queue and have not read the manual.
They use the console's terms: "book" is `adapter release`, and "dismiss" is `adapter discard`.
"""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from adapter.mapping.engine.mapping import IDS_ONLY_REASON, NO_ITEMS
from adapter.mapping.engine.tour_time import (
    EDGE_OF_DAY,
    NO_TIME,
    SEVERAL_TIMES,
    TO_FETCH,
    UTC_TIME_OF_DAY,
)
from adapter.models import Booking, Reason
from adapter.parsing.date_parts import NOT_A_TOUR
from adapter.propexo.appointment import NO_CONTACT, TARGETS
from adapter.store import IGNORED, Issue


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """A lead's problem, and the next step for the user."""

    wrong: str
    todo: str


_BOOK: Final = "Fix the problem and book the tour, or dismiss the lead."
_CALL: Final = "Call or text the renter, agree on a time, and then book the tour."
_CHECK_KNOCK: Final = (
    "Look in Knock. If the tour is there, click “Already in Knock”. If not, book it again."
)
_SEARCHING: Final = (
    "We keep checking every few minutes. If the tour is soon, look in Knock, and click “Already in "
    "Knock” if it is there."
)

#: The problem and how to solve it, by reason code.
BY_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "two_tours_at_once": (
        "The renter requested two tours here, and Knock keeps only one.",
        "Ask which one they want. Book that one and dismiss the other.",
    ),
    "canceled_before": (
        "The renter canceled this tour before the request for it reached us.",
        "Ask the renter. If they want the tour, book it. Otherwise, dismiss the lead.",
    ),
    "changed_after_first": (
        "The contact or the community changed after the tour was sent to Knock.",
        (
            "If this is someone else, book this lead too. If not, fix the contact in Knock and "
            "dismiss this lead."
        ),
    ),
    "contact_changed": (
        "The renter's email or phone changed after booking. Knock still has the old one.",
        "Update the contact in Knock and tell the renter the time. Then dismiss this lead.",
    ),
    "two_cards": (
        "This person may be in Knock twice, because they used another email or phone before.",
        "Look in Knock for their other tour. Cancel it there if needed, then book this one.",
    ),
    "maybe_gone": (
        "The renter asked for this tour before, and it may have been canceled in Knock.",
        "Look in Knock. If the tour is there, dismiss this lead. If not, book it.",
    ),
    "repeat_or_change": (
        "The renter asked for this tour before, and then changed or canceled it.",
        (
            "Ask the renter. If they want the tour, book it, or click “Already in Knock” if it is "
            "there."
        ),
    ),
    "after_restore": (
        "The renter asked for two tours, and we can't tell which one came last.",
        "Ask the renter. If they want this tour, book it. Otherwise, dismiss the lead.",
    ),
    "dismissed_before": (
        "Your team dismissed the same request before, and the renter has asked again.",
        "Look at the dismissed lead. If the renter wants the tour, book this one.",
    ),
    "another_person": (
        "Someone with a different name has the same email or phone.",
        "Find out who this is. If it's someone else, choose “This is a different person”.",
    ),
    "another_name": (
        "The lead source used the same ID for someone with a different name.",
        "Find out if they are two people. If so, book this one. If not, dismiss one of the leads.",
    ),
    "shared_key": (
        "The lead source used the same ID for another lead, so this one was taken for an old copy.",
        "Find out if they are two people. If so, book this one. If not, dismiss one of the leads.",
    ),
    "contact_of_many": (
        "Hundreds of leads have this email or phone, so Knock would treat them all as one person.",
        "Enter the renter's own email or phone and book the tour.",
    ),
    "not_proved": (
        "Two lead sources sent different requests for this renter, and one source isn't verified.",
        "Ask the renter which request is right. If it is this one, book it. Otherwise, dismiss it.",
    ),
    "original_canceled": (
        "This lead was a duplicate of another request, which was then canceled.",
        "Ask the renter. If they still want the tour, book it. Otherwise, dismiss this lead.",
    ),
    "original_dismissed": (
        "This lead was a duplicate of another request, which was then dismissed.",
        "If the renter wants the tour, book it. Otherwise, dismiss this lead too.",
    ),
    "booked_after_cancellation": (
        "The renter canceled this tour, but it was booked anyway.",
        (
            "Cancel the tour in Knock and dismiss this lead. If the renter wants the tour, click "
            "“Already in Knock”."
        ),
    ),
    "carried_out_late": (
        "This tour may have been booked after a newer one with the same email or phone.",
        "Look in Knock for both tours. Book the one that is missing, then dismiss this lead.",
    ),
    "original_changed": (
        "This lead was a duplicate of a request that is now for another person or community.",
        "If this renter wants the tour, book it. Otherwise, dismiss this lead.",
    ),
    "cancellation_merged": (
        "The renter asked for this tour twice and canceled one of the requests.",
        "Ask the renter. If they don't want the tour, cancel it in Knock.",
    ),
    "cancellation_elsewhere": (
        "The renter canceled a request we never received, but has a tour from another one.",
        "Ask the renter. If they don't want the tour, cancel it in Knock.",
    ),
    "cancellation_unclear": (
        "A tour was canceled, but several leads have the same ID.",
        "Find out who canceled, and cancel that tour in Knock.",
    ),
    "cancellation": (
        "The renter canceled this tour.",
        "Cancel the tour in Knock, or add a note to the guest card.",
    ),
    "note_not_sent": (
        "The renter sent another message, and it may not be on the guest card in Knock.",
        "Add what is missing to the guest card in Knock. Then dismiss this lead.",
    ),
    "not_authorized": (
        "We don't have permission to book at this community.",
        "Ask an admin to get permission from Propexo. Then book the tour.",
    ),
    "time_taken": (
        "This time is not available in Knock.",
        "Agree on another time with the renter. Then book the tour.",
    ),
    "internal_error": (
        "Something went wrong on our side.",
        "Tell an admin. Then book this lead again.",
    ),
    "refused": (
        "This tour was rejected. It is not in Knock.",
        "Fix the problem in the response and book it again, or enter the tour in Knock yourself.",
    ),
    "job_failed": (
        "Knock didn't save this tour.",
        _CHECK_KNOCK,
    ),
    "no_answer": (
        "We sent this tour but never heard back. It may already be in Knock.",
        _SEARCHING,
    ),
    "sender_lost": (
        "We were interrupted while sending this tour. It may already be in Knock.",
        _SEARCHING,
    ),
    "partial_success": (
        "Knock saved only part of this tour.",
        _CHECK_KNOCK,
    ),
    "no_final_status": (
        "We don't know yet if Knock saved this tour.",
        _CHECK_KNOCK,
    ),
    "restored": (
        "Our database was restored from a backup. This tour may already be in Knock.",
        _SEARCHING,
    ),
    "not_found": (
        "We sent this tour but never heard back, and we can't find it.",
        _CHECK_KNOCK,
    ),
    "not_readable": (
        "We sent this tour but never heard back, and we aren't allowed to look it up in Knock.",
        _CHECK_KNOCK,
    ),
    "maybe_found": (
        "We sent this tour but never heard back. Knock has a guest card that may be this renter's.",
        _CHECK_KNOCK,
    ),
    "waited_too_long": (
        "This lead has no tour time, and we couldn't send it to Knock for several days.",
        "Call or email the renter. Book it again, or dismiss it.",
    ),
    "tour_time_passed": (
        "The tour time passed before we could book it.",
        "Call the renter, agree on a new time and book it, or dismiss the lead.",
    ),
    "brought_back": (
        "This lead was dismissed and then brought back.",
        "Book this lead, or dismiss it again.",
    ),
    "undone": (
        "This booking was undone. Nothing was sent.",
        "Book this lead, or dismiss it. You don't need to call the renter about it.",
    ),
}

#: The problem in a few words, for lists, by reason code.
IN_SHORT: Final[Mapping[str, str]] = {
    "two_tours_at_once": "Asked for two tours",
    "canceled_before": "Canceled before it arrived",
    "changed_after_first": "Contact or community changed",
    "contact_changed": "Contact changed after booking",
    "two_cards": "May be in Knock twice",
    "maybe_gone": "May be canceled in Knock",
    "repeat_or_change": "Repeat of an earlier request",
    "after_restore": "Two tours, order unclear",
    "dismissed_before": "Requested again after it was dismissed",
    "another_name": "Same ID, different name",
    "another_person": "Same contact, different name",
    "shared_key": "Same ID, different person",
    "contact_of_many": "Contact used by many people",
    "not_proved": "Two sources disagree",
    "original_canceled": "The other request was canceled",
    "original_dismissed": "The other request was dismissed",
    "booked_after_cancellation": "Canceled, but booked anyway",
    "carried_out_late": "May have replaced a newer tour",
    "original_changed": "The other request was changed",
    "cancellation_merged": "Canceled one of two requests",
    "cancellation_elsewhere": "Canceled an unknown request",
    "cancellation_unclear": "Unclear who canceled",
    "cancellation": "The renter canceled",
    "note_not_sent": "Message for the guest card",
    "not_authorized": "No permission to book here",
    "time_taken": "Time not available in Knock",
    "internal_error": "Something went wrong",
    "refused": "Knock refused it",
    "job_failed": "Knock didn't save it",
    "no_answer": "Sent, but no response",
    "sender_lost": "Sent, but no response",
    "partial_success": "Knock saved only part of it",
    "no_final_status": "Not clear if Knock saved it",
    "restored": "May already be in Knock",
    "not_found": "Sent, but not found",
    "not_readable": "Sent, but we can't look it up",
    "maybe_found": "Sent, and maybe in Knock",
    "waited_too_long": "Couldn't be sent for days",
    "tour_time_passed": "Tour time has passed",
    "brought_back": "Brought back",
    "undone": "Booking undone",
}

#: Why a lead was merged, replaced or discarded automatically, by reason code.
DECISIONS: Final[Mapping[str, str]] = {
    "same_person_and_time": "This renter had already asked for the same tour.",
    "same_person_has_a_tour": "This renter has a tour, so they already have a guest card.",
    "same_person_asked_before": "This renter already has a guest card.",
    "same_delivery": "The sender sent the same message again.",
    "item_seen_before": "The sender sent the same lead again, unchanged.",
    "newer_request": "The renter sent a newer request.",
    "newer_request_came_first": "A newer request from this renter arrived first.",
    "cancelled_by_sender": "The renter canceled before we sent it to Knock.",
    "canceled_by_renter": "The renter canceled before we sent it to Knock.",
    "cancellation_done": "The renter canceled a tour that isn't in Knock.",
    "taken_back": "The renter asked again, or someone on your team undid the cancellation.",
    "booking_came_later": "The cancellation arrived before the request. The request needs review.",
    "asked_again": "This repeats the renter's latest request.",
    "tour_undone": "Someone on your team undid it before it was sent.",
    IGNORED: "This message is a test, or not a tour request.",
}

#: What happened to a note with a renter's later message, by reason code. No note is sent twice.
NOTES: Final[Mapping[str | None, str]] = {
    "note_sent": "Sent to Knock as a note",
    "note_unclear": "Sent to Knock as a note, but Knock didn't confirm it. Look at the guest "
    "card, and add the note if it is missing",
    "note_refused": "Knock didn't accept this note. Add it to the guest card yourself",
    "note_failed": "Knock didn't save this note. Add it to the guest card yourself",
    "note_without_card": "We couldn't find the guest card in Knock. Find the guest card there, "
    "and add this note",
    "note_waited_too_long": "We couldn't send this note in time. Add it to the guest card yourself",
    "note_restored": "This note may already be on the guest card. Add it if it is missing",
}
#: The text for a note that is yet to be sent.
NOTE_WAITS: Final = "Will be sent to Knock as a note"

_NO_EMAIL: Final = "We couldn't email the renter a link to choose a time"
_SEND_LINK: Final = "Call or text them. The guest card's notes in Knock contain the link."
#: What happened to an email with a link to choose a tour time, by its outcome.
EMAILS: Final[Mapping[str | None, str]] = {
    "sent": "We emailed the renter a link to choose a time.",
    "recipient_rejected": f"{_NO_EMAIL}: their address doesn't work. {_SEND_LINK}",
    "email_rejected": f"{_NO_EMAIL}: it was rejected. {_SEND_LINK}",
    "no_response": "We emailed the renter a link to choose a time, but it may not have arrived.",
    "address_not_supported": f"{_NO_EMAIL}: our mail server can't send to addresses with special "
    f"letters. {_SEND_LINK}",
    "address_invalid": f"{_NO_EMAIL}: their address doesn't work. {_SEND_LINK}",
}
#: The text for an email that could not be sent because of the mail server.
EMAIL_WAITS: Final = f"{_NO_EMAIL}. We'll try again."
EMAIL_GIVEN_UP: Final = f"{_NO_EMAIL}. {_SEND_LINK}"

#: The problem and how to solve it, by the beginning of a reason's message.
BY_MESSAGE: Final[Mapping[str, tuple[str, str]]] = {
    NO_TIME: ("{source} doesn't send tour times.", _CALL),
    NO_CONTACT: (
        "No phone or email.",
        (
            "Look for a phone or email in the original message. Add it and book the tour, or "
            "dismiss this lead."
        ),
    ),
    IDS_ONLY_REASON: (
        "The message has only IDs. The lead itself is in the sender's system.",
        "Find the lead there, enter the details here and book it, or book it in Knock.",
    ),
    "is at … in ": ("The requested time is outside booking hours.", _CALL),
    "is more than … days ahead": ("The tour is too far ahead.", _CALL),
    "not JSON": (
        "We can't read this message.",
        "Ask an admin to contact the sender about this message.",
    ),
    "is in the past": ("This tour was already in the past when the request arrived.", _CALL),
    "there is a date but no time of day": ("The message has a date but no time.", _CALL),
    NOT_A_TOUR: ("The renter gave a range of times, but no exact time.", _CALL),
    "the time does not exist": (
        "This time doesn't exist: clocks spring forward that night.",
        _CALL,
    ),
    "the time happens twice": ("This time happens twice: clocks fall back that night.", _CALL),
    NO_ITEMS: (
        "There is no tour in this message.",
        (
            "Read the original message. If a renter wants a tour, call or email them and enter the "
            "tour in Knock. Then dismiss this message."
        ),
    ),
}

_PICK: Final = "Pick the community, and then book the tour."
#: The problem and how to solve it, by a reason's field.
BY_FIELD: Final[Mapping[str, tuple[str, str]]] = {
    "starts_at": ("We couldn't read the tour time.", _CALL),
    "community": (
        "We don't recognize the property that {source} sent: {value}.",
        _PICK,
    ),
    "attribution_id": (
        "Knock needs to know where this lead came from, and that isn't set up here.",
        "Ask an admin to set up the attribution for {source}.",
    ),
    "event": ("We can't read this message: {message}.", "Ask an admin to look at this message."),
    "accept": (
        "We can't tell if this message is a tour request.",
        (
            "Read the original message. If it isn't a tour request, dismiss it. If it is, ask an "
            "admin to fix the mapping."
        ),
    ),
    "for_each": (
        "We can't read the list of tours in this message.",
        "Ask an admin to look at this message.",
    ),
}
_NO_COMMUNITY: Final = ("{source} didn't say which property the renter wants.", _PICK)
#: The problem in a few words, by the beginning of a reason's message, and by its field.
SHORT_MESSAGE: Final[Mapping[str, str]] = {
    NO_TIME: "No tour time",
    TO_FETCH: "Tour time not in the message",
    SEVERAL_TIMES: "More than one tour time",
    UTC_TIME_OF_DAY: "Time zone unclear",
    EDGE_OF_DAY: "Maybe only a date",
    NO_CONTACT: "No phone or email",
    IDS_ONLY_REASON: "Only IDs, no details",
    "is at … in ": "Outside booking hours",
    "is more than … days ahead": "Too far ahead",
    "is in the past": "Tour time has passed",
    "there is a date but no time of day": "No time of day",
    "a date without a time of day": "No time of day",
    "the offset does not match": "Wrong time zone",
    "there is no time zone": "No time zone",
    "not the name of a time zone": "Time zone not recognized",
    "its time zone abbreviation": "Time zone and date don't match",
    "the offset from UTC": "Invalid time zone",
    "the time does not exist": "Tour time doesn't exist",
    "the time happens twice": "Tour time happens twice",
    "the weekday does not match": "Weekday and date don't match",
    "it is not clear whether": "Morning or afternoon?",
    "it matches two formats": "Date can be read in two ways",
    "the year is not": "Year can't be right",
    NOT_A_TOUR: "A range of times, no exact time",
    NO_ITEMS: "No tour in the message",
}
SHORT_FIELD: Final[Mapping[str, str]] = {
    "starts_at": "Can't read the tour time",
    "community": "Property not recognized",
    "attribution_id": "Lead source not set up in Knock",
    "event": "Can't read the message",
    "accept": "Maybe not a tour request",
    "for_each": "Can't read the list of tours",
}
#: The beginning of reasons that Propexo gave for rejecting a booking.
SAYS: Final = "Propexo says: "
#: How the message of an issue ends if the payload has no value.
_MISSING: Final = (" is empty", "is not in the payload", "Missing data for required field.")
#: The parts of a name. One of them may be missing from a lead.
_NAMES: Final = frozenset({"first_name", "last_name"})
_IS_AT: Final = re.compile(r"is at (\d\d:\d\d) in ")
_IS_FAR: Final = re.compile(r"is more than (\d+) days ahead")


def open_reasons(booking: Booking, now: dt.datetime) -> tuple[Reason, ...]:
    """Return the reasons for review that still apply to a booking's current values."""
    return tuple(one for one in booking.reasons if not _is_settled(one, booking, now))


def _is_settled(reason: Reason, booking: Booking, now: dt.datetime) -> bool:
    if reason.reason.startswith(SAYS):
        return False
    if reason.field == "community":
        return booking.community is not None
    if reason.field == "starts_at":
        return booking.starts_at is not None and _is_time_settled(reason.reason, booking, now)
    if reason.reason == NO_CONTACT:
        return bool({"email_1", "phone_1"} & booking.appointment.keys())
    return reason.field in booking.appointment


def _is_time_settled(problem: str, booking: Booking, now: dt.datetime) -> bool:
    """Return True if a problem no longer applies to a booking's tour time."""
    at = booking.starts_at or now
    if problem == "is in the past":
        return at > now
    if match := _IS_FAR.match(problem):
        return at <= now + dt.timedelta(days=int(match[1]))
    if match := _IS_AT.match(problem):
        return f"{at.astimezone(ZoneInfo(booking.timezone or 'UTC')):%H:%M}" != match[1]
    return not problem.startswith("the offset does not match")


def is_missing(problem: str) -> bool:
    """Return True if a field's problem is that the webhook has no value for it."""
    return problem.endswith(_MISSING)


def lead_in_short(booking: Booking) -> str:
    """Return a short description of a lead's problem.

    It is more precise than the issue's description, which other leads with the same issue share.
    """
    first = booking.reasons[0] if booking.reasons else None
    if first is None or booking.reason in IN_SHORT:
        return in_short(Issue.of(booking))
    if first.field == "starts_at" and first.value and is_missing(first.reason):
        return "No tour date"
    if first.reason.startswith("is at 00:00 in "):
        return SHORT_MESSAGE["there is a date but no time of day"]
    if (
        first.field in _NAMES
        and is_missing(first.reason)
        and not _NAMES & booking.appointment.keys()
    ):
        return "No name"
    return in_short(Issue.of(booking))


def in_short(issue: Issue) -> str:
    """Return a short description of an issue."""
    if issue.code in IN_SHORT:
        return IN_SHORT[issue.code]
    for beginning, words in SHORT_MESSAGE.items():
        if issue.message.startswith(beginning):
            return words
    if issue.field == "starts_at" and is_missing(issue.message):
        return SHORT_MESSAGE[NO_TIME]
    label = label_of(issue.field) if issue.message else ""
    if is_missing(issue.message) and issue.field in ("name", *_NAMES):
        return f"No {label.lower()}"
    if is_missing(issue.message) and issue.field == "community":
        return "No property given"
    return SHORT_FIELD.get(issue.field) or (f"{label} can't be used" if label else "Needs review")


def advice_for(issue: Issue) -> Advice:
    """Return the advice for an issue: the problem, and how to solve it."""
    template = _template(issue)
    if template is not None:
        wrong, todo = (text.format_map(_values(issue)) for text in template)
    elif issue.message:
        label = label_of(issue.field)
        problem = "The message has no value" if _is_absent(issue) else "We can't use this value"
        wrong, todo = f"{problem} for “{label}”: {issue.message}.", _BOOK
    else:
        wrong, todo = "This lead needs review.", _BOOK
    return Advice(wrong=wrong, todo=todo)


def _is_absent(issue: Issue) -> bool:
    """Return True if a value is missing, perhaps because its key has another name."""
    return any(text in issue.message for text in _MISSING)


def _template(issue: Issue) -> tuple[str, str] | None:
    """Return the advice for an issue as a pair of templates, or None if there is none.

    The caller fills in the sender's values, and only once, because they may contain braces.
    """
    if issue.code in BY_CODE:
        return BY_CODE[issue.code]
    if issue.field == "community" and _is_absent(issue):
        return _NO_COMMUNITY
    for beginning, sentences in BY_MESSAGE.items():
        if issue.message.startswith(beginning):
            return sentences
    return BY_FIELD.get(issue.field) if issue.message else None


def _values(issue: Issue) -> dict[str, str]:
    return {
        "source": issue.source,
        "message": issue.message,
        "value": issue.value or "an empty value",
    }


#: Labels of fields for leasing agents, if they differ from those in notes.
_LABELS: Final[Mapping[str, str]] = {
    "dedupe": "Key that identifies repeats",
    "first_contact_type": "First contact",
    "move_in_date": "Move-in date",
    "number_of_occupants": "Occupants",
    "rent_minimum_in_cents": "Minimum rent",
    "rent_maximum_in_cents": "Maximum rent",
}


def label_of(field: str) -> str:
    """Return a field's label for users, such as ``Move-in date``."""
    if field in _LABELS:
        return _LABELS[field]
    if field in TARGETS:
        return TARGETS[field].label
    return re.sub(r" id$", " ID", field.replace("_", " ").capitalize())
