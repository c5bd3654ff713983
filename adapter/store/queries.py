"""Load named SQL statements from the .sql files, and run them by name."""

from importlib import resources
from typing import Any

import psycopg

from adapter.store.connection import Connection

_SQL = resources.files("adapter.store") / "sql"


def _statements(text: str) -> dict[str, bytes]:
    """Parse an .sql file into named statements. The driver requires literal SQL as bytes."""
    blocks = text.split("-- name: ")[1:]
    named = (block.split("\n", 1) for block in blocks)
    return {name.strip(): sql.strip().encode() for name, sql in named}


_ALL = {
    name: sql
    for file in _SQL.iterdir()
    if file.name.endswith(".sql")
    for name, sql in _statements(file.read_text()).items()
}

#: All statements by name. ``-- name:`` starts a statement, and the next line describes it.
STATEMENTS = {
    name: sql.replace(b"SENDABLE", b"(%s)" % _ALL["sendable"]) for name, sql in _ALL.items()
}


class Statements:
    """Runs named SQL statements on one connection. Base class of all query classes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def _run(self, name: str, /, **values: Any) -> psycopg.Cursor[dict[str, Any]]:
        return self.connection.execute(STATEMENTS[name], values)

    def _one(self, name: str, /, **values: Any) -> dict[str, Any] | None:
        return self._run(name, **values).fetchone()

    def _all(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        return self._run(name, **values).fetchall()

    def _has(self, name: str, /, **values: Any) -> bool:
        """Return True if a statement returns a row."""
        return self._one(name, **values) is not None

    def _value(self, name: str, /, **values: Any) -> Any | None:
        """Return the first column of a statement's first row, or None if there is no row."""
        row = self._one(name, **values)
        return next(iter(row.values())) if row else None

    def _values(self, name: str, /, **values: Any) -> list[Any]:
        """Return the first column of a statement's rows."""
        return [next(iter(row.values())) for row in self._all(name, **values)]

    def _all_unprepared(self, name: str, /, **values: Any) -> list[dict[str, Any]]:
        """Return a statement's rows without preparing it, so that its plan fits the parameters."""
        return self.connection.execute(STATEMENTS[name], values, prepare=False).fetchall()
