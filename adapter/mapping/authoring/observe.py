"""Find the structures in sample payloads, such as lists of leads or answers."""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.authoring.payload_keys import key_of
from adapter.mapping.authoring.readings import (
    Mail,
    Reading,
    label_readings,
    mail_in,
    read,
    reading_at,
)
from adapter.mapping.transforms import is_empty
from adapter.parsing import forms
from adapter.parsing.date_parts import date_part_kinds
from adapter.parsing.paths import MISSING, leaves, walk

#: Keys that show that each item in a list is a separate lead.
PERSON: Final = re.compile(r"e?mail(address)?|phone(number)?|(first|last|full)name")
#: Parts of a path that show that a person is not a renter.
STAFF: Final = re.compile(r"agent|owner|host|staff|assignee|organizer|user")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """The structures and values in the samples, with a row for each lead."""

    #: ``name: path`` for ``for_each``, or None.
    each: tuple[str, str] | None
    #: The email of which the samples consist, or None.
    mail: Mail | None
    #: The lines under ``read:``, by name.
    readers: Mapping[str, str]
    #: The data of each lead, in which the names of ``each`` and ``readers`` are keys.
    rows: Sequence[Mapping[str, Any]]
    #: All paths with a single value or a date in parts, and their values in each row.
    values: Mapping[str, Sequence[Any]]

    def filled(self, path: str) -> list[Any]:
        """Return the nonempty values at a path."""
        return [value for value in self.values.get(path, ()) if not _is_blank(value)]

    def is_filled(self, path: str) -> list[bool]:
        """Return one Boolean per row: True if the row's value at a path is not empty."""
        return [not _is_blank(value) for value in self.values.get(path, ())]

    def beside(self, path: str) -> list[str]:
        """Return the keys of all values with the same parent as the value at a path."""
        parent = path.rpartition(".")[0]
        return [key_of(one) for one in self.values if one.rpartition(".")[0] == parent]


def observe(samples: Sequence[Any]) -> Observed:
    """Collect the structures and values found in parsed sample payloads."""
    each = _items_path(samples)
    rows = [row for sample in samples for row in _rows(sample, each)]
    mail = mail_in(rows, lambda name: _free_name(name, (), rows))
    readings = _readings(rows, mail)
    for row in rows:
        for one in readings:
            row[one.name] = one.read(row)
    return Observed(
        each=each,
        mail=mail,
        readers={one.name: one.line for one in readings} | (mail.sentences() if mail else {}),
        rows=rows,
        values=_values(rows, [one.name for one in readings]),
    )


def with_query(payload: Any, query: str) -> Any:
    """Return the payload with the query parameters added under ``query``, as mappings expect."""
    parameters = forms.parse_query(query)
    if not parameters or not isinstance(payload, Mapping) or "query" in payload:
        return payload
    return {**payload, "query": parameters}


def _is_blank(value: Any) -> bool:
    return value is MISSING or is_empty(value, ())


def _items_path(samples: Sequence[Any]) -> tuple[str, str] | None:
    """Return the ``for_each`` name and path of a list whose items are leads, or None.

    If there is a person outside a list, the people in the list are not leads. They belong to that
    person, such as the other occupants.
    """
    for sample in samples:
        for path, value in walk(sample):
            if isinstance(value, list) and len(value) > 1 and all(map(_is_person, value)):
                whole = sample if isinstance(sample, Mapping) else {}
                return None if _is_person(without(whole, path)) else (_each_name(samples), path)
    return None


def _each_name(samples: Sequence[Any]) -> str:
    taken = {key for sample in samples if isinstance(sample, Mapping) for key in sample}
    return next(name for name in ("lead", "item", "each_lead") if name not in taken)


def _is_person(item: Any) -> bool:
    """Return True if a list item has a key for a person's data, such as an email address."""
    if not isinstance(item, Mapping):
        return False
    paths = (path for path, value in leaves(item) if not isinstance(value, list))
    keys = (path.split(".")[-1] for path in paths if not STAFF.search(path.lower()))
    return any(PERSON.fullmatch(re.sub("[^a-z]", "", key.lower())) for key in keys)


