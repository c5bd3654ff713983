"""Give each real name, email address and phone number its own made-up value."""

import itertools
import re
from collections.abc import Iterator
from typing import Final

import phonenumbers

#: Made-up renters. Their names and the numbers below are reserved for fiction.
RENTERS: Final = (
    *(("Dana", "Okafor"), ("Ines", "Duarte"), ("Marcus", "Lindqvist"), ("Priya", "Raman")),
    *(("Tomas", "Novak"), ("Grace", "Ellery"), ("Omar", "Haddad"), ("Lena", "Fischer")),
)
#: First and last names of the made-up people who replace people other than renters. The numbers of
#: names have no common divisor, so that all combinations below are different.
OTHER_NAMES: Final = (
    ("Walter", "Nina", "Hugo", "Ruth", "Ivan", "Clara", "Felix"),
    ("Berg", "Castillo", "Mbeki", "Sato", "Weaver", "Iverson", "Quinn", "Abbott"),
)
OTHER_PEOPLE: Final = 56
#: First and last names for everyone else. More are made by joining two of them.
MORE_NAMES: Final = (
    ("Alma", "Boris", "Celia", "Dario", "Edith", "Farid", "Gitta", "Henry", "Irma", "Jonas"),
    ("Aldana", "Brandt", "Cohen", "Dubois", "Eklund", "Ferrer", "Gupta", "Holm", "Ibarra"),
)
#: The area codes of made-up phone numbers, which end in 555-0100 to 555-0199.
AREAS: Final = ("303", *(str(area) for area in range(201, 990) if area != 303))
#: The codes of countries that have an example of a mobile number.
COUNTRY_CODES: Final = frozenset(
    code
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
    if phonenumbers.example_number_for_type(regions[0], phonenumbers.PhoneNumberType.MOBILE)
)
#: Maximum number of made-up values to try. Values repeat only in a body with more people than this.
MOST_TRIED: Final = 50_000
WORD: Final = re.compile(r"[^\W\d_](?:[\w'\u2019-]*\w)?\.?")
#: Words that say nothing about the person.
TITLE: Final = re.compile(r"(mr|mrs|ms|mx|dr|prof|jr|sr|ii|iii|iv|sra|phd|md)\.?", re.IGNORECASE)
#: Words in the middle of a name, in lowercase.
PARTICLE: Final = re.compile(r"d[aeio]s?|del|la|las|los|le|van|von|der|den|y|e|bin|al|and|und|et")


def words_of_name(text: str) -> list[str]:
    """Return the words of a name that identify a person."""
    words = [one for one in WORD.findall(text) if not TITLE.fullmatch(one)]
    inner = range(1, len(words) - 1)
    return [one for n, one in enumerate(words) if not (n in inner and PARTICLE.fullmatch(one))]


class MadeUpPeople:
    """The made-up values in the samples of one source.

    The same original has the same made-up value in all samples, and different originals have
    different ones. The ``number`` of a person selects the value that is used if it is still free. A
    negative number stands for a person who is not a renter.
    """

    def __init__(self, region: str = "") -> None:
        #: The country of phone numbers without a country code, or "" for the United States.
        self.region = region
        self._emails: dict[str, str] = {}
        self._phones: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._texts: dict[str, str] = {}

    def email(self, text: str, number: int) -> str:
        """Return the made-up email address that replaces a real address."""
        names = (f"{name}@example.com" for name in _mailboxes(number))
        return _chosen(self._emails, text.casefold(), names)

    def phone(self, text: str, number: int) -> str:
        """Return a made-up phone number in the same format as ``text``, valid in its country."""
        digits = re.sub(r"\D", "", text)
        code = _country_code(text, self.region)
        if code != 1:
            made = _chosen(self._phones, digits[-10:], _foreign_phones(code, number))
            is_whole = text.strip().startswith("+") or digits.startswith(str(code))
            before = "+" if text.strip().startswith("+") else ""
            return f"{before}{code}{made}" if is_whole else f"0{made}" if text[:1] == "0" else made
        count = min(len(digits), 10)
        numbers = (one[-count:] for one in _phones(number))
        made = _chosen(self._phones, digits[-10:], numbers)
        rest = iter(digits[: len(digits) - count] + made)
        return re.sub(r"\d", lambda _: next(rest), text)

    def words(self, text: str, number: int, part: str) -> dict[str, str]:
        """Return the made-up words that replace the words of a name.

        ``part`` is "first", "last" or "name", which stands for a full name.
        """
        words = words_of_name(text)
        is_first = _first_names(text, words, part)
        return {
            one: self._word(one, number, 0 if first else 1)
            for one, first in zip(words, is_first, strict=True)
        }

    def name(self, text: str, number: int, part: str) -> str:
        """Return a made-up name with the same number of words as a real one, in the same case."""
        words = self.words(text, number, part)
        return WORD.sub(lambda found: words.get(found[0], found[0]), text)

    def whole(self, text: str, number: int) -> str:
        """Return a made-up full name that replaces a string containing more than a name."""
        firsts, lasts = _first_or_last(number, 0), _first_or_last(number, 1)
        pairs = (f"{first} {last}" for first, last in zip(firsts, lasts, strict=False))
        return _chosen(self._texts, text.casefold(), pairs)

    def _word(self, word: str, number: int, part: int) -> str:
        key = word.rstrip(".").casefold()
        if len(key) == 1 and key.isascii():
            return word.replace(key, "j").replace(key.upper(), "J")
        made = _chosen(self._words, key, _first_or_last(number, part))
        return made.upper() if word.isupper() else made.lower() if word.islower() else made


