"""Detect that a sender has changed its webhooks' format, based on counts of their features.

A change is reported if it is very unlikely to be chance: a feature that most webhooks had is now
missing from so many in a row that the probability is one in a billion, and from more than twice as
many as ever before. So senders whose webhooks vary are not reported.
"""

import dataclasses
import datetime as dt
import difflib
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

from adapter.mapping.format_profile import (
    Feature,
    Notation,
    fields_of,
    table_fields,
    used_paths,
)
from adapter.mapping.source import Source
from adapter.models import FormatChange, FormatKind

#: Minimum number of webhooks with a feature before its absence counts as a change.
FEWEST_SEEN: Final = 20
#: Minimum number of webhooks in a row without the feature.
FEWEST_MISSING: Final = 5
#: Maximum probability that such a run occurs by chance.
CHANCE_MISSING: Final = 1e-9
#: For a new value: minimum number and share of webhooks, and maximum probability by chance.
FEWEST_NEW: Final = 3
SHARE_NEW: Final = 0.05
CHANCE_NEW: Final = 1e-5
#: Minimum number of webhooks before a value can count as new.
FEWEST_BEFORE: Final = 30
#: Maximum number of features to keep per source, for kinds whose number depends on the sender.
#: Above it, a rare feature is forgotten for each new one.
MOST_FEATURES: Final = {FormatKind.LEAF: 300, FormatKind.VALUE: 200}
MOST_REPLACEMENTS: Final = 3
#: If a path that all webhooks had is replaced by a new path beside it, fewer webhooks are enough.
FEWEST_BEFORE_SWAP: Final = 8
FEWEST_SWAPPED: Final = 4
#: Features that an edited mapping may find in webhooks that were counted before.
RECOUNTED: Final = frozenset({FormatKind.ACCEPTED, FormatKind.PATH, FormatKind.FIELD})


@dataclasses.dataclass(slots=True)
class Count:
    """The number of webhooks with a feature. Webhooks are numbered per source, starting at 1."""

    seen: int = 0
    first: int = 0
    last: int = 0
    #: The longest run of webhooks without the feature, before the last one with it.
    longest_gap: int = 0
    #: The arrival time and event ID of the first webhook in the current run without the feature.
    missed_at: dt.datetime | None = None
    missed_event: int | None = None
    #: The arrival time and event ID of the first webhook with the feature.
    first_at: dt.datetime | None = None
    first_event: int | None = None


class CountedEvent(NamedTuple):
    """A webhook that was counted before, with the features that a mapping finds in it now."""

    event: int
    at: dt.datetime
    features: Collection[Feature]


