"""Reload mappings in running processes. If any mapping is invalid, keep all old mappings."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from adapter.exceptions import ConfigurationError
from adapter.mapping.problems import MappingErrors
from adapter.settings import Settings

log = logging.getLogger(__name__)

#: Maximum number of files to check in a folder.
MAX_FILES: Final = 10_000

Loaded = TypeVar("Loaded")
#: Each file's modification time in nanoseconds and size in bytes, by path.
Snapshot = dict[str, tuple[int, int]]


def reload_or_keep(load: Callable[[], Loaded]) -> Loaded | None:
    """Return the result of ``load``. If it raises ConfigurationError, log it and return None."""
    try:
        loaded = load()
    except ConfigurationError as exc:
        is_mappings = invalid_part(exc) == "mappings"
        for line in str(exc).splitlines():
            log.error(  # noqa: TRY400 - the text is enough
                "mappings_invalid" if is_mappings else "settings_invalid", extra={"problem": line}
            )
        return None
    log.info("mappings_reloaded")
    return loaded


def invalid_part(exc: ConfigurationError) -> str:
    """Return "mappings" or "settings", depending on where the error is."""
    return "mappings" if isinstance(exc, MappingErrors) else "settings"


def log_problems(settings: Settings) -> None:
    """Log the secret files that could not be reloaded."""
    for problem in settings.problems:
        log.error("secret_not_reloaded", extra={"problem": problem})


class FolderWatcher:
    """Detects changes to the files in a folder by polling."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reported = self._last = snapshot_of(path)

    def has_changed(self) -> bool:
        """Return True once after each change, when two consecutive polls agree.

        This keeps a file from being read while it is being written.
        """
        now = snapshot_of(self.path)
        is_stable, self._last = now == self._last, now
        if not is_stable or now == self._reported:
            return False
        self._reported = now
        return True


def snapshot_of(folder: Path) -> Snapshot:
    """Return the modification time and size of each file in a folder, keyed by path."""
    snapshot: Snapshot = {}
    for file, _ in zip(sorted(folder.rglob("*")), range(MAX_FILES), strict=False):
        try:
            stat = file.stat()
        except OSError:
            continue  # the file was deleted after it was listed
        snapshot[str(file)] = (stat.st_mtime_ns, stat.st_size)
    return snapshot
