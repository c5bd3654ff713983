"""Notices that a process lives and works no more: then it ends, and is started again by others.

A thread that died, a pool whose threads all hang, an event loop that stands still: from outside the
process looks well in all three cases, and nothing is sent. So each part has to show life now and
then.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
#: Exit code of a process that ends itself.
DEAD = 70


class Watchdog:
    """Ends the process when one of its parts has shown no life for ``limit_seconds``.

    The time is counted in ticks of its own thread, not by a clock: a process that was frozen as a
    whole finds its parts as alive as they were.
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
        """A part is alive."""
        self._silent[part] = 0

    def stop_within(self, seconds: float) -> None:
        """The process is to stop; it ends by force where it takes longer than ``seconds``."""
        self._left = seconds / TICK_SECONDS

    def watch(self) -> None:
        """Begins to watch, in a thread that does not keep the process alive."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def tick(self) -> None:
        """One tick has passed."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                log.error("stopped_by_force")
                self._end(DEAD)
            return
        for part in self._silent:
            self._silent[part] += 1
            if self._silent[part] > self._limit:
                log.critical("process_is_stuck", extra={"part": part})
                self._end(DEAD)

    def _run(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(TICK_SECONDS):
            self.tick()
