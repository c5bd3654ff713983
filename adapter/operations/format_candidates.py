"""Find the new name of a value that a sender has renamed. A doubtful path is never proposed."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from adapter.mapping.authoring.add_path import with_path
from adapter.mapping.engine import Mapped, Outcome
from adapter.mapping.format_profile import (
    KEY,
    Notation,
    Place,
    leaves_of,
    names_of,
    places_of,
    roots_of,
    used_paths,
    values_at,
)
from adapter.mapping.overlay import with_communities_of
from adapter.mapping.problems import MappingErrors
from adapter.mapping.registry import load_text
from adapter.mapping.source import Source
from adapter.models import Event
from adapter.parsing.paths import path_from_text
from adapter.settings import Policy

#: Maximum number of paths to try, most similar names first.
MOST_TRIED: Final = 12
#: Minimum share of the webhooks that must have a value at the new path, and minimum share of these
#: values that the field must accept.
SHARE_SENT: Final = 0.25
SHARE_READ: Final = 0.8
#: Minimum similarity of two names, and by how much it must exceed that of all others.
SIMILAR: Final = 0.6
MORE_SIMILAR: Final = 0.15
#: Words in the names of values that do not describe the renter.
NOT_THE_RENTER: Final = frozenset(
    [
        "agent",
        "agente",
        "assistant",
        "bot",
        "broker",
        "building",
        "business",
        "comunidad",
        "community",
        "company",
        "edificio",
        "emergency",
        "employee",
        "employer",
        "empresa",
        "landlord",
        "listing",
        "manager",
        "office",
        "oficina",
        "operator",
        "organization",
        "owner",
        "propiedad",
        "property",
        "realtor",
        "recipient",
        "referrer",
        "rep",
        "representative",
        "spouse",
        "staff",
        "vendor",
    ]
)
_CONTACT: Final = re.compile(r"(email|phone)_\d")
_NAMES: Final = frozenset({"name", "first_name", "last_name"})
#: Fields that a similar name is not enough for: who, where and when are never guessed.
_NEVER_BY_NAME: Final = frozenset({"starts_at", "community", "sent_at", KEY})
#: Maximum difference in length between an ID and the IDs in earlier webhooks.
ALIKE_LENGTH: Final = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """A path that webhooks no longer contain, with webhooks from before and after the change."""

    source: Source
    path: str
    #: Webhooks without a field that is read from the path, and webhooks that have the path.
    lacking: Sequence[Event]
    before: Sequence[Event]
    #: Other paths that are missing as well.
    others: Collection[str]
    policy: Policy

    @property
    def fields(self) -> list[str]:
        """The fields that are read from the path, and ``dedupe`` if the key contains it."""
        return [*dict.fromkeys(place.field for place in places_of(self.source, self.path))]


def renamed_path_of(
    source: Source,
    path: str,
    events: tuple[Sequence[Event], Sequence[Event]],
    others: Collection[str],
    policy: Policy,
) -> Renamed:
    """Select the recent webhooks without a path, and the older webhooks that contain it.

    ``events`` contains the webhooks since and before the change. Webhooks whose field is read from
    another path are left out.
    """
    since, before = events
    at = path_from_text(path)
    places = places_of(source, path)
    lacking = [
        event
        for event in since
        if not values_at(source, event.request, at)
        and lacking_fields(mapped_event(source, event), places)
    ]
    good = [event for event in before if values_at(source, event.request, at)]
    others = {other for other in others if other != path}
    return Renamed(
        source=source, path=path, lacking=lacking, before=good, others=others, policy=policy
    )


def lacking_fields(mapped: Mapped, places: Iterable[Place]) -> list[str]:
    """Return the fields of a mapped webhook whose value, or a part of it, is missing."""
    return [one.field for one in places if one.is_part or not values_of(mapped, one.field)]


def new_paths(what: Renamed) -> list[str]:
    """Return the paths that may replace a missing path, most similar first."""
    return _other_places_paths(what) or _unread_paths(what)


def _other_places_paths(what: Renamed) -> list[str]:
    """Return the path that already replaces the missing one in some of its places, as a list."""
    places = places_of(what.source, what.path)
    texts = [{text for text in place.texts if text != what.path} for place in places]
    found = [
        text
        for text in sorted(set().union(*texts))
        if not all(text in one for one in texts) and text in used_paths(what.source)
    ]
    found = [path for path in found if not _came_before(what, path)]
    return [path for path in found if _is_filled_by(what, path)] if len(found) == 1 else []


def _came_before(what: Renamed, path: str) -> bool:
    at = path_from_text(path)
    return any(values_at(what.source, event.request, at) for event in what.before)


def _is_filled_by(what: Renamed, path: str) -> bool:
    edited = edited_source(what.source, with_path(what.source, what.path, path), what.policy)
    return edited is not None and _is_filled(what, edited, path)


def _unread_paths(what: Renamed) -> list[str]:
    values = _unread_values(what)
    ranked = sorted(values, key=lambda path: (-similarity(what.path, path), path))
    fitting = [one for one in ranked[:MOST_TRIED] if _fits(what, one, values[one])]
    own = [one for one in fitting if not _belongs_elsewhere(what, one)]
    if len(own) > 1:
        return _most_similar(what, own)
    return [path for path in own if _may_be_sent(what, path)]


def _unread_values(what: Renamed) -> dict[str, list[str]]:
    """Return the values at each path that is new and that the mapping does not read."""
    source, used, notation = what.source, used_paths(what.source), Notation(what.source)
    known = {
        notation.of(path) for event in what.before for path, _ in leaves_of(source, event.request)
    }
    found: dict[str, list[str]] = {}
    for event in what.lacking:
        inner = roots_of(source, event.request)
        for found_path, text in leaves_of(source, event.request):
            path = notation.of(found_path)
            is_beside = (
                _root(path) == _root(what.path) or not {_root(path), _root(what.path)} & inner
            )
            if path not in used and path not in known and is_beside:
                found.setdefault(path, []).append(text)
    least = len(what.lacking) * SHARE_SENT
    is_similar = {path: similarity(what.path, path) >= SIMILAR for path in found}
    return {
        path: texts
        for path, texts in found.items()
        if len(texts) >= least and (what.before or is_similar[path])
    }


def _root(path: str) -> str:
    return path.partition(".")[0]


def _fits(what: Renamed, path: str, texts: Sequence[str]) -> bool:
    """Return True if the values at a new path fill the fields and are plausible for them."""
    fields = what.fields
    if any(_is_renters(field) and not _may_be_renters(what, path, texts) for field in fields):
        return False
    if not _NAMES.isdisjoint(fields) and not _may_be_names(what, texts):
        return False
    if fields == [KEY] and not _may_be_ids(what, texts):
        return False
    return _is_filled_by(what, path)


def edited_source(source: Source, text: str, policy: Policy) -> Source | None:
    """Load an edited mapping for the source's communities, including those from the console.

    Return None if the mapping is unchanged or invalid.
    """
    if text == source.text:
        return None
    try:
        edited = load_text(source.path.parent, source.name, text, policy)
    except MappingErrors:
        return None
    return with_communities_of(edited, source)


def _is_filled(what: Renamed, edited: Source, path: str) -> bool:
    at = path_from_text(path)
    sent = [event for event in what.lacking if values_at(edited, event.request, at)]
    pairs = [(mapped_event(what.source, one), mapped_event(edited, one)) for one in sent]
    places = places_of(what.source, what.path)
    filled = [
        all(_is_new_value(*pair, field) for field in lacking_fields(pair[0], places))
        for pair in pairs
    ]
    return bool(sent) and sum(filled) >= len(sent) * SHARE_READ


def _is_new_value(before: Mapped, after: Mapped, field: str) -> bool:
    values = values_of(after, field)
    return bool(values) and values != values_of(before, field)


def _may_be_sent(what: Renamed, path: str) -> bool:
    """Return False if most values at a new path, such as past times, would block bookings."""
    edited = edited_source(what.source, with_path(what.source, what.path, path), what.policy)
    mapped = [mapped_event(edited, event) for event in what.lacking] if edited else []
    items = [item for one in mapped for item in one.items]
    blocked = [
        any(reason.field in what.fields for reason in item.blocking_reasons) for item in items
    ]
    return sum(blocked) <= len(blocked) / 2


def mapped_event(source: Source, event: Event) -> Mapped:
    """Map a stored event as of the time when it arrived."""
    return source.map(event.request, now=event.received_at)


def values_of(mapped: Mapped, field: str) -> list[Any]:
    """Return the values of a field in the items of a mapped webhook."""
    items = [item for item in mapped.items if item.outcome is not Outcome.IGNORED]
    if field == "starts_at":
        values: Iterator[Any] = (item.starts_at or item.wall_time for item in items)
    elif field in ("community", "sent_at"):
        values = (getattr(item, field) for item in items)
    elif field == KEY:
        values = (item.dedupe_key for item in items)
    else:
        values = (item.appointment.get(name) for item in items for name in sorted(names_of(field)))
    return [value for value in values if value is not None]


def _is_renters(field: str) -> bool:
    return field in _NAMES or _CONTACT.fullmatch(field) is not None


def _may_be_renters(what: Renamed, path: str, texts: Sequence[str]) -> bool:
    """Return False if the values repeat too often or the path names someone besides the renter."""
    if (_words(path) - _words(what.path)) & NOT_THE_RENTER:
        return False
    return len({text.casefold() for text in texts}) > max(1, len(texts) / 4)


def _may_be_names(what: Renamed, texts: Sequence[str]) -> bool:
    """Return False if values contain digits or differ too much from earlier names in word count."""
    names = [text for text in texts if not re.search(r"[\d@/:]", text)]
    at = path_from_text(what.path)
    old = [text for one in what.before for text in values_at(what.source, one.request, at)]
    is_alike = not old or abs(_share_of_several(texts) - _share_of_several(old)) <= 0.5
    return len(names) >= len(texts) * SHARE_READ and is_alike


def _may_be_ids(what: Renamed, texts: Sequence[str]) -> bool:
    """Return True if all values differ and most look like the IDs in earlier webhooks."""
    at = path_from_text(what.path)
    old = [text for one in what.before for text in values_at(what.source, one.request, at)]
    if not old or len({*texts}) < len(what.lacking):
        return False
    kinds, lengths = {_characters(text) for text in old}, [len(text) for text in old]
    least, most = min(lengths) - ALIKE_LENGTH, max(lengths) + ALIKE_LENGTH
    alike = [text for text in texts if _characters(text) in kinds and least <= len(text) <= most]
    return len(alike) >= len(texts) * SHARE_READ


def _characters(text: str) -> frozenset[str]:
    """Return the kinds of characters in a string: letters, digits and every other character."""
    kinds = ("a" if one.isalpha() else "9" if one.isdigit() else one for one in text)
    return frozenset(kinds)


def _share_of_several(texts: Sequence[str]) -> float:
    return sum(len(text.split()) > 1 for text in texts) / len(texts)


def _words(path: str) -> set[str]:
    parts = re.split(r"[^A-Za-zÀ-ÿ]+|(?<=[a-z])(?=[A-Z])", path)
    words = {part.casefold() for part in parts if part}
    return words | {word.removesuffix("s") for word in words}


def _belongs_elsewhere(what: Renamed, path: str) -> bool:
    """Return True if a new path is far more similar to another missing path than to this one."""
    own = similarity(what.path, path)
    best = max((similarity(other, path) for other in what.others), default=0)
    return best >= SIMILAR and best >= own + MORE_SIMILAR


def _most_similar(what: Renamed, paths: Sequence[str]) -> list[str]:
    """Return only the most similar path if its name is similar enough, otherwise all paths."""
    if any(field in _NEVER_BY_NAME or _is_renters(field) for field in what.fields):
        return [*paths]
    first, second = (similarity(what.path, path) for path in paths[:2])
    is_clear = first >= SIMILAR and first >= second + MORE_SIMILAR
    return [*paths[:1]] if is_clear else [*paths]


def similarity(one: str, other: str) -> float:
    """Return the similarity of the last keys of two paths, from 0 to 1."""
    return difflib.SequenceMatcher(None, _key(one), _key(other)).ratio()


def _key(path: str) -> str:
    return re.sub(r"[^a-z0-9]", "", path.rpartition(".")[2].lower())
