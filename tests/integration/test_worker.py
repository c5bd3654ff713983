"""The worker as a process: what is in flight is finished, and a dead one's tasks come back."""

import asyncio

import psycopg

from adapter.server.watchdog import DEAD, Watchdog
from adapter.server.worker import STALLED_SECONDS, queue_for, release_stalled
from tests.harness import Harness, tour


def test_the_tasks_of_a_dead_worker_are_given_back(harness: Harness) -> None:
    receipt = harness.receive("rentfeed", tour())
    with psycopg.connect(harness.pipeline.store.url, autocommit=True) as connection:
        dead = connection.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) "
            "VALUES (now() - make_interval(secs => %s)) RETURNING id",
            [STALLED_SECONDS + 5],
        ).fetchone()
        assert dead is not None
        connection.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", [dead[0]]
        )

        async def release() -> None:
            queue = queue_for(harness.pipeline)
            async with queue.open_async():
                await release_stalled(queue)
                await queue.run_worker_async(wait=False, install_signal_handlers=False)

        asyncio.run(release())

    assert harness.story(receipt.event_id).event.state == "mapped"


# --- a process that lives and works no more ----------------------------------------------------


def test_a_part_is_dead_after_so_many_ticks_without_life() -> None:
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


def test_a_stop_is_given_its_time_and_no_more() -> None:
    ended: list[int] = []
    watchdog = Watchdog(("tasks",), 1.0, ended.append)
    watchdog.stop_within(2.0)
    watchdog.tick()
    watchdog.tick()
    assert ended == []
    watchdog.tick()
    assert ended == [DEAD]
