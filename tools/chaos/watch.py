"""Measure how long rows that should progress stay idle during the faults."""

import contextlib
import threading
import time
from typing import Any, Self

from adapter.exceptions import StoreUnavailable
from adapter.store import Database
from tools.chaos.stage import Stage

LOOK_SECONDS = 0.25

#: Each row that should be progressing now, and since when. A row in flight counts from when it was
#: sent. Any other row counts from when it is due, the rate limit permits it, and no earlier request
#: from the same person is in flight.
MOVING = """
SELECT 'event' AS kind, id, state, received_at AS since, now() AS now
FROM events WHERE state = 'received'
UNION ALL
SELECT 'booking', b.id, b.state,
    CASE b.state WHEN 'sending' THEN b.updated_at
        ELSE GREATEST(b.due_at, rate_limit.theoretical_arrival_at, rate_limit.paused_until,
            sibling.until) END,
    now()
FROM rate_limit, bookings b, LATERAL (
    SELECT max(CASE WHEN o.state IN ('sending', 'submitted') THEN now() ELSE o.updated_at END)
    FROM bookings o
    WHERE b.state = 'pending' AND o.id <> b.id AND o.match_keys && b.match_keys
) AS sibling (until)
WHERE b.state IN ('pending', 'sending', 'submitted')
"""


#: Unknown bookings that have not been searched for yet.
UNSEARCHED = """
SELECT id FROM bookings WHERE state = 'unknown' AND due_at IS NOT NULL AND updated_at = (
    SELECT max(at) FROM history WHERE booking_id = bookings.id)
    AND due_at < updated_at + interval '90 seconds'
"""
#: Later messages to send, except those that wait for a lead in review.
UNSENT = """
SELECT m.id FROM messages m JOIN bookings b ON b.id = m.booking_id
WHERE m.state IN ('sending', 'submitted') OR m.state = 'waiting' AND NOT EXISTS (
    SELECT FROM bookings o
    WHERE o.match_keys && b.match_keys AND o.state IN ('held', 'failed', 'unknown', 'expired'))
"""
#: Longer than the time until the first search.
SEARCH_SECONDS = 120.0


class Watch:
    """A thread that polls the rows and restarts the second worker when it dies."""

    def __init__(self, stage: Stage, store: Database) -> None:
        self._stage = stage
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.worst_seconds = 0.0
        self.worst_row = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def begin(self) -> None:
        """Reset the recorded maximum idle time."""
        self.worst_seconds, self.worst_row = 0.0, ""

    def moving(self) -> list[str] | None:
        """Return the rows that are not in a final state, or None if PostgreSQL is unavailable."""
        try:
            return [_name(row) for row in self._rows()]
        except StoreUnavailable:
            return None

    def wait_for_searches(self) -> bool:
        """Wait until each unknown booking has been searched for. Return True if there were any."""
        deadline, waited = time.monotonic() + SEARCH_SECONDS, False
        while time.monotonic() < deadline and self._is_unsearched():
            waited = True
            time.sleep(LOOK_SECONDS)
        return waited

    def has_notes(self) -> bool:
        """Return True if any notes are waiting or in flight."""
        return self._finds(UNSENT)

    def _is_unsearched(self) -> bool:
        return self._finds(UNSEARCHED)

    def _finds(self, query: str) -> bool:
        try:
            with self._store.statement() as tx:
                return bool(tx.connection.execute(query).fetchall())
        except StoreUnavailable:
            return True

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._stage.second_worker.keep_alive(lambda _: None)
            with contextlib.suppress(StoreUnavailable):
                self._look()

    def _look(self) -> None:
        for row in self._rows():
            seconds = (row["now"] - row["since"]).total_seconds()
            if seconds > self.worst_seconds:
                self.worst_seconds, self.worst_row = seconds, _name(row)

    def _rows(self) -> list[dict[str, Any]]:
        with self._store.statement() as leads:
            return leads.connection.execute(MOVING).fetchall()


def _name(row: dict[str, Any]) -> str:
    return f"{row['kind']} {row['id']} ({row['state']})"
