"""Notify people when problems begin, persist and end.

All workers and one web process watch. PostgreSQL records what was sent, so that only one of them
sends each notification. If that one fails, another process sends it again.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from adapter.exceptions import StoreUnavailable
from adapter.models import Clock
from adapter.operations.health import Level, Problem, problems_in, read_facts, unreachable
from adapter.operations.notifications import Line, Message, Notifier, message_of
from adapter.operations.serializers import ago, with_ages
from adapter.settings import Settings
from adapter.store import Database
from adapter.store.alarm_log import Alarm, AlarmLog

log = logging.getLogger(__name__)

#: How often each process checks. It must find a problem twice before it notifies people.
WATCH_SECONDS: Final = 10.0
#: A problem ends after it has been absent for this long, so that a flapping one is reported once.
ENDS_AFTER: Final = dt.timedelta(seconds=60)
#: Problems that begin within this time after a notification are in the next one.
PAUSE: Final = dt.timedelta(seconds=30)
REMIND_AFTER: Final = dt.timedelta(hours=4)
#: Another process may repeat a notification after this time if its sender has failed or died.
CLAIM: Final = dt.timedelta(seconds=60)
#: How long a process waits for others to catch up after it starts or after a PostgreSQL outage.
SETTLING: Final = dt.timedelta(seconds=20)
AWAY_AFTER: Final = dt.timedelta(seconds=60)
KEPT: Final = dt.timedelta(days=90)

#: Problems by code and source.
Problems: TypeAlias = Mapping[tuple[str, str], Problem]


class Watch:
    """Watches the adapter's health and notifies people of problems."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        sources: Callable[[], Iterable[str]],
        clock: Clock,
        *,
        reports_outages: bool = False,
    ) -> None:
        """Create an instance. With ``reports_outages``, also report PostgreSQL outages."""
        self._settings, self._store, self._sources, self._clock = settings, store, sources, clock
        self._notifier = Notifier(settings.alarms)
        self._outage = Outage(settings, self._notifier) if reports_outages else None
        self._settled_at = clock() + SETTLING
        #: The problems that it found in the last check.
        self._seen: Problems = {}

    def step(self) -> None:
        """Check the adapter's health and report changes. Raise StoreUnavailable on failure."""
        now = self._clock()
        try:
            if self._outage is not None:
                self._store.check_room()  # senders also get 503 if PostgreSQL is read-only
            facts = read_facts(self._store, self._sources(), self._settings, now)
        except StoreUnavailable as exc:
            self._settled_at = now + SETTLING
            if self._outage is not None:
                self._outage.continues(str(exc), now)
            raise
        if self._outage is not None:
            self._outage.is_over(now)
        if now >= self._settled_at:
            self._compare(problems_in(facts), now)

    def _compare(self, found: Iterable[Problem], now: dt.datetime) -> None:
        problems = {(one.code, one.source): one for one in found if one.level is not Level.NOTE}
        lasting = {key: one for key, one in problems.items() if key in self._seen}
        self._seen = problems
        if due := self._update(problems, lasting, now):
            self._tell(due, now)

    def _update(self, seen: Problems, lasting: Problems, now: dt.datetime) -> Sequence[Alarm]:
        """Store new and ended problems. Claim and return the alarms to send now."""
        with self._store.transaction() as tx:
            if not tx.alarms.try_lock():
                return ()
            known = {one.key: one for one in tx.alarms.open_alarms()}
            if not known and not lasting:
                return ()
            tx.alarms.mark_seen([one.id for key, one in known.items() if key in seen], now)
            _end(tx.alarms, now)
            for key in lasting.keys() - known.keys():
                _begin(tx.alarms, lasting[key], now)
            last = tx.alarms.last_sent_at()
            if last is not None and now - last < PAUSE:
                return ()
            due = [one for one in tx.alarms.open_alarms() if is_due(one, now)]
            tx.alarms.claim([one.id for one in due], now + CLAIM)
        return [_with_current_sentence(one, seen) for one in due]

    def _tell(self, due: Sequence[Alarm], now: dt.datetime) -> None:
        """Send alarms as one message. If sending fails, try again later."""
        lines = [_line(alarm, now) for alarm in due]
        if not self._notifier.send(message_of(self._settings, lines)):
            return
        with self._store.transaction() as tx:
            tx.alarms.record_sent(due, now)
            tx.alarms.delete_old(now - KEPT)


