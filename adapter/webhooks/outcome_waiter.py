"""Let requests wait for the outcome of their webhooks, using LISTEN/NOTIFY instead of polling.

One thread per process listens, over one connection. A waiting request occupies a thread of
the web server and no connection. The number of waiters is limited, so that threads are left for
senders that do not wait.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from adapter.exceptions import StoreUnavailable
from adapter.mapping.webhook_outcome import WebhookOutcome

log = logging.getLogger(__name__)

#: Pause before the listener reconnects to PostgreSQL.
RECONNECT_SECONDS = 0.5


class OutcomeWaiter:
    """Manages all waiting requests of one process. Its listener thread starts on first use."""

    def __init__(self, listen: Callable[[], Iterator[int | None]], max_waiters: int) -> None:
        """Create a waiter. ``listen`` yields the IDs of completed events as they complete."""
        self._listen = listen
        self._max_waiters = max_waiters
        self._lock = threading.Lock()
        self._waiters: dict[int, list[threading.Event]] = {}
        self._listener: threading.Thread | None = None
        self._closed = threading.Event()
        self._is_disconnected = False

    def wait(
        self, event_id: int, load: Callable[[], WebhookOutcome], deadline: float
    ) -> WebhookOutcome:
        """Return the webhook's outcome once it is final, or its current outcome at ``deadline``.

        Return "accepted" if PostgreSQL cannot be reached. If too many requests are waiting already,
        load once, without waiting.
        """
        with self._registered(event_id) as wakeup:
            outcome = _load_or_accepted(event_id, load)
            while wakeup is not None and not outcome.is_final:
                if not wakeup.wait(max(0.0, deadline - time.monotonic())):
                    return outcome
                # Cleared before loading, so that a change in the meantime sets it again.
                wakeup.clear()
                outcome = _load_or_accepted(event_id, load)
            return outcome

    def close(self) -> None:
        """Make the listener thread exit when its connection closes."""
        self._closed.set()

    @contextlib.contextmanager
    def _registered(self, event_id: int) -> Iterator[threading.Event | None]:
        """Yield an event that is set when the outcome may have changed, or None if at capacity."""
        wakeup = threading.Event()
        if not self._register(event_id, wakeup):
            log.warning("outcome_waiters_full", extra={"event_id": event_id})
            yield None
            return
        try:
            yield wakeup
        finally:
            self._unregister(event_id, wakeup)

    def _register(self, event_id: int, wakeup: threading.Event) -> bool:
        with self._lock:
            if sum(map(len, self._waiters.values())) >= self._max_waiters:
                return False
            self._waiters.setdefault(event_id, []).append(wakeup)
            if self._listener is None:
                self._listener = threading.Thread(
                    target=self._run, name="outcome-waiter", daemon=True
                )
                self._listener.start()
            return True

    def _unregister(self, event_id: int, wakeup: threading.Event) -> None:
        with self._lock:
            self._waiters[event_id].remove(wakeup)
            if not self._waiters[event_id]:
                del self._waiters[event_id]

    def _run(self) -> None:
        """Listen for completed events until closed. Wake all waiters after a reconnect."""
        while not self._closed.is_set():
            try:
                for event_id in self._listen():
                    self._is_disconnected = False
                    self._wake(event_id)
            except StoreUnavailable:
                self._log_disconnect()
            except Exception:
                log.exception("outcome_waiter_failed")
            self._closed.wait(RECONNECT_SECONDS)

    def _log_disconnect(self) -> None:
        """Log a lost connection once, and not again for each failed reconnect."""
        if not self._is_disconnected:
            log.warning("outcome_waiter_disconnected")
        self._is_disconnected = True

    def _wake(self, event_id: int | None) -> None:
        """Wake the requests that are waiting for an event, or all requests if the ID is None."""
        with self._lock:
            event_ids = list(self._waiters) if event_id is None else [event_id]
            for waiting_for in event_ids:
                for wakeup in self._waiters.get(waiting_for, []):
                    wakeup.set()


def _load_or_accepted(event_id: int, load: Callable[[], WebhookOutcome]) -> WebhookOutcome:
    try:
        return load()
    except StoreUnavailable:
        return WebhookOutcome(event_id=event_id)
