"""Count the features of webhooks in batches, to detect changes in a sender's format."""

import dataclasses
import functools
import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from adapter.mapping.format_profile import Feature, profile_of
from adapter.mapping.format_statistics import Count, CountedEvent, FormatStatistics
from adapter.mapping.source import Source
from adapter.models import Event, FormatChange, FormatKind
from adapter.store import Database, Transaction, storable
from adapter.store.fingerprints import Fingerprints

log = logging.getLogger(__name__)

#: How often each worker counts.
COUNT_SECONDS: Final = 5.0
#: Number of webhooks in a transaction, and maximum number of transactions in a run.
BATCH: Final = 50
MOST_BATCHES: Final = 10
#: Number of webhooks to count again after a mapping was edited.
MOST_RECOUNTED: Final = 50


class FormatWatch:
    """Counts the features of stored webhooks. Only one process counts at a time."""

    def __init__(self, store: Database) -> None:
        self._store = store
        #: The mapping used when changes were last determined, by source.
        self._hashes: dict[str, str] = {}

    def run(self, sources: Mapping[str, Source]) -> None:
        """Count all webhooks that were not counted before. Raise StoreUnavailable on failure."""
        fingerprints = self._store.fingerprints()
        self._forget_fixed(sources, fingerprints)
        for _ in range(MOST_BATCHES):
            with self._store.transaction() as tx:
                events = tx.formats.next_events(BATCH)
                if events is not None:
                    _count(tx, events, sources, fingerprints)
            if events is None:
                return

    def recount(self, source: Source) -> bool:
        """Update the stored format changes of a source after its mapping was edited.

        Return False if another process counts at this moment. That process then updates them.
        """
        with self._store.transaction() as tx:
            return _recount(tx, source, self._store.fingerprints())

    def _forget_fixed(self, sources: Mapping[str, Source], fingerprints: Fingerprints) -> None:
        """Update the stored format changes of sources whose mappings were edited."""
        edited = [name for name, one in sources.items() if self._hashes.get(name) != one.hash]
        for name in edited:
            with self._store.transaction() as tx:
                is_done = _recount(tx, sources[name], fingerprints)
            if not is_done:  # another process counts at this moment
                return
            self._hashes[name] = sources[name].hash


def _recount(tx: Transaction, source: Source, fingerprints: Fingerprints) -> bool:
    """Count how an edited mapping reads the latest webhooks, and store the unfixed changes.

    Return False if another process counts.
    """
    if _loaded(tx, [source.name])[source.name].mapping_hash in ("", source.hash):
        return True
    events = tx.formats.counted_events(source.name, MOST_RECOUNTED)
    if events is None:
        return False
    statistics = _loaded(tx, [source.name])[source.name]
    profiles = [(one, _profile(source, one, fingerprints)) for one in events]
    counted = [
        CountedEvent(event.id, event.received_at, features)
        for event, features in profiles
        if features is not None
    ]
    statistics.recount(counted)
    _save(tx, statistics, source, fingerprints)
    return True


def _profile(source: Source, event: Event, fingerprints: Fingerprints) -> set[Feature] | None:
    """Return the features of a webhook, or None if it cannot be described."""
    hashed = functools.partial(_hash, fingerprints, source.name)
    try:
        return profile_of(source, event.request, event.received_at, hashed)
    except Exception:
        # A single webhook must not stop the counting.
        log.exception("format_not_counted", extra={"event_id": event.id})
        return None


def _count(
    tx: Transaction,
    events: Iterable[Event],
    sources: Mapping[str, Source],
    fingerprints: Fingerprints,
) -> None:
    known = sorted((one for one in events if one.source in sources), key=lambda one: one.source)
    loaded = _loaded(tx, sorted({event.source for event in known}))
    for name, group in itertools.groupby(known, key=lambda one: one.source):
        source, statistics = sources[name], loaded[name]
        for event in group:
            features = _profile(source, event, fingerprints)
            if features is not None:
                statistics.add(features, event.id, event.received_at)
        _save(tx, statistics, source, fingerprints)


def _save(
    tx: Transaction, statistics: FormatStatistics, source: Source, fingerprints: Fingerprints
) -> None:
    """Store a source's counts and the changes in its format."""
    statistics.mapping_hash = source.hash
    tx.formats.save(
        source.name,
        events=statistics.events,
        accepted=statistics.accepted,
        mapping_hash=source.hash,
        features=[_row(one, statistics.counts[one]) for one in sorted(statistics.changed)],
        forgotten=[_names(one) for one in sorted(statistics.forgotten)],
    )
    hashed = functools.partial(_hash, fingerprints, source.name)
    found = statistics.changes(source, hashed)
    tx.formats.replace_changes(source.name, [_json(dataclasses.asdict(one)) for one in found])


def _hash(fingerprints: Fingerprints, source: str, text: str) -> str:
    return fingerprints.item(source, f"format {text}")[:8].hex()


def _loaded(tx: Transaction, names: Sequence[str]) -> dict[str, FormatStatistics]:
    counts, features = tx.formats.counts(names)
    loaded = {name: FormatStatistics(source=name) for name in names}
    for row in counts:
        loaded[row["source"]] = FormatStatistics(**row)
    for row in features:
        feature = Feature(FormatKind(row["kind"]), row["name"], row["value"])
        values = {field.name: row[field.name] for field in dataclasses.fields(Count)}
        loaded[row["source"]].counts[feature] = Count(**values)
    return loaded


def _row(feature: Feature, count: Count) -> dict[str, Any]:
    return {**_names(feature), **_json(dataclasses.asdict(count))}


def _names(feature: Feature) -> dict[str, Any]:
    return {**feature._asdict(), "name": storable(feature.name)}


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat() if hasattr(value, "isoformat") else value
        for key, value in values.items()
    }


def change_as_dict(change: FormatChange) -> dict[str, Any]:
    """Return a format change as JSON-compatible data."""
    return {"text": change.text, **dataclasses.asdict(change)}
