"""The queue's side of the store: a task says "look at this row now", and nothing more."""

import datetime as dt
import enum
from typing import Any

import procrastinate
import psycopg

#: Only used to put tasks on a connection that is given: its own pool is never opened.
_queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


class Task(enum.StrEnum):
    """What a worker does with a row."""

    #: Map a received event.
    MAP_EVENT = "map_event"
    #: Send a pending booking.
    SEND_BOOKING = "send_booking"
    #: Ask what became of a submitted booking.
    FOLLOW_UP = "follow_up"


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
    deferrer = _queue.configure_task(
        task.value,
        queueing_lock=f"{task.value}:{row_id}",
        schedule_at=at,
        connection=connection,
    )
    try:
        with connection.transaction():
            deferrer.defer(row_id=row_id)
    except procrastinate.exceptions.AlreadyEnqueued:
        pass
