"""Find the values in nested lists that a draft does not read."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.authoring.observe import Observed
from adapter.mapping.authoring.readings import quoted
from adapter.parsing.paths import EACH, located_leaves, path_from_text

#: Maximum number of values to look at in a sample.
MOST_VALUES: Final = 20_000
Parts = tuple[str, ...]


def lost_paths(samples: Sequence[Any], observed: Observed, used: Iterable[str]) -> list[str]:
    """Return the paths of values in nested lists that none of the used paths covers.

    A draft is based on the first item of a list, so that other items are easily overlooked.
    """
    lists: dict[Parts, int] = {}
    found = dict.fromkeys(one for sample in samples for one in _leaves(sample, lists))
    read = {_without_single(_expanded(path, observed), lists) for path in used}
    each = {_without_single(_expanded(name, observed), lists) for name, _ in observed.each}
    lost: dict[str, None] = {}
    for whole in found:
        parts = _without_single(whole, lists)
        start = max((len(one) for one in each if parts[: len(one)] == one), default=0)
        depth = whole.count(EACH) - parts[:start].count(EACH)
        is_read = any(parts[: len(one)] == one for one in read)
        if depth > 1 and EACH in parts[start:] and not is_read:
            lost[".".join(map(_text, parts))] = None
    return [*lost]


def _leaves(sample: Any, lists: dict[Parts, int]) -> Iterator[Parts]:
    """Yield the path of each string or number, with ``*`` for indexes, and count list items."""
    for location, value in located_leaves(sample, MOST_VALUES):
        parts = tuple(EACH if isinstance(one, int) else str(one) for one in location)
        for depth, step in enumerate(location):
            if isinstance(step, int):
                lists[parts[:depth]] = max(step + 1, lists.get(parts[:depth], 0))
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            yield parts


def _expanded(path: str, observed: Observed) -> Parts:
    """Return the parts of a path in a sample, with names from the draft replaced by their paths."""
    first, *rest = path_from_text(path).parts
    for name, list_path in observed.each:
        if first == name:
            return (*_expanded(list_path.removesuffix(".*"), observed), EACH, *rest)
    if observed.read_paths.get(first, first) != first:
        return _expanded(observed.read_paths[first], observed)
    return (first, *rest)


def _without_single(parts: Parts, lists: Mapping[Parts, int]) -> Parts:
    """Remove, as a draft does, the index of each list that never has more than one item."""
    above: Parts = ()
    kept: list[str] = []
    for part in parts:
        if above not in lists:
            kept.append(part)
        elif not (part == EACH or part.isdigit()):
            # a name cannot be looked up in a list of several items
            kept += [part] if lists[above] < 2 else ["", part]
            above = (*above, EACH)
        elif lists[above] > 1:
            kept.append(part)
        above = (*above, EACH if above in lists else part)
    return tuple(kept)


def _text(part: str) -> str:
    return part if part == EACH or re.fullmatch(r"[\w -]+", part) else quoted(part)
