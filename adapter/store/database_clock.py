"""Follow PostgreSQL's clock, so that all processes agree on the time."""

import datetime as dt
import logging
import time
from collections.abc import Callable

from adapter.models import Clock, utc_now
from adapter.store.database import Database

log = logging.getLogger(__name__)

#: A larger difference between this machine's clock and PostgreSQL's is logged as an error.
MOST_OFFSET = dt.timedelta(seconds=2)
#: A larger difference means that something is wrong with one of the machines.
DANGEROUS_OFFSET = dt.timedelta(seconds=30)


def elapsed() -> float:
    """Return monotonic seconds. If possible, they include the time while this machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def time_of(store: Database) -> dt.datetime:
    """Return PostgreSQL's time. Raise StoreUnavailable if it cannot be reached."""
    with store.statement() as tx:
        return tx.current_time()


class DatabaseClock:
    """Returns PostgreSQL's time, which :meth:`measure` reads. Until then, returns this machine's.

    Between measurements, it uses a monotonic counter, so changes to this machine's clock do not
    matter.
    """

    def __init__(
        self,
        wall: Clock = utc_now,
        count: Callable[[], float] = elapsed,
        read: Callable[[Database], dt.datetime] = time_of,
    ) -> None:
        """Take this machine's clock, its counter of seconds, and a function for PostgreSQL's."""
        self._wall = wall
        self._count = count
        self._read = read
        self._measured = (wall(), count())
        self._offset = dt.timedelta(0)

    def __call__(self) -> dt.datetime:
        """Return the current time."""
        at, counted = self._measured
        return at + dt.timedelta(seconds=self._count() - counted)

    def machine_time(self) -> dt.datetime:
        """Return the time of this machine's own clock."""
        return self._wall()

    @property
    def is_dangerous(self) -> bool:
        """Return True if this machine's clock is too far off to send anything."""
        return abs(self._offset) > DANGEROUS_OFFSET

    def measure(self, store: Database) -> None:
        """Read PostgreSQL's time. If this machine's time differs, log it once."""
        began = self._count()
        there = self._read(store)
        counted = self._count()
        at = there + dt.timedelta(seconds=(counted - began) / 2)
        self._measured = (at, counted)  # one assignment, because threads read it
        former, self._offset = self._offset, self._wall() - at
        self._log_change(former)

    def _log_change(self, former: dt.timedelta) -> None:
        """Log when a difference begins, becomes dangerous, or ends."""
        extra = {"seconds": round(self._offset.total_seconds(), 1), "sends": not self.is_dangerous}
        if _severity(self._offset) > _severity(former):
            log.error("clock_differs", extra=extra)
        elif _severity(self._offset) == 0 < _severity(former):
            log.warning("clock_agrees", extra=extra)


def _severity(offset: dt.timedelta) -> int:
    return (abs(offset) > MOST_OFFSET) + (abs(offset) > DANGEROUS_OFFSET)
