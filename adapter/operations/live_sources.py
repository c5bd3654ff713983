"""Update a process's mappings when users change mappings or communities in the console."""

import dataclasses
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from adapter.mapping import overlay, registry
from adapter.mapping.source import Source
from adapter.models import NO_OVERRIDES, AddedCommunity, Alias, Overrides
from adapter.settings import Settings
from adapter.store import Database

log = logging.getLogger(__name__)

#: How often each process checks for changes.
REFRESH_SECONDS = 2.0


class LiveSources:
    """The mappings in use: the files combined with the changes made in the console."""

    def __init__(self, settings: Settings, store: Database, files: Mapping[str, Source]) -> None:
        self._settings, self._store = settings, store
        self._lock = threading.Lock()
        self.files = self.sources = files
        self.overrides: Overrides = NO_OVERRIDES

    def replace_files(self, files: Mapping[str, Source]) -> None:
        """Replace the mappings that were loaded from files."""
        with self._lock:
            self.files = files
            self._apply(self.overrides)

    def refresh(self) -> bool:
        """Load new changes from the console. Return False if there are none."""
        with self._store.statement() as tx:
            changes = tx.overrides.changes()
        if changes == self.overrides.changes:
            return False
        with self._lock:
            with self._store.transaction() as tx:
                overrides = tx.overrides.all()
            if overrides.changes == self.overrides.changes:
                return False  # another thread has loaded it in the meantime
            self._apply(overrides)
        log.info("put_in_place_loaded", extra={"changes": overrides.changes})
        return True

    @property
    def added(self) -> tuple[AddedCommunity, ...]:
        """The communities that users added and that communities.yaml does not list."""
        listed = {key for source in self.files.values() for key in source.communities}
        return tuple(one for one in self.overrides.communities if one.key not in listed)

    def status_of(self, alias: Alias) -> str:
        """Return "in use" or the reason why an alias is not in use."""
        source = self.files.get(alias.source)
        if source is None:
            return f"not in use: there is no source {alias.source}"
        if known := source.community_lookup.known.get(alias.key):
            return f"not in use: in communities.yaml, this name is {known.title}"
        if alias.community not in self.sources[alias.source].communities:
            return f"not in use: there is no community {alias.community}"
        return "in use"

    def _apply(self, overrides: Overrides) -> None:
        self.overrides = overrides
        used = overrides
        if self._settings.mappings_from_files_only:
            used = dataclasses.replace(overrides, versions={})
        sources = overlay.apply(self.files, used, self._settings.policy)
        for source in sources.values():
            for problem in source.version_problems:
                log.error("mapping_version_invalid", extra={"problem": str(problem)})
        self.sources = sources  # a single assignment, so that no thread sees a partial set


def live_sources(
    settings: Settings,
    store: Database,
    folder: Path | None = None,
    files: Mapping[str, Source] | None = None,
) -> LiveSources:
    """Return the mappings in use, for a short-lived process.

    Use ``files`` if given. Otherwise, load ``folder`` or else the settings' folder, and raise
    ConfigurationError if a mapping is invalid.
    """
    if files is None:
        files = registry.load(folder or settings.mappings_dir, settings.policy)
    live = LiveSources(settings, store, files)
    live.refresh()
    return live
