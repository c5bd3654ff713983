"""Notify workers of new events, and listen for new events and completed events.

PostgreSQL keeps no notification for a listener that is not connected, and a connection pooler in
transaction mode drops all notifications. So notifications only speed up processing. Behind a
pooler, listeners poll at short intervals instead of listening.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import psycopg

from adapter.exceptions import StoreUnavailable
from adapter.store.connection import connect, is_pooled, reason_of
from adapter.store.queries import STATEMENTS

log = logging.getLogger(__name__)

#: Pause after a notification, in seconds. The next notification covers all events in the pause.
PAUSE_SECONDS = 0.05
#: Timeout for a listener's login and for each of its statements, in seconds.
ANSWER_SECONDS = 5
#: How often a listener checks behind a pooler.
POOLED_SECONDS = 0.5


class WorkerNotifier:
    """Notifies workers of new events in the background. One notification may cover several."""

    def __init__(self, notify_workers: Callable[[], object]) -> None:
        """Set ``notify_workers``, the function that sends a notification to all workers."""
        self._notify_workers = notify_workers
        self._requested = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Started by the first event, because threads do not survive gunicorn's fork.
        self._thread: threading.Thread | None = None

    def notify(self) -> None:
        """Schedule a notification to the workers, without blocking or raising."""
        self._requested.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Send any scheduled notification and stop the background thread."""
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
            self._send()
            self._closed.wait(PAUSE_SECONDS)
        if self._requested.is_set():
            self._send()

    def _send(self) -> None:
        try:
            self._notify_workers()
        except StoreUnavailable:
            log.warning("workers_not_notified")
        except Exception:
            log.exception("workers_not_notified")  # the next attempt may succeed


def listen_for_received_events(url: str, check_seconds: float) -> Iterator[bool]:
    """Yield True when new events arrive for workers, and False every ``check_seconds``.

    The first value is False, when the listener is ready. The listener uses its own connection.
    Raise :class:`StoreUnavailable` if this connection is lost.
    """
    for payload in _listen(url, "listen_received", check_seconds):
        yield payload is not None


def listen_for_settled_events(url: str) -> Iterator[int | None]:
    """Yield the IDs of events whose processing has completed. Never return.

    Yield None when the listener is ready, and then every hour, or twice a second behind a pooler.
    The listener uses its own connection. Raise :class:`StoreUnavailable` if this connection is
    lost.
    """
    for payload in _listen(url, "listen_settled"):
        yield None if payload is None else int(payload)


def _listen(url: str, statement: str, check_seconds: float = 3600.0) -> Iterator[str | None]:
    """Yield the payload of each notification, and None at the start and every ``check_seconds``."""
    try:
        with connect(url, ANSWER_SECONDS) as connection:
            if not is_pooled(connection):
                connection.execute(STATEMENTS[statement])
                while True:
                    yield None
                    for notice in connection.notifies(timeout=check_seconds):
                        yield notice.payload
    except psycopg.Error as exc:
        raise StoreUnavailable(reason_of(exc)) from exc
    while True:
        yield None
        time.sleep(min(check_seconds, POOLED_SECONDS))
