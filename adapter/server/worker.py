"""Run the worker process, in which a few threads process the rows that are due.

Twice a second, it counts these rows and starts up to that many runs. The web process announces new
events with NOTIFY, so that they are mapped immediately. The same run sends their bookings.
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
#: Pause before the listener, or a worker that is starting, connects to PostgreSQL again.
RECONNECT_SECONDS = 1.0
#: How often the listener sends a heartbeat.
LISTEN_SECONDS = 0.5
#: How often to look for leads' states to report to another system.
NOTIFY_SECONDS = 1.0
#: How long shutdown waits for a status webhook. One that is cut off is delivered again.
NOTIFY_GRACE_SECONDS = 2.0
#: How long shutdown waits for active runs before it is forced.
GRACE_SECONDS = 25.0
#: A worker counts as stuck if one of its loops or tasks sends no heartbeat for this long, or for as
#: long as the timeouts of this many requests to Propexo if that is longer. A search makes five
#: requests.
DEAD_SECONDS = 240.0
DEAD_EXCHANGES = 8

#: Settings that only the web process uses.
WEB_ONLY = ("propexo_webhook_secret", "users", "metrics_token", "api_token")

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def run(pipeline: Pipeline) -> bool:
    """Process due rows until SIGTERM or SIGINT, then finish the runs in flight.

    Return True if a reloaded secret has changed, so that the process must restart. Wait for
    PostgreSQL at startup and after each outage. Raise ConfigurationError if the database cannot be
    used.
    """
    reason = None
    while (reason := _reason_to_wait(pipeline, reason)) is not None:
        time.sleep(RECONNECT_SECONDS)
    # Block the signals before any thread starts, so that only this thread gets them.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with pipeline.store:
            _sync_clock(pipeline)
            return Worker(pipeline).run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _reason_to_wait(pipeline: Pipeline, logged: str | None) -> str | None:
    """Return why PostgreSQL cannot be used, or None. Log a reason that is not logged yet."""
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
    """A worker, with a thread for each of its loops and a pool of threads that process rows."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._stopping = threading.Event()
        self._concurrency = pipeline.settings.worker_concurrency
        self._threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, "run")
        #: A heartbeat that was submitted to the pool. It does not run while all threads hang.
        self._probe: concurrent.futures.Future[None] | None = None
        slowest = DEAD_EXCHANGES * pipeline.propexo.timeout_seconds
        parts = ("polling", "recovery", "listener", "heartbeat", "threads", *Task)
        self._heart = Heart(pipeline, "worker")
        self._watchdog = Watchdog(parts, max(DEAD_SECONDS, slowest))
        #: The logged reasons why loops cannot use PostgreSQL in the current outage, by loop.
        self._outages: dict[str, str] = {}

    def run(self) -> bool:
        """Run all loops until a signal stops them. Return True if the secrets have changed."""
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
        """Run all loops during the block. Then make each run stop after its current row."""
        steps = (
            ("polling", self._start_due_runs, POLL_SECONDS),
            ("recovery", self._recover, RECOVERY_SECONDS),
            ("listener", self._listen, RECONNECT_SECONDS),
            ("heartbeat", self._heart.beat, HEARTBEAT_SECONDS),
        )
        parts = [threading.Thread(target=self._repeat, args=step, name=step[0]) for step in steps]
        for part in parts:
            part.start()
        notifier = self._start_notifier()
        try:
            yield
        finally:
            self._watchdog.stop_within(GRACE_SECONDS)
            self._stopping.set()
            self._pipeline.stop()
            for part in parts:
                part.join()
            if notifier is not None:
                notifier.join(NOTIFY_GRACE_SECONDS)
            self._threads.shutdown(cancel_futures=True)

    def _start_notifier(self) -> threading.Thread | None:
        """Start reporting states, if that is set up. The watchdog does not watch it.

        Otherwise, a receiver that hangs would end the worker.
        """
        if self._pipeline.notifier is None:
            return None
        step = ("status webhooks", self._pipeline.notifier.run, NOTIFY_SECONDS)
        thread = threading.Thread(target=self._repeat, args=step, name=step[0], daemon=True)
        thread.start()
        return thread

    def _repeat(self, part: str, step: Callable[[], object], pause_seconds: float) -> None:
        heartbeat = self._watchdog.heartbeat
        repeat(part, step, pause_seconds, self._stopping, heartbeat, self._outages)

    def _start_due_runs(self) -> None:
        """Start runs for the rows that are due, including those without a notification."""
        for task in Task:
            if not self._pipeline.is_full(task):
                self._watchdog.heartbeat(task)  # even while PostgreSQL is unavailable
        for task, count in self._pipeline.due().items():
            for _ in range(count):
                self._threads.submit(self._run_task, task)
        self._heart.looked()

    def _listen(self) -> None:
        """Start a run whenever a notification arrives, until the connection is lost."""
        for is_announced in listen_for_received_events(self._pipeline.store.url, LISTEN_SECONDS):
            self._watchdog.heartbeat("listener")
            self._outages.pop("listener", None)
            if self._stopping.is_set():
                return
            if is_announced and not self._pipeline.is_full(Task.MAP):
                self._threads.submit(self._run_task, Task.MAP)

    def _run_task(self, task: Task) -> None:
        """Process due rows. Never raise an error; rows that fail stay due for another run.

        After mapping, bookings are sent immediately, but only by workers that found an event to
        map.
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

        Return True if a secret that the worker uses has changed and all secrets can be read. If one
        cannot be read, the process could not restart.
        """
        former = self._pipeline.settings
        loaded = hot_reload.reload_or_keep(lambda: _load(former.reread()))
        if loaded is None:
            return False
        settings, sources = loaded
        self._pipeline.sources = sources  # a single assignment, so that no task sees a partial set
        return must_restart(former, settings)


def must_restart(former: Settings, settings: Settings) -> bool:
    """Return whether a worker needs the new settings, and can start with them."""
    unused = {name: getattr(former, name) for name in WEB_ONLY}
    is_other = dataclasses.replace(settings, **unused) != former
    return is_other and not settings.problems


def _load(settings: Settings) -> tuple[Settings, Mapping[str, Source]]:
    hot_reload.log_problems(settings)
    return settings, registry.load(settings.mappings_dir, settings.policy)
