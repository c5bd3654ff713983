"""Describe a webhook's format by the paths that have values and the fields that are readable.

A profile contains no values from a webhook, only key names and keyed hashes of the words that the
mapping's tables translate.
"""

import dataclasses
import datetime as dt
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine import Item, Mapped, Outcome, Scope
from adapter.mapping.engine.tables import ANY_OTHER, key_from_value
from adapter.mapping.source import Source
from adapter.models import FormatKind, WebhookRequest
from adapter.parsing.paths import EACH, MISSING, Path, is_index, leaves, path_from_text, path_text
from adapter.parsing.templates import parse_template

#: Longer paths, and paths whose keys look like values, are not recorded.
LONGEST_PATH: Final = 120
MOST_LEAVES: Final = 150
#: Keys that look like an ID, a number, an email address or a phone number.
VALUE_LIKE: Final = re.compile(r"@|\d{5}|[0-9a-f]{16}")
#: Appointment fields that do not describe the webhook, or only repeat starts_at.
NOT_READ: Final = frozenset(
    {"integration_id", "community_id", "attribution_id", "notes"}
    | {"appointment_date", "appointment_time"}
)

#: The section with the key that all deliveries of a booking share.
KEY: Final = "dedupe"

#: Returns a keyed hash of a string.
Hash = Callable[[str], str]


class Feature(NamedTuple):
    """A feature of a webhook's format, such as the presence of a value at a path."""

    kind: FormatKind
    name: str
    value: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class TableField:
    """An appointment field that is translated by a table, with its paths and the table's rows."""

    field: str
    paths: tuple[Path, ...]
    rows: Mapping[str, Any]

    def covers(self, key: str) -> bool:
        """Return True if the table has a row for the given word."""
        return key in self.rows or ANY_OTHER in self.rows


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place in a mapping that reads a path into a field."""

    where: tuple[str, ...]
    field: str
    #: The paths and templates at this place. The first one with a value is used.
    texts: tuple[str, ...]
    path: str

    @property
    def is_part(self) -> bool:
        """True if the path is one of several in a template, such as ``{first} {last}``."""
        return any(self.path in paths_in(text) and len(paths_in(text)) > 2 for text in self.texts)

    def others(self) -> list[Path]:
        """Return the alternative paths to read if the path is missing."""
        others = (paths_in(text) - {text} or {text} for text in self.texts)
        return [path_from_text(one) for paths in others if self.path not in paths for one in paths]


def table_fields(source: Source) -> list[TableField]:
    """Return the appointment fields that a mapping translates with tables."""
    fields = source.sections.get("appointment", {})
    return [
        TableField(name, _paths(how), {str(key_from_value(one)): one for one in how["table"]})
        for name, how in fields.items()
        if isinstance(how, Mapping) and isinstance(how.get("table"), Mapping)
    ]


def _paths(how: Mapping[str, Any]) -> tuple[Path, ...]:
    texts = how.get("from", how.get("all", ()))
    texts = texts if isinstance(texts, list) else [texts]
    return tuple(path_from_text(text) for text in texts if isinstance(text, str))


def used_paths(source: Source) -> dict[str, Path]:
    """Return the paths that a mapping reads from a webhook's body, keyed by their text."""
    paths = {used.path.text: used.path for used in source.used_paths}
    return {
        text: path
        for text, path in paths.items()
        if path.parts[0] not in ("headers", "query") and len(text) <= LONGEST_PATH
    }


def profile_of(
    source: Source, request: WebhookRequest, now: dt.datetime, hashed: Hash
) -> set[Feature]:
    """Return the features of a webhook, or an empty set if the mapping rejects the webhook."""
    try:
        scope = source.scope(request)
        mapped = source.compiled.apply(scope, now)
    except PayloadError:
        return set()
    if mapped.outcome in (Outcome.IGNORED, Outcome.CANCELLATION) or not mapped.items:
        return set()
    whole, each = source.compiled.scopes(scope)
    scopes = each or [whole]
    features = {Feature(FormatKind.ACCEPTED, "")}
    features |= {Feature(FormatKind.LEAF, path) for path, _ in _leaves(whole, scopes)}
    fields = fields_read(mapped)
    has_key = any(item.dedupe_key is not None for item in mapped.items)
    filled = fields | ({KEY} if has_key else set())
    features |= {
        Feature(FormatKind.PATH, text)
        for text, path in used_paths(source).items()
        if any(_has_value(one, path) for one in scopes)
        or _is_read_otherwise(places_of(source, text), scopes, filled)
    }
    features |= {Feature(FormatKind.FIELD, name) for name in fields}
    return features | set(_values(source, scopes, hashed))


