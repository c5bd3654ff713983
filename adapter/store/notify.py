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

#: The pause after a notification is this many times its duration, so that a busy database gets
#: fewer notifications.
PAUSE_FACTOR = 10

#: Maximum pause in seconds. One notification covers all events in the meantime.
LONGEST_PAUSE_SECONDS = 0.05

#: Pause while the workers have not taken the last notification: another would change nothing.
BEHIND_PAUSE_SECONDS = 0.25


class WorkerNotifier:
    """Notifies workers of new events from a separate thread, with one call for several events."""

    def __init__(self, notify_workers: Callable[[], bool]) -> None:
        """Notify by ``notify_workers``, which returns False if the workers are behind.

        It may raise StoreUnavailable.
        """
        self._notify_workers = notify_workers
        self._requested = threading.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Started by the first event, because threads do not survive gunicorn's fork.
        self._thread: threading.Thread | None = None

    def notify(self) -> None:
        """Notify the workers soon. Never wait or raise."""
        self._requested.set()
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Stop the thread, after a final notification if one was requested."""
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
            if self._send():
                pause = min(PAUSE_FACTOR * (time.monotonic() - began), LONGEST_PAUSE_SECONDS)
            else:
                pause = BEHIND_PAUSE_SECONDS
            self._closed.wait(pause)
        if self._requested.is_set():
            self._send()

    def _send(self) -> bool:
        """Return False if the workers have not taken the last notification yet."""
        try:
            return self._notify_workers()
        except StoreUnavailable:
            log.warning("workers_not_notified")
        except Exception:
            log.exception("workers_not_notified")  # the thread continues: the next try may succeed
        return True


def listen_for_settled_events(url: str) -> Iterator[int | None]:
    """Yield each event's ID when the transaction that settles it commits. Never end.

    First yield None, when it is listening. It uses a separate connection. Raise
    :class:`StoreUnavailable` when that connection is lost.
    """
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=5,
            # Detects a lost host within these seconds.
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
