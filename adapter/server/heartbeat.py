"""Record a heartbeat of each process every few seconds, so that failures are noticed."""

import datetime as dt
import os
import socket
import time
import uuid

import adapter
from adapter.mapping import registry
from adapter.pipeline import Pipeline
from adapter.store import DatabaseClock
from adapter.store.monitoring import Heartbeat

#: How often a process sends a heartbeat.
HEARTBEAT_SECONDS = 10.0


class Heart:
    """Sends the heartbeats of one process, with ages from its monotonic clock."""

    def __init__(self, pipeline: Pipeline, kind: str, pid: int | None = None) -> None:
        """Take the ``kind`` (``web`` or ``worker``) and the ``pid`` to report (default: ours)."""
        self._pipeline = pipeline
        self._kind = kind
        self._pid = pid or os.getpid()
        self._id = uuid.uuid4().hex
        self._started_at = time.monotonic()
        self._looked_at: float | None = None
        self._outdated_since: float | None = None

    def looked(self) -> None:
        """Record that this worker has checked for due rows."""
        self._looked_at = time.monotonic()

    def beat(self) -> None:
        """Store a heartbeat. Raise StoreUnavailable if PostgreSQL cannot be reached."""
        self._check_mappings()
        heartbeat = Heartbeat(
            id=self._id,
            kind=self._kind,
            host=socket.gethostname(),
            pid=self._pid,
            version=adapter.__version__,
            age=_ago(self._started_at),
            looked_ago=None if self._looked_at is None else _ago(self._looked_at),
            outdated_for=None if self._outdated_since is None else _ago(self._outdated_since),
            at=self._machine_time(),
        )
        with self._pipeline.store.statement() as tx:
            tx.monitoring.record_heartbeat(heartbeat)

    def _machine_time(self) -> dt.datetime:
        """Return the time of this machine's clock, which should be that of the database."""
        clock = self._pipeline.clock
        return clock.machine_time() if isinstance(clock, DatabaseClock) else clock()

    def _check_mappings(self) -> None:
        """Record since when the mapping files have differed from the mappings in use."""
        folder = self._pipeline.settings.mappings_dir
        if not registry.changed_since_load(folder, self._pipeline.sources):
            self._outdated_since = None
        elif self._outdated_since is None:
            self._outdated_since = time.monotonic()


def _ago(monotonic: float) -> dt.timedelta:
    return dt.timedelta(seconds=time.monotonic() - monotonic)
