"""The worker process: a few threads process the rows that are due.

Twice a second it counts them and starts that many runs. The web process announces new events with
NOTIFY, so that they are mapped at once. The same run sends their bookings.
"""

import concurrent.futures
import contextlib
import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from adapter.exceptions import StoreUnavailable
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.operations.alarm_watch import WATCH_SECONDS, Watch
from adapter.pipeline import Pipeline
from adapter.server import hot_reload
from adapter.server.heartbeat import HEARTBEAT_SECONDS, Heart
from adapter.server.repeat import log_outage, repeat
from adapter.server.watchdog import Watchdog
from adapter.services import check_destination
from adapter.settings import Settings
from adapter.store import Database, Task, check_reachable, listen_for_received_events

log = logging.getLogger(__name__)

#: How often a worker checks for due rows.
POLL_SECONDS = 0.5
#: How often to recover rows from dead workers.
RECOVERY_SECONDS = 5.0
#: Pause before the listener, or a worker that starts, connects to PostgreSQL again.
RECONNECT_SECONDS = 1.0
#: How often the listener sends a heartbeat.
LISTEN_SECONDS = 0.5
#: How long shutdown waits for active runs before it is forced.
GRACE_SECONDS = 25.0
#: A worker is stuck if a part sends no heartbeat for this long or for the timeouts of this many
#: requests to Propexo, whichever is longer. A search makes five requests.
DEAD_SECONDS = 240.0
DEAD_EXCHANGES = 8

#: Settings that only the web process uses.
WEB_ONLY = ("propexo_webhook_secret", "users", "metrics_token")

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def run(pipeline: Pipeline) -> bool:
    """Process due rows until SIGTERM or SIGINT, then finish the runs in flight.

    Return True if a reloaded secret is different, so that the process must start again. Wait for
    PostgreSQL, now and after each outage. Raise ConfigurationError if it is not usable.
    """
    reason = None
    while (reason := _reason_to_wait(pipeline, reason)) is not None:
        time.sleep(RECONNECT_SECONDS)
    # Blocked before any thread starts, so that this one can wait for them.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with pipeline.store:
            _sync_clock(pipeline)
            return Worker(pipeline).run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _reason_to_wait(pipeline: Pipeline, logged: str | None) -> str | None:
    """Return None if PostgreSQL is usable. Otherwise log why, unless it is logged already."""
    try:
        check_reachable(pipeline.store.url)
        with Database(pipeline.store.url, size=1) as opened:
            check_destination(pipeline.settings, opened)
    except StoreUnavailable as exc:
        return log_outage("start", exc, logged)
    return None


def _sync_clock(pipeline: Pipeline) -> None:
    """Measure the clock before anything is done by it."""
    try:
        pipeline.sync_clock()
    except StoreUnavailable as exc:
        log_outage("clock", exc, None)


