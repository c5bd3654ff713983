"""Check that a tour's time is still available in Knock before booking the tour.

The check never loses a lead and never delays it for long. If Knock's answer is unknown, the tour is
booked, and its history says why it was not checked. If the time is taken, the lead is held for
review.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from adapter.bookings.free_times import Answer, FreeTimes, Question, calendar_key, nearest
from adapter.bookings.reconcile import reconcile
from adapter.mapping.source import Source
from adapter.models import TIME_TAKEN, Attempt, Booking, BookingState, Clock, Kind, Reason
from adapter.settings import Settings
from adapter.store import Database, Transaction
from adapter.store.rate_limit import MOST_FAILURES, RateState

log = logging.getLogger(__name__)

#: How long a booking stays out of the send queue while its time is checked.
CHECK_TIME: Final = dt.timedelta(seconds=5)
#: A booking that has waited longer to be sent is not checked while Propexo's answers are slow.
PATIENCE: Final = dt.timedelta(seconds=1.5)
#: Delay before a booking checks again whether another tour at its time has an outcome.
RIVAL_PAUSE: Final = dt.timedelta(seconds=1)
#: The reason for users if a tour's time is not available.
REASON: Final = Reason(field="starts_at", reason="is not free in Knock's calendar")
#: Reason codes of a POST: not checked, free, or later than the calendar's last available time.
NOT_CHECKED: Final = "sending"
FREE: Final = "calendar_free"
TOO_SHORT: Final = "calendar_too_short"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """The result of asking Knock whether a tour's time is available."""

    booking_id: int
    answer: Answer
    at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Postponed:
    """A booking kept out of the send queue until :meth:`CalendarCheck.finish` has run."""

    booking: Booking
    until: dt.datetime
    #: The request for available times, or None if the time is not available.
    question: Question | None = None
    #: The available times to offer instead.
    free_times: Sequence[dt.datetime] = ()


def checks_availability(booking: Booking, source: Source | None) -> bool:
    """Return True if ``check_availability`` is on for the booking's mapping or community."""
    if source is None:
        return False
    community = source.communities.get(booking.community or "")
    return source.checks_availability or (community is not None and community.check_availability)


class TimeCheck:
    """Checks the time of a tour that a user is about to book."""

    def __init__(
        self, store: Database, free_times: FreeTimes, sources: Mapping[str, Source]
    ) -> None:
        self._store = store
        self._free_times = free_times
        self._sources = sources

    def other_times(self, booking: Booking) -> tuple[dt.datetime, ...] | None:
        """Return the nearest available times if a tour's own time is taken, otherwise None.

        The time is also taken if another tour of ours is about to be booked at that time. Return
        None if Knock's calendar is unknown. The call takes at most a few seconds.
        """
        zone, at = booking.timezone, booking.starts_at
        if zone is None or at is None or booking.kind is not Kind.APPOINTMENT:
            return None
        if not checks_availability(booking, self._sources.get(booking.source)):
            return None
        calendar = self._free_times.calendar(calendar_key(booking), ZoneInfo(zone))
        if calendar is None:
            return None
        times = self._free_times.bookable(calendar)
        with self._store.transaction() as tx:
            unsent = tx.free_times.own_tours(booking, [at, *times])
        if at not in unsent and calendar.is_free(at) is not False:
            return None
        return nearest([one for one in times if one not in unsent], at)


