"""Enforce Propexo's rate limit with GCRA and a row that all workers share."""

import dataclasses
import datetime as dt
from collections.abc import Callable

from adapter.store.queries import Statements

WINDOW = dt.timedelta(seconds=60)

#: Maximum delay between reserving a call and its arrival at Propexo. Calls are counted for this
#: much longer than the window, and a call that is delayed even longer is not sent.
CLOCK_LAG = dt.timedelta(seconds=1)

#: Burst size: the number of calls that may be made at once after an idle period.
BURST = 3

#: Maximum share of calls that may be reads while bookings are pending.
READ_SHARE = 0.25

#: Minimum share for reads, because a finished job unblocks the person's next booking.
LEAST_READ_SHARE = 0.1

#: Maximum time for which all calls are paused.
LONGEST_PAUSE = dt.timedelta(hours=1)

#: If less than this share of Propexo's limit is left, the remaining calls are spread out.
LOW_SHARE = 0.2

#: The share of Propexo's limit that we use. Above 80%, Propexo slows down every response.
USED_SHARE = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RateState:
    """The state of the rate limit, read under its lock."""

    #: GCRA's theoretical arrival time: when the next call would be if calls were evenly spaced.
    theoretical_arrival_at: dt.datetime
    paused_until: dt.datetime
    #: Why sending is suspended until someone fixes it, or None.
    stopped_for: str | None
    #: The number of calls per minute that Propexo allows, as last reported.
    allowed: int | None
    #: The number of calls in the last 60 seconds (plus lag), and how many of them were reads.
    calls: int
    reads: int
    #: The time of the oldest of these calls, or None.
    oldest_at: dt.datetime | None
    #: The number of bookings due to be sent: 0, 1, or 2 for more than one.
    waiting: int


def limit_of(rate_state: RateState, setting: int) -> int:
    """Return the number of calls allowed in any 60 seconds, which Propexo may have lowered."""
    if rate_state.allowed is None:
        return setting
    return max(min(setting, int(rate_state.allowed * USED_SHARE)), 1)


def next_call(
    rate_state: RateState, now: dt.datetime, setting: int, *, is_read: bool
) -> dt.datetime:
    """Return when the next call may be made, which is ``now`` or later."""
    limit = limit_of(rate_state, setting)
    burst = BURST * WINDOW / limit
    # A machine whose clock is fast may have stored a time far in the future. Do not wait for it.
    earliest = max(now, min(rate_state.paused_until, now + LONGEST_PAUSE))
    is_starved = is_read and rate_state.reads < limit * LEAST_READ_SHARE
    if not is_starved:
        earliest = max(earliest, min(rate_state.theoretical_arrival_at, now + WINDOW) - burst)
    if rate_state.calls >= limit and rate_state.oldest_at is not None:
        earliest = max(earliest, min(rate_state.oldest_at, now) + WINDOW + CLOCK_LAG)
    if is_read and rate_state.waiting and rate_state.reads >= max(limit * READ_SHARE, 1):
        earliest = max(earliest, now + WINDOW / limit * 4)
    return earliest


def next_arrival(rate_state: RateState, now: dt.datetime, setting: int) -> dt.datetime:
    """Return GCRA's theoretical arrival time after a call at ``now``."""
    return max(min(rate_state.theoretical_arrival_at, now + WINDOW), now) + WINDOW / limit_of(
        rate_state, setting
    )


def pause_after(allowed: int, left: int, now: dt.datetime) -> dt.datetime:
    """Return when calls may continue if Propexo allows this many per minute and has this many left.

    Few may be left because other programs use the same token. They are spread over the minute.
    """
    if left > allowed * LOW_SHARE:
        return now
    return now + WINDOW / (left + 1)


#: Delay before reads are retried while sending is suspended.
SUSPENDED_GAP = dt.timedelta(seconds=30)


class RateLimiter(Statements):
    """Reads and writes the shared row of the rate limit within a transaction."""

    def lock(self, now: dt.datetime) -> RateState:
        """Lock the rate limit until the transaction ends, and return its state as of ``now``."""
        return self.lock_unread(now)()

    def lock_unread(self, now: dt.datetime) -> Callable[[], RateState]:
        """Lock the rate limit like :meth:`lock`, but return a function that returns its state."""
        self._run("lock_rate_limit")
        rows = self._run("read_rate_limit", now=now, since=now - WINDOW - CLOCK_LAG)

        def read() -> RateState:
            row = rows.fetchone()
            if row is None:
                raise LookupError("the rate limit's row is missing; run adapter migrate")
            return RateState(**row)

        return read

    def count_call(
        self,
        rate_state: RateState,
        now: dt.datetime,
        limit: int,
        *,
        source: str | None = None,
        weight: int = 1,
    ) -> None:
        """Count a call that is made now: a read, or a POST that uses the turn of its ``source``.

        ``limit`` is the configured number of calls per minute.
        """
        self._run(
            "count_call",
            at=now,
            is_read=source is None,
            theoretical_arrival_at=next_arrival(rate_state, now, limit),
            since=now - WINDOW - CLOCK_LAG,
            source=source,
            weight=weight,
        )

    def try_read(self, now: dt.datetime, limit: int) -> dt.datetime | None:
        """Count a read and return None, or return when to try again."""
        rate_state = self.lock(now)
        if rate_state.stopped_for is not None:
            return now + SUSPENDED_GAP
        at = next_call(rate_state, now, limit, is_read=True)
        if at > now:
            return at
        self.count_call(rate_state, now, limit)
        return None

    def save_limit(self, rate: tuple[int, int] | None, now: dt.datetime) -> None:
        """Save the allowed and remaining calls in the current minute that Propexo reported."""
        if rate is not None:
            self._run("save_limit", allowed=rate[0], until=pause_after(*rate, now))

    def pause(self, until: dt.datetime) -> None:
        """Pause all calls until ``until``."""
        self._run("pause_sending", until=until)

    def suspend(self, reason: str, now: dt.datetime) -> bool:
        """Suspend sending until :meth:`resume`. Return False if it was already suspended."""
        return self._one("suspend_sending", reason=reason, now=now) is not None

    def reserve_check(self, now: dt.datetime, gap: dt.timedelta) -> bool:
        """Return True if this worker should check now whether sending can resume."""
        return self._one("reserve_check", now=now, before=now - gap) is not None

    def resume(self) -> None:
        """Resume sending."""
        self._run("resume_sending")
