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
from adapter.store import GateRow, Leads, Store, rate_limit

log = logging.getLogger(__name__)

#: A sender that has not written its outcome this long after Propexo's time-out is taken for dead.
LEASE_MARGIN_SECONDS = 10.0
#: So many bookings a lane sends before it lets other tasks have its thread.
LANE_BOOKINGS = 25
#: So long a lane holds its thread: slow answers must not look like a dead worker.
LANE_SECONDS = 60.0
#: A lane waits this long for its place in the rate; for longer it goes and comes back.
LANE_WAIT_SECONDS = 2.0
#: How long an outcome is written again while PostgreSQL is away.
OUTCOME_SECONDS = 120.0
#: How often it is tried whether Propexo takes the token again.
TOKEN_CHECK_SECONDS = 10.0


class Sender:
    """Sends bookings, in lanes of one POST at a time each."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
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

    def send_due(self, lane: int) -> None:
        """Sends waiting bookings, the most urgent first, as fast as the rate allows.

        A lane is one POST at a time. It ends when nothing waits, or comes back when something may
        be sent.
        """
        began = self.clock()
        for _ in range(LANE_BOOKINGS):
            is_long = (self.clock() - began).total_seconds() > LANE_SECONDS
            if self.stopping.is_set() or is_long:
                break
            found = self._next()
            if found is None:
                return
            if isinstance(found, Attempt):
                self._send(found)
                continue
            seconds = (found - self.clock()).total_seconds()
            if seconds > LANE_WAIT_SECONDS:
                self._wake_lane(lane, found)
                return
            self.pause(max(seconds, 0.0))
        self._wake_lane(lane, None)

    def _next(self) -> Attempt | dt.datetime | None:
        """The first of two commits: takes a place in the rate and the most urgent booking.

        Returns the attempt that is written down now, or when the rate allows the next one, or
        None where nothing waits that may be sent.
        """
        limit = self.settings.rate_per_minute
        with self.store.transaction() as leads:
            now, gate_row = self.clock(), GateRow(leads.connection)
            gate = gate_row.lock(now)
            if gate.stopped_for or not gate.is_awaited:
                return None
            at = rate_limit.next_call(gate, now, limit, is_read=False)
            if at > now:
                return at
            self._expire(leads, now)
            booking = leads.most_urgent(
                now,
                soon=now + dt.timedelta(hours=self.settings.soon_hours),
                late=now + dt.timedelta(minutes=self.settings.notice_minutes),
            )
            if booking is None:
                return None
            gate_row.pass_through(gate, now, limit, is_read=False)
            leads.take_turn(booking.source, self.settings.source_weights.get(booking.source, 1))
            return self._begin_or_hold(leads, booking, now) or now

    def _begin_or_hold(self, leads: Leads, booking: Booking, now: dt.datetime) -> Attempt | None:
        """The attempt; or None, and the booking is held, where it cannot be begun.

        It is the most urgent one: were it left in the line, it would stop all the others.
        """
        try:
            with leads.savepoint():
                return self._begin(leads, booking, now)
        except StoreUnavailable:
            raise
        except Exception as exc:
            log.exception("booking_not_begun", extra={"booking_id": booking.id}, exc_info=exc)
            leads.move(booking.id, BookingState.HELD, why="internal_error", now=now)
            return None

    def _begin(self, leads: Leads, booking: Booking, now: dt.datetime) -> Attempt:
        if not leads.move(booking.id, BookingState.SENDING, why="sending", now=now):
            raise LookupError("a locked booking has moved")
        lease = self.propexo.timeout_seconds + LEASE_MARGIN_SECONDS
        return leads.begin_attempt(
            booking.id,
            request_from(booking.appointment, self.settings.policy.spellings, booking.kind),
            now=now,
            lease_until=now + dt.timedelta(seconds=lease),
            kind=booking.kind,
        )

    def _send(self, attempt: Attempt) -> None:
        """The POST, and the second commit: what became of it."""
        try:
            if self.clock() - attempt.started_at > rate_limit.LAG:
                # Its place in the rate is gone, and so, after a long sleep, is its lease.
                raise NotSent("this process slept between its intent and the request")
            accepted = self.propexo.create(attempt)
        except UpstreamError as exc:
            error = exc
            self._write_down(
                lambda leads: transitions.not_booked(leads, attempt, error, self.clock())
            )
        else:
            self._write_down(
                lambda leads: transitions.taken(leads, attempt, accepted, self.clock())
            )

    def _expire(self, leads: Leads, now: dt.datetime) -> None:
        """A tour that starts too soon is not booked any more: a person calls."""
        for booking_id in leads.too_late(now + dt.timedelta(minutes=self.settings.notice_minutes)):
            leads.move(booking_id, BookingState.EXPIRED, why="tour_time_passed", now=now)
            log.error("booking_expired", extra={"booking_id": booking_id})

    def wake(self, booking_id: int) -> None:
        """Starts a lane when a booking that was put off is due."""
        self._wake_lane(booking_id, None)

    def expire_late(self) -> None:
        """Expires what waits too long, also while nothing is sent.

        A guest card has no time to be late for; it is tried for as long as the settings say.
        """
        with self.store.transaction() as leads:
            now = self.clock()
            self._expire(leads, now)
            patience = dt.timedelta(hours=self.settings.prospect_hours)
            for booking_id in leads.waited_too_long(now - patience):
                leads.move(booking_id, BookingState.EXPIRED, why="waited_too_long", now=now)
                log.error("booking_expired", extra={"booking_id": booking_id})

    def _wake_lane(self, lane: int, at: dt.datetime | None) -> None:
        with self.store.transaction() as leads:
            leads.wake_lane(lane, at)

    def _write_down(self, write: Callable[[Leads], None]) -> None:
        """Commits an outcome, trying again while PostgreSQL is away.

        When it stays away, recovery finds the attempt unfinished and the booking is unknown.
        """
        deadline = time.monotonic() + OUTCOME_SECONDS
        pause = 0.1
        while True:
            try:
                with self.store.transaction() as leads:
                    write(leads)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                self.pause(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def open_gate(self) -> None:
        """Starts sending again when Propexo takes the token again, which a cheap read tells."""
        gap = dt.timedelta(seconds=TOKEN_CHECK_SECONDS)
        with self.store.transaction() as leads:
            now, gate_row = self.clock(), GateRow(leads.connection)
            if not gate_row.take_check(now, gap):
                return
            limit, gate = self.settings.rate_per_minute, gate_row.lock(now)
            if rate_limit.next_call(gate, now, limit, is_read=True) > now:
                return
            gate_row.pass_through(gate, now, limit, is_read=True)
        try:
            self.propexo.check_token()
        except UpstreamError as exc:
            log.warning("sending_still_stopped", extra={"status": exc.status})
            return
        with self.store.transaction() as leads:
            GateRow(leads.connection).open()
            leads.wake_all_lanes()
        log.warning("sending_started_again")
