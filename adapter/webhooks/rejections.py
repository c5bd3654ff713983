"""Store and count rejected requests in the background, and record which secrets are used.

One thread does all writing, so that a slow or unreachable database does not delay the
response, and a flood of forged requests opens only one transaction at a time.
"""

import collections
import concurrent.futures
import dataclasses
import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from adapter import signatures
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.settings import Settings
from adapter.store import Database, NewRejection, Transaction
from adapter.webhooks.client_ip import rate_limit_key
from adapter.webhooks.credentials import (
    CREDENTIAL_HEADERS,
    headers_needed,
    without_fields,
    without_private_headers,
)

log = logging.getLogger(__name__)

#: Maximum number and total size of queued writes. Additional rejections are dropped.
MAX_WAITING = 200
MAX_WAITING_BYTES = 8 * 1024 * 1024
#: Each process records the use of a secret at most once within this time.
USE_SECONDS = 60.0


class BackgroundWriter:
    """A queue of database writes, with one background thread that performs them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._max_rows = settings.rejections_per_source
        self._max_bytes = settings.rejection_bytes_per_source
        self._lock = threading.Lock()
        # Started with the first write, because a thread does not survive gunicorn's fork.
        self._writer: concurrent.futures.ThreadPoolExecutor | None = None
        self._waiting = self._waiting_bytes = 0
        #: Rejected requests by source and reason that are not in the database yet.
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._is_counting = False
        self._used_at: dict[tuple[str, str], dt.datetime] = {}

    def save_rejection(
        self, rejection: NewRejection, client: str | None, credentials: Iterable[bytes] = ()
    ) -> None:
        """Queue a rejected request for storage. Never block or raise.

        Only keyed hashes of its credentials are saved, so that they can be verified again.
        """
        if rejection.size > self._max_bytes:
            rejection = dataclasses.replace(rejection, body=None, can_retry=False)

        def write(tx: Transaction) -> None:
            key = self._database.hash_key()
            new = dataclasses.replace(
                rejection,
                sender=self._sender(client),
                proofs=[proof_of(key, rejection.source, one) for one in credentials],
            )
            tx.rejections.add(new, max_rows=self._max_rows, max_bytes=self._max_bytes)

        self._write_later(write, rejection.size)

    def count(self, source: str, reason: str) -> None:
        """Count a rejected request. Many counts are combined into a single database write."""
        with self._lock:
            self._counts[source, reason] += 1
            if self._is_counting:
                return
            self._is_counting = True
        self._write_later(self._save_counts)

    def _save_counts(self, tx: Transaction) -> None:
        with self._lock:
            self._is_counting = False
            counts = self._counts.copy()
        tx.rejections.count(counts)
        with self._lock:
            self._counts -= counts

    def record_secret_use(self, source: str, name: str, now: dt.datetime) -> None:
        """Record in the background that the secret in the variable ``name`` verified a request."""
        last = self._used_at.get((source, name))
        if last is not None and abs((now - last).total_seconds()) < USE_SECONDS:
            return
        self._used_at[source, name] = now

        self._write_later(lambda tx: tx.stats.record_secret_use(source=source, name=name, at=now))

    def flush(self) -> None:
        """Wait until all currently queued writes have finished or failed."""
        if self._writer is not None:
            self._writer.submit(lambda: None).result()

    def _write_later(self, write: Callable[[Transaction], None], size: int = 0) -> None:
        """Queue a database write. If the queue is full, drop writes of rejected requests."""
        with self._lock:
            is_full = self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES
            if size and is_full:
                log.warning("background_write_dropped")
                return
            if self._writer is None:
                # The interpreter waits for this executor's queue before it exits.
                self._writer = concurrent.futures.ThreadPoolExecutor(1, "background-writer")
            try:
                self._writer.submit(self._write, write, size)
            except RuntimeError:  # the process is ending
                return
            self._waiting += 1
            self._waiting_bytes += size

    def _write(self, write: Callable[[Transaction], None], size: int) -> None:
        try:
            with self._database.transaction() as tx:
                write(tx)
        except Exception as exc:  # noqa: BLE001 - a lost record only needs a log line
            log.warning("background_write_failed", extra={"reason": type(exc).__name__})
            self._is_counting = False
        finally:
            with self._lock:
                self._waiting -= 1
                self._waiting_bytes -= size

    def _sender(self, client: str | None) -> str | None:
        """Return a short keyed hash of an IP address. The address itself is never stored."""
        if client is None:
            return None
        address = b"address\x00" + rate_limit_key(client).encode()
        digest = signatures.keyed_hash(self._database.hash_key(), address)
        return digest[:4].hex()


def proof_of(key: bytes, source: str, credential: bytes) -> bytes:
    """Return a credential's keyed hash, for comparison with the hash of a new secret."""
    return signatures.keyed_hash(key, b"\x00".join((b"credential", source.encode(), credential)))


def rejection_from(
    source: Source,
    verifier: signatures.Verifier,
    request: WebhookRequest,
    reason: str,
    now: dt.datetime,
    credentials: Sequence[bytes] = (),
) -> NewRejection:
    """Prepare a rejected request for storage, without its credentials.

    A request rejected because of its IP address cannot be verified again, because IP addresses are
    not stored. A request rejected before verification can be verified only if its body was read.
    """
    hidden = CREDENTIAL_HEADERS - verifier.proof_headers
    # A signature covers the whole body, so a request with a field removed could not be verified.
    names = () if verifier.has_signature else source.stripped_names
    stripped = without_private_headers(
        without_fields(verifier.strip_rejected(request, reason).without_headers(hidden), names),
        headers_needed(source, verifier),
        (*verifier.keys, *credentials),
    )
    return NewRejection(
        source=source.name,
        received_at=now,
        reason=reason,
        method=stripped.method,
        url=stripped.url,
        headers=stripped.headers,
        body=stripped.body or None,
        sender=None,
        can_retry=(verifier.has_signature or any(map(signatures.is_unguessable, credentials)))
        and not reason.startswith("address_")
        and (reason in signatures.REASONS or bool(stripped.body)),
    )
