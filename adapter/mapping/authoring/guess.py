"""Guess which paths in a sender's samples contain which fields, based on keys and values."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import (
    FIRST_NAME,
    FULL_NAME,
    LAST_NAME,
    ROLE_ALONE,
    is_secret,
    names_in,
    numbered_name,
    without_request,
)
from adapter.mapping.authoring.readings import quoted, read
from adapter.mapping.date_hints import format_from_text
from adapter.parsing.date_parts import date_part_kinds
from adapter.parsing.local_time import read_absolute_instant
from adapter.parsing.paths import MISSING

PLACES: Final = "location|form|page|branch|vendor"
#: Things that a community may have several of, or none.
CALENDARS: Final = "calendar|assistant|eventtype|schedule|agent"
TOURS: Final = "tour|appt|appointment|visit|booking|showing|viewing"
WISHED: Final = "(preferred|requested|desired)?"
#: Patterns for each target's key, in lowercase without separators, best match first.
KEYS: Final[Mapping[str, Sequence[str]]] = {
    "accept": (
        r"(webhook)?event(type|name)?|webhooktype|trigger(event|type)?",
        r"type|kind|topic|action",
    ),
    "test": (r"(is)?test(lead|mode|flag)?|issandbox",),
    "finished": (r"(is)?(finali[sz]ed|finished|completed?)",),
    "community": (
        r"(prop|property|community|apartment)(marketing)?(id|code|uuid|name|title)?",
        r"(listing|building|complex)(id|code|uuid|name|title)?",
        r"which(property|community|apartments?|building|location).*",
        f"(source|portal)?({PLACES})(id|code|uuid|name|uri)|location",
        f"({CALENDARS})(id|code|uuid|uri)|(calendar|schedule)name|assistantname|eventtype",
        r"to|recipient|(to|recipient)(phone)?number|(phone(number)?)?(being)?called(number)?|envelopeto",
        r"(tracking|dialed|business)(phone)?number",
        r"(property|listing|building|unit)(street)?address",
    ),
    "dedupe": (r".*(id|uid|uuid|token|uri)",),
    "sent_at": (
        r"(.*last)?(updated|modified)(at|on|time|date|datetime|timestamp)?",
        r"(created|submitted|requested|sent|received|occurred)(at|on|time|date|datetime|timestamp)?",
        r"(create|submit|request|lead|event)(date|time|timestamp|datetime)",
        r"timestamp|datecreated|starttimestamp",
    ),
    "first_name": (FIRST_NAME,),
    "last_name": (LAST_NAME,),
    "name": (
        r"(full|your|customer|contact|visitor|guest|renter|invitee|lead|prospect|display|profile)name",
        r"name",
        ROLE_ALONE.pattern,
    ),
    "email_1": (r".*e?mails?(address)?|correo(electronico)?|courriel",),
    "phone_1": (
        r".*(phones?|mobile|cell|telephone|sms|telefono)(number|no)?",
        r"(call)?from(number)?|waid|callerid|.*remindernumber|(customer|caller|contact|guest)number",
    ),
    "starts_at": (
        f"(starts?|begin|scheduled|{TOURS})(time|at|datetime|datetimeutc|slot|timestamp|start|when|for)",
        r"startdatetime|startson|slot|earliest|from|begin|starts?|datetime|show|appointment",
        r"new(start)?time|(?!.*(creat|submit|sent|receiv|updat)).*dateandtime|timeslot",
        f"when.*({TOURS}|see|come|stopby)",
    ),
    "date": (f"{WISHED}({TOURS}|start)?(date|day)", r"(?!.*(move|birth|dob)).*date"),
    "time": (f"{WISHED}({TOURS}|start)?(time|hour|timefrom)", r".*time"),
    "tour_type": (f"({TOURS})(type|kind|mode|method|format)",),
    "move_in_date": (r".*(movein|moving|moveindate|movedate|move)(date)?",),
    "number_of_occupants": (r".*occupants|(household|group|party)size",),
    "lease_term_in_months": (r".*lease(term|terms|length)(months)?|leaselengthmonths",),
    "rent_minimum_in_cents": (
        r"(min|minimum)(rent|budget|price)(cents)?|.*(rent|budget|price)(min(imum)?|low)",
    ),
    "rent_maximum_in_cents": (
        r"(max|maximum)(rent|budget|price)(cents)?|.*(rent|budget|price)(max(imum)?|high)",
        r"(monthly)?budget",
    ),
    "desired_num_bedrooms": (
        r".*(bedrooms|beds|numbedrooms|bedroomssought)|(desired)?(number|num)(of)?bed(room)?s",
    ),
    "pets": (r"(doyouhave(any)?)?(pets?|animals?)(type)?|petdetails|pettypes?",),
}
#: Keys of text for the notes.
NOTES: Final = (
    r"(customer|additional|appointment|tour|renter)?(comments?|messages?|notes?|questions?|remarks?)"
    r"|bio|requirements|reason|(call)?summary|description|body|querytext|inputtranscript"
    r"|(body|message|comment|note)(text|content)|answers?|subject|utmsource|unit|unitnumber|listingunit|floorplan(name)?|work|leadtype"
)
#: Patterns for the values of some fields, for answers with any name.
VALUES: Final = {
    "email_1": re.compile(r"[^@\s]+@[^@\s]+\.[a-z]+"),
    "phone_1": re.compile(r"\+?1?[-. (]*[2-9]\d{2}[-. )]*\d{3}[-. ]*\d{4}"),
}
#: Answers that must not influence a booking, or that were not written by a person.
UNREAD: Final = re.compile(
    r"credit|income|smok|crimin|evict|race|religion|disab|children|famil|age$|gender|national"
    r"|ssn|birth|slug|tracker|submitsource|builddate|observer|eventid|timetosubmit|token|^path$"
    r"|fileserver|validatednew|uploadserver|^(to|from|cc|bcc)$"
)
CONTACT: Final = frozenset({"first_name", "last_name", "name", "email_1", "phone_1"})
#: Words in a path that indicate someone other than the renter.
STAFF: Final = frozenset(
    {"organizer", "owner", "host", "assignee", "agent", "user", "assigned", "recipient", "staff"}
    | {"location", "office", "broker", "company", "business", "member", "called", "vendor"}
    | {"provider", "to", "cc", "bcc", "teammate", "admin"}
)
#: Words in a path that indicate someone connected to the renter, the community or a portal.
OTHERS: Final = frozenset(
    {"co", "coapplicant", "cosigner", "guarantor", "roommate", "roommates", "spouse", "partner"}
    | {"occupant", "occupants", "emergency", "reference", "references", "referrer", "referral"}
    | {"landlord", "realtor", "author", "creator", "support"}
    | {"manager", "consultant", "specialist", "representative", "rep", "leasing", "sales"}
)
#: A user of the sender's program who made or changed the request.
MADE_BY: Final = re.compile(r"(created|updated|modified|assigned)_?by", re.IGNORECASE)
#: Words for a place, whose email and phone are in its object.
PLACE: Final = frozenset({"property", "community", "listing", "building", "apartment"})
#: Words in a path that indicate the business's own number in a chat.
BUSINESS: Final = frozenset({"context", "display"})
#: Keys that usually contain the renter's data.
RENTER: Final = frozenset(
    {"contact", "customer", "visitor", "lead", "invitee", "applicant", "guest", "renter"}
    | {"prospect", "attendee", "attendees", "contacts", "consumer", "client", "answers", "given"}
)
#: Words for a person whose name may be the renter's.
PEOPLE: Final = frozenset({"person", "sender", "profile", "profiles", "caller"})
#: Last words of keys whose values are IDs.
IDS: Final = frozenset({"id", "uid", "uuid", "token", "uri", "sid"})
#: Objects whose ID is different in each request.
REQUESTS: Final = frozenset(
    {"lead", "submission", "response", "appointment", "booking", "call", "event", "conversation"}
    | {"message", "applicant", "inquiry", "request", "entry", "leadgen", "prospect", "responder"}
    | {"tour", "showing", "viewing", "visit", "reservation"}
)
#: Objects whose ID is the same in many requests.
SHARED: Final = frozenset(
    {"location", "agent", "form", "page", "account", "property", "listing", "community", "company"}
    | {"branch", "group", "calendar", "type", "user", "owner", "organizer", "office", "source"}
    | {"webhook", "subscription", "team", "tenant", "organization", "workspace", "integration"}
    | {"app", "portal", "ad", "adset", "campaign", "vehicle", "assistant", "bot", "variant"}
    | {"site", "list", "flow", "template", "workflow", "project", "channel"}
)
#: Keys next to the time at which a call started.
CALLS: Final = frozenset({"duration", "durationms", "direction", "recording", "callduration"})
#: Inside these objects, a ``type`` key does not describe the webhook.
THINGS: Final = frozenset({"vehicle", "price", "pricing", "attribute", "attributes"})
#: Inside these objects, a key such as ``from`` is the start of a tour.
VISITS: Final = frozenset({"viewing", "tour", "visit", "showing", "appointment", "slot", "booking"})
STARTS: Final = frozenset({"earliest", "from", "start", "begin", "starts"})
#: Words in a path for the time before the tour was moved, or a time that is not the tour's.
OTHER_TIMES: Final = frozenset(
    {"previous", "prev", "prior", "old", "original", "former", "alternate", "alternative"}
    | {"second", "third", "backup", "available", "availability", "hours", "reminder"}
)
#: Keys and words for a period in which the renter is available, as opposed to a tour time.
WINDOW_KEYS: Final = frozenset({"earliest", "latest"})
WINDOWS: Final = frozenset({"window", "windows", "availabilities"})
#: Objects whose start is not that of a tour.
NOT_VISITS: Final = frozenset(
    {"call", "session", "conversation", "chat", "recording", "meter", "lease"}
)
#: The fields with the start of a tour.
WHEN: Final = frozenset({"starts_at", "date", "time"})
#: Keys that only wrap the value of the key above them.
WRAPPERS: Final = frozenset(
    {"value", "data", "#text", "0", "val", "Exact", "@Exact", "@exact", "@attributes"}
)
#: Fields that may have several paths. The first nonempty path is used.
WITH_FALLBACKS: Final = CONTACT | {"community", "move_in_date", "starts_at"}
MOST_FALLBACKS: Final = 3
#: Maximum number of lines of notes.
MOST_NOTES: Final = 10

#: Values that indicate a canceled tour, and keys that do so by themselves.
CANCELED: Final = re.compile(
    r"(?<!un)(?<!un[-_ ])cancel|delete|decline|\bvoid(?:ed)?\b|no[-_ ]?show", re.IGNORECASE
)
CANCELED_KEY: Final = re.compile(
    r"(is|was|tour|appointment)?cancell?ed(at|on|date|time)?|isdeleted"
)
CANCELED_ANSWER: Final = re.compile(r"cancel(l?ed|l?ation)?|noshow")
#: Maximum number of words in a value that indicates a canceled tour.
MOST_WORDS: Final = 3

#: Parts of an event's name, such as ``tour.booked``.
EVENT: Final = re.compile(
    r"\w[.:/]\w|(form|survey|lead)[-_ ]?(response|submission)"
    r"|created|booked|scheduled|submitted|received|updated|completed|ended|added|requested"
    r"|cancel|delete|decline|report|analyzed|^new|new$",
    re.IGNORECASE,
)
#: Keys next to the type of a form question.
ANSWER: Final = frozenset({"label", "value", "question", "answer", "answers"})
#: A word for a kind of object, such as ``FORM_RESPONSE``, rather than the name of an object.
KIND: Final = re.compile(r"[A-Z]?[a-z]+([A-Z][a-z]+)*|[A-Z]+([_.:-][A-Z]+)*|[a-z]+([_.:][a-z]+)+")
#: Meeting locations that are not communities.
MEETING: Final = re.compile(
    r"person|phone|video|zoom|meet|online|virtual|integrations|[:/]", re.IGNORECASE
)
#: Parts of the names of events that book no tour.
NOT_A_LEAD: Final = re.compile(
    r"start(ed)?(?![a-z])|ended|rejected|reminder|no[-_ ]?show|opened|viewed|abandoned|partial"
    r"|ringing|in[-_ ]progress|paid|ping",
    re.IGNORECASE,
)

Guesses = Mapping[str, Sequence[str]]


def guess_paths(observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return the most likely path for each field, followed by fallbacks for empty values."""
    guesses: dict[str, tuple[str, ...]] = {}
    for target in KEYS:
        taken = {path for paths in guesses.values() for path in paths}
        paths = [path for path in _candidates(target, observed) if path not in taken]
        if paths:
            ranked = sorted(paths, key=lambda path: _rank(target, path, observed))
            guesses[target] = _with_fallbacks(target, ranked, observed)
    guesses = {**_only_contacts(guesses, observed), **guesses}
    return _consistent(_of_one_renter(guesses, observed))


