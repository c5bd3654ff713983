"""Lists of bookings and events, newest first, page by page. A page costs the same at any length."""

import dataclasses
import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from adapter.models import Booking, Event
from adapter.store.queries import Statements
from adapter.store.rows import Row, booking_from_row, event_from_row, storable

#: So many bookings that an e-mail address or a phone number names are looked at.
MOST_FOUND = 1000
#: Numbers are given nearly in the order of time: this much out of order is allowed for, and so
#: many that were let in late at each end.
NUMBER_SLACK = 1000
#: So many of a source's newest events are looked at for those whose payload is still kept.
MOST_LOOKED_AT = 5000
#: The largest number that a row can have.
LARGEST_NUMBER = 2**63 - 1

_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LATEST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which leads a list shows. What is empty or None does not matter."""

    states: Sequence[str] = ()
    source: str | None = None
    #: The community's key.
    community: str | None = None
    #: From this instant on, and before that one: when the lead came.
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    #: The beginning of an e-mail address or of words of a name, a phone number or its last digits
    #: (four at least), our number of a booking or an event, or Propexo's job id.
    text: str = ""


class Search(Statements):
    """Lists, over one connection and within its transaction."""

    def bookings(
        self, which: Filter = Filter(), *, before: int | None = None, limit: int = 100
    ) -> list[Booking]:
        """Bookings, newest first; the next page has those ``before`` the last one's id."""
        text = storable(which.text).strip()
        ids = self._ids_of(text) if which.text.strip() else None
        words = None if ids else _words(text)
        rows = self._all_unprepared(
            "bookings",
            **self._bounds("booking_ids_at", which),
            community=which.community,
            ids=None if words else ids,
            words=words or None,
            before=before,
            limit=limit,
        )
        return [booking_from_row(row) for row in rows]

    def events(
        self, which: Filter = Filter(), *, before: int | None = None, limit: int = 100
    ) -> list[Event]:
        """Events, newest first; a text and a community are not looked for in them."""
        bounds = self._bounds("event_ids_at", which)
        rows = self._all_unprepared("events", **bounds, before=before, limit=limit)
        return [event_from_row(row) for row in rows]

    def recent_events(
        self, source: str, *, limit: int, before: int = LARGEST_NUMBER
    ) -> list[Event]:
        """The newest events of a source whose payload is still kept, ``before`` a number."""
        rows = self._all(
            "recent_events", source=source, before=before, limit=limit, looked_at=MOST_LOOKED_AT
        )
        return [event_from_row(row) for row in rows]

    def leads_of_period(self, which: Filter) -> list[Row]:
        """``source``, ``community``, ``state`` and how many ``leads`` came in the time."""
        return self._all(
            "leads_of_period",
            since=which.since or _EARLIEST,
            until=which.until or _LATEST,
            source=which.source,
            community=which.community,
        )

    def _bounds(self, name: str, which: Filter) -> dict[str, Any]:
        """The filter's values, with the numbers between which its time lies."""
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
        """Numbers of the bookings that a number, an address, a phone number or a job names."""
        found = self._all("ids_of_number", number=_number(text), text=text)
        if "@" in text:
            found += self._all("ids_of_email", text=_beginning(text.lower()), limit=MOST_FOUND)
        elif digits := _phone(text):
            found += self._all("ids_of_phone", text=digits[::-1] + "%", limit=MOST_FOUND)
        return [row["id"] for row in found]


def _words(text: str) -> str:
    """What PostgreSQL looks for in names: each word's beginning. Empty where it is no name."""
    if "@" in text or not any(character.isalpha() for character in text):
        return ""
    return " & ".join(f"'{word}':*" for word in re.findall(r"\w+", text)[:10])


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _phone(text: str) -> str:
    """The digits of what looks like a phone number; empty where it does not."""
    if not re.fullmatch(r"\+?[\d\s().-]{4,30}", text, re.ASCII):
        return ""
    digits = re.sub(r"\D", "", text, flags=re.ASCII)
    return digits if len(digits) >= 4 else ""


def _beginning(text: str) -> str:
    """A LIKE pattern for what begins so."""
    return re.sub(r"([\\%_])", r"\\\1", text) + "%"
