"""Send each booking with one POST between two commits, within Propexo's rate limit.

The first commit reserves a call under the rate limit for the most urgent booking, and stores the
attempt and the state ``sending``. Only then is the first byte sent. The second commit stores the
outcome.
"""

import contextlib
import datetime as dt
import http
import logging
import threading
import time
from collections.abc import Callable, Iterable

from adapter import tracing
from adapter.bookings import transitions
from adapter.bookings.calendar_check import Answered, CalendarCheck, Postponed
from adapter.exceptions import NotSent, StoreUnavailable, UpstreamError
from adapter.models import Attempt, Booking, BookingState, Clock
from adapter.propexo.appointment import request_from
from adapter.propexo.client import Propexo
from adapter.settings import Settings
from adapter.store import Database, Transaction, rate_limit
from adapter.store.rate_limit import MOST_FAILURES, NOT_AUTHORIZED, RateState, Stop

log = logging.getLogger(__name__)

#: A sender counts as dead if it has not stored an outcome this many seconds after the timeout.
LEASE_MARGIN_SECONDS = 10.0
#: Maximum number of bookings that one run sends before it frees its thread.
MAX_BOOKINGS_PER_RUN = 25
#: Maximum duration of a run, so that slow responses do not look like a stuck thread.
MAX_RUN_SECONDS = 60.0
#: Maximum wait for the rate limit within a run. If it is longer, a later run continues.
MAX_WAIT_IN_RUN_SECONDS = 2.0
#: How long to keep trying to store an outcome while PostgreSQL is unavailable.
RECORD_RETRY_SECONDS = 120.0
#: How often to check whether Propexo works and accepts the token again.
TOKEN_CHECK_SECONDS = 10.0
#: An error is logged if Propexo is unreachable for longer than this.
ALARM_AFTER = dt.timedelta(minutes=5)
#: Delay before a trial POST if the list of integrations returns 404 too.
TRIAL_AFTER = dt.timedelta(minutes=15)


