"""Run the worker process, whose threads map events, send bookings and check their status.

Twice a second, the worker counts the due rows and starts that many runs. The web process announces
new events with NOTIFY, so that they are mapped immediately. The same run sends their bookings.
"""

import concurrent.futures
import contextlib
import dataclasses
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from adapter import tracing
from adapter.exceptions import StoreUnavailable, WrongSchema
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.operations.alarm_watch import WATCH_SECONDS, Watch
from adapter.operations.check_models import CHECK_SECONDS
from adapter.operations.format_watch import COUNT_SECONDS
from adapter.operations.live_sources import REFRESH_SECONDS
from adapter.operations.start_checks import check_destination
from adapter.pipeline import Pipeline
from adapter.server import hot_reload
from adapter.server.heartbeat import HEARTBEAT_SECONDS, Heart
from adapter.server.repeat import repeat
from adapter.server.watchdog import Watchdog
from adapter.services import start_facts
from adapter.settings import Settings
from adapter.store import Database, Outage, Task, check_reachable, listen_for_received_events
from adapter.store.meter import SAVE_SECONDS

log = logging.getLogger(__name__)

#: How often a worker checks for due rows.
POLL_SECONDS = 0.5
#: How often to recover rows from dead workers.
RECOVERY_SECONDS = 5.0
#: Pause before the listener, or a worker that is starting, reconnects to PostgreSQL.
RECONNECT_SECONDS = 1.0
#: How often the listener sends a heartbeat.
LISTEN_SECONDS = 0.5
#: How often to check for status webhooks to send.
NOTIFY_SECONDS = 1.0
#: How long shutdown waits for a status webhook. If it is interrupted, it is sent again later.
NOTIFY_GRACE_SECONDS = 2.0
#: How long shutdown waits for active runs before it is forced.
GRACE_SECONDS = 25.0
#: A worker counts as stuck if one of its loops or tasks sends no heartbeat for ``DEAD_SECONDS`` or
#: for ``DEAD_EXCHANGES`` request timeouts, whichever is longer. A search makes five requests.
DEAD_SECONDS = 240.0
DEAD_EXCHANGES = 8

#: Settings that only the web process uses.
WEB_ONLY = ("propexo_webhook_secret", "users", "metrics_token", "api_token")

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def run(pipeline: Pipeline) -> bool:
    """Process due rows until SIGTERM or SIGINT is received, then finish the rows in progress.

    Return True if a reloaded secret has changed, so that the process must restart. Wait for
    PostgreSQL at startup and after each outage, and for migrations. Raise ConfigurationError if the
    database cannot be used.
    """
    outage = Outage("start")
    while not _is_usable(pipeline, outage):
        time.sleep(RECONNECT_SECONDS)
    # Block the signals before any thread starts, so that only this thread gets them.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with pipeline.store:
            _sync_clock(pipeline)
            with contextlib.suppress(StoreUnavailable):
                pipeline.refresh_sources()
            return Worker(pipeline).run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _is_usable(pipeline: Pipeline, outage: Outage) -> bool:
    """Return True if the database and its schema are usable. If not, log the reason."""
    settings = pipeline.settings
    try:
        check_reachable(pipeline.store.url)
        with Database(pipeline.store.url, size=1) as opened:
            opened.check_schema(allow_newer=settings.allow_newer_database)
            check_destination(settings, opened)
    except StoreUnavailable as exc:
        outage.failed(str(exc))
        return False
    outage.ended()
    return True


def _sync_clock(pipeline: Pipeline) -> None:
    """Synchronize the clock with PostgreSQL before any work starts."""
    with contextlib.suppress(StoreUnavailable):  # it is logged where it is raised
        pipeline.sync_clock()


