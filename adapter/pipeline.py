"""One webhook's way, from the request to the tour in Knock. Read this file first.

    receive → verify → store → map → validate → create → follow up

``receive`` runs in the web process, before the sender gets its answer. The others run in a
worker: a task names a row, the row says what is to be done, and each of them is safe to run
twice, late, or on two workers at once.

Around the POST stand two commits. The first writes the attempt and the state ``sending`` before
any byte leaves; the second writes what became of it. Whatever happens between them, the booking
is never sent again by itself: it is ``unknown``.
"""

import dataclasses
import datetime as dt
import hashlib
import logging
import time
from collections.abc import Callable, Mapping

from adapter import outcomes, signatures
from adapter.appointment import request_from
from adapter.config import Settings
from adapter.events import (
    Attempt,
    Booking,
    BookingState,
    Clock,
    Event,
    EventState,
    Reason,
    utc_now,
)
from adapter.exceptions import NotSent, StoreUnavailable, UpstreamError
from adapter.mapping import Delivery, Item, Mapped, Outcome
from adapter.propexo import JobReport, Propexo, WriteStatus
from adapter.sources import Source
from adapter.store import Leads, NewBooking, Store

log = logging.getLogger(__name__)

#: A sender that has not written its outcome this long after Propexo's time-out is taken for dead.
LEASE_MARGIN_SECONDS = 10.0
#: A process that slept this long between its intent and its POST does not send any more.
FROZEN_SECONDS = 5.0
#: A row that has been due this long without a task gets a new one.
FORGOTTEN_SECONDS = 30.0
#: Headers that are never stored, whatever the scheme.
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
#: How long an outcome is written again while PostgreSQL is away.
OUTCOME_SECONDS = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What the sender is told: the event's id, and whether it had come before."""

    event_id: int
    is_repeat: bool


