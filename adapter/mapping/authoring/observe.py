"""Find lists of leads, lists of answers and other structures in sample payloads."""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from adapter.mapping.authoring.item_lists import levels_in, without
from adapter.mapping.authoring.payload_keys import key_of
from adapter.mapping.authoring.readings import (
    Mail,
    Reading,
    answers_in,
    label_readings,
    mail_in,
    read,
    reading_at,
)
from adapter.mapping.transforms import is_empty
from adapter.parsing import forms
from adapter.parsing.date_parts import date_part_kinds
from adapter.parsing.paths import MISSING, leaves, walk


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """The structures and values found in the samples, with one row of values per lead."""

    #: ``name: path`` for each line of ``for_each``, or () if each sample is one lead.
    each: tuple[tuple[str, str], ...]
    #: The structure of the samples if they are emails, or None.
    mail: Mail | None
    #: The lines under ``read:``, by name.
    readers: Mapping[str, str]
    #: The data of each lead, with the names of ``each`` and ``readers`` as keys.
    rows: Sequence[Mapping[str, Any]]
    #: The index of each row's sample.
    samples: Sequence[int]
    #: The path of each row's item in its sample, or "".
    places: Sequence[str]
    #: The paths of the lists, texts and JSON strings that ``readers`` read, by name.
    read_paths: Mapping[str, str]
    #: All paths with a single value or a date in parts, and their values in each row.
    values: Mapping[str, Sequence[Any]]

    def filled(self, path: str) -> list[Any]:
        """Return the nonempty values at a path."""
        return [value for value in self.values.get(path, ()) if not is_blank(value)]

    def is_filled(self, path: str) -> list[bool]:
        """Return one Boolean per lead: True if the lead has a nonempty value at the path."""
        return [not is_blank(value) for value in self.values.get(path, ())]

    def is_of_item(self, path: str) -> bool:
        """Return True if a path leads into a ``for_each`` item, directly or through ``read``."""
        first = path.split(".")[0]
        if first in self.read_paths and self.read_paths[first] != path:
            return self.is_of_item(self.read_paths[first])
        return any(first == name for name, _ in self.each)

    def is_label(self, path: str) -> bool:
        """Return True if a path is a label in an email, which other emails may not have."""
        return self.mail is not None and self.read_paths.get(path) == self.mail.name

    def list_above(self, path: str) -> str:
        """Return the path of the innermost list that a path leads into, or "" if there is none."""
        parts = path.split(".")
        above = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
        lists = (one for one in above if any(isinstance(read(row, one), list) for row in self.rows))
        return next(lists, "")

    def beside(self, path: str) -> list[str]:
        """Return the keys of the object that contains the value at a path."""
        parent = path.rpartition(".")[0]
        return [key_of(one) for one in self.values if one.rpartition(".")[0] == parent]


def observe(samples: Sequence[Any]) -> Observed:
    """Collect the structures and values found in parsed sample payloads."""
    each = levels_in(samples)
    placed = [(n, *one) for n, sample in enumerate(samples) for one in _rows(sample, each)]
    rows = [row for _, _, row in placed]
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
        samples=[number for number, _, _ in placed],
        places=[place for _, place, _ in placed],
        read_paths={one.name: one.path for one in readings},
        values=_values(rows, [one.name for one in readings]),
    )


def with_query(payload: Any, query: str) -> Any:
    """Return the payload with the query parameters under the key ``query``."""
    parameters = forms.parse_query(query)
    if not parameters or not isinstance(payload, Mapping) or "query" in payload:
        return payload
    return {**payload, "query": parameters}


def is_blank(value: Any) -> bool:
    """Return True if a value is missing or empty."""
    return value is MISSING or is_empty(value, ())


def _rows(sample: Any, levels: Sequence[tuple[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the data of each lead in a sample, with the path of its item."""
    rows = [("", dict(sample) if isinstance(sample, Mapping) else {})]
    places = {name: "" for name, _ in levels}
    for name, path in levels:
        rows = [one for place, row in rows for one in _inner_rows(place, row, name, path, places)]
    yield from rows


def _inner_rows(
    place: str, row: dict[str, Any], name: str, path: str, outer: Collection[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the data and the path of each item in a list inside a lead's data."""
    items, whole = read(row, path), path.removesuffix(".*")
    first, _, rest = whole.partition(".")
    start = ".".join(filter(None, (place, rest))) if first in outer else whole
    for number, item in enumerate(items if isinstance(items, list) else [items]):
        if item is not MISSING:
            yield f"{start}.{number}", {name: item, **without(row, whole)}


def _readings(rows: Sequence[Mapping[str, Any]], mail: Mail | None) -> list[Reading]:
    """Propose ``read:`` lines for lists of answers, JSON strings and labels in emails."""
    found: dict[str, Reading] = {}
    if mail:
        found[mail.name] = Reading(mail.name, mail.line(), mail.paths[0], mail.text)
    for one in (*_nested(rows), *(label_readings(mail, rows) if mail else ())):
        if not any(one.line == known.line for known in found.values()):
            name = _free_name(one.name, found, rows)
            found[name] = dataclasses.replace(one, name=name)
    return [*found.values()]


def _nested(rows: Sequence[Mapping[str, Any]]) -> Iterator[Reading]:
    lists = _lists(rows)
    for row in rows:
        for written, value in walk(row):
            path = _written(written, lists)
            every, answers = _of_all_sections(path, row) or (path, value)
            if one := reading_at(every, answers):
                yield one


def _of_all_sections(path: str, row: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """Return the path and the answers of all sections of a form, or None.

    Sections are lists of answers inside another list. No two of them contain the same question.
    """
    every = re.sub(r"\.0(?=\.)", ".*", path)
    sections = read(row, every) if every != path else None
    if not isinstance(sections, list) or not all(isinstance(one, list) for one in sections):
        return None
    answers = [one for section in sections for one in section]
    form = answers_in(answers) if len(sections) > 1 else None
    questions = [str(read(one, form[0])) for one in answers] if form else []
    return (every, answers) if questions and len({*questions}) == len(questions) else None


def _free_name(name: str, found: Collection[str], rows: Sequence[Mapping[str, Any]]) -> str:
    taken = {*found, *(key for row in rows for key in row)}
    numbers = ("", *range(2, 100))
    return next(f"{name}{one}" for one in numbers if f"{name}{one}" not in taken)


def _values(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values at each path, with one value per lead. Paths from ``read:`` come first."""
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
    """Yield each path in a lead's data with its value. Date parts count as a single value."""
    dates = {path: value for path, value in walk(row) if date_part_kinds(value)}
    yield from dates.items()
    inside = tuple(f"{path}." for path in dates)
    yield from ((path, value) for path, value in leaves(row) if not path.startswith(inside))


def _lists(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the maximum length of each list, keyed by the list's path without indexes."""
    most: dict[str, int] = {}
    for row in rows:
        for path, value in walk(row):
            if isinstance(value, list):
                plain = re.sub(r"\.\d+(?=\.|$)", "", path)
                most[plain] = max(len(value), most.get(plain, 0))
    return most


def _written(path: str, lists: Mapping[str, int]) -> str:
    """Return a path as it is written in a draft, with list indexes removed or added.

    The index of a list that has one item in all samples is left out. With the index, a mapping
    would drop the other items of a longer list. Without it, such a list needs review. An object
    that is a list of several items elsewhere gets the index. Notes use all items, so their index is
    kept.
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