class Worker:
    """A worker process, with one thread per loop and a pool of threads that process rows."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._url = pipeline.store.url
        self._stopping = threading.Event()
        self._concurrency = pipeline.settings.worker_concurrency
        self._threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, "run")
        #: A heartbeat submitted to the thread pool. It does not run while all threads hang.
        self._probe: concurrent.futures.Future[None] | None = None
        slowest = DEAD_EXCHANGES * pipeline.propexo.timeout_seconds
        # The other loops are not watched: they book nothing, and the health check reports a
        # missing heartbeat.
        parts = ("polling", "recovery", "listener", "threads", *Task)
        self._heart = Heart(pipeline, "worker")
        self._watch = Watch(
            pipeline.settings,
            pipeline.store,
            lambda: pipeline.sources,  # a reload replaces them
            pipeline.clock,
        )
        self._watchdog = Watchdog(parts, max(DEAD_SECONDS, slowest))
        self._listener_outage, self._schema_outage = Outage("listener"), Outage("schema")

    def run(self) -> bool:
        """Run until a signal arrives. Return True if a restart is needed to use changed secrets."""
        with self.running():
            self._watchdog.watch()
            log.info("worker_started", extra=self._facts())
            while signal.sigwait(SIGNALS) == signal.SIGHUP:
                if self._reload():
                    log.info("restarting_with_new_secrets")
                    return True
            return False

    def _facts(self) -> dict[str, object]:
        facts = start_facts(self._pipeline.settings, self._pipeline.sources)
        return {**facts, "concurrency": self._concurrency}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run all loops while the block executes, then let the rows in progress finish."""
        steps = (
            ("polling", self._start_due_runs, POLL_SECONDS),
            ("recovery", self._recover, RECOVERY_SECONDS),
            ("listener", self._listen, RECONNECT_SECONDS),
            ("heartbeat", self._heart.beat, HEARTBEAT_SECONDS),
            ("alarms", self._watch.step, WATCH_SECONDS),
            ("metrics", self._pipeline.count_metrics, SAVE_SECONDS),
            ("sources", self._pipeline.refresh_sources, REFRESH_SECONDS),
            ("formats", self._pipeline.count_formats, COUNT_SECONDS),
        )
        parts = [threading.Thread(target=self._repeat, args=step, name=step[0]) for step in steps]
        for part in parts:
            part.start()
        unwatched = self._start_unwatched()
        try:
            yield
        finally:
            self._watchdog.stop_within(GRACE_SECONDS)
            self._stopping.set()
            self._pipeline.stop()
            for part in parts:
                part.join()
            for thread in unwatched:
                thread.join(NOTIFY_GRACE_SECONDS)
            self._threads.shutdown(cancel_futures=True)
            with contextlib.suppress(StoreUnavailable):
                self._pipeline.store.save_metrics()
            tracing.shut_down()

    def _start_unwatched(self) -> list[threading.Thread]:
        """Start the threads that the watchdog does not watch, because they depend on other systems.

        If they were watched, a slow system would cause the worker to be restarted.
        """
        steps = [
            ("database check", self._pipeline.check_database, RECOVERY_SECONDS),
            ("model check", self._pipeline.check_models, CHECK_SECONDS),
        ]
        if self._pipeline.notifier is not None:
            steps.append(("status webhooks", self._pipeline.notifier.run, NOTIFY_SECONDS))
        if self._pipeline.mailer is not None:
            steps.append(("invitations", self._pipeline.mailer.run, NOTIFY_SECONDS))
        threads = [
            threading.Thread(target=self._repeat, args=step, name=step[0], daemon=True)
            for step in steps
        ]
        for thread in threads:
            thread.start()
        return threads

    def _repeat(self, part: str, step: Callable[[], object], pause_seconds: float) -> None:
        heartbeat = self._watchdog.heartbeat
        repeat(part, step, pause_seconds, self._stopping, heartbeat)

    def _start_due_runs(self) -> None:
        """Count each task's due rows, and queue that many runs in the thread pool."""
        for task in Task:
            if not self._pipeline.is_full(task):
                self._watchdog.heartbeat(task)  # even if PostgreSQL is unavailable
        self._check_schema()
        for task, count in self._pipeline.due().items():
            for _ in range(count):
                self._threads.submit(self._run_task, task)
        self._heart.looked()

    def _check_schema(self) -> None:
        """Stop all tasks and raise WrongSchema if the schema is unusable. Otherwise, resume them.

        Old code on a new schema might hold leads, or send what the new version would not.
        """
        allow_newer = self._pipeline.settings.allow_newer_database
        try:
            self._pipeline.store.check_schema(allow_newer=allow_newer)
        except WrongSchema as exc:
            self._pipeline.stop()
            self._heart.is_waiting = True
            self._schema_outage.failed(str(exc))
            raise
        self._heart.is_waiting = False
        if self._pipeline.is_stopped and not self._stopping.is_set():
            self._pipeline.resume()
        if self._stopping.is_set():
            self._pipeline.stop()
        self._schema_outage.ended()

    def _listen(self) -> None:
        """Map new events when PostgreSQL announces them, until the connection is lost."""
        try:
            for is_announced in listen_for_received_events(self._url, LISTEN_SECONDS):
                self._watchdog.heartbeat("listener")
                self._listener_outage.ended()
                if self._stopping.is_set():
                    return
                if is_announced and not self._pipeline.is_full(Task.MAP):
                    self._threads.submit(self._run_task, Task.MAP)
        except StoreUnavailable as exc:
            self._listener_outage.failed(str(exc))

    def _run_task(self, task: Task) -> None:
        """Process all due rows of a task. Log errors. Failed rows are retried later.

        After mapping, send bookings immediately, but only if this worker found an event to map.
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
        """Check that the thread pool responds, and recover rows from workers that have died."""
        if self._probe is None or self._probe.done():
            self._probe = self._threads.submit(self._watchdog.heartbeat, "threads")
        if not self._pipeline.is_stopped:
            self._pipeline.recover()

    def _reload(self) -> bool:
        """Reload mappings and secret files, or log an error and keep the old ones.

        Return True if a secret that the worker uses has changed and all secrets can be read. If one
        cannot be read, the process would not start again.
        """
        former = self._pipeline.settings
        loaded = hot_reload.reload_or_keep(lambda: _load(former.reread()))
        if loaded is None:
            return False
        settings, sources = loaded
        self._pipeline.sources = sources  # a single assignment, so that no task sees a partial set
        return must_restart(former, settings)


def must_restart(former: Settings, settings: Settings) -> bool:
    """Return True if the new settings are valid and require a restart of the worker."""
    unused = {name: getattr(former, name) for name in WEB_ONLY}
    is_other = dataclasses.replace(settings, **unused) != former
    return is_other and not settings.problems


def _load(settings: Settings) -> tuple[Settings, Mapping[str, Source]]:
    hot_reload.log_problems(settings)
    return settings, registry.load(settings.mappings_dir, settings.policy)
