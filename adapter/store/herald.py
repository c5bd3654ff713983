"""Wakes the workers after an event was committed, not within its transaction.

PostgreSQL commits one transaction with a NOTIFY at a time, and each of them waits for the disk. So
the transactions that senders wait for have none. When it is lost, with its process, the workers
look by themselves half a second later.
"""

import logging
import threading
import time
from collections.abc import Callable

from adapter.exceptions import StoreUnavailable

log = logging.getLogger(__name__)

#: It rests so many times as long as telling took: the busier the machine, the fewer the calls.
REST = 10
#: But not longer, in seconds. What is announced meanwhile is told afterwards, all at once.
LONGEST_REST_SECONDS = 0.05


class Herald:
    """One thread of a process that tells of all new events at once. It starts with the first."""

    def __init__(self, wake_workers: Callable[[], None]) -> None:
        """``wake_workers`` tells them, and raises StoreUnavailable when that cannot be done."""
        self._wake_workers = wake_workers
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Made with the first event: a thread that was there before gunicorn's fork would be lost.
        self._thread: threading.Thread | None = None

    def announce(self) -> None:
        """Wakes the workers soon; never waits and never raises."""
        self._asked.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Ends the thread, after what was announced is told."""
        self._closed.set()
        self._asked.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="herald", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._asked.wait()
            self._asked.clear()
            began = time.monotonic()
            self._tell()
            self._closed.wait(min(REST * (time.monotonic() - began), LONGEST_REST_SECONDS))
        if self._asked.is_set():
            self._tell()

    def _tell(self) -> None:
        try:
            self._wake_workers()
        except StoreUnavailable:
            log.warning("workers_not_woken")
        except Exception:
            log.exception("workers_not_woken")  # its thread must live: the next time may be better
