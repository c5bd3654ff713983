"""Explain why a lead needs review and how to fix it, in sentences for leasing agents.

The texts are for leasing agents who work through the queue and have not read the manual. They use
the console's words: to book and to dismiss a lead are `adapter release` and `adapter discard`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from adapter.mapping.engine.mapping import IDS_ONLY_REASON
from adapter.mapping.engine.tour_time import NO_TIME
from adapter.models import Booking
from adapter.propexo.appointment import NO_CONTACT, TARGETS
from adapter.store import IGNORED, Issue


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Advice for a user: what is wrong with a lead, and what to do about it."""

    wrong: str
    todo: str


_BOOK: Final = "Fix it and book the tour, or dismiss the lead."
_CALL: Final = "Call or text the renter, agree on a time, then book it."
_CHECK_KNOCK: Final = "Look in Knock. Is it there? Mark it as booked. If not, book it again."
_SEARCHING: Final = (
    "We keep checking every few minutes. If the tour is soon, look in Knock, and mark it as booked "
    "if it is there."
)

#: What is wrong and what to do, by reason code.
BY_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "two_tours_at_once": (
        "The renter asked for two tours here at once, and Knock keeps only one.",
        "Ask which one they want. Book that one and dismiss the other.",
    ),
    "canceled_before": (
        "This tour was canceled before it was requested.",
        "Ask the renter. Book it if they want the tour; otherwise dismiss it.",
    ),
    "changed_after_first": (
        "The contact or community changed after the booking was sent, or just before.",
        "Another person? Book this too. The same one? Fix the contact in Knock, then dismiss this.",
    ),
    "contact_changed": (
        "The email or phone changed after the booking was sent. Knock has the old one.",
        "Correct the contact in Knock, and tell the renter the time. Then dismiss this lead.",
    ),
    "two_cards": (
        "Knock may have this person twice, because the contacts differ from those used before.",
        "Look in Knock for the other tour. Cancel it there if needed, then book this one.",
    ),
    "maybe_gone": (
        "The renter requested this tour before, but it may have been canceled in Knock.",
        "Look in Knock. If the tour is there, dismiss this lead; if not, book it.",
    ),
    "repeat_or_change": (
        "The same request came before, and then another request or a cancellation.",
        "Does the renter want this? Book it, or mark it as booked if Knock has it.",
    ),
    "after_restore": (
        "The renter has another tour, and we no longer know which of the two they want.",
        "Ask the renter. Book this one if they want it instead; otherwise dismiss it.",
    ),
    "dismissed_before": (
        "The same request was dismissed here, and the renter has asked again since.",
        "Look at the dismissed lead. Book this one if the renter wants the tour.",
    ),
    "another_person": (
        "Someone with another name uses the same email or phone. Knock may merge them.",
        "Find out who it is. If it is another person, choose “This is another person”.",
    ),
    "contact_of_many": (
        "Hundreds of requests use this email or phone, so Knock treats them as one person.",
        "Enter the renter's own contact and book it, or ask an admin to list it as shared.",
    ),
    "not_proved": (
        "This would replace another source's request, and one of the two is not verified.",
        "Ask the renter which request is right. Book this one if it is; otherwise dismiss it.",
    ),
    "original_canceled": (
        "Another request covered this one too, and was then canceled.",
        "Ask the renter. Book it if they still want the tour; otherwise dismiss it.",
    ),
    "original_dismissed": (
        "Another request covered this one too, and was then dismissed.",
        "Book it if the renter wants the tour; otherwise dismiss it too.",
    ),
    "booked_after_cancellation": (
        "This tour was booked late, after its cancellation was done.",
        "If Knock has it, cancel it there, then dismiss this. Is it wanted? Mark it as booked.",
    ),
    "carried_out_late": (
        "This may have been booked after a newer request with the same email or phone.",
        "Look in Knock for both tours. Book what is missing, then dismiss this lead.",
    ),
    "original_changed": (
        "Another request covered this one too, and its person or community was then changed.",
        "Book this one if this renter wants the tour; otherwise dismiss it.",
    ),
    "cancellation_merged": (
        "The renter canceled one of two requests for the same tour.",
        "Ask the renter. If they do not want the tour, cancel it in Knock.",
    ),
    "cancellation_elsewhere": (
        "A request that we do not know was canceled. The renter has a tour from another request.",
        "Ask the renter. If they do not want the tour, cancel it in Knock.",
    ),
    "cancellation_unclear": (
        "A tour was canceled, but its ID belongs to several people.",
        "Find out who canceled, and cancel that tour in Knock.",
    ),
    "cancellation": (
        "The renter canceled this tour.",
        "Cancel the tour in Knock, or note it on the guest card.",
    ),
    "not_authorized": (
        "Our key may not book for this community.",
        "Ask your admin to have Propexo allow it, then book it.",
    ),
    "time_taken": (
        "This time is not free in Knock.",
        "Agree on a free time with the renter. Then book it.",
    ),
    "internal_error": (
        "Something went wrong on our side.",
        "Tell your admin. Then book it again.",
    ),
    "refused": (
        "Not booked: Propexo rejected it. Nothing is in Knock.",
        _BOOK,
    ),
    "job_failed": (
        "Knock did not save this tour.",
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
        "Only part of this tour was saved in Knock.",
        _CHECK_KNOCK,
    ),
    "no_final_status": (
        "We do not know yet whether Knock saved this tour.",
        _CHECK_KNOCK,
    ),
    "restored": (
        "This tour may have been booked before our database was restored.",
        _SEARCHING,
    ),
    "not_found": (
        "We sent this tour but never heard back, and could not find it.",
        _CHECK_KNOCK,
    ),
    "waited_too_long": (
        "This lead has no tour time, and could not be sent to Knock for several days.",
        "Call or email the renter. Book it again, or dismiss it.",
    ),
    "tour_time_passed": (
        "The tour time passed before it could be booked.",
        "Call the renter, agree on another time and book it, or dismiss it.",
    ),
    "brought_back": (
        "This lead was dismissed, and then brought back.",
        "Book it, or dismiss it again.",
    ),
    "undone": (
        "This booking was taken back before it went out.",
        "Book it, or dismiss it.",
    ),
}

