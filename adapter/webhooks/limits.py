"""Limit how many requests per minute each IP address and each source may send."""

import collections
import threading
import time
from collections.abc import Callable

from adapter.exceptions import LimitReached

#: Maximum number of keys in memory. The least recently used key is dropped first.
MAX_KEYS = 10_000


class RequestLimit:
    """A rate limit with a token bucket for each IP address or source.

    Buckets are kept in the memory of one process (about 2 MB when full), so that counting needs
    no query. With several web processes, the limit is that many times as high.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        #: Tokens left, and the monotonic time when they were counted.
        self._buckets: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def take(self, key: str, cost: float = 1.0) -> None:
        """Take tokens from the bucket for ``key``. Raise LimitReached if there are too few."""
        cost = min(cost, max(1.0, self._per_minute / 2))
        with self._lock:
            tokens = self._tokens(key)
            if tokens < cost:
                raise LimitReached(retry_after_seconds=(cost - tokens) * 60 / self._per_minute)
            self._save(key, tokens - cost)

    def give_back(self, key: str) -> None:
        """Put a token back into the bucket for ``key`` after a request proved authentic."""
        with self._lock:
            self._save(key, min(self._tokens(key) + 1, float(self._per_minute)))

    def _tokens(self, key: str) -> float:
        full = float(self._per_minute)
        tokens, counted_at = self._buckets.get(key, (full, 0.0))
        filled = (self._clock() - counted_at) * full / 60
        return min(tokens + filled, full)

    def _save(self, key: str, tokens: float) -> None:
        self._buckets[key] = (tokens, self._clock())
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
