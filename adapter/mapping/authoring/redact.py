"""Replace the people in a sample with made-up people, and remove secrets."""

import bisect
import functools
import html
import json
import re
import urllib.parse
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapter.mapping.authoring.made_up import (
    OTHER_PEOPLE,
    PARTICLE,
    TITLE,
    MadeUpPeople,
    words_of_name,
)
from adapter.mapping.authoring.observe import observe
from adapter.mapping.authoring.payload_keys import (
    FIRST_NAME,
    LAST_NAME,
    NAME_WORD,
    REMOVED,
    ROLES,
    SPANISH_NAME,
    WHOLE_NAME,
    is_form_key,
    is_secret,
    key_of,
    names_in,
)
from adapter.mapping.authoring.private_keys import (
    ADDRESS,
    ADDRESS_LINE,
    NAME,
    WHO,
    WHOSE_NAME,
    WORDS,
    is_harmless,
    is_private,
    may_be_personal,
)
from adapter.mapping.authoring.readings import ANSWER_WORDS, QUESTION_WORDS
from adapter.mapping.authoring.whose import owner_of

#: Renters' data, by appointment field.
People = Mapping[str, Collection[str]]

MAX_DEPTH: Final = 40
#: A typical key for each appointment field.
_PEOPLES_KEYS: Final = {
    "name": "fullname",
    "first_name": "firstname",
    "last_name": "lastname",
    "email_1": "email",
    "phone_1": "phone",
}
#: Keys of IDs that look like email addresses.
MESSAGE_IDS: Final = re.compile(r"messageid|inreplyto|references")
#: A line with a message ID in the headers of an email.
ID_LINE: Final = re.compile(
    r"^(?:message-id|in-reply-to|references):.*", re.IGNORECASE | re.MULTILINE
)
#: Keys of a form's fields, which are a person's if they have no index.
_FIELDS: Final = re.compile(r"\.(form_?)?fields(?=\.[^\d.])")
#: Keys of a question and of its answer, in a form's data.
QUESTIONS: Final = ("label", "question", "title", "field", "name", "key", *QUESTION_WORDS)
ANSWERS: Final = ("value", "values", "answer", "val", *ANSWER_WORDS)
#: Names in email addresses that belong to a company instead of a person.
ROLE: Final = re.compile(
    r"(no|donot)[-_.]?reply.*|leads?|notifica(tion|cione)s?|alerts?|mailer.*|bounces?.*|leasing"
    r"|support|info|office|admin|team|sales|rentals?|tours?|hello|hola|contacto?|avisos?",
    re.IGNORECASE,
)
PARTS: Final = {
    "first": re.compile(FIRST_NAME),
    "last": re.compile(LAST_NAME),
    "middle": re.compile(r"middle(name|initial)?"),
    "name": re.compile(
        rf"(full|your|from|display|profile|{ROLES})?name|{WHOSE_NAME}|{NAME_WORD}|{WHOLE_NAME}"
    ),
    "phone": re.compile(
        r".*(phone|mobile|cell|telephone|sms|telefono|celular|movil|whatsapp|fax)(number|no)?|tel"
        r"|from(number)?|waid"
    ),
}
#: Words around a plain ``name`` key that show that it is not a person's name.
NOT_PEOPLE: Final = re.compile(
    r"property|community|listing|building|complex|apartment|form|page|bot|intent|function|source"
    r"|calendar|field|question|event|campaign|company|unit|service|provider|utm|(?<!pro)file|city|state|tool|header"
    r"|method|parameter|reply"
)
#: The name of a form or of a flow, rather than a person's.
FORMS: Final = re.compile(r".*\b(form|flow|page|survey|questionnaire)s?", re.IGNORECASE)
#: Keys that can only be a person's name, regardless of the words around them.
PERSONS: Final = re.compile(r"(first|last|full|your|given|family|sur|renter|guest)name")
#: Keys of a first name, or of a full name.
SPANISH: Final = re.compile(rf"{SPANISH_NAME.pattern}|first")
#: A line such as ``Name: Dana Okafor``, and an address such as ``Dana Okafor <dana@example.com>``.
LABELED: Final = re.compile(
    r"^[>* \t-]*+([^\W\d_](?:[^\W\d_]|[ /]){1,30}):[* \t]+(\S.*)$", re.MULTILINE
)
SENDER: Final = re.compile(r"\"?([^\"<>@:;,]+(?:,[^\"<>@:;,]+)?)\"?\s*<([^<>\s@]+)@[^<>\s]+>")
#: Text after a renter's name in a sender's name, as in ``Dana Okafor via Portal``.
VIA: Final = re.compile(r"\s+(?:via|through|from)\s.*|\s*[(|].*", re.DOTALL)
#: Words that show that a string is a sentence rather than a name.
NOT_IN_NAMES: Final = re.compile(
    r"\b(a|about|at|by|for|from|ha(s|ve)|in|interested|is|new|on|our|request(ed)?|the|their|to"
    r"|via|wants|with|your)\b"
)
#: Names that are also ordinary words. They are replaced only if nothing surrounds them.
ORDINARY: Final = re.compile(
    rf"{NOT_IN_NAMES.pattern}|and|of|my|me|it|we|you|day|home|house|lead|may|april|june|august"
    r"|tour|unit|will|(mon|tues|wednes|thurs|fri|satur|sun)day"
)
#: Names that are also words of a message. They are replaced only as they are written.
COMMON: Final = re.compile(
    r"al|an|ann|art|ash|bell|best|bill|black|brown|chance|court|dawn|day|dean|do|eve|faith|field"
    r"|frank|grace|grant|green|hall|hill|hope|in|iris|joy|king|lake|lane|lee|long|love|major|mark"
    r"|miles|neil|new|page|park|pat|penny|pet|price|rich|rob|rose|ruby|sue|summer|street|sunny|sky"
    r"|van|violet|west|white|wood|young"
)
#: Maximum number of words in a name.
MOST_WORDS: Final = 6
EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PHONE: Final = re.compile(r"(?<![\w.-])\+?1?[-. (]{0,2}[2-9]\d\d[-. )]{1,2}\d{3}[-. ]\d{4}(?!\w)")
#: The registered domain in a URL or an email address, or one that stands alone.
DOMAIN: Final = re.compile(
    r"((?<![\w-])[\w-]{1,63}\.(?:com|net|org|edu|gov|biz)"
    r"|(?<=[@/.])[\w-]{1,63}(?:\.com?)?\.[a-z]{2,6})(?![\w-]|\.\w)",
    re.IGNORECASE,
)
#: Minimum lengths of a private text and of a number that are also replaced outside their own field.
SHORTEST_TEXT, SHORTEST_NUMBER = 4, 6


