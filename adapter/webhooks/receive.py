"""Verify a webhook and store it, before the sender gets its response."""

import dataclasses
import datetime as dt
import hashlib
import logging
import time

from adapter import signatures
from adapter.bookings.fingerprints import Fingerprints
from adapter.exceptions import StoreUnavailable, VerificationError
from adapter.mapping.engine import Delivery
from adapter.mapping.source import Source
from adapter.models import Clock
from adapter.settings import Settings
from adapter.store import Database, NewEvent
from adapter.webhooks.rejections import CREDENTIAL_HEADERS, BackgroundWriter, rejection_from

log = logging.getLogger(__name__)

#: What could not be stored is tried once more where that was known in this time.
AT_ONCE_SECONDS = 1.0


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


class Receiver:
    """Verify webhooks and store them, over one store."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.background_writer = BackgroundWriter(store, settings)

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
            self.background_writer.save_rejection(rejection, request.client)
            raise
        self.background_writer.record_secret_use(source, secret, now)
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
            self.store.notify_workers()
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
        # Its key is read before the transaction, which else would want another one.
        seen = Fingerprints(self.store.hash_key())
        key = source.dedupe_key(verified.delivery) or "content:" + verified.content.hex()
        event = new_event_from(source, verified, seen.delivery(source.name, key))
        event_id = self.store.insert_event(event)
        if event_id is not None:
            return Receipt(event_id=event_id, is_repeat=False)
        changed = seen.changed_delivery(source.name, key, verified.content)
        with self.store.transaction() as tx:
            first, is_same = tx.claims.record_duplicate(
                source=source.name,
                digest=event.digest,
                content=verified.content,
                now=verified.received_at,
            )
            if is_same:
                return Receipt(event_id=first, is_repeat=True)
            changed_id = tx.events.insert(dataclasses.replace(event, digest=changed))
            if changed_id is None:
                changed_id = tx.claims.owner(source.name, changed)
            return Receipt(event_id=first, is_repeat=True, changed_id=changed_id)
