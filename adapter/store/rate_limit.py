"""Keep Propexo's rate limit: the shared row and its arithmetic."""

import dataclasses
import datetime as dt
from typing import Any

import psycopg

from adapter.store.queries import STATEMENTS

WINDOW = dt.timedelta(seconds=60)

#: A call may reach Propexo so much later than another one that passed the gate at the same time:
#: calls are counted so much longer, and one that is held up for longer is not sent.
CLOCK_LAG = dt.timedelta(seconds=1)

#: So many calls may come at once after a quiet time.
BURST = 3

#: While bookings wait, reads take at most this share of the window.
READ_SHARE = 0.25

#: So much of the window is theirs whatever waits: jobs that end let others of a person go.
LEAST_READ_SHARE = 0.1

#: Nothing pauses all calls for longer.
LONGEST_PAUSE = dt.timedelta(hours=1)

#: Under this share of what Propexo still allows in its minute, calls are spread over the minute.
LOW_SHARE = 0.2

#: Share of Propexo's own limit that we use: above 80 % it slows every answer down.
USED_SHARE = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RateState:
    """What the gate holds, read under its lock."""

    theoretical_arrival_at: dt.datetime
    paused_until: dt.datetime
    #: Why nothing is sent until somebody mends it; None: all is well.
    stopped_for: str | None
    #: Calls a minute that Propexo last said it allows.
    allowed: int | None
    #: Calls of the last 60 seconds and the lag, and how many of them were reads.
    calls: int
    reads: int
    #: When the first of them was; None: there were none.
    oldest_at: dt.datetime | None
    #: Whether a booking waits to be sent.
    is_awaited: bool


def limit_of(rate_state: RateState, setting: int) -> int:
    """Calls allowed in any 60 seconds: the setting, or less where Propexo allows less."""
    if rate_state.allowed is None:
        return setting
    return max(min(setting, int(rate_state.allowed * USED_SHARE)), 1)


def next_call(
    rate_state: RateState, now: dt.datetime, setting: int, *, is_read: bool
) -> dt.datetime:
    """When the next call may go: ``now``, or later."""
    limit = limit_of(rate_state, setting)
    burst = BURST * WINDOW / limit
    # A clock that ran ahead may have written what lies far off: nobody waits for that.
    earliest = max(now, min(rate_state.paused_until, now + LONGEST_PAUSE))
    is_starved = is_read and rate_state.reads < limit * LEAST_READ_SHARE
    if not is_starved:
        earliest = max(earliest, min(rate_state.theoretical_arrival_at, now + WINDOW) - burst)
    if rate_state.calls >= limit and rate_state.oldest_at is not None:
        earliest = max(earliest, min(rate_state.oldest_at, now) + WINDOW + CLOCK_LAG)
    if is_read and rate_state.is_awaited and rate_state.reads >= max(limit * READ_SHARE, 1):
        earliest = max(earliest, now + WINDOW / limit * 4)
    return earliest


def even_after(rate_state: RateState, now: dt.datetime, setting: int) -> dt.datetime:
    """When the call after one that goes ``now`` would come if all came evenly."""
    return max(min(rate_state.theoretical_arrival_at, now + WINDOW), now) + WINDOW / limit_of(
        rate_state, setting
    )


def pause_after(allowed: int, left: int, now: dt.datetime) -> dt.datetime:
    """Until when to wait after an answer that says how many calls a minute are allowed and left.

    Others may use the same token. When little is left of Propexo's minute, each call waits for
    its share of what is left.
    """
    if left > allowed * LOW_SHARE:
        return now
    return now + WINDOW / (left + 1)


#: While nothing is accepted from us, reads are tried this much later.
STOPPED_GAP = dt.timedelta(seconds=30)


class RateLimiter:
    """The gate's row, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def lock(self, now: dt.datetime) -> RateState:
        """What the gate holds at ``now``; others wait until this transaction ends."""
        self._connection.execute(STATEMENTS["lock_rate_limit"])
        self._connection.execute(
            STATEMENTS["delete_old_calls"], {"before": now - WINDOW - CLOCK_LAG}
        )
        row = self._connection.execute(STATEMENTS["rate_limit"], {"now": now}).fetchone()
        if row is None:
            raise LookupError("the gate has no row; run adapter migrate")
        return RateState(**row)

    def pass_through(
        self, rate_state: RateState, now: dt.datetime, limit: int, *, is_read: bool
    ) -> None:
        """Counts one call that goes now. ``limit``: calls a minute by our own settings."""
        theoretical_arrival_at = even_after(rate_state, now, limit)
        self._connection.execute(
            STATEMENTS["take_call"],
            {"at": now, "is_read": is_read, "theoretical_arrival_at": theoretical_arrival_at},
        )

    def try_read(self, now: dt.datetime, limit: int) -> dt.datetime | None:
        """Counts a read that goes now; or says when to come back."""
        rate_state = self.lock(now)
        if rate_state.stopped_for is not None:
            return now + STOPPED_GAP
        at = next_call(rate_state, now, limit, is_read=True)
        if at > now:
            return at
        self.pass_through(rate_state, now, limit, is_read=True)
        return None

    def note(self, rate: tuple[int, int] | None, now: dt.datetime) -> None:
        """Keeps what an answer said of Propexo's limit: calls allowed a minute, and calls left."""
        if rate is not None:
            until = pause_after(*rate, now)
            self._connection.execute(STATEMENTS["save_rate"], {"allowed": rate[0], "until": until})

    def pause(self, until: dt.datetime) -> None:
        """Lets nothing pass before ``until``."""
        self._connection.execute(STATEMENTS["pause_sending"], {"until": until})

    def suspend(self, reason: str, now: dt.datetime) -> bool:
        """Lets nothing be sent until it is opened again; False when it was stopped already."""
        found = self._connection.execute(
            STATEMENTS["suspend_sending"], {"reason": reason, "now": now}
        ).fetchone()
        return found is not None

    def take_check(self, now: dt.datetime, gap: dt.timedelta) -> bool:
        """Whether it is this worker's turn to see if a stopped gate can be opened."""
        found = self._connection.execute(
            STATEMENTS["take_check"], {"now": now, "before": now - gap}
        ).fetchone()
        return found is not None

    def resume(self) -> None:
        """Lets bookings be sent again."""
        self._connection.execute(STATEMENTS["resume_sending"])
