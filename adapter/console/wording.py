"""Describe states, values and errors in terms that leasing agents use, without code words."""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import shorten
from typing import Any, Final

from adapter.console.time_html import clock
from adapter.exceptions import NotPossible
from adapter.models import (
    CANCELED_BY_RENTER,
    Booking,
    BookingState,
    Event,
    EventState,
    Kind,
    KnockStatus,
    Reason,
)
from adapter.operations.advice import label_of
from adapter.operations.todo import renamed_path
from adapter.propexo.appointment import NO_CONTACT

#: Why a user cannot change anything.
VIEW_ONLY: Final = (
    "You have view-only access. Someone with edit access can change that under People."
)
#: The reason that a user gives for dismissing a cancellation after canceling the tour in Knock.
CANCELED_IN_KNOCK: Final = "Canceled in Knock"
#: The states of bookings and messages.
STATES: Final[Mapping[str, str]] = {
    "received": "Just arrived",
    "mapped": "Read",
    "ignored": "Not a tour request",
    "pending": "Waiting to send",
    "held": "Needs review",
    "sending": "Sending to Knock",
    "submitted": "Sending to Knock",
    "booked": "Booked",
    "failed": "Not booked",
    "unknown": "Check Knock",
    "superseded": "Replaced by a newer request",
    "duplicate": "Duplicate",
    "expired": "Tour time passed",
    "discarded": "Dismissed",
}
#: The states of guest cards that have their own labels.
_CARDS: Final[Mapping[str, str]] = {
    "booked": "Guest card in Knock",
    "failed": "Guest card not created",
    "expired": "Guest card not sent in time",
}
#: Reason codes of requests that the renter canceled before they were sent.
_CANCELED: Final = frozenset({"cancelled_by_sender", CANCELED_BY_RENTER})
#: The label and CSS class of each status in Knock except "booked".
_IN_KNOCK: Final[Mapping[KnockStatus, tuple[str, str]]] = {
    KnockStatus.WAITING: ("Waiting in Knock", "pending"),
    KnockStatus.CANCELED: ("Canceled in Knock", "discarded"),
    KnockStatus.VISITED: ("Visited", "booked"),
    KnockStatus.NO_SHOW: ("No-show", "expired"),
}
#: The values of enum fields.
CHOICES: Final[Mapping[str, str]] = {
    "in_person": "In person",
    "self_guided": "Self-guided",
    "video": "Video",
    "internet": "Internet",
    "chat": "Chat",
    "call": "Call",
    "email": "Email",
    "sms": "Text message",
    "cat": "Cat",
    "small_dog": "Small dog",
    "large_dog": "Large dog",
}
#: The fields that the form shows as one, by the parts' names.
_SHOWN_AS: Final = dict.fromkeys(("appointment_date", "appointment_time"), "starts_at")
_BEDROOMS: Final = "desired_num_bedrooms"
_IN_CENTS: Final = "_in_cents"
_COMMAND: Final = re.compile(r"\s*\((?:command|adapter)[^)]*\)|, run: adapter [^\n]*|--[a-z-]+")
_HOURS: Final = re.compile(
    r"is at (\d\d):(\d\d) in [\w/+-]+, but tours start between (\d\d):(\d\d) and (\d\d):(\d\d)"
)
#: The key of a value that is true if the sender sends a test.
_TEST_FLAG: Final = re.compile(r"(?i)(?:is[_-]?)?test(?:[_-]?(?:mode|lead|message))?")
_MISSING: Final = re.compile(
    r"(.*) is not in the payload(?: \(there is ['\"](.*)['\"]\))?", re.DOTALL
)
#: Part of a sentence about a field, for the form that has the check box.
OR_CHECK: Final = ", or check the box to book it anyway"
#: The text for users for each fault, by the beginning of the original text.
_FAULTS: Final[Mapping[str, str]] = {
    "is missing: set it, for example": "Choose a date and time.",
    "is missing: set it": "Pick a community.",
    "is not available in Knock": "This time is not available in Knock. Choose another time"
    f"{OR_CHECK}.",
    "has passed": "This time has passed. Choose a later time.",
    "is too soon": "This time is only minutes away. Choose a later time.",
    "write it as": "Choose a date and time.",
    "has an impossible year": "Check the year.",
    "set the community too": "Pick a community too.",
    "communities.yaml has no community with this name": "We don't recognize this property.",
    "Missing data for required": "This is required.",
    "Not a valid integer": "Enter a whole number.",
    "Not a valid string": "Enter some text.",
    "Not a valid email": "Enter a valid email address.",
    "Must be one of": "Pick one of the choices.",
    "not a name": "Enter a name.",
    "not a date": "Choose a date.",
    "not an email address": "Enter a valid email address.",
    "several email addresses": "Enter only one email address.",
    "not a valid phone number": "Enter a valid phone number.",
    NO_CONTACT: "Add a phone number or an email.",
    "the time does not exist": "This time doesn't exist: clocks spring forward that night.",
    "the time happens twice": "This time happens twice: clocks fall back that night.",
    "is in the past": "This time has passed.",
    "enter it again in the community": "Enter the time again, in the community's time zone.",
    "there is no community": "Pick a community.",
    "a filler, not a name": "Enter the renter's name.",
    "longer than": "This is too long.",
}


