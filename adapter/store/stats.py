"""Numbers about the last day: what came, what became of it, how fast, and how much of the rate."""

import dataclasses
import datetime as dt
from collections.abc import Iterable

from adapter.store.queries import Statements
from adapter.store.rows import Row

#: So many bookings are timed.
MOST_TIMED = 2_000
#: So many bookings that wait to be sent are counted.
MOST_PENDING = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """Whether calls to Propexo pass, and how many do."""

    #: Why nothing is sent until somebody mends it (``not_authorised``); None: it is not stopped.
    stopped_for: str | None
    #: Nothing is called before then.
    paused_until: dt.datetime
    #: Calls a minute that Propexo last said it allows; None: it never said.
    allowed: int | None
    #: Calls of the last 60 seconds.
    calls: int
    #: Bookings that wait to be sent, at most :data:`MOST_PENDING`.
    pending: int


class Stats(Statements):
    """Numbers, over one connection and within its transaction."""

    def outcomes(self, since: dt.datetime) -> list[Row]:
        """``kind``, ``source``, ``hour``, ``state`` and how many ``leads``, since then."""
        return self._all("outcomes", since=since)

    def arrivals(self, since: dt.datetime) -> dict[str, int]:
        """How many events of each source came since then."""
        return {row["source"]: row["events"] for row in self._all("arrivals", since=since)}

    def last_arrivals(self, sources: Iterable[str]) -> dict[str, dt.datetime]:
        """When each of these sources sent its last event."""
        rows = self._all("last_arrivals", sources=list(sources))
        return {row["source"]: row["last_at"] for row in rows}

    def usual(self, since: dt.datetime, until: dt.datetime) -> dict[str, float]:
        """Events of each source in these hours of a week, on average of the weeks that are known.

        At most the four weeks before; empty where not one whole week is known.
        """
        first = self._one("first_hour")
        if first is None or first["hour"] is None:
            return {}
        weeks = min(4, (since - first["hour"]) // dt.timedelta(days=7))
        if weeks < 1:
            return {}
        rows = self._all("usual", since=since, until=until)
        return {row["source"]: row["events"] / weeks for row in rows}

    def booked_within(self, since: dt.datetime) -> list[Row]:
        """``source``, ``booked``, ``p50`` and ``p95``: seconds from a webhook to its tour.

        Of the newest :data:`MOST_TIMED` that were booked since then.
        """
        return self._all("booked_within", since=since, limit=MOST_TIMED)

    def sending(self, now: dt.datetime) -> Sending:
        """How sending stands; never waits for the gate."""
        gate = self._one("rate_limit_state")
        calls = self._one("calls_since", since=now - dt.timedelta(seconds=60))
        pending = self._one("pending_count", limit=MOST_PENDING)
        if gate is None or calls is None or pending is None:
            raise LookupError("the gate has no row; run adapter migrate")
        return Sending(**gate, calls=calls["calls"], pending=pending["bookings"])

    def count_hours(self, now: dt.datetime) -> None:
        """Counts the events of the hours that are over, once each."""
        self._run("count_hours", until=now.replace(minute=0, second=0, microsecond=0))
