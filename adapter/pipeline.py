"""One webhook's way, from the request to the tour in Knock. Read this file first.

    receive → verify → store → map → validate → create → follow up

``receive`` runs in the web process, before the sender gets its answer. The others run in a
worker: a task names a row, the row says what is to be done, and each of them is safe to run
twice, late, or on two workers at once.

Around the POST stand two commits (:mod:`adapter.bookings.sender`). The first writes the
attempt and the state ``sending`` before any byte leaves; the second writes what became of it.
Whatever happens between them, the booking is never sent again by itself: it is ``unknown``.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping

from adapter.bookings import transitions
from adapter.bookings.fingerprints import Fingerprints
from adapter.bookings.follow_up import Follower
from adapter.bookings.intake import BookingPlanner
from adapter.bookings.sender import Sender
from adapter.mapping.engine import Mapped, Outcome
from adapter.mapping.engine.results import delivery_of
from adapter.mapping.source import Source
from adapter.models import Clock, Event, EventState, Reason, utc_now
from adapter.operations.erase import Erasure
from adapter.propexo.client import Propexo
from adapter.settings import Settings
from adapter.store import Database, Task
from adapter.webhooks.receive import Receiver

log = logging.getLogger(__name__)

#: A row that has been due this long without a task gets a new one.
MISSING_JOB_SECONDS = 30.0

#: When a row is looked at again after PostgreSQL was away.
LATER_SECONDS = 5.0

#: A row on which a step failed for no known reason is looked at again after this.
GIVEN_UP_SECONDS = 3600.0

#: An hour's events are counted so long after its end: those that are being stored are seen.
COUNTED_AFTER = dt.timedelta(minutes=2)

#: So long an event waits for a worker that knows its mapping.
NEW_MAPPING_PATIENCE = dt.timedelta(minutes=15)


class Pipeline:
    """The steps, over one store, one set of sources and one client."""

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
        self.sources = sources
        self.propexo = propexo
        self.clock = clock
        self.receiver = Receiver(settings, store, clock)
        self.sender = Sender(settings, store, propexo, clock, pause)
        self.follower = Follower(settings, store, propexo, clock)
        self.erasure = Erasure(settings, store, clock)

    # --- map, validate

    def map_event(self, event_id: int) -> None:
        """Makes the bookings of a received event, or says why there are none."""
        intake = BookingPlanner(self._seen(), self.settings.policy.shared_contacts)
        with self.store.transaction() as tx:
            event = tx.events.get(event_id, lock=True)
            if event is None or event.state is not EventState.RECEIVED:
                return
            source, now = self.sources.get(event.source), self.clock()
            if source is None and now - event.received_at < NEW_MAPPING_PATIENCE:
                # The web process may know a mapping that this worker has yet to load.
                later = now + dt.timedelta(seconds=MISSING_JOB_SECONDS)
                tx.jobs.enqueue(Task.MAP_EVENT, event_id, later)
                return
            mapped = source.map(delivery_of(event), now=now) if source else _no_mapping(event)
            intake.apply(tx, event, mapped, source.hash if source else None, now)

    # --- create, follow up

    def retry_later(self, task: Task, row_id: int) -> None:
        """PostgreSQL was away in the middle of a step: the row is looked at again soon."""
        with self.store.transaction() as tx:
            tx.jobs.enqueue(task, row_id, self.clock() + dt.timedelta(seconds=LATER_SECONDS))

    def mark_failed(self, task: Task, row_id: int) -> None:
        """A step failed again and again for a reason nobody foresaw: the row waits for a person.

        What may stand in Knock keeps its state and is looked at again later.
        """
        now = self.clock()
        later = now + dt.timedelta(seconds=GIVEN_UP_SECONDS)
        with self.store.transaction() as tx:
            if task is Task.MAP_EVENT:
                why = Reason(field="event", reason="the adapter failed on it; see the log")
                tx.events.settle(
                    row_id,
                    EventState.HELD,
                    why="internal_error",
                    reasons=(why,),
                    mapping_hash=None,
                    now=now,
                )
            elif task in (Task.FOLLOW_UP, Task.LOOK_FOR):
                booking = tx.bookings.get(row_id, lock=True)
                if booking is not None and booking.due_at is not None:
                    tx.bookings.reschedule(booking, later)

    def recover(self) -> None:
        """Finds what a dead process left: unfinished POSTs become unknown, lost tasks come back.

        And forgets, a little at a time, what is older than the settings keep.
        """
        now = self.clock()
        with self.store.transaction() as tx:
            for attempt in tx.attempts.expired(now):
                transitions.record_lost_attempt(tx, attempt, now)
            woken = tx.send_queue.requeue_missing_jobs(
                now - dt.timedelta(seconds=MISSING_JOB_SECONDS)
            )
        if woken:
            log.warning("missing_jobs_requeued", extra={"count": woken})
        self.sender.expire_late()
        self.sender.try_resume_sending()
        self.erasure.forget_old()
        # Last, and by itself: nothing that is to be rescued waits for a figure.
        with self.store.transaction() as tx:
            tx.stats.count_hours(now - COUNTED_AFTER)

    def _seen(self) -> Fingerprints:
        # Its key is read before any transaction that needs it, which else would want another one.
        return Fingerprints(self.store.hash_key())


def _no_mapping(event: Event) -> Mapped:
    text = f"there is no mapping called {event.source} any more"
    return Mapped(
        outcome=Outcome.HELD,
        items=(),
        reasons=(Reason(field="event", reason=text),),
        dedupe_key=None,
    )