#: Why an action on a lead is not possible, by a part of the error's text.
_REFUSALS: Final[Mapping[str, str]] = {
    " because of booking ": "This lead was merged with another one. To book it anyway, open it and "
    "choose “Book it anyway”.",
    "there is nothing to release": "This lead can't be booked now. Its status has changed.",
    "cancel the tour in Knock, then discard": "The renter canceled. Cancel the tour in Knock, then "
    "open this lead and click “Mark as canceled”.",
    "is unknown: it may exist in Knock": "This tour may already be in Knock. Look there first. If "
    "it isn't there, open this lead, check the box and book it again.",
    "there is nothing to confirm": "This lead can't be marked now. Its status has changed.",
    "has no tour to confirm": "This lead has no tour that could be in Knock.",
    "has just changed": "Someone has just changed this lead. Check it again.",
    "and cannot be discarded": "This lead can't be dismissed now. Its status has changed.",
    "is neither a booking nor": "This message can't be dismissed now. Its status has changed.",
    "was not matched to another person": "This lead isn't linked to another person. Just book it.",
    "has no other email or phone than": "Both leads have the same email and phone, so Knock would "
    "treat them as one person. Enter this renter's own email or phone, or book it anyway.",
    "shares no email or phone with": "This lead no longer has the other lead's email or phone. "
    "Just book it.",
    "which would be replaced by this one": "This renter has a newer request, and this one would "
    "replace it. If this one is right, check the box below.",
    "has a newer pending request": "This renter has a newer request, which is about to be sent. "
    "Dismiss that one first.",
    "Booking it again would email": "This renter already has this tour. Booking it again would "
    "email them again.",
    "someone with a different name": "Someone with a different name has the same email or phone. "
    "If it's someone else, choose “This is a different person”.",
    "the sender canceled it": "The renter canceled this tour. If they want it after all, check the "
    "box below.",
    "has no attribution for": "This community isn't set up for this lead source yet. Ask an admin "
    "to set up the attribution.",
    "there is no booking": "There is no such lead.",
    "a name may have letters": "A name may have letters, numbers, periods, hyphens and "
    "underscores. It starts with a letter or number.",
}


#: Why a message is not read again.
_REPLAY_REFUSALS: Final[Mapping[str, str]] = {
    "its tour has passed": "the tour time has passed",
    "it is not mapped yet": "it just arrived",
    "its payload was erased": "the message was deleted",
    "it was discarded": "it was dismissed",
}


