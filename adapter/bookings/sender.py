"""Send: one POST for each booking, between two commits, at the rate that Propexo allows.

The first commit takes one call from the rate limit and the most urgent booking, and writes the
attempt and the state ``sending``. Only then is the first byte sent. The second commit writes the
outcome.
"""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable

from adapter.bookings import transitions
from adapter.exceptions import NotSent, StoreUnavailable, UpstreamError
from adapter.models import Attempt, Booking, BookingState, Clock
from adapter.propexo.appointment import request_from
from adapter.propexo.client import Propexo
from adapter.settings import Settings
from adapter.store import Database, Transaction, rate_limit

log = logging.getLogger(__name__)

#: A sender that has not written an outcome this long after the timeout is considered dead.
LEASE_MARGIN_SECONDS = 10.0
#: Bookings that one run of a send slot sends before it frees its thread for other tasks.
MAX_BOOKINGS_PER_RUN = 25
#: Longest run of a send slot: slow responses must not look like a dead worker.
MAX_RUN_SECONDS = 60.0
#: Longest wait for the rate limit within a run; for a longer one the task is rescheduled.
MAX_WAIT_IN_RUN_SECONDS = 2.0
#: How long to retry writing an outcome while PostgreSQL is unavailable.
RECORD_RETRY_SECONDS = 120.0
#: How often to check whether Propexo accepts the token again.
TOKEN_CHECK_SECONDS = 10.0


