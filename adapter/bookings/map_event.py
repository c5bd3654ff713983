"""Map received events to bookings, or record why they cannot be mapped."""

import datetime as dt
import logging
import threading
from collections.abc import Mapping

from adapter import tracing
from adapter.bookings.fetch_documents import LEASE, Fetcher
from adapter.bookings.intake import BookingPlanner
from adapter.bookings.invitations import renter_links
from adapter.exceptions import KeyMissing, StoreUnavailable
from adapter.mapping.engine import Mapped, Outcome
from adapter.mapping.engine.fetched import FetchReader
from adapter.mapping.source import Source
from adapter.models import Clock, Event, EventState, Reason
from adapter.settings import Settings
from adapter.store import Database, Transaction

log = logging.getLogger(__name__)

#: How long an event waits for a worker to load its mapping.
MAX_WAIT_FOR_MAPPING = dt.timedelta(minutes=15)
#: Delay between attempts while the mapping or the encryption key is missing.
RETRY_DELAY = dt.timedelta(seconds=30)
#: Delay until this process has loaded users' latest changes, which it does every 2 seconds.
RELOAD_DELAY = dt.timedelta(seconds=2)
#: Delay before a failed event that could not be held is mapped again.
RETRY_DELAY_AFTER_BUG = dt.timedelta(hours=1)
#: Maximum number of events that one run maps before it frees its thread.
MAX_EVENTS_PER_RUN = 100


class Mapper:
    """Maps events with the current mappings. Assign ``sources`` to replace the mappings."""

    def __init__(
        self, settings: Settings, store: Database, sources: Mapping[str, Source], clock: Clock
    ) -> None:
        self.settings = settings
        self.store = store
        self.sources = sources
        self.clock = clock
        self.fetcher = Fetcher(settings, store, clock)
        #: When set, a run ends after its current event.
        self.stopping = threading.Event()

    def map_due(self) -> bool:
        """Map all events that are due, each in its own transaction.

        Return False if no event is due.
        """
        first = has_more = self._map_next()
        for _ in range(MAX_EVENTS_PER_RUN - 1):
            if not has_more or self.stopping.is_set():
                break
            has_more = self._map_next()
        return first is not None

    def _map_next(self) -> bool | None:
        """Map the next event that is due. Hold it if an unexpected error occurs.

        Return True if more events may be due, False if this was the last, and None if none was due.
        """
        # Read the hash key first. Inside the transaction, this would take a second connection.
        self.store.fingerprints()
        event, has_more, wanted = None, None, None
        try:
            # If this commit is lost, the event is mapped again. Nothing was sent by then.
            with self.store.pipeline(is_durable=False) as tx:
                found = tx.events.next_received(self.clock())
                if found is not None:
                    event, has_more = found
                    with tracing.step("map", self.store.hash_key(), event.id):
                        wanted = self.map(tx, event)
        except StoreUnavailable:
            raise
        except KeyMissing as exc:
            log.error("encryption_key_missing", extra={"reason": str(exc)})  # noqa: TRY400
            if event is not None:
                # This request is readable, but it may repeat an earlier one that is not.
                self._hold(event.id, str(exc))
                return True
            # This event waits for the key without delaying the others.
            with self.store.statement() as tx:
                tx.events.postpone(exc.row_id, self.clock() + RETRY_DELAY)
            return True
        except Exception as exc:
            if event is None:
                raise
            log.exception("event_not_mapped", extra={"event_id": event.id}, exc_info=exc)
            self._hold(event.id, "mapping failed unexpectedly; see the log")
        if event is not None and wanted:
            with tracing.step("fetch", self.store.hash_key(), event.id):
                self.fetcher.start(self.sources[event.source], event, wanted)
        return has_more

    def map(self, tx: Transaction, event: Event) -> Mapping[str, FetchReader]:
        """Map a locked event and store its bookings.

        If documents must be fetched first, postpone the event and return the readers by URL.
        """
        source, now = self.sources.get(event.source), self.clock()
        if source is None and now - event.received_at < MAX_WAIT_FOR_MAPPING:
            # The web process may have loaded a mapping that this worker has not loaded yet.
            tx.events.postpone(event.id, now + RETRY_DELAY)
            return {}
        if source and _is_outdated(tx, source) and now - event.received_at < MAX_WAIT_FOR_MAPPING:
            tx.events.postpone(event.id, now + RELOAD_DELAY)
            return {}
        planner = BookingPlanner(
            self.store.fingerprints(),
            self.settings.policy.shared_contacts,
            self.sources,
            renter_links(self.settings, self.store, self.clock),
            sends_mail=self.settings.smtp_url is not None,
        )
        mapped = source.map(event.request, now=now) if source else _no_mapping(event)
        if source and (wanted := source.to_fetch(event.request, mapped)):
            tx.events.postpone(event.id, now + LEASE)
            return wanted
        planner.apply(tx, event, mapped, source, now)
        return {}

    def _hold(self, event_id: int, why: str) -> None:
        """Hold an event that cannot be mapped, so that it does not block other events."""
        now = self.clock()
        with self.store.statement() as tx:
            tx.events.postpone(event_id, now + RETRY_DELAY_AFTER_BUG)
        reason = Reason(field="event", reason=why)
        with self.store.statement() as tx:
            tx.events.settle(
                event_id,
                EventState.HELD,
                why="internal_error",
                reasons=(reason,),
                mapping_hash=None,
                now=now,
            )


def _is_outdated(tx: Transaction, source: Source) -> bool:
    """Return True if a community name may have been unassigned since the mapping was loaded."""
    return source.changes is not None and tx.overrides.lock_changes() != source.changes


def _no_mapping(event: Event) -> Mapped:
    reason = Reason(field="event", reason=f"the mapping {event.source} no longer exists")
    return Mapped(outcome=Outcome.HELD, items=(), reasons=(reason,), dedupe_key=None)
