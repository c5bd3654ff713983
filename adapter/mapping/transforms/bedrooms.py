"""Convert bedroom counts with the ``bedrooms`` transform."""

import re
from typing import Final

from adapter.exceptions import Unreadable
from adapter.mapping.transforms.base import EMPTY, Example, Noted, text_or_empty, transform
from adapter.parsing.text import CAP_TEXT, as_items

#: Larger numbers are not bedroom counts.
MAX_BEDROOMS: Final = 12

# These must match the whole text, which has at most 100 characters.
_SIZE: Final = r"(studio|[0-9]{1,2}(?:\.0+)?)(?:[ -]?(?:bedrooms?|beds?|bdrms?|bds?|brs?))?"
_BEDROOMS: Final = re.compile(rf"{_SIZE}(\+| or more)?(?:[ -]?(?:bedrooms?|beds?|brs?))?")
_BEDROOM_RANGE: Final = re.compile(rf"{_SIZE} ?(?:[-\u2013\u2014]|to) ?{_SIZE}(\+)?")
#: A number of bedrooms in a sentence, next to a word for bedrooms.
_IN_PROSE: Final = re.compile(
    r"(?<![\w.,-])(?:studio|[0-9]{1,2}(?:\+| or more)?(?: ?(?:-|to|or|and|&|/) ?[0-9]{1,2}\+?)?"
    r"[ -]?(?:bedrooms?|beds?|bdrms?|bds?|brs?))(?![\w])"
)
#: Words that reverse the meaning of a sentence, or make it ambiguous.
_DENIAL: Final = re.compile(r"\b(?:no|not|without|except|never|any|t)\b")
_BETWEEN: Final = re.compile(r" ?(?:,|;|&|\bor\b(?! more)|\band\b) ?")


@transform(
    "bedrooms",
    description=(
        "The numbers of bedrooms that the renter wants, as a sorted list. 0 means a studio, and 3 "
        "means three or more bedrooms. The value may be a string or a list. Unreadable list items "
        "go into the notes. If the value is a sentence that mentions bedrooms, the sentence also "
        "goes into the notes."
    ),
    examples=[
        Example(given="Studio", gives=[0]),
        Example(given="2 BR", gives=[2]),
        Example(given=2, gives=[2]),
        Example(given="1-2", gives=[1, 2]),
        Example(given="2 or 3", gives=[2, 3]),
        Example(given="3+", gives=[3]),
        Example(given="5", gives=[3]),
        Example(given="Studio, 1", gives=[0, 1]),
        Example(given="3_OR_MORE_BEDROOMS", gives=[3]),
        Example(given=["1_BEDROOM", "STUDIO"], gives=[0, 1]),
        Example(given=["2", "loft"], gives=[2], note="Bedrooms: loft"),
        Example(given="1 Bed 1 Bath", gives=[1], note="Bedrooms: 1 Bed 1 Bath"),
        Example(
            given="Looking for a 2 or 3 bedroom by May",
            gives=[2, 3],
            note="Bedrooms: Looking for a 2 or 3 bedroom by May",
        ),
        Example(given=[], gives=EMPTY),
        Example(given="any", unreadable=True),
        Example(given="no studio, please", unreadable=True),
        Example(given="1.5", unreadable=True),
        Example(given="3-1", unreadable=True),
    ],
)
def bedrooms_from(value: object) -> object:
    """Convert bedroom counts to a sorted list of integers from 0 to 3."""
    items = as_items(value)
    if not items:
        return EMPTY
    sizes: set[int] = set()
    unreadable = []
    for item in items:
        try:
            sizes |= _sizes(text_or_empty(item, CAP_TEXT) or "")
        except Unreadable:
            sizes |= _sizes_in_prose(_text_or_none(item) or "")
            unreadable.append(item)
    if not sizes:
        raise Unreadable("not a number of bedrooms")
    texts = [text for text in map(_text_or_none, unreadable) if text]
    return Noted(sorted(sizes), "Bedrooms: " + ", ".join(texts)) if texts else sorted(sizes)


def _sizes(text: str) -> set[int]:
    sizes: set[int] = set()
    for piece in _BETWEEN.split(text.lower().replace("_", " ")):
        sizes |= _sizes_of_piece(piece)
    return sizes


def _sizes_of_piece(piece: str) -> set[int]:
    if match := _BEDROOMS.fullmatch(piece):
        low = high = _size(match[1])
        is_open = match[2]
    elif match := _BEDROOM_RANGE.fullmatch(piece):
        low, high, is_open = _size(match[1]), _size(match[2]), match[3]
    else:
        raise Unreadable("not a number of bedrooms")
    if low > high:
        raise Unreadable("a range whose low end is greater than its high end")
    return {min(size, 3) for size in range(low, (max(high, 3) if is_open else high) + 1)}


def _sizes_in_prose(text: str) -> set[int]:
    """Return the bedroom counts in a sentence, or an empty set if the sentence is ambiguous."""
    text = text.lower()
    if _DENIAL.search(text):
        return set()
    sizes: set[int] = set()
    for found in _IN_PROSE.findall(text):
        try:
            sizes |= _sizes(found.replace("/", " or "))
        except Unreadable:
            return set()
    return sizes


def _size(text: str) -> int:
    size = 0 if text == "studio" else int(text.partition(".")[0])
    if size > MAX_BEDROOMS:
        raise Unreadable("not a number of bedrooms")
    return size


def _text_or_none(item: object) -> str | None:
    try:
        return text_or_empty(item, CAP_TEXT)
    except Unreadable:
        return None
