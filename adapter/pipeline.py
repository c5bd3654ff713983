"""Run the steps that turn a webhook into a tour in Knock. Read this file first.

1. ``webhooks/views.py`` reads the HTTP request and responds to it.
2. ``webhooks/receive.py`` verifies the signature (``signatures/``) and stores the event.
3. ``bookings/map_event.py`` maps the event (``mapping/``); ``bookings/intake.py`` stores its
   bookings. ``bookings/precedence.py`` decides which of a person's requests counts, based on all
   known requests, and ``bookings/reconcile.py`` reapplies that decision after every change.
4. ``bookings/sender.py`` posts each booking once (``propexo/client.py``);
   ``bookings/transitions.py`` records the outcome. If a mapping or community asks for it,
   ``bookings/calendar_check.py`` first checks that the time is available in Knock.
5. ``bookings/follow_up.py`` reads the job's status until the booking is booked or failed;
   ``bookings/settle_unknown.py`` searches for bookings whose outcome is unknown.
   ``bookings/confirm.py`` records the facts about tours from Propexo's webhooks.
   ``bookings/messenger.py`` sends renters' later messages as notes on their guest cards.

Steps 1 and 2 run in the web process. The others run in a worker (``server/worker.py``): a row's
state and ``due_at`` are its entry in a queue, and workers process the rows that are due. Each step
is safe if it runs twice, late, or on two workers at once.

There is a commit before and after each POST. The first stores the attempt and the state ``sending``
before any byte is sent. The second stores the outcome. If the process dies in between, the booking
becomes ``unknown`` and is never sent again automatically.
"""

import datetime as dt
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from adapter.bookings import transitions
from adapter.bookings.calendar_check import CalendarCheck
from adapter.bookings.database_check import DatabaseCheck
from adapter.bookings.follow_up import Follower
from adapter.bookings.free_times import FreeTimes
from adapter.bookings.invitations import renter_links
from adapter.bookings.map_event import Mapper
from adapter.bookings.messenger import Messenger
from adapter.bookings.sender import Sender
from adapter.bookings.write_log import WriteLog
from adapter.mapping.source import Source
from adapter.models import Clock, utc_now
from adapter.operations.check_models import ModelWatch
from adapter.operations.erase_personal_data import Eraser
from adapter.operations.format_watch import FormatWatch
from adapter.operations.invitation_mailer import InvitationMailer
from adapter.operations.live_sources import LiveSources
from adapter.operations.status_webhooks import StatusNotifier
from adapter.propexo.client import Propexo
from adapter.propexo.directory import RateLimitedReads
from adapter.settings import Settings
from adapter.store import Database, DatabaseClock, HistoryEnd, Task
from adapter.webhooks.receive import Receiver

log = logging.getLogger(__name__)

#: How long to wait after an hour ends before counting its events, to include late inserts.
STATS_DELAY = dt.timedelta(minutes=2)
#: Maximum number of bookings in flight per worker. This is enough for Propexo's slowest responses
#: (2 seconds above 80% of its limit) at the highest rate (150 per minute).
SEND_SLOTS = 6


