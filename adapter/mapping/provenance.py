"""Where each field of an appointment came from: places in the payload, and the mapping's line."""

import dataclasses
import datetime as dt
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine import Community, Scope
from adapter.mapping.engine.community import Attribution, CommunityLookup
from adapter.mapping.engine.draft import Draft
from adapter.mapping.engine.fields import Field, FieldFiller, Lines, PathLookup
from adapter.mapping.engine.mapping import CompiledMapping, Reading
from adapter.mapping.engine.reshape import ListRead
from adapter.mapping.engine.tour_time import TourTime
from adapter.mapping.source import Source
from adapter.mapping.transforms import clean_text
from adapter.models import WebhookRequest
from adapter.parsing import paths
from adapter.parsing.paths import Location, Path

#: Where it stands when the mapping has no line for it: the attribution of a community.
COMMUNITIES: Final = "communities.yaml"
#: What several fields of an appointment are filled from.
FILLS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("first_name", "last_name"),
    "starts_at": ("appointment_date", "appointment_time"),
    "community": ("integration_id", "community_id"),
    "attribution": ("attribution_id",),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where one line of a mapping found what it read."""

    #: The line's name in the mapping: ``starts_at``, ``email_1``, ``community`` …
    line: str
    #: The fields of the appointment that it fills.
    fields: tuple[str, ...]
    #: ``file:line``.
    at: str
    #: The paths that had something to say, as the mapping writes them, each with where that
    #: stands in the payload: keys and indexes from the top.
    places: tuple[tuple[str, tuple[Location, ...]], ...]


def provenance_of(source: Source, request: WebhookRequest) -> list[list[Provenance]]:
    """The origins for each item of a delivery; none where it cannot be read. Never raises."""
    try:
        whole = source.scope(request)
    except PayloadError:
        return []
    scopes = source.compiled.item_scopes(whole)
    return [
        [_origin(source, whole.payload, scope, number, fill) for fill in source.compiled.fills]
        for number, scope in enumerate(scopes)
    ]


def wall_time_of(source: Source, request: WebhookRequest, number: int) -> dt.datetime | None:
    """When an item's tour starts on a clock that is not known yet; None where nothing says so.

    For a lead whose community is not known: naive, as it was sent.
    """
    try:
        scopes = source.compiled.item_scopes(source.scope(request))
    except PayloadError:
        return None
    start = next((fill for fill in source.compiled.fills if isinstance(fill, TourTime)), None)
    if start is None or start.zone or start.zone_from or number >= len(scopes):
        return None
    draft = Draft(community=_NOWHERE)
    start.fill(scopes[number], draft)
    return draft.starts_at.replace(tzinfo=None) if draft.starts_at is not None else None


#: A community whose clock says what was sent.
_NOWHERE: Final = Community(
    key="",
    integration_id="",
    community_id="",
    timezone=zoneinfo.ZoneInfo("UTC"),
    attributions={},
    known_as={},
)


def _origin(
    source: Source, payload: Any, scope: Scope, number: int, fill: FieldFiller
) -> Provenance:
    line = _line_of(fill)
    where = (line,) if line in ("community", "attribution") else ("appointment", line)
    return Provenance(
        line=line,
        fields=FILLS.get(line, (line,)),
        at=source.document.at(where) if where in source.document.marks else COMMUNITIES,
        places=tuple(
            (path.text, tuple(_spots(source.compiled, payload, number, path)))
            for path in _found(fill, scope)
        ),
    )


def _line_of(fill: FieldFiller) -> str:
    if isinstance(fill, CommunityLookup):
        return "community"
    if isinstance(fill, Attribution):
        return "attribution"
    if isinstance(fill, Lines):
        return "notes"
    return str(getattr(fill, "name", "starts_at"))


def _looks_of(fill: FieldFiller) -> Sequence[PathLookup]:
    if isinstance(fill, TourTime):
        return fill.looks
    look = getattr(fill, "look", None)
    return [look] if isinstance(look, PathLookup) else []


def _found(fill: FieldFiller, scope: Scope) -> Iterator[Path]:
    """The paths of a line that have something to say, as the line would take them."""
    if isinstance(fill, Lines):
        looks = [PathLookup(paths=(path,)) for path in fill.paths]
    else:
        looks = list(_looks_of(fill))
    for look in looks:
        takes_all = look.gather and isinstance(fill, Field)
        try:
            for path, _ in look.found(scope):
                yield path
                if not takes_all:
                    break
        except Unreadable:
            continue


def _spots(compiled: CompiledMapping, payload: Any, number: int, path: Path) -> list[Location]:
    """Where a path leads in the payload, also through the names that ``read`` made."""
    first, rest = path.parts[0], _without_first(path)
    each = compiled.for_each
    if each is not None and first == each.name:
        items = [spot for one in paths.locate(payload, each.path) for spot in _items_at(*one)]
        if number >= len(items):
            return []
        way, item = items[number]
        return [(*way, *more) for more, _ in paths.locate(item, rest)] if rest else [way]
    for reading in (*compiled.readings, *compiled.item_readings):
        if reading.name == first:
            return _spots_of_reading(compiled, payload, number, reading, rest)
    return [way for way, _ in paths.locate(payload, path)]


def _spots_of_reading(
    compiled: CompiledMapping, payload: Any, number: int, reading: Reading, rest: Path | None
) -> list[Location]:
    """For a list by key, the element; for JSON or a line in a text, the text."""
    made_from = _spots(compiled, payload, number, reading.read.path)
    if not isinstance(reading.read, ListRead) or rest is None:
        return made_from
    for way in made_from:
        for index, item in enumerate(_listed(_at(payload, way))):
            if _key_of(item, reading.read) == rest.parts[0]:
                return [(*way, index)]
    return made_from


def _key_of(item: object, read: ListRead) -> str | None:
    try:
        return clean_text(paths.unwrap_single(read.by.read(item)), 500)
    except Unreadable:
        return None


def _without_first(path: Path) -> Path | None:
    if len(path.parts) == 1:
        return None
    quoted = frozenset(number - 1 for number in path.quoted if number)
    return Path(path.text, path.parts[1:], quoted)


def _items_at(way: Location, value: Any) -> list[tuple[Location, Any]]:
    if not isinstance(value, list):
        return [(way, value)]
    return [((*way, index), item) for index, item in enumerate(value) if item is not None]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(payload: Any, way: Location) -> Any:
    for step in way:
        payload = payload[step]
    return payload
