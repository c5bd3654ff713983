"""Convert text, names, email addresses and phone numbers with named transforms."""

import dataclasses
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Final

import phonenumbers
from marshmallow import ValidationError
from marshmallow.validate import Email
from nameparser import HumanName, Lexicon

from adapter.exceptions import Unreadable
from adapter.mapping.transforms.base import EMPTY, Example, Noted, Option, text_or_empty, transform
from adapter.parsing.text import CAP_EMAIL, CAP_NAME, CAP_NUMBER, CAP_TEXT, clean_text
from adapter.settings import Policy

#: The countries whose phone numbers can be read.
REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
#: The ``region`` for numbers that start with their country code.
INTERNATIONAL: Final = "international"
_KEYPAD: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
#: Keypad digits that networks send for a withheld caller ID.
_WITHHELD: Final = frozenset(
    words.translate(_KEYPAD)
    for words in (
        *("ANONYMOUS", "UNAVAILABLE", "RESTRICTED", "BLOCKED", "UNKNOWN", "PRIVATE", "WITHHELD"),
        *("NOCALLERID", "PRIVATENUMBER", "UNKNOWNCALLER", "PRIVATECALLER", "OUTOFAREA"),
    )
)
#: Titles to remove from names. The parser knows more, but some are also first names, such as Judge.
_COURTESIES: Final = frozenset(
    {"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "doctor", "rev", "reverend"}
    | {"sir", "madam", "mister", "and", "&"}
)
#: Dates and phone numbers, which people enter in name fields.
_NUMERIC: Final = re.compile(r"[0-9][0-9\s./:,()+-]*|[+(][0-9(][0-9\s./()-]*")

#: Words that programs and forms use instead of a name. Null and Nan are real names.
_FILLERS: Final = frozenset(
    {"undefined", "null", "none", "nan", "n/a", "unknown", "anonymous", "unavailable"}
)
_NAMES_LIKE_FILLERS: Final = frozenset({"Null", "Nan", "NAN"})
#: A full name made up only of these words is a form label or a caller ID message.
_NOBODY: Final = _FILLERS | frozenset(
    {"first", "last", "full", "name", "firstname", "lastname", "fullname", "your", "the", "no"}
    | {"not", "provided", "available", "specified", "given", "applicable", "na", "nil", "user"}
    | {"visitor", "guest", "customer", "website", "web", "private", "restricted", "blocked"}
    | {"withheld", "hidden", "wireless", "caller", "call", "cell", "mobile", "phone", "number"}
    | {"toll", "free", "out", "of", "area", "spam", "scam", "risk", "likely", "id"}
)
#: Merge tags that were not filled in: ``{{name}}``, ``[your-name]``, ``%FIRST%``, ``*|FNAME|*``,
#: ``<test lead: …>``; and spreadsheet errors such as ``#REF!``.
_MERGE_TAG: Final = re.compile(
    r"[{}<>]|\*\||%\S|~\w|(?<!\w)\$\w|#[A-Z/]+[!?]|\[\[|\[object |\A(?:\[[^\[\]]*\] ?)+\Z"
)
#: A name before an address: ``Dana Okafor <dana@example.com>``.
_WITH_ADDRESS: Final = re.compile(r"\"?([^\"<>@]+?)\"? ?<[^<>\s]+@[^<>\s]+>")
_IN_ADDRESS: Final = r"[^\s<>()\[\],;:/|\"@]"
#: An email address in a string, with any words that a separator joins to it. In
#: ``ana;bo@example.com``, the first may be another address, so ``bo@example.com`` is not read.
_ADDRESS: Final = re.compile(
    rf"(?:{_IN_ADDRESS}++[,;/|])*+{_IN_ADDRESS}++@[^\s<>()\[\],;:/|\"]+"
    rf"(?:[,;/|]{_IN_ADDRESS}++(?!@))*"
)
#: The start of an address that has no host.
_CUT_OFF: Final = re.compile(r"\w@")
#: Most addresses match this pattern.
_PLAIN_ADDRESS: Final = re.compile(r"[\w.+-]+@[\w.-]+")

#: Most names match this pattern.
_TWO_WORDS: Final = re.compile(r"([A-Za-z]{2,}) ([A-Za-z]{2,})")


def _words_of(lexicon: Lexicon) -> Iterator[str]:
    """Yield all words with a special meaning for the name parser, such as titles and suffixes."""
    for field in dataclasses.fields(lexicon):
        for entry in getattr(lexicon, field.name):
            yield from entry.lower().split() if isinstance(entry, str) else ()


_NOT_PLAIN: Final = frozenset(_words_of(Lexicon.default())) | _NOBODY

_is_email: Final = Email()


def is_no_name(text: str) -> bool:
    """Return True if a string cannot be a name, such as an email address or a phone number.

    People, programs and phone systems enter these as names. The text has at most 200 characters.
    """
    is_other = "@" in text or _NUMERIC.fullmatch(text) or not any(map(str.isalpha, text))
    return bool(is_other) or is_filler(text) or {*_words(text.lower())} <= _NOBODY


def is_filler(text: str) -> bool:
    """Return True if a string is a placeholder that a program sent instead of a name."""
    if text.isalpha() and text.lower() not in _FILLERS:
        return False  # the common case for parts of names
    if _MERGE_TAG.search(text):
        return True
    return any(
        word.lower() in _FILLERS and word not in _NAMES_LIKE_FILLERS for word in _words(text)
    )


def _unquoted(text: str) -> str:
    """Decode a URL-encoded name such as ``Dana+Okafor``."""
    if " " in text or not ("+" in text or "%" in text) or not text[:1].isalpha():
        return text
    plain = urllib.parse.unquote_plus(text)
    return text if "%" in plain or "\ufffd" in plain else clean_text(plain, CAP_TEXT)


def _words(text: str) -> list[str]:
    words = (word.strip("()[]#.,:;-_*'\"") for word in text.split())
    return [word for word in words if any(map(str.isalpha, word))]


@transform(
    "text",
    description=(
        "The text on one line. Invisible characters are removed, and each run of whitespace "
        "becomes one space. Numbers are converted to text. Escaped characters are decoded. "
        "Placeholder text such as `undefined` is unreadable, and so is a merge tag that was not "
        "filled in."
    ),
    examples=[
        Example(given="  Dana \n", gives="Dana"),
        Example(given=302, gives="302"),
        Example(given="O&#039;Brien", gives="O'Brien"),
        Example(given="{{contact.last_name}}", unreadable=True),
        Example(given=" ", gives=EMPTY),
        Example(given=True, unreadable=True),
        Example(given={"first": "Dana"}, unreadable=True),
    ],
)
def text_from(value: object) -> object:
    """Convert a value to one line of text. Raise Unreadable if it is a placeholder."""
    text = text_or_empty(value, CAP_TEXT)
    if text is EMPTY:
        return EMPTY
    if is_filler(text := _unquoted(text)):
        raise Unreadable("a filler, not a name")
    return text


@transform(
    "name",
    description=(
        "A full name in one field. Middle names go into the first name, and suffixes into the last "
        "name. Titles and nicknames are removed. A single word is read as a last name. The format "
        '"Last, First" is recognized. An email address, a phone number, a date or placeholder text '
        "is unreadable."
    ),
    examples=[
        Example(given="Dana Okafor", gives={"first_name": "Dana", "last_name": "Okafor"}),
        Example(given="Okafor, Dana", gives={"first_name": "Dana", "last_name": "Okafor"}),
        Example(
            given="Dr. Juan Q. de la Cruz III",
            gives={"first_name": "Juan Q.", "last_name": "de la Cruz III"},
        ),
        Example(
            given={"firstName": "Dana", "lastName": "Okafor"},
            gives={"first_name": "Dana", "last_name": "Okafor"},
        ),
        Example(given="Cher", gives={"last_name": "Cher"}),
        Example(given="王小明", gives={"last_name": "王小明"}),
        Example(given="Judge Okafor", gives={"first_name": "Judge", "last_name": "Okafor"}),
        Example(
            given="Dana Okafor <dana@example.com>",
            gives={"first_name": "Dana", "last_name": "Okafor"},
        ),
        Example(given="dana@example.com", unreadable=True),
        Example(given="(303) 555-0142", unreadable=True),
        Example(given="05/01/2026", unreadable=True),
        Example(given="Dana undefined", unreadable=True),
        Example(given="[your-name]", unreadable=True),
    ],
)
def name_from(value: object) -> object:
    """Split a full name into ``first_name`` and ``last_name``. A single word is the last name."""
    text = text_or_empty(_name_from_parts(value), CAP_NAME)
    if text is EMPTY:
        return EMPTY
    if plain := _plain_name(text := _unquoted(text)):
        return plain
    if with_address := _WITH_ADDRESS.fullmatch(text):
        text = with_address[1]
    if is_no_name(text):
        raise Unreadable("not a name")
    return _parsed_name(text)


def _name_from_parts(value: object) -> object:
    """Join the parts of a name in an object into a string. Return other values unchanged."""
    parts = value.items() if isinstance(value, Mapping) else ()
    names = {
        str(key)[:20].lower().replace("_", "").removesuffix("name"): part for key, part in parts
    }
    if not names or not names.keys() <= {"first", "middle", "last"}:
        return value
    texts = (text_or_empty(names.get(key), CAP_NAME) for key in ("first", "middle", "last"))
    return " ".join(filter(None, texts))


def _plain_name(text: str) -> dict[str, str] | None:
    """Split a name of two ordinary words without the slow name parser, or return None."""
    match = _TWO_WORDS.fullmatch(text)
    if not match or not _NOT_PLAIN.isdisjoint(text.lower().split()):
        return None
    return {"first_name": match[1], "last_name": match[2]}


def _parsed_name(text: str) -> dict[str, str]:
    name = HumanName(text)
    given = " ".join(filter(None, [_uncommon_title(name), name.first, name.middle])).split()
    family = " ".join(filter(None, [name.last, name.maiden, name.suffix]))
    if not family and len(given) > 1:
        family = given.pop()
    if not (given and family):
        return {"last_name": family or " ".join(given) or text}
    return {"first_name": " ".join(given), "last_name": family}


@transform(
    "email",
    description=(
        "The email address in the text, in lower case. Text with several addresses is unreadable. "
        "The addresses in `ADAPTER_PLACEHOLDER_EMAILS` count as empty, because many people share "
        "them."
    ),
    examples=[
        Example(given=" Dana.Okafor@Example.com", gives="dana.okafor@example.com"),
        Example(given="mailto:dana@example.com", gives="dana@example.com"),
        Example(given="Dana Okafor <dana@example.com>", gives="dana@example.com"),
        Example(given="dana@example.com <mailto:dana@example.com>", gives="dana@example.com"),
        Example(given="none@none.com", gives=EMPTY),
        Example(given="dana at example.com", unreadable=True),
        Example(given="a@example.com, b@example.com", unreadable=True),
        Example(given="a@example.com/b@example.com", unreadable=True),
        Example(given="a;b@example.com", unreadable=True),
    ],
)
def email_from(value: object, *, policy: Policy) -> object:
    """Extract the only email address in a string, in lowercase."""
    text = text_or_empty(value, CAP_EMAIL)
    if text is EMPTY:
        return EMPTY
    text = text.lower()
    is_plain = _PLAIN_ADDRESS.fullmatch(text) is not None
    found = {one.rstrip(".") for one in ([text] if is_plain else _ADDRESS.findall(text))}
    if len(found) != 1 or (not is_plain and _CUT_OFF.search(_ADDRESS.sub("", text))):
        raise Unreadable("several email addresses" if found else "not an email address")
    address = found.pop()
    if address in policy.placeholder_emails:
        return EMPTY
    try:
        return _is_email(address)
    except ValidationError:
        raise Unreadable("not an email address") from None


def _region(value: object) -> str:
    if value not in (*REGIONS, INTERNATIONAL):
        raise ValueError(
            f"{value!r} is not a region; use two capital letters, such as US, or {INTERNATIONAL}"
        )
    return str(value)


@transform(
    "phone",
    description=(
        "The first valid phone number in the text, with its country code. An extension and any "
        "other numbers go into the notes. A withheld caller ID, such as Anonymous or +266696687 "
        "(“Anonymous” on a keypad), counts as empty."
    ),
    options=[
        Option(
            name="region",
            read=_region,
            takes=f"two capital letters, such as `CA`, or `{INTERNATIONAL}`",
            meaning=(
                "The country for numbers without a country code. The default is US. "
                f"With `{INTERNATIONAL}`, every number starts with its country code, with or "
                "without a plus sign, as in numbers from WhatsApp, Vonage and Plivo."
            ),
        )
    ],
    examples=[
        Example(given="(303) 555-0142", gives="+13035550142"),
        Example(given="720 209 1146 (cell)", gives="+17202091146"),
        Example(given=13035550142, gives="+13035550142"),
        Example(given="303-555-0142 x12", gives="+13035550142", note="Phone extension: 12"),
        Example(
            given="303-555-0142 / 720-555-0188",
            gives="+13035550142",
            note="Other phone: +17205550188",
        ),
        Example(
            given="303 555 0142 7205550188",
            gives="+13035550142",
            note="Other phone: +17205550188",
        ),
        Example(given="020 7946 0958", options={"region": "GB"}, gives="+442079460958"),
        Example(given="447911123456", options={"region": INTERNATIONAL}, gives="+447911123456"),
        Example(given="Anonymous", gives=EMPTY),
        Example(given="0000000000", unreadable=True),
        Example(given="555-0142", unreadable=True),
        Example(given="1-800-FLOWERS", unreadable=True),
    ],
)
def phone_from(value: object, *, policy: Policy, region: str | None = None) -> object:
    """Extract the first valid phone number in a string, in E.164 format."""
    text = text_or_empty(value, CAP_NUMBER)
    if text is EMPTY:
        return EMPTY
    if _is_withheld(text):
        return EMPTY
    numbers = _numbers(text, region or policy.phone_region)
    if not numbers:
        raise Unreadable("not a valid phone number")
    first, *others = dict.fromkeys(map(_e164, numbers))
    notes = [f"Other phone: {other}" for other in others]
    if numbers[0].extension:
        notes.insert(0, f"Phone extension: {numbers[0].extension}")
    return Noted(first, "; ".join(notes)) if notes else first


def _is_withheld(text: str) -> bool:
    letters = re.sub("[^0-9A-Z]", "", text.upper())
    return letters.translate(_KEYPAD).removeprefix("1") in _WITHHELD


def _numbers(text: str, region: str) -> list[phonenumbers.PhoneNumber]:
    """Return all valid phone numbers in a string, in order of appearance."""
    if region == INTERNATIONAL:
        region, text = "ZZ", re.sub(r"^[^0-9+]*(?:00|\+)?(?=[0-9])", "+", text)
        # WhatsApp still includes the 1 that Mexico's mobile numbers had until 2019.
        text = re.sub(r"^\+521(?=[0-9]{10}$)", "+52", text)
    matches = _matches(text, region)
    # The matcher may have missed a number because of adjacent digits.
    if _count_digits("".join(match.raw_string for match in matches)) < _count_digits(text):
        matches = _matches(_separated(text, region), region) or matches
    return [match.number for match in matches]


def _separated(text: str, region: str) -> str:
    """Insert a semicolon between a phone number and adjacent digits."""
    words, parts = text.split(), [""]
    while words:
        sizes = range(min(len(words), 7), 0, -1)
        size = next((size for size in sizes if _is_number(" ".join(words[:size]), region)), 1)
        both_digits = parts[-1][-1:].isdigit() and _count_digits(words[0])
        parts += ["; " if both_digits else " ", " ".join(words[:size])]
        del words[:size]
    return "".join(parts)


def _is_number(text: str, region: str) -> bool:
    """Return True if a string is one phone number whose digits are grouped in a standard way."""
    if not 7 <= _count_digits(text) <= 15:
        return False
    matches = _matches(text, region, phonenumbers.Leniency.STRICT_GROUPING)
    return [_count_digits(match.raw_string) for match in matches] == [_count_digits(text)]


def _matches(
    text: str, region: str, leniency: int = phonenumbers.Leniency.VALID
) -> list[phonenumbers.PhoneNumberMatch]:
    return [*phonenumbers.PhoneNumberMatcher(text, region, leniency)]


def _count_digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _uncommon_title(name: HumanName) -> str:
    """Return a first name that the name parser has mistaken for a title, or ""."""
    words = {word.rstrip(".").lower() for word in name.title.split()}
    return "" if words <= _COURTESIES else str(name.title)
