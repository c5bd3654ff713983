"""Record heartbeats of processes, and read the facts for health checks and alarms."""

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable

from adapter.store.queries import Statements
from adapter.store.rows import Row

#: Maximum number of rows of each kind to count.
MOST_ROWS = 10_000
#: Maximum number of held leads to look through, newest first.
MOST_HELD = 500
#: Maximum number of processes to return.
MOST_PROCESSES = 200
#: Maximum number of webhooks that partial hours add to the usual one. See ``source_facts``.
MOST_PARTIAL = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Heartbeat:
    """The state that a web or worker process stores regularly."""

    #: A random ID of the process.
    id: str
    #: ``web`` or ``worker``.
    kind: str
    host: str
    pid: int
    version: str
    #: How long the process has been running.
    age: dt.timedelta
    #: How long ago the worker last checked for due rows.
    looked_ago: dt.timedelta | None
    #: How long the mapping files have differed from the mappings that the process uses.
    outdated_for: dt.timedelta | None
    #: Median duration of its latest writes, or None if there are too few.
    write_seconds: float | None
    #: True if the worker waits because another version has migrated the database.
    is_waiting: bool
    #: The time according to the process's own clock.
    at: dt.datetime


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process with a recent heartbeat. Ages are measured by the database's clock."""

    kind: str
    host: str
    pid: int
    version: str
    age: dt.timedelta
    seen_ago: dt.timedelta
    looked_ago: dt.timedelta | None
    clock_ahead_seconds: float
    outdated_for: dt.timedelta | None
    #: Median duration of its latest writes, or None if there are too few.
    write_seconds: float | None
    #: True if the worker waits because another version has migrated the database.
    is_waiting: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class QueueFacts:
    """The state of sending, and the number of waiting webhooks and bookings."""

    stopped_for: str | None = None
    stopped_at: dt.datetime | None = None
    #: The last error, while sending is stopped.
    stopped_why: str | None = None
    paused_until: dt.datetime | None = None
    unmapped: int = 0
    oldest_unmapped_at: dt.datetime | None = None
    pending: int = 0
    oldest_due_at: dt.datetime | None = None
    #: True if a pending booking was postponed because it could not be sent.
    is_postponed: bool = False
    #: True if a booking that could be sent has been due for too long.
    is_late: bool = False
    #: When the latest POST with a clear response began, and when the first POST after it began.
    answered_at: dt.datetime | None = None
    failing_since: dt.datetime | None = None
    #: The outcome of the latest POST.
    outcome: str | None = None
    status: int | None = None
    answer: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReviewFacts:
    """Statistics about leads that need review, have expired, or have an unknown outcome."""

    oldest_booking_at: dt.datetime | None = None
    oldest_event_at: dt.datetime | None = None
    #: The soonest upcoming tour.
    soonest_at: dt.datetime | None = None
    expired: int = 0
    #: When the latest one expired.
    expired_at: dt.datetime | None = None
    #: The number of unknown bookings that are no longer expected to be found.
    unknown: int = 0
    unknown_since: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceFacts:
    """A source's latest verified webhook, and the number of requests rejected since then."""

    name: str
    #: When the source's latest request was verified, or None.
    accepted_at: dt.datetime | None = None
    #: How many webhooks usually arrive in the time since then, or None if there is too little data.
    usual: float | None = None
    #: The number of requests (up to 100) that failed verification since then, and when the first
    #: one arrived.
    refused: int = 0
    refused_since: dt.datetime | None = None


class Monitoring(Statements):
    """Writes heartbeats and reads health facts within a transaction."""

    def record_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Store a process's heartbeat."""
        self._run("record_heartbeat", **dataclasses.asdict(heartbeat))

    def processes(self) -> tuple[Process, ...]:
        """Return the processes with a recent heartbeat, newest heartbeat first."""
        return tuple(Process(**row) for row in self._all("known_processes", limit=MOST_PROCESSES))

    def queue(self, now: dt.datetime, *, late: dt.datetime, too_late: dt.datetime) -> QueueFacts:
        """Return the state of the send queue. Rows that were due before ``late`` count as overdue.

        Tours that start by ``too_late`` are neither sent nor counted.
        """
        row = self._one("queue_facts", now=now, late=late, too_late=too_late, limit=MOST_ROWS)
        if row is None:
            raise LookupError("the rate limit's row is missing; run adapter migrate")
        return QueueFacts(**row)

    def review(self, now: dt.datetime, *, unknown_before: dt.datetime) -> ReviewFacts:
        """Return statistics about leads that need review, have expired, or have an unknown outcome.

        Unknown bookings count if their search has ended or they became unknown before
        ``unknown_before``.
        """
        row = self._one("review_facts", now=now, unknown_before=unknown_before, limit=MOST_ROWS)
        return ReviewFacts(**row or {})

    def sources(
        self,
        names: Iterable[str],
        now: dt.datetime,
        *,
        reasons: Collection[str],
        refused_after: dt.datetime,
    ) -> tuple[SourceFacts, ...]:
        """Return facts about each source. Count only rejections with the given ``reasons``."""
        rows = self._all(
            "source_facts",
            sources=list(names),
            now=now,
            reasons=list(reasons),
            refused_after=refused_after,
            most_partial=MOST_PARTIAL,
        )
        return tuple(SourceFacts(**row) for row in rows)

    def held_for_paths(self) -> list[Row]:
        """Return the paths that are missing from the latest held leads' webhooks, by source."""
        return self._all("held_for_paths", limit=MOST_HELD)

    def rejected_leads(self, *, reasons: Collection[str], since: dt.datetime) -> list[Row]:
        """Count the latest requests that were rejected for these reasons, by source."""
        return self._all("rejected_leads", reasons=list(reasons), since=since, limit=MOST_HELD)

    def connections(self) -> tuple[int, int]:
        """Return the number of open PostgreSQL connections, and the maximum."""
        row = self._one("connections") or {"used": 0, "allowed": 0}
        return row["used"], row["allowed"]

    def data_folder(self) -> str | None:
        """Return the path of PostgreSQL's data folder, or None if this machine cannot read it."""
        return self._value("data_folder")