def _only_contacts(guesses: Guesses, observed: Observed) -> dict[str, tuple[str, ...]]:
    """Return paths to an email address and a phone number that no other guess uses.

    If several unused paths point to the same kind of contact, none of them is returned.
    """
    taken = {path for paths in guesses.values() for path in paths}
    free = [path for path in contact_paths(observed) if path not in taken]
    found: dict[str, tuple[str, ...]] = {}
    for target, form in VALUES.items():
        paths = [one for one in free if all(map(form.fullmatch, map(str, observed.filled(one))))]
        if target not in guesses and len(paths) == 1:
            found[target] = (paths[0],)
    return found


def cancellations(observed: Observed, accept: str | None) -> dict[str, list[Any]]:
    """Return the values that distinguish cancellations from bookings, keyed by path.

    A value may be ``{"empty": False}``, which stands for any value. ``accept`` is the path of the
    event's name, which is preferred.
    """
    found: dict[str, list[Any]] = {}
    left = set(range(len(observed.rows)))
    paths = sorted(observed.values, key=lambda path: path != accept)
    # A status is better than a list of events, in which a later event may book again.
    statuses = [path for path in paths if not is_history(path, observed)]
    if any(_canceled(path, observed) for path in statuses):
        paths = statuses
    while best := max(paths, key=lambda path: len(_canceled(path, observed) & left), default=None):
        rows = _canceled(best, observed) & left
        if not rows:
            return found
        values = [_condition(best, observed.values[best][row]) for row in sorted(rows)]
        found[best] = [one for n, one in enumerate(values) if one not in values[:n]]
        left -= rows
    return found