class Sender:
    """Sends bookings to Propexo. Each thread sends one POST at a time."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        propexo: Propexo,
        clock: Clock,
        pause: Callable[[float], object],
        check: CalendarCheck,
    ) -> None:
        self.check = check
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock
        self.pause = pause
        self._is_host_recorded = False
        #: How long an attempt may take before this process counts as dead.
        self.lease = dt.timedelta(seconds=propexo.timeout_seconds + LEASE_MARGIN_SECONDS)
        #: False while this machine's clock is wrong.
        self.is_allowed = True
        #: Set when this process must stop. After that, no more bookings are sent.
        self.stopping = threading.Event()

    def send_due(self) -> None:
        """Send pending bookings, the most urgent first, as fast as the rate limit allows.

        Stop if no booking is pending, or if the rate limit requires a long wait.
        """
        started_at, answered = self.clock(), None
        for _ in range(MAX_BOOKINGS_PER_RUN):
            is_long = (self.clock() - started_at).total_seconds() > MAX_RUN_SECONDS
            if self.stopping.is_set() or is_long or not self.is_allowed:
                return
            step, has_more = self._next(answered)
            if not isinstance(step, dt.datetime):  # after a wait, the same answer is used
                answered = self.check.finish(step) if isinstance(step, Postponed) else None
            if isinstance(step, Attempt):
                self._send_traced(step)
            elif isinstance(step, dt.datetime):
                seconds = (step - self.clock()).total_seconds()
                if seconds > MAX_WAIT_IN_RUN_SECONDS:
                    return
                self.pause(max(seconds, 0.0))
            if not has_more:
                return

    def _next(
        self, answered: Answered | None = None
    ) -> tuple[Attempt | Postponed | dt.datetime | None, bool]:
        """Reserve an API call and store an attempt for the most urgent booking, in one commit.

        Return the attempt, and whether more bookings may be sent. Instead of the attempt, return a
        :class:`Postponed` booking whose time must be checked first, the time of the next allowed
        API call, or None if nothing can be sent.
        """
        booking = None
        try:
            with self.store.pipeline() as tx:
                now = self.clock()
                booking, rate_state = self._choose(tx, now)
                at = rate_limit.next_call(
                    rate_state, now, self.settings.rate_per_minute, is_read=False
                )
                if rate_state.stopped_for or booking is None:
                    return None, False
                if at > now:
                    return at, True
                if rate_state.failures >= MOST_FAILURES:
                    booking = tx.send_queue.longest_due(now, self._late(now)) or booking
                why, is_checked = "sending", self.check.is_wanted(booking)
                if is_checked:
                    found = self.check.look(tx, booking, rate_state, now, answered)
                    if not isinstance(found, str):
                        return found, True
                    why = found
                begin = self._begin(tx, booking, rate_state, now, why)
            attempt = begin()
        except StoreUnavailable:
            raise
        except Exception as exc:
            if booking is None:
                raise
            log.exception("attempt_not_started", extra={"booking_id": booking.id}, exc_info=exc)
            self._hold(booking)
            return None, True
        if is_checked:
            self.check.began(attempt)
        return attempt, rate_state.waiting > 1

    def _choose(self, tx: Transaction, now: dt.datetime) -> tuple[Booking | None, RateState]:
        """Lock the most urgent booking, and return it with the rate limit's state."""
        rate_state = tx.rate_limit.lock_unread(now)
        booking = tx.send_queue.most_urgent(
            now,
            soon=now + dt.timedelta(hours=self.settings.soon_hours),
            late=self._late(now),
        )
        return booking, rate_state()

    def _late(self, now: dt.datetime) -> dt.datetime:
        """Return the earliest start time of the tours that may still be sent."""
        return now + dt.timedelta(minutes=self.settings.notice_minutes)

    def _begin(
        self, tx: Transaction, booking: Booking, rate_state: RateState, now: dt.datetime, why: str
    ) -> Callable[[], Attempt]:
        """Count an API call and store an attempt. Return a function that fetches the attempt."""
        request = request_from(booking.appointment, self.settings.policy.spellings, booking.kind)
        weight = self.settings.source_weights.get(booking.source, 1)
        limit = self.settings.rate_per_minute
        until = now + self.lease
        tx.rate_limit.count_call(
            rate_state, now, limit, source=booking.source, weight=weight, lease_until=until
        )
        return tx.attempts.begin(booking.id, request, now=now, lease_until=until, why=why)

    def _hold(self, booking: Booking) -> None:
        """Hold a booking that cannot be sent.

        Otherwise, it would remain the most urgent booking and block the send queue.
        """
        with self.store.statement() as tx:
            now = self.clock()
            tx.bookings.move(booking.id, BookingState.HELD, why="internal_error", now=now)

    def _send_traced(self, attempt: Attempt) -> None:
        key, facts = self.store.hash_key(), {"booking": attempt.booking_id, "attempt": attempt.id}
        with tracing.step("send", key, attempt.event_id, **facts):
            self._send(attempt)

    def _send(self, attempt: Attempt) -> None:
        """Send an attempt's POST request, and commit the outcome."""
        try:
            if self.clock() - attempt.started_at > rate_limit.CLOCK_LAG:
                # The reserved call has expired, and the lease may have expired too.
                raise NotSent("the process was suspended between the first commit and the request")
            accepted = self.propexo.create(attempt)
        except UpstreamError as exc:
            error = exc
            record_patiently(
                self.store.transaction,
                lambda tx: transitions.record_failure(tx, attempt, error, self.clock()),
                self.pause,
            )
        else:
            record_patiently(
                self.store.statement,
                lambda tx: transitions.record_accepted(tx, attempt, accepted, self.clock()),
                self.pause,
            )
            self._record_host()
        self.check.ended(attempt)

    def _record_host(self) -> None:
        """Record the Propexo host that bookings are sent to, once per process."""
        if self._is_host_recorded or self.settings.knock_host is None:
            return
        with self.store.statement() as tx:
            tx.record_propexo_host(self.settings.knock_host)
        self._is_host_recorded = True

    def expire_late(self) -> None:
        """Expire bookings that can no longer be sent in time, even while sending is stopped.

        An agent must call the renter if a tour starts too soon to be sent. A guest card has no tour
        time, so it expires after ADAPTER_PROSPECT_HOURS.
        """
        with self.store.transaction() as tx:
            now = self.clock()
            late = tx.send_queue.expired_tours(self._late(now))
            _expire(tx, late, "tour_time_passed", now)
            oldest = now - dt.timedelta(hours=self.settings.prospect_hours)
            _expire(tx, tx.send_queue.expired_prospects(oldest), "waited_too_long", now)

    def try_resume_sending(self) -> None:
        """Resume sending if a cheap API call shows that Propexo works and accepts the token."""
        interval = dt.timedelta(seconds=TOKEN_CHECK_SECONDS)
        with self.store.transaction() as tx:
            now, limiter = self.clock(), tx.rate_limit
            stop = limiter.reserve_check(now, interval)
            if stop is None:
                return
            limit, rate_state = self.settings.rate_per_minute, limiter.lock(now)
            if rate_limit.next_call(rate_state, now, limit, is_read=True) > now:
                # The check is already reserved, so without this line its alarm would be skipped.
                _log_stop(stop, NotSent("the rate limit allows no check now"), now)
                return
            limiter.count_call(rate_state, now, limit)
        try:
            self.propexo.check_token()
        except UpstreamError as exc:
            if not _may_resume(exc, stop, now):
                _log_stop(stop, exc, now)
                return
        with self.store.transaction() as tx:
            tx.rate_limit.resume()
        log.warning("sending_resumed", extra={"stopped_for": stop.stopped_for})


