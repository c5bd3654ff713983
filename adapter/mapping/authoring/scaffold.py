"""Draft a mapping from one sample payload, guessing paths from key names."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter import signatures
from adapter.mapping.date_hints import format_from_text
from adapter.parsing.paths import MISSING, leaves, path_from_text, walk

GUESS: Final = "# guessed from the name: confirm"
UTC_HINT: Final = "that it is UTC (add offset: trust), not local time (add ignore_offset: true)"
TODO: Final = "TODO"

#: Patterns for each target's key, in lower case without separators, best match first.
KEYS: Final[Mapping[str, Sequence[str]]] = {
    "accept": (r"event|eventtype|triggerevent|triggertype|type|kind|topic",),
    "community": (
        r"(property|community|listing)(id|code|uuid|name)?",
        r"(location|form|calendar)(id|code|uuid)|eventtypeid",
    ),
    "dedupe": (r".*(id|uid|uuid|token)",),
    "first_name": (r".*(first|given)name",),
    "last_name": (r".*(last|family|sur)name",),
    "name": (r"(full|customer|contact|visitor|guest|renter|invitee)name", r"name"),
    "email_1": (r".*e?mail(address)?",),
    "phone_1": (r".*(phone|mobile|cell|telephone|sms)(number|no)?",),
    "starts_at": (
        r"(starts?|begin|tour|appointment|scheduled|booking|visit)(time|at|datetime|datetimeutc)",
        r"startdatetime|startson|slot|earliest|from|begin|starts?",
    ),
    "date": (r"(tour|appointment|visit|booking|start|showing)?(date|day)",),
    "time": (r"(tour|appointment|visit|booking|start|showing)?(time|hour|timefrom)",),
    "move_in_date": (r".*(movein|moving|moveindate|movedate)(date)?",),
    "number_of_occupants": (r".*occupants|(household|group|party)size",),
    "lease_term_in_months": (r".*lease(term|length)(months)?|leaselengthmonths",),
    "rent_minimum_in_cents": (r"(min|minimum)(rent|budget|price)|(rent|budget|price)min(imum)?",),
    "rent_maximum_in_cents": (r"(max|maximum)(rent|budget|price)|(rent|budget|price)max(imum)?",),
    "desired_num_bedrooms": (r".*(bedrooms|beds|numbedrooms|bedroomssought)",),
    "pets": (r"pets?",),
    "notes": (r"comments?|message|notes?|questions?|additionalnotes",),
}
CONTACT: Final = frozenset({"first_name", "last_name", "name", "email_1", "phone_1"})
#: Words in a path that indicate someone other than the renter.
STAFF: Final = frozenset(
    {"organizer", "owner", "host", "assignee", "agent", "user", "assigned", "recipient", "staff"}
    | {"location", "office", "broker", "company", "business", "member"}
)
#: Keys that usually contain the renter's data.
RENTER: Final = frozenset(
    {"contact", "customer", "visitor", "lead", "invitee", "applicant", "guest", "renter"}
    | {"prospect", "attendee", "attendees", "contacts", "consumer", "client", "answers"}
)
#: Last words of keys that hold an ID.
IDS: Final = frozenset({"id", "uid", "uuid", "token"})
#: Objects whose ID is different in each request.
REQUESTS: Final = frozenset(
    {"lead", "submission", "response", "appointment", "booking", "call", "event", "conversation"}
)
#: Objects whose ID is the same in many requests.
SHARED: Final = frozenset(
    {"location", "agent", "form", "page", "account", "property", "listing", "community", "company"}
    | {"branch", "group", "calendar", "type", "user", "owner", "organizer", "office"}
)
#: Inside these objects, a ``type`` key does not describe the webhook.
THINGS: Final = frozenset({"vehicle", "price", "pricing", "attribute", "attributes"})
#: Inside these objects, a key such as ``from`` is the start of a tour.
VISITS: Final = frozenset({"viewing", "tour", "visit", "showing", "appointment", "slot", "booking"})
STARTS: Final = frozenset({"earliest", "from", "start", "begin", "starts"})
#: Key and value paths in the lists of answers that form builders send.
ANSWER_KEYS: Final = ("field.ref", "field.id", "column_id", "ref", "key", "label", "name")
ANSWER_VALUES: Final = (
    *("text", "email", "phone_number", "number", "date", "boolean", "choice.label"),
    *("choices.labels", "string_value", "value", "answer"),
)
#: Fields to add if the sample has them, each with the option that it needs.
OPTIONS: Final = {
    **dict.fromkeys(("email_1", "phone_1"), ""),
    **dict.fromkeys(("number_of_occupants", "lease_term_in_months", "desired_num_bedrooms"), ""),
    **dict.fromkeys(("rent_minimum_in_cents", "rent_maximum_in_cents"), "as: dollars"),
    "pets": f"table: {{ {TODO}: cat }}",
}


def mapping_from_sample(name: str, sample: str, data: Any) -> str:
    """Return a draft of a mapping as YAML, based on the sample payload in ``data``."""
    answers = _find_answers(data)
    fields = {"answers": answers[3]} if answers else {}
    fields |= data if isinstance(data, Mapping) else {}
    guesses = guess_paths(fields)
    return "\n".join(
        [
            f"# {name}: drafted from {sample}. Confirm each guess, and fill in each {TODO}.",
            "",
            _signature_line(name),
            "",
            *_accept_lines(fields, guesses),
            *(_read_lines(answers) if answers else ()),
            _dedupe_line(guesses, fields),
            _line("community", guesses.get("community")),
            "",
            "appointment:",
            *(f"  {line}" for line in _appointment_lines(guesses, fields)),
            "",
            "tests:",
            "  - name: the sample",
            f"    payload: {sample}",
            f"    expect_some: {{ last_name: {TODO} }}   # adapter map --as-test prints the rest",
            "",
        ]
    )


def guess_paths(data: Any) -> dict[str, str]:
    """Return the most likely path for each field, preferring paths inside the renter's data."""
    guesses: dict[str, str] = {}
    fields = list(leaves(data))
    for target in KEYS:
        paths = [
            path
            for path, value in fields
            if path not in guesses.values()
            and _matching_pattern(target, path) is not None
            and _is_plausible(target, path, value)
        ]
        if paths:
            guesses[target] = min(paths, key=lambda path: _rank(target, path))
    return guesses


