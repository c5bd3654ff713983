"""Find values that indicate a canceled or moved tour that a mapping would still book."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from adapter.mapping.authoring.cancellations import says_canceled, says_moved
from adapter.mapping.authoring.item_lists import without
from adapter.mapping.engine import SENT_OUTCOMES, Scope
from adapter.mapping.engine.conditions import Condition
from adapter.mapping.engine.tables import key_from_value
from adapter.mapping.source import Source
from adapter.parsing.paths import leaves

CANCELED: Final = (
    "{at} seems to say that this tour was canceled, but the mapping books it: put the value under "
    "'cancellation' or 'ignore'"
)
MOVED: Final = (
    "{at} seems to say that this tour was moved, and no condition reads it: make sure that "
    "starts_at reads the new time, and that dedupe is the same as for the first booking"
)
#: Fields whose values describe the renter and not a tour.
RENTERS: Final = re.compile(r"(first_|last_)?name|(email|phone)_\d")
#: Maximum length of a value in a warning.
MOST_SHOWN: Final = 40


def doubtful_values(source: Source, scope: Scope) -> list[str]:
    """Return a warning for each value of a webhook that contradicts its booking."""
    conditions = [*_conditions(source)]
    renters = {*_renters_paths(source)}
    values = (pair for data in _booked(source, scope) for pair in leaves(data))
    texts = (
        _warning(path, value, conditions)
        for path, value in values
        if without_items(path) not in renters
    )
    return list(dict.fromkeys(text for text in texts if text))


def _renters_paths(source: Source) -> Iterator[str]:
    """Yield the paths of the renter's name and contact details, with list indexes removed."""
    for one in source.used_paths:
        if one.where[0] == "appointment" and RENTERS.fullmatch(one.where[1]):
            yield without_items(one.path.text)


def _booked(source: Source, scope: Scope) -> Iterator[Any]:
    """Yield the data of each item that the mapping books, and the data outside of all items."""
    outcomes = [item.outcome for item in source.compiled.apply(scope, None).items]
    if not any(outcome in SENT_OUTCOMES for outcome in outcomes):
        return
    levels = source.compiled.for_each
    if not levels or not isinstance(scope.payload, dict):
        yield scope.payload
        return
    yield without(scope.payload, ".".join(levels[0].path.parts[:1]))
    _, items = source.compiled.scopes(scope)
    for outcome, item in zip(outcomes, items, strict=False):
        if outcome in SENT_OUTCOMES:
            yield {levels[-1].name: item.names[levels[-1].name]}


def _conditions(source: Source) -> Iterator[Condition]:
    for one in (source.compiled.event_filter, source.compiled.item_filter):
        yield from one.accept
        yield from (condition for group in (*one.ignore, *one.cancellation) for condition in group)


def _warning(path: str, value: Any, conditions: Iterable[Condition]) -> str | None:
    """Return the warning for a value, or None if it is fine or the mapping expects it."""
    reading = [one for one in conditions if without_items(one.path.text) == without_items(path)]
    accepted = [one for one in reading if one.section == "accept" and not one.negated]
    is_expected = any(key_from_value(value) in one.values for one in accepted)
    if says_canceled(path, value) and not is_expected:
        return CANCELED.format(at=f"{path} ({_shown(value)})")
    if says_moved(path, value) and not reading:
        return MOVED.format(at=f"{path} ({_shown(value)})")
    return None


def _shown(value: Any) -> str:
    """Return a value as the sender wrote it: text in quotes, or a number, true or false."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value[:MOST_SHOWN]) if isinstance(value, str) else str(value)[:MOST_SHOWN]


def without_items(path: str) -> str:
    """Return a path with list indexes removed."""
    return ".".join(part for part in path.split(".") if part != "*" and not part.isdigit())
