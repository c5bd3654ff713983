"""Map: turn a received event into bookings, or record why there are none."""

import datetime as dt
from collections.abc import Mapping

from adapter.bookings.intake import BookingPlanner
from adapter.mapping.engine import Mapped, Outcome
from adapter.mapping.source import Source
from adapter.models import Clock, Event, EventState, Reason
from adapter.settings import Settings
from adapter.store import Database, Task

#: How long an event waits for a worker that has loaded its mapping.
MAX_WAIT_FOR_MAPPING = dt.timedelta(minutes=15)
#: How long until the next attempt while the mapping is missing.
RETRY_DELAY = dt.timedelta(seconds=30)


class Mapper:
    """Map events with the current mappings. Assign ``sources`` to replace them all at once."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self.settings = settings
        self.store = store
        self.sources = sources
        self.clock = clock

    def map_event(self, event_id: int) -> None:
        """Map one event, unless it is mapped already, and store its bookings."""
        # The hash key is read first: reading it inside the transaction takes a second connection.
        fingerprints = self.store.fingerprints()
        planner = BookingPlanner(fingerprints, self.settings.policy.shared_contacts)
        with self.store.transaction() as tx:
            event = tx.events.get(event_id, lock=True)
            if event is None or event.state is not EventState.RECEIVED:
                return
            source, now = self.sources.get(event.source), self.clock()
            if source is None and now - event.received_at < MAX_WAIT_FOR_MAPPING:
                # The web process may have loaded a mapping that this worker has not loaded yet.
                tx.jobs.enqueue(Task.MAP, event_id, now + RETRY_DELAY)
                return
            mapped = source.map(event.request, now=now) if source else _no_mapping(event)
            planner.apply(tx, event, mapped, source.hash if source else None, now)


def _no_mapping(event: Event) -> Mapped:
    reason = Reason(field="event", reason=f"there is no mapping called {event.source} any more")
    return Mapped(outcome=Outcome.HELD, items=(), reasons=(reason,), dedupe_key=None)
