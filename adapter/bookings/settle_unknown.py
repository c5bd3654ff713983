"""Search Propexo's lists for bookings whose POST got no clear response."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from adapter.bookings import matching, transitions
from adapter.bookings.reconcile import lock_others, reconcile
from adapter.bookings.transitions import UnknownMatch
from adapter.exceptions import NotSent, UpstreamError
from adapter.models import Attempt, Booking, BookingState, Clock, Kind
from adapter.propexo.client import Propexo
from adapter.propexo.responses import WriteStatus
from adapter.settings import Settings
from adapter.store import Database

log = logging.getLogger(__name__)


class UnknownSettler:
    """Searches for bookings with an unknown outcome, which are never resent automatically."""

    def __init__(self, settings: Settings, store: Database, propexo: Propexo, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock

    def settle(self, booking: Booking) -> None:
        """Search Propexo's lists for an unknown booking, and record the result."""
        with self.store.statement() as tx:
            attempt = tx.attempts.of_booking(booking.id)[-1]
        try:
            result: UnknownMatch | UpstreamError | None = self._search(booking, attempt)
        except UpstreamError as exc:
            log.warning(
                "reconcile_read_failed", extra={"booking_id": booking.id, "status": exc.status}
            )
            result = exc
        # After a restore, the attempt's start is the backup's time, but the POST may be later.
        sent_by = attempt.finished_at or attempt.started_at
        until = sent_by + dt.timedelta(hours=self.settings.sync_lag_hours)
        with self.store.transaction() as tx:
            others = lock_others(tx, booking, self.clock())
            current = tx.bookings.get(booking.id, lock=True)
            if current is None or current.state is not BookingState.UNKNOWN:
                return
            if isinstance(result, UpstreamError):
                transitions.record_search_error(tx, current, result, self.clock())
            else:
                now = self.clock()
                transitions.record_search(tx, current, attempt, result, now, until, others)
                if others:
                    reconcile(tx, current, now)

    def _search(self, booking: Booking, attempt: Attempt) -> UnknownMatch | None:
        """Return the job, tour or guest card of an unknown booking, or None if nothing is found.

        The caller has already counted the first call against the rate limit. Further calls are
        counted here.
        """
        if booking.job_id is not None:
            status = self.propexo.write_status(booking.job_id).status
            if status in (WriteStatus.SUCCESS, WriteStatus.FAILURE):
                return UnknownMatch(job_id=booking.job_id)
        else:
            log_query = matching.write_log_query(attempt, self.clock())
            log_records = self.propexo.records(matching.WRITE_LOG, log_query)
            with self.store.transaction() as tx:
                known = tx.bookings.known_jobs(matching.jobs_of(log_records))
            job = matching.job_in(log_records, attempt, known)
            if job is not None:
                return UnknownMatch(job_id=job[0], accepted_at=job[1])
        prospects = self._records(matching.PROSPECTS, matching.prospects_query(attempt))
        if attempt.kind is Kind.PROSPECT:
            return UnknownMatch(job_id=None) if matching.has_prospect(prospects, attempt) else None
        for prospect_id in matching.prospects_in(prospects, attempt)[:3]:
            tours = self._records(matching.EVENTS, matching.events_query(attempt, prospect_id))
            if matching.has_tour(tours, booking):
                return UnknownMatch(job_id=None)
        return None

    def _records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Reserve an API call, and return one page of a list. Raise UpstreamError on failure."""
        with self.store.transaction() as tx:
            limit = self.settings.rate_per_minute
            if tx.rate_limit.try_read(self.clock(), limit) is not None:
                raise NotSent("the rate limit does not allow another call now")
        return self.propexo.records(path, query)
