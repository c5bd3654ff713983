"""Replace the people in a sample with made-up people, and remove secrets."""

import functools
import html
import json
import re
import urllib.parse
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.authoring.observe import observe
from adapter.mapping.authoring.payload_keys import (
    FIRST_NAME,
    FULL_NAME,
    LAST_NAME,
    ROLE_ALONE,
    ROLES,
    is_secret,
    key_of,
    names_in,
)
from adapter.mapping.authoring.whose import owner_of

#: Renters' data, by appointment field.
People = Mapping[str, Collection[str]]

REMOVED: Final = "REMOVED"
MAX_DEPTH: Final = 40
#: A typical key for each appointment field.
_PEOPLES_KEYS: Final = {
    "name": "fullname",
    "first_name": "firstname",
    "last_name": "lastname",
    "email_1": "email",
    "phone_1": "phone",
}
#: Keys of data that is always private, regardless of its owner.
PRIVATE: Final = re.compile(
    r"(ssn|socialsecurity(number|no)?|dob|birth(day|date)?|dateofbirth|passport|(driver)?licen[sc]e"
    r"(number|no)?|iban|(card|account)number|ipaddress|ip|useragent"
    r"|(annual|monthly|yearly|gross|net|household)*(income|salary)(amount)?)"
)
#: Keys of the renter's address.
ADDRESS: Final = re.compile(
    r"(street|home|mailing|current|previous|postal|contact|renter|applicant|guest|lead)*addr(ess)?"
    r"(line)?(one|two|[1-3])?(street)?|street(name|line)?(one|two|[1-3])?|wheredoyoulive(now)?"
)
#: Keys of its lines, inside an object with such a key.
ADDRESS_LINE: Final = re.compile(r"(line|street)(one|two|[1-3])")
#: Keys of IDs that look like email addresses.
MESSAGE_IDS: Final = re.compile(r"messageid|inreplyto|references")
#: Keys of a form's fields, which are a person's if they have no index.
_FIELDS: Final = re.compile(r"\.(form_?)?fields(?=\.[^\d.])")
#: Keys of a question and of its answer, in a form's data.
QUESTIONS: Final = ("label", "question", "title", "field", "name", "key")
ANSWERS: Final = ("value", "values", "answer", "val")
#: Names in email addresses that belong to a company instead of a person.
ROLE: Final = re.compile(
    r"(no|donot)[-_.]?reply.*|leads?|notifica(tion|cione)s?|alerts?|mailer.*|bounces?.*|leasing"
    r"|support|info|office|admin|team|sales|rentals?|tours?|hello|hola|contacto?|avisos?",
    re.IGNORECASE,
)
PARTS: Final = {
    "first": re.compile(FIRST_NAME),
    "last": re.compile(LAST_NAME),
    "name": re.compile(rf"(full|your|from|display|profile|{ROLES})?name"),
    "middle": re.compile(r"middle(name|initial)?"),
    "phone": re.compile(r".*(phone|mobile|cell|telephone|sms)(number|no)?|from(number)?|waid"),
}
#: Words around a plain ``name`` key that show that it is not a person's name.
NOT_PEOPLE: Final = re.compile(
    r"property|community|listing|building|complex|apartment|form|page|bot|intent|function|source|calendar|field|question"
    r"|event|campaign|company|unit|service|provider|utm|(?<!pro)file|city|state|tool|header"
    r"|method|parameter|reply"
)
#: The name of a form or of a flow, rather than a person's.
FORMS: Final = re.compile(r".*\b(form|flow|page|survey|questionnaire)s?", re.IGNORECASE)
#: Keys that can only be a person's name, regardless of the words around them.
PERSONS: Final = re.compile(r"(first|last|full|your|given|family|sur|renter|guest)name")
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
#: A middle name, which is made up like the others.
MIDDLE: Final = "Lee"
#: Parts of last names that are not a person's alone.
PARTICLES: Final = frozenset({"Van", "Von", "Der", "Den", "Del", "Los", "Las", "Dos", "San", "Mac"})
#: Maximum number of words in a name.
MOST_WORDS: Final = 6
EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PHONE: Final = re.compile(r"(?<![\w.-])\+?1?[-. (]{0,2}[2-9]\d\d[-. )]{1,2}\d{3}[-. ]\d{4}(?!\w)")
#: First and last names of the made-up people who replace those who are not renters. The numbers of
#: names have no common divisor, so that all combinations below are different.
OTHER_NAMES: Final = (
    ("Walter", "Nina", "Hugo", "Ruth", "Ivan", "Clara", "Felix"),
    ("Berg", "Castillo", "Mbeki", "Sato", "Weaver", "Iverson", "Quinn", "Abbott"),
)
OTHER_PEOPLE: Final = 56
#: Made-up people. Their numbers are reserved for fiction.
PEOPLE: Final = (
    *(("Dana", "Okafor"), ("Ines", "Duarte"), ("Marcus", "Lindqvist"), ("Priya", "Raman")),
    *(("Tomas", "Novak"), ("Grace", "Ellery"), ("Omar", "Haddad"), ("Lena", "Fischer")),
)


