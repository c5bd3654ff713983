"""Test the worker as a process: graceful shutdown, and recovery of a dead worker's tasks."""

import asyncio

import psycopg

from adapter.models import BookingState
from adapter.server.watchdog import DEAD, Watchdog
from adapter.server.worker import STALLED_SECONDS, _Worker, delete_stalled, queue_for
from tests.harness import Harness
from tests.leads import lead
from tests.sandbox_client import SandboxClient


def test_the_tasks_of_a_dead_worker_are_deleted(harness: Harness) -> None:
    url = harness.pipeline.store.url
    harness.pipeline.store._notify_workers()
    with psycopg.connect(url, autocommit=True) as connection:
        dead = connection.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) "
            "VALUES (now() - make_interval(secs => %s)) RETURNING id",
            [STALLED_SECONDS + 5],
        ).fetchone()
        assert dead is not None
        connection.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", [dead[0]]
        )

        async def delete() -> None:
            queue = queue_for(url, asyncio.Event().wait)
            async with queue.open_async():
                await delete_stalled(queue)

        asyncio.run(delete())
        for table in ("procrastinate_jobs", "procrastinate_workers"):
            assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall() == []


def test_a_task_maps_all_received_events_and_sends_what_they_book(
    harness: Harness, upstream: SandboxClient
) -> None:
    events = [harness.receive("rentfeed", lead(number)).event_id for number in range(3)]
    harness.pipeline.store._notify_workers()

    async def work() -> None:
        worker = _Worker(harness.pipeline)
        queue = queue_for(harness.pipeline.store.url, worker._start_mapping)
        async with queue.open_async():
            await queue.run_worker_async(wait=False, install_signal_handlers=False)
        await asyncio.wait(worker._announced)

    asyncio.run(work())
    states = [harness.story(event_id).bookings[0].state for event_id in events]
    assert states == [BookingState.SUBMITTED] * 3
    assert len(upstream.posts()) == 3


# --- a process that is alive but stuck ----------------------------------------------------


def test_a_process_is_stuck_after_several_missed_heartbeats() -> None:
    ended: list[int] = []
    watchdog = Watchdog(("tasks", "recovery"), 3.0, ended.append)
    for _ in range(10):
        watchdog.tick()
        watchdog.heartbeat("tasks")
        watchdog.heartbeat("recovery")
    assert ended == []
    for _ in range(3):
        watchdog.heartbeat("tasks")
        watchdog.tick()
    assert ended == []
    watchdog.tick()
    assert ended == [DEAD]


def test_a_stop_waits_for_a_limited_time() -> None:
    ended: list[int] = []
    watchdog = Watchdog(("tasks",), 1.0, ended.append)
    watchdog.stop_within(2.0)
    watchdog.tick()
    watchdog.tick()
    assert ended == []
    watchdog.tick()
    assert ended == [DEAD]
