"""Notify workers of new events, and listen for settled ones."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import psycopg

from adapter.exceptions import StoreUnavailable
from adapter.store.migrate import reason_of
from adapter.store.queries import STATEMENTS

log = logging.getLogger(__name__)

#: It rests so many times as long as telling took: the busier the machine, the fewer the calls.
NOTIFY_INTERVAL_SECONDS = 10

#: But not longer, in seconds. What is announced meanwhile is told afterwards, all at once.
LONGEST_RETRY_SECONDS = 0.05


class WorkerNotifier:
    """One thread of a process that tells of all new events at once. It starts with the first."""

    def __init__(self, wake_workers: Callable[[], None]) -> None:
        """``wake_workers`` tells them, and raises StoreUnavailable when that cannot be done."""
        self._wake_workers = wake_workers
        self._requested = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Made with the first event: a thread that was there before gunicorn's fork would be lost.
        self._thread: threading.Thread | None = None

    def notify(self) -> None:
        """Wakes the workers soon; never waits and never raises."""
        self._requested.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Ends the thread, after what was announced is told."""
        self._closed.set()
        self._requested.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="worker-notifier", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._requested.wait()
            self._requested.clear()
            began = time.monotonic()
            self._send()
            self._closed.wait(
                min(NOTIFY_INTERVAL_SECONDS * (time.monotonic() - began), LONGEST_RETRY_SECONDS)
            )
        if self._requested.is_set():
            self._send()

    def _send(self) -> None:
        try:
            self._wake_workers()
        except StoreUnavailable:
            log.warning("workers_not_woken")
        except Exception:
            log.exception("workers_not_woken")  # its thread must live: the next time may be better


def listen_for_settled_events(url: str) -> Iterator[int | None]:
    """Ids of events, each as the transaction that settled it is committed; without an end.

    The first is None: from then on nothing is missed. Holds one connection of its own, and raises
    :class:`StoreUnavailable` when that is lost.
    """
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=5,
            # A host that is gone without a word is found out within these seconds.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        ) as connection:
            connection.execute(STATEMENTS["listen"])
            yield None
            for notice in connection.notifies():
                yield int(notice.payload)
    except psycopg.Error as exc:
        raise StoreUnavailable(reason_of(exc)) from exc