#: The problem in a few words, for lists, by reason code.
IN_SHORT: Final[Mapping[str, str]] = {
    "two_tours_at_once": "Asked for two tours at once",
    "canceled_before": "Canceled before it was requested",
    "changed_after_first": "Contact or community changed",
    "contact_changed": "Contact changed after booking",
    "two_cards": "May be in Knock twice",
    "maybe_gone": "May be canceled in Knock",
    "repeat_or_change": "Repeat of an earlier request",
    "after_restore": "Has another tour",
    "dismissed_before": "Asked again after a dismissal",
    "another_person": "Same contact, another name",
    "contact_of_many": "Contact used by many people",
    "not_proved": "Two sources disagree",
    "original_canceled": "The other request was canceled",
    "original_dismissed": "The other request was dismissed",
    "booked_after_cancellation": "Booked after its cancellation",
    "carried_out_late": "May have replaced a newer tour",
    "original_changed": "The other request has changed",
    "cancellation_merged": "Canceled one of two requests",
    "cancellation_elsewhere": "Canceled an unknown request",
    "cancellation_unclear": "Canceled, but by whom?",
    "cancellation": "The renter canceled",
    "not_authorized": "Our key may not book here",
    "time_taken": "Time is not free in Knock",
    "internal_error": "Something went wrong",
    "refused": "Propexo rejected it",
    "job_failed": "Knock did not save it",
    "no_answer": "Sent, but no answer",
    "sender_lost": "Sent, but no answer",
    "partial_success": "Knock saved only a part",
    "no_final_status": "Not clear whether Knock saved it",
    "restored": "May already be in Knock",
    "not_found": "Sent, but not found",
    "waited_too_long": "Could not be sent for days",
    "tour_time_passed": "Tour time has passed",
    "brought_back": "Brought back",
    "undone": "Taken back",
}

#: Why a lead was merged, replaced or discarded automatically, by reason code.
DECISIONS: Final[Mapping[str, str]] = {
    "same_person_and_time": "The same person had already requested this tour.",
    "same_person_has_a_tour": "The same person has a tour, and the tour creates the guest card.",
    "same_person_asked_before": "The same person already has a guest card.",
    "same_delivery": "The sender sent the same message again.",
    "item_seen_before": "The sender sent the same lead again, unchanged.",
    "newer_request": "A newer request from the same person replaced it.",
    "newer_request_came_first": "It arrived after a newer request from the same person.",
    "cancelled_by_sender": "The sender canceled it before it was sent to Knock.",
    "cancellation_done": "The sender canceled a lead that Knock does not have.",
    "taken_back": "A later request or a user took this cancellation back.",
    "booking_came_later": "The sender canceled a tour before requesting it. The tour needs review.",
    "asked_again": "It repeats the same person's latest request.",
    IGNORED: "This kind of message is not a tour request.",
}

