"""Create: one POST for each booking, between two commits, at the rate that Propexo allows.

The first commit takes a place in the rate and the most urgent booking, writes the attempt and the
state ``sending``; only then the first byte leaves. The second commit writes what became of it.
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

#: A sender that has not written its outcome this long after Propexo's time-out is taken for dead.
LEASE_MARGIN_SECONDS = 10.0
#: So many bookings a lane sends before it lets other tasks have its thread.
MAX_BOOKINGS_PER_RUN = 25
#: So long a lane holds its thread: slow answers must not look like a dead worker.
MAX_RUN_SECONDS = 60.0
#: A lane waits this long for its place in the rate; for longer it goes and comes back.
MAX_WAIT_IN_RUN_SECONDS = 2.0
#: How long an outcome is written again while PostgreSQL is away.
OUTCOME_SECONDS = 120.0
#: How often it is tried whether Propexo takes the token again.
TOKEN_CHECK_SECONDS = 10.0


class Sender:
    """Sends bookings, in lanes of one POST at a time each."""

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
        #: Set when this process is to stop: no lane begins anything new.
        self.stopping = threading.Event()

    def send_due(self, slot: int) -> None:
        """Sends waiting bookings, the most urgent first, as fast as the rate allows.

        A lane is one POST at a time. It ends when nothing waits, or comes back when something may
        be sent.
        """
        began = self.clock()
        for _ in range(MAX_BOOKINGS_PER_RUN):
            is_long = (self.clock() - began).total_seconds() > MAX_RUN_SECONDS
            if self.stopping.is_set() or is_long:
                break
            found = self._next()
            if found is None:
                return
            if isinstance(found, Attempt):
                self._send(found)
                continue
            seconds = (found - self.clock()).total_seconds()
            if seconds > MAX_WAIT_IN_RUN_SECONDS:
                self._schedule_sender(slot, found)
                return
            self.pause(max(seconds, 0.0))
        self._schedule_sender(slot, None)

    def _next(self) -> Attempt | dt.datetime | None:
        """The first of two commits: takes a place in the rate and the most urgent booking.

        Returns the attempt that is written down now, or when the rate allows the next one, or
        None where nothing waits that may be sent.
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
        """The attempt; or None, and the booking is held, where it cannot be begun.

        It is the most urgent one: were it left in the line, it would stop all the others.
        """
        try:
            with tx.savepoint():
                return self._begin(tx, booking, now)
        except StoreUnavailable:
            raise
        except Exception as exc:
            log.exception("booking_not_begun", extra={"booking_id": booking.id}, exc_info=exc)
            tx.bookings.move(booking.id, BookingState.HELD, why="internal_error", now=now)
            return None

    def _begin(self, tx: Transaction, booking: Booking, now: dt.datetime) -> Attempt:
        if not tx.bookings.move(booking.id, BookingState.SENDING, why="sending", now=now):
            raise LookupError("a locked booking has moved")
        lease = self.propexo.timeout_seconds + LEASE_MARGIN_SECONDS
        return tx.attempts.begin(
            booking.id,
            request_from(booking.appointment, self.settings.policy.spellings, booking.kind),
            now=now,
            lease_until=now + dt.timedelta(seconds=lease),
            kind=booking.kind,
        )

    def _send(self, attempt: Attempt) -> None:
        """The POST, and the second commit: what became of it."""
        try:
            if self.clock() - attempt.started_at > rate_limit.CLOCK_LAG:
                # Its place in the rate is gone, and so, after a long sleep, is its lease.
                raise NotSent("this process slept between its intent and the request")
            accepted = self.propexo.create(attempt)
        except UpstreamError as exc:
            error = exc
            self._record(lambda tx: transitions.record_failure(tx, attempt, error, self.clock()))
        else:
            self._record(
                lambda tx: transitions.record_accepted(tx, attempt, accepted, self.clock())
            )

    def _expire(self, tx: Transaction, now: dt.datetime) -> None:
        """A tour that starts too soon is not booked any more: a person calls."""
        for booking_id in tx.send_queue.expired_tours(
            now + dt.timedelta(minutes=self.settings.notice_minutes)
        ):
            tx.bookings.move(booking_id, BookingState.EXPIRED, why="tour_time_passed", now=now)
            log.error("booking_expired", extra={"booking_id": booking_id})

    def wake(self, booking_id: int) -> None:
        """Starts a lane when a booking that was put off is due."""
        self._schedule_sender(booking_id, None)

    def expire_late(self) -> None:
        """Expires what waits too long, also while nothing is sent.

        A guest card has no time to be late for; it is tried for as long as the settings say.
        """
        with self.store.transaction() as tx:
            now = self.clock()
            self._expire(tx, now)
            patience = dt.timedelta(hours=self.settings.prospect_hours)
            for booking_id in tx.send_queue.expired_prospects(now - patience):
                tx.bookings.move(booking_id, BookingState.EXPIRED, why="waited_too_long", now=now)
                log.error("booking_expired", extra={"booking_id": booking_id})

    def _schedule_sender(self, slot: int, at: dt.datetime | None) -> None:
        with self.store.transaction() as tx:
            tx.send_queue.schedule_sender(slot, at)

    def _record(self, write: Callable[[Transaction], None]) -> None:
        """Commits an outcome, trying again while PostgreSQL is away.

        When it stays away, recovery finds the attempt unfinished and the booking is unknown.
        """
        deadline = time.monotonic() + OUTCOME_SECONDS
        pause = 0.1
        while True:
            try:
                with self.store.transaction() as tx:
                    write(tx)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                self.pause(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def try_resume_sending(self) -> None:
        """Starts sending again when Propexo takes the token again, which a cheap read tells."""
        gap = dt.timedelta(seconds=TOKEN_CHECK_SECONDS)
        with self.store.transaction() as tx:
            now, limiter = self.clock(), tx.rate_limit
            if not limiter.reserve_check(now, gap):
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