def places_of(source: Source, path: str) -> list[Place]:
    """Return the places where a mapping reads a path into a field or key, except in the notes."""
    used = {one.where: None for one in source.used_paths if one.path.text == path}
    fields = [
        Place(one, field, alternatives_at(source, one), path)
        for one in used
        if (field := _field_at(one))
    ]
    parts = source.sections.get(KEY, ()) if (KEY,) in used else ()
    return fields + [
        Place((KEY,), KEY, tuple(texts), path)
        for texts in parts
        if any(path in paths_in(text) for text in texts)
    ]


def notes_with(source: Source, path: str) -> list[Place]:
    """Return the lines of the notes that contain a path."""
    found = source.sections.get("appointment", {}).get("notes", ())
    lines = [found] if isinstance(found, str) else found
    where = ("appointment", "notes")
    return [Place(where, "notes", (one,), path) for one in lines if path in paths_in(one) - {one}]


def other_sections(source: Source, path: str) -> list[str]:
    """Return the sections that read a path in a way that has no alternatives, such as accept."""
    used = (one.where for one in source.used_paths if one.path.text == path)
    sections = {where[0]: None for where in used if where != (KEY,) and not _field_at(where)}
    return [one for one in sections if one != "appointment"]


def _field_at(where: tuple[str, ...]) -> str:
    """Return the field that is read at a position in a mapping, or "" if there is none."""
    if where[0] == "appointment" and where[1] != "notes" and where[-1] != "all":
        return where[1]
    return where[0] if where in (("community",), ("sent_at",)) else ""