#: What became of a note with a renter's later words, by reason code. None of them was sent twice.
NOTES: Final[Mapping[str | None, str]] = {
    "note_sent": "Sent to Knock as a note",
    "note_unclear": "Sent to Knock as a note, but no clear answer came back. Look at the guest "
    "card, and add this there if it is missing",
    "note_refused": "Knock did not take this note. Add it to the guest card",
    "note_failed": "Knock did not save this note. Add it to the guest card",
    "note_without_card": "The guest card was not found in Knock. Find it there, and add this",
    "note_waited_too_long": "This was not sent to Knock in time. Add it to the guest card",
    "note_restored": "This may already be on the guest card as a note. Add it there if it is "
    "missing",
}
#: What is said of a note that is still to be sent.
NOTE_WAITS: Final = "Will be sent to Knock as a note"

#: What is wrong and what to do, by the beginning of a reason's message.
BY_MESSAGE: Final[Mapping[str, tuple[str, str]]] = {
    NO_TIME: ("This source sends no tour time.", _CALL),
    NO_CONTACT: (
        "No phone or email.",
        "Look in the original message for a way to reach them. Add it and book, or dismiss this.",
    ),
    IDS_ONLY_REASON: (
        "The message contains only IDs. The lead itself is in the sender's system.",
        "Find the lead there. Enter its details here and book it, or book it in Knock.",
    ),
    "is at … in ": ("The requested time is outside tour hours.", _CALL),
    "is more than … days ahead": ("The tour is too far ahead.", _CALL),
    "not JSON": (
        "We can't read this message.",
        "Send it to your admin, who can ask the sender.",
    ),
    "is in the past": ("This tour was already in the past when it reached us.", _CALL),
    "there is a date but no time of day": ("The message has a date but no time of day.", _CALL),
    "the time does not exist": ("This time does not exist: clocks move forward that night.", _CALL),
    "the time happens twice": ("This time happens twice: clocks move back that night.", _CALL),
}

#: What is wrong and what to do, by a reason's field.
BY_FIELD: Final[Mapping[str, tuple[str, str]]] = {
    "starts_at": ("We couldn't read the tour time.", _CALL),
    "community": (
        "{source} sent a property that we don't recognize: {value}.",
        "Pick the community, then book it.",
    ),
    "attribution_id": (
        "Knock needs to know where this lead came from, and that is not set up here.",
        "Ask your admin to set up the attribution for {source}.",
    ),
    "event": ("We can't read this message: {message}.", "Send it to your admin."),
}
#: The problem in a few words, by the beginning of a reason's message, and by its field.
SHORT_MESSAGE: Final[Mapping[str, str]] = {
    NO_TIME: "No tour time",
    NO_CONTACT: "No phone or email",
    IDS_ONLY_REASON: "Only IDs, no details",
    "is at … in ": "Outside tour hours",
    "is more than … days ahead": "Too far ahead",
    "is in the past": "Tour time has passed",
    "there is a date but no time of day": "No time of day",
}
SHORT_FIELD: Final[Mapping[str, str]] = {
    "starts_at": "Tour time can't be read",
    "community": "Property not recognized",
    "attribution_id": "Lead source not set up in Knock",
    "event": "Message can't be read",
}


def in_short(issue: Issue) -> str:
    """Return an issue in a few words."""
    if issue.code in IN_SHORT:
        return IN_SHORT[issue.code]
    for beginning, words in SHORT_MESSAGE.items():
        if issue.message.startswith(beginning):
            return words
    label = label_of(issue.field) if issue.message else ""
    return SHORT_FIELD.get(issue.field) or (f"{label} can't be used" if label else "Needs review")


def explanation_of(booking: Booking) -> str:
    """Return a sentence for users that explains the state of a booking."""
    return DECISIONS.get(booking.reason or "") or advice_for(Issue.of(booking)).wrong


def advice_for(issue: Issue) -> Advice:
    """Return the advice for an issue: what is wrong, and what to do about it."""
    template = _template(issue)
    if template is not None:
        wrong, todo = (text.format_map(_values(issue)) for text in template)
    elif issue.message:
        label = label_of(issue.field)
        wrong, todo = f"{label} cannot be used: {issue.message}.", _BOOK
    else:
        wrong, todo = "This lead needs review.", _BOOK
    return Advice(wrong=wrong, todo=todo)


def _template(issue: Issue) -> tuple[str, str] | None:
    """Return the advice for an issue as templates, or None if there is none.

    The caller fills in the sender's values, and only once, because they may contain braces.
    """
    if issue.code in BY_CODE:
        return BY_CODE[issue.code]
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


def label_of(field: str) -> str:
    """Return a field's label for users, such as ``Move in date``."""
    return TARGETS[field].label if field in TARGETS else field.replace("_", " ").capitalize()
