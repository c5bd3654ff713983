"""Decide whether the values at a path are plausible for a field."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.authoring.field_keys import matching_pattern
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import (
    FIRST_NAME,
    FULL_NAME,
    LAST_NAME,
    NAME_WORD,
    ROLE_ALONE,
    key_of,
    words_around,
    words_in,
)
from adapter.mapping.authoring.whose import PEOPLE, RENTER
from adapter.mapping.date_hints import format_from_text
from adapter.parsing.date_parts import date_part_kinds
from adapter.parsing.local_time import read_absolute_instant

#: Keys next to the start time of a call.
CALLS: Final = frozenset({"duration", "durationms", "direction", "recording", "callduration"})
#: Inside these objects, a ``type`` key does not describe the webhook.
THINGS: Final = frozenset({"vehicle", "price", "pricing", "attribute", "attributes"})
#: Inside these objects, a key such as ``from`` is the start of a tour.
VISITS: Final = frozenset({"viewing", "tour", "visit", "showing", "appointment", "slot", "booking"})
STARTS: Final = frozenset({"earliest", "from", "start", "begin", "starts"})
#: Parts of an event's name, such as ``tour.booked``.
EVENT: Final = re.compile(
    r"\w[.:/]\w|(form|survey|lead)[-_ ]?(response|submission)"
    r"|created|booked|scheduled|submitted|received|updated|completed|ended|added|requested"
    r"|cancel|delete|decline|report|analyzed|^new|new$",
    re.IGNORECASE,
)
#: Words for a tour in the name of an event.
HELD_EVENT: Final = "(meeting|tour|appointment|visit|showing|viewing)"
#: Events around a tour, such as its end. If the samples have no other events, they are ignored.
NO_BOOKING: Final = re.compile(
    rf"no[-_ ]?show|(?<![a-z])ping|recording|payment|refund|reminder|{HELD_EVENT}[-_. ]?"
    r"(started|ended|completed|finished|attended|over)"
    rf"|(ended|completed|finished)[-_. ]?{HELD_EVENT}",
    re.IGNORECASE,
)
#: A kind of tour, such as ``Self-guided tour``.
KIND_OF_TOUR: Final = re.compile(
    r"(self|virtual|video|guided|in[-_ ]?person|live|agent)[-_ ]?(guided|led|video)?"
    r"[-_ ](tour|visit|showing|viewing|appointment)",
    re.IGNORECASE,
)
#: Keys next to the type of a form question.
ANSWER: Final = frozenset({"label", "value", "question", "answer", "answers"})
#: A word for a kind of object, such as ``FORM_RESPONSE``, rather than the name of an object.
KIND: Final = re.compile(r"[A-Z]?[a-z]+([A-Z][a-z]+)*|[A-Z]+([_.:-][A-Z]+)*|[a-z]+([_.:][a-z]+)+")
#: A time of day, or a range of times.
_CLOCK: Final = r"\d{1,2}(:\d\d){0,2} ?([ap]\.? ?m\.?)?"
CLOCK: Final = re.compile(rf"(?=\d+:){_CLOCK}( ?(-|\u2013|to) ?{_CLOCK})?", re.IGNORECASE)
#: Meeting locations that are not communities.
MEETING: Final = re.compile(
    r"person|phone|video|zoom|meet|online|virtual|integrations|[:/]", re.IGNORECASE
)


#: Keys beside which a plain name is a person's.
OF_A_PERSON: Final = re.compile(rf".*email|{FIRST_NAME}|{LAST_NAME}")
#: Keys of a name that may be a person's or a thing's.
PLAIN_NAME: Final = re.compile(rf"name|displayname|profilename|{NAME_WORD}")


def is_plausible(target: str, path: str, filled: Sequence[Any], observed: Observed) -> bool:
    """Return True if all values at a path are plausible for a field."""
    if target == "accept" and not _are_events(path, filled, observed):
        return False
    if target == "starts_at" and CALLS & {*observed.beside(path)}:
        return False
    if target == "finished" and path.split(".")[0] in observed.readers:
        return False
    if target == "name" and any(map(OF_A_PERSON.fullmatch, observed.beside(path))):
        return all(isinstance(value, str) for value in filled)
    fits = _PLAUSIBLE.get(target, _is_simple)
    return all(fits(path, value) for value in filled)


def _is_simple(_: str, value: Any) -> bool:
    return isinstance(value, str | int | float)


def is_kind(path: str, observed: Observed) -> bool:
    """Return True if a path leads to an event's name, or to a flag for a finished event."""
    targets = (one for one in ("accept", "finished") if matching_pattern(one, path) is not None)
    filled = observed.filled(path)
    return bool(filled) and any(is_plausible(one, path, filled, observed) for one in targets)


def _is_event_type(path: str, value: Any) -> bool:
    others = THINGS & {*words_in(path)} or RENTER & {*words_around(path)}
    # A ``tag.list`` is a kind of object.
    is_name = isinstance(value, str) and not re.search(r"@|//|[._]list$", path + value)
    return is_name and not others


