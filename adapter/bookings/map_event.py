"""Map: turn received events into bookings, or record why there are none."""

import datetime as dt
import logging
from collections.abc import Mapping

from adapter.bookings.intake import BookingPlanner
from adapter.exceptions import StoreUnavailable
from adapter.mapping.engine import Mapped, Outcome
from adapter.mapping.source import Source
from adapter.models import Clock, Event, EventState, Reason
from adapter.settings import Settings
from adapter.store import Database, Transaction

log = logging.getLogger(__name__)

#: How long an event waits for a worker that has loaded its mapping.
MAX_WAIT_FOR_MAPPING = dt.timedelta(minutes=15)
#: How long until the next attempt while the mapping is missing.
RETRY_DELAY = dt.timedelta(seconds=30)
#: How long an event that failed stays out of the way if even holding it fails.
RETRY_DELAY_AFTER_BUG = dt.timedelta(hours=1)
#: Events that one run maps before it frees its thread.
MAX_EVENTS_PER_RUN = 100


class Mapper:
    """Map events with the current mappings. Assign ``sources`` to replace them all at once."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self.settings = settings
        self.store = store
        self.sources = sources
        self.clock = clock

    def map_due(self) -> None:
        """Map received events that are due, each in its own transaction."""
        for _ in range(MAX_EVENTS_PER_RUN):
            if not self._map_next():
                return

    def _map_next(self) -> bool:
        """Map the next event. Return whether more are due. After a bug, hold the event."""
        # The hash key is read first: reading it inside the transaction takes a second connection.
        self.store.fingerprints()
        event, has_more = None, False
        try:
            # If it is lost, the event is mapped again; nothing is sent before it is on the disk.
            with self.store.pipeline(is_durable=False) as tx:
                found = tx.events.next_received(self.clock())
                if found is not None:
                    event, has_more = found
                    self.map(tx, event)
        except StoreUnavailable:
            raise
        except Exception as exc:
            if event is None:
                raise
            log.exception("event_not_mapped", extra={"event_id": event.id}, exc_info=exc)
            self._hold(event.id)
        return has_more

    def map(self, tx: Transaction, event: Event) -> None:
        """Map a received event that is locked, and store its bookings."""
        source, now = self.sources.get(event.source), self.clock()
        if source is None and now - event.received_at < MAX_WAIT_FOR_MAPPING:
            # The web process may have loaded a mapping that this worker has not loaded yet.
            tx.events.postpone(event.id, now + RETRY_DELAY)
            return
        planner = BookingPlanner(
            self.store.fingerprints(), self.settings.policy.shared_contacts, self.sources
        )
        mapped = source.map(event.request, now=now) if source else _no_mapping(event)
        planner.apply(tx, event, mapped, source, now)

    def _hold(self, event_id: int) -> None:
        """Hold an event that cannot be mapped. Postpone it first: it must not block the others."""
        now = self.clock()
        with self.store.statement() as tx:
            tx.events.postpone(event_id, now + RETRY_DELAY_AFTER_BUG)
        reason = Reason(field="event", reason="the adapter failed on it; see the log")
        with self.store.statement() as tx:
            tx.events.settle(
                event_id,
                EventState.HELD,
                why="internal_error",
                reasons=(reason,),
                mapping_hash=None,
                now=now,
            )


def _no_mapping(event: Event) -> Mapped:
    reason = Reason(field="event", reason=f"there is no mapping called {event.source} any more")
    return Mapped(outcome=Outcome.HELD, items=(), reasons=(reason,), dedupe_key=None)