def event_paths(observed: Observed) -> list[str]:
    """Return the paths outside of lists whose values all look like event names."""
    return [
        path
        for path in observed.values
        if _is_candidate("accept", path, observed)
        and path.split(".")[0] not in (*observed.readers, *(observed.each or ())[:1])
        and all(EVENT.search(str(value)) for value in observed.filled(path))
    ]


def canceled_rows(observed: Observed) -> set[int]:
    """Return the indexes of the sample leads whose tours were canceled."""
    return {row for path in observed.values for row in _canceled(path, observed)}


def _canceled(path: str, observed: Observed) -> set[int]:
    found = {n for n, one in enumerate(observed.values[path]) if says_canceled(path, one)}
    return found - _continued(path, observed)


def is_history(path: str, observed: Observed) -> bool:
    """Return True if a path points to a dated cancellation in a list of events."""
    is_answer = CANCELED_ANSWER.fullmatch(key_of(path)) and path.startswith("answers")
    return bool(is_answer) and any(map(_has_date, observed.filled(path)))


def continued_cancellations(observed: Observed) -> list[str]:
    """Return the paths of cancellations that are followed by other events in the same list."""
    return [path for path in observed.values if _continued(path, observed)]


def _continued(path: str, observed: Observed) -> set[int]:
    """Return the indexes of the sample leads whose event list continues after a cancellation."""
    if not is_history(path, observed):
        return set()
    name, _, key = path.partition(".")
    histories = ((n, [*row.get(name, {})]) for n, row in enumerate(observed.rows))
    return {n for n, keys in histories if key.strip('"') in keys[:-1]}


