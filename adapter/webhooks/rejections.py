"""What the web process notes beside events: refused requests, and which secret verified last.

Written by one thread of its own, so that neither a slow nor an absent database changes what a
sender is answered, and so that a flood of forged requests opens one transaction at a time.
"""

import concurrent.futures
import dataclasses
import datetime as dt
import logging
import threading
from collections.abc import Callable

from adapter import signatures
from adapter.mapping.source import Source
from adapter.settings import Settings
from adapter.store import Database, NewRejection

log = logging.getLogger(__name__)

#: Headers that are never stored, whatever the scheme.
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
#: Notes that may wait to be written, and the bytes they may hold. What is more is not kept.
MAX_WAITING = 200
MAX_WAITING_BYTES = 8 * 1024 * 1024
#: The use of a secret is noted once in this time, by each process.
USE_SECONDS = 60.0


class BackgroundWriter:
    """The notes of one process."""

    def __init__(self, store: Database, settings: Settings) -> None:
        self._store = store
        self._max_rows = settings.rejections_per_source
        self._max_bytes = settings.rejection_bytes_per_source
        self._lock = threading.Lock()
        # Made with the first note: a thread that was there before gunicorn's fork would be lost.
        self._writer: concurrent.futures.ThreadPoolExecutor | None = None
        self._waiting = self._waiting_bytes = 0
        self._used_at: dict[tuple[str, str], dt.datetime] = {}

    def save_rejection(self, rejection: NewRejection, client: str | None) -> None:
        """Keeps a refused request, sooner or later; never waits and never raises."""
        if rejection.size > self._max_bytes:
            rejection = dataclasses.replace(rejection, body=None, can_retry=False)

        def write() -> None:
            sender = self._sender(client)
            with self._store.transaction() as tx:
                tx.rejections.add(
                    dataclasses.replace(rejection, sender=sender),
                    max_rows=self._max_rows,
                    max_bytes=self._max_bytes,
                )

        self._write_later(write, rejection.size)

    def record_secret_use(self, source: Source, index: int | None, now: dt.datetime) -> None:
        """Notes that the secret of this index verified a request at ``now``."""
        if index is None or index >= len(source.secrets):
            return
        name = source.secrets[index]
        last = self._used_at.get((source.name, name))
        if last is not None and abs((now - last).total_seconds()) < USE_SECONDS:
            return
        self._used_at[source.name, name] = now

        def write() -> None:
            with self._store.transaction() as tx:
                tx.stats.record_secret_use(source=source.name, name=name, at=now)

        self._write_later(write, 0)

    def flush(self) -> None:
        """Waits until everything noted so far is written, or given up."""
        if self._writer is not None:
            self._writer.submit(lambda: None).result()

    def _write_later(self, write: Callable[[], None], size: int) -> None:
        with self._lock:
            if self._waiting >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
                log.warning("background_write_dropped")
                return
            if self._writer is None:
                # Its queue is written to the end before the process goes.
                self._writer = concurrent.futures.ThreadPoolExecutor(1, "background-writer")
            try:
                self._writer.submit(self._write, write, size)
            except RuntimeError:  # the process is going, and takes no more
                return
            self._waiting += 1
            self._waiting_bytes += size

    def _write(self, write: Callable[[], None], size: int) -> None:
        try:
            write()
        except Exception as exc:  # noqa: BLE001 - a note is worth no more than a line in the log
            log.warning("background_write_failed", extra={"reason": type(exc).__name__})
        finally:
            with self._lock:
                self._waiting -= 1
                self._waiting_bytes -= size

    def _sender(self, client: str | None) -> str | None:
        if client is None:
            return None
        digest = signatures.keyed_hash(self._store.hash_key(), b"address\x00" + client.encode())
        return digest[:4].hex()


def rejection_from(
    source: Source,
    verifier: signatures.Verifier,
    request: signatures.Request,
    reason: str,
    now: dt.datetime,
) -> NewRejection:
    """A refused request as it is kept: no credentials, and all that a digest is made of.

    Where an address was refused it cannot be verified again either: addresses are not kept.
    """
    kept = verifier.rejected(request, reason)
    hidden = CREDENTIAL_HEADERS - verifier.proof_headers
    return NewRejection(
        source=source.name,
        received_at=now,
        reason=reason,
        method=kept.method,
        url=kept.url,
        headers={
            name.lower(): text for name, text in kept.headers.items() if name.lower() not in hidden
        },
        body=None if request.body and not kept.body else kept.body,
        sender=None,
        can_retry=verifier.proves_again and not reason.startswith("address_"),
    )
