"""Find the list of leads in a sample, for ``for_each``."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.authoring.readings import answers_in, read
from adapter.parsing.paths import leaves, walk

#: Keys that show that each item in a list is a separate lead.
PERSON: Final = re.compile(r"e?mail(address)?|phone(number)?|(first|last|full)name")
#: Parts of a path that show that a person is not a renter.
STAFF: Final = re.compile(r"agent|owner|host|staff|assignee|organizer|user")


def levels_in(samples: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    """Return ``name: path`` for each line of ``for_each``, or () if no list consists of leads.

    If there is a person outside a list, the people in the list are not leads. They belong to that
    person, such as the other occupants.
    """
    for sample in samples:
        for path, value in walk(sample):
            if isinstance(value, list) and _are_leads(value):
                whole = sample if isinstance(sample, Mapping) else {}
                return () if _is_person(without(whole, path)) else _named(path, value, samples)
    return ()


def _named(path: str, items: list[Any], samples: Sequence[Any]) -> tuple[tuple[str, str], ...]:
    taken = {key for sample in samples if isinstance(sample, Mapping) for key in sample}
    levels: list[tuple[str, str]] = []
    *outer, last = _list_paths(path, items)
    for one in outer:
        key = re.sub(r"\W", "_", one.split(".")[-1])
        name = _free(key.removesuffix("s"), f"each_{key}", taken | {known for known, _ in levels})
        levels.append((name, ".".join([*(known for known, _ in levels[-1:]), one])))
    lead = next(name for name in ("lead", "item", "each_lead") if name not in taken)
    return (*levels, (lead, ".".join([*(known for known, _ in levels[-1:]), last])))


def _free(name: str, other: str, taken: Collection[str]) -> str:
    names = (name, other, *(f"{other}_{number}" for number in range(2, 100)))
    return next(one for one in names if one not in taken)


def _are_leads(items: list[Any]) -> bool:
    """Return True if each item of a list is a person. One item is enough if it is a list itself."""
    is_list = len(items) > 1 or (len(items) == 1 and isinstance(items[0], list))
    return is_list and all(map(_is_person, items))


def _is_person(item: Any) -> bool:
    """Return True if a list item has a key for personal data, such as an email address."""
    return any(PERSON.fullmatch(re.sub("[^a-z]", "", key.lower())) for key in _keys(item))


def _keys(item: Any) -> Iterator[str]:
    """Yield the keys in a list item, and the questions in its lists of answers."""
    if isinstance(item, Mapping):
        paths = (path for path, value in leaves(item) if not isinstance(value, list))
        yield from (path.split(".")[-1] for path in paths if not STAFF.search(path.lower()))
    for _, value in (("", item), *walk(item)):
        if isinstance(value, list) and len(value) > 1 and (answers := answers_in(value)):
            yield from (str(read(one, answers[0])) for one in value)


def _list_paths(path: str, items: list[Any]) -> list[str]:
    """Return the path of each list above the leads, each relative to the previous list's items.

    The path is split at each index, because the lists above it may have more items.
    """
    own = [one for one in re.split(r"(?:\.\d+)+(?:\.|$)", path) if one]
    if any(isinstance(item, list) for item in items):
        own[-1] += ".*"
    return [*own, *_inner_paths(items)]


def _inner_paths(items: list[Any]) -> list[str]:
    """Return the paths to an inner list of leads in the items, or [] if there is none."""
    for item in items:
        for path, value in walk(item) if isinstance(item, Mapping) else ():
            is_inner = isinstance(value, list) and _are_leads(value)
            if is_inner and not _is_person(without(item, path)):
                return _list_paths(path, value)
    return []


def without(data: Any, path: str) -> dict[str, Any]:
    """Return a copy of an object without the value at a path."""
    first, _, rest = path.partition(".")
    inner = data.get(first)
    if not rest or not isinstance(inner, Mapping):
        return {key: value for key, value in data.items() if key != first}
    return {**data, first: without(inner, rest)}
