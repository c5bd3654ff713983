"""Re-encrypt or decrypt stored requests as ADAPTER_ENCRYPTION_KEYS requires."""

from collections.abc import Callable, Iterable

from adapter.mapping.source import Source
from adapter.store import Database, Undecryptable
from adapter.store.encryption import KINDS
from adapter.store.rows import delivery_headers

#: Number of requests in one transaction. It is small because bodies may be large.
BATCH = 20


def rotate(
    store: Database, sources: Iterable[Source], progress: Callable[[int], object]
) -> tuple[int, Undecryptable]:
    """Encrypt all stored requests with the newest key, or decrypt them, in batches.

    Each batch is a transaction, so if a run is interrupted, the next run does the rest. Call
    ``progress`` after each batch with the number of requests so far. Return how many remain, and
    the requests whose keys are not set. Requests remain if they were in use, if a process with
    other keys stored them in the meantime, or if their key is not set.
    """
    readable, done = delivery_headers(*(source.delivery_header for source in sources)), 0
    for kind in KINDS:
        last = 0
        while ids := _rotate_batch(store, kind, last, readable):
            last, done = ids[-1], done + len(ids)
            progress(done)
    with store.transaction() as tx:
        return tx.encryption.remaining(), tx.encryption.undecryptable()


def _rotate_batch(store: Database, kind: str, after: int, readable: list[str]) -> list[int]:
    with store.transaction() as tx:
        return tx.encryption.rotate(kind, after=after, readable=readable, limit=BATCH)
