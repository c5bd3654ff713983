"""Read dotted paths such as ``tours.0.id`` or ``transcript.*.text`` in payloads.

Payloads are untrusted, so nothing here is recursive, and reading raises only
:class:`~adapter.exceptions.Unreadable`.
"""

import csv
import dataclasses
import difflib
import enum
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable
from adapter.parsing.text import CAP_TEXT, clean_text

#: The part that matches every item of a list.
EACH: Final = "*"
SEVERAL: Final = (
    "this list has several items: for_each makes one lead from each, and .0 takes the first and "
    "drops the rest"
)
#: Limited because comparing a name with 5,000 keys takes 17 seconds.
MAX_KEYS_COMPARED: Final = 50
#: Minimum similarity of a name that is suggested instead of another, as a ratio.
SIMILAR: Final = 0.6
#: In larger objects, names must match exactly.
MAX_KEYS_CLEANED: Final = 1000
MAX_PARTS: Final = 50
#: Maximum total number of items at one ``*``.
MAX_ITEMS: Final = 10_000
#: Limits of :func:`walk` and :func:`leaves`.
MAX_DEPTH: Final = 12
MAX_LEAVES: Final = 400
TOO_MANY: Final = f"more than {MAX_ITEMS:,} items"


class Missing(enum.Enum):
    """The type of :data:`MISSING`, the result for a path that does not exist."""

    MISSING = "missing"

    def __bool__(self) -> bool:
        return False


#: The result for a path that does not exist, as opposed to one with a null value.
MISSING: Final = Missing.MISSING


@dataclasses.dataclass(frozen=True, slots=True)
class Path:
    """A path into a payload, parsed when its mapping is loaded."""

    #: The path as written in the mapping.
    text: str
    #: Names, indexes as strings, and ``*``.
    parts: tuple[str, ...]
    #: Indexes of the quoted parts: a quoted ``*`` or ``0`` is just a name.
    quoted: frozenset[int] = frozenset()

    def read(self, data: object) -> Any:
        """Return the value at the path, or :data:`MISSING`. For a path with ``*``, return a list.

        Raise :class:`Unreadable` if the path looks up a name in a list with several items.
        """
        return read(data, self.parts, self.quoted)

    @property
    def ends_with_each(self) -> bool:
        """True if the last part is ``*``, which stands for each item of a list."""
        return self.parts[-1] == EACH and len(self.parts) - 1 not in self.quoted

    def through_lists(self) -> "Path":
        """Return a path that also matches inside lists, with ``*`` wherever it has no index."""
        fields: list[tuple[str, bool]] = []
        for number, part in enumerate(self.parts):
            is_name = number in self.quoted or not (part == EACH or is_index(part))
            fields += [(EACH, False)] if fields and is_name else []
            fields.append((part, number in self.quoted))
        return _path_from_fields(self.text, [*fields, (EACH, False)])


def path_from_text(text: str) -> Path:
    """Parse a path as written in a mapping. Raise ValueError if it is invalid."""
    fields = _split(text)
    parts = tuple(part if quoted else part.strip() for part, quoted in fields)
    if not parts or not all(parts) or len(parts) > MAX_PARTS:
        raise ValueError(f"{text!r} is not a path")
    return _path_from_fields(text, list(zip(parts, (quoted for _, quoted in fields), strict=True)))


def _path_from_fields(text: str, fields: Sequence[tuple[str, bool]]) -> Path:
    quoted = frozenset(number for number, (_, is_quoted) in enumerate(fields) if is_quoted)
    return Path(text, tuple(part for part, _ in fields), quoted)


def _split(text: str) -> list[tuple[str, bool]]:
    """Split a path into parts, each with a flag that is True if the part was quoted."""
    if any(character in text for character in "\r\n\0"):
        raise ValueError(f"{text!r} is not a path")
    try:
        parts = next(csv.reader([text.strip()], delimiter=".", strict=True), [])
    except csv.Error:
        raise ValueError(f"{text!r} is not a path") from None
    fields, rest = [], text.strip()
    for part in parts:
        written = '"' + part.replace('"', '""') + '"'
        quoted = rest.startswith(written)
        rest = rest[len(written if quoted else part) + 1 :]
        fields.append((part, quoted))
    return fields


def read(data: object, parts: Sequence[str], quoted: frozenset[int] = frozenset()) -> Any:
    """Return the value at the path with the given parts, or :data:`MISSING`."""
    depth = 0
    # Fast path: most paths contain only names. The general loop is ten times slower.
    for part in parts:
        if type(data) is not dict or part == EACH:
            break
        if part in data:
            data = data[part]
        elif part.isdigit() or EACH in parts:
            break
        else:
            key = _key_like(data, part)
            if key is None:
                return MISSING
            data = data[key]
        depth += 1
    else:
        return data
    return _read_any(data, list(enumerate(parts))[depth:], quoted)


