"""Read a source's leads, to compare them with a portal's list."""

import datetime as dt
from collections.abc import Iterator, Sequence

from adapter.exceptions import KeyMissing
from adapter.models import Event, EventState
from adapter.store.queries import Statements
from adapter.store.rows import Row, event_from_row
from adapter.store.search import NUMBER_SLACK

#: Number of bookings, and of webhooks with their bodies, to read at a time.
PAGE = 5000
MESSAGES_PAGE = 100


class PortalLeads(Statements):
    """Reads a source's leads in pages."""

    def first_message_at(self, source: str) -> dt.datetime | None:
        """Return the time of a source's first webhook, or None if there is none."""
        return self._value("first_message_at", source=source)

    def id_before(self, since: dt.datetime) -> int:
        """Return an ID below the ID of every lead received after ``since``."""
        return int(self._value("id_before", since=since, slack=NUMBER_SLACK) or 0)

    def page(self, source: str, since: dt.datetime, until: dt.datetime, *, after: int) -> list[Row]:
        """Return a page of a source's leads from a period, ordered by ID."""
        period = {"since": since, "until": until}
        values = {"source": source, "after": after, "limit": PAGE}
        return self._all_unprepared("leads_to_compare", **period, **values)

    def messages(
        self, source: str, state: EventState, since: dt.datetime, until: dt.datetime, *, after: int
    ) -> Iterator[tuple[int, dt.datetime, Event | None]]:
        """Yield the ID, time and event of each unbooked webhook in a period, ordered by ID.

        The event is None if it was erased or is encrypted with a key that is not set.
        """
        is_new = state is EventState.RECEIVED
        rows = self._all_unprepared(
            "new_messages_to_compare" if is_new else "messages_to_compare",
            **({} if is_new else {"state": str(state)}),
            source=source,
            since=since,
            until=until,
            after=after,
            limit=MESSAGES_PAGE,
        )
        for row in rows:
            yield row["id"], row["received_at"], self._opened(row)

    def _opened(self, row: Row) -> Event | None:
        if row["kept"] != "all":
            return None
        try:
            return event_from_row(self.connection.cipher.opened(row))
        except KeyMissing:
            return None

    def from_others(self, source: str, emails: Sequence[str], phones: Sequence[str]) -> list[Row]:
        """Return other sources' leads with one of the given emails or phone numbers."""
        return self._all_unprepared(
            "leads_from_others",
            source=source,
            emails=list(emails),
            reversed=[phone[::-1] for phone in phones],
            limit=PAGE,
        )

    def states(self, ids: Sequence[int]) -> list[Row]:
        """Return each lead's state and, if another lead caused it, that lead's ID."""
        return self._all("states_of_leads", ids=list(ids))
