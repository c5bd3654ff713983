"""Explain why a lead needs review and how to fix it, in sentences for leasing agents.

The texts are for leasing agents who work through the queue and have not read the manual.
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


_RELEASE: Final = "Fix it and release the lead, or discard it with a reason."
_CALL: Final = "Call or email the renter, agree on a time, and release the lead with that time."
_CHECK_KNOCK: Final = "Check Knock. If the tour is there, confirm it; if not, release it."
_SEARCHING: Final = (
    "The adapter keeps searching for it. If the tour is soon, check Knock and confirm it if it is "
    "there."
)

#: What is wrong and what to do, by reason code.
BY_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "two_tours_at_once": (
        "One webhook requests two tours for the same person here. Knock keeps only one.",
        "Ask the renter which one to keep. Release that one and discard the other.",
    ),
    "canceled_before": (
        "The sender canceled this tour before requesting it.",
        "Ask the renter. Release it if they want the tour; otherwise discard it.",
    ),
    "changed_after_first": (
        "The sender changed the contact or community after the booking was sent, or just before.",
        "If it is another person, release it. If not, fix the contact in Knock, then discard it.",
    ),
    "contact_changed": (
        "The sender changed the email or phone after the booking was sent. Knock has the old one.",
        "Correct the contact in Knock, and tell the renter the time. Then discard this lead.",
    ),
    "two_cards": (
        "Knock may have this person twice, because the contacts differ from those used before.",
        "Look in Knock for the other tour. Cancel it there if needed, then release this one.",
    ),
    "maybe_gone": (
        "The renter requested this tour before, but it may have been canceled in Knock.",
        "Look in Knock. If the tour is there, discard this lead; if not, release it.",
    ),
    "repeat_or_change": (
        "The sender sent exactly this before, and then another request or a cancellation.",
        "If the renter wants this, release it, or confirm it if Knock has it. If not, discard it.",
    ),
    "after_restore": (
        "The renter has another tour, and which of the two they requested last was lost.",
        "Ask the renter. Release this one if they want it instead; otherwise discard it.",
    ),
    "dismissed_before": (
        "The same request was discarded here, and the renter has asked again since.",
        "Look at the discarded lead. Release this one if the renter wants the tour.",
    ),
    "another_person": (
        "Someone with another name uses the same email or phone. Knock may merge them.",
        "Find out who it is. If it is another person, choose “This is another person”.",
    ),
    "contact_of_many": (
        "Hundreds of requests here use this email or phone, so Knock treats them as one person.",
        "Enter the renter's own contact and release it, or ask an engineer to list it as shared.",
    ),
    "not_proved": (
        "This would replace another source's request, and one of the two is not verified.",
        "Ask the renter which request is right. Release this one if it is; otherwise discard it.",
    ),
    "original_canceled": (
        "Another request covered this one too, and its sender then canceled it.",
        "Ask the renter. Release it if they still want the tour; otherwise discard it.",
    ),
    "original_dismissed": (
        "Another request covered this one too, and was then discarded.",
        "Release it if the renter wants the tour; otherwise discard it too.",
    ),
    "booked_after_cancellation": (
        "Propexo booked this tour late, after its cancellation was done.",
        "If Knock has it, cancel it there, then discard this lead. If it is wanted, confirm it.",
    ),
    "carried_out_late": (
        "Propexo may have booked this after a newer request with the same email or phone.",
        "Check Knock for both tours. Book what is wanted but missing, then discard this lead.",
    ),
    "original_changed": (
        "Another request covered this one too, and its person or community was then changed.",
        "Release this one if this renter wants the tour; otherwise discard it.",
    ),
    "cancellation_merged": (
        "The renter canceled one of two requests for the same tour.",
        "Ask the renter. If they do not want the tour, cancel it in Knock. Then discard this lead.",
    ),
    "cancellation_elsewhere": (
        "The sender canceled an unknown request. The renter has a tour from another request.",
        "Ask the renter. If they do not want the tour, cancel it in Knock. Then discard this lead.",
    ),
    "cancellation_unclear": (
        "The sender canceled a tour, but its ID belongs to several people.",
        "Find out who canceled, and cancel that tour in Knock. Then discard this lead.",
    ),
    "cancellation": (
        "The renter canceled, and Propexo cannot cancel anything in Knock.",
        "Cancel the tour in Knock, or note it on the guest card. Then discard this lead.",
    ),
    "not_authorized": (
        "Propexo accepts our API token, but not for this booking.",
        "Ask Propexo to allow the token to book for this community, then release the lead.",
    ),
    "internal_error": (
        "The adapter failed with an unexpected error.",
        "Ask an engineer to check the log. Then release the lead, or map it again.",
    ),
    "refused": (
        "Propexo rejected the booking. Nothing was booked in Knock.",
        "The reason is below. " + _RELEASE,
    ),
    "job_failed": (
        "Propexo accepted the booking but failed to write it to Knock.",
        "Check Knock first. If the tour is not there, release it; if it is, confirm it.",
    ),
    "no_answer": (
        "It was sent, but no clear response came back. It may be booked in Knock.",
        _SEARCHING,
    ),
    "sender_lost": (
        "It was being sent when the adapter stopped. It may be booked in Knock.",
        _SEARCHING,
    ),
    "partial_success": (
        "Propexo reports that only part of it was written to Knock.",
        _CHECK_KNOCK,
    ),
    "no_final_status": (
        "Propexo has not yet reported whether it was booked.",
        _CHECK_KNOCK,
    ),
    "restored": (
        "It may have been booked before the database was restored from a backup.",
        _SEARCHING,
    ),
    "not_found": (
        "It was sent, but the response was lost, and Propexo's lists do not show it.",
        _CHECK_KNOCK,
    ),
    "waited_too_long": (
        "This lead has no tour time, and could not be sent to Knock for several days.",
        "Call or email the renter. Release it when Propexo works again, or discard it.",
    ),
    "tour_time_passed": (
        "The tour time passed before it could be booked.",
        "Call the renter. Release it with another time, or discard it.",
    ),
}

#: Why a lead was merged, replaced or discarded automatically, by reason code.
DECISIONS: Final[Mapping[str, str]] = {
    "same_person_and_time": "The same person had already requested this tour.",
    "same_person_has_a_tour": "The same person has a tour, and the tour creates the guest card.",
    "same_person_asked_before": "The same person already has a guest card.",
    "same_delivery": "The sender sent the same webhook again.",
    "item_seen_before": "The sender sent the same lead again, unchanged.",
    "newer_request": "A newer request from the same person replaced it.",
    "newer_request_came_first": "It arrived after a newer request from the same person.",
    "cancelled_by_sender": "The sender canceled it before it was sent to Knock.",
    "cancellation_done": "The sender canceled a lead that Knock does not have.",
    "taken_back": "A later request or a user took this cancellation back.",
    "booking_came_later": "The sender canceled a tour before requesting it. The tour needs review.",
    "asked_again": "It repeats the same person's latest request.",
    IGNORED: "The mapping ignores this kind of webhook.",
}

#: What is wrong and what to do, by the beginning of a reason's message.
BY_MESSAGE: Final[Mapping[str, tuple[str, str]]] = {
    NO_TIME: ("This sender does not send a tour time.", _CALL),
    NO_CONTACT: (
        "There is no email address and no phone number.",
        "Look for a contact in the original webhook. Add it and release the lead, or discard it.",
    ),
    IDS_ONLY_REASON: (
        "The webhook contains only IDs. The lead itself is in the sender's system.",
        "Find the lead in the sender's system. Book it in Knock, or release it with the details.",
    ),
    "is at … in ": ("The tour is outside tour hours.", _CALL),
    "is more than … days ahead": ("The tour is too far ahead.", _CALL),
    "not JSON": (
        "The webhook is not JSON.",
        "Tell the sender. If it sends another format on purpose, set body: in the mapping.",
    ),
    "is in the past": ("The tour time had already passed when the webhook arrived.", _CALL),
}

#: What is wrong and what to do, by a reason's field.
BY_FIELD: Final[Mapping[str, tuple[str, str]]] = {
    "starts_at": ("The tour time cannot be used: {message}.", _CALL),
    "community": (
        "{source} uses a name for a community that is not set up here: {value}.",
        "Add it to communities.yaml under known_as and map the group again, or release each lead.",
    ),
    "attribution_id": (
        "There is no attribution for this lead: {message}.",
        "Add it to communities.yaml under attributions, and map the group again.",
    ),
    "event": ("{message}.", "Check the webhook. Fix the mapping, and map the group again."),
}


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
        wrong, todo = f"{label} cannot be used: {issue.message}.", _RELEASE
    else:
        wrong, todo = f"It needs review: {issue.state}.", _RELEASE
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
