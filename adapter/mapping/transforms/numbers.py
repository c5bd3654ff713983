"""Convert integers, months and amounts of money with named transforms."""

import decimal
import re
from collections.abc import Callable
from typing import Final

from adapter.exceptions import Unreadable
from adapter.mapping.transforms.base import EMPTY, Example, Option, choice, text_or_empty, transform
from adapter.parsing.text import CAP_NUMBER

# These must match the whole text, which has at most 100 characters.
_INTEGER: Final = re.compile(r"([0-9]+)(?:\.0+)?")
_MONTHS: Final = re.compile(r"([0-9]{1,3})(?:\.0+)?(?:[ -]?(?:months?|mos?|mths?)\.?)?(?: lease)?")
_YEARS: Final = re.compile(r"([0-9]{1,2})(?:\.0+)?[ -]?(?:years?|yrs?)\.?(?: lease)?")
_AMOUNT: Final = r"(?:usd|us)? ?\$? ?([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,9})(\.[0-9]+)?(?: ?usd)?"
_PERIOD: Final = r"(?: ?(?:/|per |a )? ?(?:months?|mo|monthly)\.?)?"
_MONEY: Final = re.compile(rf"{_AMOUNT}{_PERIOD}(?: ?(?:[-\u2013\u2014]|to) ?{_AMOUNT}{_PERIOD})?")


@transform(
    "integer",
    description="A whole number in digits. Number words and fractions are unreadable.",
    examples=[
        Example(given="2", gives=2),
        Example(given=2.0, gives=2),
        Example(given=0, gives=0),
        Example(given="two", unreadable=True),
        Example(given="2.5", unreadable=True),
        Example(given="-1", unreadable=True),
        Example(given="2-3", unreadable=True),
    ],
)
def integer_from(value: object) -> object:
    """Convert a value to an integer."""
    text = text_or_empty(value, CAP_NUMBER)
    if text is EMPTY:
        return EMPTY
    match = _INTEGER.fullmatch(text)
    if not match:
        raise Unreadable("not a whole number")
    return int(match[1])


@transform(
    "months",
    description="A number of months or years. Ranges and “month to month” are unreadable.",
    examples=[
        Example(given="12", gives=12),
        Example(given="12 months", gives=12),
        Example(given="12-month lease", gives=12),
        Example(given="6mo", gives=6),
        Example(given="1 year", gives=12),
        Example(given="month to month", unreadable=True),
        Example(given="6-12 months", unreadable=True),
        Example(given="1.5 years", unreadable=True),
    ],
)
def months_from(value: object) -> object:
    """Convert a lease term in months or years to a number of months."""
    text = text_or_empty(value, CAP_NUMBER)
    if text is EMPTY:
        return EMPTY
    if match := _MONTHS.fullmatch(text.lower()):
        return int(match[1])
    if match := _YEARS.fullmatch(text.lower()):
        return 12 * int(match[1])
    raise Unreadable("not a number of months")


_TAKE: Final = Option(
    name="take",
    read=choice("low", "high"),
    allowed=("low", "high"),
    meaning=(
        "The end of a range to use. A single amount counts as the high end, and the low end is "
        "then empty. Without `take`, a range is unreadable."
    ),
)


@transform(
    "dollars",
    description=(
        "An amount in US dollars, converted to cents. The amount may have commas, `$` or USD, two "
        "digits for cents, and “/mo” or “per month”. The value may also be a range of two amounts."
    ),
    options=[_TAKE],
    examples=[
        Example(given="$1,850.00", gives=185000),
        Example(given="1850/mo", gives=185000),
        Example(given=1234.5, gives=123450),
        Example(given="$1,400 - $1,900", options={"take": "low"}, gives=140000),
        Example(given="$1,400 - $1,900", options={"take": "high"}, gives=190000),
        Example(given="$1,900", options={"take": "high"}, gives=190000),
        Example(given="$1,900", options={"take": "low"}, gives=EMPTY),
        Example(given="$1,400 - $1,900", unreadable=True),
        Example(given="1.850", unreadable=True),
        Example(given="1,85", unreadable=True),
        Example(given="1.8k", unreadable=True),
        Example(given="$1,850.999", unreadable=True),
        Example(given="under 2k", unreadable=True),
        Example(given="free", unreadable=True),
        Example(given="-1850", unreadable=True),
    ],
)
def dollars_from(value: object, *, take: str | None) -> object:
    """Convert an amount in dollars to whole cents."""
    # The JSON number 1234.5 is $1,234.50; the text "1234.5" is ambiguous.
    places = (1, 2) if isinstance(value, float) else (2,)

    def cents(whole: str, fraction: str | None) -> int:
        if fraction and len(fraction) - 1 not in places:
            raise Unreadable("not an amount in dollars")
        return int(decimal.Decimal(whole + (fraction or "")) * 100)

    return _money(value, take, "not an amount in dollars", cents)


@transform(
    "cents",
    description="An amount in US cents: digits, or a range of two amounts.",
    options=[_TAKE],
    examples=[
        Example(given=185000, gives=185000),
        Example(given="185,000", gives=185000),
        Example(given="140000-190000", options={"take": "high"}, gives=190000),
        Example(given="1850.50", unreadable=True),
    ],
)
def cents_from(value: object, *, take: str | None) -> object:
    """Convert an amount in cents to an integer."""

    def cents(whole: str, fraction: str | None) -> int:
        if fraction and fraction.strip(".0"):
            raise Unreadable("not a whole number of cents")
        return int(whole)

    return _money(value, take, "not an amount in cents", cents)


def _money(
    value: object, take: str | None, reason: str, cents: Callable[[str, str | None], int]
) -> object:
    text = text_or_empty(value, CAP_NUMBER)
    if text is EMPTY:
        return EMPTY
    match = _MONEY.fullmatch(text.lower())
    if not match:
        raise Unreadable(reason)
    low, high = (
        cents(whole.replace(",", ""), fraction) if whole else None
        for whole, fraction in (match.group(1, 2), match.group(3, 4))
    )
    if high is None:
        return EMPTY if take == "low" else low
    if take is None:
        raise Unreadable("a range; add take: low or take: high to the mapping")
    if low is None or low > high:
        raise Unreadable("a range whose low end is greater than its high end")
    return low if take == "low" else high
