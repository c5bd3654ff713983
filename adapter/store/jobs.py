"""The queue's side of the store: a task says "look at this row now", and nothing more."""

import datetime as dt
import enum

from adapter.models import BookingState
from adapter.store.queries import Statements


class Task(enum.StrEnum):
    """What a worker does with a row."""

    #: Map a received event.
    MAP = "map_event"
    #: Send what is due, most urgent first. Its row is no row but a lane: one runs at a time.
    SEND = "send"
    #: Start the lanes when a booking that was put off is due.
    WAKE = "wake"
    #: Ask what became of a submitted booking.
    FOLLOW_UP = "follow_up"
    #: Look in Propexo's lists for a booking whose outcome is unknown.
    RECONCILE = "reconcile"


#: Bookings that are on the wire at a time, of all workers together: enough for Propexo's slowest
#: answers (2 s above 80 % of its limit) at the fastest rate (150 a minute).
SEND_SLOTS = 6

#: Which task looks at a booking in a state in which it waits.
TASK_OF = {
    BookingState.PENDING: Task.WAKE,
    BookingState.SUBMITTED: Task.FOLLOW_UP,
    BookingState.UNKNOWN: Task.RECONCILE,
}

#: Tasks that go first when many wait: what has come in is mapped before more is sent.
PRIORITIES = {Task.MAP: 10, Task.SEND: 5}


class Tasks(Statements):
    """Puts tasks, over one connection and within its transaction.

    How Procrastinate keeps them is known to ``sql/schema.sql`` and ``insert_events``.
    """

    def put_task(self, task: Task, row_id: int, at: dt.datetime | None = None) -> None:
        """Puts one task, to run at ``at`` or now.

        A row has at most one waiting task of a kind; putting another changes nothing.
        """
        self._one(
            "enqueue_task",
            task=task,
            row_id=row_id,
            priority=PRIORITIES.get(task, 0),
            lock=f"{task.value}:{row_id}" if task is Task.SEND else None,
            at=at,
        )

    def wake_workers(self) -> None:
        """Lets the workers look for tasks now; they look by themselves twice a second."""
        self._one("notify_workers")