class CalendarCheck:
    """Checks that a tour's time is available in Knock if ``check_availability`` is on."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        free_times: FreeTimes,
        clock: Clock,
        sources: Callable[[], Mapping[str, Source]],
    ) -> None:
        self._notice = dt.timedelta(minutes=settings.notice_minutes)
        self._store = store
        self._free_times = free_times
        self._clock = clock
        self._sources = sources
        #: The IDs of attempts that were checked and have no outcome yet.
        self._checked: set[int] = set()

    def is_wanted(self, booking: Booking) -> bool:
        """Return True if a tour's time must be checked before it is booked."""
        if booking.kind is not Kind.APPOINTMENT or booking.timezone is None:
            return False
        return checks_availability(booking, self._sources().get(booking.source))

    def look(
        self,
        tx: Transaction,
        booking: Booking,
        rate: RateState,
        now: dt.datetime,
        answered: Answered | None,
    ) -> str | Postponed | None:
        """Check whether a locked booking may be sent. If it may, return a code that says why.

        Return :class:`Postponed` if :meth:`finish` must be called after the transaction. Return
        None if the booking must wait for another process that asks the same question, or for
        another tour at the same time that is not in Knock's calendar yet. A booking that a user has
        released is not checked.
        """
        if tx.free_times.was_released(booking.id):
            return NOT_CHECKED
        if self._must_wait_for_rival(tx, booking, rate, now):
            self._drop(tx, booking)
            tx.bookings.reschedule(booking, now + RIVAL_PAUSE)
            return None
        found = self._known(tx, booking, rate, now, answered)
        if isinstance(found, dt.datetime):
            tx.bookings.reschedule(booking, found)
            return None
        until = now + CHECK_TIME
        if isinstance(found, Question):
            tx.bookings.reschedule(booking, until)
            return Postponed(booking=booking, until=until, question=found)
        code = self._code(booking, found)
        if code == TIME_TAKEN:
            tx.bookings.reschedule(booking, until)
            times = [one for one in found.calendar.times if one > now + self._notice]
            offered = nearest(times, _tour_time(booking))
            return Postponed(booking=booking, until=until, free_times=offered)
        self._drop(tx, booking)
        return code

    def _must_wait_for_rival(
        self, tx: Transaction, booking: Booking, rate: RateState, now: dt.datetime
    ) -> bool:
        """Return True if another tour at this time may still be missing from Knock's calendar.

        If the calendar cannot be read anyway, waiting would gain nothing.
        """
        if rate.failures >= MOST_FAILURES or not tx.free_times.has_rival(booking, now):
            return False
        return not self._free_times.is_failing(tx, calendar_key(booking), now)

    def _drop(self, tx: Transaction, booking: Booking) -> None:
        tx.free_times.drop(booking.appointment["integration_id"], _community_id(booking))

    def _known(
        self,
        tx: Transaction,
        booking: Booking,
        rate: RateState,
        now: dt.datetime,
        answered: Answered | None,
    ) -> Answer | Question | dt.datetime:
        # An older answer may be outdated, because another process may have booked the time.
        is_new = answered is not None and now - answered.at <= CHECK_TIME
        if answered is not None and is_new and answered.booking_id == booking.id:
            return answered.answer
        if rate.failures >= MOST_FAILURES:
            return Answer(problem="no_answer")
        zone = ZoneInfo(str(booking.timezone))
        # Do not use the due time, which changes whenever the booking waits for another process.
        has_waited = booking.updated_at < now - PATIENCE
        key = calendar_key(booking)
        return self._free_times.look(tx, key, zone, rate, now, has_waited=has_waited)

    def _code(self, booking: Booking, answer: Answer) -> str:
        if answer.problem is not None:
            return f"calendar_{answer.problem}"
        is_free = answer.calendar.is_free(_tour_time(booking))
        if is_free is None:
            return TOO_SHORT
        return FREE if is_free else TIME_TAKEN

    def finish(self, postponed: Postponed) -> Answered | None:
        """Hold a postponed booking if its time is taken, otherwise ask Propexo for the times."""
        booking = postponed.booking
        if postponed.question is None:
            self._hold(postponed)
            return None

        def end_postponement(tx: Transaction) -> None:
            tx.free_times.end_postponement(booking.id, postponed.until, self._clock())

        answer = self._free_times.ask(postponed.question, end_postponement)
        return Answered(booking_id=booking.id, answer=answer, at=self._clock())

    def _hold(self, postponed: Postponed) -> None:
        booking = postponed.booking
        with self._store.transaction() as tx:
            now = self._clock()
            tx.bookings.lock_related([booking], now)
            current = tx.bookings.get(booking.id, lock=True)
            if current is None or current.due_at != postponed.until:
                return  # another request has replaced it, or a user has changed it
            tx.bookings.move(
                booking.id,
                BookingState.HELD,
                why=TIME_TAKEN,
                now=now,
                reasons=[REASON],
                only_from=BookingState.PENDING,
            )
            tx.free_times.offer(booking.id, postponed.free_times)
            reconcile(tx, current, now)
        log.info("tour_time_taken", extra={"booking_id": booking.id})

    def began(self, attempt: Attempt) -> None:
        """Remember, until :meth:`ended` is called, that an attempt's tour time was checked."""
        self._checked.add(attempt.id)

    def ended(self, attempt: Attempt) -> None:
        """Delete a community's cached tour times after a checked booking has been sent.

        They were also deleted before the POST, but another process may have read them from Propexo
        again before Knock booked the tour.
        """
        if attempt.id not in self._checked:
            return
        self._checked.discard(attempt.id)
        request = attempt.request
        with self._store.statement() as tx:
            tx.free_times.drop(request["integration_id"], request["community_id"])


def _tour_time(booking: Booking) -> dt.datetime:
    assert booking.starts_at is not None, "a pending tour has a time"  # noqa: S101 - for mypy
    return booking.starts_at


def _community_id(booking: Booking) -> str:
    return str(booking.appointment["community_id"])