def says_canceled(path: str, value: Any) -> bool:
    """Return True if a value, alone or with its key, says that a tour was canceled."""
    key, text = key_of(path), str(value).strip()
    if value is MISSING or value is None or text.lower() in ("", "false", "0", "no"):
        return False
    if CANCELED_KEY.fullmatch(key):
        return isinstance(value, str | int)
    if path.startswith("answers.") and CANCELED_ANSWER.fullmatch(key):
        return True
    is_word = isinstance(value, str) and len(text) <= 40 and len(text.split()) <= MOST_WORDS
    is_text = re.fullmatch(NOTES, key) or UNREAD.search(key) or re.search(r"[/@]", text)
    return is_word and not is_text and CANCELED.search(text) is not None


def _condition(path: str, value: Any) -> Any:
    """Return the ``cancellation`` condition for a value that indicates a canceled tour."""
    is_flag = isinstance(value, bool) or str(value).lower() in ("true", "1", "yes")
    is_named = CANCELED_KEY.fullmatch(key_of(path)) or CANCELED_ANSWER.fullmatch(key_of(path))
    is_word = CANCELED.search(str(value))
    return {"empty": False} if is_named and not is_flag and not is_word else value


def note_paths(observed: Observed, guesses: Guesses) -> list[str]:
    """Return the paths to add to the notes: free text such as comments, and other answers.

    For an email, the last path is the whole text, and its labeled lines are not repeated.
    """
    taken = {path for paths in guesses.values() for path in paths if not is_window(path, observed)}
    mail = (observed.mail.name, *observed.mail.paths) if observed.mail else ()
    whole = {*map(_without_items, mail)}
    paths = (path for path in observed.values if _without_items(path) not in whole)
    free = [path for path in paths if path not in taken]
    texts = [path for path in free if _is_note(path, observed)]
    answers = [path for path in free if path not in texts and _is_unused_answer(path, observed)]
    unlike = {str(observed.values[path]): path for path in reversed([*texts, *answers])}
    paths = (path for path in [*texts, *answers] if path in unlike.values())
    found = [_of_each(path) for path in paths if not _is_question(path, observed)]
    return [*[*dict.fromkeys(found)][:MOST_NOTES], *mail[:1]]


