"""Compute statistics about sources, sending and outcomes."""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping

from adapter.store.queries import Statements
from adapter.store.rows import Row

#: Number of bookings whose latency is measured.
MOST_TIMED = 2_000
#: Maximum number of pending bookings to count.
MOST_PENDING = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """The state of sending, and the number of calls in the last minute."""

    #: The reason that sending is stopped until a read from Propexo succeeds, or None:
    #: ``not_authorized``, ``no_clear_answer``, ``wrong_path``, ``unreachable`` or ``restored``.
    stopped_for: str | None
    #: When the errors began, and the last error.
    stopped_at: dt.datetime | None
    stopped_why: str | None
    #: No API calls are made before this time.
    paused_until: dt.datetime
    #: The number of calls per minute that Propexo allows, as last reported, or None.
    allowed: int | None
    #: The number of calls in the last 60 seconds.
    calls: int
    #: The number of pending bookings, up to :data:`MOST_PENDING`.
    pending: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """The number of events that a source has sent, and the time of the latest event."""

    #: Number of events by state.
    events: Mapping[str, int]
    last_event_at: dt.datetime | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UnknownCommunity:
    """An unknown community name, and the number of leads that are held because of it."""

    source: str
    #: The name as shortened JSON, or None if the webhook has no name or the name was erased.
    value: str | None
    #: The path in the payload that the mapping read the name from.
    path: str | None
    #: The number of leads that this name holds up.
    waiting: int
    last_at: dt.datetime
    #: The newest event with this name.
    event_id: int


class Stats(Statements):
    """Reads and updates statistics within a transaction."""

    def outcomes(self, since: dt.datetime) -> list[Row]:
        """Count the leads received after ``since`` by kind, source, hour and state."""
        return self._all("outcomes", since=since)

    def daily_outcomes(self, since: dt.datetime, until: dt.datetime, zone: str) -> list[Row]:
        """Count the leads received from ``since`` on, by state and by day in ``zone``."""
        return self._all("daily_outcomes", since=since, until=until, zone=zone)

    def source_activity(
        self, sources: Iterable[str], since: dt.datetime, until: dt.datetime
    ) -> list[Row]:
        """Return each source's latest event, usual traffic, and time from webhook to booking.

        The latency is that of the newest :data:`MOST_TIMED` bookings in the period, except those
        that a person was involved in.
        """
        return self._all(
            "source_activity", sources=list(sources), since=since, until=until, limit=MOST_TIMED
        )

    def sending(self, now: dt.datetime) -> Sending:
        """Return the state of sending without waiting for the rate limit's lock."""
        row = self._one("sending", since=now - dt.timedelta(seconds=60), limit=MOST_PENDING)
        if row is None:
            raise LookupError("the rate limit's row is missing; run adapter migrate")
        return Sending(**row)

    def count_hours(self, now: dt.datetime) -> None:
        """Count each source's events in all full hours that have not been counted yet."""
        self._run("count_hours", until=now.replace(minute=0, second=0, microsecond=0))

    def record_secret_use(self, *, source: str, name: str, at: dt.datetime) -> None:
        """Record that the secret in environment variable ``name`` has verified a request."""
        self._run("record_secret_use", source=source, name=name, at=at)

    def secret_uses(self) -> dict[tuple[str, str], dt.datetime]:
        """Return when each secret last verified a request, keyed by source and variable name."""
        return {(row["source"], row["name"]): row["used_at"] for row in self._all("secret_uses")}

    def unknown_communities(self) -> list[UnknownCommunity]:
        """Return the unknown community names that hold up leads, with the number of leads for each.

        They are read through the index of held leads, which shrinks as leads are fixed.
        """
        return [UnknownCommunity(**row) for row in self._all("unknown_communities")]

    def traffic(self) -> dict[str, Traffic]:
        """Return the number of events that each source has sent, and the time of the latest."""
        rows = self._all("event_counts")
        return {row.pop("source"): Traffic(**row) for row in rows}