def _names_field(path: str) -> bool:
    """Return True if a path is a list item's ``key``, which contains the name of a form field."""
    return re.search(r"\.\d+\.key$", path.lower()) is not None


class Changes(dict[str, str]):
    """The replacement of each text in a sample, and how to find the texts in a longer one.

    A batch has thousands of texts to replace, so each text is searched only for those of which it
    contains the first word.
    """

    @functools.cached_property
    def forms(self) -> Mapping[str, str]:
        """The replacement of each text in lowercase, in all ways to escape it."""
        changes = ((old, new, escape) for old, new in self.items() for escape in _ESCAPES)
        return {escape(old).lower(): escape(new) for old, new, escape in changes}

    @functools.cached_property
    def by_word(self) -> Mapping[str, Sequence[str]]:
        """The texts, in all ways to escape them, by their first word in lowercase."""
        found: dict[str, list[str]] = {}
        for form in dict.fromkeys(escape(old) for old in self for escape in _ESCAPES):
            for word in _WORD.findall(form.lower())[:1]:
                found.setdefault(word, []).append(form)
        return found

    @functools.cached_property
    def phones(self) -> Mapping[str, str]:
        """The new digits of each phone number."""
        return {_digits(old): _digits(new) for old, new in self.items() if _is_number(old)}

    def in_text(self, text: str) -> re.Pattern[str] | None:
        """Return a pattern for the texts that a longer text may contain, or None."""
        words = dict.fromkeys(_WORD.findall(_ESCAPED_BREAK.sub(" ", text).lower()))
        forms = [form for word in words for form in self.by_word.get(word, ())]
        return _pattern(tuple(sorted(forms, key=len, reverse=True))) if forms else None


def redacted(
    body: bytes,
    payload: Any,
    number: int,
    people: People | None = None,
    kept: Collection[str] = (),
) -> bytes:
    """Return a sample's body with made-up people, and without secrets.

    ``payload`` is the parsed body. ``number`` selects the sample's made-up person. ``people``
    contains the renters' data that a draft reads, and ``kept`` the community names to keep.
    """
    changes = replacements(payload, number, people, kept)
    text = body.decode("utf-8", "surrogateescape")
    try:
        data = json.loads(text)
    except ValueError:
        made_up = (_redacted_form if _FORM.fullmatch(text) else _replaced)(text, changes)
        return made_up.encode("utf-8", "surrogateescape")
    made_up = json.dumps(_redacted_data(data, changes), indent=2, ensure_ascii=False) + "\n"
    return made_up.encode("utf-8", "backslashreplace")  # half of a surrogate pair becomes an escape


