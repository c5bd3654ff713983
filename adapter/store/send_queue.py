"""The waiting line: who goes next, who waits for whom, and what was forgotten."""

import datetime as dt
from collections.abc import Iterable, Sequence

from adapter.models import Attempt, Booking, BookingState
from adapter.store.jobs import SEND_SLOTS, TASK_OF, Task, Tasks
from adapter.store.rows import attempt_from_row, booking_from_row


class SendQueue(Tasks):
    """The bookings that wait, over one connection and within its transaction."""

    def schedule_sender(self, number: int, at: dt.datetime | None = None) -> None:
        """Puts the task of a lane, to run at ``at`` or now. Any number names one."""
        self.put_task(Task.SEND, number % SEND_SLOTS, at)

    def schedule_senders(self, numbers: Iterable[int]) -> None:
        """Puts the task of the lanes that these numbers name, always in the same order."""
        for slot in sorted({number % SEND_SLOTS for number in numbers}):
            self.schedule_sender(slot)

    def schedule_all_senders(self) -> None:
        """Puts the task of every lane."""
        for slot in range(SEND_SLOTS):
            self.schedule_sender(slot)

    def wake_siblings(self, booking_id: int) -> None:
        """Wakes a lane where another booking of the same person waited for this one."""
        if self._one("has_waiting_sibling", id=booking_id):
            self.schedule_sender(booking_id)

    def lock_keys(self, keys: Iterable[int]) -> None:
        """Keeps everybody else from deciding about these keys until the transaction ends.

        Keys are of people at a community and of items. All that a transaction needs are locked
        at once, in one order, so that two transactions cannot wait for each other.
        """
        self._all("lock_keys", keys=list(keys))

    def live_bookings_of(
        self, keys: Iterable[int], states: Iterable[BookingState], *, except_id: int = 0
    ) -> list[Booking]:
        """Bookings in ``states`` of whoever has one of ``keys``."""
        rows = self._all(
            "bookings_of_people", keys=list(keys), states=list(states), except_id=except_id
        )
        return [booking_from_row(row) for row in rows]

    def most_urgent(
        self, now: dt.datetime, *, soon: dt.datetime, late: dt.datetime
    ) -> Booking | None:
        """The booking to send next, locked: a soon tour, else by turns among the sources.

        Tours that start by ``late`` are over, or too near. Guest cards follow after all tours.
        """
        row = self._one("most_urgent_soon", now=now, soon=soon, late=late)
        row = row or self._one("most_urgent_in_turn", now=now, late=late)
        return booking_from_row(row) if row else None

    def take_turn(self, source: str, weight: int) -> None:
        """Puts a source behind the others after one of its bookings was taken."""
        self._run("take_turn", source=source, weight=weight)

    def too_late(self, before: dt.datetime) -> list[int]:
        """Ids of waiting bookings whose tour starts by ``before``, locked."""
        return [row["id"] for row in self._all("expire", before=before)]

    def overdue_prospects(self, before: dt.datetime) -> list[int]:
        """Ids of guest cards that have waited since ``before``, locked."""
        return [row["id"] for row in self._all("expire_prospects", before=before)]

    def is_awaited(self, before: dt.datetime) -> bool:
        """Whether a booking has been due to be sent since ``before``."""
        row = self._one("is_awaited", before=before)
        return bool(row and row["awaited"])

    def known_jobs(self, job_ids: Sequence[str]) -> list[str]:
        """Those of the jobs that belong to a booking already."""
        return [row["job_id"] for row in self._all("known_jobs", job_ids=list(job_ids))]

    def event_of_claim(self, source: str, digest: bytes) -> int | None:
        """The event or booking that claimed ``digest`` first."""
        row = self._one("event_of_claim", source=source, digest=digest)
        return int(row["lead_id"]) if row else None

    def expired_attempts(self, now: dt.datetime) -> list[Attempt]:
        """Attempts in flight whose sender did not live to write the outcome."""
        return [attempt_from_row(row) for row in self._all("expired_attempts", now=now)]

    def requeue_missing_jobs(self, before: dt.datetime) -> int:
        """Puts a task for each row that has been due since ``before`` and has none."""
        if self.is_awaited(before):
            self.schedule_all_senders()
        events = self._all("events_without_task", before=before)
        for row in events:
            self.put_task(Task.MAP, row["id"])
        bookings = self._all("bookings_without_task", before=before)
        for row in bookings:
            self._wake(row["id"], BookingState(row["state"]), None)
        return len(events) + len(bookings)

    def _wake(self, booking_id: int, state: BookingState, at: dt.datetime | None) -> None:
        self.put_task(TASK_OF[state], booking_id, at)