class Changes(dict[str, str]):
    """The replacement for each private text, with lookups to find private texts in longer strings.

    A batch has thousands of texts to replace, so each text is searched only for private texts whose
    first word it contains.
    """

    @functools.cached_property
    def forms(self) -> Mapping[str, str]:
        """The escaped replacements, keyed by each escaped form of a private text in lowercase."""
        changes = ((old, new, escape) for old, new in self.items() for escape in _ESCAPES)
        return {escape(old).lower(): escape(new) for old, new, escape in changes}

    @functools.cached_property
    def by_word(self) -> Mapping[str, Sequence[str]]:
        """Every escaped form of the private texts, keyed by its first word in lowercase."""
        found: dict[str, list[str]] = {}
        for form in dict.fromkeys(escape(old) for old in self for escape in _ESCAPES):
            for word in _WORD.findall(form.lower())[:1]:
                found.setdefault(word, []).append(form)
        return found

    @functools.cached_property
    def phones(self) -> Mapping[str, str]:
        """The digits of the made-up phone numbers, keyed by the digits of the real ones."""
        return {_digits(old): _digits(new) for old, new in self.items() if _is_number(old)}

    def in_text(self, text: str) -> re.Pattern[str] | None:
        """Return a pattern for private texts that may be in ``text``, or None if there are none."""
        words = dict.fromkeys(_WORD.findall(_ESCAPED_BREAK.sub(" ", text).lower()))
        forms = [form for word in words for form in self.by_word.get(word, ())]
        return _pattern(tuple(sorted(forms, key=len, reverse=True))) if forms else None


