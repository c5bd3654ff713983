"""Store each process's heartbeat every few seconds, so that failures are noticed."""

import collections
import datetime as dt
import os
import socket
import statistics
import time
import uuid

import adapter
from adapter.mapping import registry
from adapter.pipeline import Pipeline
from adapter.store import DatabaseClock
from adapter.store.monitoring import Heartbeat

#: How often a process sends a heartbeat.
HEARTBEAT_SECONDS = 5.0
#: Only writes within this time count as recent.
WRITES_SECONDS = 120.0


class Heart:
    """Stores one process's heartbeats, with elapsed times measured by its monotonic clock."""

    def __init__(self, pipeline: Pipeline, kind: str, pid: int | None = None) -> None:
        """Prepare heartbeats for a ``web`` or ``worker`` process. ``pid`` defaults to our own."""
        self._pipeline = pipeline
        self._kind = kind
        self._pid = pid or os.getpid()
        self._id = uuid.uuid4().hex
        self._started_at = time.monotonic()
        self._looked_at: float | None = None
        self._outdated_since: float | None = None
        #: Durations of recent heartbeat writes, in seconds.
        self._writes = collections.deque[float](maxlen=round(WRITES_SECONDS / HEARTBEAT_SECONDS))
        #: True while the worker waits because another version has migrated the database.
        self.is_waiting = False

    def looked(self) -> None:
        """Record that this worker has just checked for due rows."""
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
            write_seconds=self._write_seconds(),
            is_waiting=self.is_waiting,
        )
        began = time.monotonic()
        try:
            with self._pipeline.store.statement() as tx:
                tx.monitoring.record_heartbeat(heartbeat)
        finally:
            self._writes.append(time.monotonic() - began)

    def _write_seconds(self) -> float | None:
        """Return the median duration of recent writes in seconds, or None if there are too few."""
        is_enough = len(self._writes) * 2 >= (self._writes.maxlen or 0)
        return statistics.median(self._writes) if is_enough else None

    def _machine_time(self) -> dt.datetime:
        """Return the time on this machine's clock, even if the process uses PostgreSQL's time."""
        clock = self._pipeline.clock
        return clock.machine_time() if isinstance(clock, DatabaseClock) else clock()

    def _check_mappings(self) -> None:
        """Record when the mapping files began to differ from the mappings in use."""
        folder = self._pipeline.settings.mappings_dir
        if not registry.changed_since_load(folder, self._pipeline.sources):
            self._outdated_since = None
        elif self._outdated_since is None:
            self._outdated_since = time.monotonic()


def _ago(monotonic: float) -> dt.timedelta:
    return dt.timedelta(seconds=time.monotonic() - monotonic)
