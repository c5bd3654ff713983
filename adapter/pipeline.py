"""One webhook's way, from the request to the tour in Knock. Read this file first.

    receive → verify → store → map → validate → create → follow up

``receive`` runs in the web process, before the sender gets its answer. The others run in a
worker: a task names a row, the row says what is to be done, and each of them is safe to run
twice, late, or on two workers at once.

Around the POST stand two commits (:mod:`adapter.sending`). The first writes the attempt and the
state ``sending`` before any byte leaves; the second writes what became of it. Whatever happens
between them, the booking is never sent again by itself: it is ``unknown``.
"""

import dataclasses
import datetime as dt
import hashlib
import logging
import time
from collections.abc import Callable, Mapping

from adapter import outcomes, signatures
from adapter.config import Settings
from adapter.erasure import Erasure
from adapter.events import Clock, Event, EventState, Reason, utc_now
from adapter.exceptions import StoreUnavailable, VerificationError
from adapter.following import Follower
from adapter.intake import Intake
from adapter.journal import CREDENTIAL_HEADERS, Journal, rejection_from
from adapter.mapping import Delivery, Mapped, Outcome
from adapter.propexo import Propexo
from adapter.replays import delivery_of
from adapter.seen import Seen
from adapter.sending import Sender
from adapter.sources import Source
from adapter.store import Figures, NewEvent, Store, Task

log = logging.getLogger(__name__)