def _rows(sample: Any, each: tuple[str, str] | None) -> Iterator[dict[str, Any]]:
    whole = dict(sample) if isinstance(sample, Mapping) else {}
    if each is None:
        yield whole
        return
    name, path = each
    items = read(sample, path)
    for item in items if isinstance(items, list) else [items]:
        if item is not MISSING:
            yield {name: item, **without(whole, path)}


def without(data: Any, path: str) -> dict[str, Any]:
    """Return a copy of an object without the value at a path."""
    first, _, rest = path.partition(".")
    inner = data.get(first)
    if not rest or not isinstance(inner, Mapping):
        return {key: value for key, value in data.items() if key != first}
    return {**data, first: without(inner, rest)}


def _readings(rows: Sequence[Mapping[str, Any]], mail: Mail | None) -> list[Reading]:
    """Propose ``read:`` lines for lists of answers, JSON strings and labels in emails."""
    found: dict[str, Reading] = {}
    if mail:
        found[mail.name] = Reading(mail.name, mail.line(), mail.text)
    for one in (*_nested(rows), *(label_readings(mail, rows) if mail else ())):
        if not any(one.line == known.line for known in found.values()):
            name = _free_name(one.name, found, rows)
            found[name] = dataclasses.replace(one, name=name)
    return [*found.values()]


def _nested(rows: Sequence[Mapping[str, Any]]) -> Iterator[Reading]:
    lists = _lists(rows)
    for row in rows:
        for written, value in walk(row):
            if one := reading_at(_written(written, lists), value):
                yield one


def _free_name(name: str, found: Collection[str], rows: Sequence[Mapping[str, Any]]) -> str:
    taken = {*found, *(key for row in rows for key in row)}
    numbers = ("", *range(2, 100))
    return next(f"{name}{one}" for one in numbers if f"{name}{one}" not in taken)


def _values(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values at each path, one per row. Values from ``read:`` come first."""
    values: dict[str, list[Any]] = {}
    several = _lists(rows)
    for number, row in enumerate(rows):
        ordered = {name: row[name] for name in names} | dict(row)
        for written, value in _leaves(ordered):
            path = _written(written, several)
            column = values.setdefault(path, [MISSING] * len(rows))
            is_single = isinstance(value, list) and len(value) == 1
            column[number] = value[0] if is_single else value
    return values


def _leaves(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all paths with their values. An object with date parts counts as a single value."""
    dates = {path: value for path, value in walk(row) if date_part_kinds(value)}
    yield from dates.items()
    inside = tuple(f"{path}." for path in dates)
    yield from ((path, value) for path, value in leaves(row) if not path.startswith(inside))


def _lists(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the maximum length of each list in the rows, by its path without indexes."""
    most: dict[str, int] = {}
    for row in rows:
        for path, value in walk(row):
            if isinstance(value, list):
                plain = re.sub(r"\.\d+(?=\.|$)", "", path)
                most[plain] = max(len(value), most.get(plain, 0))
    return most


def _written(path: str, lists: Mapping[str, int]) -> str:
    """Return a path as it should be written in a draft, leaving out or adding list indexes.

    The index of a list that has one item in all samples is left out. With it, a mapping would drop
    the other items of a longer list. Without it, such a list needs review. An object that is a list
    of several items elsewhere gets the index. Notes take all items, so their index is kept.
    """
    above: list[str] = []
    kept: list[str] = []
    parts = path.split(".")
    for before, part in zip(["", *parts], parts, strict=False):
        most = lists.get(".".join(above), 0)
        if not part.isdigit():
            kept += ["0", part] if most > 1 and not before.isdigit() else [part]
            above.append(part)
        elif part != "0" or most != 1 or path.endswith(".0.answer"):
            kept.append(part)
    return ".".join(kept)
