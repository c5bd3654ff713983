"""Find structures that the samples share, such as lists of leads or answers."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.mapping.transforms import is_empty
from adapter.parsing import forms
from adapter.parsing.date_parts import date_part_kinds
from adapter.parsing.paths import MISSING, leaves, path_from_text, walk

#: Key and value paths in the lists of answers that form builders send.
ANSWER_KEYS: Final = (
    *("field.ref", "field.id", "column_id", "ref", "label", "question", "key", "name"),
    *("title", "field"),
    *("@EventType", "EventType", "@IDType", "IDType"),
)
ANSWER_VALUES: Final = (
    *("text", "email", "phone_number", "number", "date", "boolean", "choice.label"),
    *("choices.labels", "string_value", "value", "values", "answer", "val"),
    *("@EventDate", "EventDate", "@IDValue", "IDValue"),
)
#: Keys that show that each item in a list is a separate lead.
PERSON: Final = re.compile(r"e?mail(address)?|phone(number)?|(first|last|full)name")
#: Parts of a path that show that a person is not a renter.
STAFF: Final = re.compile(r"agent|owner|host|staff|assignee|organizer|user")
#: A line of an email such as ``Phone: 303-555-0142``.
LABEL: Final = re.compile(r"^[>*\s-]*([A-Z][A-Za-z /]{1,30}):[* \t]+\S", re.MULTILINE)
#: Minimum number of labels for a text to be an email with a field on each line.
FEWEST_LABELS: Final = 3
#: Keys that other lists also have, and the values that mark a list with them as answers.
TITLES: Final = frozenset({"title", "question", "field"})
PLAIN_VALUES: Final = frozenset({"value", "values", "answer", "val"})
#: Maximum length of text to search for labels.
LONGEST: Final = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """The structures and values in the samples, with a row for each lead."""

    #: ``name: path`` for ``for_each``, or None.
    each: tuple[str, str] | None
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
        """Return a Boolean for each row that is True if its value at a path is not empty."""
        return [not _is_blank(value) for value in self.values.get(path, ())]


def observe(samples: Sequence[Any]) -> Observed:
    """Find the structures and values in samples, which are parsed payloads."""
    each = _items_path(samples)
    rows = [row for sample in samples for row in _rows(sample, each)]
    readers = _readers(rows)
    for row in rows:
        for name, (_, reader) in readers.items():
            row[name] = reader(row)
    return Observed(
        each=each,
        readers={name: line for name, (line, _) in readers.items()},
        rows=rows,
        values=_values(rows, tuple(readers)),
    )


def read(data: Any, path: str) -> Any:
    """Return the value at a path, or MISSING if there is none or it cannot be read."""
    try:
        return path_from_text(path).read(data)
    except (Unreadable, ValueError):
        return MISSING


def with_query(payload: Any, query: str) -> Any:
    """Return the payload with the query parameters added as ``query``, where mappings read them."""
    parameters = forms.parse_query(query)
    if not parameters or not isinstance(payload, Mapping) or "query" in payload:
        return payload
    return {**payload, "query": parameters}


def _is_blank(value: Any) -> bool:
    return value is MISSING or is_empty(value, ())


def _items_path(samples: Sequence[Any]) -> tuple[str, str] | None:
    """Return the name and path for ``for_each`` if a list's items are leads, or None."""
    for sample in samples:
        for path, value in walk(sample):
            if isinstance(value, list) and len(value) > 1 and all(map(_is_person, value)):
                return "lead", path
    return None


def _is_person(item: Any) -> bool:
    """Return True if an item has a person's data, such as an email address, outside of any list."""
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


def _readers(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, Any]]:
    """Return lines for ``read:`` by name, each with a function that reads its value from a row."""
    found: dict[str, tuple[str, Any]] = {}
    lists = _lists(rows)
    for row in rows:
        for written, value in walk(row):
            path = _without_indexes(written, lists)
            for name, line, reader in _readers_at(path, value):
                if not any(line == known for known, _ in found.values()):
                    found.setdefault(_free_name(name, found, row), (line, reader))
    return found