def replacements(
    payload: Any, number: int, people: People | None = None, kept: Collection[str] = ()
) -> "Changes":
    """Return a replacement for each personal or secret text in a payload, longest text first."""
    changes: dict[str, str] = {}
    known = {text for texts in (people or {}).values() for text in texts}
    # If a text belongs to both the renter and someone else, it is replaced as the renter's.
    texts = sorted(_texts(payload, people or {}), key=lambda one: not owner_of(one[0]))
    others = _numbers_of_others({owner_of(path) for path, _, _ in texts} - {""})
    for path, value, item in texts:
        person = _Person(others.get(owner_of(path), number + item))
        changes |= dict(_changes_at(path, value, person, known))
    kept = {*kept, *_kept_ids(payload), *(one for text in kept for one in EMAIL.findall(text))}
    wanted = {old: new for old, new in changes.items() if len(old) > 1 and old not in kept}
    wanted = _distinct(wanted, known)
    # A text to keep must not be changed by the replacement of a word in it.
    olds = [old.lower() for old in wanted]
    wanted |= {text: text for text in kept if any(old in text.lower() for old in olds)}
    return Changes(sorted(wanted.items(), key=lambda change: -len(change[0])))


def _distinct(changes: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Give different email addresses and phone numbers different replacements.

    The renter's own, which are in ``known``, keep theirs.
    """
    made_up: dict[str, list[str]] = {}
    distinct = dict(changes)
    for old in sorted(changes, key=lambda one: one not in known):
        new = changes[old]
        is_phone = _count(new) >= 7 and "@" not in new
        if not (is_phone or EMAIL.fullmatch(new)) or old == new:
            continue
        original = _digits(old) if is_phone else old.lower()
        others = made_up.setdefault(_digits(new) if is_phone else new, [])
        others += [original] if original not in others else []
        if number := others.index(original):
            distinct[old] = _numbered(new, number)
    return distinct


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)[-10:]


def _numbered(new: str, number: int) -> str:
    """Return another replacement than ``new``, for another original."""
    if "@" in new:
        return new.replace("@", f"{number + 1}@")
    tens, ones = [match.start() for match in re.finditer(r"\d", new)][-2:]
    last = f"{(int(new[tens] + new[ones]) + 17 * number) % 100:02d}"
    return f"{new[:tens]}{last[0]}{new[tens + 1 : ones]}{last[1]}{new[ones + 1 :]}"


def _numbers_of_others(owners: Collection[str]) -> dict[str, int]:
    """Return a negative number for each person who is not a renter.

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
    leaves = ((path, str(value)) for path, value in _leaves(payload, "", 0) if value is not None)
    paths = [path[1:] for path, text in leaves if _redacted_text(text, changes) != text]
    return list(dict.fromkeys(paths))


def possible_names(written: Any, fields: Collection[str], kept: Collection[str]) -> list[str]:
    """Return the paths of strings that look like a person's name but were not replaced.

    ``fields`` contains the replaced paths, and ``kept`` the community names.
    """
    texts = ((path[1:], value) for path, value in _leaves(written, "", 0) if isinstance(value, str))
    return [
        path
        for path, text in texts
        if FULL_NAME.fullmatch(text) and path not in fields and text not in kept
    ]


def fields_left(payload: Any, written: Any, fields: Collection[str]) -> list[str]:
    """Return the fields whose values are the same in the payload and the redacted sample."""
    before, after = dict(_leaves(payload, "", 0)), dict(_leaves(written, "", 0))
    return [one for one in fields if before.get(f".{one}") == after.get(f".{one}", object)]


def _kept_ids(payload: Any) -> Iterator[str]:
    for path, value in _leaves(payload, "", 0):
        if MESSAGE_IDS.fullmatch(key_of(path)):
            yield from EMAIL.findall(str(value))


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
    for path, texts in given.items():
        yield from ((path, text.strip(), items.get(text.strip(), 0)) for text in texts)
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
    """Return the number of the item of a batch to which a path leads, or 0."""
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


class _Person:
    """A made-up person who replaces a renter or another person in a sample.

    A negative number stands for a person who is not a renter.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        again: int | str = number // len(PEOPLE) or ""
        self.first, self.last = PEOPLE[number % len(PEOPLE)]
        if number < 0:
            first, last = OTHER_NAMES
            again, self.first, self.last = "", first[number % len(first)], last[number % len(last)]
        self.email = f"{self.first}.{self.last}{again}@example.com".lower()

    def phone(self, text: str) -> str:
        """Return a made-up phone number in the same format as ``text``."""
        digits = iter(f"30355501{(42 + self.number) % 100:02d}"[-_count(text) :].rjust(10, "3"))
        kept = _count(text) - 10
        made: list[str] = []
        for character in text:
            if character.isdigit() and kept > 0:
                kept -= 1
                made.append(character)
            else:
                made.append(next(digits, character) if character.isdigit() else character)
        return "".join(made)


def _count(text: str) -> int:
    return sum(map(str.isdigit, text))


def _changes_at(
    path: str, text: str, person: _Person, known: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield each text in a value that must be replaced, with its replacement."""
    key = key_of(path)
    if (is_secret(path) and not _names_field(path)) or PRIVATE.fullmatch(key):
        yield text, REMOVED
        return
    if _is_address(path, key) and "@" not in text:
        yield text, REMOVED
        return
    for email in EMAIL.findall(text):
        if not ROLE.fullmatch(email.partition("@")[0]):
            yield email, person.email
    yield from _sender_changes(text, person, known)
    for phone in PHONE.findall(text):
        yield phone, person.phone(phone)
    if PARTS["phone"].fullmatch(key) and 7 <= _count(text) <= 15 and len(text) < 30:
        yield text, person.phone(text)
    elif _is_name(path, text):
        yield from _name_changes(key, text, person)
    elif FULL_NAME.fullmatch(alone := _without_contacts(text)) and alone != text:
        yield from _name_changes("name", alone, person)


def _sender_changes(
    text: str, person: _Person, known: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield the replacement of each name before an email address.

    If it is not known to be the renter's, it becomes the name of another person.
    """
    for written, mailbox in SENDER.findall(text[:1000]):
        name = VIA.sub("", written.strip())
        if not ROLE.fullmatch(mailbox) and name[:1].isalpha() and not _is_sentence(name):
            is_renters = not known or any(name in one or mailbox in one for one in known)
            sender = person if is_renters else _Person(min(_numbers_of_others([mailbox]).values()))
            yield from _name_changes("name", name, sender)


def _is_address(path: str, key: str) -> bool:
    """Return True if a path leads to a person's street address, and not to a community's."""
    is_line = ADDRESS_LINE.fullmatch(key) and "address" in path.lower()
    is_place = NOT_PEOPLE.search(_FIELDS.sub("", path.lower()))
    return bool(ADDRESS.fullmatch(key) or is_line) and not is_place


def _without_contacts(text: str) -> str:
    """Return a short text without the email addresses and phone numbers in it."""
    return PHONE.sub("", EMAIL.sub("", text)).strip(" ,;:-()<>") if len(text) < 100 else ""


def _is_name(path: str, text: str) -> bool:
    key = key_of(path)
    is_named = any(PARTS[part].fullmatch(key) for part in ("first", "middle", "last", "name"))
    is_named = is_named or bool(ROLE_ALONE.fullmatch(key) and FULL_NAME.fullmatch(text))
    is_short = len(text) < 80 and "@" not in text and text[:1].isalpha()
    around = _FIELDS.sub("", ".".join(names_in(path.lower())))
    is_others = NOT_PEOPLE.search(around) or FORMS.fullmatch(text)
    return is_named and is_short and not (is_others and not PERSONS.fullmatch(key))


def _name_changes(key: str, text: str, person: _Person) -> Iterator[tuple[str, str]]:
    """Yield the replacement of a name, and those of its words."""
    words = VIA.sub("", text).split()
    is_whole = len(words) > 1 and key in ("nombre", "first")
    if PARTS["middle"].fullmatch(key):
        yield text, MIDDLE
    elif PARTS["first"].fullmatch(key) and not is_whole:
        yield text, person.first
    elif PARTS["last"].fullmatch(key):
        yield text, person.last
    elif words[:1] and words[0].endswith(",") and len(words) > 1:
        yield text, f"{person.last}, {person.first}"
        yield words[0].rstrip(","), person.last
        yield words[1], person.first
    else:
        yield text, f"{person.first} {person.last}" if len(text.split()) > 1 else person.last
        if len(words) > 1 and not _is_sentence(text):
            yield words[0] + words[-1], person.first + person.last
            yield words[0], person.first
            yield words[-1], person.last
            yield from ((one, MIDDLE) for one in words[1:-1] if _is_middle_name(one))


def _is_middle_name(word: str) -> bool:
    return len(word) > 2 and word[:1].isupper() and word not in PARTICLES and word.isalpha()


def _is_sentence(text: str) -> bool:
    name = VIA.sub("", text).lower()
    return len(name.split()) > MOST_WORDS or NOT_IN_NAMES.search(name) is not None


def _redacted_data(data: Any, changes: Changes) -> Any:
    """Return a copy of JSON data in which strings and integers are redacted, but not keys."""
    if isinstance(data, Mapping):
        return {key: _redacted_data(value, changes) for key, value in data.items()}
    if isinstance(data, list):
        return [_redacted_data(value, changes) for value in data]
    if isinstance(data, str):
        return _redacted_text(data, changes)
    if isinstance(data, int) and not isinstance(data, bool):
        text = changes.get(str(data), str(data))
        return int(text) if text.isdigit() else text
    return data


def _redacted_text(text: str, changes: Changes) -> str:
    """Return a redacted copy of a text. If the text is JSON, redact its values."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return _replaced(text, changes)
        made_up = _redacted_data(data, changes)
        return text if made_up == data else json.dumps(made_up, ensure_ascii=False)
    plain = text.strip()
    return text.replace(plain, changes[plain]) if plain in changes else _replaced(text, changes)


def _redacted_form(text: str, changes: Changes) -> str:
    """Return a copy of a URL-encoded form in which each value is redacted."""
    return "&".join(_redacted_pair(pair, changes) for pair in text.split("&"))


def _redacted_pair(pair: str, changes: Changes) -> str:
    key, _, value = pair.partition("=")
    plain = urllib.parse.unquote_plus(value, errors="surrogateescape")
    made_up = _redacted_text(plain, changes)
    quoted = urllib.parse.quote_plus(made_up, errors="surrogateescape")
    return pair if made_up == plain else f"{key}={quoted}"


def _replaced(text: str, changes: Changes) -> str:
    """Replace whole words in a text in upper or lower case, including words that are escaped."""
    if pattern := changes.in_text(text):
        text = pattern.sub(lambda one: _like(one[0], changes.forms[one[0].lower()]), text)
    return _ANY_PHONE.sub(functools.partial(_in_format, changes.phones), text)


@functools.lru_cache(maxsize=1000)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_word_pattern, forms)))