def redacted(
    body: bytes,
    payload: Any,
    number: int,
    people: People | None = None,
    kept: Collection[str] = (),
    made_up: MadeUpPeople | None = None,
) -> bytes:
    """Return a sample's body with made-up people, and without secrets.

    ``payload`` is the parsed body. ``number`` selects the sample's made-up person. ``people``
    contains the renters' data that a draft reads, and ``kept`` the community names to keep.
    ``made_up`` contains the people of the other samples.
    """
    changes = replacements(payload, number, people, kept, made_up)
    text = body.decode("utf-8", "surrogateescape")
    try:
        data = json.loads(text)
    except ValueError:
        redact = _redacted_form if _FORM.fullmatch(text) else _redacted_markup
        return redact(text, changes, payload).encode("utf-8", "surrogateescape")
    new = json.dumps(_redacted_data(data, changes), indent=2, ensure_ascii=False) + "\n"
    return new.encode("utf-8", "backslashreplace")  # half of a surrogate pair becomes an escape


def replacements(
    payload: Any,
    number: int,
    people: People | None = None,
    kept: Collection[str] = (),
    made_up: MadeUpPeople | None = None,
) -> Changes:
    """Return a replacement for each personal or secret text in a payload, longest text first."""
    changes: dict[str, str] = {}
    made_up = made_up or MadeUpPeople()
    known = {text for texts in (people or {}).values() for text in texts}
    # A string that belongs to both the renter and someone else is replaced as the renter's.
    texts = sorted(_texts(payload, people or {}), key=lambda one: bool(owner_of(one[0])))
    others = _numbers_of_others({owner_of(path) for path, _, _ in texts} - {""})
    kept = {*kept, *_kept_ids(payload), *(one for text in kept for one in EMAIL.findall(text))}
    for path, value, item in texts:
        if value not in kept:
            person = _Person(made_up, others.get(owner_of(path), number + item), kept, known)
            changes |= dict(_changes_at(path, value, person))
    wanted = {old: new for old, new in changes.items() if len(old) > 1 and old not in kept}
    # Replacing a word must not change a string that is kept.
    olds = [old.lower() for old in wanted]
    wanted |= {text: text for text in kept if any(old in text.lower() for old in olds)}
    return Changes(sorted(wanted.items(), key=lambda change: -len(change[0])))


def _numbers_of_others(owners: Collection[str]) -> dict[str, int]:
    """Assign a negative number to each person who is not a renter.

    Each person has the same number in all samples.
    """
    numbers: dict[str, int] = {}
    for owner in sorted(owners):
        first = zlib.crc32(owner.encode("utf-8", "replace"))
        each = [-1 - (first + n) % OTHER_PEOPLE for n in range(OTHER_PEOPLE)]
        numbers[owner] = next((n for n in each if n not in numbers.values()), each[0])
    return numbers


def replaced_fields(payload: Any, changes: Changes) -> list[str]:
    """Return the paths of the values in a payload that the replacements would change."""
    return list(dict.fromkeys(path for path, _, _ in _replaced_leaves(payload, changes)))


def partly_replaced(payload: Any, changes: Changes) -> list[str]:
    """Return the paths of values that the replacements would change only in part."""
    leaves = _replaced_leaves(payload, changes)
    kept = [path for path, text, new in leaves if new != REMOVED and _words_left(text, changes)]
    return list(dict.fromkeys(path for path in kept if not is_private(path)))


def _replaced_leaves(payload: Any, changes: Changes) -> Iterator[tuple[str, str, str]]:
    """Yield the path, the old text and the new text of each value that would be changed."""
    new = dict(_leaves(_unpacked(_redacted_data(payload, changes)), "", 0))
    for path, value in _leaves(_unpacked(payload), "", 0):
        if str(new.get(path, value)) != str(value):
            yield path[1:], str(value), str(new[path])


