"""Run numbered SQL migrations, and compare a database's migrations with this version's."""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row, scalar_row

from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.store.connection import check_version, unreachable
from adapter.store.queries import STATEMENTS

#: Arbitrary key of the advisory lock that lets only one process migrate at a time.
LOCK = 7_206_114_935
#: How long a process waits while another one migrates.
WAIT_SECONDS = 30

#: How long a migration waits for each table's lock before it releases all locks and retries.
LOCK_SECONDS = 3
PAUSES = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0)
#: The tables that web and worker processes write to, in lock order.
TABLES = ("claims", "events", "bookings", "attempts", "history")

#: A migration in the databases of all released versions.
FIRST = "0001_initial.sql"

LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
-- The digest of the file that was run; NULL if version 0.2.0 ran it.
ALTER TABLE migrations ADD COLUMN IF NOT EXISTS sha256 text
"""


class Migration(NamedTuple):
    """A named SQL script that runs in one transaction."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the SQL. It is recorded to detect later changes to the file."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class SchemaState:
    """The difference between a database's migrations and this version's."""

    missing: tuple[str, ...]
    #: Migrations of a newer version.
    unknown: tuple[str, ...]
    #: Migrations whose files were different when they ran.
    changed: tuple[str, ...]

    @property
    def fault(self) -> str | None:
        """The reason that this version cannot use the database and the way to fix it, or None."""
        if self.changed:
            return (
                f"the database was migrated with a different version of {', '.join(self.changed)}: "
                "install the release that migrated it, or restore a backup"
            )
        if self.missing:
            steps = f"{len(self.missing)} migration" + "s" * (len(self.missing) > 1)
            return f"the database is missing {steps}: run adapter migrate"
        return None

    @property
    def newer(self) -> str | None:
        """A message saying that a newer version has migrated the database, or None."""
        if not self.unknown:
            return None
        return (
            f"the database is from a newer version: it has {', '.join(self.unknown)}; "
            "install that version here too"
        )


class _Locked(Exception):
    """Raised if another process is already migrating the database."""


def migrate(url: str) -> list[str]:
    """Migrate the database at ``url``. Return the names of the migrations that ran.

    If there is nothing to do, no privilege to change the schema is needed. Raise
    :class:`StoreUnavailable` with the server's reason if it cannot be reached. Raise
    ConfigurationError if the server or the database is too old, or if a migration's file has
    changed since it ran.
    """
    try:
        # A connection pooler may use another session for each transaction.
        with psycopg.connect(
            url, autocommit=True, connect_timeout=10, prepare_threshold=None
        ) as connection:
            check_version(connection.info.server_version)
            return _migrate(connection)
    except psycopg.OperationalError as exc:
        raise unreachable(url, exc) from exc
    except psycopg.Error as exc:
        raise StoreUnavailable(f"cannot migrate: {type(exc).__name__} ({exc.sqlstate})") from exc


def schema_state(connection: psycopg.Connection[Any]) -> SchemaState:
    """Compare a database's migrations with this version's, in one statement."""
    return _compare(_recorded(connection))


def _compare(recorded: Mapping[str, str | None]) -> SchemaState:
    own = {one.name: one.sha256 for one in _own()}
    return SchemaState(
        missing=tuple(one.name for one in _missing(set(recorded))),
        unknown=tuple(sorted(recorded.keys() - own.keys())),
        changed=tuple(
            name
            for name, digest in sorted(recorded.items())
            if digest is not None and own.get(name, digest) != digest
        ),
    )


def _migrate(connection: psycopg.Connection[Any]) -> list[str]:
    recorded = _recorded(connection)
    _check_released(set(recorded))
    state = _compare(recorded)
    if state.changed:
        raise ConfigurationError(str(state.fault))
    try:
        done = list(_apply(connection, set(recorded)))
        if any(recorded.get(one.name, "") is None for one in _own()):
            _record_digests(connection)
    except _Locked as exc:
        raise StoreUnavailable(_holder(connection)) from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        raise ConfigurationError(_lacking_right(connection, exc)) from exc
    return done


def _apply(connection: psycopg.Connection[Any], recorded: set[str]) -> Iterator[str]:
    for migration in _missing(recorded):
        if _run(connection, migration):
            yield migration.name