def _without_items(path: str) -> str:
    return re.sub(r"\.(\d+|\*)(?=\.|$)", "", path)


def _is_note(path: str, observed: Observed) -> bool:
    keys = (key_of(path), owned_key(path))
    is_text = any(re.fullmatch(NOTES, key) or key in WINDOW_KEYS for key in keys)
    is_named = is_text and not STAFF & {*_words(path)}
    is_free = is_named and not _is_in_read_list(path, observed)
    return bool(is_free) and any(map(_is_text, observed.filled(path)))


def contact_paths(observed: Observed) -> list[str]:
    """Return the paths whose values look like email addresses or phone numbers."""
    columns = ((path, [*map(str, observed.filled(path))]) for path in observed.values)
    return [
        path
        for path, texts in columns
        if texts
        and not _is_of_another("email_1", path)
        and any(all(map(form.fullmatch, texts)) for form in VALUES.values())
    ]


def _is_in_read_list(path: str, observed: Observed) -> bool:
    """Return True if a path points into a list that a line under ``read:`` already reads."""
    parts = path.split(".")
    lists = (quoted(".".join(parts[:length])) for length in range(1, len(parts)))
    return any(f"list: {one}," in line for one in lists for line in observed.readers.values())


def _is_unused_answer(path: str, observed: Observed) -> bool:
    line = observed.readers.get(path.split(".")[0], "{ text:")
    values = observed.filled(path)
    is_read = not line.startswith("{ text:") and not UNREAD.search(key_of(path))
    return is_read and bool(values) and all(map(_is_answer, values))


def _is_answer(value: Any) -> bool:
    """Return True if a value is text, a number or a list of these, but not an ID or a URL."""
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float) for item in items) and not any(
        re.fullmatch(r"[0-9a-f-]{24,}|https?://.*", str(item)) for item in items
    )


def _of_each(path: str) -> str:
    """Replace the last index in a path with ``*``, so that the path matches all list items."""
    return re.sub(r"\.\d+(?=\.[^.]+$)", ".*", path)


def _is_question(path: str, observed: Observed) -> bool:
    """Return True if a path points to a question with an answer in the same object."""
    parent = path.rpartition(".")[0]
    beside = {*_beside(path, observed), *_beside(f"{parent}.0.answer", observed)}
    return key_of(path).startswith("question") and "answer" in beside


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


def _candidates(target: str, observed: Observed) -> Iterator[str]:
    return (path for path in observed.values if _is_candidate(target, path, observed))


def _is_candidate(target: str, path: str, observed: Observed) -> bool:
    is_named = _matching_pattern(target, path) is not None
    if not (is_named or _has_value_of(target, path, observed)):
        return False
    if _is_of_another(target, path) and not _has_renters_type(path, observed):
        return False
    filled = observed.filled(path)
    return bool(filled) and _fits(target, path, filled, observed)


