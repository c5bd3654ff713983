"""Open PostgreSQL connections that time out and are discarded if the server closes them.

They also work through a connection pooler that gives each transaction another server session, such
as PgBouncer in transaction mode. Behind such a pooler, nothing may depend on the session of an
earlier transaction.
"""

import contextlib
import select
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

import psycopg
import psycopg_pool
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.store.request_cipher import RequestCipher

T = TypeVar("T")

#: The oldest major version of PostgreSQL that we test.
OLDEST_POSTGRES = 15

#: Options of every connection.
OPTIONS: Mapping[str, Any] = {
    # A statement outside a transaction is its own transaction, in one round trip.
    "autocommit": True,
    # These settings detect a lost host within seconds.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "row_factory": dict_row,
}


class Connection(psycopg.Connection[DictRow]):
    """A PostgreSQL connection whose statements time out even if the server is frozen."""

    #: Maximum wait for one response, in seconds.
    answer_seconds: float
    cipher: RequestCipher
    #: The error of this class's latest failed attempt to connect, or None. The pool hides it.
    failure: ClassVar[psycopg.Error | None] = None

    @classmethod
    def connect(cls, *args: Any, **options: Any) -> Self:
        """Open a connection. If this fails, save the error in ``failure`` and raise it."""
        try:
            connection = super().connect(*args, **options)
        except psycopg.Error as exc:
            cls.failure = exc
            raise
        cls.failure = None
        return connection

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for a server response. After a timeout, close the connection and raise an error."""
        limit = self.answer_seconds if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise

    def is_usable(self) -> bool:
        """Return False if PostgreSQL is known to have closed the connection.

        An idle connection receives data only when it is closed. So only connections with unread
        data are checked, and the others need no round trip.
        """
        if not self._has_unread():
            return True
        with contextlib.suppress(psycopg.Error):
            psycopg_pool.ConnectionPool.check_connection(self)
            return True
        return False

    def _has_unread(self) -> bool:
        try:
            socket = select.poll()
            socket.register(self.pgconn.socket, select.POLLIN)
            return bool(socket.poll(0))
        except psycopg.Error:  # the socket is closed
            return True


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Return True if a connection goes through a pooler, which reports a made-up process ID."""
    row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    pid = row["pid"] if isinstance(row, Mapping) else row and row[0]
    return bool(pid != connection.info.backend_pid)


def reason_of(exc: psycopg.Error) -> str:
    """Return the driver's error message in one line, with the SQLSTATE but without the host."""
    first = (str(exc).strip().splitlines() or ["no reason given"])[0]
    reason = first.rpartition("failed: ")[2]
    return f"{reason} ({exc.sqlstate})" if exc.sqlstate else reason


def address_of(url: str) -> str:
    """Return the host, port and database in a connection URL, but not its password."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        return "an invalid DATABASE_URL"
    host, database = parts.get("host") or "a local socket", parts.get("dbname") or parts.get("user")
    port = "" if str(host).startswith("/") else f":{parts.get('port') or 5432}"
    return f"{host}{port}/{database or ''}"


def unreachable(url: str, exc: psycopg.Error) -> StoreUnavailable:
    """Return an exception with the address of an unreachable server and the reason."""
    return StoreUnavailable(f"cannot reach PostgreSQL at {address_of(url)}: {reason_of(exc)}")


def check_version(number: int) -> None:
    """Raise ConfigurationError if a PostgreSQL version number (such as 150018) is too old."""
    if number < OLDEST_POSTGRES * 10_000:
        raise ConfigurationError(
            f"PostgreSQL {number // 10_000} is too old: {OLDEST_POSTGRES} or newer is required; "
            "upgrade it, or set DATABASE_URL to another server"
        )


def connection_class(answer_seconds: float, cipher: RequestCipher) -> type[Connection]:
    """Return a connection class with the given response timeout and request cipher."""
    values = {"answer_seconds": answer_seconds, "cipher": cipher}
    return type("Connection", (Connection,), values)


def connect(url: str, seconds: int) -> Connection:
    """Open a connection outside the pool. Connecting and statements time out after ``seconds``."""
    own = connection_class(seconds, RequestCipher(()))
    return own.connect(url, connect_timeout=seconds, **OPTIONS)
