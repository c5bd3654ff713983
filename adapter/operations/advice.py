"""What is wrong with a lead that waits, and what one can do, in plain words. Pure.

The words are for the person who works the queue in the morning and has not read the manual.
"""

import dataclasses
from collections.abc import Mapping
from typing import Final

from adapter.mapping.engine.mapping import IDS_ONLY_REASON, NO_CONTACT
from adapter.mapping.engine.tour_time import NO_TIME
from adapter.propexo.appointment import TARGETS
from adapter.store import Issue


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """Two sentences: what is wrong, and what to do."""

    wrong: str
    todo: str


_RELEASE: Final = "Mend it and release the lead, or discard it with a reason."
_CALL: Final = "Call or write to the renter, agree on a time, and release the lead with it."

#: By the constant word of a state: what is wrong, what to do.
BY_WORD: Final[Mapping[str, tuple[str, str]]] = {
    "two_tours_at_once": (
        "One webhook asks for two tours of the same person here. Knock keeps one.",
        "Ask the renter which one. Release that one and discard the other.",
    ),
    "called_off_before": (
        "The sender called this tour off before it asked for it.",
        "Ask the renter. Release it if the tour is wanted, else discard it.",
    ),
    "changed_after_first": (
        "The sender changed the contact after the first booking had gone out.",
        "Look at both. Another person: release this one. The same: mend Knock, discard this one.",
    ),
    "cancellation": (
        "The renter has called a tour off, and Propexo cannot cancel in Knock.",
        "Cancel the tour in Knock by hand, then discard this one as done.",
    ),
    "not_authorised": (
        "Propexo takes our token, but not for this booking.",
        "Check with Propexo that the token may book for this community, then release it.",
    ),
    "internal_error": (
        "The adapter failed on it for a reason nobody foresaw.",
        "Tell the engineer: the log has the reason. Then release it, or map it again.",
    ),
    "refused": (
        "Propexo refused the booking. Nothing stands in Knock.",
        "See below what it says. " + _RELEASE,
    ),
    "job_failed": (
        "Propexo took the booking and failed to write it to Knock.",
        "Look in Knock first. If the tour is not there, release it; if it is, confirm it.",
    ),
    "no_answer": (
        "It was sent and no clear answer came. It may stand in Knock.",
        "It is looked for. For a tour that is soon, look in Knock: confirm it if it is there.",
    ),
    "sender_lost": (
        "The process that sent it ended before the answer. It may stand in Knock.",
        "It is looked for. For a tour that is soon, look in Knock: confirm it if it is there.",
    ),
    "partial_success": (
        "Propexo says that it wrote only a part of it.",
        "Look in Knock. Confirm it if the tour is there; if not, release it.",
    ),
    "no_final_status": (
        "Propexo has not said for a long time whether it is booked.",
        "Look in Knock. Confirm it if the tour is there; if not, release it.",
    ),
    "not_found": (
        "It was sent, the answer was lost, and it is in none of Propexo's lists.",
        "Look in Knock. Confirm it if the tour is there; if not, release it.",
    ),
    "waited_too_long": (
        "It asks for no time, and could not be put into Knock for days.",
        "Call or write to the renter. Release it when Propexo answers again, or discard it.",
    ),
    "tour_time_passed": (
        "Its time came before it could be booked.",
        "Call the renter. Release it with another time, or discard it.",
    ),
}

#: By the beginning of the sentence of a reason.
BY_SENTENCE: Final[Mapping[str, tuple[str, str]]] = {
    NO_TIME: ("This sender gives no tour time.", _CALL),
    NO_CONTACT: (
        "There is neither an e-mail address nor a phone number.",
        "Look into the payload for a way to reach the renter; release it with one, or discard it.",
    ),
    IDS_ONLY_REASON: (
        "The webhook holds ids only; the lead itself is with the sender.",
        "Look the lead up at the sender, and book it by hand or release it with what you find.",
    ),
    "is at … in ": ("The tour's time lies outside tour hours.", _CALL),
    "is more than … days ahead": ("The tour is too far ahead.", _CALL),
    "not JSON": (
        "What was sent is not JSON.",
        "Tell the sender, or say body: in the mapping where it is something else.",
    ),
    "is in the past": ("The tour's time had passed when the webhook came.", _CALL),
}

#: By the field of a reason.
BY_FIELD: Final[Mapping[str, tuple[str, str]]] = {
    "starts_at": ("The tour's time: {sentence}.", _CALL),
    "community": (
        "{source} names a place that no community is known by: {value}.",
        "Add it to communities.yaml under known_as and map the group again, or release by hand.",
    ),
    "attribution_id": (
        "There is no attribution for this lead: {sentence}.",
        "Add it to communities.yaml under attributions, and map the group again.",
    ),
    "event": ("{sentence}.", "Look into the payload. Mend the mapping and map the group again."),
}


def advice_for(trouble: Issue) -> Advice:
    """The two sentences for one kind of trouble."""
    known = _known(trouble)
    if known is not None:
        wrong, todo = (text.format_map(_values(trouble)) for text in known)
    elif trouble.sentence:
        label = label_of(trouble.field)
        wrong, todo = f"{label} cannot be taken as it came: {trouble.sentence}.", _RELEASE
    else:
        wrong, todo = f"It waits for a person: {trouble.state}.", _RELEASE
    return Advice(wrong=wrong, todo=todo)


def _known(trouble: Issue) -> tuple[str, str] | None:
    """The sentences of the tables above, with places for what came; None: there are none.

    What came is put in once, at the end: it may hold braces.
    """
    if trouble.word in BY_WORD:
        return BY_WORD[trouble.word]
    for beginning, sentences in BY_SENTENCE.items():
        if trouble.sentence.startswith(beginning):
            return sentences
    return BY_FIELD.get(trouble.field) if trouble.sentence else None


def _values(trouble: Issue) -> dict[str, str]:
    return {
        "source": trouble.source,
        "sentence": trouble.sentence,
        "value": trouble.value or "an empty value",
    }


def label_of(field: str) -> str:
    """A field's name for people: ``Move in date``."""
    return TARGETS[field].label if field in TARGETS else field.replace("_", " ").capitalize()
