"""The worker as a process: what is in flight is finished, and a dead one's tasks come back."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from adapter.embedded import EmbeddedServer
from adapter.worker import STALLED_SECONDS, queue_for, release_stalled
from tests.house import House, tour
from tests.running import Running
from tests.waiting import wait_until


def test_the_tasks_of_a_dead_worker_are_given_back(house: House) -> None:
    receipt = house.receive("rentfeed", tour())
    with psycopg.connect(house.pipeline.store.url, autocommit=True) as connection:
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
            queue = queue_for(house.pipeline)
            async with queue.open_async():
                await release_stalled(queue)
                await queue.run_worker_async(wait=False, install_signal_handlers=False)

        asyncio.run(release())

    assert house.story(receipt.event_id).event.state == "mapped"


@pytest.mark.processes
def test_a_stop_finishes_what_is_in_flight(start: Callable[..., Running], lead: Path) -> None:
    running = start()
    running.upstream.fault({"delay": 4})
    assert running.send(lead).startswith("202 ")
    wait_until(lambda: running.upstream.posts(), "the sandbox holds the POST open")
    worker = running.part("worker")
    for _ in range(50):
        worker.send_signal(signal.SIGTERM)
    worker.wait(25)

    url = EmbeddedServer(Path(running.environ["ADAPTER_DATA_DIR"])).url
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT outcome, status FROM attempts").fetchone()
    assert row == ("accepted", 200)
    assert len(running.upstream.posts()) == 1