def _read_any(data: object, parts: Iterable[tuple[int, str]], quoted: frozenset[int]) -> Any:
    values, is_list = [data], False
    for number, part in parts:
        if part == EACH and number not in quoted:
            values, is_list = _items_of_all(values), True
        else:
            index = int(part) if number not in quoted and is_index(part) else None
            steps = (_step(value, part, index) for value in values)
            values = [value for value in steps if value is not MISSING]
    if is_list:
        return values
    return values[0] if values else MISSING


def _items_of_all(values: Iterable[object]) -> list[Any]:
    items: list[Any] = []
    for value in values:
        items += _items_of(value)
        if len(items) > MAX_ITEMS:
            raise Unreadable(TOO_MANY)
    return items


def is_index(part: str) -> bool:
    """Return True if an unquoted part of a path is a list index, such as 0."""
    return part.isascii() and part.isdigit() and len(part) <= 6


def _items_of(value: object) -> list[Any]:
    """Convert a value to a list. A single value becomes a one-item list, and null an empty list."""
    value = as_list(value)
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def as_list(value: object) -> Any:
    """Convert a dictionary whose keys are all numbers to a list. Other values are unchanged.

    PHP serializes a list with gaps this way.
    """
    if not isinstance(value, Mapping) or not value:
        return value
    return list(value.values()) if all(map(is_index, value)) else value


def _key_like(data: Mapping[str, Any], part: str) -> str | None:
    """Return the key that matches a part of a path, either exactly or after normalization.

    Question labels may contain line breaks or end with a space, and some programs add invisible
    characters.
    """
    if part in data:
        return part
    names = "|".join(data)
    if names.isascii() and part.partition(" ")[0] not in names:
        return None  # the usual result for an optional field
    if _is_clean(f"|{names}|") or len(data) > MAX_KEYS_CLEANED:
        return None
    wanted = _cleaned(part)
    alike = [key for key in data if len(key) <= CAP_TEXT and _cleaned(key) == wanted]
    return alike[0] if len(alike) == 1 else None


def _is_clean(names: str) -> bool:
    if "  " in names or " |" in names or "| " in names:
        return False
    return names.isascii() and names.isprintable()


def _cleaned(name: str) -> str:
    try:
        return clean_text(name, CAP_TEXT)
    except Unreadable:
        return name


def _step(value: object, part: str, index: int | None) -> Any:
    if isinstance(value, list) and index is not None:
        return value[index] if index < len(value) else MISSING
    value = _unwrapped(value)
    if isinstance(value, Mapping) and (key := _key_like(value, part)) is not None:
        return value[key]
    if index == 0 and value is not MISSING and value is not None:
        return value  # some senders use a list only for more than one item
    return MISSING


