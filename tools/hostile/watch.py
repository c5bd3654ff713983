"""Record the adapter's processes and their memory use during the run."""

import contextlib

import psutil

from tools.hostile.background import Background
from tools.hostile.stage import Stage

LOOK_SECONDS = 0.5
MAX_BYTES = 512 * 1024**2


class Watch(Background):
    """Checks the processes and their memory use twice a second."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(LOOK_SECONDS)
        self._stage = stage
        #: The processes at the start, by ID.
        self.first = stage.family()
        #: The most memory of any process with this name.
        self.peak_bytes: dict[str, int] = {}

    def died(self) -> list[str]:
        """Return the processes that have ended since the start."""
        now = self._stage.family()
        return [f"{name} ({pid})" for pid, name in self.first.items() if pid not in now]

    def step(self) -> None:
        for pid, name in self.first.items():
            with contextlib.suppress(psutil.Error):
                size = psutil.Process(pid).memory_info().rss
                self.peak_bytes[name] = max(size, self.peak_bytes.get(name, 0))
