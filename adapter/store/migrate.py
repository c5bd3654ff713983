"""Numbered SQL migrations, run once each, in order, under an advisory lock, forward only.

Procrastinate's schema is one of the steps: on an empty database its whole schema is applied and
its migration files are noted as done; a newer Procrastinate brings further files, and each runs
once.
"""

import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import scalar_row

from adapter.exceptions import StoreUnavailable
from adapter.store.connection import check_version

#: Two processes that migrate at once take turns by this number; it has no meaning of its own.
LOCK = 7_206_114_935

#: A step waits so long for one table; then it lets all go and comes back after a pause.
LOCK_SECONDS = 3
PAUSES = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0)
#: The tables that senders and workers write to, in the order in which they lock them.
TABLES = ("claims", "events", "bookings", "attempts", "history")

LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(NamedTuple):
    """One step, run in one transaction: its names in the ledger, and the SQL it runs."""

    names: tuple[str, ...]
    sql: str


def migrate(url: str) -> list[str]:
    """Brings the database at ``url`` up to date; returns the names of the steps that ran.

    Raises :class:`StoreUnavailable` where there is no database, with the server's own reason, and
    ConfigurationError where it is older than the oldest that is supported.
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
    """Names of the steps that this database still lacks."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        exists = cursor.execute("SELECT to_regclass('migrations') IS NOT NULL").fetchone()
    done = _done(connection) if exists else set()
    return [name for step in _steps(done) for name in step.names]


def reason_of(exc: psycopg.Error) -> str:
    """The driver's reason in one line, without the address it tried."""
    first = (str(exc).strip().splitlines() or ["no reason given"])[0]
    return first.rpartition("failed: ")[2]


def _apply(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for step in _steps(_done(connection)):
        _run(connection, step)
        yield from step.names


def _run(connection: psycopg.Connection[Any], step: Migration) -> None:
    """One step, beside senders and workers that go on: it waits its turn, and tries again.

    It locks the tables in the order in which the program does, and never waits long with a lock in
    hand. Raises :class:`StoreUnavailable` where it never gets them all.
    """
    for pause in (*PAUSES, None):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
                for table in _tables(connection):
                    connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
                connection.execute(step.sql.encode())
                for name in step.names:
                    connection.execute("INSERT INTO migrations (name) VALUES (%s)", [name])
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable) as exc:
            if pause is None:
                text = f"cannot migrate {step.names[0]}: others hold its tables; try again"
                raise StoreUnavailable(text) from exc
            time.sleep(pause)  # with no lock in hand, so that those who wait for us can end
        else:
            return


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Those of our tables that are there, in the order in which the program locks them."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        there = set(cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    return [table for table in TABLES if table in there]


def _done(connection: psycopg.Connection[Any]) -> set[str]:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute("SELECT name FROM migrations"))


def _steps(done: set[str]) -> Iterator[Migration]:
    """The steps that are not done, in their order."""
    yield from _queue_steps(done)
    own = resources.files("adapter.store") / "migrations"
    for file in sorted(own.iterdir(), key=lambda file: file.name):
        if file.name not in done:
            yield Migration((file.name,), file.read_text())


def _queue_steps(done: set[str]) -> Iterator[Migration]:
    """Procrastinate's files; on a database without any of them, its schema stands for them all."""
    # Imported here: all who open the store import this module, and few of them migrate.
    from procrastinate.schema import SchemaManager

    folder = Path(SchemaManager.get_migrations_path())
    files = {f"procrastinate/{file.name}": file for file in sorted(folder.glob("*.sql"))}
    if done.isdisjoint(files):
        yield Migration(tuple(files), SchemaManager.get_schema())
        return
    for name, file in files.items():
        if name not in done:
            yield Migration((name,), file.read_text())
