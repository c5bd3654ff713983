"""Find leads that were not booked because a user published or rolled back a mapping."""

import contextlib
import dataclasses
import datetime as dt
import functools
from collections.abc import Iterator, Sequence
from typing import Final

from adapter.exceptions import KeyMissing
from adapter.mapping import overlay, registry
from adapter.mapping.engine import SENT_OUTCOMES
from adapter.mapping.problems import MappingErrors
from adapter.mapping.source import Source
from adapter.models import Event, MappingVersion
from adapter.operations.live_sources import LiveSources
from adapter.settings import Settings
from adapter.store import Database, Transaction

#: How long after a mapping was changed its leads are watched.
WATCHED_FOR: Final = dt.timedelta(days=7)
#: Limits for each change: the newest messages to look through, and how many of them to map.
MOST_SEARCHED: Final = 1000
MOST_MAPPED: Final = 50


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LostLeads:
    """Leads that are held or ignored, although the previous version would have booked them."""

    #: The version that did not book them.
    version: MappingVersion
    #: True if the version is the file or has the text of an earlier version.
    is_roll_back: bool
    #: The IDs of their events, newest first.
    ids: Sequence[int]


class VersionWatch:
    """Finds the leads that a mapping's previous version would have booked."""

    def __init__(self, settings: Settings, store: Database, live: LiveSources) -> None:
        self._settings, self._store, self._live = settings, store, live
        # Neither a version nor a stored message changes, so each is read only once.
        self._versions = functools.lru_cache(maxsize=20)(self._read_versions)
        self._source = functools.lru_cache(maxsize=20)(self._load)
        self._is_sent = functools.lru_cache(maxsize=2000)(self._map)

    def lost(self, now: dt.datetime) -> list[LostLeads]:
        """Return the lost leads of each recently changed mapping, by version."""
        if self._settings.mappings_from_files_only:
            return []
        changed = self._live.overrides.versions.values()
        recent = [one.source for one in changed if now - one.at < WATCHED_FOR]
        return [one for name in recent for one in self._lost_of(name, now)]

    def _lost_of(self, name: str, now: dt.datetime) -> Iterator[LostLeads]:
        versions = self._versions(name, self._live.overrides.changes)
        with self._store.transaction() as tx:
            found = {one.number: self._unbooked(tx, one, versions, now) for one in versions}
        for one in versions:
            former = one.number - 1
            ids = [number for number in found[one.number] if self._is_sent(name, former, number)]
            if ids:
                earlier = [other.text for other in versions if other.number < one.number]
                is_roll_back = one.text is None or one.text in earlier
                yield LostLeads(version=one, is_roll_back=is_roll_back, ids=ids)

    def _read_versions(self, name: str, changes: int) -> Sequence[MappingVersion]:  # noqa: ARG002
        """Return a mapping's versions, newest first. They stay the same until the next change."""
        with self._store.transaction() as tx:
            return tx.overrides.versions(name)

    def _unbooked(
        self,
        tx: Transaction,
        version: MappingVersion,
        versions: Sequence[MappingVersion],
        now: dt.datetime,
    ) -> Sequence[int]:
        """Return the IDs of messages that led to no booking while a version was in use."""
        if now - version.at >= WATCHED_FOR:
            return ()
        newer = [one.at for one in versions if one.number == version.number + 1]
        return tx.events.unbooked_ids(
            version.source, version.at, *newer, searched=MOST_SEARCHED, limit=MOST_MAPPED
        )

    def _map(self, name: str, number: int, event_id: int) -> bool:
        """Return True if a version of a mapping would send a message's leads to Knock."""
        source = self._source(name, number)
        event = self._event(event_id) if source is not None else None
        if source is None or event is None or event.kept != "all":
            return False
        return source.map(event.request, now=event.received_at).outcome in SENT_OUTCOMES

    def _event(self, event_id: int) -> Event | None:
        with self._store.transaction() as tx, contextlib.suppress(KeyMissing):
            return tx.events.get(event_id)
        return None

    def _load(self, name: str, number: int) -> Source | None:
        """Load a version of a mapping, or its file for version 0. Return None if that fails."""
        found = self._versions(name, self._live.overrides.changes)
        versions = {one.number: one for one in found}
        text = versions[number].text if number in versions else None
        if text is None:
            return self._file(name, versions.get(number) or versions.get(1))
        folder, policy = self._settings.mappings_dir, self._settings.policy
        with contextlib.suppress(MappingErrors):
            loaded = registry.load_text(folder, name, text, policy)
            return overlay.with_communities(loaded, self._live.overrides)
        return None

    def _file(self, name: str, version: MappingVersion | None) -> Source | None:
        """Return the mapping from its file, or None if the file has changed since ``version``."""
        file = self._live.files.get(name)
        if file is None or version is None or overlay.is_outdated(file, version):
            return None
        return overlay.with_communities(file, self._live.overrides)