#: A row that has been due this long without a task gets a new one.
FORGOTTEN_SECONDS = 30.0
#: What could not be stored is tried once more where that was known in this time.
AT_ONCE_SECONDS = 1.0
#: When a row is looked at again after PostgreSQL was away.
LATER_SECONDS = 5.0
#: A row on which a step failed for no known reason is looked at again after this.
GIVEN_UP_SECONDS = 3600.0
#: An hour's events are counted so long after its end: those that are being stored are seen.
COUNTED_AFTER = dt.timedelta(minutes=2)
#: So long an event waits for a worker that knows its mapping.
NEW_MAPPING_PATIENCE = dt.timedelta(minutes=15)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What the sender is told: the event's id, and whether it had come before."""

    event_id: int
    is_repeat: bool
    #: The event that holds what was sent, where a repeat brought something else; else None.
    changed_id: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A request that proved who sent it. Nothing else is ever stored as an event."""

    delivery: Delivery
    #: Aware, UTC.
    received_at: dt.datetime
    #: What of it is the sender's word for certain: two that have it in common are the same.
    content: bytes


def verified_from(
    verifier: signatures.Verifier, request: signatures.Request, received_at: dt.datetime
) -> Verified:
    """What is kept of a request that ``verifier`` has accepted: everything but the secrets."""
    delivery = delivery_from(verifier.without_secret(request))
    query = delivery.query.encode() if verifier.covers_query else b""
    content = hashlib.sha256(delivery.body + b"\x00" + query).digest()
    return Verified(delivery=delivery, received_at=received_at, content=content)


def new_event_from(source: Source, verified: Verified, digest: bytes) -> NewEvent:
    """What is stored of a verified request, under the digest that tells it from others."""
    delivery = verified.delivery
    return NewEvent(
        source=source.name,
        digest=digest,
        content=verified.content,
        received_at=verified.received_at,
        content_type=delivery.content_type,
        headers=delivery.headers,
        query=delivery.query,
        body=delivery.body,
    )


class Pipeline:
    """The steps, over one store, one set of sources and one client."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
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
        self.journal = Journal(store, settings)
        self.sender = Sender(settings, store, propexo, clock, pause)
        self.follower = Follower(settings, store, propexo, clock)
        self.erasure = Erasure(settings, store, clock)

    # --- receive, verify, store

    def verify(
        self, source: Source, verifier: signatures.Verifier, request: signatures.Request
    ) -> Verified:
        """The request without its secrets, once it has proved who sent it.

        Raises VerificationError; the request is then kept as a rejection.
        """
        now = self.clock()
        try:
            secret = verifier.verified_by(request, now.timestamp())
        except VerificationError as exc:
            rejection = rejection_from(source, verifier, request, exc.reason, now)
            self.journal.note_rejection(rejection, request.client)
            raise
        self.journal.note_use(source, secret, now)
        return verified_from(verifier, request, now)

    def receive(self, source: Source, verified: Verified) -> Receipt:
        """Stores a verified request with its task, in one transaction.

        Raises StoreUnavailable: nothing is stored, or it is and the sender's repeat will find it.
        """
        began = time.monotonic()
        try:
            receipt = self._store(source, verified)
        except StoreUnavailable:
            if time.monotonic() - began > AT_ONCE_SECONDS:
                raise
            # A connection was cut in the middle: once more on a new one.
            receipt = self._store(source, verified)
        if not receipt.is_repeat or receipt.changed_id is not None:
            self.store.announce()
        log.info(
            "webhook_repeated" if receipt.is_repeat else "webhook_stored",
            extra={"source": source.name, "event_id": receipt.event_id},
        )
        return receipt

    def _store(self, source: Source, verified: Verified) -> Receipt:
        """One event for each key, and one more for each time its content changed.

        A sender that changes a lead sends it again under the same key. That is answered as a
        repeat, and its bytes are kept: what they change is decided when they are mapped.
        """
        seen = self._seen()
        key = source.dedupe_key(verified.delivery) or "content:" + verified.content.hex()
        event = new_event_from(source, verified, seen.delivery(source.name, key))
        event_id = self.store.insert_event(event)
        if event_id is not None:
            return Receipt(event_id=event_id, is_repeat=False)
        changed = seen.changed_delivery(source.name, key, verified.content)
        with self.store.transaction() as leads:
            first, is_same = leads.count_repeat(
                source=source.name,
                digest=event.digest,
                content=verified.content,
                now=verified.received_at,
            )
            if is_same:
                return Receipt(event_id=first, is_repeat=True)
            changed_id = leads.insert_event(dataclasses.replace(event, digest=changed))
            if changed_id is None:
                changed_id = leads.lead_of_claim(source.name, changed)
            return Receipt(event_id=first, is_repeat=True, changed_id=changed_id)

    # --- map, validate

    def map_event(self, event_id: int) -> None:
        """Makes the bookings of a received event, or says why there are none."""
        intake = Intake(self._seen(), self.settings.policy.shared_contacts)
        with self.store.transaction() as leads:
            event = leads.event(event_id, lock=True)
            if event is None or event.state is not EventState.RECEIVED:
                return
            source, now = self.sources.get(event.source), self.clock()
            if source is None and now - event.received_at < NEW_MAPPING_PATIENCE:
                # The web process may know a mapping that this worker has yet to load.
                leads.map_later(event_id, now + dt.timedelta(seconds=FORGOTTEN_SECONDS))
                return
            mapped = source.map(delivery_of(event), now=now) if source else _no_mapping(event)
            intake.keep(leads, event, mapped, source.hash if source else None, now)

    # --- create, follow up

    def send_due(self, lane: int) -> None:
        """Sends waiting bookings, the most urgent first, as fast as the rate allows."""
        self.sender.send_due(lane)

    def wake(self, booking_id: int) -> None:
        """Starts a lane when a booking that was put off is due."""
        self.sender.wake(booking_id)

    def follow_up(self, booking_id: int) -> None:
        """Asks Propexo what became of a submitted booking's job, until its end."""
        self.follower.follow_up(booking_id)

    def hear(self, job_id: str, status: str, errors: tuple[str, ...]) -> None:
        """Propexo told by itself that a job failed, wholly or in part."""
        self.follower.hear(job_id, status, errors)

    def look_for(self, booking_id: int) -> None:
        """Looks in Propexo's lists for a booking whose outcome is unknown."""
        self.follower.look_for(booking_id)

    def look_later(self, task: Task, row_id: int) -> None:
        """PostgreSQL was away in the middle of a step: the row is looked at again soon."""
        with self.store.transaction() as leads:
            leads.put_task(task, row_id, self.clock() + dt.timedelta(seconds=LATER_SECONDS))

    def give_up(self, task: Task, row_id: int) -> None:
        """A step failed again and again for a reason nobody foresaw: the row waits for a person.

        What may stand in Knock keeps its state and is looked at again later.
        """
        now = self.clock()
        later = now + dt.timedelta(seconds=GIVEN_UP_SECONDS)
        with self.store.transaction() as leads:
            if task is Task.MAP_EVENT:
                why = Reason(field="event", reason="the adapter failed on it; see the log")
                leads.settle_event(
                    row_id,
                    EventState.HELD,
                    why="internal_error",
                    reasons=(why,),
                    mapping_hash=None,
                    now=now,
                )
            elif task in (Task.FOLLOW_UP, Task.LOOK_FOR):
                booking = leads.booking(row_id, lock=True)
                if booking is not None and booking.due_at is not None:
                    leads.look_again(booking, later)

    def recover(self) -> None:
        """Finds what a dead process left: unfinished POSTs become unknown, lost tasks come back.

        And forgets, a little at a time, what is older than the settings keep.
        """
        now = self.clock()
        with self.store.transaction() as leads:
            for attempt in leads.abandoned(now):
                outcomes.lost(leads, attempt, now)
            woken = leads.wake_forgotten(now - dt.timedelta(seconds=FORGOTTEN_SECONDS))
        if woken:
            log.warning("tasks_put_again", extra={"count": woken})
        self.sender.expire_late()
        self.sender.open_gate()
        self.erasure.forget_old()
        # Last, and by itself: nothing that is to be rescued waits for a figure.
        with self.store.transaction() as leads:
            Figures(leads.connection).count_hours(now - COUNTED_AFTER)

    def _seen(self) -> Seen:
        # Its key is read before any transaction that needs it, which else would want another one.
        return Seen(self.store.hash_key())


def delivery_from(request: signatures.Request) -> Delivery:
    """What a mapping reads of a request and what is stored: its bytes, headers and query."""
    headers = {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() not in CREDENTIAL_HEADERS
    }
    return Delivery(
        body=request.body,
        content_type=headers.get("content-type", ""),
        headers=headers,
        query=request.url.partition("?")[2],
    )


def _no_mapping(event: Event) -> Mapped:
    text = f"there is no mapping called {event.source} any more"
    return Mapped(
        outcome=Outcome.HELD,
        items=(),
        reasons=(Reason(field="event", reason=text),),
        dedupe_key=None,
    )