class Outage:
    """Notifies people, without using the database, that PostgreSQL is down, full or read-only."""

    def __init__(self, settings: Settings, notifier: Notifier) -> None:
        self._settings, self._notifier = settings, notifier
        self._since: dt.datetime | None = None
        self._sent_at: dt.datetime | None = None
        #: An all-clear message that could not be delivered yet.
        self._unsent: Message | None = None

    def continues(self, reason: str, now: dt.datetime) -> None:
        """Notify people of an outage that has lasted for a minute, and remind them later."""
        self._since = self._since or now
        is_first = self._sent_at is None
        last, limit = (self._since, AWAY_AFTER) if is_first else (self._sent_at, REMIND_AFTER)
        if last is None or now - last < limit:
            return
        (problem,) = unreachable(reason, now, self._since).problems
        text = f"{problem.sentence}\n{problem.next_step}"
        message = message_of(self._settings, [Line(problem.level, problem.code, text)])
        if self._notifier.send(message):
            self._sent_at, self._unsent = now, None
            if is_first:
                _log_begin(problem)

    def is_over(self, now: dt.datetime) -> None:
        """Notify people that an outage is over, if they were notified of its start."""
        if self._since is not None and self._sent_at is not None:
            code = "database_unreachable"
            log.info("problem_over", extra={"code": code, "source": ""})
            line = Line(Level.OK, code, _over(code, self._since, now))
            self._unsent = message_of(self._settings, [line])
        self._since = self._sent_at = None
        if self._unsent is not None and self._notifier.send(self._unsent):
            self._unsent = None


def is_due(alarm: Alarm, now: dt.datetime) -> bool:
    """Return True if people must be notified of an alarm, for the first time or again."""
    if alarm.claimed_until > now:
        return False
    if alarm.ended_at is not None:
        return True
    snoozed_until, sent_at = alarm.snoozed_until, alarm.sent_at
    if snoozed_until is not None and snoozed_until > now:
        return False
    if sent_at is None:
        return True
    has_woken = snoozed_until is not None and sent_at < snoozed_until
    return alarm.acknowledged_by is None and (has_woken or now - sent_at >= REMIND_AFTER)


def _end(alarms: AlarmLog, now: dt.datetime) -> None:
    for code, source in alarms.end_unseen(now - ENDS_AFTER):
        log.info("problem_over", extra={"code": code, "source": source})


def _begin(alarms: AlarmLog, problem: Problem, now: dt.datetime) -> None:
    alarms.add(
        code=problem.code,
        source=problem.source,
        level=problem.level,
        sentence=problem.template or problem.sentence,
        next_step=problem.next_step,
        began_at=problem.since or now,
        now=now,
    )
    _log_begin(problem)


def _log_begin(problem: Problem) -> None:
    level = logging.ERROR if problem.level is Level.BROKEN else logging.WARNING
    facts = {"code": problem.code, "source": problem.source, "reason": problem.sentence}
    log.log(level, "problem_began", extra=facts)


def _with_current_sentence(alarm: Alarm, seen: Problems) -> Alarm:
    problem = seen.get(alarm.key)
    return alarm if problem is None else dataclasses.replace(alarm, sentence=problem.sentence)


def _line(alarm: Alarm, now: dt.datetime) -> Line:
    name = f"{alarm.code} ({alarm.source})" if alarm.source else alarm.code
    if alarm.ended_at is not None:
        return Line(Level.OK, name, _over(name, alarm.began_at, alarm.ended_at))
    still = "Ongoing: " if alarm.sent_at is not None else ""
    return Line(
        Level(alarm.level), name, f"{still}{with_ages(alarm.sentence, now)}\n{alarm.next_step}"
    )


def _over(name: str, began_at: dt.datetime, ended_at: dt.datetime) -> str:
    length = ago(began_at, ended_at).removesuffix(" ago")
    return f"Ended: {name}, from {began_at:%b %d %H:%M} to {ended_at:%b %d %H:%M} UTC ({length})."
