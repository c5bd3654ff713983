"""Guesses by the names of a sample's keys: which path fills which field of an appointment."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter.parsing.paths import MISSING, path_from_text

DEEPEST: Final = 12
MOST_PLACES: Final = 400

#: What a key is called, without case, spaces and dashes → the field that it is likely to fill.
KEYS: Final[Mapping[str, str]] = {
    "accept": r"event|eventtype|triggerevent|triggertype|type|kind|topic",
    "community": r"(property|community|listing|location|form|calendar)(id|code|uuid|name)?"
    r"|eventtypeid",
    "dedupe": r".*(id|uid|uuid|token)",
    "first_name": r".*(first|given)name",
    "last_name": r".*(last|family|sur)name",
    "name": r"(full|customer|contact|visitor|guest|renter|invitee)?name",
    "email_1": r".*e?mail(address)?",
    "phone_1": r".*(phone|mobile|cell|telephone|sms)(number|no)?",
    "starts_at": r"(start|starts|begin|tour|appointment|scheduled|booking|visit)"
    r"(time|at|datetime|datetimeutc)|startdatetime|startson|slot|earliest|from|start|begin|starts",
    "date": r"(tour|appointment|visit|booking|start|showing)?(date|day)",
    "time": r"(tour|appointment|visit|booking|start|showing)?(time|hour|timefrom)",
    "tour_type": r"(tour|appointment|visit)(type|mode|kind)",
    "move_in_date": r".*(movein|moving|moveindate|movedate)(date)?",
    "number_of_occupants": r".*occupants|(household|group|party)size",
    "lease_term_in_months": r".*lease(term|length)(months)?|leaselengthmonths",
    "rent_minimum_in_cents": r"(min|minimum)(rent|budget|price)|(rent|budget|price)min(imum)?",
    "rent_maximum_in_cents": r"(max|maximum)(rent|budget|price)|(rent|budget|price)max(imum)?",
    "desired_num_bedrooms": r".*(bedrooms|beds|numbedrooms|bedroomssought)",
    "pets": r"pets?",
    "notes": r"comments?|message|notes?|questions?|additionalnotes",
}
#: Words in a path below or around which stand people who are not the renter.
STAFF: Final = frozenset(
    {"organizer", "owner", "host", "assignee", "agent", "user", "assigned", "recipient", "staff"}
    | {"location", "office", "broker", "company", "business", "member"}
)
#: And words around the renter's own data.
RENTER: Final = frozenset(
    {"contact", "customer", "visitor", "lead", "invitee", "applicant", "guest", "renter"}
    | {"prospect", "attendee", "attendees", "consumer", "client"}
)
CONTACT: Final = frozenset({"first_name", "last_name", "name", "email_1", "phone_1"})
#: What makes an id one of a request, and not of a place or a person who is served by many.
REQUESTS: Final = frozenset(
    {"lead", "submission", "response", "appointment", "booking", "call", "event", "conversation"}
)
IDS: Final = frozenset({"id", "uid", "uuid", "token"})
#: Ids of these are the same for many leads.
SHARED: Final = frozenset(
    {"location", "agent", "form", "page", "account", "property", "listing", "community", "company"}
    | {"branch", "group", "calendar", "type", "user", "owner", "organizer", "office"}
)
#: A type of these says nothing about the webhook.
THINGS: Final = frozenset({"vehicle", "price", "pricing", "attribute", "attributes"})
#: Something that a renter comes for, and the names of its first moment.
VISITS: Final = frozenset({"viewing", "tour", "visit", "showing", "appointment", "slot", "booking"})
BEGINNINGS: Final = frozenset({"earliest", "from", "start", "begin", "starts"})
#: Where the key of an answer stands, and where its value, in the lists of form builders.
ANSWER_KEYS: Final = ("field.ref", "field.id", "column_id", "ref", "key", "label", "name")
ANSWER_VALUES: Final = (
    *("text", "email", "phone_number", "number", "date", "boolean", "choice.label"),
    *("choices.labels", "string_value", "value", "answer"),
)


def places_of(data: Any) -> Iterator[tuple[str, Any]]:
    """Every path of a sample that holds a value, the shallow ones first. Loops, bounded."""
    level: list[tuple[tuple[str, ...], Any]] = [((), data)]
    found = 0
    for _ in range(DEEPEST):
        deeper: list[tuple[tuple[str, ...], Any]] = []
        for way, value in level:
            if isinstance(value, Mapping):
                deeper += [((*way, str(key)), one) for key, one in value.items()]
            elif isinstance(value, list) and value and isinstance(value[0], Mapping | list):
                deeper += [((*way, "0"), value[0])]
            elif way and (found := found + 1) <= MOST_PLACES:
                yield ".".join(map(_quoted, way)), value
        level = deeper


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name or name in ("", "*") else name


def answers_of(data: Any) -> tuple[str, str, list[str], dict[str, Any]] | None:
    """The list of answers of a form builder: its path, its key, its values, what they say."""
    level: list[tuple[tuple[str, ...], Any]] = [((), data)]
    for _ in range(DEEPEST):
        deeper: list[tuple[tuple[str, ...], Any]] = []
        for way, value in level:
            if isinstance(value, Mapping):
                deeper += [((*way, str(key)), one) for key, one in value.items()]
            elif isinstance(value, list) and len(value) > 1 and way:
                found = _answers_in(value)
                if found:
                    return (".".join(map(_quoted, way)), *found)
        level = deeper
    return None


def _answers_in(items: list[Any]) -> tuple[str, list[str], dict[str, Any]] | None:
    for by in ANSWER_KEYS:
        keys = [path_from_text(by).read(item) for item in items]
        values = [text for text in ANSWER_VALUES if _any_has(items, text) and text != by]
        if values and all(isinstance(key, str) and key for key in keys):
            said = (_first(item, values) for item in items)
            return by, values, dict(zip(keys, said, strict=True))
    return None


def _any_has(items: list[Any], text: str) -> bool:
    return any(path_from_text(text).read(item) not in (MISSING, None, "") for item in items)


def _first(item: Any, values: list[str]) -> Any:
    found = (path_from_text(text).read(item) for text in values)
    return next((value for value in found if value not in (MISSING, None)), None)


def guesses_from(data: Any) -> dict[str, str]:
    """The likeliest path for each target; the renter's own before others, then the shallowest."""
    guesses: dict[str, str] = {}
    places = list(places_of(data))
    for target, pattern in KEYS.items():
        fitting = [
            path
            for path, value in places
            if path not in guesses.values()
            and re.fullmatch(pattern, _key(path))
            and _is_plausible(target, path, value)
        ]
        if fitting:
            guesses[target] = min(fitting, key=lambda path: _rank(target, path))
    return guesses


