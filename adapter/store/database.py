"""Provide the connection pool, transactions, and batched inserts of events."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Self

import psycopg
import psycopg_pool

from adapter.exceptions import StoreUnavailable, WrongSchema
from adapter.store.batch_insert import InsertBatcher
from adapter.store.connection import (
    OPTIONS,
    Connection,
    check_version,
    connect,
    connection_class,
    reason_of,
    unreachable,
)
from adapter.store.fingerprints import Fingerprints
from adapter.store.meter import Meter
from adapter.store.migrate import SchemaState, schema_state
from adapter.store.notify import WorkerNotifier
from adapter.store.outage import Outage
from adapter.store.queries import STATEMENTS
from adapter.store.request_cipher import RequestCipher
from adapter.store.rows import NewEvent
from adapter.store.transaction import Transaction

#: PostgreSQL cancels statements that take longer than this.
STATEMENT_SECONDS = 10.0

#: If PostgreSQL does not respond, the client gives up this much later than the server would.
GRACE_SECONDS = 1.0

#: How long the pool tries to reconnect. Its pauses double and could outlast the outage, so it then
#: gives up, and the next caller that needs a connection starts over.
RECONNECT_SECONDS = 2.0

#: Errors that are caused by a statement or its values, not by an unavailable PostgreSQL.
_PROGRAMMING_ERRORS = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError)


class Database:
    """A pool of PostgreSQL connections. All reads and writes run in a :meth:`transaction`."""

    def __init__(
        self,
        url: str,
        *,
        size: int = 8,
        wait_seconds: float = 2.5,
        statement_seconds: float = STATEMENT_SECONDS,
        keys: Sequence[str] = (),
    ) -> None:
        """Create a pool of at most ``size`` connections to ``url``. It connects in :meth:`open`.

        ``keys`` encrypt stored requests, newest first.
        """
        self.url = url
        self._wait_seconds = wait_seconds
        self._statement_seconds = statement_seconds
        self._class = connection_class(statement_seconds + GRACE_SECONDS, RequestCipher(keys))
        self._outage = Outage("database")
        #: Collects the metrics of this process.
        self.meter = Meter()
        self._pool = psycopg_pool.ConnectionPool(
            url,
            connection_class=self._class,
            min_size=1,
            max_size=size,
            timeout=wait_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            configure=self._configure,
            kwargs={**OPTIONS, "connect_timeout": 5},
        )
        self._fingerprints: Fingerprints | None = None
        self._batcher = InsertBatcher(self._insert_events)
        self._notifier = WorkerNotifier(self._notify_workers)

    @property
    def is_away(self) -> bool:
        """True if the last attempt to use PostgreSQL failed."""
        return self._outage.is_lasting

    def open(self) -> None:
        """Start connecting in the background. PostgreSQL need not be available yet."""
        self._pool.open(wait=False)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._notifier.close()
        self._pool.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that commits at the end of the block and rolls back on any exception.

        Raise :class:`StoreUnavailable` if PostgreSQL cannot be reached or the connection is lost.
        """
        with self.statement() as tx, tx.savepoint():
            yield tx

    @contextlib.contextmanager
    def pipeline(self, *, is_durable: bool = True) -> Iterator[Transaction]:
        """Open a transaction in pipeline mode, which waits only when a result is read.

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
        """Open a connection in autocommit mode, to run one statement in a single round trip.

        Raise :class:`StoreUnavailable` as :meth:`transaction` does.
        """
        try:
            with self._connection() as connection:
                yield Transaction(connection)
        except _PROGRAMMING_ERRORS:
            raise
        except psycopg.Error as exc:
            # This includes a server that became read-only in a failover.
            reason = self._reason_of(exc)
            self._outage.failed(reason)
            raise StoreUnavailable(reason) from exc
        self._outage.ended()

    def _reason_of(self, exc: psycopg.Error) -> str:
        """Return the reason PostgreSQL is unavailable, even for a pool timeout."""
        if not isinstance(exc, psycopg_pool.PoolTimeout):
            return reason_of(exc)
        if (failure := self._class.failure) is None:
            return f"all {self._pool.max_size} connections of this process are in use"
        return str(unreachable(self.url, failure))

    def _configure(self, connection: Connection) -> None:
        """Configure a new connection in one round trip.

        This does not use the startup parameter `options`, which poolers reject. Behind a pooler, a
        prepared statement may not exist in the session of the next transaction.
        """
        values = {
            "timeout": f"{self._statement_seconds:g}s",
            "pid": connection.info.backend_pid,
        }
        row = connection.execute(STATEMENTS["configure"], values, prepare=False).fetchone()
        if row is not None and row["is_pooled"]:
            connection.prepare_threshold = None

    def insert_event(self, new: NewEvent) -> int | None:
        """Commit an event and claim its dedupe key. Return its ID, or None if the key is taken.

        Concurrent inserts from other threads are committed together. Raise
        :class:`StoreUnavailable` if PostgreSQL cannot be reached.
        """
        return self._batcher.submit(new)

    def _insert_events(self, new: Sequence[NewEvent]) -> list[int | None]:
        with self.statement() as tx:
            return tx.events.insert_many(new)

    def notify_workers(self) -> None:
        """Schedule a notification to workers about a committed event. Never block or raise."""
        self._notifier.notify()

    def _notify_workers(self) -> None:
        with self.statement() as tx:
            tx.connection.execute(STATEMENTS["notify_received"])

    def save_metrics(self) -> None:
        """Add this process's metrics to the totals in the database.

        Raise StoreUnavailable if PostgreSQL cannot be reached. In that case, the values are kept
        for later.
        """
        if not (values := self.meter.take()):
            return
        try:
            with self.statement() as tx:
                tx.metrics.add(values)
        except BaseException:
            self.meter.put_back(values)
            raise

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection = self._usable()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _usable(self) -> Connection:
        """Return a working connection from the pool. Discard connections that are closed."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            connection = self._pool.getconn(max(deadline - time.monotonic(), 0.0))
            if connection.is_usable():
                return connection
            connection.close()
            self._pool.putconn(connection)

    def fingerprints(self) -> Fingerprints:
        """Return the object that computes keyed hashes with this installation's secret key.

        Call this before a transaction, because the first call needs a second connection.
        """
        if self._fingerprints is None:
            with self.transaction() as tx:
                self._fingerprints = Fingerprints(tx.hash_key())
        return self._fingerprints

    def hash_key(self) -> bytes:
        """Return this installation's 32-byte secret key for keyed hashes."""
        return self.fingerprints().key

    def schema_state(self) -> SchemaState:
        """Compare the database's migrations with this version's."""
        with self.statement() as tx:
            return schema_state(tx.connection)

    def check_schema(self, *, allow_newer: bool = True) -> SchemaState:
        """Return the schema's state. Raise :class:`WrongSchema` if this version cannot use it.

        A newer version may add to the schema without breaking the data that an older version
        stores.
        """
        state = self.schema_state()
        if fault := state.fault or (None if allow_newer else state.newer):
            raise WrongSchema(fault)
        return state

    def check_room(self) -> None:
        """Raise StoreUnavailable if PostgreSQL is read-only or its disk is full."""
        with self.transaction() as tx:
            tx.connection.execute(b"SET LOCAL work_mem = '64kB'")
            with contextlib.suppress(psycopg.errors.ConfigurationLimitExceeded), tx.savepoint():
                # The suppressed error means that `temp_file_limit` is too low for this check.
                tx.connection.execute(STATEMENTS["write_temporary_file"])
            is_read_only = tx.is_read_only()
        if is_read_only:
            raise StoreUnavailable("PostgreSQL is read-only")


def check_reachable(url: str, *, seconds: int = 5) -> None:
    """Raise :class:`StoreUnavailable` with the reason if PostgreSQL at ``url`` does not respond.

    Raise ConfigurationError if its version is too old.
    """
    try:
        with connect(url, seconds) as connection:
            connection.execute(STATEMENTS["ping"])
            check_version(connection.info.server_version)
    except psycopg.Error as exc:
        raise unreachable(url, exc) from exc


def is_reachable(url: str) -> bool:
    """Return True if PostgreSQL at ``url`` accepts connections and responds."""
    try:
        check_reachable(url, seconds=2)
    except StoreUnavailable:
        return False
    return True
