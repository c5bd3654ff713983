"""The send queue: which booking is sent next, and which senders run."""

import datetime as dt
from collections.abc import Iterable

from adapter.models import Booking, BookingState
from adapter.store.jobs import SEND_SLOTS, Jobs, Task
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row


class SendQueue(Statements):
    """The pending bookings, within one transaction."""

    def schedule_sender(self, number: int, at: dt.datetime | None = None) -> None:
        """Enqueue the task of a send slot, to run at ``at`` or now. Any number selects a slot."""
        Jobs(self.connection).enqueue(Task.SEND, number % SEND_SLOTS, at)

    def schedule_senders(self, numbers: Iterable[int]) -> None:
        """Enqueue the tasks of the slots that these numbers select, always in the same order."""
        for slot in sorted({number % SEND_SLOTS for number in numbers}):
            self.schedule_sender(slot)

    def schedule_all_senders(self) -> None:
        """Enqueue the tasks of all send slots."""
        self.schedule_senders(range(SEND_SLOTS))

    def most_urgent(
        self, now: dt.datetime, *, soon: dt.datetime, late: dt.datetime
    ) -> Booking | None:
        """Return the booking to send next, locked. Prefer the soonest tour, else alternate sources.

        Only tours that start before ``soon`` go first. Those that start by ``late`` are skipped.
        Guest cards follow after all tours.
        """
        row = self._one("next_soon_tour", now=now, soon=soon, late=late)
        row = row or self._one("next_in_turn", now=now, late=late)
        return booking_from_row(row) if row else None

    def take_turn(self, source: str, weight: int) -> None:
        """Move a source behind the others after one of its bookings was taken."""
        self._run("take_turn", source=source, weight=weight)

    def expired_tours(self, before: dt.datetime) -> list[int]:
        """Return IDs of pending bookings whose tour starts by ``before``, locked."""
        return [row["id"] for row in self._all("expired_tours", before=before)]

    def expired_prospects(self, before: dt.datetime) -> list[int]:
        """Return IDs of guest cards that have been pending since ``before``, locked."""
        return [row["id"] for row in self._all("expired_prospects", before=before)]

    def requeue_missing_jobs(self, before: dt.datetime) -> int:
        """Enqueue a task for each row that has been due since ``before`` and has none."""
        overdue = self._one("has_overdue_booking", before=before)
        if overdue and overdue["is_overdue"]:
            self.schedule_all_senders()
        jobs = Jobs(self.connection)
        events = self._all("events_without_task", before=before)
        for row in events:
            jobs.enqueue(Task.MAP, row["id"])
        bookings = self._all("bookings_without_task", before=before)
        for row in bookings:
            jobs.enqueue_for(row["id"], BookingState(row["state"]))
        return len(events) + len(bookings)