def _key(path: str) -> str:
    return re.sub(r"[^a-z0-9]", "", path.split(".")[-1].strip('"').lower()[:80])


def words_of(name: str) -> list[str]:
    """The words of a name: ``recipientEmail`` and ``recipient_email`` are recipient, email."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name[:80])]


def _around(path: str) -> list[str]:
    """The words of the names around the last one, and those of the nearest name."""
    return [word for name in path.split(".")[:-1] for word in words_of(name)]


def _rank(target: str, path: str) -> int:
    if target in CONTACT:
        return 0 if RENTER & {*_around(path)} else 1
    return 0


def _is_plausible(target: str, path: str, value: Any) -> bool:
    if target in CONTACT and STAFF & {*words_of(path)}:
        return False
    if target == "dedupe":
        return isinstance(value, str | int) and is_id(path) and is_of_a_request(path)
    if target == "accept":
        return isinstance(value, str) and "@" not in path + value and not THINGS & {*words_of(path)}
    if target == "starts_at":
        return _is_start(path) and (isinstance(value, int) or len(str(value)) > 8)
    if target == "email_1":
        return isinstance(value, str) and "@" in value
    if target == "name":
        return isinstance(value, str) and "@" not in value
    if target == "notes":
        return isinstance(value, str) and bool(value)
    return isinstance(value, str | int | float) or target in ("pets", "desired_num_bedrooms")


def is_id(path: str) -> bool:
    """Whether it is called an id, and not one that many leads share."""
    names = [words_of(name) for name in path.split(".") if not name.isdigit()]
    if not names or not names[-1] or names[-1][-1] not in IDS:
        return False
    whose = names[-1][:-1] or (names[-2] if len(names) > 1 else [])
    return not SHARED & {*whose}


def is_of_a_request(path: str) -> bool:
    """Whether an id is that of a lead, a submission, a booking …: another request has another."""
    names = [name for name in path.split(".") if not name.isdigit()]
    words = words_of(names[-1])
    if words and words[-1] in IDS and len(words) > 1:
        return words[-2] in REQUESTS
    around = words_of(names[-2]) if len(names) > 1 else []
    return bool(around) and around[-1] in REQUESTS


def _is_start(path: str) -> bool:
    """``earliest`` alone says nothing; in ``viewingTimes`` it is the tour's start."""
    return _key(path) not in BEGINNINGS or bool(VISITS & {*_around(path)})


def value_at(data: Any, path: str) -> Any:
    """The sample's own value at a guess."""
    return path_from_text(path).read(data)
