"""Read the job status of each sent booking until the status is final."""

import datetime as dt
import logging
import threading
from collections.abc import Sequence

from adapter import tracing
from adapter.bookings import backoff, transitions
from adapter.bookings.confirm import Confirmer
from adapter.bookings.reconcile import lock_others, reconcile
from adapter.bookings.settle_unknown import UnknownSettler
from adapter.exceptions import StoreUnavailable, UpstreamError
from adapter.models import Booking, BookingState, Clock
from adapter.propexo.client import Propexo
from adapter.propexo.responses import JobReport, WriteStatus
from adapter.settings import Settings
from adapter.store import Database, DueCheck, Transaction, rate_limit

log = logging.getLogger(__name__)

#: A job's status is due again after this many seconds, in case the process that reads it has died.
#: A slow read may overlap with the next one, because reading twice changes nothing.
STATUS_LEASE = 5.0
#: Seconds after a search times out until the booking is due again.
SEARCH_LEASE_MARGIN = 10.0
#: Maximum number of bookings that one run checks before it frees its thread.
MAX_CHECKS_PER_RUN = 10
#: Delay before the next check after an unexpected error.
RETRY_DELAY_AFTER_BUG = dt.timedelta(hours=1)


class Follower:
    """Reads the outcomes of sent bookings from Propexo and records them."""

    def __init__(self, settings: Settings, store: Database, propexo: Propexo, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock
        self.unknown = UnknownSettler(settings, store, propexo, clock)
        self.confirmer = Confirmer(settings, store, clock)
        #: Set when this process must stop. After that, no more bookings are checked.
        self.stopping = threading.Event()

    def check_due(self) -> None:
        """Check all bookings that are due, as fast as the rate limit allows."""
        for _ in range(MAX_CHECKS_PER_RUN):
            check = None if self.stopping.is_set() else self._next()
            if check is None:
                return
            one = check.booking
            with tracing.step("check", self.store.hash_key(), one.event_id, booking=one.id):
                self._check(check)
            if not check.has_more:
                return

    def _next(self) -> DueCheck | None:
        """Reserve an API call and claim the booking that has been due longest.

        The booking becomes due again after a lease, in case this process dies. Return None if there
        is nothing to check now.
        """
        limit = self.settings.rate_per_minute
        with self.store.pipeline() as tx:
            now = self.clock()
            read_state = tx.rate_limit.lock_unread(now)
            found, rate_state = tx.bookings.next_check(now), read_state()
            is_allowed = rate_limit.next_call(rate_state, now, limit, is_read=True) <= now
            if found is None or rate_state.is_reading_stopped or not is_allowed:
                return None
            tx.rate_limit.count_call(rate_state, now, limit)
            tx.bookings.reschedule(found.booking, now + self._lease(found.booking))
            return found

    def _lease(self, booking: Booking) -> dt.timedelta:
        """Return the time limit for checking a booking before another process takes over."""
        is_search = booking.state is not BookingState.SUBMITTED
        search = self.propexo.timeout_seconds + SEARCH_LEASE_MARGIN
        return dt.timedelta(seconds=search if is_search else STATUS_LEASE)

    def _check(self, check: DueCheck) -> None:
        """Check one booking. After an unexpected error, check it again in an hour."""
        booking = check.booking
        try:
            if booking.state is BookingState.SUBMITTED:
                self._follow_up(booking, has_related=check.has_related)
            else:
                self.unknown.settle(booking)
        except StoreUnavailable:
            raise
        except Exception as exc:
            log.exception("booking_not_checked", extra={"booking_id": booking.id}, exc_info=exc)
            with self.store.statement() as tx:
                tx.bookings.reschedule(booking, self.clock() + RETRY_DELAY_AFTER_BUG)

    def _follow_up(self, booking: Booking, *, has_related: bool) -> None:
        """Read the job status of a submitted booking and record it.

        A success that affects no other booking is recorded without reading other bookings.
        """
        report = self._report(booking)
        is_success = isinstance(report, JobReport) and report.status is WriteStatus.SUCCESS
        if isinstance(report, JobReport) and is_success and not has_related:
            # If this commit is lost, the status is read again.
            with self.store.pipeline(is_durable=False) as tx:
                is_booked = transitions.record_success(tx, booking, report, self.clock())
            if is_booked():
                log.info("booking_booked", extra={"booking_id": booking.id})
            return
        with self.store.transaction() as tx:
            others = lock_others(tx, booking, self.clock())
            current = tx.bookings.get(booking.id, lock=True)
            if current is None or current.state is not BookingState.SUBMITTED:
                return
            limit = dt.timedelta(seconds=self.settings.job_deadline_seconds)
            deadline = self._job_timeout(current, others, limit)
            if isinstance(report, UpstreamError):
                lag_limit = dt.timedelta(hours=self.settings.sync_lag_hours)
                lag = self._job_timeout(current, others, lag_limit)
                transitions.record_status_error(tx, current, report, self.clock(), deadline, lag)
            else:
                transitions.record_job_status(tx, current, report, self.clock(), deadline, others)
            self._reconcile(tx, current, others)

    def _reconcile(self, tx: Transaction, booking: Booking, others: Sequence[Booking]) -> None:
        if others:
            reconcile(tx, booking, self.clock())

    def _report(self, booking: Booking) -> JobReport | UpstreamError:
        """Return the status of a booking's job, or the error if it could not be read."""
        try:
            return self.propexo.write_status(booking.job_id or "")
        except UpstreamError as exc:
            log.warning(
                "status_read_failed", extra={"booking_id": booking.id, "status": exc.status}
            )
            return exc

    def _job_timeout(
        self, booking: Booking, others: Sequence[Booking], limit: dt.timedelta
    ) -> dt.timedelta:
        """Return the timeout for a booking's job, shortened if the job delays a newer request."""
        pending = [other for other in others if other.state is BookingState.PENDING]
        notice = dt.timedelta(minutes=self.settings.notice_minutes)
        times = [other.starts_at - notice for other in pending if other.starts_at is not None]
        return backoff.job_timeout(
            limit, submitted_at=booking.updated_at, sendable_until=min(times, default=None)
        )

    def handle_failure_notice(self, job_id: str, status: str, errors: tuple[str, ...]) -> None:
        """Process a webhook from Propexo about a job that has failed completely or in part."""
        report = JobReport(status=WriteStatus(status), errors=errors)
        deadline = dt.timedelta(seconds=self.settings.job_deadline_seconds)
        with self.store.transaction() as tx:
            booking = tx.bookings.of_job(job_id)
            if booking is None:
                tx.messages.check_job(job_id, self.clock())
            if booking is None or booking.state is not BookingState.SUBMITTED:
                return
            others = lock_others(tx, booking, self.clock())
            current = tx.bookings.get(booking.id, lock=True)
            if current is None or current.state is not BookingState.SUBMITTED:
                return
            transitions.record_job_status(tx, current, report, self.clock(), deadline, others)
            self._reconcile(tx, current, others)
