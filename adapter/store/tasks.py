"""The queue's side of the store: a task says "look at this row now", and nothing more."""

import datetime as dt
import enum
from typing import Any

import procrastinate
import psycopg

from adapter.events import BookingState

#: Only used to put tasks on a connection that is given: its own pool is never opened.
_queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


class Task(enum.StrEnum):
    """What a worker does with a row."""

    #: Map a received event.
    MAP_EVENT = "map_event"
    #: Send what is due, most urgent first. Its row is no row but a lane: one runs at a time.
    SEND = "send"
    #: Start the lanes when a booking that was put off is due.
    WAKE = "wake"
    #: Ask what became of a submitted booking.
    FOLLOW_UP = "follow_up"
    #: Look in Propexo's lists for a booking whose outcome is unknown.
    LOOK_FOR = "look_for"


#: Bookings that are on the wire at a time, of all workers together: enough for Propexo's slowest
#: answers (2 s above 80 % of its limit) at the fastest rate (150 a minute).
SEND_LANES = 6

#: Which task looks at a booking in a state in which it waits.
TASK_OF = {
    BookingState.PENDING: Task.WAKE,
    BookingState.SUBMITTED: Task.FOLLOW_UP,
    BookingState.UNKNOWN: Task.LOOK_FOR,
}

#: Tasks that go first when many wait: what has come in is mapped before more is sent.
PRIORITIES = {Task.MAP_EVENT: 10, Task.SEND: 5}


def put(
    connection: psycopg.Connection[Any],
    task: Task,
    row_id: int,
    *,
    at: dt.datetime | None = None,
) -> None:
    """Puts one task in the transaction of ``connection``, to run at ``at`` or now.

    A row has at most one waiting task of a kind; putting another changes nothing.
    """
    name = f"{task.value}:{row_id}"
    deferrer = _queue.configure_task(
        task.value,
        queueing_lock=name,
        lock=name if task is Task.SEND else None,
        schedule_at=at,
        priority=PRIORITIES.get(task, 0),
        connection=connection,
    )
    try:
        with connection.transaction():
            deferrer.defer(row_id=row_id)
    except procrastinate.exceptions.AlreadyEnqueued:
        pass
