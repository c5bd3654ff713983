"""Count the events, bookings and messages that are due. Their rows serve as the work queue."""

import datetime as dt
import enum
from collections.abc import Mapping

from adapter.store.queries import Statements


class Task(enum.StrEnum):
    """A kind of task that worker threads run for due rows."""

    #: Map received events.
    MAP = "map"
    #: Send pending bookings, most urgent first.
    SEND = "send"
    #: Read the status of submitted bookings, and search for unknown ones.
    CHECK = "check"
    #: Send renters' later messages as notes. Bookings come first.
    MESSAGE = "message"


class Jobs(Statements):
    """Reads the work queues within a transaction."""

    def due(
        self, now: dt.datetime, *, late: dt.datetime, slots: Mapping[Task, int]
    ) -> dict[Task, int]:
        """Return the number of due rows for each task, up to the number of free threads.

        Tours that start by ``late`` are not sent. While sending is stopped, no row is sent or
        checked.
        """
        limits = {str(task): count for task, count in slots.items()}
        row = self._one("due_rows", now=now, late=late, **limits)
        due = {task: row[task] if row else 0 for task in Task}
        return due | ({Task.MESSAGE: 0} if due[Task.SEND] else {})
