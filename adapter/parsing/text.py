"""Human text made safe: what a value says, in one line of clean characters."""

import decimal
import math
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

from adapter.exceptions import Unreadable

#: Longest texts that are read, in characters after cleaning. The caps are a security control:
#: the parsers behind the transforms are slow on long input.
CAP_EMAIL: Final = 254
CAP_NAME: Final = 200
CAP_NUMBER: Final = 100
CAP_TEXT: Final = 500
#: How many items of a list are read.
CAP_ITEMS: Final = 50

#: More accents on one letter than this are dropped, as in Unicode's stream-safe form (UAX 15,
#: section 13): normalizing takes time by the square of their number.
MOST_MARKS: Final = 30

#: Control, format, private and surrogate characters: they break a database or deceive a reader.
_HARMFUL: Final = frozenset({"Cc", "Cf", "Co", "Cs"})


def clean_text(value: object, cap: int) -> str:
    """What a text or a number says: NFC, without invisible characters, in one line.

    Raises :class:`Unreadable` for anything else, for a number that is not finite, and for more
    than ``cap`` characters.
    """
    text = value if isinstance(value, str) else _text_from(value, cap)
    if len(text) <= cap and text.isascii() and text.isprintable():
        return " ".join(text.split())
    # Looked at before any work: what is ten times too long does not shrink to fit.
    if len(text) > 10 * cap:
        raise Unreadable(f"longer than {cap} characters")
    if not text.isprintable():
        text = "".join(filter(_is_kept, text))
    text = " ".join(text.split())
    if not text.isascii() and len(text) <= 3 * cap:
        text = unicodedata.normalize("NFC", "".join(_without_piled_marks(text)))
    if len(text) > cap:
        raise Unreadable(f"longer than {cap} characters")
    return text


def is_empty(value: object, blanks: Collection[str] = ()) -> bool:
    """Whether a value says nothing: absent, null, blank text, an empty list, a sender's filler.

    A list of nothing but empty items is empty. ``blanks`` holds the fillers as :func:`words`
    writes them. Zero and false are values.
    """
    if isinstance(value, list):
        return len(value) <= CAP_ITEMS and all(_is_blank(item, blanks) for item in value)
    return _is_blank(value, blanks)


def as_items(value: object) -> list[object]:
    """The items of a list, at most 50, without the empty ones; any other value is the one item."""
    if not isinstance(value, list):
        value = [value]
    return [item for item in value[:CAP_ITEMS] if not is_empty(item)]


def single_value(value: object) -> object:
    """The item of a list of one, as XML and some form builders wrap it; else the value itself."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_blank(value: object, blanks: Collection[str]) -> bool:
    if value is None or value == []:
        return True
    if isinstance(value, bool | list | dict):
        return False
    if type(value) is str and not blanks and value.isprintable():
        return not value.strip()  # what words() comes to, ten times as fast; most values are this
    try:
        text = clean_text(value, CAP_TEXT)
    except Unreadable:
        return False
    return not text or text in blanks


def _text_from(value: object, cap: int) -> str:
    if isinstance(value, bool):
        raise Unreadable("expected text, and this is true or false")
    if isinstance(value, int):
        return _digits_from(value, cap)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unreadable("not a number")
        # The shortest text of the float, without an exponent.
        return f"{decimal.Decimal(repr(value)):f}"
    if isinstance(value, list):
        raise Unreadable("expected text, and this is a list")
    raise Unreadable("expected text, and this is an object" if value else "expected text")


def _digits_from(value: int, cap: int) -> str:
    # str() itself refuses what has more than 4,300 digits.
    if value.bit_length() > 4 * cap:
        raise Unreadable(f"longer than {cap} characters")
    return str(value)


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
        if marks <= MOST_MARKS:
            yield character
