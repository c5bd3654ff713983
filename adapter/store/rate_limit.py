"""Enforce Propexo's rate limit across all workers with GCRA and a shared database row."""

import dataclasses
import datetime as dt
from collections.abc import Callable

from adapter.exceptions import NotSent
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

#: Maximum duration of a pause of all calls.
LONGEST_PAUSE = dt.timedelta(hours=1)

#: If less than this share of Propexo's limit is left, the remaining calls are spread out.
LOW_SHARE = 0.2

#: The share of Propexo's limit that we use. Above 80%, Propexo slows down every response.
USED_SHARE = 0.8

#: Sending stops after this many POSTs in a row without a clear response.
MOST_FAILURES = 3

#: Minimum and maximum duration of a stop of sending. It doubles with each further failure.
FIRST_STOP = dt.timedelta(seconds=10)
LONGEST_STOP = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RateState:
    """The state of the shared rate limit, read while its row is locked."""

    #: GCRA's theoretical arrival time: the time of the next call if calls were evenly spaced.
    theoretical_arrival_at: dt.datetime
    paused_until: dt.datetime
    #: The reason that sending is stopped until a read from Propexo succeeds, or None.
    stopped_for: str | None
    #: The number of calls per minute that Propexo allows, as last reported.
    allowed: int | None
    #: Number of POSTs in a row without a clear response. After several, none begins before
    #: ``retry_at``.
    failures: int
    retry_at: dt.datetime
    #: Number of POSTs of notes in a row without a clear response.
    note_failures: int
    #: After such a POST, no note is sent before this time, except by the worker that has set it.
    note_retry_at: dt.datetime
    #: The number of calls in the last 60 seconds (plus lag), and how many of them were reads.
    calls: int
    reads: int
    #: The time of the oldest of these calls, or None.
    oldest_at: dt.datetime | None
    #: The number of bookings that could be sent now: 0, 1, or 2 for more than one. Other bookings
    #: do not limit reads, because they may be waiting for one.
    waiting: int

    @property
    def is_reading_stopped(self) -> bool:
        """True if reads are stopped too, because Propexo rejects the API token."""
        return self.stopped_for == NOT_AUTHORIZED


#: The only reason code that stops reads too.
NOT_AUTHORIZED = "not_authorized"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """A suspension of all sending: its reason, its start, and the last check of Propexo."""

    stopped_for: str
    stopped_at: dt.datetime | None
    checked_at: dt.datetime


def limit_of(rate_state: RateState, setting: int) -> int:
    """Return the number of calls allowed in any 60 seconds, based on Propexo's reported limit."""
    if rate_state.allowed is None:
        return setting
    return max(min(setting, int(rate_state.allowed * USED_SHARE)), 1)


def next_call(
    rate_state: RateState, now: dt.datetime, setting: int, *, is_read: bool
) -> dt.datetime:
    """Return the earliest time for the next call to Propexo, which may be ``now``."""
    limit = limit_of(rate_state, setting)
    burst = BURST * WINDOW / limit
    # A machine whose clock is fast may have stored a time far in the future. Do not wait for it.
    earliest = max(now, min(rate_state.paused_until, now + LONGEST_PAUSE))
    is_starved = is_read and rate_state.reads < limit * LEAST_READ_SHARE
    if not is_starved:
        earliest = max(earliest, min(rate_state.theoretical_arrival_at, now + WINDOW) - burst)
    if rate_state.calls >= limit and rate_state.oldest_at is not None:
        earliest = max(earliest, min(rate_state.oldest_at, now) + WINDOW + CLOCK_LAG)
    if not is_read and rate_state.failures >= MOST_FAILURES:
        earliest = max(earliest, min(rate_state.retry_at, now + LONGEST_STOP))
    if is_read and rate_state.waiting and rate_state.reads >= max(limit * READ_SHARE, 1):
        earliest = max(earliest, now + WINDOW / limit * 4)
    return earliest


def retry_after(failures: int, now: dt.datetime) -> dt.datetime:
    """Return the earliest time for the next POST after consecutive failures."""
    if failures < MOST_FAILURES:
        return now
    doublings = min(failures - MOST_FAILURES, 20)
    return now + min(FIRST_STOP * (1 << doublings), LONGEST_STOP)


def next_arrival(rate_state: RateState, now: dt.datetime, setting: int) -> dt.datetime:
    """Return GCRA's theoretical arrival time after a call at ``now``."""
    return max(min(rate_state.theoretical_arrival_at, now + WINDOW), now) + WINDOW / limit_of(
        rate_state, setting
    )


def pause_after(allowed: int, left: int, now: dt.datetime) -> dt.datetime | None:
    """Return the time of the next call to Propexo if few calls are left, otherwise None.

    Few of the ``allowed`` calls may be left because other programs use the same token. The pause
    spreads the remaining calls over the minute.
    """
    if left > allowed * LOW_SHARE:
        return None
    return now + WINDOW / (left + 1)