def _check_released(done: set[str]) -> None:
    """Raise ConfigurationError if the database was created before the first release."""
    if done and FIRST not in done:
        raise ConfigurationError(
            f"the database is from a version before 0.2 (it has {min(done)}, not {FIRST}) and "
            "cannot be upgraded: set DATABASE_URL to an empty database, or delete the folder "
            "postgres in ADAPTER_DATA_DIR"
        )


def _run(connection: psycopg.Connection[Any], migration: Migration) -> bool:
    """Run a migration while the adapter may be running. Retry until it gets its locks.

    The migration locks tables in the same order as the rest of the program, and never waits long
    while it holds a lock. Return False if another process has run it. Raise
    :class:`StoreUnavailable` if it cannot lock all tables.
    """
    for pause in (*PAUSES, None):
        try:
            with connection.transaction():
                _lock(connection)
                connection.execute(LEDGER)
                if migration.name in _recorded(connection):
                    return False
                connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
                for table in _tables(connection):
                    connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
                connection.execute(migration.sql.encode())
                connection.execute(
                    "INSERT INTO migrations (name, sha256) VALUES (%s, %s)",
                    [migration.name, migration.sha256],
                )
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable) as exc:
            if pause is None:
                text = f"cannot run {migration.name}: its tables are locked; try again"
                raise StoreUnavailable(text) from exc
            time.sleep(pause)  # holds no locks now, so that others can finish
        else:
            return True
    return False


def _lock(connection: psycopg.Connection[Any]) -> None:
    """Lock migrations until the transaction ends, so that only one process runs them.

    The lock does not last for the session, because behind a connection pooler, the session outlives
    this process.
    """
    connection.execute(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'".encode())
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    except psycopg.errors.LockNotAvailable as exc:
        raise _Locked from exc


def _record_digests(connection: psycopg.Connection[Any]) -> None:
    """Record the missing digests of migrations that have run."""
    with connection.transaction():
        _lock(connection)
        connection.execute(LEDGER)
        for one in _own():
            connection.execute(
                "UPDATE migrations SET sha256 = %s WHERE name = %s AND sha256 IS NULL",
                [one.sha256, one.name],
            )


def _holder(connection: psycopg.Connection[Any]) -> str:
    """Describe the process that holds the migration lock, and what to do about it."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(STATEMENTS["migration_lock"], {"key": LOCK}).fetchone()
    text = f"another process has been migrating the database for {WAIT_SECONDS} seconds"
    if row is None:
        return f"{text}; try again"
    where = row["address"] or "a local socket"
    return (
        f"{text}: {row['program'] or 'a program'} of role {row['role']} from {where}, since "
        f"{row['since']:%H:%M:%S} UTC; wait for it, or end it: "
        f"SELECT pg_terminate_backend({row['pid']})"
    )


def _lacking_right(connection: psycopg.Connection[Any], exc: psycopg.Error) -> str:
    """Describe the privilege that the database role is missing, and how to grant it."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(STATEMENTS["rights"]).fetchone()
    if row is None or row["can_create"]:
        return f"cannot migrate: {exc.diag.message_primary}; run adapter migrate as its owner"
    return (
        f"role {row['role']} cannot create tables in schema {row['schema']} of database "
        f"{row['database']}: GRANT USAGE, CREATE ON SCHEMA {row['schema']} TO {row['role']}"
    )


def _tables(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the tables in :data:`TABLES` that exist, in the same order."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        existing = set(
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
    return [table for table in TABLES if table in existing]


def _recorded(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    """Return the digests of the migrations that have run, keyed by name."""
    with connection.cursor(row_factory=dict_row) as cursor:
        try:
            rows = cursor.execute(STATEMENTS["recorded_migrations"]).fetchall()
        except psycopg.errors.UndefinedTable:
            return {}
    return {row["name"]: row["sha256"] for row in rows}


@functools.cache
def _own() -> tuple[Migration, ...]:
    """Return this version's migrations in order."""
    folder = resources.files("adapter.store") / "sql" / "migrations"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(Migration(file.name, file.read_bytes().decode()) for file in files)


def _missing(done: set[str]) -> Iterator[Migration]:
    """Yield the migrations that have not run yet, in order."""
    yield from (one for one in _own() if one.name not in done)