def state_word(
    booking_or_state: Booking | str, *, is_replaced: bool = False, is_canceled: bool = False
) -> str:
    """Return a state's label.

    Set ``is_replaced`` if a newer tour replaced this tour in Knock, and ``is_canceled`` if the
    renter canceled it, but it may still be in Knock.
    """
    if is_replaced:
        return "Replaced in Knock"
    if is_canceled:
        return "Booked, but the renter canceled"
    if isinstance(booking_or_state, Booking):
        if booking_or_state.is_cancellation and booking_or_state.state is BookingState.HELD:
            return "Canceled by the renter"
        if booking_or_state.reason in _CANCELED or _is_needless(booking_or_state):
            return "Canceled by the renter"
        if is_done_cancellation(booking_or_state):
            return CANCELED_IN_KNOCK
        if booking_or_state.kind is Kind.PROSPECT and booking_or_state.state in _CARDS:
            return _CARDS[booking_or_state.state]
        known = _in_knock(booking_or_state)
        return known[0] if known else STATES[booking_or_state.state]
    return STATES.get(booking_or_state, booking_or_state)


def _is_needless(booking: Booking) -> bool:
    """Return True for a cancellation of a tour that is not in Knock, so nobody had to act."""
    is_over = booking.state is BookingState.DISCARDED and booking.reason == "cancellation_done"
    return booking.is_cancellation and is_over


def is_done_cancellation(booking: Booking) -> bool:
    """Return True if a user has canceled the tour in Knock as the renter asked."""
    is_done = booking.state is BookingState.DISCARDED and booking.reason == CANCELED_IN_KNOCK
    return booking.is_cancellation and is_done


def state_class(booking: Booking, *, is_replaced: bool = False, is_canceled: bool = False) -> str:
    """Return the CSS class for a booking's state. A tour no longer in Knock is not green."""
    if is_replaced:
        return "superseded"
    if is_canceled:
        return "held"
    known = _in_knock(booking)
    return known[1] if known else booking.state


def _in_knock(booking: Booking) -> tuple[str, str] | None:
    """Return the label and the CSS class for the status of a booked tour in Knock."""
    if booking.state is not BookingState.BOOKED or booking.kind is Kind.PROSPECT:
        return None
    if booking.is_gone and booking.knock_status is not KnockStatus.CANCELED:
        return "Marked as canceled", "discarded"
    status = booking.knock_status
    return _IN_KNOCK.get(status) if status is not None else None


def in_knock_sentence(booking: Booking) -> str:
    """Return a sentence about the status of a booked tour or guest card in Knock."""
    if booking.kind is Kind.PROSPECT:
        return "The guest card is in Knock."
    if booking.knock_status is KnockStatus.CANCELED:
        return "This tour is no longer in Knock."
    if booking.is_gone:
        return "This tour was marked as canceled."
    return {
        KnockStatus.WAITING: "The community hasn't accepted this tour in Knock yet.",
        KnockStatus.VISITED: "The renter came to this tour.",
        KnockStatus.NO_SHOW: "The renter didn't come to this tour.",
    }.get(booking.knock_status or KnockStatus.BOOKED, "This tour was booked in Knock.")


def phone_text(number: object) -> str:
    """Format a North American phone number, such as ``(303) 555-0142``."""
    match = re.fullmatch(r"(?:\+?1)?(\d{3})(\d{3})(\d{4})", str(number or ""))
    return "({}) {}-{}".format(*match.groups()) if match else str(number or "")


def dollars(cents: object) -> str:
    """Format cents as dollars, such as ``1,500`` or ``1,500.50``."""
    if not isinstance(cents, int):
        return str(cents)
    return f"{cents // 100:,}" if cents % 100 == 0 else f"{cents / 100:,.2f}"


def cents_from_dollars(text: str) -> int | str:
    """Return an amount such as ``$1,500.50`` in cents, or the text if it is not an amount."""
    match = re.fullmatch(
        r"\$?\s*(\d{1,9}|\d{1,3}(?:,\d{3})+)(?:\.(\d\d?))?", text.strip(), re.ASCII
    )
    if match is None:
        return text
    return int(match[1].replace(",", "")) * 100 + int((match[2] or "").ljust(2, "0"))