@dataclasses.dataclass(slots=True)
class FormatStatistics:
    """Counts how many of a source's webhooks have each feature."""

    source: str
    #: The number of all webhooks, and the number that the mapping accepted.
    events: int = 0
    accepted: int = 0
    #: The hash of the mapping that was in use for the latest webhook.
    mapping_hash: str = ""
    counts: dict[Feature, Count] = dataclasses.field(default_factory=dict)
    #: Features that changed since they were loaded.
    changed: set[Feature] = dataclasses.field(default_factory=set)
    #: Features that were forgotten since they were loaded.
    forgotten: set[Feature] = dataclasses.field(default_factory=set)

    def add(self, features: Collection[Feature], event: int, at: dt.datetime) -> None:
        """Count a webhook with the given features."""
        self.events += 1
        self._count(Feature(FormatKind.ACCEPTED, ""), self.events, event, at, is_in=bool(features))
        if not features:
            return
        self.accepted += 1
        for feature in {*self.counts, *features}:
            if feature.kind is not FormatKind.ACCEPTED:
                is_in = feature in features
                self._count(feature, self.accepted, event, at, is_in=is_in)

    def _count(
        self, feature: Feature, number: int, event: int, at: dt.datetime, *, is_in: bool
    ) -> None:
        count = self.counts.get(feature)
        if count is None:
            if not is_in or not self._has_room(feature.kind):
                return
            count = self.counts[feature] = Count(first=number, first_at=at, first_event=event)
            count.last = number - 1
        if is_in:
            gap = number - count.last - 1
            count.longest_gap = max(count.longest_gap, gap)
            count.seen, count.last = count.seen + 1, number
            count.missed_at = count.missed_event = None
        elif count.missed_at is None:
            count.missed_at, count.missed_event = at, event
        else:
            return
        self.changed.add(feature)

    def recount(self, latest: Sequence[CountedEvent]) -> None:
        """Recount how many of the latest webhooks in a row are without each feature.

        The features are determined with an edited mapping.
        """
        accepted = [one for one in latest if one.features]
        for feature, count in self.counts.items():
            events = latest if feature.kind is FormatKind.ACCEPTED else accepted
            if feature.kind in RECOUNTED and events:
                self._recount(feature, count, events)

    def _recount(self, feature: Feature, count: Count, events: Sequence[CountedEvent]) -> None:
        number = self.number(feature.kind)
        gap, run = number - count.last, _trailing_run(feature, events)
        if run == gap or (run == len(events) and gap > run):
            return
        is_over = run < gap
        if is_over:
            count.seen += sum(feature in one.features for one in events[-gap:])
        elif feature.kind is FormatKind.PATH:
            count.seen = max(1, count.seen - (run - gap))
        else:
            return
        count.last = max(count.first, number - run)
        first = events[-run] if run else None
        count.missed_at, count.missed_event = (first.at, first.event) if first else (None, None)
        self.changed.add(feature)

    def _has_room(self, kind: FormatKind) -> bool:
        """Return True if there is room for another feature. Delete a rare feature if necessary.

        Without deletions, a sender that uses hundreds of keys would hide all later changes.
        """
        of_kind = [one for one in self.counts if one.kind is kind]
        if len(of_kind) < MOST_FEATURES.get(kind, len(of_kind) + 1):
            return True
        rare = (one for one in of_kind if self.counts[one].seen < FEWEST_SEEN)
        oldest = min(rare, key=lambda one: self.counts[one].last, default=None)
        if oldest is None or self.counts[oldest].last >= self.number(kind):
            return False
        del self.counts[oldest]
        self.changed.discard(oldest)
        self.forgotten.add(oldest)
        return True

    def number(self, kind: FormatKind) -> int:
        """Return the number of webhooks that were examined for features of this kind."""
        return self.events if kind is FormatKind.ACCEPTED else self.accepted

    def changes(self, source: Source, hashed: Callable[[str], str]) -> list[FormatChange]:
        """Return the changes in the sender's format that affect the mapping."""
        missing, new = [*self._missing(source)], [*self._new_values(source, hashed)]
        paths = {one.name for one in missing if one.kind is FormatKind.PATH} | {
            one.name for one in new
        }
        used = (one.where for one in source.used_paths if one.path.text in paths)
        fields = {where[1] if where[0] == "appointment" else where[0] for where in used}
        is_known = (one.kind is FormatKind.FIELD and _is_of(one.name, fields) for one in missing)
        return [*(one for one, known in zip(missing, is_known, strict=True) if not known), *new]

    def _missing(self, source: Source) -> Iterator[FormatChange]:
        used, filled, notation = used_paths(source), fields_of(source), Notation(source)
        for feature, count in self.counts.items():
            is_used = {
                FormatKind.ACCEPTED: True,
                FormatKind.PATH: feature.name in used,
                # An edited mapping may read it again, which counting the latest webhooks shows.
                FormatKind.FIELD: source.hash == self.mapping_hash and feature.name in filled,
            }
            gap = self.number(feature.kind) - count.last
            is_gone = is_missing(count, gap) or self._is_swapped(feature, count, gap)
            if is_used.get(feature.kind) and is_gone and count.missed_at is not None:
                yield FormatChange(
                    source=self.source,
                    kind=feature.kind,
                    name=feature.name,
                    since=count.missed_at,
                    first_event=count.missed_event or 0,
                    affected=gap,
                    of=gap,
                    new_paths=self._replacements(feature.name, count.last, used, notation),
                )

    def _is_swapped(self, feature: Feature, count: Count, gap: int) -> bool:
        """Return True if all webhooks had a path until a new path appeared in its place."""
        is_steady = count.longest_gap == 0 and count.seen >= FEWEST_BEFORE_SWAP
        if feature.kind is not FormatKind.PATH or not is_steady or gap < FEWEST_SWAPPED:
            return False
        parent = _parent(feature.name)
        return any(
            one.kind is FormatKind.LEAF
            and (new.first, new.seen) == (count.last + 1, gap)
            and _parent(one.name) == parent
            for one, new in self.counts.items()
        )

    def _replacements(
        self, name: str, since: int, used: Collection[str], notation: Notation
    ) -> dict[str, int]:
        """Return new paths that may replace an old path, with the number of webhooks for each."""
        found = {
            path: count.seen
            for feature, count in self.counts.items()
            if feature.kind is FormatKind.LEAF
            and count.first > since
            and (path := notation.of(feature.name)) not in used
        }
        ranked = sorted(found, key=lambda path: (-found[path], -_similarity(name, path)))
        return {path: found[path] for path in ranked[:MOST_REPLACEMENTS]}

    def _new_values(self, source: Source, hashed: Callable[[str], str]) -> Iterator[FormatChange]:
        covered = {
            (path.text, hashed(key))
            for field in table_fields(source)
            for path in field.paths
            for key in field.rows
        }
        open_paths = {
            path.text
            for field in table_fields(source)
            if not field.covers("")
            for path in field.paths
        }
        for feature, count in self.counts.items():
            name, value = feature.name, feature.value
            if (
                feature.kind is FormatKind.VALUE
                and name in open_paths
                and (name, value) not in covered
            ):
                span = self.accepted - count.first + 1
                if is_new(count, span) and count.first_at is not None:
                    yield FormatChange(
                        source=self.source,
                        kind=FormatKind.VALUE,
                        name=name,
                        value=value,
                        since=count.first_at,
                        first_event=count.first_event or 0,
                        affected=count.seen,
                        of=span,
                    )


