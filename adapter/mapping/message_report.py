"""Compare a message with its mapping: missing paths, unread values and doubtful values."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.engine import Scope
from adapter.mapping.engine.reshape import JsonReader, ListReader, XmlReader
from adapter.mapping.loader.compile_paths import UsedPath
from adapter.mapping.loader.doubtful_values import doubtful_values
from adapter.mapping.provenance import is_covered, read_locations
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.paths import EACH, MISSING, Location, locate, located_leaves, path_text

#: Maximum number of a message's values to look at.
MOST_VALUES: Final = 5000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MessageReport:
    """The differences between a message and its mapping: missing, unread and doubtful values."""

    #: For each line that finds nothing, its name and paths, such as ``email_1: contact.email``.
    missing: Sequence[str] = ()
    #: The paths of values that nothing reads, with ``*`` for the items of lists.
    unread: Sequence[str] = ()
    #: Warnings about values that contradict the booking.
    doubts: Sequence[str] = ()


def report_on(source: Source, request: WebhookRequest) -> MessageReport:
    """Compare a message with a mapping. If the body cannot be parsed, the report is empty."""
    try:
        scope = source.scope(request)
    except PayloadError:
        return MessageReport()
    unread = [
        *_unread(scope.payload, read_locations(source, request)),
        *(
            path
            for one in source.compiled.item_scopes(scope)
            for path in _unread_inside(source, one)
        ),
    ]
    unread = [*dict.fromkeys(unread)]
    return MessageReport(
        missing=[*_missing(source, scope, unread)],
        unread=unread,
        doubts=[*doubtful_values(source, scope), *_sent_at_doubts(source, scope)],
    )


def _sent_at_doubts(source: Source, scope: Scope) -> Iterator[str]:
    """Yield a warning if a value at the ``sent_at`` paths cannot be read."""
    for one in source.compiled.item_scopes(scope) if source.has_sent_at else ():
        try:
            source.compiled.read_sent_at(one)
        except Unreadable as exc:
            if any(_is_in(used, one) for used in source.used_paths if used.where[0] == "sent_at"):
                yield f"sent_at {exc}, so the time when the message arrives counts instead"
                return


def _missing(source: Source, scope: Scope, unread: Sequence[str]) -> Iterator[str]:
    """Yield the mapping's lines whose paths are all missing from the message.

    If a similar key is among the unread ones, the sender may have renamed the field.
    """
    scopes = source.compiled.item_scopes(scope)
    keys = {key for path in unread for key in path.split(".")}
    lines: dict[str, list[UsedPath]] = {}
    for used in source.used_paths:
        if used.where[0] not in ("respond", "for_each"):
            lines.setdefault(_line(used), []).append(used)
    for line, paths in lines.items():
        if any(_is_in(used, one) for used in paths for one in scopes):
            continue
        near = next(filter(None, (one.closest_key(paths[0].path) for one in scopes)), None)
        near = near if near in keys else None
        names = ", ".join(dict.fromkeys(used.path.text for used in paths))
        yield f"{line}: {names}" + (f" (there is {near[:40]!r})" if near else "")


def _line(used: UsedPath) -> str:
    """Return the name of the mapping line that contains a path, such as ``email_1``."""
    section, *rest = used.where
    if section == "appointment":
        return ".".join([*rest[:1], *(one for one in rest[1:2] if one.isdigit())])
    return f"read.{rest[0]}" if section == "read" else section


def _is_in(used: UsedPath, scope: Scope) -> bool:
    try:
        found = scope.read(used.path)
    except Unreadable:
        return True
    return found is not MISSING and not (found == [] and EACH in used.path.parts)


def _unread_inside(source: Source, scope: Scope) -> Iterator[str]:
    """Yield the paths of unread values inside JSON, XML and lists that ``read:`` extracts."""
    for reading in (*source.compiled.readers, *source.compiled.item_readers):
        is_list = isinstance(reading.reader, ListReader) and not reading.reader.keeps_all
        if not is_list and not isinstance(reading.reader, JsonReader | XmlReader):
            continue
        inside = {reading.name: scope.names.get(reading.name)}
        uses = (one for one in source.used_paths if one.where[:2] != ("read", reading.name))
        found = (locate(inside, one.path) for one in uses if one.path.parts[0] == reading.name)
        yield from _unread(inside, {at for located in found for at, _ in located})


def _unread(payload: Any, read: Collection[Location]) -> Iterator[str]:
    """Yield the path of each nonempty value that is at none of the given locations."""
    for location, value in located_leaves(payload, MOST_VALUES):
        is_empty = value in (None, "", [], {})
        if location and not is_empty and not is_covered(location, read):
            yield path_text([EACH if isinstance(one, int) else one for one in location])
