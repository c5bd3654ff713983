"""The one stateful part: PostgreSQL. Rows hold the truth; tasks only wake a worker to look."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Self

import psycopg
import psycopg_pool
from psycopg.rows import dict_row

from adapter.exceptions import StoreUnavailable
from adapter.store.batch_insert import InsertBatcher
from adapter.store.connection import Connection, check_version, connection_class
from adapter.store.migrate import pending, reason_of
from adapter.store.notify import WorkerNotifier
from adapter.store.queries import STATEMENTS
from adapter.store.rows import NewEvent
from adapter.store.transaction import Transaction

#: A statement that takes longer is given up.
STATEMENT_SECONDS = 10.0

#: So much later it is given up by us, when PostgreSQL does not do so: it hangs, or is frozen.
SILENCE_SECONDS = 1.0

#: So long the pool tries to connect by itself. Its pauses double, and would outlast the outage:
#: whoever needs a connection after this begins anew.
RECONNECT_SECONDS = 2.0

#: What says that a statement or its values are wrong, not that PostgreSQL is away.
_FAULTS_OF_OURS = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError)


class Database:
    """A pool of connections; :meth:`transaction` is the only way to rows."""

    def __init__(
        self,
        url: str,
        *,
        size: int = 8,
        wait_seconds: float = 2.5,
        statement_seconds: float = STATEMENT_SECONDS,
    ) -> None:
        """A pool for PostgreSQL at ``url``, with at most ``size`` connections."""
        self.url = url
        self._wait_seconds = wait_seconds
        self._pool = psycopg_pool.ConnectionPool(
            url,
            connection_class=connection_class(statement_seconds + SILENCE_SECONDS),
            min_size=1,
            max_size=size,
            timeout=wait_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            kwargs={
                # A statement outside of a transaction is one of its own, in one round trip.
                "autocommit": True,
                # A host that is gone without a word is found out within these seconds.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
                "row_factory": dict_row,
                "connect_timeout": 5,
                "options": f"-c statement_timeout={statement_seconds:g}s -c timezone=UTC",
            },
        )
        self._hash_key: bytes | None = None
        self._batcher = InsertBatcher(self._insert_events)
        self._notifier = WorkerNotifier(self._wake_workers)

    def open(self) -> None:
        """Begins to connect, in the background; a database that is away now may come back."""
        self._pool.open(wait=False)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._notifier.close()
        self._pool.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One transaction: committed at the end, rolled back when anything is raised.

        Raises :class:`StoreUnavailable` when PostgreSQL cannot be reached or is lost on the way.
        """
        with self.statement() as leads, leads.savepoint():
            yield leads

    @contextlib.contextmanager
    def statement(self) -> Iterator[Transaction]:
        """For one statement that is a transaction of its own: one round trip instead of three.

        Raises :class:`StoreUnavailable` as :meth:`transaction` does.
        """
        try:
            with self._connection() as connection:
                yield Transaction(connection)
        except _FAULTS_OF_OURS:
            raise
        except psycopg.Error as exc:
            # Among them a server that has become read-only: a failover has left us behind.
            raise StoreUnavailable(reason_of(exc)) from exc

    def insert_event(self, new: NewEvent) -> int | None:
        """Claims its digest and commits the event with its task; None when it was claimed before.

        What other threads bring at the same moment is committed with it. Raises
        :class:`StoreUnavailable`.
        """
        return self._batcher.submit(new)

    def _insert_events(self, new: Sequence[NewEvent]) -> list[int | None]:
        with self.statement() as leads:
            return leads.insert_events(new)

    def notify_workers(self) -> None:
        """Wakes the workers soon, for an event that is committed; never waits and never raises."""
        self._notifier.notify()

    def _wake_workers(self) -> None:
        with self.statement() as leads:
            leads.wake_workers()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self._unbroken()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _unbroken(self) -> Connection:
        """A connection that PostgreSQL has left open; those that a restart has cut are replaced."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            connection = self._pool.getconn(max(deadline - time.monotonic(), 0.0))
            if connection.is_usable():
                return connection
            connection.close()
            self._pool.putconn(connection)

    def hash_key(self) -> bytes:
        """The key of this installation's hashes (32 bytes), made by the first migration."""
        if self._hash_key is None:
            with self.transaction() as tx:
                self._hash_key = tx.hash_key()
        return self._hash_key

    def lacks(self) -> list[str]:
        """Names of the migrations that the database still lacks; raises StoreUnavailable."""
        with self.transaction() as tx:
            return pending(tx.connection)


def check_reachable(url: str, *, seconds: int = 5) -> None:
    """Raises :class:`StoreUnavailable`, with the reason, unless PostgreSQL at ``url`` answers.

    Raises ConfigurationError where it is older than the oldest that is supported.
    """
    try:
        with psycopg.connect(url, connect_timeout=seconds) as connection:
            connection.execute(STATEMENTS["ping"])
            check_version(connection.info.server_version)
    except psycopg.Error as exc:
        raise StoreUnavailable(f"cannot reach PostgreSQL: {reason_of(exc)}") from exc


def is_reachable(url: str) -> bool:
    """Whether PostgreSQL at ``url`` takes connections and answers."""
    try:
        check_reachable(url, seconds=2)
    except StoreUnavailable:
        return False
    return True