def _chosen(known: dict[str, str], original: str, candidates: Iterator[str]) -> str:
    """Return the made-up value for a real one. If there is none yet, choose an unused one."""
    if original not in known:
        used, first = {*known.values()}, next(candidates)
        tried = itertools.chain([first], itertools.islice(candidates, MOST_TRIED))
        known[original] = next((one for one in tried if one not in used), first)
    return known[original]


def _mailboxes(number: int) -> Iterator[str]:
    """Yield made-up email usernames to try for a person, starting with the person's own name."""
    again: int | str = number // len(RENTERS) or "" if number >= 0 else ""
    first, last = next(_first_or_last(number, 0)), next(_first_or_last(number, 1))
    yield f"{first}.{last}{again}".lower()
    yield from (f"other{n}" for n in itertools.count(1))


def _phones(number: int) -> Iterator[str]:
    """Yield made-up phone numbers to try for a person, starting with the person's own."""
    yield f"{AREAS[0]}55501{(42 + number) % 100:02d}"
    yield from (f"{area}55501{(92 + n) % 100:02d}" for area in AREAS for n in range(100))


def _country_code(text: str, region: str) -> int:
    """Return the country code of a phone number, or 1 if it is unknown."""
    try:
        parsed = phonenumbers.parse(text, region or "US")
    except phonenumbers.NumberParseException:
        return 1
    code = parsed.country_code or 1
    return code if code in COUNTRY_CODES else 1


def _foreign_phones(code: int, number: int) -> Iterator[str]:
    """Yield valid phone numbers of a country, without its code, by changing an example's end."""
    region = phonenumbers.region_code_for_country_code(code)
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    whole = phonenumbers.national_significant_number(example) if example else ""
    for n in range(10_000):
        digits = f"{whole[:-4]}{(42 + number + n) % 10_000:04d}"
        parsed = phonenumbers.parse(f"+{code}{digits}")
        if phonenumbers.is_valid_number(parsed):
            yield digits


def _first_or_last(number: int, part: int) -> Iterator[str]:
    """Yield made-up first names (part 0) or last names (part 1), starting with the person's own."""
    if number >= 0:
        yield RENTERS[number % len(RENTERS)][part]
    else:
        yield OTHER_NAMES[part][number % len(OTHER_NAMES[part])]
    more = MORE_NAMES[part]
    yield from more
    for count in range(2, 5):
        yield from ("-".join(names) for names in itertools.permutations(more, count))


def _first_names(text: str, words: list[str], part: str) -> list[bool]:
    """Return one Boolean per word: True for a first name, and False for a last name."""
    if part != "name" or len(words) < 2:
        return [part == "first"] * len(words)
    last = len(words_of_name(text.partition(",")[0])) if "," in text else 0
    if 0 < last < len(words):
        return [number >= last for number in range(len(words))]
    firsts = len(words) - 1 if len(words) < 4 else len(words) // 2
    return [number < firsts for number in range(len(words))]
