"""The worker process: a few threads process the rows that are due.

Twice a second it counts them and starts that many runs. A Procrastinate task announces new events,
so that they are mapped at once. The same run sends their bookings.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping

import procrastinate

from adapter.exceptions import StoreUnavailable
from adapter.mapping import registry
from adapter.pipeline import Pipeline
from adapter.server import hot_reload
from adapter.server.watchdog import Watchdog
from adapter.services import check_destination
from adapter.store import RECONNECT_SECONDS, Task, check_reachable, map_task, queue_pool

log = logging.getLogger(__name__)

#: How often to recover rows from dead workers.
RECOVERY_SECONDS = 5.0
#: How often a worker checks for due rows.
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 5.0
#: A worker without a heartbeat for this long is considered dead, and its tasks are deleted.
STALLED_SECONDS = 20.0
#: How long shutdown waits for active runs, and how much later it is forced.
GRACE_SECONDS = 23.0
FORCE_SECONDS = 2.0
#: A worker is stuck if a part sends no heartbeat for this long or for the timeouts of this many
#: requests to Propexo, whichever is longer. A search makes five requests.
DEAD_SECONDS = 240.0
DEAD_EXCHANGES = 8
#: Timeout of the query for stalled tasks.
QUEUE_SECONDS = 15.0
#: Maximum pause before the worker reconnects to PostgreSQL.
LONGEST_PAUSE_SECONDS = 10.0


def run(pipeline: Pipeline) -> None:
    """Run tasks until SIGTERM or SIGINT, then finish the tasks in flight.

    Raise :class:`StoreUnavailable` if PostgreSQL is unreachable at startup. After that, the worker
    waits and reconnects.
    """
    check_reachable(pipeline.store.url)
    with pipeline.store:
        check_destination(pipeline.settings, pipeline.store)
        asyncio.run(_Worker(pipeline).run())


class _Worker:
    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._concurrency = pipeline.settings.worker_concurrency
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        slowest = DEAD_EXCHANGES * pipeline.propexo.timeout_seconds
        parts = ("recovery", "threads", *Task)
        self._watchdog = Watchdog(parts, max(DEAD_SECONDS, slowest))
        #: A heartbeat submitted to the threads. It is not executed while all of them hang.
        self._probe: asyncio.Future[None] | None = None
        #: Runs started for due rows, and runs started because a task announced events.
        self._runs: dict[Task, set[asyncio.Future[None]]] = {task: set() for task in Task}
        self._announced: set[asyncio.Future[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, "run")
        loop.set_default_executor(threads)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._watchdog.watch()
        pause = 0.5
        while not self._stopping.is_set():
            began = loop.time()
            await self._run_once()
            self._heartbeat(loop)  # also while PostgreSQL is unavailable
            pause = 0.5 if loop.time() - began > LONGEST_PAUSE_SECONDS else pause * 2
            pause = min(pause, LONGEST_PAUSE_SECONDS)
            await self._pause(pause)

    def _stop(self) -> None:
        """Start shutting down. Ignore a second signal so that tasks in flight can finish."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._watchdog.stop_within(GRACE_SECONDS + FORCE_SECONDS)
            self._pipeline.stop()
            if self._running is not None:
                self._running.cancel()

    def _reload(self) -> None:
        """Reload the mappings. If the new set is invalid, log it and keep the old one."""
        settings = self._pipeline.settings
        sources = hot_reload.reload_or_keep(
            lambda: registry.load(settings.mappings_dir, settings.policy)
        )
        if sources is not None:
            self._pipeline.sources = sources  # one assignment, so that no task sees a partial set

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _run_once(self) -> None:
        """Run Procrastinate's worker until shutdown or until the PostgreSQL connection is lost."""
        queue = queue_for(self._pipeline.store.url, self._start_mapping)
        self._running = asyncio.create_task(self._work_and_recover(queue))
        try:
            await self._running
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        except (procrastinate.exceptions.ConnectorException, OSError) as exc:
            log.warning("postgresql_connection_lost", exc_info=exc)
        else:
            log.warning("worker_stopped_unexpectedly")
        finally:
            self._running = None

    async def _work_and_recover(self, queue: procrastinate.App) -> None:
        """Run tasks, due rows and recovery concurrently, so that none delays another."""
        async with queue.open_async():
            others = [
                asyncio.create_task(self._recover(queue)),
                asyncio.create_task(self._start_due_runs()),
            ]
            try:
                await self._work(queue)
            finally:
                for other in others:
                    other.cancel()
                await asyncio.wait(others)

    async def _start_due_runs(self) -> None:
        """Start runs for due rows: postponed rows, checks, and rows without a task."""
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1, "due") as thread:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                try:
                    due = await loop.run_in_executor(thread, self._pipeline.due)
                except StoreUnavailable:
                    log.warning("due_rows_not_read")
                    await asyncio.sleep(RECOVERY_SECONDS)
                except Exception:
                    log.exception("due_rows_not_read")
                    await asyncio.sleep(RECOVERY_SECONDS)
                else:
                    self._start_runs(loop, due)

    def _start_runs(self, loop: asyncio.AbstractEventLoop, due: Mapping[Task, int]) -> None:
        for task, count in due.items():
            if self._pipeline.is_full(task):
                continue
            self._watchdog.heartbeat(task)
            running = self._runs[task] = {run for run in self._runs[task] if not run.done()}
            for _ in range(count - len(running)):
                running.add(loop.run_in_executor(None, self._run_task, task))

    async def _start_mapping(self) -> None:
        """Start a run for received events. The task itself ends at once, as it only announces."""
        self._announced = {run for run in self._announced if not run.done()}
        if len(self._announced) < self._concurrency:
            loop = asyncio.get_running_loop()
            self._announced.add(loop.run_in_executor(None, self._map_and_send))

    def _map_and_send(self) -> None:
        """Map received events, and send their bookings without waiting for the next check."""
        self._run_task(Task.MAP)
        self._run_task(Task.SEND)

    def _run_task(self, task: Task) -> None:
        """Process due rows. Never raise: after an error they stay due, and another run follows."""
        has_run = True
        try:
            has_run = self._pipeline.run(task)
        except StoreUnavailable:
            log.warning("run_postponed", extra={"task": task})
        except Exception:
            log.exception("run_failed", extra={"task": task})
        if has_run:
            self._watchdog.heartbeat(task)

    async def _recover(self, queue: procrastinate.App) -> None:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1, "recovery") as thread:
            while True:
                try:
                    await asyncio.wait_for(delete_stalled(queue), QUEUE_SECONDS)
                    await loop.run_in_executor(thread, self._pipeline.recover)
                except (
                    StoreUnavailable,
                    TimeoutError,
                    procrastinate.exceptions.ConnectorException,
                ):
                    log.warning("recovery_postponed")
                except Exception:
                    log.exception("recovery_failed")
                self._heartbeat(loop)
                await asyncio.sleep(RECOVERY_SECONDS)

    def _heartbeat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Record a heartbeat for recovery and probe one thread."""
        self._watchdog.heartbeat("recovery")
        if self._probe is None or self._probe.done():
            self._probe = loop.run_in_executor(None, self._watchdog.heartbeat, "threads")

    async def _work(self, queue: procrastinate.App) -> None:
        log.info("worker_started", extra={"concurrency": self._concurrency})
        await queue.run_worker_async(
            concurrency=self._concurrency,
            install_signal_handlers=False,
            shutdown_graceful_timeout=GRACE_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            delete_jobs="always",
        )


def queue_for(url: str, announce: Callable[[], Awaitable[object]]) -> procrastinate.App:
    """Return the Procrastinate app with its single task."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url,
        min_size=1,
        max_size=4,
        timeout=5.0,
        reconnect_timeout=RECONNECT_SECONDS,
        pool_factory=queue_pool,
        # It does no harm if a task is lost or repeated.
        kwargs={"options": "-c synchronous_commit=off"},
    )
    queue = procrastinate.App(connector=connector)
    queue.task(name=map_task.NAME)(announce)
    return queue


async def delete_stalled(queue: procrastinate.App) -> None:
    """Delete tasks of dead workers. Their rows are still due, so nothing is lost."""
    jobs = queue.job_manager
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        await jobs.finish_job(job, procrastinate.jobs.Status.FAILED, delete_job=True)
        log.warning("stalled_task_deleted", extra={"task": job.task_name})
    await jobs.prune_stalled_workers(STALLED_SECONDS)