def _fits(target: str, path: str, filled: Sequence[Any], observed: Observed) -> bool:
    """Return True if all values at a path are plausible for a field."""
    if target == "dedupe":
        return _identifies(path, filled, observed)
    if target == "accept" and not _are_events(path, filled, observed):
        return False
    if target == "starts_at" and CALLS & {*_beside(path, observed)}:
        return False
    if target == "finished" and path.split(".")[0] in observed.readers:
        return False
    if target == "name" and any(key.endswith("email") for key in _beside(path, observed)):
        return all(isinstance(value, str) for value in filled)
    is_plausible = _PLAUSIBLE.get(target, _is_simple)
    return all(is_plausible(path, value) for value in filled)


def _is_simple(_: str, value: Any) -> bool:
    return isinstance(value, str | int | float)


def _has_value_of(target: str, path: str, observed: Observed) -> bool:
    """Return True if all answers at a path match a field's format, such as an email address."""
    if path.split(".")[0] not in observed.readers:
        return False
    pattern = VALUES.get(target)
    filled = observed.filled(path)
    return pattern is not None and all(pattern.fullmatch(str(value)) for value in filled)


def _identifies(path: str, filled: Sequence[Any], observed: Observed) -> bool:
    """Return True if the values at a path are unique IDs that identify requests."""
    if not all(isinstance(value, str | int) for value in filled) or is_secret(path):
        return False
    is_unique = _is_unique(path, observed)
    if not is_unique or len(filled) != len(observed.rows) or STAFF & {*_words(path)}:
        return False
    if _is_of_batch(path, observed):
        return False
    return _is_request_id(path) or (len(observed.rows) > 1 and _may_be_request_id(path))


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
    kinds = [path for path in observed.values if _is_kind(path, observed)]
    events = {
        (one, *(str(observed.values[path][n]) for path in kinds))
        for one, n in zip(ids, rows, strict=True)
    }
    is_requests = _is_request_id(path) or not _id_owner(path)
    return is_requests and len(people) == len({*ids}) and len(events) == len(rows)


def _is_kind(path: str, observed: Observed) -> bool:
    return any(_is_candidate(target, path, observed) for target in ("accept", "finished"))


def _emails(observed: Observed, row: int) -> frozenset[str]:
    texts = (str(column[row]) for column in observed.values.values())
    return frozenset(text for text in texts if VALUES["email_1"].fullmatch(text))


def _is_of_batch(path: str, observed: Observed) -> bool:
    """Return True if a path is the ID of an ``entry`` item, which identifies a page, not a lead."""
    parent, _, key = path.rpartition(".")
    is_entry = key == "id" and parent.endswith("entry")
    return is_entry and any(isinstance(read(row, parent), list) for row in observed.rows)


def _beside(path: str, observed: Observed) -> list[str]:
    """Return the keys of the object that contains the value at a path."""
    parent = path.rpartition(".")[0]
    return [key_of(one) for one in observed.values if one.rpartition(".")[0] == parent]


def _is_of_another(target: str, path: str) -> bool:
    """Return True if a path points to someone else's data or to a time other than the tour's."""
    words = {*_words(path)}
    if target in WHEN:
        return bool(OTHER_TIMES & words or NOT_VISITS & {*_words_around(path)[-1:]})
    is_places = PLACE & words and not (RENTER - {"contact", "contacts"}) & words
    others = OTHERS | STAFF if "name" in target else OTHERS | STAFF | BUSINESS
    return target in CONTACT and bool(others & words or is_places or MADE_BY.search(path))


def owner_of(path: str) -> str:
    """Return the part of a path that identifies a person other than the renter, or ""."""
    names = names_in(path)
    for at in reversed(range(len(names))):
        index = [one for one in names[at + 1 : at + 2] if one.isdigit()]
        words = _words(names[at])
        known = [n for n, word in enumerate(words) if word in OTHERS | STAFF | RENTER]
        if known and (words[known[-1]] not in RENTER or index not in ([], ["0"])):
            return ".".join([*names[:at], "".join(words[: known[-1] + 1]), *index])
        if known:
            return ""
    return ""


