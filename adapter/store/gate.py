"""The gate that every call to Propexo passes, of all workers together. One row, under its lock."""

import datetime as dt
from typing import Any

import psycopg

from adapter import pace
from adapter.pace import Gate
from adapter.store.statements import STATEMENTS

#: While nothing is accepted from us, reads are tried this much later.
STOPPED_GAP = dt.timedelta(seconds=30)


class GateRow:
    """The gate's row, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def lock(self, now: dt.datetime) -> Gate:
        """What the gate holds at ``now``; others wait until this transaction ends."""
        self._connection.execute(STATEMENTS["lock_gate"])
        self._connection.execute(
            STATEMENTS["forget_calls"], {"before": now - pace.WINDOW - pace.LAG}
        )
        row = self._connection.execute(STATEMENTS["gate"], {"now": now}).fetchone()
        if row is None:
            raise LookupError("the gate has no row; run adapter migrate")
        return Gate(**row)

    def pass_through(self, gate: Gate, now: dt.datetime, limit: int, *, is_read: bool) -> None:
        """Counts one call that goes now. ``limit``: calls a minute by our own settings."""
        even_at = pace.even_after(gate, now, limit)
        self._connection.execute(
            STATEMENTS["pass_gate"], {"at": now, "is_read": is_read, "even_at": even_at}
        )

    def try_read(self, now: dt.datetime, limit: int) -> dt.datetime | None:
        """Counts a read that goes now; or says when to come back."""
        gate = self.lock(now)
        if gate.stopped_for is not None:
            return now + STOPPED_GAP
        at = pace.next_call(gate, now, limit, is_read=True)
        if at > now:
            return at
        self.pass_through(gate, now, limit, is_read=True)
        return None

    def note(self, rate: tuple[int, int] | None, now: dt.datetime) -> None:
        """Keeps what an answer said of Propexo's limit: calls allowed a minute, and calls left."""
        if rate is not None:
            until = pace.pause_after(*rate, now)
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
