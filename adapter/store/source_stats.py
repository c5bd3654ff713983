"""What is known of each sender: which of its secrets are in use, and how many events it sent."""

import collections
import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import psycopg

from adapter.store.queries import STATEMENTS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """The events of one source."""

    #: How many, by state.
    events: Mapping[str, int]
    last_event_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UnknownCommunity:
    """What a source calls a place that no community is known by, and who waits because of it."""

    source: str
    #: As JSON text, shortened; None: the webhook names none, or what it named is erased.
    value: str | None
    #: Where the mapping looked.
    path: str | None
    #: Leads that wait for a person because of it.
    waiting: int
    last_at: dt.datetime


class SourceStats:
    """The rows, over one connection and within its transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def note_use(self, *, source: str, name: str, at: dt.datetime) -> None:
        """Notes that the secret in the environment variable ``name`` verified a request."""
        values = {"source": source, "name": name, "at": at}
        self._connection.execute(STATEMENTS["note_secret_use"], values)

    def uses(self) -> dict[tuple[str, str], dt.datetime]:
        """When each secret last verified a request, by source and variable."""
        rows = self._connection.execute(STATEMENTS["secret_uses"]).fetchall()
        return {(row["source"], row["name"]): row["used_at"] for row in rows}

    def unknown_communities(self) -> list[UnknownCommunity]:
        """The routing report: what leads wait for because no community is known by it.

        Read from the leads that wait, by an index of their own: it gets shorter as they are mended.
        """
        rows = self._connection.execute(STATEMENTS["unknown_communities"]).fetchall()
        return [UnknownCommunity(**row) for row in rows]

    def traffic(self) -> dict[str, Traffic]:
        """The events of each source that ever sent one."""
        by_source = collections.defaultdict(list)
        for row in self._connection.execute(STATEMENTS["event_counts"]).fetchall():
            by_source[row["source"]].append(row)
        return {
            source: Traffic(
                events={row["state"]: row["events"] for row in rows},
                last_event_at=max(row["last_at"] for row in rows),
            )
            for source, rows in by_source.items()
        }
