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
from adapter.mapping.webhook_outcome import Finding

log = logging.getLogger(__name__)

#: Pause before the listener tries PostgreSQL again.
PAUSE_SECONDS = 0.5


class Lobby:
    """The waiting requests of one process. The listener starts with the first of them."""

    def __init__(self, listen: Callable[[], Iterator[int | None]], seats: int) -> None:
        """``listen`` gives ids of settled events, and None when it begins to hear."""
        self._listen = listen
        self._seats = seats
        self._lock = threading.Lock()
        self._bells: dict[int, list[threading.Event]] = {}
        self._listener: threading.Thread | None = None
        self._closed = threading.Event()
        self._is_lost = False

    def wait(self, event_id: int, look: Callable[[], Finding], deadline: float) -> Finding:
        """What ``look`` finds once it is final, or at ``deadline`` (monotonic seconds).

        Never raises when PostgreSQL is away: then the event is accepted, and no more is known.
        Without a free seat it looks once.
        """
        with self._seat(event_id) as bell:
            found = _seen(event_id, look)
            while bell is not None and not found.is_final:
                if not bell.wait(max(0.0, deadline - time.monotonic())):
                    return found
                # Cleared before the look: what is settled during it rings again.
                bell.clear()
                found = _seen(event_id, look)
            return found

    @contextlib.contextmanager
    def _seat(self, event_id: int) -> Iterator[threading.Event | None]:
        """A bell that rings when the event may be settled; None when all seats are taken."""
        bell = threading.Event()
        if not self._sit(event_id, bell):
            log.warning("lobby_full", extra={"event_id": event_id})
            yield None
            return
        try:
            yield bell
        finally:
            self._rise(event_id, bell)

    def _sit(self, event_id: int, bell: threading.Event) -> bool:
        with self._lock:
            if sum(map(len, self._bells.values())) >= self._seats:
                return False
            self._bells.setdefault(event_id, []).append(bell)
            if self._listener is None:
                self._listener = threading.Thread(target=self._run, name="lobby", daemon=True)
                self._listener.start()
            return True

    def _rise(self, event_id: int, bell: threading.Event) -> None:
        with self._lock:
            self._bells[event_id].remove(bell)
            if not self._bells[event_id]:
                del self._bells[event_id]

    def close(self) -> None:
        """Lets the listener end once its connection does."""
        self._closed.set()

    def _run(self) -> None:
        """Listens for ever; what was settled while nobody heard is found by a look of everyone."""
        while not self._closed.is_set():
            try:
                for event_id in self._listen():
                    self._is_lost = False
                    self._ring(event_id)
            except StoreUnavailable:
                self._note_loss()
            except Exception:
                log.exception("lobby_failed")
            self._closed.wait(PAUSE_SECONDS)

    def _note_loss(self) -> None:
        """Once for each loss, not for each try."""
        if not self._is_lost:
            log.warning("lobby_lost_postgresql")
        self._is_lost = True

    def _ring(self, event_id: int | None) -> None:
        with self._lock:
            if event_id is not None:
                bells = self._bells.get(event_id, [])
            else:
                bells = [bell for sitting in self._bells.values() for bell in sitting]
            for bell in bells:
                bell.set()


def _seen(event_id: int, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except StoreUnavailable:
        return Finding(event_id=event_id)
