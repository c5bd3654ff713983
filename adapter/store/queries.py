"""The statements of the .sql files, by name, and how they are run."""

import contextlib
from importlib import resources
from typing import Any

import psycopg

_SQL = resources.files("adapter.store") / "sql"


def _statements(text: str) -> dict[str, bytes]:
    """``{name: SQL}``, as bytes: the driver takes these for trusted."""
    blocks = text.split("-- name: ")[1:]
    named = (block.split("\n", 1) for block in blocks)
    return {name.strip(): sql.strip().encode() for name, sql in named}


#: ``queries.sql`` is the program's way, ``looks.sql`` what people look at.
STATEMENTS = {
    name: sql
    for file in ("queries.sql", "looks.sql")
    for name, sql in _statements((_SQL / file).read_text()).items()
}


class Statements:
    """Runs statements by name, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def savepoint(self) -> contextlib.AbstractContextManager[Any]:
        """A part of the transaction that may fail alone."""
        return self.connection.transaction()

    def _execute(self, name: str, /, **values: Any) -> psycopg.Cursor[dict[str, Any]]:
        return self.connection.execute(STATEMENTS[name], values)

    def _run(self, name: str, /, **values: Any) -> None:
        self._execute(name, **values)

    def _all_unprepared(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        """As :meth:`_all`, but planned for these very values: most filters are empty."""
        return self.connection.execute(STATEMENTS[name], values, prepare=False).fetchall()

    def _one(self, name: str, /, **values: Any) -> dict[str, Any] | None:
        return self._execute(name, **values).fetchone()

    def _all(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        return self._execute(name, **values).fetchall()
