"""Provide a connection pool, transactions and batched inserts of events."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Self

import psycopg
import psycopg_pool

from adapter.exceptions import StoreUnavailable
from adapter.store.batch_insert import InsertBatcher
from adapter.store.connection import (
    OPTIONS,
    Connection,
    check_version,
    connect,
    connection_class,
)
from adapter.store.fingerprints import Fingerprints
from adapter.store.migrate import pending, reason_of
from adapter.store.notify import WorkerNotifier
from adapter.store.queries import STATEMENTS
from adapter.store.request_cipher import RequestCipher
from adapter.store.rows import NewEvent
from adapter.store.transaction import Transaction

#: PostgreSQL cancels statements that take longer.
STATEMENT_SECONDS = 10.0

#: If PostgreSQL does not respond, the client gives up this much later.
GRACE_SECONDS = 1.0

#: How long the pool tries to reconnect. Its pauses double and could outlast the outage, so it then
#: gives up, and the next caller that needs a connection starts over.
RECONNECT_SECONDS = 2.0

#: Errors that are caused by a statement or its values, not by an unavailable PostgreSQL.
_PROGRAMMING_ERRORS = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError)


class Database:
    """A connection pool. Rows are read and written in a :meth:`transaction`."""

    def __init__(
        self,
        url: str,
        *,
        size: int = 8,
        wait_seconds: float = 2.5,
        statement_seconds: float = STATEMENT_SECONDS,
        keys: Sequence[str] = (),
    ) -> None:
        """Prepare a pool of at most ``size`` connections to ``url``; :meth:`open` connects.

        ``keys`` encrypt stored requests, newest first.
        """
        self.url = url
        self._wait_seconds = wait_seconds
        self._pool = psycopg_pool.ConnectionPool(
            url,
            connection_class=connection_class(
                statement_seconds + GRACE_SECONDS, RequestCipher(keys)
            ),
            min_size=1,
            max_size=size,
            timeout=wait_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            kwargs={
                **OPTIONS,
                "connect_timeout": 5,
                "options": f"-c statement_timeout={statement_seconds:g}s -c timezone=UTC",
            },
        )
        self._fingerprints: Fingerprints | None = None
        self._batcher = InsertBatcher(self._insert_events)
        self._notifier = WorkerNotifier(self._notify_workers)

    def open(self) -> None:
        """Connect in the background, because the database may be unavailable at first."""
        self._pool.open(wait=False)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._notifier.close()
        self._pool.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that commits at the end and rolls back on any exception.

        Raise :class:`StoreUnavailable` if PostgreSQL cannot be reached or the connection is lost.
        """
        with self.statement() as tx, tx.savepoint():
            yield tx

    @contextlib.contextmanager
    def pipeline(self, *, is_durable: bool = True) -> Iterator[Transaction]:
        """Open a transaction that waits for PostgreSQL only when a result is read.

        BEGIN, COMMIT and statements whose results are not read are sent together with others. Their
        errors are raised when the next result is read, or at the end. A transaction that is not
        durable does not wait for the disk, and may be lost if PostgreSQL crashes right after it.
        """
        with self.statement() as tx:
            try:
                with tx.connection.pipeline():
                    # Not psycopg's transaction(), which waits after BEGIN and before COMMIT.
                    tx.connection.execute(b"BEGIN")
                    if not is_durable:
                        tx.connection.execute(b"SET LOCAL synchronous_commit = off")
                    yield tx
                    tx.connection.execute(b"COMMIT")
            except BaseException:
                with contextlib.suppress(psycopg.Error):  # the connection is already lost
                    tx.connection.rollback()
                raise

    @contextlib.contextmanager
    def statement(self) -> Iterator[Transaction]:
        """Run one statement as its own transaction, in one round trip instead of three.

        Raise :class:`StoreUnavailable` as :meth:`transaction` does.
        """
        try:
            with self._connection() as connection:
                yield Transaction(connection)
        except _PROGRAMMING_ERRORS:
            raise
        except psycopg.Error as exc:
            # This includes a server that became read-only in a failover.
            raise StoreUnavailable(reason_of(exc)) from exc

    def insert_event(self, new: NewEvent) -> int | None:
        """Commit an event with its dedupe key. Return None if the key was used before.

        Concurrent inserts from other threads are committed together. Raise
        :class:`StoreUnavailable` if PostgreSQL cannot be reached.
        """
        return self._batcher.submit(new)

    def _insert_events(self, new: Sequence[NewEvent]) -> list[int | None]:
        with self.statement() as tx:
            return tx.events.insert_many(new)

    def notify_workers(self) -> None:
        """Schedule a notification of the workers about a committed event. Never wait or raise."""
        self._notifier.notify()

    def _notify_workers(self) -> None:
        with self.statement() as tx:
            tx.connection.execute(STATEMENTS["notify_received"])

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self._usable()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _usable(self) -> Connection:
        """Take a connection from the pool. Replace connections that PostgreSQL has closed."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            connection = self._pool.getconn(max(deadline - time.monotonic(), 0.0))
            if connection.is_usable():
                return connection
            connection.close()
            self._pool.putconn(connection)

    def fingerprints(self) -> Fingerprints:
        """Return the object that computes this installation's keyed hashes.

        Call this before a transaction, because the first call needs a second connection.
        """
        if self._fingerprints is None:
            with self.transaction() as tx:
                self._fingerprints = Fingerprints(tx.hash_key())
        return self._fingerprints

    def hash_key(self) -> bytes:
        """Return the secret key for this installation's keyed hashes (32 bytes)."""
        return self.fingerprints().key

    def lacks(self) -> list[str]:
        """Return the names of missing migrations. Raise StoreUnavailable if it cannot connect."""
        with self.transaction() as tx:
            return pending(tx.connection)


def check_reachable(url: str, *, seconds: int = 5) -> None:
    """Raise :class:`StoreUnavailable`, with the reason, if PostgreSQL at ``url`` does not respond.

    Raise ConfigurationError if its version is too old.
    """
    try:
        with connect(url, seconds) as connection:
            connection.execute(STATEMENTS["ping"])
            check_version(connection.info.server_version)
    except psycopg.Error as exc:
        raise StoreUnavailable(f"cannot reach PostgreSQL: {reason_of(exc)}") from exc


def is_reachable(url: str) -> bool:
    """Return True if PostgreSQL at ``url`` accepts connections and responds."""
    try:
        check_reachable(url, seconds=2)
    except StoreUnavailable:
        return False
    return True
