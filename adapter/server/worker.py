"""The worker: Procrastinate runs the pipeline's steps, one task per row."""

import asyncio
import concurrent.futures
import contextlib
import datetime as dt
import functools
import logging
import signal
from collections.abc import Callable

import procrastinate

from adapter.bookings.failed_step import mark_failed, retry_later
from adapter.exceptions import StoreUnavailable
from adapter.mapping import registry
from adapter.pipeline import Pipeline
from adapter.server import hot_reload
from adapter.server.watchdog import Watchdog
from adapter.store import RECONNECT_SECONDS, Task, Transaction, check_reachable, queue_pool

log = logging.getLogger(__name__)

#: How often rows and tasks of dead workers are recovered.
RECOVERY_SECONDS = 5.0
#: How often a worker polls for tasks that became due. New tasks are announced by NOTIFY.
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 5.0
#: A worker without a heartbeat for this long counts as dead, and its tasks run again.
STALLED_SECONDS = 20.0
#: How long a stop waits for tasks in flight, and how much later it is forced.
GRACE_SECONDS = 23.0
FORCE_SECONDS = 2.0
#: A worker is stuck if one of its parts sends no heartbeat for this long, or for the timeouts of
#: this many requests to Propexo, whichever is longer. One search makes five requests.
DEAD_SECONDS = 240.0
DEAD_EXCHANGES = 8
#: Timeout of the query for stalled tasks.
QUEUE_SECONDS = 15.0
#: Longest pause before the worker reconnects to PostgreSQL.
LONGEST_PAUSE_SECONDS = 10.0


def run(pipeline: Pipeline) -> None:
    """Run tasks until SIGTERM or SIGINT, then finish those in flight.

    Raise :class:`StoreUnavailable` if PostgreSQL cannot be reached at the start. Later, the worker
    waits for it and reconnects.
    """
    check_reachable(pipeline.store.url)
    with pipeline.store:
        asyncio.run(_Worker(pipeline).run())


class _Worker:
    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._concurrency = pipeline.settings.worker_concurrency
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        slowest = DEAD_EXCHANGES * pipeline.propexo.timeout_seconds
        self._watchdog = Watchdog(("recovery", "tasks"), max(DEAD_SECONDS, slowest))
        #: A heartbeat submitted to the task threads; not done while all of them hang.
        self._probe: asyncio.Future[None] | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, "task")
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
        """Begin to stop. A second signal is ignored, so that tasks in flight can finish."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._watchdog.stop_within(GRACE_SECONDS + FORCE_SECONDS)
            self._pipeline.sender.stopping.set()
            if self._running is not None:
                self._running.cancel()

    def _reload(self) -> None:
        """Reload the mappings. If the new set is invalid, log it and keep the old one."""
        settings = self._pipeline.settings
        sources = hot_reload.reload_or_keep(
            lambda: registry.load(settings.mappings_dir, settings.policy)
        )
        if sources is not None:
            self._pipeline.sources = sources  # one assignment: no task sees a partial set

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _run_once(self) -> None:
        """Run Procrastinate's worker until a stop or a lost connection to PostgreSQL."""
        queue = queue_for(self._pipeline)
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
        """Run tasks and recovery concurrently, so that stuck tasks do not delay recovery."""
        async with queue.open_async():
            recovery = asyncio.create_task(self._recover(queue))
            try:
                await self._work(queue)
            finally:
                recovery.cancel()
                await asyncio.wait([recovery])

    async def _recover(self, queue: procrastinate.App) -> None:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1, "recovery") as thread:
            while True:
                try:
                    await asyncio.wait_for(release_stalled(queue), QUEUE_SECONDS)
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
        """Record a heartbeat for recovery and probe one task thread."""
        self._watchdog.heartbeat("recovery")
        if self._probe is None or self._probe.done():
            self._probe = loop.run_in_executor(None, self._watchdog.heartbeat, "tasks")

    async def _work(self, queue: procrastinate.App) -> None:
        log.info("worker_started", extra={"concurrency": self._concurrency})
        await queue.run_worker_async(
            concurrency=self._concurrency,
            install_signal_handlers=False,
            shutdown_graceful_timeout=GRACE_SECONDS,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            delete_jobs="always",
        )


def queue_for(pipeline: Pipeline) -> procrastinate.App:
    """Return Procrastinate's app with a task for each step of the pipeline."""
    connector = procrastinate.PsycopgConnector(
        conninfo=pipeline.store.url,
        min_size=1,
        max_size=4,
        timeout=5.0,
        reconnect_timeout=RECONNECT_SECONDS,
        pool_factory=queue_pool,
    )
    queue = procrastinate.App(connector=connector)
    for task, step in pipeline.steps.items():
        queue.task(name=task.value)(functools.partial(_run_step, pipeline, task, step))
    return queue


def _run_step(
    pipeline: Pipeline,
    task: Task,
    step: Callable[[int], object],
    row_id: int,
) -> None:
    """Run one step for one row. Never raise into Procrastinate.

    Procrastinate's own retry fails if another task for the row is queued. It then leaves the task
    in "doing", with its lock, until this worker ends.
    """
    try:
        step(row_id)
    except StoreUnavailable:
        log.warning("step_postponed", extra={"task": task, "row_id": row_id})
        _write_if_possible(pipeline, lambda tx, now: retry_later(tx, task, row_id, now))
    except Exception as exc:
        log.exception("step_failed", extra={"task": task, "row_id": row_id}, exc_info=exc)
        _write_if_possible(pipeline, lambda tx, now: mark_failed(tx, task, row_id, now))


def _write_if_possible(
    pipeline: Pipeline, write: Callable[[Transaction, dt.datetime], None]
) -> None:
    """Write unless PostgreSQL is unavailable. Recovery finds the row later."""
    with contextlib.suppress(StoreUnavailable), pipeline.store.transaction() as tx:
        write(tx, pipeline.clock())


async def release_stalled(queue: procrastinate.App) -> None:
    """Requeue the tasks of dead workers, which would stay in "doing" forever otherwise.

    Each task reads the current state of its row, so running one twice is harmless.
    """
    jobs = queue.job_manager
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        try:
            await jobs.retry_job(job)
        except procrastinate.exceptions.UniqueViolation:
            # Another task for its row is queued, so this one is not needed.
            await jobs.finish_job(job, procrastinate.jobs.Status.FAILED, delete_job=True)
        log.warning("stalled_task_released", extra={"task": job.task_name})
    await jobs.prune_stalled_workers(STALLED_SECONDS)