def alternatives_at(source: Source, where: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths and templates at a position in a mapping, in the order they are tried."""
    found: Any = source.sections
    for key in (*where, "from", "from_"):
        found = found.get(key, found) if isinstance(found, Mapping) else found
    texts = found if isinstance(found, list) else [found]
    return tuple(text for text in texts if isinstance(text, str))


def paths_in(text: str) -> set[str]:
    """Return the paths in a template. Text without placeholders is itself a path."""
    return {name for _, name in parse_template(text) if name is not None} or {text}


def _is_read_otherwise(
    places: Sequence[Place], scopes: Sequence[Scope], fields: Collection[str]
) -> bool:
    """Return True if every field that uses a path has a value at an alternative path."""
    return bool(places) and all(
        bool(names_of(place.field) & {*fields})
        and any(_has_value(scope, path) for scope in scopes for path in place.others())
        for place in places
    )


def fields_of(source: Source) -> set[str]:
    """Return the names of the fields that a mapping sets, such as ``first_name``."""
    fields = {*source.sections.get("appointment", {}), "community", "sent_at"}
    return {name for field in fields for name in names_of(field)}


def names_of(field: str) -> set[str]:
    """Return the fields that a line of a mapping sets: two for ``name``, otherwise one."""
    return {"first_name", "last_name"} if field == "name" else {field}


class Notation:
    """Rewrites paths found in webhooks in the notation that a mapping uses.

    If a mapping reads ``events.event.timeFrom``, the path ``events.0.event.0.startAt`` becomes
    ``events.event.startAt``, which is held if there are several events.
    """

    def __init__(self, source: Source) -> None:
        used = [path.parts for path in used_paths(source).values() if not path.quoted]
        self._used = [(parts, [one for one in parts if not _is_item(one)]) for parts in used]
        self._has_indexes = any(_is_item(part) for parts in used for part in parts)
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return a path in the mapping's notation."""
        if path not in self._known:
            self._known[path] = self._rewritten(path)
        return self._known[path]

    def _rewritten(self, path: str) -> str:
        parsed = path_from_text(path)
        if parsed.quoted or not any(map(_is_item, parsed.parts)):
            return path
        names = [one for one in parsed.parts if not _is_item(one)]
        shared, own = max(
            ((_common(names[:-1], known), parts) for parts, known in self._used),
            default=(0, ()),
            key=lambda pair: pair[0],
        )
        rest = _after(parsed.parts, shared)
        while shared and rest and _is_item(rest[0]):
            rest = rest[1:]
        start = own[: len(own) - len(_after(own, shared))]
        index = list(itertools.takewhile(_is_item, _after(own, shared)))
        if not self._has_indexes:
            rest = tuple(one for one in rest if not _is_item(one))
        return path_text((*start, *index, *rest))


def _is_item(part: str) -> bool:
    return part == EACH or is_index(part)


def _common(names: Sequence[str], known: Sequence[str]) -> int:
    """Return the number of names that two paths have in common at their beginning."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(names, known, strict=False))
    return sum(1 for _ in pairs)


def _after(parts: Sequence[str], names: int) -> tuple[str, ...]:
    """Return the parts of a path that follow its first ``names`` names."""
    rest = list(parts)
    while names:
        names -= not _is_item(rest.pop(0))
    return tuple(rest)


def _leaves(whole: Scope, scopes: list[Scope]) -> Iterator[tuple[str, Any]]:
    """Yield the paths in a webhook that have values, in the form used in mappings."""
    data = [whole.payload, *(one.names for one in scopes)]
    found = 0
    for path, value in (leaf for one in data for leaf in leaves(one)):
        if found >= MOST_LEAVES:
            return
        if not whole.is_empty(value) and len(path) <= LONGEST_PATH and not VALUE_LIKE.search(path):
            found += 1
            yield path, value


def _has_value(scope: Scope, path: Path) -> bool:
    try:
        found = scope.read(path)
    except Unreadable:
        return True  # there are several values
    items = found if isinstance(found, list) else [found]
    return any(item is not MISSING and not scope.is_empty(item) for item in items)


def fields_read(mapped: Mapped) -> set[str]:
    """Return the names of the fields whose values a mapping has read from a webhook."""
    return {name for item in mapped.items for name in _item_fields(item)}


def _item_fields(item: Item) -> Iterator[str]:
    yield from item.appointment.keys() - NOT_READ
    if item.community is not None:
        yield "community"
    # Without a community, a local time is readable, although it cannot be converted to UTC.
    if item.starts_at is not None or item.wall_time is not None:
        yield "starts_at"
    if item.sent_at is not None:
        yield "sent_at"


def _values(source: Source, scopes: list[Scope], hashed: Hash) -> Iterator[Feature]:
    for field in table_fields(source):
        for path in field.paths:
            for key in _keys(scopes, path):
                yield Feature(FormatKind.VALUE, path.text, hashed(key))


def _keys(scopes: list[Scope], path: Path) -> set[str]:
    """Return the values at a path, normalized for a lookup in a table."""
    keys: set[str] = set()
    for scope in scopes:
        try:
            found = scope.read(path)
        except Unreadable:
            continue
        items = found if isinstance(found, list) else [found]
        keys |= {
            key
            for item in items[:50]
            if not scope.is_empty(item) and (key := key_from_value(item)) is not None
        }
    return keys


def values_at(source: Source, request: WebhookRequest, path: Path) -> set[str]:
    """Return a webhook's values at a path, as the sender spells them."""
    try:
        _, each = source.compiled.scopes(source.scope(request))
    except PayloadError:
        return set()
    return {str(value) for scope in each for value in _texts(scope, path)}


def _texts(scope: Scope, path: Path) -> list[Any]:
    items = _found(scope, path)
    return [item for item in items if isinstance(item, str | int | float) and str(item).strip()]


def leaves_of(source: Source, request: WebhookRequest) -> list[tuple[str, str]]:
    """Return the paths in a webhook that have a single value, each with its text."""
    try:
        whole, each = source.compiled.scopes(source.scope(request))
    except PayloadError:
        return []
    found = ((path, _single(value)) for path, value in _leaves(whole, each or [whole]))
    return [(path, str(value)) for path, value in found if isinstance(value, str | int | float)]


def _single(value: Any) -> Any:
    """Return the only item of a list, as a mapping reads it. Return any other value unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def roots_of(source: Source, request: WebhookRequest) -> set[str]:
    """Return the names that a mapping gives to parts of a webhook. A path may start with one."""
    try:
        _, each = source.compiled.scopes(source.scope(request))
    except PayloadError:
        return set()
    return {name for scope in each for name in scope.names}


def _found(scope: Scope, path: Path) -> list[Any]:
    """Return the value at a path as a list. A single value becomes a one-item list."""
    try:
        found = scope.read(path)
    except Unreadable:
        return []
    return found if isinstance(found, list) else [found]