def _like(old: str, new: str) -> str:
    """Return a replacement in upper or lower case if the original is."""
    if "@" in new or new == REMOVED or len(old) < 2:
        return new
    return new.upper() if old.isupper() else new.lower() if old.islower() else new


def _word_pattern(form: str) -> str:
    """Return a pattern that matches a string only as a whole word.

    A text that is a common word must be a whole value, or written in the same way.
    """
    word = form.lower()
    if ORDINARY.fullmatch(word):
        return rf"(?<=[>\"\n]){re.escape(form)}(?=[<\"\r\n])"
    ignore = "" if COMMON.fullmatch(word) or len(form) < 3 else "i"
    start = r"(?:(?<!\w)|(?<=\\[nrt]))"
    return rf"{start}(?{ignore}:{re.escape(form)})(?!\w)"


def _is_number(text: str) -> bool:
    return len(_digits(text)) == 10 and "@" not in text and not any(map(str.isalpha, text))


def _in_format(phones: Mapping[str, str], found: re.Match[str]) -> str:
    """Return the new digits of a phone number in its format, or the number if it is kept."""
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
#: The ways in which a string may be escaped in a body.
_ESCAPES: Final = (
    *(lambda text: json.dumps(text)[1:-1], str, html.escape),
    *(_percent, _lower_percent, urllib.parse.quote_plus),
)
