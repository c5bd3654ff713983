"""Record the adapter's processes and their memory during the run."""

import contextlib
import threading
from typing import Self

import psutil

from tools.hostile.stage import Stage

LOOK_SECONDS = 0.5
MAX_BYTES = 512 * 1024**2


class Watch:
    """Samples twice a second."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        #: The processes at the start, by ID.
        self.first = stage.family()
        #: The most memory of any process with this name.
        self.peak_bytes: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def died(self) -> list[str]:
        """Return the processes that have ended since the start."""
        now = self._stage.family()
        return [f"{name} ({pid})" for pid, name in self.first.items() if pid not in now]

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for pid, name in self.first.items():
                with contextlib.suppress(psutil.Error):
                    size = psutil.Process(pid).memory_info().rss
                    self.peak_bytes[name] = max(size, self.peak_bytes.get(name, 0))