def _with_fallbacks(target: str, ranked: Sequence[str], observed: Observed) -> tuple[str, ...]:
    """Return the best path for a field, followed by fallback paths for leads without a value."""
    chosen = [ranked[0]]
    filled = observed.is_filled(ranked[0])
    for path in ranked[1:] if target in WITH_FALLBACKS else ():
        more = observed.is_filled(path)
        if any(new and not old for new, old in zip(more, filled, strict=True)):
            chosen.append(path)
            filled = [new or old for new, old in zip(more, filled, strict=True)]
    return tuple(chosen[:MOST_FALLBACKS])


def _has_renters_type(path: str, observed: Observed) -> bool:
    """Return True if the ``type`` in the same object marks a value as the renter's."""
    types = observed.filled(f"{path.rpartition('.')[0]}.type")
    return bool(types) and all(str(one).lower() in RENTER for one in types)


def is_window(path: str, observed: Observed) -> bool:
    """Return True if a path points to the start of a period when the renter is available."""
    keys = {key_of(path), *_beside(path, observed)}
    return bool(WINDOW_KEYS & keys or WINDOWS & {*_words(path)})


def _of_one_renter(
    guesses: dict[str, tuple[str, ...]], observed: Observed
) -> dict[str, tuple[str, ...]]:
    """Drop a first or last name that may not be the renter's if the renter's full name is known."""
    if "name" not in guesses or not _may_be_renters(guesses["name"][0], observed):
        return guesses
    return {
        target: paths
        for target, paths in guesses.items()
        if target not in ("first_name", "last_name") or _may_be_renters(paths[0], observed)
    }


def _may_be_renters(path: str, observed: Observed) -> bool:
    is_inside = RENTER & {*_words_around(path)} or path.split(".")[0] in observed.readers
    return "." not in path or bool(is_inside)


