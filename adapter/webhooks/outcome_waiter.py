"""Where requests wait for the outcome of their event: woken by the database, never by a clock.

One thread of the process listens, over one connection. A request that waits holds a thread of the
web server and no connection. The seats are bounded, so that senders who wait leave threads for
those who do not.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from adapter.exceptions import StoreUnavailable
from adapter.mapping.webhook_outcome import WebhookOutcome

log = logging.getLogger(__name__)

#: Pause before the listener tries PostgreSQL again.
PAUSE_SECONDS = 0.5


class OutcomeWaiter:
    """The waiting requests of one process. The listener starts with the first of them."""

    def __init__(self, listen: Callable[[], Iterator[int | None]], max_waiters: int) -> None:
        """``listen`` gives ids of settled events, and None when it begins to hear."""
        self._listen = listen
        self._max_waiters = max_waiters
        self._lock = threading.Lock()
        self._events: dict[int, list[threading.Event]] = {}
        self._listener: threading.Thread | None = None
        self._closed = threading.Event()
        self._is_lost = False

    def wait(
        self, event_id: int, look: Callable[[], WebhookOutcome], deadline: float
    ) -> WebhookOutcome:
        """What ``look`` finds once it is final, or at ``deadline`` (monotonic seconds).

        Never raises when PostgreSQL is away: then the event is accepted, and no more is known.
        Without a free seat it looks once.
        """
        with self._slot(event_id) as settled:
            found = _seen(event_id, look)
            while settled is not None and not found.is_final:
                if not settled.wait(max(0.0, deadline - time.monotonic())):
                    return found
                # Cleared before the look: what is settled during it rings again.
                settled.clear()
                found = _seen(event_id, look)
            return found

    @contextlib.contextmanager
    def _slot(self, event_id: int) -> Iterator[threading.Event | None]:
        """A bell that rings when the event may be settled; None when all seats are taken."""
        settled = threading.Event()
        if not self._register(event_id, settled):
            log.warning("outcome_waiters_full", extra={"event_id": event_id})
            yield None
            return
        try:
            yield settled
        finally:
            self._unregister(event_id, settled)

    def _register(self, event_id: int, settled: threading.Event) -> bool:
        with self._lock:
            if sum(map(len, self._events.values())) >= self._max_waiters:
                return False
            self._events.setdefault(event_id, []).append(settled)
            if self._listener is None:
                self._listener = threading.Thread(
                    target=self._run, name="outcome-waiter", daemon=True
                )
                self._listener.start()
            return True

    def _unregister(self, event_id: int, settled: threading.Event) -> None:
        with self._lock:
            self._events[event_id].remove(settled)
            if not self._events[event_id]:
                del self._events[event_id]

    def close(self) -> None:
        """Lets the listener end once its connection does."""
        self._closed.set()

    def _run(self) -> None:
        """Listens for ever; what was settled while nobody heard is found by a look of everyone."""
        while not self._closed.is_set():
            try:
                for event_id in self._listen():
                    self._is_lost = False
                    self._wake(event_id)
            except StoreUnavailable:
                self._note_loss()
            except Exception:
                log.exception("outcome_waiter_failed")
            self._closed.wait(PAUSE_SECONDS)

    def _note_loss(self) -> None:
        """Once for each loss, not for each try."""
        if not self._is_lost:
            log.warning("outcome_waiter_lost_postgresql")
        self._is_lost = True

    def _wake(self, event_id: int | None) -> None:
        with self._lock:
            if event_id is not None:
                settled_events = self._events.get(event_id, [])
            else:
                settled_events = [
                    settled for sitting in self._events.values() for settled in sitting
                ]
            for settled in settled_events:
                settled.set()


def _seen(event_id: int, look: Callable[[], WebhookOutcome]) -> WebhookOutcome:
    try:
        return look()
    except StoreUnavailable:
        return WebhookOutcome(event_id=event_id)