def _free_name(name: str, found: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    taken = {*found, *row}
    numbers = ("", *range(2, 100))
    return next(f"{name}{one}" for one in numbers if f"{name}{one}" not in taken)


def _readers_at(path: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, list) and len(value) > 1:
        if answers := _answers_in(value):
            by, values = answers
            line = f"{{ list: {quoted(path)}, by: {quoted(by)}, value: [{_list(values)}] }}"
            yield "answers", line, lambda row: _answers(row, path, by, values)
    elif isinstance(value, str) and len(value) <= LONGEST:
        if value.lstrip()[:1] == "{" and isinstance(_json(value), Mapping):
            line = f"{{ json: {quoted(path)} }}"
            yield "given", line, lambda row: _json(read(row, path))
        labels = list(dict.fromkeys(LABEL.findall(value)))
        for label in labels if len(labels) >= FEWEST_LABELS else ():
            line = f"{{ text: {quoted(path)}, line: {json.dumps(label + ':')} }}"
            name = re.sub(r"\W+", "_", label.strip().lower())
            yield name, line, lambda row, label=label: _line(read(row, path), label)


def _list(paths: Sequence[str]) -> str:
    return ", ".join(map(quoted, paths))


def _answers_in(items: list[Any]) -> tuple[str, list[str]] | None:
    for by in ANSWER_KEYS:
        keys = [read(item, by) for item in items]
        values = [path for path in ANSWER_VALUES if path != by and _is_in_any(items, path)]
        is_answer = by not in TITLES or PLAIN_VALUES & {*values}
        if values and is_answer and all(isinstance(key, str) and key for key in keys):
            return by, values
    return None


def _is_in_any(items: list[Any], path: str) -> bool:
    return any(read(item, path) not in (MISSING, None, "") for item in items)


def _answers(row: Any, path: str, by: str, values: Sequence[str]) -> dict[str, Any]:
    items = read(row, path)
    items = items if isinstance(items, list) else [items]
    keyed = ((read(item, by), item) for item in items if isinstance(item, Mapping))
    found: dict[str, Any] = {}
    for key, item in keyed:
        if isinstance(key, str):
            found.pop(key, None)  # so that the last key belongs to the last item
            found[key] = _first_value(item, values)
    return found


def _first_value(item: Any, paths: Sequence[str]) -> Any:
    values = (read(item, path) for path in paths)
    return next((value for value in values if value not in (MISSING, None)), None)


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _line(text: Any, label: str) -> str | None:
    pattern = rf"^[>*\s-]*{re.escape(label)}:[* \t]+(.+)$"
    found = re.search(pattern, text, re.MULTILINE) if isinstance(text, str) else None
    return found[1].strip() if found else None


def _values(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values at each path, one per row. Paths into ``read:`` names come first."""
    values: dict[str, list[Any]] = {}
    several = _lists(rows)
    for number, row in enumerate(rows):
        ordered = {name: row[name] for name in names} | dict(row)
        for written, value in _leaves(ordered):
            path = _without_indexes(written, several)
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
    """Return the maximum length of each list in the rows, by path."""
    most: dict[str, int] = {}
    for row in rows:
        for path, value in walk(row):
            if isinstance(value, list):
                most[path] = max(len(value), most.get(path, 0))
    return most


def _without_indexes(path: str, lists: Mapping[str, int]) -> str:
    """Return a path without the index 0 for each list that never has more than one item.

    With the index, a mapping would drop the other items of a longer list. Without it, such a list
    needs review. Notes take all items, so their index is kept.
    """
    parts = path.split(".")
    kept = (
        part
        for number, part in enumerate(parts)
        if part != "0" or path.endswith(".0.answer") or lists.get(".".join(parts[:number]), 2) > 1
    )
    return ".".join(kept)


def quoted(text: str) -> str:
    """Quote a path or value for YAML if necessary."""
    is_plain = re.fullmatch(r"[A-Za-z_](?:[\w .-]*[\w])?", text)
    return text if is_plain and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)


#: Plain words that YAML reads as something else.
_WORDS: Final = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