def _are_events(path: str, filled: Sequence[Any], observed: Observed) -> bool:
    """Return True if the values at a path can tell different kinds of events apart.

    They do if they differ or look like event names. Otherwise, leads with another value would be
    ignored because of a single sample.
    """
    beside = {*observed.beside(path)}
    is_question = key_of(path) in ("type", "kind") and "title" in beside
    if ANSWER & beside or is_question:
        return False
    texts = {str(value) for value in filled}
    is_named = matching_pattern("accept", path) == 0
    return len(texts) > 1 or all(
        EVENT.search(text) or (is_named and NO_BOOKING.search(text)) for text in texts
    )


def _is_community(path: str, value: Any) -> bool:
    """Return True if a value may be a community's name or ID and not an event type."""
    key, text = key_of(path), str(value)
    if not isinstance(value, str | int) or isinstance(value, bool) or CLOCK.fullmatch(text):
        return False
    # A property with the number 0 is one that the sender does not know.
    if text == "0" or KIND_OF_TOUR.fullmatch(text):
        return False
    if key == "eventtype":
        return not KIND.fullmatch(text) and not (EVENT.search(text) and "/" not in text)
    return not (key == "location" and MEETING.search(text))


def _is_tour_type(path: str, value: Any) -> bool:
    """Return True if a value may be a kind of tour. Under ``type``, it must name one."""
    is_named = matching_pattern("tour_type", path) == 0
    return isinstance(value, str) and (is_named or KIND_OF_TOUR.fullmatch(value) is not None)


def _is_test_flag(_: str, value: Any) -> bool:
    return isinstance(value, bool) or str(value).lower() in {"true", "false", "0", "1"}


def _is_renters_name(path: str, value: Any) -> bool:
    """Return True if a value may be the renter's name and not the name of a form or a bot."""
    key, around = key_of(path), {*words_around(path)}
    if ROLE_ALONE.fullmatch(key):
        return isinstance(value, str) and FULL_NAME.fullmatch(value.strip()) is not None
    is_plain = PLAIN_NAME.fullmatch(key) is not None and "[name]" not in path
    is_renters = not is_plain or "." not in path or (RENTER | VISITS | PEOPLE) & around
    return _is_name(path, value) and bool(is_renters)


def _is_name(_: str, value: Any) -> bool:
    is_text = isinstance(value, str) and "@" not in value
    return is_text and any(map(str.isalpha, value))


def _is_start(path: str, value: Any) -> bool:
    """Return True if a value may be a tour's start time, judging by its path and format."""
    is_alone = "." not in path and key_of(path) != "from"
    is_tours = key_of(path) not in STARTS or is_alone or VISITS & {*words_around(path)}
    if isinstance(value, Mapping):
        return bool(is_tours) and {"date", "time"} <= date_part_kinds(value)
    return bool(is_tours) and has_date(value) and not _is_date_alone(value)


def has_date(value: Any) -> bool:
    """Return True if a value may contain a date with a time."""
    if isinstance(value, int):
        return not isinstance(value, bool) and value > 10**8
    text = str(value)
    if CLOCK.fullmatch(text):
        return False
    return len(text) > 8 and sum(character.isdigit() for character in text) >= 5


def _is_date_alone(value: Any) -> bool:
    return (
        format_from_text(str(value)).rstrip("DMYd,/-. ") == ""
        and format_from_text(str(value)) != ""
    )


def _is_date(_: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return "date" in date_part_kinds(value)
    return isinstance(value, str | int) and sum(map(str.isdigit, str(value))) >= 4


def _is_tour_date(path: str, value: Any) -> bool:
    """Return True if a value may be a tour's date, based on its key or its date parts."""
    is_likely = isinstance(value, Mapping) or matching_pattern("date", path) == 0
    return is_likely and _is_date(path, value)


def _is_time(path: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return date_part_kinds(value) == {"time"}
    text = str(value)
    if key_of(path) in STARTS and not (CLOCK.fullmatch(text) and VISITS & {*words_around(path)}):
        return False
    is_short = len(text) < 20 and not re.search(r"\d{4}-", text)
    return is_short and bool(re.search(r"\d", text)) and matching_pattern("time", path) == 0


def _is_instant(_: str, value: Any) -> bool:
    try:
        return read_absolute_instant(value) is not None
    except Unreadable:
        return False


def _is_phone(path: str, value: Any) -> bool:
    digits = sum(map(str.isdigit, str(value)))
    is_named = matching_pattern("phone_1", path) == 0
    is_other = re.search(r"[@:]", str(value)) is not None
    return isinstance(value, str | int) and not is_other and (digits >= 7 or is_named)


_PLAUSIBLE: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "accept": _is_event_type,
    "test": _is_test_flag,
    "finished": lambda _, value: isinstance(value, bool),
    "sent_at": _is_instant,
    "name": _is_renters_name,
    "first_name": _is_name,
    "last_name": _is_name,
    "email_1": lambda _, value: isinstance(value, str) and "@" in value,
    "phone_1": _is_phone,
    "starts_at": _is_start,
    "date": _is_tour_date,
    "time": _is_time,
    "tour_type": _is_tour_type,
    "pets": lambda *_: True,
    "desired_num_bedrooms": lambda *_: True,
    "community": _is_community,
    "move_in_date": _is_date,
}
