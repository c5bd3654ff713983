"""Keep Propexo's rate limit: the shared row and its arithmetic."""

import dataclasses
import datetime as dt
from typing import Any

import psycopg

from adapter.store.queries import STATEMENTS

WINDOW = dt.timedelta(seconds=60)

#: A call may reach Propexo so much later than another one that passed the gate at the same time:
#: calls are counted so much longer, and one that is held up for longer is not sent.
LAG = dt.timedelta(seconds=1)

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
class Gate:
    """What the gate holds, read under its lock."""

    even_at: dt.datetime
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


def limit_of(gate: Gate, setting: int) -> int:
    """Calls allowed in any 60 seconds: the setting, or less where Propexo allows less."""
    if gate.allowed is None:
        return setting
    return max(min(setting, int(gate.allowed * USED_SHARE)), 1)


def next_call(gate: Gate, now: dt.datetime, setting: int, *, is_read: bool) -> dt.datetime:
    """When the next call may go: ``now``, or later."""
    limit = limit_of(gate, setting)
    burst = BURST * WINDOW / limit
    # A clock that ran ahead may have written what lies far off: nobody waits for that.
    earliest = max(now, min(gate.paused_until, now + LONGEST_PAUSE))
    is_starved = is_read and gate.reads < limit * LEAST_READ_SHARE
    if not is_starved:
        earliest = max(earliest, min(gate.even_at, now + WINDOW) - burst)
    if gate.calls >= limit and gate.oldest_at is not None:
        earliest = max(earliest, min(gate.oldest_at, now) + WINDOW + LAG)
    if is_read and gate.is_awaited and gate.reads >= max(limit * READ_SHARE, 1):
        earliest = max(earliest, now + WINDOW / limit * 4)
    return earliest


def even_after(gate: Gate, now: dt.datetime, setting: int) -> dt.datetime:
    """When the call after one that goes ``now`` would come if all came evenly."""
    return max(min(gate.even_at, now + WINDOW), now) + WINDOW / limit_of(gate, setting)


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


class GateRow:
    """The gate's row, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def lock(self, now: dt.datetime) -> Gate:
        """What the gate holds at ``now``; others wait until this transaction ends."""
        self._connection.execute(STATEMENTS["lock_gate"])
        self._connection.execute(STATEMENTS["forget_calls"], {"before": now - WINDOW - LAG})
        row = self._connection.execute(STATEMENTS["gate"], {"now": now}).fetchone()
        if row is None:
            raise LookupError("the gate has no row; run adapter migrate")
        return Gate(**row)

    def pass_through(self, gate: Gate, now: dt.datetime, limit: int, *, is_read: bool) -> None:
        """Counts one call that goes now. ``limit``: calls a minute by our own settings."""
        even_at = even_after(gate, now, limit)
        self._connection.execute(
            STATEMENTS["pass_gate"], {"at": now, "is_read": is_read, "even_at": even_at}
        )

    def try_read(self, now: dt.datetime, limit: int) -> dt.datetime | None:
        """Counts a read that goes now; or says when to come back."""
        gate = self.lock(now)
        if gate.stopped_for is not None:
            return now + STOPPED_GAP
        at = next_call(gate, now, limit, is_read=True)
        if at > now:
            return at
        self.pass_through(gate, now, limit, is_read=True)
        return None

    def note(self, rate: tuple[int, int] | None, now: dt.datetime) -> None:
        """Keeps what an answer said of Propexo's limit: calls allowed a minute, and calls left."""
        if rate is not None:
            until = pause_after(*rate, now)
            self._connection.execute(STATEMENTS["note_rate"], {"allowed": rate[0], "until": until})

    def pause(self, until: dt.datetime) -> None:
        """Lets nothing pass before ``until``."""
        self._connection.execute(STATEMENTS["pause_gate"], {"until": until})

    def stop(self, reason: str, now: dt.datetime) -> bool:
        """Lets nothing be sent until it is opened again; False when it was stopped already."""
        found = self._connection.execute(
            STATEMENTS["stop_gate"], {"reason": reason, "now": now}
        ).fetchone()
        return found is not None

    def take_check(self, now: dt.datetime, gap: dt.timedelta) -> bool:
        """Whether it is this worker's turn to see if a stopped gate can be opened."""
        found = self._connection.execute(
            STATEMENTS["take_check"], {"now": now, "before": now - gap}
        ).fetchone()
        return found is not None

    def open(self) -> None:
        """Lets bookings be sent again."""
        self._connection.execute(STATEMENTS["open_gate"])
