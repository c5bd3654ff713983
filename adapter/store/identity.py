"""Record the database's identity, so that workers detect when it was restored from a backup."""

import dataclasses
import datetime as dt
from collections.abc import Sequence

from adapter.models import Booking
from adapter.store.queries import Statements
from adapter.store.rows import booking_from_row

#: The reason code while sending is stopped because the database was restored.
RESTORED = "restored"
#: Number of IDs to skip after a restore. It is unlikely that more were assigned since the backup.
SKIPPED_IDS = 100_000
_PARTS = ("another server", "another timeline of the server", "another database")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LastRun:
    """The latest run of a worker, and how its database differs from the current one."""

    #: When a worker last ran, according to this database.
    seen_at: dt.datetime
    #: True if the row was copied, for example by pg_restore.
    is_copied: bool
    #: The recorded and the current cluster, timeline and OID, or None if they cannot be read.
    identity: str | None
    current: str | None
    #: The reason sending was suspended, and when that was.
    stopped_for: str | None
    stopped_at: dt.datetime | None

    @property
    def difference(self) -> str | None:
        """The difference between this database and the one last used by workers, or None."""
        if self.identity and self.current and self.identity != self.current:
            pairs = zip(self.identity.split("/"), self.current.split("/"), _PARTS, strict=True)
            return next(name for former, current, name in pairs if former != current)
        return "its rows were copied" if self.is_copied else None


class Identity(Statements):
    """Reads and writes the database's identity within a transaction."""

    def record_worker(self) -> bool:
        """Record that a worker is running. Return False if the database may have been restored."""
        return self._has("record_worker")

    def last_run(self) -> LastRun | None:
        """Return the last run of a worker, or None if no worker has ever run."""
        row = self._one("read_identity")
        return LastRun(**row) if row else None

    def is_unchanged(self, last: LastRun | None) -> bool:
        """Lock the identity row. Return False if it differs from ``last``."""
        if last is None:
            return self.last_run() is None
        values = {"seen_at": last.seen_at, "identity": last.identity, "current": last.current}
        return self._has("lock_identity", is_copied=last.is_copied, **values)

    def adopt(self) -> None:
        """Record the current database as the one that workers use."""
        self._run("adopt_identity")

    def end_restore(self) -> None:
        """Record that the recovery from a restore is complete, and resume sending."""
        self.adopt()
        self._run("end_restore")

    def skip_ids(self) -> int:
        """Skip IDs that may have been assigned after the backup. Return the last skipped ID."""
        return int(self._value("skip_ids", count=SKIPPED_IDS) or 0)

    def newest_jobs(
        self, since: dt.datetime, until: dt.datetime, limit: int
    ) -> dict[str, dt.datetime]:
        """Return the POST times of the newest booked jobs in a period, keyed by job ID."""
        rows = self._all("newest_jobs", since=since, until=until, limit=limit)
        return {row["job_id"]: row["posted_at"] for row in rows}

    def bookings_that_may_be_sent(self) -> Sequence[Booking]:
        """Return the bookings that may have been sent after the backup, oldest first."""
        return [booking_from_row(row) for row in self._all("bookings_that_may_be_sent")]

    def unmapped_events(self) -> int:
        """Return the number of unmapped events that arrived before the restore was detected."""
        return int(self._value("unmapped_events") or 0)

    def insert_lost_event(self, source: str, at: dt.datetime) -> int:
        """Store a placeholder event for a booking whose webhook was lost. Return its ID."""
        row = self._one("insert_lost_event", source=source, at=at)
        assert row is not None  # noqa: S101 - RETURNING returns a row unless the statement fails
        return int(row["id"])

    def senders_since(self, since: dt.datetime) -> list[str]:
        """Return the sources that have sent webhooks since the given time."""
        return self._values("senders_since", since=since)