class Sender:
    """Send bookings. Each send slot makes one POST at a time."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        propexo: Propexo,
        clock: Clock,
        pause: Callable[[float], object],
    ) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock
        self.pause = pause
        #: Set when this process must stop: nothing new is sent.
        self.stopping = threading.Event()

    def send_due(self, slot: int) -> None:
        """Send pending bookings, the most urgent first, as fast as the rate limit allows.

        Stop when nothing is pending. Otherwise, reschedule this slot for when it may continue.
        """
        started_at = self.clock()
        for _ in range(MAX_BOOKINGS_PER_RUN):
            is_long = (self.clock() - started_at).total_seconds() > MAX_RUN_SECONDS
            if self.stopping.is_set() or is_long:
                break
            attempt_or_time = self._next()
            if attempt_or_time is None:
                return
            if isinstance(attempt_or_time, Attempt):
                self._send(attempt_or_time)
                continue
            seconds = (attempt_or_time - self.clock()).total_seconds()
            if seconds > MAX_WAIT_IN_RUN_SECONDS:
                self._schedule_sender(slot, attempt_or_time)
                return
            self.pause(max(seconds, 0.0))
        self._schedule_sender(slot, None)

    def _next(self) -> Attempt | dt.datetime | None:
        """Make the first commit: take one call from the rate limit and the most urgent booking.

        Return the stored attempt, or the time of the next allowed call, or None if nothing
        can be sent.
        """
        limit = self.settings.rate_per_minute
        with self.store.transaction() as tx:
            now, limiter = self.clock(), tx.rate_limit
            rate_state = limiter.lock(now)
            if rate_state.stopped_for or not rate_state.is_awaited:
                return None
            at = rate_limit.next_call(rate_state, now, limit, is_read=False)
            if at > now:
                return at
            self._expire(tx, now)
            booking = tx.send_queue.most_urgent(
                now,
                soon=now + dt.timedelta(hours=self.settings.soon_hours),
                late=now + dt.timedelta(minutes=self.settings.notice_minutes),
            )
            if booking is None:
                return None
            limiter.count_call(rate_state, now, limit, is_read=False)
            tx.send_queue.take_turn(
                booking.source, self.settings.source_weights.get(booking.source, 1)
            )
            return self._begin_or_hold(tx, booking, now) or now

    def _begin_or_hold(self, tx: Transaction, booking: Booking, now: dt.datetime) -> Attempt | None:
        """Begin the attempt. On an unexpected error, hold the booking and return None.

        It is the most urgent one: left in the send queue, it would block all others.
        """
        try:
            with tx.savepoint():
                return self._begin(tx, booking, now)
        except StoreUnavailable:
            raise
        except Exception as exc:
            log.exception("attempt_not_started", extra={"booking_id": booking.id}, exc_info=exc)
            tx.bookings.move(booking.id, BookingState.HELD, why="internal_error", now=now)
            return None

    def _begin(self, tx: Transaction, booking: Booking, now: dt.datetime) -> Attempt:
        if not tx.bookings.move(booking.id, BookingState.SENDING, why="sending", now=now):
            raise LookupError("a locked booking changed its state")
        lease = self.propexo.timeout_seconds + LEASE_MARGIN_SECONDS
        return tx.attempts.begin(
            booking.id,
            request_from(booking.appointment, self.settings.policy.spellings, booking.kind),
            now=now,
            lease_until=now + dt.timedelta(seconds=lease),
            kind=booking.kind,
        )

    def _send(self, attempt: Attempt) -> None:
        """Make the POST and the second commit, which records its outcome."""
        try:
            if self.clock() - attempt.started_at > rate_limit.CLOCK_LAG:
                # Its call of the rate limit has expired, and after a long sleep so has its lease.
                raise NotSent("the process was suspended between the first commit and the request")
            accepted = self.propexo.create(attempt)
        except UpstreamError as exc:
            error = exc
            self._record(lambda tx: transitions.record_failure(tx, attempt, error, self.clock()))
        else:
            self._record(
                lambda tx: transitions.record_accepted(tx, attempt, accepted, self.clock())
            )

    def _expire(self, tx: Transaction, now: dt.datetime) -> None:
        """Expire tours that start too soon to be booked. A person must call the renter."""
        for booking_id in tx.send_queue.expired_tours(
            now + dt.timedelta(minutes=self.settings.notice_minutes)
        ):
            tx.bookings.move(booking_id, BookingState.EXPIRED, why="tour_time_passed", now=now)
            log.error("booking_expired", extra={"booking_id": booking_id})

    def wake(self, booking_id: int) -> None:
        """Start a sender when a postponed booking is due."""
        self._schedule_sender(booking_id, None)

    def expire_late(self) -> None:
        """Expire bookings that were pending too long, even while sending is suspended.

        A guest card has no tour time; it expires after the hours in the settings.
        """
        with self.store.transaction() as tx:
            now = self.clock()
            self._expire(tx, now)
            max_age = dt.timedelta(hours=self.settings.prospect_hours)
            for booking_id in tx.send_queue.expired_prospects(now - max_age):
                tx.bookings.move(booking_id, BookingState.EXPIRED, why="waited_too_long", now=now)
                log.error("booking_expired", extra={"booking_id": booking_id})

    def _schedule_sender(self, slot: int, at: dt.datetime | None) -> None:
        with self.store.transaction() as tx:
            tx.send_queue.schedule_sender(slot, at)

    def _record(self, write: Callable[[Transaction], None]) -> None:
        """Commit an outcome, and retry while PostgreSQL is unavailable.

        If it stays unavailable, recovery finds the unfinished attempt and marks the booking
        unknown.
        """
        deadline = time.monotonic() + RECORD_RETRY_SECONDS
        delay = 0.1
        while True:
            try:
                with self.store.transaction() as tx:
                    write(tx)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                self.pause(delay)
                delay = min(delay * 2, 5.0)
            else:
                return

    def try_resume_sending(self) -> None:
        """Resume suspended sending once a cheap read shows that Propexo accepts the token."""
        interval = dt.timedelta(seconds=TOKEN_CHECK_SECONDS)
        with self.store.transaction() as tx:
            now, limiter = self.clock(), tx.rate_limit
            if not limiter.reserve_check(now, interval):
                return
            limit, rate_state = self.settings.rate_per_minute, limiter.lock(now)
            if rate_limit.next_call(rate_state, now, limit, is_read=True) > now:
                return
            limiter.count_call(rate_state, now, limit, is_read=True)
        try:
            self.propexo.check_token()
        except UpstreamError as exc:
            log.warning("sending_still_stopped", extra={"status": exc.status})
            return
        with self.store.transaction() as tx:
            tx.rate_limit.resume()
            tx.send_queue.schedule_all_senders()
        log.warning("sending_resumed")
