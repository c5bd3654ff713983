"""Create databases for tests or modules, and empty them between tests.

Deleting the rows takes a tenth of the time of creating a database.
"""

import contextlib
import itertools
from collections.abc import Iterator

import psycopg

from adapter.store.embedded import EmbeddedServer

_numbers = itertools.count(1)
_schemas: dict[str, object] = {}

DISCONNECT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

#: Deletes all rows except those inserted by migrations, and restarts sequences. Without triggers
#: and foreign keys, the order does not matter.
DELETE_ROWS = """
DO $$
DECLARE name text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('installation', 'migrations')
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
    FOR name IN SELECT sequencename FROM pg_sequences
    LOOP PERFORM setval(name, 1, false); END LOOP;
    INSERT INTO rate_limit DEFAULT VALUES;
    INSERT INTO status_webhook_progress DEFAULT VALUES;
    INSERT INTO metric_progress (position) VALUES (0);
    INSERT INTO format_progress (position) VALUES (0);
END $$
"""


#: The number of tables, columns, indexes and triggers, to detect schema changes.
SCHEMA = """
SELECT (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_trigger)
"""


def delete_rows(url: str) -> None:
    """Disconnect every other client, delete all rows and restart all sequences.

    Raise AssertionError if the schema has changed since the first call for ``url``.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DISCONNECT)
        connection.execute(DELETE_ROWS)
        schema = connection.execute(SCHEMA).fetchone()
    assert schema == _schemas.setdefault(url, schema), "use fresh_database to change the schema"


def database_url(server: EmbeddedServer, database: str) -> str:
    return server.url.replace("/postgres?", f"/{database}?")


def run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@contextlib.contextmanager
def temporary_database(server: EmbeddedServer, statement: str = "") -> Iterator[str]:
    """Create a database, yield its URL, and delete it at the end of the block."""
    name = f"test_{next(_numbers)}"
    run_sql(server.url, f"CREATE DATABASE {name} {statement}")
    yield database_url(server, name)
    run_sql(server.url, f"DROP DATABASE {name} WITH (FORCE)")


def set_durable(server: EmbeddedServer, *, is_durable: bool) -> None:
    """Set whether a server waits for the disk on each commit."""
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        run_sql(server.url, f"ALTER SYSTEM SET {setting} = {'on' if is_durable else 'off'}")
    run_sql(server.url, "SELECT pg_reload_conf()")


def listeners(database: str, channel: str = "settled") -> list[int]:
    """Return the server process IDs of connections that are listening on a channel."""
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%LISTEN ' || %s"
            " AND datname = current_database()",
            [channel],
        )
        return [row[0] for row in rows]