def _parent(path: str) -> list[str]:
    """Return the names in a path, except its last key and any list indexes."""
    return [one for one in path.split(".")[:-1] if one != "*" and not one.isdigit()]


def _trailing_run(feature: Feature, events: Sequence[CountedEvent]) -> int:
    """Return how many of the latest webhooks in a row are without a feature."""
    lacking = itertools.takewhile(lambda one: feature not in one.features, reversed(events))
    return sum(1 for _ in lacking)


def is_missing(count: Count, gap: int) -> bool:
    """Return True if a feature is missing from too many webhooks to be a coincidence."""
    if count.seen < FEWEST_SEEN or gap < FEWEST_MISSING or gap <= 2 * count.longest_gap:
        return False
    share = count.seen / (count.last - count.first + 2)
    return gap * math.log(1 - share) < math.log(CHANCE_MISSING)


def is_new(count: Count, span: int) -> bool:
    """Return True if a value appeared recently and occurs too often to be a coincidence."""
    before = count.first - 1
    if count.seen < FEWEST_NEW or before < FEWEST_BEFORE or count.seen < span * SHARE_NEW:
        return False
    return count.seen * math.log(span / (before + span)) < math.log(CHANCE_NEW)


def _is_of(field: str, fields: Collection[str]) -> bool:
    """Return True if a field, or one that belongs with it, is among the reported ``fields``."""
    groups = (
        {"starts_at", "appointment_date", "appointment_time"},
        {"name", "first_name", "last_name"},
    )
    alike = next((group for group in groups if field in group), {field})
    return bool(alike & {*fields})


def _similarity(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
