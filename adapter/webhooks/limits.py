"""How many requests a minute are let through for each address or source."""

import collections
import threading
import time
from collections.abc import Callable

from adapter.exceptions import LimitReached

#: So many addresses are remembered. The one that was quiet longest is forgotten first.
KEYS = 10_000


class RequestLimit:
    """A token bucket for each key: it holds one minute's tokens and fills evenly.

    Lives in the memory of one process (some 2 MB when full), so that counting costs no
    round trip: with several web processes the limit is that many times as high.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        #: Tokens left and when they were counted, in monotonic seconds.
        self._buckets: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def take(self, key: str) -> None:
        """Takes one token. Raises :class:`LimitReached` where there is none."""
        with self._lock:
            tokens = self._tokens(key)
            if tokens < 1:
                raise LimitReached(retry_after_seconds=(1 - tokens) * 60 / self._per_minute)
            self._keep(key, tokens - 1)

    def give_back(self, key: str) -> None:
        """Gives back what a request took that turned out to be welcome."""
        with self._lock:
            self._keep(key, min(self._tokens(key) + 1, float(self._per_minute)))

    def _tokens(self, key: str) -> float:
        full = float(self._per_minute)
        tokens, counted_at = self._buckets.get(key, (full, 0.0))
        filled = (self._clock() - counted_at) * full / 60
        return min(tokens + filled, full)

    def _keep(self, key: str, tokens: float) -> None:
        self._buckets[key] = (tokens, self._clock())
        self._buckets.move_to_end(key)
        if len(self._buckets) > KEYS:
            self._buckets.popitem(last=False)