class Worker:
    """A worker: one thread for each of its parts, and a pool of threads that process rows."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._stopping = threading.Event()
        self._concurrency = pipeline.settings.worker_concurrency
        self._threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, "run")
        #: A heartbeat submitted to the threads. It is not executed while all of them hang.
        self._probe: concurrent.futures.Future[None] | None = None
        slowest = DEAD_EXCHANGES * pipeline.propexo.timeout_seconds
        parts = ("polling", "recovery", "listener", "heartbeat", "alarms", "threads", *Task)
        self._heart = Heart(pipeline, "worker")
        self._watch = Watch(
            pipeline.settings,
            pipeline.store,
            lambda: pipeline.sources,  # a reload replaces them
            pipeline.clock,
        )
        self._watchdog = Watchdog(parts, max(DEAD_SECONDS, slowest))
        #: Why a part cannot use PostgreSQL, as logged for the current outage.
        self._outages: dict[str, str] = {}

    def run(self) -> bool:
        """Run all parts until a signal stops them. Return True if the secrets have changed."""
        with self.running():
            self._watchdog.watch()
            log.info("worker_started", extra={"concurrency": self._concurrency})
            while signal.sigwait(SIGNALS) == signal.SIGHUP:
                if self._reload():
                    log.info("restarting_with_new_secrets")
                    return True
            return False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run all parts during the block. Then let each run end after its current row."""
        steps = (
            ("polling", self._start_due_runs, POLL_SECONDS),
            ("recovery", self._recover, RECOVERY_SECONDS),
            ("listener", self._listen, RECONNECT_SECONDS),
            ("heartbeat", self._heart.beat, HEARTBEAT_SECONDS),
            ("alarms", self._watch.step, WATCH_SECONDS),
        )
        parts = [threading.Thread(target=self._repeat, args=step, name=step[0]) for step in steps]
        for part in parts:
            part.start()
        try:
            yield
        finally:
            self._watchdog.stop_within(GRACE_SECONDS)
            self._stopping.set()
            self._pipeline.stop()
            for part in parts:
                part.join()
            self._threads.shutdown(cancel_futures=True)

    def _repeat(self, part: str, step: Callable[[], object], pause_seconds: float) -> None:
        heartbeat = self._watchdog.heartbeat
        repeat(part, step, pause_seconds, self._stopping, heartbeat, self._outages)

    def _start_due_runs(self) -> None:
        """Start runs for due rows: postponed rows, checks, and rows without a notification."""
        for task in Task:
            if not self._pipeline.is_full(task):
                self._watchdog.heartbeat(task)  # also while PostgreSQL is unavailable
        for task, count in self._pipeline.due().items():
            for _ in range(count):
                self._threads.submit(self._run_task, task)
        self._heart.looked()

    def _listen(self) -> None:
        """Start a run whenever events are announced, until the connection is lost."""
        for is_announced in listen_for_received_events(self._pipeline.store.url, LISTEN_SECONDS):
            self._watchdog.heartbeat("listener")
            self._outages.pop("listener", None)
            if self._stopping.is_set():
                return
            if is_announced and not self._pipeline.is_full(Task.MAP):
                self._threads.submit(self._run_task, Task.MAP)

    def _run_task(self, task: Task) -> None:
        """Process due rows. Never raise: after an error they stay due, and another run follows.

        Bookings are sent at once after mapping. Of several workers that are notified, only those
        that found an event do so.
        """
        try:
            is_useful = self._pipeline.run(task)
        except StoreUnavailable:
            log.warning("run_postponed", extra={"task": task})
        except Exception:
            log.exception("run_failed", extra={"task": task})
        else:
            if is_useful:
                self._watchdog.heartbeat(task)
            if is_useful and task is Task.MAP:
                self._run_task(Task.SEND)

    def _recover(self) -> None:
        """Probe one thread, and recover rows from dead workers."""
        if self._probe is None or self._probe.done():
            self._probe = self._threads.submit(self._watchdog.heartbeat, "threads")
        self._pipeline.recover()

    def _reload(self) -> bool:
        """Reload mappings and secret files. If they are invalid, log it and keep the old ones.

        Return True if a secret that it uses is different, and all can be read: the process would
        not start again with one that cannot.
        """
        former = self._pipeline.settings
        loaded = hot_reload.reload_or_keep(lambda: _load(former.reread()))
        if loaded is None:
            return False
        settings, sources = loaded
        self._pipeline.sources = sources  # one assignment, so that no task sees a partial set
        return must_restart(former, settings)


def must_restart(former: Settings, settings: Settings) -> bool:
    """Return whether a worker needs the new settings, and can start with them."""
    unused = {name: getattr(former, name) for name in WEB_ONLY}
    is_other = dataclasses.replace(settings, **unused) != former
    return is_other and not settings.problems


def _load(settings: Settings) -> tuple[Settings, Mapping[str, Source]]:
    hot_reload.log_problems(settings)
    return settings, registry.load(settings.mappings_dir, settings.policy)