#: Delay before reads are retried while sending is stopped.
SUSPENDED_GAP = dt.timedelta(seconds=30)


class RateLimiter(Statements):
    """Reads and updates the shared rate limit within a transaction."""

    def lock(self, now: dt.datetime) -> RateState:
        """Lock the rate limit until the transaction ends, and return its state at ``now``."""
        return self.lock_unread(now)()

    def lock_unread(self, now: dt.datetime) -> Callable[[], RateState]:
        """Lock the rate limit like :meth:`lock`. Return a function that returns its state."""
        self._run("lock_rate_limit")
        # A tour that is too late will soon expire, so it is not counted even before that.
        rows = self._run("read_rate_limit", now=now, late=now, since=now - WINDOW - CLOCK_LAG)

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
        lease_until: dt.datetime | None = None,
        is_read: bool | None = None,
    ) -> None:
        """Count a call to Propexo, and update the rate limit.

        By default, the call is a POST if ``source`` is given, and otherwise a read. ``limit`` is
        the configured number of calls per minute. After failures, POSTs are tried one at a time,
        and the next one waits for the outcome of the last one until ``lease_until``.
        """
        is_trial = rate_state.failures >= MOST_FAILURES
        self._run(
            "count_call",
            at=now,
            is_read=source is None if is_read is None else is_read,
            theoretical_arrival_at=next_arrival(rate_state, now, limit),
            since=now - WINDOW - CLOCK_LAG,
            source=source,
            weight=weight,
            retry_at=lease_until if is_trial else None,
        )

    def try_read(self, now: dt.datetime, limit: int) -> dt.datetime | None:
        """Reserve a read and return None, or return the time when the next read is allowed."""
        rate_state = self.lock(now)
        if rate_state.is_reading_stopped:
            return now + SUSPENDED_GAP
        at = next_call(rate_state, now, limit, is_read=True)
        if at > now:
            return at
        self.count_call(rate_state, now, limit)
        return None

    def reserve_read(self, now: dt.datetime, limit: int) -> None:
        """Reserve a read. Raise NotSent if no read is allowed now."""
        if self.try_read(now, limit) is not None:
            raise NotSent("the rate limit does not allow another call now")

    def save_limit(self, rate: tuple[int, int] | None, now: dt.datetime) -> None:
        """Save the number of calls per minute that Propexo allows, and the number of calls left."""
        if rate is not None:
            self._run("save_limit", allowed=rate[0], until=pause_after(*rate, now))

    def pause(self, until: dt.datetime) -> None:
        """Pause all calls to Propexo until the given time."""
        self._run("pause_sending", until=until)

    def suspend(self, reason: str, now: dt.datetime) -> bool:
        """Stop sending until :meth:`resume`. Return False if sending was already stopped."""
        return self._has("suspend_sending", reason=reason, now=now)

    def count_failure(self, reason: str, why: str, now: dt.datetime) -> int:
        """Count a POST without a clear response. Stop sending after several failures in a row.

        Return the number of failures in a row if this stops sending, or 0.
        """
        rate_state = self.lock(now)
        if rate_state.stopped_for is not None:
            return 0
        failures = rate_state.failures + 1
        is_stopped = failures >= MOST_FAILURES
        self._run(
            "count_failure",
            failures=failures,
            retry_at=retry_after(failures, now),
            stopped_for=reason if is_stopped else None,
            why=why,
            now=now,
        )
        return failures if is_stopped else 0

    def end_failures(self) -> None:
        """Record that Propexo gave a clear response to a POST, and reset the failure count."""
        self._run("end_failures")

    def count_note_failure(self, now: dt.datetime) -> None:
        """Count a note that was sent without a clear response, and delay all notes.

        One failure is enough to delay all notes, because a user must look for each lost note.
        """
        failures = MOST_FAILURES + self.lock(now).note_failures
        self._run("count_note_failure", retry_at=retry_after(failures, now))

    def delay_notes(self, until: dt.datetime) -> None:
        """Delay all notes until a given time, except the trial note after failures."""
        self._run("delay_notes", until=until)

    def end_note_failures(self) -> None:
        """Record that Propexo gave a clear response to a note, and reset the failure count."""
        self._run("end_note_failures")

    def reserve_check(self, now: dt.datetime, gap: dt.timedelta) -> Stop | None:
        """Return the current stop if this worker should check Propexo's status now, or None."""
        row = self._one("reserve_check", now=now, before=now - gap)
        return Stop(**row) if row else None

    def resume(self) -> None:
        """Resume sending. After failures, POSTs are sent one at a time until one succeeds."""
        self._run("resume_sending")

    def repair_clock(self, now: dt.datetime) -> bool:
        """Reset times stored by a clock that was ahead. Return False if there were none.

        A call in the future shows that a worker's or PostgreSQL's clock was ahead.
        """
        return self._has("repair_clock", now=now, ahead=now + CLOCK_LAG * 2)

    def lift(self) -> None:
        """End a temporary pause of all calls, and allow an immediate check of Propexo."""
        self._run("lift_pause")
