"""The work that is due, according to the rows. A row's state and ``due_at`` are its queue entry."""

import datetime as dt
import enum
from collections.abc import Mapping

from adapter.store.queries import Statements


class Task(enum.StrEnum):
    """What a worker does with all rows that are due."""

    #: Map received events.
    MAP = "map"
    #: Send pending bookings, the most urgent first.
    SEND = "send"
    #: Read the status of submitted bookings, and search for unknown ones.
    CHECK = "check"


class Jobs(Statements):
    """The queues, within one transaction."""

    def due(
        self, now: dt.datetime, *, late: dt.datetime, slots: Mapping[Task, int]
    ) -> dict[Task, int]:
        """Return how many rows each task could process now, counted up to its slots.

        Tours that start by ``late`` are not sent. Nothing is sent or checked while sending is
        suspended.
        """
        limits = {str(task): count for task, count in slots.items()}
        row = self._one("due_rows", now=now, late=late, **limits)
        return {task: row[task] if row else 0 for task in Task}
