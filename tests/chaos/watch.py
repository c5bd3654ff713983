"""Watches the rows while everything breaks: how long did one stand still that should have moved?"""

import contextlib
import threading
from typing import Any, Self

import psycopg

from tests.chaos.stage import Stage

LOOK_SECONDS = 0.25

#: Each row that should be moving now, since when, and what it is. One that is on the wire waits
#: since it went out; any other since it is due, the rate lets it pass, and nothing of the same
#: person is on its way before it.
MOVING = """
SELECT 'event' AS kind, id, state, received_at AS since, now() AS now
FROM events WHERE state = 'received'
UNION ALL
SELECT 'booking', b.id, b.state,
    CASE b.state WHEN 'sending' THEN b.updated_at
        ELSE GREATEST(b.due_at, gate.even_at, gate.paused_until, sibling.until) END,
    now()
FROM gate, bookings b, LATERAL (
    SELECT max(CASE WHEN o.state IN ('sending', 'submitted') THEN now() ELSE o.updated_at END)
    FROM bookings o
    WHERE b.state = 'pending' AND o.id <> b.id AND o.person_keys && b.person_keys
) AS sibling (until)
WHERE b.state IN ('pending', 'sending', 'submitted')
"""

Row = tuple[Any, ...]


class Watch:
    """A thread that looks at the rows, and brings the second worker back when it dies."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._connection: psycopg.Connection[Row] | None = None
        self.worst_seconds = 0.0
        self.worst_row = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def begin(self) -> None:
        """Forgets the worst so far."""
        self.worst_seconds, self.worst_row = 0.0, ""

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self._stage.second_worker.keep_alive(lambda _: None)
            with contextlib.suppress(psycopg.Error):
                self._look()
        if self._connection is not None:
            self._connection.close()

    def _look(self) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._stage.database_url, autocommit=True, connect_timeout=2
            )
        for kind, number, state, since, now in self._connection.execute(MOVING):
            seconds = (now - since).total_seconds()
            if seconds > self.worst_seconds:
                self.worst_seconds, self.worst_row = seconds, f"{kind} {number} ({state})"


def moving(url: str) -> list[str] | None:
    """The rows that are still on their way; None while PostgreSQL cannot be asked."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return [f"{row[0]} {row[1]} ({row[2]})" for row in connection.execute(MOVING)]
    except psycopg.Error:
        return None
