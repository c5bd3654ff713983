"""Wait for a condition instead of a fixed time."""

import time
from collections.abc import Callable

from adapter.store import Database


def wait_until(holds: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait until ``holds()`` is true. After ``seconds``, fail with the message ``what``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:g} s without success: {what}"
        time.sleep(0.05)


def is_waiting_for_keys(store: Database) -> bool:
    """Return True if a transaction is waiting for the lock on a person."""
    query = (
        "SELECT FROM pg_locks JOIN pg_database d ON d.oid = database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    with store.statement() as tx:
        return tx.connection.execute(query).fetchone() is not None