def record_patiently(
    transaction: Callable[[], contextlib.AbstractContextManager[Transaction]],
    write: Callable[[Transaction], None],
    pause: Callable[[float], object],
) -> None:
    """Commit the outcome of a POST. Retry for two minutes while PostgreSQL is unavailable.

    If PostgreSQL stays unavailable, recovery later finds the unfinished attempt and marks its
    outcome as unknown.
    """
    deadline = time.monotonic() + RECORD_RETRY_SECONDS
    delay = 0.1
    while True:
        try:
            with transaction() as tx:
                write(tx)
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            pause(delay)
            delay = min(delay * 2, 5.0)
        else:
            return


def shows_that_it_works(error: UpstreamError) -> bool:
    """Return True if an error from a read still shows that Propexo works.

    The token may be allowed to send but not to read this list.
    """
    is_busy = error.status == http.HTTPStatus.TOO_MANY_REQUESTS
    is_broken = error.status is None or error.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    return not is_busy and not is_broken


def _may_resume(error: UpstreamError, stop: Stop, now: dt.datetime) -> bool:
    """Return True if sending may resume although a check of Propexo has failed.

    The next POST is a single trial. A 404 may mean that the URL is still wrong or that this list
    does not exist, so it counts only after a while.
    """
    is_new = stop.stopped_at is not None and now - stop.stopped_at < TRIAL_AFTER
    is_404 = stop.stopped_for == "wrong_path" and error.status == http.HTTPStatus.NOT_FOUND
    is_rejected = stop.stopped_for == NOT_AUTHORIZED or (is_404 and is_new)
    return shows_that_it_works(error) and not is_rejected


def _log_stop(stop: Stop, error: UpstreamError, now: dt.datetime) -> None:
    """Log that sending is still stopped. After a long stop, log an error once."""
    alarm_at = stop.stopped_at and stop.stopped_at + ALARM_AFTER
    is_alarm = alarm_at is not None and stop.checked_at < alarm_at <= now
    extra = {"why": stop.stopped_for, "status": error.status, "reason": str(error)}
    if is_alarm and stop.stopped_for == "unreachable":
        log.error("propexo_unreachable", extra=extra)
    else:
        log.warning("sending_still_stopped", extra=extra)


def _expire(tx: Transaction, booking_ids: Iterable[int], why: str, now: dt.datetime) -> None:
    for booking_id in booking_ids:
        tx.bookings.move(booking_id, BookingState.EXPIRED, why=why, now=now)
        log.error("booking_expired", extra={"booking_id": booking_id})
