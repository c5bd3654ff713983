"""Verify webhooks, detect duplicates, and store each webhook before responding to its sender."""

import contextlib
import dataclasses
import datetime as dt
import hashlib
import logging
import threading
import time

from adapter import signatures
from adapter.exceptions import StoreUnavailable, VerificationError
from adapter.mapping.source import Source
from adapter.models import Clock, WebhookRequest
from adapter.settings import Settings
from adapter.store import Database, NewEvent
from adapter.store.meter import WEBHOOKS
from adapter.webhooks import dedupe
from adapter.webhooks.credentials import (
    CREDENTIAL_HEADERS,
    headers_needed,
    without_fields,
    without_private_headers,
)
from adapter.webhooks.dedupe import Receipt
from adapter.webhooks.endpoints import Endpoint
from adapter.webhooks.rejections import BackgroundWriter, rejection_from

log = logging.getLogger(__name__)

#: A failed insert is retried once if it failed within this time.
RETRY_WITHIN_SECONDS = 1.0
#: Larger bodies are parsed one at a time, because each may take 50 times its size in memory.
LARGE_BODY_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A request whose sender has been verified. Only verified requests are stored as events."""

    source: Source
    #: The request without credentials.
    request: WebhookRequest
    #: When it was received (aware, UTC).
    received_at: dt.datetime
    #: Hash of everything the signature covers. Requests with the same hash are identical.
    content: bytes
    #: Index of the matching key, or None if the scheme has no key.
    key_index: int | None


def verified_from(
    source: Source,
    verifier: signatures.Verifier,
    request: WebhookRequest,
    received_at: dt.datetime,
    key_index: int | None = None,
) -> Verified:
    """Create a verified request, without credentials, from a request that ``verifier`` accepted."""
    stripped = without_private_headers(
        without_fields(
            verifier.without_secret(request).without_headers(CREDENTIAL_HEADERS),
            source.stripped_names,
        ),
        headers_needed(source, verifier),
        verifier.keys,
    )
    # This goes to the end of the URL, so that a change after an unescaped "#" counts too.
    query = stripped.url.partition("?")[2].encode() if verifier.covers_query else b""
    return Verified(
        source=source,
        request=stripped,
        received_at=received_at,
        content=hashlib.sha256(stripped.body + b"\x00" + query).digest(),
        key_index=key_index,
    )


class Receiver:
    """Verifies incoming webhooks and stores them as events."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock
        self.background_writer = BackgroundWriter(database, settings)
        self._large_body = threading.Lock()

    def verify(self, endpoint: Endpoint, request: WebhookRequest) -> Verified:
        """Verify a request's signature, and return the request without its credentials.

        If verification fails, save the request as a rejection and raise VerificationError.
        """
        source, verifier, now = endpoint.source, endpoint.verifier, self.clock()
        try:
            key_index = verifier.verified_by(request, now.timestamp())
        except VerificationError as exc:
            self.save_rejection(endpoint, request, exc.reason)
            raise
        if key_index is not None:
            name = source.secrets[verifier.owners[key_index]]
            self.background_writer.record_secret_use(source.name, name, now)
        return verified_from(source, verifier, request, now, key_index)

    def save_rejection(self, endpoint: Endpoint, request: WebhookRequest, reason: str) -> None:
        """Store a rejected request of a known source, without its credentials."""
        source, verifier = endpoint.source, endpoint.verifier
        credentials = verifier.credentials(request)
        rejection = rejection_from(source, verifier, request, reason, self.clock(), credentials)
        provable = filter(signatures.is_unguessable, credentials)
        self.background_writer.save_rejection(rejection, request.client, list(provable))

    def store(self, verified: Verified) -> Receipt:
        """Store a verified request as an event, or count it as a duplicate of an earlier one.

        Raise StoreUnavailable if it may not have been stored. If it was, the sender's retry
        counts as a duplicate.
        """
        meter, name = self.database.meter, verified.source.name
        try:
            receipt = self._insert_or_retry(verified)
        except StoreUnavailable:
            meter.count(WEBHOOKS, name, "unavailable")
            raise
        meter.count(WEBHOOKS, name, receipt.status)
        if not receipt.is_duplicate or receipt.changed_id is not None:
            self.database.notify_workers()
        log.info(
            "webhook_duplicate" if receipt.status == "duplicate" else "webhook_stored",
            extra={"source": name, "event_id": receipt.answered_id},
        )
        return receipt

    def _insert_or_retry(self, verified: Verified) -> Receipt:
        started_at = time.monotonic()
        try:
            return self._insert(verified)
        except StoreUnavailable:
            if time.monotonic() - started_at > RETRY_WITHIN_SECONDS:
                raise
            # The connection was lost: retry once, over a new connection.
            return self._insert(verified)

    def _insert(self, verified: Verified) -> Receipt:
        """Insert the request with its dedupe key. If the key is taken, count it as a duplicate."""
        # Read before the transaction starts, because the key may need a connection of its own.
        fingerprints = self.database.fingerprints()
        source = verified.source
        is_large = len(verified.request.body) > LARGE_BODY_BYTES
        with self._large_body if is_large else contextlib.nullcontext():
            key = source.dedupe_key(verified.request) or "content:" + verified.content.hex()
        event = _new_event(verified, fingerprints.delivery(source.name, key))
        return dedupe.insert_once(self.database, event, source, key)


def _new_event(verified: Verified, digest: bytes) -> NewEvent:
    return NewEvent(
        source=verified.source.name,
        digest=digest,
        content=verified.content,
        received_at=verified.received_at,
        request=verified.request,
        delivery_header=verified.source.delivery_header,
    )
