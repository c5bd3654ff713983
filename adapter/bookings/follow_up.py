"""Follow up: a job until its end, and an unknown booking until it is found or a person's."""

import datetime as dt
import logging
import random
from collections.abc import Mapping
from typing import Any

from adapter.bookings import backoff, reconcile, transitions
from adapter.bookings.transitions import ReconcileMatch
from adapter.exceptions import NotSent, UpstreamError
from adapter.models import Attempt, Booking, BookingState, Clock, Kind
from adapter.propexo.client import Propexo
from adapter.propexo.responses import JobReport, WriteStatus
from adapter.settings import Settings
from adapter.store import Database, Transaction

log = logging.getLogger(__name__)

#: A worker's clock may be this far behind PostgreSQL's, which wakes the tasks.
CLOCK_SLACK = dt.timedelta(seconds=2)
#: Reads for which there is no place now are tried again within so many seconds.
SPREAD_SECONDS = 10.0


class Follower:
    """Reads from Propexo what became of bookings."""

    def __init__(self, settings: Settings, store: Database, propexo: Propexo, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock

    def follow_up(self, booking_id: int) -> None:
        """Asks Propexo what became of a submitted booking's job."""
        booking = self._load_if_due(booking_id, BookingState.SUBMITTED)
        if booking is None or booking.job_id is None or not self._reserve_read(booking):
            return
        report = self._report(booking)
        with self.store.transaction() as tx:
            current = tx.bookings.get(booking_id, lock=True)
            if current is None or current.state is not BookingState.SUBMITTED:
                return
            longest = dt.timedelta(seconds=self.settings.job_deadline_seconds)
            deadline = self._patience(tx, current, longest)
            if isinstance(report, UpstreamError):
                longest = dt.timedelta(hours=self.settings.sync_lag_hours)
                lag = self._patience(tx, current, longest)
                transitions.record_status_error(tx, current, report, self.clock(), deadline, lag)
            else:
                transitions.record_job_status(tx, current, report, self.clock(), deadline)

    def _report(self, booking: Booking) -> JobReport | UpstreamError:
        """What Propexo says of the booking's job, or why it could not be read."""
        try:
            return self.propexo.write_status(booking.job_id or "")
        except UpstreamError as exc:
            log.warning("status_not_read", extra={"booking_id": booking.id, "status": exc.status})
            return exc

    def _patience(self, tx: Transaction, booking: Booking, longest: dt.timedelta) -> dt.timedelta:
        """How long the booking's job is waited for; what waits for it may have less time."""
        waiting = tx.bookings.of_people(booking.person_keys, [BookingState.PENDING])
        notice = dt.timedelta(minutes=self.settings.notice_minutes)
        times = [other.starts_at - notice for other in waiting if other.starts_at is not None]
        return backoff.patience(
            longest, submitted_at=booking.updated_at, sendable_until=min(times, default=None)
        )

    def handle_failure_notice(self, job_id: str, status: str, errors: tuple[str, ...]) -> None:
        """Settles the submitted booking of a job that Propexo says has failed."""
        report = JobReport(status=WriteStatus(status), errors=errors)
        deadline = dt.timedelta(seconds=self.settings.job_deadline_seconds)
        with self.store.transaction() as tx:
            booking = tx.bookings.of_job(job_id)
            if booking is not None and booking.state is BookingState.SUBMITTED:
                transitions.record_job_status(tx, booking, report, self.clock(), deadline)

    def reconcile(self, booking_id: int) -> None:
        """Looks in Propexo's lists for a booking whose outcome is unknown."""
        booking = self._load_if_due(booking_id, BookingState.UNKNOWN)
        if booking is None or not self._reserve_read(booking):
            return
        with self.store.transaction() as tx:
            attempt = tx.attempts.of_booking(booking_id)[-1]
        try:
            found: ReconcileMatch | UpstreamError | None = self._search(booking, attempt)
        except UpstreamError as exc:
            log.warning("lists_not_read", extra={"booking_id": booking_id, "status": exc.status})
            found = exc
        until = attempt.started_at + dt.timedelta(hours=self.settings.sync_lag_hours)
        with self.store.transaction() as tx:
            current = tx.bookings.get(booking_id, lock=True)
            if current is None or current.state is not BookingState.UNKNOWN:
                return
            if isinstance(found, UpstreamError):
                transitions.record_search_error(tx, current, found, self.clock())
            else:
                transitions.record_search(tx, current, attempt, found, self.clock(), until)

    def _search(self, booking: Booking, attempt: Attempt) -> ReconcileMatch | None:
        """The job, the tour or the guest card of an unknown booking, where one of the lists has it.

        The first call's place in the rate is taken before; each further one takes its own.
        """
        read = self._records
        if booking.job_id is not None:
            ended = self.propexo.write_status(booking.job_id).status
            if ended in (WriteStatus.SUCCESS, WriteStatus.FAILURE):
                return ReconcileMatch(job_id=booking.job_id)
        else:
            log_query = reconcile.write_log_query(attempt, self.clock())
            log_records = self.propexo.records(reconcile.WRITE_LOG, log_query)
            with self.store.transaction() as tx:
                known = tx.bookings.known_jobs(reconcile.jobs_of(log_records))
            job_id = reconcile.job_in(log_records, attempt, known)
            if job_id is not None:
                return ReconcileMatch(job_id=job_id)
        prospects = read(reconcile.PROSPECTS, reconcile.prospects_query(attempt))
        if attempt.kind is Kind.PROSPECT:
            return ReconcileMatch(job_id=None) if reconcile.card_in(prospects, attempt) else None
        for prospect_id in reconcile.prospects_in(prospects, attempt)[:3]:
            tours = read(reconcile.EVENTS, reconcile.events_query(attempt, prospect_id))
            if reconcile.tour_in(tours, booking):
                return ReconcileMatch(job_id=None)
        return None

    def _records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """One page of a list, with a place in the rate of its own. Raises UpstreamError."""
        with self.store.transaction() as tx:
            limit = self.settings.rate_per_minute
            if tx.rate_limit.try_read(self.clock(), limit) is not None:
                raise NotSent("the rate leaves no place for it")
        return self.propexo.records(path, query)

    def _load_if_due(self, booking_id: int, state: BookingState) -> Booking | None:
        """The booking, where it is in ``state`` and due to be looked at."""
        with self.store.transaction() as tx:
            booking = tx.bookings.get(booking_id)
        if booking is None or booking.state is not state or booking.due_at is None:
            return None
        return booking if booking.due_at <= self.clock() + CLOCK_SLACK else None

    def _reserve_read(self, booking: Booking) -> bool:
        """Takes a place in the rate for a read; where there is none, the look is put off."""
        with self.store.transaction() as tx:
            now = self.clock()
            at = tx.rate_limit.try_read(now, self.settings.rate_per_minute)
        if at is None:
            return True
        # Those that are put off come back one after the other.
        spread = dt.timedelta(seconds=SPREAD_SECONDS * random.random())  # noqa: S311
        with self.store.transaction() as tx:
            tx.bookings.reschedule(booking, at + spread)
        return False
