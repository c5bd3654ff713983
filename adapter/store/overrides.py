"""Store changes that users make to mappings and communities in the console."""

import datetime as dt
from collections.abc import Sequence

from psycopg.types.json import Jsonb

from adapter.models import AddedCommunity, Alias, Booking, MappingVersion, Overrides
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row

#: Maximum number of a source's versions to list.
MOST_VERSIONS = 100


class OverridesTable(Statements):
    """Reads and writes aliases, communities and mapping versions within a transaction."""

    def changes(self) -> int:
        """Return the number of changes that users have made so far."""
        return self._value("changes_in_place") or 0

    def lock_changes(self) -> int:
        """Lock the changes until the transaction ends, and return the number of changes so far."""
        return self._value("lock_changes_in_place") or 0

    def all(self) -> Overrides:
        """Return all of the users' changes that are in effect."""
        return Overrides(
            changes=self.changes(),
            aliases=tuple(Alias(**row) for row in self._all("list_aliases")),
            communities=tuple(AddedCommunity(**row) for row in self._all("list_added_communities")),
            versions={one.source: one for one in self.newest_versions()},
        )

    def newest_versions(self) -> list[MappingVersion]:
        """Return the newest version of each mapping that was changed in the console."""
        return [MappingVersion(**row) for row in self._all("newest_versions")]

    def add_alias(self, alias: Alias) -> bool:
        """Add an alias. Return False if the source already has one with this name."""
        self._run("count_change_in_place")
        values = {name: getattr(alias, name) for name in Alias.__slots__}
        return self._has("add_alias", **values)

    def remove_alias(self, source: str, key: str) -> Alias | None:
        """Remove an alias. Return the alias, or None if it does not exist."""
        self._run("count_change_in_place")
        row = self._one("remove_alias", source=source, key=key)
        return Alias(**row) if row else None

    def add_community(self, community: AddedCommunity) -> bool:
        """Add a community. Return False if its key is already taken."""
        self._run("count_change_in_place")
        names = ("key", "name", "integration_id", "community_id", "timezone", "by", "at")
        values = {name: getattr(community, name) for name in names}
        return self._has("add_community", **values)

    def change_community(self, changed: AddedCommunity) -> bool:
        """Save a community's hours and options. Return False unless a user added the community."""
        self._run("count_change_in_place")
        return self._has(
            "change_community",
            key=changed.key,
            tour_hours=Jsonb(dict(changed.tour_hours)),
            check_availability=changed.check_availability,
            pms=changed.pms,
        )

    def versions(self, source: str) -> list[MappingVersion]:
        """Return the saved versions of a source's mapping, newest first."""
        rows = self._all("versions_of", source=source, limit=MOST_VERSIONS)
        return [MappingVersion(**row) for row in rows]

    def add_version(
        self,
        source: str,
        text: str | None,
        *,
        file_hash: str,
        reason: str,
        by: str,
        at: dt.datetime,
    ) -> MappingVersion:
        """Save a new version of a source's mapping. If ``text`` is None, go back to the file."""
        self._run("count_change_in_place")
        values = {"source": source, "text": text, "file_hash": file_hash}
        row = self._one("add_version", **values, reason=reason, by=by, at=at)
        assert row is not None  # noqa: S101 - an aggregate always gives a row
        return MappingVersion(**row)

    def bookings_since(
        self, alias: Alias, states: Sequence[str], *, before: int | None, limit: int
    ) -> list[Booking]:
        """Return a source's bookings at an alias's community since the time the alias was added.

        The newest comes first. If ``before`` is given, return only bookings with lower IDs.
        """
        where = {"source": alias.source, "community": alias.community, "since": alias.at}
        rows = self._all("bookings_at_alias", **where, states=states, before=before, limit=limit)
        return [booking_from_row(row) for row in rows]

    def first_events(self, alias: Alias, *, limit: int) -> list[int]:
        """Return the event IDs of a source's first bookings at a community since it got an alias.

        Users usually book the leads that contain the alias at once.
        """
        where = {"source": alias.source, "community": alias.community, "since": alias.at}
        return self._values("events_at_alias", **where, limit=limit)

    def events_waiting(self, source: str, value: str, *, limit: int) -> list[int]:
        """Return the IDs of events whose leads are held because of an unknown community.

        ``value`` is the community's name, shortened as in the leads' reasons. The oldest event
        comes first.
        """
        return self._values("events_waiting", source=source, value=value, limit=limit)