def _unwrapped(value: object) -> Any:
    """Return the only item of a list. Raise Unreadable if the list has more than one item."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list):
        return value
    if value:
        raise Unreadable(SEVERAL)
    return MISSING


def unwrap_single(value: object) -> Any:
    """Return the only item of a list, or None if it is empty. Other values are unchanged.

    If all items are the same text or number, they count as one. Raise :class:`Unreadable` for any
    other list of several items.
    """
    if type(value) is list and len(value) > 1 and _are_equal(value):
        return value[0]
    unwrapped = _unwrapped(value)
    return None if unwrapped is MISSING else unwrapped


def _are_equal(items: Sequence[object]) -> bool:
    first = items[0]
    return isinstance(first, str | int | float) and all(
        type(one) is type(first) and one == first for one in items
    )


#: Keys and indexes from the top of a payload.
Location = tuple[str | int, ...]


def locate(data: object, path: Path) -> list[tuple[Location, Any]]:
    """Return the location and value of each match of a path in a payload.

    It follows the same steps as :func:`read`.
    """
    located: list[tuple[Location, Any]] = [((), data)]
    for number, part in enumerate(path.parts):
        if part == EACH and number not in path.quoted:
            located = [step for at, value in located for step in _locate_items(at, value)]
        else:
            index = int(part) if number not in path.quoted and is_index(part) else None
            located = [step for at, value in located for step in _locate(at, value, part, index)]
        if len(located) > MAX_ITEMS:
            return []
    return located


def _locate_items(at: Location, value: Any) -> list[tuple[Location, Any]]:
    if isinstance(value, list):
        return [((*at, number), item) for number, item in enumerate(value)]
    if as_list(value) is not value:
        return [((*at, key), item) for key, item in value.items()]
    return [] if value is None else [(at, value)]


def _locate(at: Location, value: Any, part: str, index: int | None) -> list[tuple[Location, Any]]:
    if isinstance(value, list) and index is not None:
        return [((*at, index), value[index])] if index < len(value) else []
    while isinstance(value, list) and len(value) == 1:
        at, value = (*at, 0), value[0]
    if isinstance(value, Mapping) and (key := _key_like(value, part)) is not None:
        return [((*at, key), value[key])]
    return [(at, value)] if index == 0 and not isinstance(value, list) else []


def closest_key(data: object, path: Path) -> str | None:
    """Return the key that is most similar to the first missing part of a path, or None."""
    for number, part in enumerate(path.parts):
        try:
            value = read(data, [part], frozenset({0}) if number in path.quoted else frozenset())
        except Unreadable:
            return None
        if value is MISSING or value == []:
            return _similar_key(data, part)
        data = value
        if isinstance(data, list) and data:
            data = data[0]
    return None


def _similar_key(data: object, part: str) -> str | None:
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, Mapping):
        return None
    keys = [key for key, _ in zip(data, range(MAX_KEYS_COMPARED), strict=False) if len(key) <= 60]
    folded = {key.casefold(): key for key in keys if _is_alike(key.casefold(), part.casefold())}
    close = difflib.get_close_matches(part.casefold(), folded, n=1, cutoff=SIMILAR)
    return folded[close[0]] if close else None


def _is_alike(key: str, other: str) -> bool:
    """Return False if two keys differ in a word, such as ``enter_name`` and ``enter_phone``."""
    words, others = re.split(r"[\W_]+", key), re.split(r"[\W_]+", other)
    if len(words) != len(others):
        return True
    pairs = zip(words, others, strict=True)
    return all(difflib.SequenceMatcher(None, *pair).ratio() >= SIMILAR for pair in pairs)


def leaves(data: object) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each leaf in a payload, shallowest first, up to 400 leaves.

    Scalars and lists of scalars are leaves.
    """
    return itertools.islice(
        ((path, value) for path, value in walk(data) if not _has_inner_values(value)), MAX_LEAVES
    )


def walk(data: object) -> Iterator[tuple[str, Any]]:
    """Yield every path in a payload with its value, shallowest first, up to 12 levels deep."""
    level: list[tuple[tuple[str, ...], Any]] = [((), data)]
    for _ in range(MAX_DEPTH):
        deeper: list[tuple[tuple[str, ...], Any]] = []
        for names, value in level:
            if names:
                yield ".".join(map(_quoted, names)), value
            if isinstance(value, Mapping):
                deeper += [((*names, str(key)), inner) for key, inner in value.items()]
            elif _has_inner_values(value):
                deeper.append(((*names, "0"), value[0]))
        level = deeper


def located_leaves(data: object, most: int) -> Iterator[tuple[Location, Any]]:
    """Yield each leaf with its location, in the payload's order, until ``most`` values are seen.

    Empty lists and objects are leaves. It uses a stack, because a payload may be nested deeper than
    Python's recursion limit.
    """
    stack: list[tuple[Location, Any]] = [((), data)]
    for _ in range(most):
        if not stack:
            return
        at, value = stack.pop()
        if not value or not isinstance(value, Mapping | list):
            yield at, value
            continue
        items = enumerate(value) if isinstance(value, list) else value.items()
        stack += reversed([((*at, step), inner) for step, inner in items])


def path_text(parts: Iterable[str]) -> str:
    """Return the text of a path with the given parts. A part that is ``*`` stands for each item."""
    return ".".join(part if part == EACH else _quoted(part) for part in parts)


def _has_inner_values(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping | list)
    return isinstance(value, Mapping)


def _quoted(name: str) -> str:
    name = _cleaned(name)
    if "." in name or name[:1] == '"' or name in ("", EACH):
        name = name.replace('"', '""')
        return f'"{name}"'
    return name


def set_value(data: Any, path: Path, value: object) -> None:
    """Set the value at a path in a sample payload, creating missing objects on the way.

    Raise :class:`Unreadable` if a parent is neither an object nor a list.
    """
    *parents, last = path.parts
    for part in parents:
        inner = read(data, [part])
        if inner is MISSING or inner is None:
            inner = {}
            _set_item(data, part, inner)
        data = inner
    _set_item(data, last, value)


def _set_item(data: Any, part: str, value: object) -> None:
    if isinstance(data, list) and is_index(part) and int(part) <= len(data):
        data[int(part) : int(part) + 1] = [value]
        return
    data = unwrap_single(data)
    if not isinstance(data, dict):
        raise Unreadable(f"cannot set {part!r}: its parent is not an object")
    data[part] = value
