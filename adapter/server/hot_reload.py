"""Reload mappings in running processes. If the set is invalid, reload nothing."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from adapter.exceptions import ConfigurationError

log = logging.getLogger(__name__)

#: How many files of a folder are checked.
MAX_FILES: Final = 10_000

Loaded = TypeVar("Loaded")
#: Modification time in nanoseconds and size in bytes, by path.
Snapshot = dict[str, tuple[int, int]]


def reload_or_keep(load: Callable[[], Loaded]) -> Loaded | None:
    """Return what ``load`` returns, or None after logging each problem."""
    try:
        loaded = load()
    except ConfigurationError as exc:
        for line in str(exc).splitlines():
            log.error("mappings_invalid", extra={"problem": line})  # noqa: TRY400 - the text is all
        return None
    log.info("mappings_reloaded")
    return loaded


class FolderWatcher:
    """Detects changes of a folder's files by polling."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reported = self._last = snapshot_of(path)

    def has_changed(self) -> bool:
        """Return True once per change, as soon as two consecutive polls agree.

        This way, a file that is still being written is not read.
        """
        now = snapshot_of(self.path)
        is_stable, self._last = now == self._last, now
        if not is_stable or now == self._reported:
            return False
        self._reported = now
        return True


def snapshot_of(folder: Path) -> Snapshot:
    """Return modification time and size of each file."""
    snapshot: Snapshot = {}
    for file, _ in zip(sorted(folder.rglob("*")), range(MAX_FILES), strict=False):
        try:
            stat = file.stat()
        except OSError:
            continue  # removed since it was listed
        snapshot[str(file)] = (stat.st_mtime_ns, stat.st_size)
    return snapshot
