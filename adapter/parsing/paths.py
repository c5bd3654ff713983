"""Dotted paths into parsed payloads: ``tours.0.id``, ``answers."Move.in"``, ``transcript.*.text``.

Payloads are hostile: everything here is a loop, nothing recurses, and nothing raises
but :class:`~adapter.exceptions.Unreadable`.
"""

import csv
import dataclasses
import difflib
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import Unreadable

#: The part that means "each of them".
EACH: Final = "*"
SEVERAL: Final = "several here: use .0 or .*"
#: Comparing a name with an attacker's 5,000 keys took 17 seconds once.
MOST_KEYS_COMPARED: Final = 50
MOST_PARTS: Final = 50
#: As many items are read one by one, of all lists at a ``*`` together.
MOST_EACH: Final = 10_000
TOO_MANY: Final = f"more than {MOST_EACH:,} items"


class Missing(enum.Enum):
    """What a path gives where there is nothing: not even null."""

    ABSENT = "absent"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.ABSENT


@dataclasses.dataclass(frozen=True, slots=True)
class Path:
    """A path, parsed once when its mapping loads."""

    #: As the mapping writes it.
    text: str
    #: Names, digits as text, and ``*``.
    parts: tuple[str, ...]
    #: Which of the parts were quoted: a quoted ``*`` or ``0`` is only a name.
    quoted: frozenset[int] = frozenset()

    def read(self, data: object) -> Any:
        """What stands at the path in ``data``, or :data:`ABSENT`; with ``*`` a list.

        Raises :class:`Unreadable` where a name meets a list of several.
        """
        return read(data, self.parts, self.quoted)


def path_from_text(text: str) -> Path:
    """A path out of what a mapping writes. Raises ValueError when it is none."""
    fields = _split(text)
    parts = tuple(part.strip() for part, _ in fields)
    if not parts or not all(parts) or len(parts) > MOST_PARTS:
        raise ValueError(f"{text!r} is not a path")
    return Path(text, parts, frozenset(n for n, (_, quoted) in enumerate(fields) if quoted))


def _split(text: str) -> list[tuple[str, bool]]:
    """The parts, each with whether it was quoted; csv knows quotes, and not which were there."""
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
    """What stands below ``data`` at ``parts``; see :meth:`Path.read`."""
    depth = 0
    for part in parts:  # most paths are names in objects; the loop below is ten times slower
        if type(data) is not dict or part == EACH:
            break
        if part not in data:
            if part.isdigit() or EACH in parts:
                break
            return MISSING
        data = data[part]
        depth += 1
    else:
        return data
    return _read(data, list(enumerate(parts))[depth:], quoted)


def _read(data: object, parts: Iterable[tuple[int, str]], quoted: frozenset[int]) -> Any:
    found, many = [data], False
    for number, part in parts:
        if part == EACH and number not in quoted:
            found, many = _all_of(found), True
        else:
            index = int(part) if number not in quoted and _is_index(part) else None
            steps = (_step(value, part, index) for value in found)
            found = [value for value in steps if value is not MISSING]
    if many:
        return found
    return found[0] if found else MISSING


def _all_of(values: Iterable[object]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _each(value)
        if len(found) > MOST_EACH:
            raise Unreadable(TOO_MANY)
    return found


def _is_index(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) <= 6


def _each(value: object) -> list[Any]:
    """The items of a list; anything else that is there is a list of one."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _step(value: object, part: str, index: int | None) -> Any:
    if isinstance(value, list) and index is not None:
        return value[index] if index < len(value) else MISSING
    value = _unwrapped(value)
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if index == 0 and value is not MISSING and value is not None:
        return value  # the sender wraps several in a list, and one in nothing
    return MISSING


def _unwrapped(value: object) -> Any:
    """The one item of a list of one; some senders wrap everything."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list):
        return value
    if value:
        raise Unreadable(SEVERAL)
    return MISSING


def unwrap_single(value: object) -> Any:
    """A value, or the one item of a list of one; nothing for an empty list.

    Raises :class:`Unreadable` for a list of several.
    """
    found = _unwrapped(value)
    return None if found is MISSING else found


#: A place in a payload: keys and indexes, from the top.
Location = tuple[str | int, ...]


def locate(data: object, path: Path) -> list[tuple[Location, Any]]:
    """Every place that the path leads to in ``data``, with what stands there; none: no place.

    The same steps as :func:`read` takes, with the way that they went.
    """
    found: list[tuple[Location, Any]] = [((), data)]
    for number, part in enumerate(path.parts):
        if part == EACH and number not in path.quoted:
            found = [step for way, value in found for step in _located_each(way, value)]
        else:
            index = int(part) if number not in path.quoted and _is_index(part) else None
            found = [step for way, value in found for step in _located(way, value, part, index)]
        if len(found) > MOST_EACH:
            return []
    return found


def _located_each(way: Location, value: Any) -> list[tuple[Location, Any]]:
    if isinstance(value, list):
        return [((*way, number), item) for number, item in enumerate(value)]
    return [] if value is None else [(way, value)]


def _located(way: Location, value: Any, part: str, index: int | None) -> list[tuple[Location, Any]]:
    if isinstance(value, list) and index is not None:
        return [((*way, index), value[index])] if index < len(value) else []
    while isinstance(value, list) and len(value) == 1:
        way, value = (*way, 0), value[0]
    if isinstance(value, Mapping) and part in value:
        return [((*way, part), value[part])]
    return [(way, value)] if index == 0 and not isinstance(value, list) else []


def closest_key(data: object, path: Path) -> str | None:
    """A name that stands where the path fails and looks like the one that is missing."""
    for number, part in enumerate(path.parts):
        try:
            found = read(data, [part], frozenset({0}) if number in path.quoted else frozenset())
        except Unreadable:
            return None
        if found is MISSING or found == []:
            return _resembling(data, part)
        data = found
        if isinstance(data, list) and data:
            data = data[0]
    return None


def _resembling(data: object, part: str) -> str | None:
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, Mapping):
        return None
    keys = [key for key, _ in zip(data, range(MOST_KEYS_COMPARED), strict=False) if len(key) <= 60]
    folded = {key.casefold(): key for key in keys}
    close = difflib.get_close_matches(part.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def change(data: Any, path: Path, value: object) -> None:
    """Puts a value at a path of a sample, in place; makes the objects on the way.

    Raises :class:`Unreadable` where the path leads into something that is no object or list.
    """
    *way, last = path.parts
    for part in way:
        found = read(data, [part])
        if found is MISSING or found is None:
            found = {}
            _put(data, part, found)
        data = found
    _put(data, last, value)


def _put(data: Any, part: str, value: object) -> None:
    if isinstance(data, list) and _is_index(part) and int(part) <= len(data):
        data[int(part) : int(part) + 1] = [value]
        return
    data = unwrap_single(data)
    if not isinstance(data, dict):
        raise Unreadable(f"nothing can be changed at {part!r}: there is no object")
    data[part] = value
