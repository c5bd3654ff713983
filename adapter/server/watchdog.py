"""End a process that no longer makes progress, so that it is restarted.

If a thread dies or all threads in a pool hang, the process looks healthy from the outside, but
sends nothing. Therefore, each loop and task has to send heartbeats.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
#: Exit code of a process that the watchdog ended.
DEAD = 70


class Watchdog:
    """Ends the process when one of its parts sends no heartbeat for ``limit_seconds``.

    Time is measured in ticks of the watchdog's own thread instead of with a clock, so that time
    during which the whole process was suspended does not count.
    """

    def __init__(
        self,
        parts: Iterable[str],
        limit_seconds: float,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._silent = dict.fromkeys(parts, 0)
        self._limit = limit_seconds / TICK_SECONDS
        self._left: float | None = None
        self._end = end

    def heartbeat(self, part: str) -> None:
        """Record a heartbeat from a part of the process. Ignore parts that are not watched."""
        if part in self._silent:
            self._silent[part] = 0

    def stop_within(self, seconds: float) -> None:
        """Force the process to exit if it has not stopped within ``seconds``."""
        self._left = seconds / TICK_SECONDS

    def watch(self) -> None:
        """Start a background thread that calls :meth:`tick` every second."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def tick(self) -> None:
        """Count one second, and end the process if a part has been silent for too long."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                log.warning("forced_stop")
                self._end(DEAD)
            return
        for part in self._silent:
            self._silent[part] += 1
            if self._silent[part] > self._limit:
                log.critical("process_is_stuck", extra={"part": part})
                self._end(DEAD)

    def _run(self) -> None:
        never = threading.Event()
        while not never.wait(TICK_SECONDS):
            self.tick()
