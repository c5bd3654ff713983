"""Find values in samples that show that a lead is from another country or about a sale."""

import re
from collections.abc import Iterator
from typing import Any, Final

from adapter.mapping.authoring.field_keys import Guesses
from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.payload_keys import key_of
from adapter.mapping.transforms import REGIONS

RENTS: Final = ("rent_minimum_in_cents", "rent_maximum_in_cents")
#: The key of the guesses for prices that go into the notes.
PRICES: Final = "prices"
COUNTRY: Final = re.compile(r".*country(iso)?(code)?|phoneregion")
CURRENCY: Final = re.compile(r".*currency(code)?|rentcurrency")
#: Keys of the payment period of a rent, and the values that mean a month.
PERIOD: Final = re.compile(r"(rent|price|payment)?(frequency|period|interval|per|unit)")
OTHER_PERIOD: Final = re.compile(
    r"(?<![a-z])(week|weekly|pw|day|daily|night|nightly|year|yearly|annual|annually|pa)(?![a-z])",
    re.IGNORECASE,
)
#: Keys that say what kind of request it is, and values of a request to buy.
KIND_OF_REQUEST: Final = re.compile(
    r".*(intent|(enquiry|inquiry|lead|listing|transaction|search|request|offer)(type|kind)|purpose)"
)
SALE: Final = re.compile(r"(?<![a-z])(buy|buyer|buying|sales?|purchase)(?![a-z])", re.IGNORECASE)


def region_of(observed: Observed) -> str:
    """Return the country for phone numbers without a country code, or "" for the United States."""
    regions = {str(one).upper() for one in _values(observed, COUNTRY)} & {*REGIONS}
    return regions.pop() if len(regions) == 1 and not regions & {"US", "CA"} else ""


def sale_paths(observed: Observed) -> list[str]:
    """Return the paths of values that say that someone wants to buy."""
    return [
        path
        for path in observed.values
        if KIND_OF_REQUEST.fullmatch(key_of(path))
        and any(SALE.search(str(one).replace("_", " ")) for one in observed.filled(path))
    ]


def with_other_prices(
    guesses: dict[str, tuple[str, ...]], observed: Observed
) -> dict[str, tuple[str, ...]]:
    """Move the rents to the notes unless they are in dollars per month."""
    if not _has_other_prices(guesses, observed):
        return guesses
    rents = [path for one in RENTS for path in guesses.get(one, ())]
    parents = {path.rpartition(".")[0] for path in rents}
    beside = (path for path in observed.values if path.rpartition(".")[0] in parents)
    units = [path for path in beside if PERIOD.fullmatch(key_of(path)) or _is_currency(path)]
    kept = {target: paths for target, paths in guesses.items() if target not in RENTS}
    return {**kept, PRICES: tuple(dict.fromkeys([*rents, *units]))}


def _is_currency(path: str) -> bool:
    return CURRENCY.fullmatch(key_of(path)) is not None


def _has_other_prices(guesses: Guesses, observed: Observed) -> bool:
    periods = (str(one).replace("_", " ") for one in _values(observed, PERIOD))
    currencies = {str(one).lower() for one in _values(observed, CURRENCY)}
    is_other = any(OTHER_PERIOD.search(one) for one in periods) or bool(currencies - {"usd", "$"})
    has_rents = any(one in guesses for one in RENTS)
    return has_rents and (is_other or bool(sale_paths(observed)) or bool(region_of(observed)))


def _values(observed: Observed, keys: re.Pattern[str]) -> Iterator[Any]:
    for path in observed.values:
        if keys.fullmatch(key_of(path)):
            yield from observed.filled(path)
