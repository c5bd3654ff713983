"""Count how often a booking waits for PostgreSQL, from webhook to ``booked``."""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from adapter.server.worker import _Worker, queue_for
from adapter.store import Database, Task
from tests.harness import Harness
from tests.leads import lead
from tests.postgres_proxy import counting_proxy
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

MOST_ROUND_TRIPS = 20
MOST_STATEMENTS = 41


def test_a_booking_takes_few_round_trips(database: str, upstream: SandboxClient) -> None:
    """Count round trips and statements of web and worker, with Procrastinate's own.

    Counted are: storing the webhook, deferring the task, fetching it (and the fetch after it that
    finds none), mapping, both commits around the POST, finishing the task, the look that finds
    the check due, and the check. Connecting, polls that find nothing and recovery are not counted.
    Statements include BEGIN and COMMIT.
    """
    with (
        counting_proxy(database) as (url, proxy),
        Database(url, size=4) as opened,
        psycopg.connect(database, autocommit=True) as direct,
    ):
        harness = Harness(opened, upstream)
        with _worker(url, harness, direct):
            counts = []
            for number in range(12):
                proxy.counts.clear()
                _book(harness, number, direct)
                counts.append(dict(proxy.counts))
    # The others also opened a connection or prepared a statement on one.
    assert min(count["round trips"] for count in counts) <= MOST_ROUND_TRIPS, counts
    assert min(count["statements"] for count in counts) <= MOST_STATEMENTS, counts


def _book(harness: Harness, number: int, direct: psycopg.Connection[Any]) -> None:
    event_id = harness.receive("rentfeed", lead(number)).event_id
    sql = "SELECT FROM bookings WHERE event_id = %s AND state = 'submitted'"
    wait_until(lambda: direct.execute(sql, [event_id]).fetchone() is not None, "it is submitted")
    jobs = "SELECT FROM procrastinate_jobs"
    wait_until(lambda: direct.execute(jobs).fetchone() is None, "the task is finished")
    harness.clock.advance(10)
    assert harness.pipeline.due()[Task.CHECK] == 1
    assert harness.pipeline.run(Task.CHECK)
    sql = "SELECT FROM bookings WHERE event_id = %s AND state = 'booked'"
    assert direct.execute(sql, [event_id]).fetchone() is not None


@contextlib.contextmanager
def _worker(url: str, harness: Harness, direct: psycopg.Connection[Any]) -> Iterator[None]:
    """Run Procrastinate's worker like ours, but without polls and heartbeats."""
    queue = queue_for(url, _Worker(harness.pipeline)._start_mapping)
    loop = asyncio.new_event_loop()

    async def work() -> None:
        async with queue.open_async():
            await queue.run_worker_async(
                install_signal_handlers=False,
                fetch_job_polling_interval=600,
                update_heartbeat_interval=600,
                delete_jobs="always",
            )

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = loop.create_task(work())
        done = thread.submit(loop.run_until_complete, asyncio.wait([running]))
        try:
            wait_until(lambda: _is_listening(direct), "the worker listens")
            yield
        finally:
            loop.call_soon_threadsafe(running.cancel)
            done.result(30)
            loop.close()


def _is_listening(direct: psycopg.Connection[Any]) -> bool:
    sql = "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN \"procrastinate%'"
    return direct.execute(sql).fetchone() is not None