def _words_left(text: str, changes: Changes) -> bool:
    """Return True if some words or numbers in a string would not be replaced."""
    if text.strip() in changes:
        return False
    pattern = changes.in_text(text)
    left = pattern.sub(" ", text) if pattern else text
    left = _ANY_PHONE.sub(lambda one: "" if _digits(one[0]) in changes.phones else one[0], left)
    words = re.findall(r"\w\w+", left)
    return any(not (TITLE.fullmatch(word) or PARTICLE.fullmatch(word)) for word in words)


def possible_names(
    payload: Any, written: Any, fields: Collection[str], kept: Collection[str]
) -> list[str]:
    """Return the paths of values that may be personal but were not replaced.

    ``fields`` contains the replaced paths, and ``kept`` the community names.
    """
    before = dict(_leaves(_unpacked(payload), "", 0))
    return [
        path[1:]
        for path, value in _leaves(_unpacked(written), "", 0)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip()
        if path[1:] not in fields and before.get(path) == value and str(value) not in kept
        if may_be_personal(path, str(value).strip())
    ]


def fields_left(payload: Any, written: Any, fields: Collection[str]) -> list[str]:
    """Return the fields whose values are the same in the payload and the redacted sample."""
    before, after = (dict(_leaves(_unpacked(one), "", 0)) for one in (payload, written))
    return [one for one in fields if before.get(f".{one}") == after.get(f".{one}", object)]


def _kept_ids(payload: Any) -> Iterator[str]:
    for path, value in _leaves(payload, "", 0):
        if MESSAGE_IDS.fullmatch(key_of(path)):
            yield from EMAIL.findall(str(value))
        for line in ID_LINE.findall(value) if isinstance(value, str) else ():
            yield from EMAIL.findall(line)


def _texts(payload: Any, people: People) -> Iterator[tuple[str, str, int]]:
    """Yield the path, string and item number of each value, including values nested in strings.

    The number is the item's index in a batch of leads, so that each item gets its own person.
    """
    observed = observe([payload])
    readings = [{n: row[n] for n in observed.readers if n in row} for row in observed.rows]
    places = {f"..{place}": number for number, place in enumerate(observed.places) if place}
    places |= {f".read.{number}": number for number in range(len(readings) if places else 0)}
    found = [
        (path, str(value).strip(), _item_number(path, places))
        for path, value in _leaves({"": payload, "read": readings}, "", 0)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip()
    ]
    found += [(f".{label}", text, 0) for label, text in _answers_beside(payload, 0)]
    items = {text: item for _, text, item in reversed(found)}
    given = {f".{_PEOPLES_KEYS[target]}": texts for target, texts in people.items()}
    # ``people`` may also contain the people in other samples.
    every = "\n".join(text for _, text, _ in found)
    for path, texts in given.items():
        here = (text.strip() for text in texts if text.strip() in every)
        yield from ((path, text, items.get(text, 0)) for text in here)
    for path, text, item in found:
        yield path, text, item
        labeled = LABELED.findall(text)
        yield from ((f".{label}", one.strip(" *\r"), item) for label, one in labeled)


