"""Requests that did not prove themselves: kept apart from events, and bounded for each source."""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from adapter.store.queries import STATEMENTS
from adapter.store.rows import Row, storable

#: Adding a rejection is given up after so long: the database has better things to do.
PATIENCE_MILLISECONDS = 2000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NewRejection:
    """A refused request as it is to be kept: without credentials."""

    source: str
    received_at: dt.datetime
    #: One of :data:`adapter.signatures.REASONS`.
    reason: str
    method: str
    url: str
    #: Names in lower case.
    headers: Mapping[str, str]
    #: None: not kept.
    body: bytes | None
    #: Keyed hash of the sender's address; None: the address is not known.
    sender: str | None
    #: Whether it can be verified again.
    can_retry: bool

    @property
    def size(self) -> int:
        """The bytes it takes, near enough."""
        return len(self.body or b"") + len(self.url) + len(json.dumps(dict(self.headers)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Rejection(NewRejection):
    """A refused request that is kept."""

    id: int


class Rejections:
    """The rows, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def add(self, new: NewRejection, *, max_rows: int, max_bytes: int) -> None:
        """Keeps one more, and removes the oldest of its source beyond these bounds."""
        self._run("set_statement_timeout", limit=f"{PATIENCE_MILLISECONDS}ms")
        self._run("lock_rejections", source=new.source)
        self._run(
            "insert_rejection",
            source=new.source,
            received_at=new.received_at,
            reason=new.reason,
            method=storable(new.method),
            url=storable(new.url),
            headers=Jsonb({storable(name): storable(text) for name, text in new.headers.items()}),
            body=new.body,
            bytes=new.size,
            sender=new.sender,
            can_retry=new.can_retry,
        )
        self._run("trim_rejections", source=new.source, rows=max_rows, bytes=max_bytes)

    def newest(self, *, source: str | None = None, limit: int = 100) -> list[Rejection]:
        """Rejections, newest first."""
        rows = self._all("rejections", source=source, limit=limit)
        return [_rejection_from_row(row) for row in rows]

    def of_source(self, source: str) -> list[Rejection]:
        """All rejections of one source, oldest first: the bound keeps them few."""
        return [
            _rejection_from_row(row) for row in self._all("rejections_of_source", source=source)
        ]

    def one(self, rejection_id: int) -> Rejection | None:
        """One rejection."""
        rows = self._all("rejection", id=rejection_id)
        return _rejection_from_row(rows[0]) if rows else None

    def remove(self, rejection_id: int) -> None:
        """Removes one that was let in."""
        self._run("remove_rejection", id=rejection_id)

    def counts(self) -> dict[str, int]:
        """How many are kept of each source."""
        return {row["source"]: row["rejections"] for row in self._all("rejection_counts")}

    def _run(self, name: str, **values: Any) -> None:
        self._connection.execute(STATEMENTS[name], values)

    def _all(self, name: str, **values: Any) -> list[Row]:
        return self._connection.execute(STATEMENTS[name], values).fetchall()


def _rejection_from_row(row: Row) -> Rejection:
    return Rejection(**{name: value for name, value in row.items() if name != "bytes"})