def _consistent(guesses: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Drop guesses that contradict others, such as a full name alongside a last name."""
    if "last_name" in guesses:
        guesses.pop("name", None)
    elif "name" in guesses:
        guesses.pop("first_name", None)
    elif "first_name" in guesses:
        guesses["name"] = guesses.pop("first_name")
    is_bare = guesses.get("starts_at", ("",))[0] in STARTS
    days = guesses.get("date", ())[:1] if "time" in guesses else ()
    if is_bare and any(VISITS & {*_words(path)} for path in days):
        guesses.pop("starts_at")
    return guesses


def _matching_pattern(target: str, path: str) -> int | None:
    keys = key_of(path), owned_key(path)
    forms = enumerate(KEYS[target])
    return next((n for n, form in forms if any(re.fullmatch(form, key) for key in keys)), None)


def _rank(target: str, path: str, observed: Observed) -> tuple[bool, int, int]:
    is_renters = RENTER & {*_words_around(path)} or path in observed.readers
    is_others = target in CONTACT and not is_renters
    if target == "dedupe":
        return not _is_request_id(path), 0, 0
    filled = len(observed.filled(path)) if target in ("starts_at", "date", "time") else 0
    position = _matching_pattern(target, path)
    return is_others, len(KEYS[target]) if position is None else position, -filled


def _is_event_type(path: str, value: Any) -> bool:
    others = THINGS & {*_words(path)} or RENTER & {*_words_around(path)}
    is_name = isinstance(value, str) and not re.search("@|//", path + value)
    return is_name and not others


def _are_events(path: str, filled: Sequence[Any], observed: Observed) -> bool:
    """Return True if values distinguish between events.

    They do if they differ or look like event names. Otherwise, leads with another value would be
    ignored because of a single sample.
    """
    beside = {*_beside(path, observed)}
    is_question = key_of(path) in ("type", "kind") and "title" in beside
    if ANSWER & beside or is_question:
        return False
    texts = {str(value) for value in filled}
    return len(texts) > 1 or all(EVENT.search(text) for text in texts)


def _is_community(path: str, value: Any) -> bool:
    """Return True if a value may be a community's name or ID and not an event type."""
    key, text = key_of(path), str(value)
    if not isinstance(value, str | int) or isinstance(value, bool):
        return False
    if key == "eventtype":
        return not KIND.fullmatch(text) and not (EVENT.search(text) and "/" not in text)
    return not (key == "location" and MEETING.search(text))


def _is_test_flag(_: str, value: Any) -> bool:
    return isinstance(value, bool) or str(value).lower() in {"true", "false", "0", "1"}


def _is_renters_name(path: str, value: Any) -> bool:
    """Return True if a value may be the renter's name and not the name of a form or a bot."""
    key, around = key_of(path), {*_words_around(path)}
    if ROLE_ALONE.fullmatch(key):
        return isinstance(value, str) and FULL_NAME.fullmatch(value.strip()) is not None
    is_plain = key in ("name", "displayname", "profilename") and "[name]" not in path
    is_renters = not is_plain or "." not in path or (RENTER | VISITS | PEOPLE) & around
    return _is_name(path, value) and bool(is_renters)


def _is_name(_: str, value: Any) -> bool:
    is_text = isinstance(value, str) and "@" not in value
    return is_text and any(map(str.isalpha, value))


def _is_start(path: str, value: Any) -> bool:
    """Return True if a value may be a tour's start time, judging by its path and format."""
    is_alone = "." not in path and key_of(path) != "from"
    is_tours = key_of(path) not in STARTS or is_alone or VISITS & {*_words_around(path)}
    if isinstance(value, Mapping):
        return bool(is_tours) and {"date", "time"} <= date_part_kinds(value)
    return bool(is_tours) and _has_date(value) and not _is_date_alone(value)


def _has_date(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value > 10**8
    text = str(value)
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
    is_likely = isinstance(value, Mapping) or _matching_pattern("date", path) == 0
    return is_likely and _is_date(path, value)


def _is_time(path: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return date_part_kinds(value) == {"time"}
    text = str(value)
    is_short = len(text) < 20 and not re.search(r"\d{4}-", text)
    return is_short and bool(re.search(r"\d", text)) and _matching_pattern("time", path) == 0


def _is_instant(_: str, value: Any) -> bool:
    try:
        return read_absolute_instant(value) is not None
    except Unreadable:
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_phone(path: str, value: Any) -> bool:
    digits = sum(map(str.isdigit, str(value)))
    is_named = _matching_pattern("phone_1", path) == 0
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
    "tour_type": lambda _, value: isinstance(value, str),
    "pets": lambda *_: True,
    "desired_num_bedrooms": lambda *_: True,
    "community": _is_community,
    "move_in_date": _is_date,
}


def _is_request_id(path: str) -> bool:
    owner = _id_owner(path)
    return bool(owner) and owner[-1] in REQUESTS and not THINGS & {*owner}


def _may_be_request_id(path: str) -> bool:
    words = _words(path.split(".")[-1])
    owner = {*_id_owner(path)[-1:]}
    is_persons = bool(RENTER & owner) and not REQUESTS & owner
    return bool(words) and words[-1] in IDS and not SHARED & owner and not is_persons


def _id_owner(path: str) -> list[str]:
    """Return the words that describe an ID's owner, such as ["lead"] for ``lead.id``."""
    names = [_words(name) for name in names_in(path) if not name.isdigit() and name != "data"]
    if not names or not names[-1] or names[-1][-1] not in IDS:
        return []
    if names[-1][:-1] or len(names) == 1:
        return names[-1][:-1]
    return ["message" if word == "messages" else word for word in names[-2]]


def key_of(path: str) -> str:
    """Return the last meaningful key in a path, in lowercase and without separators."""
    names = [name for name in names_in(path) if name not in WRAPPERS] or [path]
    plain = unicodedata.normalize("NFKD", names[-1][:80]).lower()
    key = without_request(re.sub(r"[^a-z0-9]", "", re.sub(r"^q\d+_", "", plain)))
    return numbered_name(path) or key


def owned_key(path: str) -> str:
    """Return a path's last two keys, joined as in "locationid" for ``location.id``."""
    names = [name for name in names_in(path) if name not in WRAPPERS]
    return re.sub(r"[^a-z0-9]", "", "".join(names[-2:]).lower()[:80])


def _words(name: str) -> list[str]:
    """Split a key into lowercase words, such as ["recipient", "email"] for ``recipientEmail``."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name[:200])]


def _words_around(path: str) -> list[str]:
    return [word for name in names_in(path)[:-1] for word in _words(name)]
