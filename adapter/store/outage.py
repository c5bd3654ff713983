"""Log when PostgreSQL outages begin and end, and once per minute while they last."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

#: How often to log the same reason. After this time, an outage is an error.
REPEAT_SECONDS = 60.0


class Outage:
    """Tracks whether a part of a process can reach PostgreSQL. It is thread-safe."""

    def __init__(self, part: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._part = part
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since: float | None = None
        self._logged_at: dict[str, float] = {}
        self._failures = 0

    @property
    def is_lasting(self) -> bool:
        """True if the last attempt to use PostgreSQL failed."""
        return self._since is not None

    def failed(self, reason: str) -> None:
        """Log that PostgreSQL is unavailable, at most once per minute for each reason."""
        now = self._monotonic()
        with self._lock:
            self._since = now if self._since is None else self._since
            seconds = now - self._since
            self._failures += 1
            if now - self._logged_at.get(reason, -REPEAT_SECONDS) < REPEAT_SECONDS:
                return
            self._logged_at[reason] = now
        level = logging.WARNING if seconds < REPEAT_SECONDS else logging.ERROR
        facts = {"part": self._part, "reason": reason, "seconds": round(seconds)}
        log.log(level, "postgresql_unavailable", extra=facts)

    def ended(self) -> None:
        """Log that an outage has ended, if there was one."""
        if self._since is None:  # without the lock, because almost every call ends here
            return
        with self._lock:
            if self._since is None:
                return
            facts = {"part": self._part, "seconds": round(self._monotonic() - self._since)}
            facts["failures"] = self._failures
            self._since, self._failures = None, 0
            self._logged_at.clear()
        log.info("postgresql_available", extra=facts)