def slots_of(concurrency: int) -> dict[Task, int]:
    """Return the number of worker threads that may run each task at the same time."""
    others = concurrency - SEND_SLOTS
    slots = {Task.MAP: others - others // 2, Task.SEND: SEND_SLOTS, Task.CHECK: others // 2}
    return slots | {Task.MESSAGE: 1}


def _notifier(settings: Settings, store: Database, clock: Clock) -> StatusNotifier | None:
    """Return the notifier that reports leads' states to another system, or None if not set up."""
    return StatusNotifier(settings, store, clock) if settings.status_webhook_url else None


def _mailer(
    settings: Settings,
    store: Database,
    clock: Clock,
    sources: Callable[[], Mapping[str, Source]],
) -> InvitationMailer | None:
    """Return the mailer that sends renters the link to choose a time, or None if not set up."""
    links = renter_links(settings, store, clock)
    if not settings.smtp_url or links is None:
        return None
    return InvitationMailer(settings, store, clock, links, sources)


class Pipeline:
    """A worker's processing steps, with its database, mappings and Propexo client."""

    def __init__(
        self,
        settings: Settings,
        store: Database,
        sources: Mapping[str, Source],
        propexo: Propexo,
        clock: Clock = utc_now,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.settings = settings
        self.store = store
        self.propexo = propexo
        self.clock = clock
        self.receiver = Receiver(settings, store, clock)
        self.live = LiveSources(settings, store, sources)
        current = lambda: self.sources  # noqa: E731 - a reload replaces them
        #: The available times in Knock. Web processes use them too.
        self.free_times = FreeTimes(settings, store, propexo, clock, pause, current)
        check = CalendarCheck(settings, store, self.free_times, clock, current)
        self.mapper = Mapper(settings, store, sources, clock)
        self.sender = Sender(settings, store, propexo, clock, pause, check)
        self.follower = Follower(settings, store, propexo, clock)
        self.messenger = Messenger(settings, store, propexo, clock, pause)
        self.erasure = Eraser(settings, store, clock)
        self.format_watch = FormatWatch(store)
        self.notifier = _notifier(settings, store, clock)
        self.mailer = _mailer(settings, store, clock, current)
        parts = (self.mapper, self.sender, self.follower, self.messenger)
        self._stopping = [
            one.stopping for one in (*parts, self.notifier, self.mailer) if one is not None
        ]
        reads = RateLimitedReads(propexo, settings, store, clock, pause)
        self.database_check = DatabaseCheck(store, WriteLog(store, reads, clock), clock)
        self.model_watch = ModelWatch(store, reads.page, clock)
        self._history_end = HistoryEnd()
        #: The function for each task that processes due rows. It returns False if no row is due.
        self.steps: Mapping[Task, Callable[[], bool | None]] = {
            Task.MAP: self.mapper.map_due,
            Task.SEND: self.sender.send_due,
            Task.CHECK: self.follower.check_due,
            Task.MESSAGE: self.messenger.send_due,
        }
        self.slots = slots_of(settings.worker_concurrency)
        self._running = Counter[Task]()
        self._lock = threading.Lock()

    def due(self) -> Mapping[Task, int]:
        """Return how many more threads can run each task now, given the due rows and free slots."""
        now = self.clock()
        late = now + dt.timedelta(minutes=self.settings.notice_minutes)
        with self.store.statement() as tx:
            rows = tx.jobs.due(now, late=late, slots=self.slots)
        return {task: min(rows[task], self.slots[task] - self._running[task]) for task in rows}

    def run(self, task: Task) -> bool:
        """Process all due rows of a task. Return False if no row is due or no slot is free."""
        with self._lock:
            if self.is_full(task) or self.is_stopped:
                return False
            self._running[task] += 1
        try:
            return self.steps[task]() is not False
        finally:
            with self._lock:
                self._running[task] -= 1

    def stop(self) -> None:
        """Stop each task after its current row. Start no more tasks until :meth:`resume`."""
        for part in self._stopping:
            part.set()

    def resume(self) -> None:
        """Allow tasks to start again after :meth:`stop`."""
        for part in self._stopping:
            part.clear()

    @property
    def is_stopped(self) -> bool:
        """True if no task may start."""
        return any(part.is_set() for part in self._stopping)

    def is_full(self, task: Task) -> bool:
        """Return True if this process is using all of the task's slots."""
        return self._running[task] >= self.slots[task]

    @property
    def sources(self) -> Mapping[str, Source]:
        """The current mappings, keyed by source name."""
        return self.live.sources

    @sources.setter
    def sources(self, files: Mapping[str, Source]) -> None:
        """Replace the mappings that were loaded from files."""
        self.live.replace_files(files)
        self.mapper.sources = self.live.sources

    def refresh_sources(self) -> bool:
        """Load changes made in the console. Return False if there are none."""
        has_changed = self.live.refresh()
        self.mapper.sources = self.live.sources  # even if another thread has loaded the changes
        return has_changed

    def check_database(self) -> None:
        """Check whether the database was restored from a backup. Record that a worker is running.

        A worker calls this every few seconds. It may take minutes, because it waits for Propexo.
        """
        self.database_check.run(self.sources.values())

    def check_models(self) -> None:
        """Record whether Propexo allows reading Knock's tours and guest cards.

        A worker calls this every minute. Most calls do nothing.
        """
        self.model_watch.run(self.sources)

    def count_formats(self) -> None:
        """Count the features of new webhooks to detect changes in a sender's format.

        A worker calls this every few seconds, so that bookings do not wait for it.
        """
        self.format_watch.run(self.sources)

    def count_metrics(self) -> None:
        """Save this process's metrics and count the leads' new state changes.

        A worker calls this every few seconds, so that bookings do not wait for it.
        """
        self.store.save_metrics()
        with self.store.statement() as tx:
            until = self._history_end.complete_until(tx.outbox.horizon())
        has_more = until is not None
        while until is not None and has_more:
            with self.store.transaction() as tx:
                has_more = tx.metrics.count_history(until)

    def recover(self) -> None:
        """Mark lost attempts as unknown, expire late bookings, and erase old data.

        A worker calls this every few seconds.
        """
        self.sync_clock()
        self._repair_clock()
        now = self.clock()
        with self.store.transaction() as tx:
            expired = tx.attempts.expired(now)
        for attempt in expired:
            # This needs a separate transaction, because it locks the person.
            with self.store.transaction() as tx:
                transitions.record_lost_attempt(tx, attempt, now)
        self.sender.expire_late()
        self.sender.try_resume_sending()
        self.erasure.forget_old()
        # This comes last, in a separate transaction, so that statistics do not delay recovery.
        with self.store.transaction() as tx:
            tx.stats.count_hours(now - STATS_DELAY)

    def _repair_clock(self) -> None:
        """Reschedule rows that were postponed too far while a clock was ahead."""
        with self.store.transaction() as tx:
            now = self.clock()
            if tx.rate_limit.repair_clock(now):
                tx.attempts.shorten_leases(now + self.sender.lease)
                tx.send_queue.bring_forward(now)
                tx.messages.bring_forward(now + self.messenger.lease)
                log.warning("clock_was_ahead")

    def sync_clock(self) -> None:
        """Synchronize the clock with PostgreSQL's. Stop sending while the two differ too much."""
        if isinstance(self.clock, DatabaseClock):
            self.clock.measure(self.store)
            self.sender.is_allowed = not self.clock.is_dangerous