def _matching_pattern(target: str, path: str) -> int | None:
    key = _key(path)
    return next((n for n, form in enumerate(KEYS[target]) if re.fullmatch(form, key)), None)


def _rank(target: str, path: str) -> tuple[bool, int]:
    is_others = target in CONTACT and not RENTER & {*_words_around(path)}
    return is_others, _matching_pattern(target, path) or 0


def _is_plausible(target: str, path: str, value: Any) -> bool:
    if target in CONTACT and STAFF & {*_words(path)}:
        return False
    if target in _PLAUSIBLE:
        return _PLAUSIBLE[target](path, value)
    return isinstance(value, str | int | float)


def _is_event_type(path: str, value: Any) -> bool:
    return isinstance(value, str) and "@" not in path + value and not THINGS & {*_words(path)}


def _is_renters_name(path: str, value: Any) -> bool:
    """Return True if a value may be the renter's name, rather than that of a form or bot."""
    people = (RENTER | VISITS) & {*_words_around(path)}
    is_renters = _key(path) != "name" or "." not in path or people
    return isinstance(value, str) and "@" not in value and bool(is_renters)


def _is_start(path: str, value: Any) -> bool:
    """Return True if a value may be the start of a tour, judged by its path and length."""
    is_tours = _key(path) not in STARTS or VISITS & {*_words_around(path)}
    return bool(is_tours) and (isinstance(value, int) or len(str(value)) > 8)


_PLAUSIBLE: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "accept": _is_event_type,
    "dedupe": lambda path, value: isinstance(value, str | int) and _is_request_id(path),
    "name": _is_renters_name,
    "email_1": lambda _, value: isinstance(value, str) and "@" in value,
    "starts_at": _is_start,
    "pets": lambda *_: True,
    "desired_num_bedrooms": lambda *_: True,
    "notes": lambda _, value: isinstance(value, str) and bool(value),
}


def _is_request_id(path: str) -> bool:
    owner = _id_owner(path)
    return bool(owner) and owner[-1] in REQUESTS and not SHARED & {*owner}


def _may_be_request_id(path: str) -> bool:
    words = _words(path.split(".")[-1])
    return bool(words) and words[-1] in IDS and not SHARED & {*_id_owner(path)}


def _id_owner(path: str) -> list[str]:
    """Return the words that say what an ID identifies, such as ["lead"] for ``lead.id``."""
    names = [_words(name) for name in path.split(".") if not name.isdigit()]
    if not names or not names[-1] or names[-1][-1] not in IDS:
        return []
    return names[-1][:-1] or (names[-2] if len(names) > 1 else [])


def _key(path: str) -> str:
    return re.sub(r"[^a-z0-9]", "", path.split(".")[-1].strip('"').lower()[:80])


def _words(name: str) -> list[str]:
    """Split a key into lower-case words, such as ["recipient", "email"] for ``recipientEmail``."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name[:80])]


def _words_around(path: str) -> list[str]:
    return [word for name in path.split(".")[:-1] for word in _words(name)]


Answers = tuple[str, str, list[str], dict[str, Any]]


def _find_answers(data: Any) -> Answers | None:
    """Find a form builder's list of answers. Return its path, key path, value paths and answers."""
    for path, value in walk(data):
        answers = _answers_in(value) if isinstance(value, list) and len(value) > 1 else None
        if answers:
            return path, *answers
    return None


