"""Follow PostgreSQL's clock so that all processes agree on the time."""

import datetime as dt
import logging
import time
from collections.abc import Callable

from adapter.models import Clock, utc_now
from adapter.store.database import Database

log = logging.getLogger(__name__)

#: A larger difference between this machine's clock and PostgreSQL's is logged as an error.
MOST_OFFSET = dt.timedelta(seconds=2)
#: Sending is unsafe if the difference is larger, because one machine's clock is wrong.
DANGEROUS_OFFSET = dt.timedelta(seconds=30)


def elapsed() -> float:
    """Return monotonic time in seconds, including time asleep if the system supports this."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def time_of(store: Database) -> dt.datetime:
    """Return PostgreSQL's current time. Raise StoreUnavailable if it cannot be reached."""
    with store.statement() as tx:
        return tx.current_time()


class DatabaseClock:
    """A clock that follows PostgreSQL's. It uses the local clock until :meth:`measure` is called.

    Between measurements, it uses a monotonic clock, so changes to the local clock do not matter.
    """

    def __init__(
        self,
        wall: Clock = utc_now,
        count: Callable[[], float] = elapsed,
        read: Callable[[Database], dt.datetime] = time_of,
    ) -> None:
        """Set the local clock, the monotonic clock, and a function that reads PostgreSQL's time."""
        self._wall = wall
        self._count = count
        self._read = read
        self._measured = (wall(), count())
        self._offset = dt.timedelta(0)

    def __call__(self) -> dt.datetime:
        """Return the current time according to PostgreSQL."""
        at, counted = self._measured
        return at + dt.timedelta(seconds=self._count() - counted)

    def machine_time(self) -> dt.datetime:
        """Return the time according to the local clock."""
        return self._wall()

    @property
    def is_dangerous(self) -> bool:
        """True if the local clock is off by more than 30 seconds, so that sending is unsafe."""
        return abs(self._offset) > DANGEROUS_OFFSET

    def measure(self, store: Database) -> None:
        """Synchronize with PostgreSQL's clock. Log a warning if the local clock now differs."""
        began = self._count()
        there = self._read(store)
        counted = self._count()
        at = there + dt.timedelta(seconds=(counted - began) / 2)
        self._measured = (at, counted)  # one assignment, because threads read it
        former, self._offset = self._offset, self._wall() - at
        self._log_change(former)

    def _log_change(self, former: dt.timedelta) -> None:
        """Log when the difference between the clocks becomes large or dangerous, or disappears."""
        extra = {"seconds": round(self._offset.total_seconds(), 1), "sends": not self.is_dangerous}
        if _severity(self._offset) > _severity(former):
            log.error("clock_differs", extra=extra)
        elif _severity(self._offset) == 0 < _severity(former):
            log.warning("clock_agrees", extra=extra)


def _severity(offset: dt.timedelta) -> int:
    return (abs(offset) > MOST_OFFSET) + (abs(offset) > DANGEROUS_OFFSET)
