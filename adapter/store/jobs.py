"""Count the rows that are due. A row's state and ``due_at`` serve as its queue entry."""

import datetime as dt
import enum
from collections.abc import Mapping

from adapter.store.queries import Statements


class Task(enum.StrEnum):
    """A task that workers run on all due rows."""

    #: Map received events.
    MAP = "map"
    #: Send pending bookings, most urgent first.
    SEND = "send"
    #: Read the status of submitted bookings, and search for unknown ones.
    CHECK = "check"


class Jobs(Statements):
    """Reads the queues within a transaction."""

    def due(
        self, now: dt.datetime, *, late: dt.datetime, slots: Mapping[Task, int]
    ) -> dict[Task, int]:
        """Return how many rows each task can process now, up to its number of free threads.

        Tours that start by ``late`` are not sent. While sending is suspended, no row is sent or
        checked.
        """
        limits = {str(task): count for task, count in slots.items()}
        row = self._one("due_rows", now=now, late=late, **limits)
        return {task: row[task] if row else 0 for task in Task}
