"""Follow one webhook from the request to the tour in Knock. Read this file first.

1. ``webhooks/views.py`` reads the HTTP request and answers it.
2. ``webhooks/receive.py`` verifies the signature (``signatures/``) and stores the event.
3. ``bookings/map_event.py`` maps the event (``mapping/``); ``bookings/intake.py`` stores its
   bookings, given the person's other bookings (``bookings/precedence.py``).
4. ``bookings/sender.py`` posts each booking once (``propexo/client.py``);
   ``bookings/transitions.py`` records the outcome.
5. ``bookings/follow_up.py`` reads the job's status until the booking is booked or failed, and
   looks for bookings whose outcome is unknown (``bookings/matching.py``).

Steps 1 and 2 run in the web process. The others run in a worker (``server/worker.py``): a task
names a row, and the row's state says what to do. Every step may run twice, late, or on two
workers at once.

Two commits surround the POST. The first writes the attempt and the state ``sending`` before any
byte is sent; the second writes the outcome. If the process dies in between, the booking becomes
``unknown`` and is never sent again automatically.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping

from adapter.bookings import transitions
from adapter.bookings.follow_up import Follower
from adapter.bookings.map_event import Mapper
from adapter.bookings.sender import Sender
from adapter.mapping.source import Source
from adapter.models import Clock, utc_now
from adapter.operations.erase import Eraser
from adapter.propexo.client import Propexo
from adapter.settings import Settings
from adapter.store import Database, Task
from adapter.webhooks.receive import Receiver

log = logging.getLogger(__name__)

#: A row that has been due this long without a task gets a new one.
MISSING_JOB_AGE = dt.timedelta(seconds=30)
#: Delay after an hour's end before its events are counted, so that late inserts are included.
STATS_DELAY = dt.timedelta(minutes=2)


class Pipeline:
    """The steps, over one database, one set of mappings and one Propexo client."""

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
        self.mapper = Mapper(settings, store, sources, clock)
        self.sender = Sender(settings, store, propexo, clock, pause)
        self.follower = Follower(settings, store, propexo, clock)
        self.erasure = Eraser(settings, store, clock)
        #: What a worker calls for each task, with the row's id.
        self.steps: Mapping[Task, Callable[[int], None]] = {
            Task.MAP: self.mapper.map_event,
            Task.SEND: self.sender.send_due,
            Task.WAKE: self.sender.wake,
            Task.FOLLOW_UP: self.follower.follow_up,
            Task.RECONCILE: self.follower.reconcile,
        }

    @property
    def sources(self) -> Mapping[str, Source]:
        """The current mappings, by name."""
        return self.mapper.sources

    @sources.setter
    def sources(self, sources: Mapping[str, Source]) -> None:
        self.mapper.sources = sources

    def recover(self) -> None:
        """Mark attempts of dead processes unknown, requeue missing jobs, erase old data.

        A worker calls this every few seconds.
        """
        now = self.clock()
        with self.store.transaction() as tx:
            expired = tx.attempts.expired(now)
        for attempt in expired:
            # In a transaction of its own, because it locks the person.
            with self.store.transaction() as tx:
                transitions.record_lost_attempt(tx, attempt, now)
        with self.store.transaction() as tx:
            count = tx.send_queue.requeue_missing_jobs(now - MISSING_JOB_AGE)
        if count:
            log.warning("missing_jobs_requeued", extra={"count": count})
        self.sender.expire_late()
        self.sender.try_resume_sending()
        self.erasure.forget_old()
        # Last, in a transaction of its own: statistics must not delay a rescue.
        with self.store.transaction() as tx:
            tx.stats.count_hours(now - STATS_DELAY)
