"""Search and list bookings and events in pages, newest first."""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adapter.models import Booking, Event
from adapter.store.queries import Statements
from adapter.store.rows import Row, booking_from_row, event_from_row, id_from_text, storable

#: Maximum number of bookings to find by an email address or phone number.
MOST_FOUND = 1000
#: IDs are assigned almost in order of time. An ID may be out of order by this much, and a time
#: range may miss this many late inserts at each end.
NUMBER_SLACK = 1000
#: How many of a source's newest events to search for those that still have a payload.
MOST_LOOKED_AT = 5000
#: The largest possible ID.
LARGEST_NUMBER = 2**63 - 1

_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Criteria for a list of leads. An empty criterion matches all leads."""

    states: Sequence[str] = ()
    source: str | None = None
    #: The community's key in ``communities.yaml``.
    community: str | None = None
    #: Leads received at or after ``since`` and before ``until``.
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    #: An email address, a name (or the beginning of either), a phone number or at least its last
    #: four digits, a booking or event ID, or Propexo's job ID.
    text: str = ""


#: Numbers of bookings by state, source and community.
LeadCounts = Mapping[tuple[str, str, str], int]


class UnbookedEvents(NamedTuple):
    """A page of results of a full-text search in events that need review or have no bookings."""

    #: The IDs of events that match or are encrypted, newest first.
    ids: tuple[int, ...]
    searched: int
    #: The ID of the page's oldest event, or None if the page is empty.
    last_id: int | None


class Search(Statements):
    """Reads lists of bookings and events within a transaction."""

    def bookings(
        self, which: Filter = Filter(), *, before: int | None = None, limit: int = 100
    ) -> list[Booking]:
        """Return matching bookings with IDs below ``before``, newest first."""
        text = storable(which.text).strip()
        ids = self._ids_of(text) if which.text.strip() else None
        words = None if ids else _words(text)
        rows = self._all_unprepared(
            "search_bookings",
            **self._bounds("booking_id_range", which),
            community=which.community,
            ids=None if words else ids,
            words=words or None,
            before=before,
            limit=limit,
        )
        return [booking_from_row(row) for row in rows]

    def counts(self, which: Filter, *, limit: int) -> LeadCounts:
        """Count the newest bookings in a time range, by state, source and community.

        The filter's other criteria are ignored.
        """
        bounds = self._bounds("booking_id_range", which)
        names = ("since", "until", "first_id", "last_id")
        rows = self._all("count_newest_bookings", **{n: bounds[n] for n in names}, limit=limit)
        return {(row["state"], row["source"], row["community"]): row["leads"] for row in rows}

    def events(
        self,
        which: Filter = Filter(),
        *,
        ids: Sequence[int] | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Event]:
        """Return matching events, newest first. Ignore the filter's text and community."""
        bounds = self._bounds("event_id_range", which)
        bounds["ids"] = None if ids is None else list(ids)
        rows = self._all_unprepared("search_events", **bounds, before=before, limit=limit)
        return [event_from_row(row) for row in rows]

    def unbooked_events(
        self, pattern: str, which: Filter, *, before: int = LARGEST_NUMBER, limit: int
    ) -> UnbookedEvents:
        """Search for a pattern in a page of events that need review or have no bookings.

        ``pattern`` is a regular expression.
        """
        bounds = self._bounds("event_id_range", which)
        row = self._one(
            "match_unbooked_events",
            pattern=pattern,
            since=which.since or _EARLIEST,
            until=which.until or _LATEST,
            first_id=bounds["first_id"],
            before=min(before, bounds["last_id"]),
            limit=limit,
        )
        assert row is not None  # noqa: S101 - an aggregate always gives a row
        return UnbookedEvents(
            ids=tuple(row["ids"] or ()), searched=row["searched"], last_id=row["last_id"]
        )

    def recent_events(
        self, source: str, *, limit: int, before: int = LARGEST_NUMBER
    ) -> list[Event]:
        """Return a source's newest events with IDs below ``before`` that still have payloads."""
        rows = self._all(
            "recent_events", source=source, before=before, limit=limit, looked_at=MOST_LOOKED_AT
        )
        return [event_from_row(self.connection.cipher.opened(row)) for row in rows]

    def lead_totals(self, which: Filter) -> list[Row]:
        """Return lead counts by source and community, in total and by state.

        A lead counts when its webhook was received. Ignored webhooks are not counted.
        """
        return self._all(
            "lead_totals",
            since=which.since or _EARLIEST,
            until=which.until or _LATEST,
            source=which.source,
            community=which.community,
        )

    def _bounds(self, name: str, which: Filter) -> dict[str, Any]:
        """Return the SQL parameters for a filter, with the first and last ID of its time range."""
        first, last = 0, LARGEST_NUMBER
        if which.since or which.until:
            since, until = which.since or _EARLIEST, which.until or _LATEST
            row = self._one(name, since=since, until=until, limit=NUMBER_SLACK) or {}
            first = (row["first_id"] or LARGEST_NUMBER) - NUMBER_SLACK
            last = (row["last_id"] or 0) + NUMBER_SLACK
        return {
            "states": list(which.states) or None,
            "source": which.source,
            "since": which.since,
            "until": which.until,
            "first_id": first,
            "last_id": min(last, LARGEST_NUMBER),
        }

    def _ids_of(self, text: str) -> list[int]:
        """Return the IDs of bookings found by booking ID, job ID, email address or phone number."""
        rows = self._all("find_by_id", number=id_from_text(text.removeprefix("#")), text=text)
        if "@" in text:
            rows += self._all("find_by_email", text=_prefix(text.lower()), limit=MOST_FOUND)
        elif digits := _phone(text):
            rows += self._all("find_by_phone", text=digits[::-1] + "%", limit=MOST_FOUND)
        return [row["id"] for row in rows]


def _words(text: str) -> str:
    """Return a tsquery that matches the beginnings of a name's words, or "" if it is not a name."""
    if "@" in text or not any(character.isalpha() for character in text):
        return ""
    return " & ".join(f"'{word}':*" for word in re.findall(r"\w+", text)[:10])


def _phone(text: str) -> str:
    """Return the digits of a string that looks like a phone number, or ""."""
    if not re.fullmatch(r"\+?[\d\s().-]{4,30}", text, re.ASCII):
        return ""
    digits = re.sub(r"\D", "", text, flags=re.ASCII)
    return digits if len(digits) >= 4 else ""


def _prefix(text: str) -> str:
    """Return an SQL LIKE pattern that matches strings beginning with the given text."""
    return re.sub(r"([\\%_])", r"\\\1", text) + "%"