def _answers_beside(data: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Yield each label or question in the data, with the answer from the same object."""
    if depth > MAX_DEPTH or not isinstance(data, Mapping | list):
        return
    if isinstance(data, Mapping):
        labels = [data[key] for key in QUESTIONS if isinstance(data.get(key), str)]
        answers = [one for key in ANSWERS for _, one in _leaves(data.get(key), "", depth)]
        yield from ((one, text) for one in labels for text in answers if isinstance(text, str))
    for one in data.values() if isinstance(data, Mapping) else data:
        yield from _answers_beside(one, depth + 1)


def _item_number(path: str, places: Mapping[str, int]) -> int:
    """Return the number of the batch item that contains a path, or 0 if there is none."""
    parts = path.split(".") if places else []
    starts = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((places[start] for start in starts if start in places), 0)


def _leaves(data: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each leaf, including all items of all lists."""
    if depth > MAX_DEPTH:
        return
    if isinstance(data, Mapping | list):
        items = data.items() if isinstance(data, Mapping) else enumerate(data)
        for key, value in items:
            yield from _leaves(value, f"{path}.{key}", depth + 1)
    else:
        yield path, data


def _unpacked(data: Any, depth: int = 0) -> Any:
    """Return a copy of JSON data in which strings that contain JSON are replaced by their data.

    The values in the string are then compared and named one by one.
    """
    if depth > MAX_DEPTH:
        return data
    if isinstance(data, str) and data.lstrip()[:1] in ("{", "["):
        try:
            inner = json.loads(data)
        except (ValueError, RecursionError):
            return data
        return _unpacked(inner, depth + 1) if inner else data
    if isinstance(data, Mapping):
        return {key: _unpacked(value, depth + 1) for key, value in data.items()}
    if isinstance(data, list):
        return [_unpacked(value, depth + 1) for value in data]
    return data


class _Person(NamedTuple):
    """A person in a sample, with the made-up values that replace the person's data.

    A negative number stands for a person who is not a renter.
    """

    made_up: MadeUpPeople
    number: int
    #: Strings that are not replaced.
    kept: Collection[str]
    #: The renters' names and contact details.
    known: Collection[str]

    def sender(self, name: str, mailbox: str) -> "_Person":
        """Return this person if the sender may be the renter, otherwise another person."""
        if not self.known or any(name in one or mailbox in one for one in self.known):
            return self
        return self._replace(number=min(_numbers_of_others([mailbox]).values()))


def _count(text: str) -> int:
    return sum(map(str.isdigit, text))


def _changes_at(path: str, text: str, person: _Person) -> Iterator[tuple[str, str]]:
    """Yield each string to replace in a value, together with its replacement."""
    key = key_of(path)
    if is_private(path) and not is_form_key(path):
        is_long = len(text) >= (SHORTEST_NUMBER if _count(text) else SHORTEST_TEXT)
        if is_secret(path) or (is_long and not is_harmless(text)):
            yield text, REMOVED
        return
    if _is_address(path, key) and "@" not in text:
        yield text, REMOVED
        return
    yield from _contacts_in(text, person)
    if PARTS["phone"].fullmatch(key) and 7 <= _count(text) <= 15 and len(text) < 30:
        yield text, person.made_up.phone(text, person.number)
    elif _is_name(path, text):
        yield from _name_changes(key, text, person)
    elif name := _name_beside_contact(path, text):
        yield from _name_changes("name", name, person)


def _is_address(path: str, key: str) -> bool:
    """Return True if a path leads to a person's street address, and not to a community's."""
    is_line = ADDRESS_LINE.fullmatch(key) and "address" in path.lower()
    is_place = NOT_PEOPLE.search(_FIELDS.sub("", path.lower()))
    return bool(ADDRESS.fullmatch(key) or is_line) and not is_place


def _contacts_in(text: str, person: _Person) -> Iterator[tuple[str, str]]:
    """Yield the email addresses, the names beside them, and the phone numbers in a string."""
    for email in EMAIL.findall(text):
        if email not in person.kept and not ROLE.fullmatch(email.partition("@")[0]):
            yield email, person.made_up.email(email, person.number)
    for written, mailbox in SENDER.findall(text[:1000]):
        name = VIA.sub("", written.strip())
        if not ROLE.fullmatch(mailbox) and name[:1].isalpha() and not _is_sentence(name):
            yield from _name_changes("name", name, person.sender(name, mailbox))
    for phone in PHONE.findall(text):
        yield phone, person.made_up.phone(phone, person.number)


def _name_beside_contact(path: str, text: str) -> str:
    """Return the name in a value such as ``Dana Okafor 303-555-0142``, or ""."""
    rest = PHONE.sub(" ", EMAIL.sub(" ", text[:80])).strip(" ,;:/|()<>-\u2013\t\r\n")
    has_contact = rest not in ("", text.strip())
    is_others = NOT_PEOPLE.search(".".join(names_in(path.lower())))
    is_name = len(text) < 80 and has_contact and NAME.fullmatch(rest) and not is_others
    return rest if is_name else ""


def _is_name(path: str, text: str) -> bool:
    key = key_of(path)
    is_named = any(PARTS[part].fullmatch(key) for part in ("first", "middle", "last", "name"))
    is_words = NAME.fullmatch(text) or (WORDS.fullmatch(text) and not _is_sentence(text))
    is_named = is_named or bool(WHO.fullmatch(key) and is_words)
    is_short = len(text) < 80 and "@" not in text and text[:1].isalpha()
    around = _FIELDS.sub("", ".".join(names_in(path.lower())))
    is_others = NOT_PEOPLE.search(around) or FORMS.fullmatch(text)
    return is_named and is_short and not (is_others and not PERSONS.fullmatch(key))


def _name_changes(key: str, text: str, person: _Person) -> Iterator[tuple[str, str]]:
    """Yield the replacements for a name and for each word in the name."""
    made_up, number, *_ = person
    name = VIA.sub("", text)
    if _is_sentence(text):
        yield text, made_up.whole(text, number)
        return
    # In Spanish, a key such as ``nombre`` may be that of a first name or of a full name.
    is_first = PARTS["middle"].fullmatch(key) or (
        PARTS["first"].fullmatch(key) and not (SPANISH.fullmatch(key) and " " in name)
    )
    part = "first" if is_first else "last" if PARTS["last"].fullmatch(key) else "name"
    yield text, made_up.name(name, number, part) + text[len(name) :]
    words = made_up.words(name, number, part) if len(words_of_name(name)) > 1 else {}
    yield from words.items()
    if len(words) > 1:
        yield "".join([*words][:: len(words) - 1]), "".join([*words.values()][:: len(words) - 1])


def _is_sentence(text: str) -> bool:
    name = VIA.sub("", text).lower()
    return len(name.split()) > MOST_WORDS or NOT_IN_NAMES.search(name) is not None


def _redacted_data(data: Any, changes: Changes, path: str = "") -> Any:
    """Return a copy of JSON data with redacted values. Keys are not changed."""
    if isinstance(data, Mapping):
        private = _private_keys(data)
        # An answer to a private question is redacted like a secret.
        inner = {key: f"{path}.{'password' if key in private else key}" for key in data}
        return {key: _redacted_data(value, changes, inner[key]) for key, value in data.items()}
    if isinstance(data, list):
        return [_redacted_data(one, changes, f"{path}.{n}") for n, one in enumerate(data)]
    if path and is_private(path) and not is_form_key(path) and not _is_blank(data):
        return REMOVED if isinstance(data, str) else type(data)()
    if isinstance(data, str):
        return _redacted_text(data, changes)
    if isinstance(data, int) and not isinstance(data, bool):
        text = changes.get(str(data), str(data))
        return int(text) if text.isdigit() else text
    return data


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _private_keys(data: Mapping[str, Any]) -> list[str]:
    """Return the keys of an object's answers if its question asks for private data."""
    labels = [data[key] for key in QUESTIONS if isinstance(data.get(key), str)]
    is_asked = any(is_private(one) for one in labels if not one.startswith(REMOVED))
    return [key for key in ANSWERS if key in data] if is_asked else []


def _redacted_text(text: str, changes: Changes) -> str:
    """Return a redacted copy of a string. If the string is JSON, redact its values."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return _replaced(text, changes)
        made_up = _redacted_data(data, changes)
        return text if made_up == data else json.dumps(made_up, ensure_ascii=False)
    plain = text.strip()
    return text.replace(plain, changes[plain]) if plain in changes else _replaced(text, changes)


def _redacted_form(text: str, changes: Changes, _payload: Any) -> str:
    """Return a copy of a URL-encoded form with redacted values."""
    return "&".join(_redacted_pair(pair, changes) for pair in text.split("&"))


def _redacted_pair(pair: str, changes: Changes) -> str:
    key, _, value = pair.partition("=")
    plain = urllib.parse.unquote_plus(value, errors="surrogateescape")
    name = urllib.parse.unquote_plus(key, errors="surrogateescape")
    made_up = _redacted_data(plain, changes, name)
    quoted = urllib.parse.quote_plus(made_up, errors="surrogateescape")
    return pair if made_up == plain else f"{key}={quoted}"


def _redacted_markup(text: str, changes: Changes, payload: Any) -> str:
    """Return a redacted copy of XML, a multipart body, or other text."""
    for path, value in _leaves(payload, "", 0):
        name = re.escape(path.rpartition(".")[2].removeprefix("@"))
        if path and is_private(path) and not _is_blank(value):
            before = rf"<(?:\w+:)?{name}(?: [^<>]*)?>|\b{name}=[\"']|name=\"{name}\"\r?\n\r?\n"
            text = re.sub(rf"({before}){re.escape(str(value))}(?!\w)", rf"\1{REMOVED}", text)
    return _replaced(text, changes)


def _replaced(text: str, changes: Changes) -> str:
    """Replace private words in a string. Match whole words, escaped or not, and ignore case."""
    if pattern := changes.in_text(text):
        domains = [one.span(1) for one in DOMAIN.finditer(text)]
        text = pattern.sub(functools.partial(_replacement, changes.forms, domains), text)
    return _ANY_PHONE.sub(functools.partial(_in_format, changes.phones), text)


def _replacement(
    forms: Mapping[str, str], domains: Sequence[tuple[int, int]], found: re.Match[str]
) -> str:
    """Return the replacement of a private text. A name in a registered domain is kept.

    With a made-up name, it might be the domain of a stranger.
    """
    new = _like(found[0], forms[found[0].lower()])
    at = bisect.bisect(domains, (found.start() + 1,)) - 1
    is_inside = at >= 0 and found.end() <= domains[at][1]
    return found[0] if is_inside and "@" not in new and REMOVED not in new else new


@functools.lru_cache(maxsize=1000)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_word_pattern, forms)))


def _like(old: str, new: str) -> str:
    """Convert a replacement to upper or lower case if the original is entirely in that case."""
    if "@" in new or new == REMOVED or len(old) < 2:
        return new
    return new.upper() if old.isupper() else new.lower() if old.islower() else new


def _word_pattern(form: str) -> str:
    """Return a pattern that matches a string only as a whole word.

    A string that is a common word must be a whole value, or written in the same way.
    """
    word = form.lower()
    if ORDINARY.fullmatch(word):
        return rf"(?<=[>\"\n]){re.escape(form)}(?=[<\"\r\n])"
    ignore = "" if COMMON.fullmatch(word) or len(form) < 3 else "i"
    start = r"(?:(?<!\w)|(?<=\\[nrt]))"
    return rf"{start}(?{ignore}:{re.escape(form)})(?!\w)"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)[-10:]


def _is_number(text: str) -> bool:
    return len(_digits(text)) == 10 and "@" not in text and not any(map(str.isalpha, text))


def _in_format(phones: Mapping[str, str], found: re.Match[str]) -> str:
    """Return a phone number's replacement in the same format, or the number if it has none."""
    left = iter(phones.get(_digits(found[0]), _digits(found[0])))
    rest = found[0][len(found[1]) :]
    return found[1] + "".join(next(left, "") if one.isdigit() else one for one in rest)


def _percent(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _lower_percent(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), urllib.parse.quote_plus(text))


#: A phone number in any format. The first group is its country code.
_ANY_PHONE: Final = re.compile(
    r"(?<![\w.-])((?:\+?1[-. (]{0,2})?\(?)[2-9](?:[-. ()]{0,3}\d){9}(?!\w)"
)
_WORD: Final = re.compile(r"\w+")
_ESCAPED_BREAK: Final = re.compile(r"\\[nrt]")
#: A form-encoded body.
_FORM: Final = re.compile(r"\s*[^\s<>{}=&\"]+=[^<>\n]*\s*")
#: The ways that a string may be escaped in a body.
_ESCAPES: Final = (
    *(lambda text: json.dumps(text)[1:-1], str, html.escape),
    *(_percent, _lower_percent, urllib.parse.quote_plus),
)
