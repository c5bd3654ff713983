"""Convert an untrusted value to a single line of printable text."""

import decimal
import html.entities
import math
import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

from adapter.exceptions import Unreadable

#: Maximum lengths in characters after cleaning. This is a security control, because the parsers
#: that transforms use are slow on long input.
CAP_EMAIL: Final = 254
CAP_NAME: Final = 200
CAP_NUMBER: Final = 100
CAP_TEXT: Final = 500
#: Maximum number of list items. Additional items are ignored.
CAP_ITEMS: Final = 50

#: Maximum number of accents on a letter. The rest are dropped, as in Unicode's stream-safe form
#: (UAX 15, section 13), because normalizing them takes quadratic time.
MAX_MARKS: Final = 30

#: Control, format, private-use and surrogate characters, which break databases or mislead readers.
_HARMFUL: Final = frozenset({"Cc", "Cf", "Co", "Cs"})

#: The zero-width joiner, which combines several emoji into one, and the variation selector.
_JOINER: Final = "\u200d"
_SELECTOR: Final = "\ufe0f"

#: Characters that a program has escaped for HTML (even twice), PHP or JSON. HTML entities without
#: a semicolon are left alone, because ``&copy=1`` may be part of a URL.
_ESCAPED: Final = re.compile(
    r"&(?:(?:amp|#0*38|#[xX]0*26);)*(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
    r"|\\{1,7}(['\"/])|\\u([0-9a-fA-F]{4})"
)
#: The start of UTF-8 text that was decoded as another charset: ``JosÃ©``.
_MISREAD: Final = re.compile("[ÂÃâð][^\0-\x7f]")


def clean_text(value: object, cap: int) -> str:
    """Convert a string or number to one line of normalized text without invisible characters.

    Characters that a program has escaped or misread are restored: ``O&#039;Brien`` is O'Brien.

    Raise :class:`Unreadable` for other types, infinite numbers, and more than ``cap`` characters.
    """
    text = value if isinstance(value, str) else _text_from(value, cap)
    is_escaped = "&" in text or "\\" in text
    if len(text) <= cap and text.isascii() and text.isprintable() and not is_escaped:
        return " ".join(text.split())
    # Checked first, because text that is ten times too long will not shrink enough.
    if len(text) > 10 * cap:
        raise Unreadable(f"longer than {cap} characters")
    if is_escaped:
        text = _ESCAPED.sub(_unescaped, text)
    # A step can leave work for an earlier one: once a control character is dropped, its neighbors
    # may turn out to be misread UTF-8.
    while (tidied := _tidied(text, cap)) != text:
        text = tidied
    if len(text) > cap:
        raise Unreadable(f"longer than {cap} characters")
    return text


def is_empty(value: object, blanks: Collection[str] = ()) -> bool:
    """Return True if a value is null, blank, an empty list, or in ``blanks``.

    A list of empty items is empty. Zero and false are not. ``blanks`` holds the sender's strings
    for empty values, as :func:`clean_text` returns them.
    """
    if type(value) is str and not blanks and value.isprintable():
        # Fast path with the same result as clean_text().
        return not value or value.isspace()
    if isinstance(value, list):
        return len(value) <= CAP_ITEMS and all(_is_blank(item, blanks) for item in value)
    return _is_blank(value, blanks)


def as_items(value: object) -> list[object]:
    """Return up to 50 nonempty items from a list. Any other value counts as a single item."""
    if not isinstance(value, list):
        value = [value]
    return [item for item in value[:CAP_ITEMS] if not is_empty(item)]


def single_value(value: object) -> object:
    """Return the only item of a one-item list. Return any other value unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def joined_text(value: object) -> str:
    """Return a value as text. The items of a list are separated by commas."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_blank(value: object, blanks: Collection[str]) -> bool:
    if value is None or value == []:
        return True
    if isinstance(value, bool | list | dict):
        return False
    try:
        text = clean_text(value, CAP_TEXT)
    except Unreadable:
        return False
    return not text or text in blanks


def _text_from(value: object, cap: int) -> str:
    if isinstance(value, bool):
        raise Unreadable("expected text, but got true or false")
    if isinstance(value, int):
        return _digits_from(value, cap)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unreadable("not a number")
        # The shortest representation of the float, without an exponent.
        return f"{decimal.Decimal(repr(value)):f}"
    if isinstance(value, list):
        raise Unreadable("expected text, but got a list")
    raise Unreadable("expected text, but got an object" if value else "expected text")


def _digits_from(value: int, cap: int) -> str:
    # str() raises ValueError for more than 4,300 digits.
    if value.bit_length() > 4 * cap:
        raise Unreadable(f"longer than {cap} characters")
    return str(value)


def _unescaped(match: re.Match[str]) -> str:
    entity, quoted, digits = match.groups()
    if entity is None:
        return quoted or chr(int(digits, 16))
    is_known = entity[0] == "#" or f"{entity};" in html.entities.html5
    return html.unescape(f"&{entity};") if is_known else match[0]


def _tidied(text: str, cap: int) -> str:
    """Normalize a string as :func:`clean_text` does, but without unescaping."""
    if not text.isascii() and _MISREAD.search(text):
        text = _reread(text)
    if not text.isprintable():
        text = "".join(_kept(text))
    text = " ".join(text.split())
    if not text.isascii() and len(text) <= 3 * cap:
        text = unicodedata.normalize("NFC", "".join(_without_piled_marks(text)))
    return text


def _reread(text: str) -> str:
    """Repair UTF-8 text that was decoded with the wrong charset. Return other text unchanged."""
    for charset in ("windows-1252", "latin-1"):
        try:
            return text.encode(charset).decode()
        except UnicodeError:
            continue
    return text


def _kept(text: str) -> Iterator[str]:
    """Yield the visible characters of a string, and the joiners in combined emoji."""
    for number, character in enumerate(text):
        if _is_kept(character) or (character == _JOINER and _joins(text, number)):
            yield character


def _joins(text: str, number: int) -> bool:
    before = text[max(number - 2, 0) : number].rstrip(_SELECTOR)
    around = (before[-1:], text[number + 1 : number + 2])
    return all(one and unicodedata.category(one) in ("So", "Sk") for one in around)


def _is_kept(character: str) -> bool:
    return (
        character.isprintable()
        or character.isspace()
        or unicodedata.category(character) not in _HARMFUL
    )


def _without_piled_marks(text: str) -> Iterator[str]:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            yield character


def readable_json(text: str) -> str:
    """Return JSON with readable characters in place of their ASCII escapes.

    Other escapes stay, because a terminal may interpret control characters.
    """
    return _JSON_ESCAPE.sub(_readable, text)


def _readable(match: re.Match[str]) -> str:
    character = chr(int(match[2], 16))
    return match[1] + (character if character.isprintable() else match[0][len(match[1]) :])


#: The escape of a character in JSON, after an even number of backslashes.
_JSON_ESCAPE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9a-f]{4})")
