"""Read facts about the PostgreSQL server for ``adapter doctor``."""

import dataclasses
import datetime as dt

import psycopg
from psycopg.rows import dict_row

from adapter.store.connection import OPTIONS, is_pooled, unreachable
from adapter.store.migrate import SchemaState, schema_state
from adapter.store.queries import STATEMENTS

#: Timeout of the login and of each statement, in seconds.
SECONDS = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ServerFacts:
    """The PostgreSQL server and database, as the adapter's role sees them."""

    version: int
    role: str
    database: str
    #: The schema where the role would create tables, and True if it may do so.
    schema: str
    can_create: bool
    is_read_only: bool
    is_pooled: bool
    #: The server's clock.
    now: dt.datetime
    #: Tables and sequences that the role has no privileges for.
    forbidden: tuple[str, ...]
    #: Maximum number of connections that the role may open.
    most_connections: int
    size_bytes: int
    schema_state: SchemaState


def server_facts(url: str) -> ServerFacts:
    """Connect and return facts about the server. Raise StoreUnavailable on failure."""
    limits = {"connect_timeout": SECONDS, "tcp_user_timeout": SECONDS * 1000}
    options = {**OPTIONS, **limits, "row_factory": dict_row, "prepare_threshold": None}
    try:
        with psycopg.connect(url, **options) as connection:
            return _read(connection)
    except psycopg.Error as exc:
        raise unreachable(url, exc) from exc


def _read(connection: "psycopg.Connection[dict[str, object]]") -> ServerFacts:
    facts = connection.execute(STATEMENTS["server_facts"]).fetchone()
    forbidden = connection.execute(STATEMENTS["forbidden"]).fetchone()
    return ServerFacts(
        **facts,  # type: ignore[arg-type] # the statement returns these columns
        forbidden=tuple(forbidden["names"] if forbidden else ()),  # type: ignore[arg-type]
        version=connection.info.server_version,
        is_pooled=is_pooled(connection),
        schema_state=schema_state(connection),
    )