def shown_value(name: str, value: Any) -> str:
    """Format a field's value for users."""
    if isinstance(value, list):
        if name == _BEDROOMS and len(value) > 1:
            return _bedrooms_text([*map(str, value)])
        return ", ".join(shown_value(name, one) for one in value)
    if name.endswith(_IN_CENTS) and isinstance(value, int):
        return f"${dollars(value)}"
    if name == "lease_term_in_months":
        return f"{value} {'month' if value == 1 else 'months'}"
    if name == _BEDROOMS:
        return choice_word(name, str(value))
    if name.startswith("phone"):
        return phone_text(value)
    if name in ("appointment_date", "appointment_time"):
        return f"{value} UTC"
    if name.endswith("_date"):
        return date_text(str(value))
    return choice_word(name, str(value))


#: What a mapping does with a message, by its outcome.
OUTCOMES: Final[Mapping[str, str]] = {
    "book": "Booked",
    "prospect": "Guest card",
    "held": "Needs review",
    "ignored": "Ignored",
    "unreadable": "Unreadable",
    "cancellation": "Canceled",
}


def shown_changes(
    fields: Mapping[str, tuple[Any, Any]],
) -> list[tuple[str, tuple[Any, Any]]]:
    """Return the changed fields to show. The tour's date and time are shown as one value."""
    hidden = (".appointment_date", ".appointment_time", "_id")
    return [(name, values) for name, values in fields.items() if not name.endswith(hidden)]


def changed_value(name: str, value: Any) -> str:
    """Format the old or new value of a changed field for users, or return "none"."""
    if value is None:
        return "none"
    if name == "outcome":
        return OUTCOMES.get(value, value)
    if name == "tour":
        return _tour_text(str(value))
    return shown_value(name, value)


def _tour_text(text: str) -> str:
    """Format a tour such as ``Tue 2026-12-01 10:30 MST`` as ``Tue, Dec 1, 2026, 10:30 AM MST``."""
    try:
        at = dt.datetime.fromisoformat(text[4:20])
    except ValueError:
        return text
    return f"{at:%a, %b} {at.day}, {at.year}, {clock(at)}{text[20:]}"


def choice_word(name: str, choice: str) -> str:
    """Return the label for a value that a field may have, such as ``Studio`` for 0 bedrooms."""
    if name == _BEDROOMS:
        return {"0": "Studio", "1": "1 bedroom"}.get(choice, f"{choice} bedrooms")
    is_enum = name in ("tour_type", "first_contact_type", "pets")
    return CHOICES.get(choice, choice) if is_enum else choice


def _bedrooms_text(numbers: Sequence[str]) -> str:
    """Return several numbers of bedrooms as a phrase, such as ``1, 2 or 3 bedrooms``."""
    *first, last = ["studio" if one == "0" else one for one in numbers]
    what = {"studio": "", "1": " bedroom"}.get(last, " bedrooms")
    text = f"{', '.join(first)} or {last}{what}"
    return f"{text[:1].upper()}{text[1:]}"


def date_text(text: str) -> str:
    """Format a date, such as ``Feb 1, 2027``."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return text
    return f"{day:%b} {day.day}, {day.year}"


#: The end of a shortened JSON string, with the beginning of a character's escape.
_CUT: Final = re.compile(r"(\\ud[89ab][0-9a-f]{2})?(\\u?[0-9a-f]{0,3})?\.\.\.$")


def value_text(reason: Reason) -> str:
    """Return the value that a reason for review refers to, formatted for users, or "".

    Objects and nested lists have no format that users can read.
    """
    text = reason.value or ""
    try:
        value = json.loads(text)
    except ValueError:
        return _shortened_text(text)
    parts = value if isinstance(value, list) else [value]
    parts = [one for one in parts if one not in (None, "...")]  # nested values are left out
    if all(isinstance(one, str | int | float) for one in parts):
        return ", ".join(one if isinstance(one, str) else json.dumps(one) for one in parts)
    return ""


def _shortened_text(text: str) -> str:
    """Return the beginning of a string whose JSON was shortened, with "..." at its end."""
    if text.startswith(("{", "[")):
        return ""
    start = _CUT.sub("", text)
    try:
        return str(json.loads(f'{start}"')) + "..."
    except ValueError:
        return text.strip('"')


def fault_text(text: str) -> str:
    """Explain to users why a field cannot be used."""
    for beginning, words in _FAULTS.items():
        if text.startswith(beginning):
            return words
    confirm = " If that's right, check the box below." if "--any-hour" in text else ""
    if hours := hours_text(text):
        return hours + confirm
    if text.startswith("is more than"):
        return f"This is more than a year away.{confirm}"
    return plain(text)


def ignored_text(reasons: Iterable[Reason]) -> str:
    """Explain why a message led to no booking, for example because it is a test."""
    listed = [*reasons]
    if _is_test(listed):
        return "This is a test message."
    return f"This message is not a tour request{_condition(listed)}."


def _condition(reasons: Sequence[Reason]) -> str:
    """Return why a mapping ignores messages, such as `` (event type: price alert)``."""
    texts = [
        f"{_words(one.path.rpartition('.')[2])}: {shorten(_words(value), 40, placeholder=' …')}"
        for one in reasons
        if one.path and (value := value_text(one))
    ]
    return f" ({', '.join(texts[:2])})" if texts else ""


def _words(name: str) -> str:
    """Return a name or a code word as words, such as ``event type`` for ``eventType``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).strip().lower()


