"""Handle failed steps. Retry soon if the database was lost, and hold the row after a bug."""

import datetime as dt

from adapter.models import EventState, Reason
from adapter.store import Task, Transaction

#: Delay before the next attempt after PostgreSQL was unavailable.
RETRY_DELAY = dt.timedelta(seconds=5)
#: Delay before the next attempt after an unexpected error.
RETRY_DELAY_AFTER_BUG = dt.timedelta(hours=1)


def retry_later(tx: Transaction, task: Task, row_id: int, now: dt.datetime) -> None:
    """Reschedule a step that PostgreSQL interrupted."""
    tx.jobs.enqueue(task, row_id, now + RETRY_DELAY)


def mark_failed(tx: Transaction, task: Task, row_id: int, now: dt.datetime) -> None:
    """Hold an event that cannot be mapped, or postpone a booking that may exist in Knock.

    Such a booking keeps its state; only its next check is postponed.
    """
    if task is Task.MAP:
        reason = Reason(field="event", reason="the adapter failed on it; see the log")
        tx.events.settle(
            row_id,
            EventState.HELD,
            why="internal_error",
            reasons=(reason,),
            mapping_hash=None,
            now=now,
        )
    elif task in (Task.FOLLOW_UP, Task.RECONCILE):
        booking = tx.bookings.get(row_id, lock=True)
        if booking is not None and booking.due_at is not None:
            tx.bookings.reschedule(booking, now + RETRY_DELAY_AFTER_BUG)
