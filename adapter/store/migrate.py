"""Numbered SQL migrations, run once each, in order, under an advisory lock, forward only.

Procrastinate's schema is one of the steps: on an empty database its whole schema is applied and
its migration files are noted as done; a newer Procrastinate brings further files, and each runs
once.
"""

import secrets
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from procrastinate.schema import SchemaManager
from psycopg.rows import scalar_row

from adapter.exceptions import StoreUnavailable
from adapter.store.statements import STATEMENTS

#: Two processes that migrate at once take turns by this number; it has no meaning of its own.
LOCK = 7_206_114_935

LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(NamedTuple):
    """One step: its name in the ledger, and the SQL it runs."""

    name: str
    sql: str


def migrate(url: str) -> list[str]:
    """Brings the database at ``url`` up to date; returns the names of the steps that ran.

    Raises :class:`StoreUnavailable` where there is no database, with the server's own reason.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            connection.execute(LEDGER)
            return list(_apply(connection))
    except psycopg.OperationalError as exc:
        raise StoreUnavailable(f"cannot reach PostgreSQL: {reason_of(exc)}") from exc


def pending(connection: psycopg.Connection[Any]) -> list[str]:
    """Names of the steps that this database still lacks."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        exists = cursor.execute("SELECT to_regclass('migrations') IS NOT NULL").fetchone()
    done = _done(connection) if exists else set()
    return [step.name for step in _steps(done) if step.name not in done]


def reason_of(exc: psycopg.Error) -> str:
    """The driver's reason in one line, without the address it tried."""
    first = (str(exc).strip().splitlines() or ["no reason given"])[0]
    return first.rpartition("failed: ")[2]


def _apply(connection: psycopg.Connection[Any]) -> Iterator[str]:
    done = _done(connection)
    for step in _steps(done):
        if step.name in done:
            continue
        with connection.transaction():
            connection.execute(step.sql.encode())
            connection.execute("INSERT INTO migrations (name) VALUES (%s)", [step.name])
        yield step.name
    connection.execute(STATEMENTS["keep_hash_key"], {"hash_key": secrets.token_bytes(32)})


def _done(connection: psycopg.Connection[Any]) -> set[str]:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute("SELECT name FROM migrations"))


def _steps(done: set[str]) -> Iterator[Migration]:
    yield from _queue_steps(fresh=not any(name.startswith("procrastinate/") for name in done))
    own = resources.files("adapter.store") / "migrations"
    for file in sorted(own.iterdir(), key=lambda file: file.name):
        yield Migration(file.name, file.read_text())


def _queue_steps(*, fresh: bool) -> Iterator[Migration]:
    """Procrastinate's files; on a fresh database its schema stands for all of them."""
    folder = Path(SchemaManager.get_migrations_path())
    files = sorted(folder.glob("*.sql"), key=lambda file: file.name)
    for number, file in enumerate(files):
        if not fresh:
            sql = file.read_text()
        else:
            sql = SchemaManager.get_schema() if number == 0 else "SELECT 1"
        yield Migration(f"procrastinate/{file.name}", sql)
