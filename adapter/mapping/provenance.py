"""Trace the fields of an appointment back to mapping lines and locations in the payload."""

import dataclasses
import functools
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine import Scope
from adapter.mapping.engine.community import Attribution, CommunityLookup
from adapter.mapping.engine.fields import Field, FieldFiller, NotesFiller, PathLookup, paths_of
from adapter.mapping.engine.mapping import CompiledMapping, ForEach, NamedReader
from adapter.mapping.engine.reshape import ListReader
from adapter.mapping.source import Source
from adapter.mapping.transforms import clean_text
from adapter.models import WebhookRequest
from adapter.parsing import paths
from adapter.parsing.paths import Location, Path

#: Where an attribution is defined if the mapping has no ``attribution`` line.
COMMUNITIES: Final = "communities.yaml"
#: Lines of a mapping that fill appointment fields with other names.
FILLS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("first_name", "last_name"),
    "starts_at": ("appointment_date", "appointment_time"),
    "community": ("integration_id", "community_id"),
    "attribution": ("attribution_id",),
}
#: The name of the mapping line, for fillers that do not store it themselves.
LINE_NAMES: Final[Mapping[type, str]] = {
    CommunityLookup: "community",
    Attribution: "attribution",
    NotesFiller: "notes",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """A line of the mapping, with the paths that it reads and their locations in the payload."""

    #: The line's name in the mapping, such as ``starts_at``, ``email_1`` or ``community``.
    line: str
    #: The appointment fields that the line fills.
    fields: tuple[str, ...]
    #: The line's position, as ``file:line``.
    at: str
    #: The paths that have a value, as written in the mapping, each with its locations in the
    #: payload (keys and indexes from the top level).
    places: tuple[tuple[str, tuple[Location, ...]], ...]


def provenance_of(source: Source, request: WebhookRequest) -> list[list[Provenance]]:
    """Return the origins of each item's fields, with one entry per mapping line. Never raise."""
    try:
        whole = source.scope(request)
    except PayloadError:
        return []
    scopes = source.compiled.item_scopes(whole)
    return [
        [
            _provenance(source, whole.payload, scope, number, fill)
            for fill in source.compiled.fillers
        ]
        for number, scope in enumerate(scopes)
    ]


def read_locations(source: Source, request: WebhookRequest) -> frozenset[Location]:
    """Return the locations in the payload that the mapping may read. Never raise."""
    try:
        whole = source.scope(request)
    except PayloadError:
        return frozenset()
    numbers = range(len(source.compiled.item_scopes(whole)))
    return frozenset(
        location
        for number in numbers
        for used in source.used_paths
        for location in _locate(source.compiled, whole.payload, number, used.path)
    )


def is_covered(location: Location, read: Collection[Location]) -> bool:
    """Return True if a location, or an object or list that contains it, is in ``read``."""
    return any(location[:length] in read for length in range(1, len(location) + 1))


def _provenance(
    source: Source, payload: Any, scope: Scope, number: int, fill: FieldFiller
) -> Provenance:
    line = _line_name(fill)
    where = (line,) if line in ("community", "attribution") else ("appointment", line)
    return Provenance(
        line=line,
        fields=FILLS.get(line, (line,)),
        at=source.document.at(where) if where in source.document.marks else COMMUNITIES,
        places=tuple(
            (path.text, tuple(_locate(source.compiled, payload, number, path)))
            for path in _found(fill, scope)
        ),
    )


def _line_name(fill: FieldFiller) -> str:
    return str(LINE_NAMES.get(type(fill)) or getattr(fill, "name", "starts_at"))


def _lookups_of(fill: FieldFiller) -> Sequence[PathLookup]:
    if isinstance(fill, NotesFiller):
        return [PathLookup(places=(path,)) for path in fill.paths]
    lookup = getattr(fill, "lookup", None)
    return [lookup] if lookup else getattr(fill, "lookups", ())


def _found(fill: FieldFiller, scope: Scope) -> Iterator[Path]:
    """Yield the paths that provided the value for a line of the mapping."""
    for lookup in _lookups_of(fill):
        takes_all = lookup.collect_all and isinstance(fill, Field)
        try:
            for place, _ in lookup.values(scope):
                yield from paths_of(place)
                if not takes_all:
                    break
        except Unreadable:
            continue


def _locate(
    compiled: CompiledMapping,
    payload: Any,
    number: int,
    path: Path,
    readers: Sequence[NamedReader] | None = None,
) -> list[Location]:
    """Return the locations in the payload that a path refers to.

    Names under ``read`` are resolved if they are from ``readers``, or if ``readers`` is None. A
    reader can use only the names before its own, and may have the same name as the key that it
    reads.
    """
    first, rest = path.parts[0], _without_first(path)
    items = _located_levels(compiled.for_each, payload, number)
    if first in items:
        location, item = items[first]
        return [(*location, *more) for more, _ in paths.locate(item, rest)] if rest else [location]
    readers = (*compiled.readers, *compiled.item_readers) if readers is None else readers
    for index, reading in enumerate(readers):
        if reading.name == first:
            locations = _locate(compiled, payload, number, reading.reader.path, readers[:index])
            return _narrowed(locations, payload, reading, rest)
    return [location for location, _ in paths.locate(payload, path)]


def _narrowed(
    locations: list[Location], payload: Any, reading: NamedReader, rest: Path | None
) -> list[Location]:
    """Narrow the locations in the payload to the list item that the reader has read."""
    if not isinstance(reading.reader, ListReader) or rest is None:
        return locations
    for location in locations:
        items = functools.reduce(operator.getitem, location, payload)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if _key_of(item, reading.reader) == rest.parts[0]:
                return [(*location, index)]
    return locations


def _key_of(item: object, read: ListReader) -> str | None:
    try:
        return clean_text(paths.unwrap_single(read.by.read(item)), 500)
    except Unreadable:
        return None


def _without_first(path: Path) -> Path | None:
    if len(path.parts) == 1:
        return None
    quoted = frozenset(number - 1 for number in path.quoted if number)
    return Path(path.text, path.parts[1:], quoted)


def _located_levels(
    levels: Sequence[ForEach], payload: Any, number: int
) -> Mapping[str, tuple[Location, Any]]:
    """Return the location and value of an item and each item that contains it, keyed by name."""
    combined: list[dict[str, tuple[Location, Any]]] = [{}]
    for level in levels:
        combined = [
            {**above, level.name: located}
            for above in combined
            for located in _items_at(level.path, payload, above)
        ]
    return combined[number] if number < len(combined) else {}


def _items_at(
    path: Path, payload: Any, above: Mapping[str, tuple[Location, Any]]
) -> Iterator[tuple[Location, Any]]:
    start, item = above.get(path.parts[0], ((), payload))
    inner = _without_first(path) if path.parts[0] in above else path
    located = paths.locate(item, inner) if inner else [((), item)]
    for location, value in located:
        if path.ends_with_each:
            yield from [((*start, *location), value)] if value is not None else []
        else:
            yield from _located_items((*start, *location), value)


def _located_items(location: Location, value: Any) -> list[tuple[Location, Any]]:
    if not isinstance(value, list):
        return [(location, value)]
    return [((*location, index), item) for index, item in enumerate(value) if item is not None]
