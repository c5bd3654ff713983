"""Background jobs. A task tells a worker to process one row now, and carries no data but its ID."""

import datetime as dt
import enum

from adapter.models import BookingState
from adapter.store.queries import Statements


class Task(enum.StrEnum):
    """What a worker does with a row."""

    #: Map a received event.
    MAP = "map_event"
    #: Send what is due, most urgent first. Its row id is a send slot: one task runs in each.
    SEND = "send"
    #: Schedule senders when a postponed booking is due.
    WAKE = "wake"
    #: Ask Propexo for the result of a submitted booking's job.
    FOLLOW_UP = "follow_up"
    #: Look in Propexo's lists for a booking whose outcome is unknown.
    RECONCILE = "reconcile"


#: Bookings in flight at a time, of all workers together: enough for Propexo's slowest responses
#: (2 s above 80 % of its limit) at the highest rate (150 a minute).
SEND_SLOTS = 6

#: The task of a booking in a state with a due time.
TASK_OF = {
    BookingState.PENDING: Task.WAKE,
    BookingState.SUBMITTED: Task.FOLLOW_UP,
    BookingState.UNKNOWN: Task.RECONCILE,
}

#: Priorities when many tasks wait: new events are mapped before more bookings are sent.
PRIORITIES = {Task.MAP: 10, Task.SEND: 5}


class Jobs(Statements):
    """The tasks, within one transaction.

    ``sql/schema.sql`` and ``insert_events`` know how Procrastinate stores them.
    """

    def enqueue(self, task: Task, row_id: int, at: dt.datetime | None = None) -> None:
        """Enqueue a task to run at ``at`` or now, unless one already waits for the same row."""
        self._run(
            "enqueue_task",
            task=task,
            row_id=row_id,
            priority=PRIORITIES.get(task, 0),
            lock=f"{task.value}:{row_id}" if task is Task.SEND else None,
            at=at,
        )

    def enqueue_for(
        self, booking_id: int, state: BookingState, at: dt.datetime | None = None
    ) -> None:
        """Enqueue the task of a booking in ``state``."""
        self.enqueue(TASK_OF[state], booking_id, at)

    def notify_workers(self) -> None:
        """Have the workers fetch jobs now. Otherwise, they poll twice a second."""
        self._run("notify_workers")
