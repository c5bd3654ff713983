"""Ask Propexo which tour times are available in a community's Knock calendar.

All processes share an answer for a minute. Each request counts as a read in the rate limit, so it
gives way to bookings. If anything goes wrong, the available times are unknown. Nothing waits longer
than three seconds.
"""

import dataclasses
import datetime as dt
import http
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from adapter.exceptions import NotSent, OutcomeUnknown, RateLimited, UpstreamError
from adapter.mapping.engine import Community
from adapter.mapping.source import Source
from adapter.models import Booking, Clock
from adapter.propexo.availability import Calendar, calendar_from, shape_of
from adapter.propexo.client import AVAILABILITY_SECONDS, Propexo
from adapter.settings import Settings
from adapter.store import Database, Transaction, rate_limit
from adapter.store.calendars import CalendarKey, StoredTimes
from adapter.store.rate_limit import RateState

log = logging.getLogger(__name__)

#: How long an answer is used.
LIFETIME: Final = dt.timedelta(seconds=60)
#: How long processes wait for another process's request before they make their own.
QUESTION_TIME: Final = dt.timedelta(seconds=AVAILABILITY_SECONDS + 1.0)
#: A request that takes longer counts as slow.
SLOW_SECONDS: Final = 1.0
#: How long answers then count as slow, for all processes. It is longer than a booking may wait.
SLOW_TIME: Final = dt.timedelta(seconds=5)
#: How often waiting processes check for the answer.
RECHECK: Final = dt.timedelta(seconds=0.25)
#: Propexo's appointment types.
TOUR: Final = "APPOINTMENT"
SELF_GUIDED: Final = "SELF_GUIDED_TOUR"
#: How many available times are offered instead of one that is taken.
OFFERED: Final = 3


NOTHING: Final = Calendar()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A calendar's available times in Knock, or the reason they are unknown."""

    calendar: Calendar = NOTHING
    #: ``no_answer``, ``rejected``, ``busy`` or ``unreadable``, or None if the calendar was read.
    problem: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A request for a calendar's available times, with its API call already reserved."""

    key: CalendarKey
    zone: ZoneInfo
    asked_at: dt.datetime


def calendar_key(booking: Booking) -> CalendarKey:
    """Return the key of the Knock calendar for a booking's tour."""
    is_self_guided = booking.appointment.get("tour_type") == "self_guided"
    return CalendarKey(
        integration_id=str(booking.appointment["integration_id"]),
        community_id=str(booking.appointment["community_id"]),
        appointment_type=SELF_GUIDED if is_self_guided else TOUR,
    )


def nearest(times: Sequence[dt.datetime], to: dt.datetime) -> tuple[dt.datetime, ...]:
    """Return the three available times closest to ``to``, earliest first."""
    return tuple(sorted(sorted(times, key=lambda one: (abs(one - to), one))[:OFFERED]))


