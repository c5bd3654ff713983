"""Store statistics about the format of each source's webhooks, and detected format changes."""

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg.types.json import Jsonb

from adapter.exceptions import KeyMissing
from adapter.models import Event, FormatChange, FormatKind
from adapter.store.queries import Statements
from adapter.store.rows import Row, event_from_row

#: Maximum number of a source's latest events to search for readable ones.
MOST_LOOKED_AT: Final = 500


class Formats(Statements):
    """Reads and writes statistics about webhook formats within a transaction."""

    def next_events(self, limit: int) -> list[Event] | None:
        """Return the next events to count, and mark them as counted.

        Return None if there are none. Events without a readable payload are left out. No other
        process counts until the transaction ends.
        """
        progress = self._one("lock_format_progress")
        if progress is None:
            return None
        rows = self._all("events_to_count", position=progress["position"], limit=limit)
        if not rows:
            return None
        self._run("move_format_progress", position=rows[-1]["id"])
        return self._readable(row for row in rows if row["kept"] == "all")

    def counted_events(self, source: str, limit: int) -> list[Event] | None:
        """Return a source's latest counted events that are readable, oldest first.

        Return None if another process counts. No other process counts until the transaction ends.
        """
        progress = self._one("lock_format_progress")
        if progress is None:
            return None
        rows = self._all(
            "recent_events",
            source=source,
            before=progress["position"] + 1,
            limit=limit,
            looked_at=MOST_LOOKED_AT,
        )
        return self._readable(reversed(rows))

    def events_since(self, source: str, first_id: int, *, limit: int) -> list[Event]:
        """Return a source's readable events from ``first_id`` on, oldest first."""
        rows = self._all("events_since", source=source, first_id=first_id, limit=limit)
        return self._readable(rows)

    def _readable(self, rows: Iterable[Row]) -> list[Event]:
        events = []
        for row in rows:
            try:
                events.append(event_from_row(self.connection.cipher.opened(row)))
            except KeyMissing:
                continue
        return events

    def counts(self, sources: Sequence[str]) -> tuple[list[Row], list[Row]]:
        """Return the stored counts of each source's webhooks and of the features found in them."""
        return (
            self._all("format_counts", sources=list(sources)),
            self._all("format_features", sources=list(sources)),
        )

    def save(
        self,
        source: str,
        *,
        events: int,
        accepted: int,
        mapping_hash: str,
        features: Sequence[Row],
        forgotten: Sequence[Row],
    ) -> None:
        """Store a source's counts and changed features. Delete the features in ``forgotten``."""
        self._run(
            "save_format_counts",
            source=source,
            events=events,
            accepted=accepted,
            mapping_hash=mapping_hash,
        )
        if forgotten:
            self._run("delete_format_features", source=source, features=Jsonb(list(forgotten)))
        if features:
            self._run("save_format_features", source=source, features=Jsonb(list(features)))

    def replace_changes(self, source: str, changes: Sequence[Row]) -> None:
        """Replace the stored format changes of a source."""
        self._run("delete_format_changes", source=source)
        if changes:
            self._run("save_format_changes", source=source, changes=Jsonb(list(changes)))

    def changes(self, sources: Iterable[str]) -> tuple[FormatChange, ...]:
        """Return the stored format changes of the given sources."""
        rows = self._all("all_format_changes", sources=list(sources))
        return tuple(FormatChange(**row | {"kind": FormatKind(row["kind"])}) for row in rows)
