"""Run the numbered SQL migrations in order, each once, under an advisory lock."""

import time
from collections.abc import Iterator
from importlib import resources
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import scalar_row

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.store.connection import check_version

#: Arbitrary key of the advisory lock that lets only one process migrate at a time.
LOCK = 7_206_114_935

#: How long a migration waits for each table's lock before it releases all locks and retries.
LOCK_SECONDS = 3
PAUSES = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0)
#: The tables that web and worker processes write to, in lock order.
TABLES = ("claims", "events", "bookings", "attempts", "history")

#: The migration that every released version's database has.
FIRST = "0001_initial.sql"

LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(NamedTuple):
    """SQL to run in one transaction, and the name to record for it."""

    name: str
    sql: str


def migrate(url: str) -> list[str]:
    """Migrate the database at ``url``, and return the names of the migrations that ran.

    Raise :class:`StoreUnavailable` with the reason if the server cannot be reached, and
    ConfigurationError if the server or the database is too old.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            check_version(connection.info.server_version)
            connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            connection.execute(LEDGER)
            return list(_apply(connection))
    except psycopg.OperationalError as exc:
        raise StoreUnavailable(f"cannot reach PostgreSQL: {reason_of(exc)}") from exc
    except psycopg.Error as exc:
        raise StoreUnavailable(f"cannot migrate: {type(exc).__name__}") from exc


def pending(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the names of the migrations that have not run on this database yet."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        exists = cursor.execute("SELECT to_regclass('migrations') IS NOT NULL").fetchone()
    done = _done(connection) if exists else set()
    return [migration.name for migration in _missing(done)]


def reason_of(exc: psycopg.Error) -> str:
    """Return the driver's error message in one line, without the host."""
    first = (str(exc).strip().splitlines() or ["no reason given"])[0]
    return first.rpartition("failed: ")[2]


def _apply(connection: psycopg.Connection[Any]) -> Iterator[str]:
    done = _done(connection)
    _check_released(done)
    for migration in _missing(done):
        _run(connection, migration)
        yield migration.name


def _check_released(done: set[str]) -> None:
    """Raise ConfigurationError if the database is from before the first release."""
    if done and FIRST not in done:
        raise ConfigurationError(
            f"the database is from a version before 0.2 (it has {min(done)}, not {FIRST}) and "
            "cannot be upgraded: set DATABASE_URL to an empty database, or delete the folder "
            "postgres in ADAPTER_DATA_DIR"
        )


def _run(connection: psycopg.Connection[Any], migration: Migration) -> None:
    """Run one migration while web and worker processes run. Retry until it gets its locks.

    It locks tables in the same order as the rest of the program, and never waits long while it
    holds a lock. Raise :class:`StoreUnavailable` if it cannot lock all tables.
    """
    for pause in (*PAUSES, None):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
                for table in _tables(connection):
                    connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
                connection.execute(migration.sql.encode())
                connection.execute("INSERT INTO migrations (name) VALUES (%s)", [migration.name])
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable) as exc:
            if pause is None:
                text = f"cannot run {migration.name}: its tables are locked; try again"
                raise StoreUnavailable(text) from exc
            time.sleep(pause)  # holds no locks now, so that others can finish
        else:
            return


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the tables in :data:`TABLES` that exist, in that order."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        existing = set(
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
    return [table for table in TABLES if table in existing]


def _done(connection: psycopg.Connection[Any]) -> set[str]:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute("SELECT name FROM migrations"))


def _missing(done: set[str]) -> Iterator[Migration]:
    """Yield the missing migrations in order."""
    own = resources.files("adapter.store") / "sql" / "migrations"
    for file in sorted(own.iterdir(), key=lambda file: file.name):
        if file.name not in done:
            yield Migration(file.name, file.read_text())