def _is_test(reasons: Iterable[Reason]) -> bool:
    return any(_TEST_FLAG.fullmatch((one.path or "").rpartition(".")[2]) for one in reasons)


def event_word(event: Event) -> str:
    """Return the label for the state of a message that contains no leads."""
    is_test = event.state == EventState.IGNORED and _is_test(event.reasons)
    return "Test message" if is_test else STATES[event.state]


def hours_text(text: str) -> str:
    """Return a sentence about the tour hours in an error message, or "" if it contains none."""
    hours = _HOURS.search(text)
    if hours is None:
        return ""
    first, last = (clock(dt.time(int(hours[n]), int(hours[n + 1]))) for n in (3, 5))
    return f"Tours can only be booked between {first} and {last}."


def plain(text: str) -> str:
    """Return an error's text as a sentence, omitting the commands that it suggests."""
    if known := refusal_text(text):
        return known
    if missing := _MISSING.fullmatch(text):
        path, name = missing.groups()
        there = f" It has “{renamed_path(path, name)}”." if name else ""
        return f"The message has no “{path}”.{there}"
    cleaned = _COMMAND.sub("", text).strip().rstrip(";,. ")
    cleaned = re.sub(r"\bbooking \d+ (is|was|has)\b", r"it \1", cleaned)
    cleaned = cleaned.replace("released", "booked").replace("release", "book")
    return f"{cleaned[:1].upper()}{cleaned[1:]}." if cleaned else "This is not possible."


def refusal_text(text: str) -> str:
    """Return a sentence for an error that prevents an action, or "" for other errors."""
    return next((words for part, words in _REFUSALS.items() if part in text), "")


def replay_refusal(text: str) -> str:
    """Return the reason a message is not read again, phrased as the end of a sentence."""
    if match := re.match(r"its booking \d+ is (\w+)", text):
        return f"its status is “{STATES.get(match[1], match[1])}”"
    return _REPLAY_REFUSALS.get(text, text)


def error_text(error: NotPossible) -> str:
    """Return a message that tells users why an action is not possible."""
    if error.faults:
        fields = [
            "phone or email" if text == NO_CONTACT else label_of(_SHOWN_AS.get(name, name)).lower()
            for name, text in error.faults.items()
        ]
        return f"Not booked yet. Please fix: {', '.join(dict.fromkeys(fields))}."
    return plain(str(error))


def answer_text(answer: str | None) -> str:
    """Return the error messages in Propexo's response, or "" if it has none."""
    try:
        data = json.loads(answer or "")
    except ValueError:
        return ""
    found = [*_messages(data)]
    return "; ".join(dict.fromkeys(found))[:300]


def _messages(data: Any) -> Iterator[str]:
    """Yield the texts under keys such as ``message`` and ``error``."""
    if isinstance(data, list):
        for one in data[:20]:
            yield from _messages(one)
    elif isinstance(data, dict):
        for key, one in data.items():
            is_text = isinstance(one, str) and key in ("message", "error", "detail", "reason")
            if is_text and one.strip():
                yield one.strip()
            elif isinstance(one, dict | list):
                yield from _messages(one)
