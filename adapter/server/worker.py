"""The worker: Procrastinate runs the pipeline's steps, one task for each look at a row."""

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

#: How often dead workers' rows and tasks are looked for.
RECOVERY_SECONDS = 5.0
#: How often a worker looks for tasks that became due; new ones are announced at once.
POLL_SECONDS = 0.5
HEARTBEAT_SECONDS = 5.0
#: A worker that has been silent this long is taken for dead, and its tasks are run again.
STALLED_SECONDS = 20.0
#: How long a stop waits for what is in flight; so much later it no longer waits for anything.
GRACE_SECONDS = 23.0
FORCE_SECONDS = 2.0
#: A part of a worker that has shown no life for so long is dead, or for as long as so many
#: exchanges with Propexo may take: one search makes five.
DEAD_SECONDS = 240.0
DEAD_EXCHANGES = 8
#: What says that PostgreSQL is away.
AWAY = (StoreUnavailable, procrastinate.exceptions.ConnectorException)
#: How long the queue may take to say which tasks are stalled.
QUEUE_SECONDS = 15.0
#: Longest pause before the worker tries PostgreSQL again.
LONGEST_PAUSE_SECONDS = 10.0


def run(pipeline: Pipeline) -> None:
    """Runs tasks until SIGTERM or SIGINT; what is in flight is finished first.

    Raises :class:`StoreUnavailable` when PostgreSQL cannot be reached at the start. Later it is
    waited for: the worker comes back by itself.
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
        #: What shows that the threads of the tasks live, until one of them takes it up.
        self._probe: asyncio.Future[None] | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        threads = concurrent.futures.ThreadPoolExecutor(self._concurrency, "task")
        loop.set_default_executor(threads)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._renew)
        self._watchdog.watch()
        pause = 0.5
        while not self._stopping.is_set():
            began = loop.time()
            await self._run_once()
            self._heartbeat(loop)  # also while PostgreSQL is away
            pause = 0.5 if loop.time() - began > LONGEST_PAUSE_SECONDS else pause * 2
            pause = min(pause, LONGEST_PAUSE_SECONDS)
            await self._pause(pause)

    def _stop(self) -> None:
        """Asks once; a second signal changes nothing, so that the first can finish its work."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._watchdog.stop_within(GRACE_SECONDS + FORCE_SECONDS)
            self._pipeline.sender.stopping.set()
            if self._running is not None:
                self._running.cancel()

    def _renew(self) -> None:
        """Takes up new mappings; a wrong set is told, and the old one stays."""
        settings = self._pipeline.settings
        found = hot_reload.reload_or_keep(
            lambda: registry.load(settings.mappings_dir, settings.policy)
        )
        if found is not None:
            self._pipeline.sources = found  # in one step: no task sees half of a set

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _run_once(self) -> None:
        """One life of Procrastinate's worker: until a stop, or until PostgreSQL is lost."""
        queue = queue_for(self._pipeline)
        self._running = asyncio.create_task(self._live(queue))
        try:
            await self._running
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        except (procrastinate.exceptions.ConnectorException, OSError) as exc:
            log.warning("worker_lost_postgresql", exc_info=exc)
        else:
            log.warning("worker_ended_by_itself")
        finally:
            self._running = None

    async def _live(self, queue: procrastinate.App) -> None:
        """The work, and beside it the recovery: it must not wait behind what it is to rescue."""
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
        """Recovery came round; and one of the threads that run tasks is asked to show its life."""
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
    """Procrastinate's app with a task for each step of the pipeline."""
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
    """One look at one row. Nothing is raised into Procrastinate.

    Its own retry fails where another task for the row waits already, and then leaves the task
    "doing" with its lock, for as long as this worker lives.
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
    """Write unless PostgreSQL is unavailable; recovery finds the row later."""
    with contextlib.suppress(StoreUnavailable), pipeline.store.transaction() as tx:
        write(tx, pipeline.clock())


async def release_stalled(queue: procrastinate.App) -> None:
    """Gives the tasks of dead workers back to the queue.

    Without this they would stay "doing" for ever. The rows they name may have moved on: each task
    looks at its row again, so running one twice does no harm.
    """
    jobs = queue.job_manager
    for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        try:
            await jobs.retry_job(job)
        except procrastinate.exceptions.UniqueViolation:
            # Its row has another waiting task: this one is not needed.
            await jobs.finish_job(job, procrastinate.jobs.Status.FAILED, delete_job=True)
        log.warning("stalled_task_released", extra={"task": job.task_name})
    await jobs.prune_stalled_workers(STALLED_SECONDS)