def _answers_in(items: list[Any]) -> tuple[str, list[str], dict[str, Any]] | None:
    for by in ANSWER_KEYS:
        keys = [path_from_text(by).read(item) for item in items]
        values = [path for path in ANSWER_VALUES if path != by and _is_in_any(items, path)]
        if values and all(isinstance(key, str) and key for key in keys):
            answers = (_first_value(item, values) for item in items)
            return by, values, dict(zip(keys, answers, strict=True))
    return None


def _is_in_any(items: list[Any], path: str) -> bool:
    return any(path_from_text(path).read(item) not in (MISSING, None, "") for item in items)


def _first_value(item: Any, paths: list[str]) -> Any:
    values = (path_from_text(path).read(item) for path in paths)
    return next((value for value in values if value not in (MISSING, None)), None)


def _signature_line(name: str) -> str:
    """Return the ``signature`` line of a draft, with a preset if one matches the source's name."""
    secrets = f"secrets: [{re.sub('[^A-Z0-9]', '_', name.upper())}_SECRET]"
    presets = {preset.replace("-", ""): preset for preset in signatures.PRESETS}
    parts = name.replace("_", "-").split("-")
    for count in range(len(parts), 0, -1):
        preset = presets.get("".join(parts[:count]))
        if preset:
            return f"signature: {{ preset: {preset}, {secrets} }}   {GUESS}"
    return f"signature: {{ scheme: {TODO}, {secrets} }}   # hmac, hash, token or basic"


def _accept_lines(data: Any, guesses: Mapping[str, str]) -> list[str]:
    path = guesses.get("accept")
    if path is None:
        return []
    value = json.dumps(path_from_text(path).read(data), ensure_ascii=False)
    return ["accept:", f"  {_quoted(path)}: {value}   {GUESS}", ""]


def _read_lines(answers: Answers) -> list[str]:
    path, by, values, _ = answers
    line = f"  answers: {{ list: {_quoted(path)}, by: {by}, value: [{', '.join(values)}] }}"
    return ["read:", f"{line}   {GUESS}", ""]


def _dedupe_line(guesses: Mapping[str, str], data: Any) -> str:
    """Return the ``dedupe`` line of a draft, with a comment that lists possible keys."""
    line = _line("dedupe", guesses.get("dedupe"))
    if "dedupe" in guesses:
        return line
    ids = [path for path, _ in leaves(data) if _may_be_request_id(path)]
    return f"{line}   # an ID that is unique to each lead: {', '.join(ids[:4])}?" if ids else line


def _appointment_lines(guesses: Mapping[str, str], data: Any) -> Iterator[str]:
    names = ("first_name", "last_name") if "last_name" in guesses else ("name",)
    yield from (_line(name, guesses.get(name)) for name in names)
    for name in KEYS:
        path = guesses.get(name, "")
        if name == "starts_at":
            yield _start_line(guesses, data)
        elif name == "move_in_date" and path:
            yield _line(name, path, _format_option(_format_at(data, path) or TODO))
        elif name == "notes" and path:
            yield f"notes: [ {json.dumps('{' + path + '}')} ]   {GUESS}"
        elif name in OPTIONS and path:
            yield _line(name, path, OPTIONS[name])


def _start_line(guesses: Mapping[str, str], data: Any) -> str:
    if "starts_at" in guesses:
        path = guesses["starts_at"]
        line = _line("starts_at", path, _format_option(_format_at(data, path)))
        is_utc = re.search(r"\d(?:Z|[+-]00:?00)$", str(path_from_text(path).read(data)))
        return f"{line} {UTC_HINT}" if is_utc else line
    if {"date", "time"} <= guesses.keys():
        date, time = guesses["date"], guesses["time"]
        formats = " ".join(_format_at(data, path) or TODO for path in (date, time))
        paths = f"date: {_quoted(date)}, time: {_quoted(time)}"
        return f"starts_at: {{ {paths}, format: {_quoted_format(formats)} }}   {GUESS}"
    return f"starts_at: {TODO}   # or remove this line and add 'without_time: prospect' at the top"


def _line(name: str, path: str | None, option: str = "") -> str:
    if path is None:
        return f"{name}: {TODO}"
    value = f"{{ from: {_quoted(path)}, {option} }}" if option else _quoted(path)
    return f"{name}: {value}   {GUESS}"


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[A-Za-z_][\w .@-]*", path) else json.dumps(path)


def _format_at(data: Any, path: str) -> str:
    """Guess the date format of the value at a path. Return "" if none matches."""
    return format_from_text(str(path_from_text(path).read(data)))


def _format_option(form: str) -> str:
    return "" if form in ("", "YYYY-MM-DD") else f"format: {_quoted_format(form)}"


def _quoted_format(form: str) -> str:
    return json.dumps(form) if "," in form else form
