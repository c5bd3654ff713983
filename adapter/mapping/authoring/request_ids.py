"""Find the IDs in samples that identify a request."""

from collections.abc import Sequence
from typing import Any, Final

from adapter.mapping.authoring.cancellations import canceled_rows
from adapter.mapping.authoring.field_keys import VALUES
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import is_secret, names_in, words_in
from adapter.mapping.authoring.plausible import THINGS, is_kind
from adapter.mapping.authoring.readings import read
from adapter.mapping.authoring.whose import RENTER, STAFF

#: Last words of keys whose values are IDs.
IDS: Final = frozenset({"id", "uid", "uuid", "token", "uri", "sid", "vid"})
#: Last words of keys whose values are the numbers of requests, and the words before them. Other
#: numbers, such as those of units and phones, are shared.
NUMBERS: Final = frozenset({"no", "nr", "num", "number", "ref", "reference"})
NUMBERED: Final = frozenset(
    {"lead", "submission", "appointment", "booking", "inquiry", "request", "entry", "tour"}
    | {"showing", "viewing", "reservation", "confirmation", "solicitud", "cita", "reserva"}
)
#: Minimum length of such a number. A shorter one may count a renter's requests.
SHORTEST_NUMBER: Final = 4
#: Objects whose ID is different in each request.
REQUESTS: Final = frozenset(
    {"lead", "submission", "response", "appointment", "booking", "call", "event", "conversation"}
    | {"message", "applicant", "inquiry", "request", "entry", "leadgen", "prospect", "responder"}
    | {"tour", "showing", "viewing", "visit", "reservation", "confirmation"}
    | {"solicitud", "cita", "visita", "reserva", "prospecto", "demande"}
)
#: Objects whose ID is the same in many requests.
SHARED: Final = frozenset(
    {"location", "agent", "form", "page", "account", "property", "listing", "community", "company"}
    | {"branch", "group", "calendar", "type", "user", "owner", "organizer", "office", "source"}
    | {"webhook", "subscription", "team", "tenant", "organization", "workspace", "integration"}
    | {"app", "portal", "ad", "adset", "campaign", "vehicle", "assistant", "bot", "variant"}
    | {"site", "list", "flow", "template", "workflow", "project", "channel"}
)


def request_ids(observed: Observed) -> list[str]:
    """Return the paths of IDs that may identify a request, for the user to choose from."""
    return [
        path
        for path in observed.values
        if _may_be_request_id(path)
        and not is_secret(path)
        and len(observed.filled(path)) == len(observed.rows)
        and _is_unique(path, observed)
    ]


def identifies(path: str, filled: Sequence[Any], observed: Observed) -> bool:
    """Return True if the values at a path are unique IDs that identify requests."""
    if not all(isinstance(value, str | int) for value in filled) or is_secret(path):
        return False
    is_unique = _is_unique(path, observed)
    if not is_unique or len(filled) != len(observed.rows) or STAFF & {*words_in(path)}:
        return False
    if _is_of_batch(path, observed) or _is_short_number(path, filled):
        return False
    return is_request_id(path) or (len(observed.rows) > 1 and _may_be_request_id(path))


def _is_number(path: str) -> bool:
    """Return True if a path's key is that of a request's number, such as ``request_no``."""
    words = words_in(path.rpartition(".")[2])
    return len(words) > 1 and words[-1] in NUMBERS and words[-2] in NUMBERED


def _is_short_number(path: str, filled: Sequence[Any]) -> bool:
    return _is_number(path) and any(len(str(value)) < SHORTEST_NUMBER for value in filled)


def _is_unique(path: str, observed: Observed) -> bool:
    """Return True if no two bookings have the same value at a path.

    Several events for one booking may have the same value, such as a booking and its cancellation.
    """
    canceled = canceled_rows(observed)
    rows = [n for n in range(len(observed.rows)) if n not in canceled]
    ids = [str(observed.values[path][n]) for n in rows]
    if len({*ids}) == len(rows):
        return True
    people = {(one, _emails(observed, n)) for one, n in zip(ids, rows, strict=True)}
    kinds = [path for path in observed.values if is_kind(path, observed)]
    events = {
        (one, *(str(observed.values[path][n]) for path in kinds))
        for one, n in zip(ids, rows, strict=True)
    }
    is_requests = is_request_id(path) or not _id_owner(path)
    return is_requests and len(people) == len({*ids}) and len(events) == len(rows)


def _emails(observed: Observed, row: int) -> frozenset[str]:
    texts = (str(column[row]) for column in observed.values.values())
    return frozenset(text for text in texts if VALUES["email_1"].fullmatch(text))


def _is_of_batch(path: str, observed: Observed) -> bool:
    """Return True for the ID of an item in Meta's ``entry`` list: a Facebook page, not a lead."""
    parent, _, key = path.rpartition(".")
    is_entry = key == "id" and parent.endswith("entry")
    return is_entry and any(isinstance(read(row, parent), list) for row in observed.rows)


def is_request_id(path: str) -> bool:
    """Return True if a path's keys say that its value identifies a request."""
    owner = _id_owner(path)
    return bool(owner) and owner[-1] in REQUESTS and not THINGS & {*owner}


def is_event_id(path: str) -> bool:
    """Return True if a path leads to the ID of an event, such as a webhook or a group tour."""
    return _id_owner(path)[-1:] == ["event"]


def _may_be_request_id(path: str) -> bool:
    words = words_in(path.split(".")[-1])
    owner = {*_id_owner(path)[-1:]}
    words = words[::-1] if words[:1] == ["id"] else words
    is_persons = bool(RENTER & owner) and not REQUESTS & owner
    return bool(words) and words[-1] in IDS and not SHARED & owner and not is_persons


def _id_owner(path: str) -> list[str]:
    """Return the words that describe an ID's owner, such as ["lead"] for ``lead.id``."""
    names = [words_in(name) for name in names_in(path) if not name.isdigit() and name != "data"]
    if names and names[-1][:1] == ["id"] and len(names[-1]) > 1:  # as in Spanish and French
        return names[-1][1:]
    if not names or not names[-1] or not (names[-1][-1] in IDS or _is_number(path)):
        return []
    if names[-1][:-1] or len(names) == 1:
        return names[-1][:-1]
    return ["message" if word == "messages" else word for word in names[-2]]