class FreeTimes:
    """Reads each community's available tour times from Knock. It is thread-safe."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        propexo: Propexo,
        clock: Clock,
        pause: Callable[[float], object],
        sources: Callable[[], Mapping[str, Source]],
    ) -> None:
        """Create an instance. ``sources`` returns the current mappings."""
        self._settings = settings
        self._store = store
        self._propexo = propexo
        self._clock = clock
        self._pause = pause
        self._sources = sources

    def of(
        self, community_key: str, appointment_type: str = TOUR
    ) -> tuple[dt.datetime, ...] | None:
        """Return a community's available tour times, earliest first, or None if unknown.

        Times that start too soon to be booked are left out. The call takes at most a few seconds.
        Raise :class:`StoreUnavailable` if PostgreSQL cannot be reached.
        """
        community = self._community(community_key)
        if community is None:
            return None
        key = CalendarKey(
            integration_id=community.integration_id,
            community_id=community.community_id,
            appointment_type=appointment_type,
        )
        calendar = self.calendar(key, community.timezone)
        return None if calendar is None else self.bookable(calendar)

    def calendar(self, key: CalendarKey, zone: ZoneInfo) -> Calendar | None:
        """Return a calendar's available times, or None if unknown. Wait at most a few seconds."""
        answer = self._wait_for(key, zone)
        return None if answer.problem is not None else answer.calendar

    def bookable(self, calendar: Calendar) -> tuple[dt.datetime, ...]:
        """Return a calendar's available times, except those that start too soon to be booked."""
        earliest = self._clock() + dt.timedelta(minutes=self._settings.notice_minutes)
        return tuple(one for one in calendar.times if one > earliest)

    def _community(self, key: str) -> Community | None:
        sources = self._sources().values()
        return next((one.communities[key] for one in sources if key in one.communities), None)

    def _wait_for(self, key: CalendarKey, zone: ZoneInfo) -> Answer:
        until = self._clock() + QUESTION_TIME
        while (now := self._clock()) < until:
            with self._store.statement() as tx:
                stored = tx.free_times.read(key, now - LIFETIME)
            found = _known(stored, now) or self._look_locked(key, zone, now)
            if isinstance(found, Question):
                return self.ask(found)
            if isinstance(found, Answer):
                return found
            self._pause((found - now).total_seconds())
        return Answer(problem="no_answer")

    def _look_locked(
        self, key: CalendarKey, zone: ZoneInfo, now: dt.datetime
    ) -> Answer | Question | dt.datetime:
        with self._store.transaction() as tx:
            return self.look(tx, key, zone, tx.rate_limit.lock(now), now)

    def look(
        self,
        tx: Transaction,
        key: CalendarKey,
        zone: ZoneInfo,
        rate: RateState,
        now: dt.datetime,
        *,
        has_waited: bool = False,
    ) -> Answer | Question | dt.datetime:
        """Return a calendar's available times, or the next step to get them.

        The next step is a question for :meth:`ask` after the transaction, or, if another process is
        asking Propexo, the time at which to look again. The caller must have locked ``rate``. A
        booking that ``has_waited`` does not wait for another answer while answers are slow.
        """
        stored = tx.free_times.read(key, now - LIFETIME, now - SLOW_TIME)
        known = _known(stored, now)
        if has_waited and stored.is_slow and not isinstance(known, Answer):
            return Answer(problem="busy")
        if known is not None:
            return known
        limit, is_stopped = self._settings.rate_per_minute, rate.stopped_for is not None
        if is_stopped or rate_limit.next_call(rate, now, limit, is_read=True) > now:
            return Answer(problem="busy")
        tx.rate_limit.count_call(rate, now, limit)
        tx.free_times.begin(key, now)
        return Question(key=key, zone=zone, asked_at=now)

    def is_failing(self, tx: Transaction, key: CalendarKey, now: dt.datetime) -> bool:
        """Return True if Propexo recently answered slowly, not at all, or with an error."""
        stored = tx.free_times.read(key, now - LIFETIME, now - SLOW_TIME)
        return stored.is_slow or stored.is_down or stored.problem is not None

    def ask(self, question: Question, then: Callable[[Transaction], None] | None = None) -> Answer:
        """Ask Propexo for available times. Save and return them, or the reason they are unknown.

        If ``then`` is given, it runs in the transaction that saves the answer.
        """
        started_at = time.monotonic()
        answer, shape, rate = self._ask(question)
        is_slow = time.monotonic() - started_at > SLOW_SECONDS
        now = self._clock()
        with self._store.transaction() as tx:
            tx.rate_limit.save_limit(rate, now)
            if then is not None:
                then(tx)
            tx.free_times.end(
                question.key,
                question.asked_at,
                now,
                times=answer.calendar.times,
                is_complete=answer.calendar.is_complete,
                problem=answer.problem,
                shape=shape,
                is_slow=is_slow,
            )
        return answer

    def _ask(self, question: Question) -> tuple[Answer, str | None, tuple[int, int] | None]:
        """Return Propexo's answer, the format of the response, and the reported rate limit."""
        if self._clock() - question.asked_at > rate_limit.CLOCK_LAG:
            return Answer(problem="busy"), None, None  # the reserved call has expired
        try:
            response = self._propexo.free_times(**dataclasses.asdict(question.key))
        except UpstreamError as exc:
            extra = {"status": exc.status, "reason": str(exc)}
            log.warning("free_times_unknown", extra=extra)
            return Answer(problem=_problem_of(exc)), None, exc.rate
        return _answer_of(response.data, question.zone), shape_of(response.data), response.rate


def _answer_of(data: object, zone: ZoneInfo) -> Answer:
    try:
        calendar = calendar_from(data, zone)
    except Exception:
        # Propexo does not document the format, and a booking must not wait for one we cannot read.
        log.exception("free_times_not_parsed")
        return Answer(problem="unreadable")
    return Answer(calendar=calendar, problem=None if calendar.times else "unreadable")


def _known(stored: StoredTimes, now: dt.datetime) -> Answer | dt.datetime | None:
    """Return the cached answer, the time to look again, or None if Propexo must be asked."""
    if stored.answered_at is not None and stored.answered_at > now - LIFETIME:
        calendar = Calendar(times=tuple(stored.times), is_complete=stored.is_complete)
        return Answer(calendar=calendar, problem=stored.problem)
    if stored.is_down:
        return Answer(problem="no_answer")
    if stored.asked_at is None or stored.answered_at is not None:
        return None
    # A process may have asked after ``now`` was read, while this one waited for the lock.
    if stored.asked_at > now + rate_limit.CLOCK_LAG:
        return None
    if stored.asked_at > now - QUESTION_TIME:
        return now + RECHECK
    # The process that made the request has died. Its request is not repeated immediately.
    return Answer(problem="no_answer") if stored.asked_at > now - LIFETIME else None


def _problem_of(error: UpstreamError) -> str:
    if isinstance(error, RateLimited) and error.status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return "busy"
    if isinstance(error, NotSent | OutcomeUnknown | RateLimited):
        return "no_answer"
    return "unreadable" if error.status == 200 else "rejected"
