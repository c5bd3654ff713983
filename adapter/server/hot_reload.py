"""A new set of mappings under processes that run: taken up whole, or not at all."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from adapter.exceptions import ConfigurationError

log = logging.getLogger(__name__)

#: How many files of a folder are looked at.
MOST_FILES: Final = 10_000

Made = TypeVar("Made")
#: Modification time in nanoseconds and size in bytes, by path.
Snapshot = dict[str, tuple[int, int]]


def reload_or_keep(make: Callable[[], Made]) -> Made | None:
    """What ``make`` loads anew; None, with each of its problems in the log, where it refuses."""
    try:
        made = make()
    except ConfigurationError as exc:
        for line in str(exc).splitlines():
            log.error("mappings_refused", extra={"problem": line})  # noqa: TRY400 - the text is all
        return None
    log.info("mappings_reloaded")
    return made


class FolderWatcher:
    """A folder whose files are looked at now and then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._taken = self._last = snapshot_of(path)

    def has_changed(self) -> bool:
        """Whether files are others than at the last yes, and the same as at the last look.

        A file that is being written is left alone until it rests.
        """
        now = snapshot_of(self.path)
        rests, self._last = now == self._last, now
        if not rests or now == self._taken:
            return False
        self._taken = now
        return True


def snapshot_of(folder: Path) -> Snapshot:
    """What tells two states of a folder apart without reading its files."""
    found: Snapshot = {}
    for file, _ in zip(sorted(folder.rglob("*")), range(MOST_FILES), strict=False):
        try:
            seen = file.stat()
        except OSError:
            continue  # it was removed while we looked
        found[str(file)] = (seen.st_mtime_ns, seen.st_size)
    return found
