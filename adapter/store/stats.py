"""Statistics about sources, sending and the last day."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping

from adapter.store.queries import Statements
from adapter.store.rows import Row

#: Bookings whose latency is measured.
MOST_TIMED = 2_000
#: Pending bookings that are counted.
MOST_PENDING = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """Whether calls to Propexo are allowed, and how many were made."""

    #: Why sending is suspended until a person fixes it (``not_authorized``); None: it is not.
    stopped_for: str | None
    #: No call is made before then.
    paused_until: dt.datetime
    #: Calls per minute that Propexo last reported as allowed; None: it never did.
    allowed: int | None
    #: Calls of the last 60 seconds.
    calls: int
    #: Pending bookings, at most :data:`MOST_PENDING`.
    pending: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """One source's events."""

    #: How many, by state.
    events: Mapping[str, int]
    last_event_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UnknownCommunity:
    """A source's name for a community that is not known, and the leads held because of it."""

    source: str
    #: As JSON text, shortened; None: the webhook names none, or the name was erased.
    value: str | None
    #: Where the mapping looked.
    path: str | None
    #: Leads held because of it.
    waiting: int
    last_at: dt.datetime


class Stats(Statements):
    """The statistics, within one transaction."""

    def outcomes(self, since: dt.datetime) -> list[Row]:
        """Return ``kind``, ``source``, ``hour``, ``state`` and the number of ``leads``."""
        return self._all("outcomes", since=since)

    def source_activity(
        self, sources: Iterable[str], since: dt.datetime, until: dt.datetime
    ) -> list[Row]:
        """Return each source's last and usual events, and how long its bookings took.

        The latter are the newest :data:`MOST_TIMED` that were booked in this period.
        """
        return self._all(
            "source_activity", sources=list(sources), since=since, until=until, limit=MOST_TIMED
        )

    def sending(self, now: dt.datetime) -> Sending:
        """Return the state of sending without waiting for the rate limit's lock."""
        row = self._one("sending", since=now - dt.timedelta(seconds=60), limit=MOST_PENDING)
        if row is None:
            raise LookupError("the rate limit has no row; run adapter migrate")
        return Sending(**row)

    def count_hours(self, now: dt.datetime) -> None:
        """Count the events of past hours, once each."""
        self._run("count_hours", until=now.replace(minute=0, second=0, microsecond=0))

    def record_secret_use(self, *, source: str, name: str, at: dt.datetime) -> None:
        """Record that the secret in the environment variable ``name`` verified a request."""
        self._run("record_secret_use", source=source, name=name, at=at)

    def secret_uses(self) -> dict[tuple[str, str], dt.datetime]:
        """Return when each secret last verified a request, by source and variable."""
        return {(row["source"], row["name"]): row["used_at"] for row in self._all("secret_uses")}

    def unknown_communities(self) -> list[UnknownCommunity]:
        """Return the names of unknown communities that leads are held for.

        Read them from the held leads' own index, which shrinks as they are fixed.
        """
        return [UnknownCommunity(**row) for row in self._all("unknown_communities")]

    def traffic(self) -> dict[str, Traffic]:
        """Return the events of each source that ever sent one."""
        rows = self._all("event_counts")
        return {row.pop("source"): Traffic(**row) for row in rows}