class Pipeline:
    """The steps, over one store, one set of sources and one client."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        sources: Mapping[str, Source],
        propexo: Propexo,
        clock: Clock = utc_now,
    ) -> None:
        self.settings = settings
        self.store = store
        self.sources = sources
        self.propexo = propexo
        self.clock = clock

    # --- receive, verify, store

    def receive(
        self, source: Source, verifier: signatures.Verifier, request: signatures.Request
    ) -> Receipt:
        """Verifies one request and stores it with its task, in one transaction.

        Raises VerificationError (nothing is stored) or StoreUnavailable (nothing is stored, or
        it is and the sender's repeat will find it).
        """
        now = self.clock()
        verifier.verify(request, now.timestamp())
        delivery = delivery_from(verifier.without_secret(request))
        digest = self._digest(
            source, "delivery", source.dedupe_key(delivery) or _bytes_key(delivery)
        )
        with self.store.transaction() as leads:
            event_id = leads.insert_event(
                source=source.name,
                digest=digest,
                content_type=delivery.content_type,
                headers=delivery.headers,
                query=delivery.query,
                body=delivery.body,
                now=now,
            )
            is_repeat = event_id is None
            if event_id is None:
                event_id = leads.count_repeat(source=source.name, digest=digest, now=now)
        log.info(
            "webhook_repeated" if is_repeat else "webhook_stored",
            extra={"source": source.name, "event_id": event_id},
        )
        return Receipt(event_id=event_id, is_repeat=is_repeat)

    # --- map, validate

    def map_event(self, event_id: int) -> None:
        """Makes the bookings of a received event, or says why there are none."""
        self.store.hash_key()  # read once, here: inside the transaction it would want a second one
        with self.store.transaction() as leads:
            event = leads.event(event_id, lock=True)
            if event is None or event.state is not EventState.RECEIVED:
                return
            source = self.sources.get(event.source)
            if source is None:
                mapped = _no_mapping(event)
            else:
                mapped = source.map(_delivery_of(event), now=self.clock())
            self._keep(leads, event, source, mapped)

    def _keep(self, leads: Leads, event: Event, source: Source | None, mapped: Mapped) -> None:
        """Writes the event's outcome and its bookings."""
        now = self.clock()
        for number, item in enumerate(mapped.items):
            if item.outcome is not Outcome.IGNORED:
                digest = self._item_digest(source, item)
                leads.insert_booking(event, new_booking(number, item), digest=digest, now=now)
        state = _event_state(mapped)
        leads.settle_event(
            event.id,
            state,
            why=str(mapped.outcome),
            reasons=mapped.reasons,
            mapping_hash=source.hash if source else None,
            now=now,
        )
        log.info("event_settled", extra={"event_id": event.id, "state": state})

    # --- create

    def send_booking(self, booking_id: int) -> None:
        """Posts a pending booking to Propexo, once."""
        attempt = self._begin(booking_id)
        if attempt is None:
            return
        try:
            if self.clock() - attempt.started_at > dt.timedelta(seconds=FROZEN_SECONDS):
                raise NotSent("this process slept between its intent and the request")
            accepted = self.propexo.create_appointment(attempt)
        except UpstreamError as exc:
            error = exc
            self._write_down(lambda leads: outcomes.not_booked(leads, attempt, error, self.clock()))
        else:
            self._write_down(lambda leads: outcomes.taken(leads, attempt, accepted, self.clock()))

    def _begin(self, booking_id: int) -> Attempt | None:
        """The first commit: the attempt is written and the booking is ``sending``."""
        with self.store.transaction() as leads:
            now = self.clock()
            booking = leads.booking(booking_id, lock=True)
            if booking is None or not _is_due(booking, BookingState.PENDING, now):
                return None
            if booking.starts_at is not None and booking.starts_at <= now:
                leads.move(booking_id, BookingState.EXPIRED, why="tour_time_passed", now=now)
                log.error("booking_expired", extra={"booking_id": booking_id})
                return None
            leads.move(booking_id, BookingState.SENDING, why="sending", now=now)
            lease = self.propexo.timeout_seconds + LEASE_MARGIN_SECONDS
            return leads.begin_attempt(
                booking_id,
                request_from(booking.appointment, self.settings.policy.spellings),
                now=now,
                lease_until=now + dt.timedelta(seconds=lease),
            )

    def _write_down(self, write: Callable[[Leads], None]) -> None:
        """Commits an outcome, trying again while PostgreSQL is away.

        When it stays away, recovery finds the attempt unfinished and the booking is unknown.
        """
        deadline = time.monotonic() + OUTCOME_SECONDS
        pause = 0.1
        while True:
            try:
                with self.store.transaction() as leads:
                    write(leads)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    # --- follow up

    def follow_up(self, booking_id: int) -> None:
        """Asks Propexo what became of a submitted booking's job."""
        with self.store.transaction() as leads:
            booking = leads.booking(booking_id)
        if booking is None or booking.job_id is None:
            return
        if not _is_due(booking, BookingState.SUBMITTED, self.clock()):
            return
        try:
            report = self.propexo.write_status(booking.job_id)
        except UpstreamError as exc:
            log.warning("status_not_read", extra={"booking_id": booking_id, "status": exc.status})
            report = JobReport(status=WriteStatus.PENDING, errors=())
        with self.store.transaction() as leads:
            current = leads.booking(booking_id, lock=True)
            if current is not None and current.state is BookingState.SUBMITTED:
                deadline = dt.timedelta(seconds=self.settings.job_deadline_seconds)
                outcomes.reported(leads, current, report, self.clock(), deadline)

    # --- recovery

    def recover(self) -> None:
        """Finds what a dead process left: unfinished POSTs become unknown, lost tasks come back."""
        now = self.clock()
        with self.store.transaction() as leads:
            for attempt in leads.abandoned(now):
                outcomes.lost(leads, attempt, now)
            woken = leads.wake_forgotten(now - dt.timedelta(seconds=FORGOTTEN_SECONDS))
        if woken:
            log.warning("tasks_put_again", extra={"count": woken})

    # --- what has been seen

    def _digest(self, source: Source, kind: str, key: str) -> bytes:
        """What a claim keeps of a key: a keyed hash, so that it outlives the person's data."""
        value = "\x00".join((source.name, kind, key)).encode("utf-8", "surrogatepass")
        return signatures.keyed_hash(self.store.hash_key(), value)

    def _item_digest(self, source: Source | None, item: Item) -> bytes | None:
        if source is None or item.dedupe_key is None:
            return None
        return self._digest(source, "item", item.dedupe_key)


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


def new_booking(number: int, item: Item) -> NewBooking:
    """The booking that an item of a mapped event becomes."""
    state, reason = {
        Outcome.BOOK: (BookingState.PENDING, None),
        Outcome.CANCELLATION: (BookingState.HELD, "cancellation"),
    }.get(item.outcome, (BookingState.HELD, "held_by_mapping"))
    return NewBooking(
        item=number,
        state=state,
        reason=reason,
        community=item.community.key if item.community else None,
        timezone=item.community.timezone.key if item.community else None,
        starts_at=item.starts_at,
        appointment=item.appointment,
        reasons=item.reasons,
    )


def _is_due(booking: Booking, state: BookingState, now: dt.datetime) -> bool:
    return booking.state is state and booking.due_at is not None and booking.due_at <= now


def _event_state(mapped: Mapped) -> EventState:
    if any(item.outcome is not Outcome.IGNORED for item in mapped.items):
        return EventState.MAPPED
    return EventState.IGNORED if mapped.outcome is Outcome.IGNORED else EventState.HELD


def _no_mapping(event: Event) -> Mapped:
    text = f"there is no mapping called {event.source} any more"
    return Mapped(
        outcome=Outcome.HELD,
        items=(),
        reasons=(Reason(field="event", reason=text),),
        dedupe_key=None,
    )


def _delivery_of(event: Event) -> Delivery:
    return Delivery(
        body=event.body,
        content_type=event.content_type,
        headers=event.headers,
        query=event.query,
    )


def _bytes_key(delivery: Delivery) -> str:
    """The key of a delivery that names none: the hash of what was signed."""
    return "bytes:" + hashlib.sha256(delivery.body + b"\x00" + delivery.query.encode()).hexdigest()
