"""Count how often a booking waits for PostgreSQL, from webhook to ``booked``."""

import psycopg
import pytest

from adapter.server import worker
from adapter.server.worker import Worker
from adapter.store import Database, Task
from tests.databases import listeners
from tests.harness import Harness
from tests.leads import lead
from tests.postgres_proxy import PostgresProxy, counting_proxy
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

MOST_ROUND_TRIPS = 13
MOST_STATEMENTS = 32
#: BEGIN and the search for events take one round trip, and COMMIT takes the other.
MOST_ROUND_TRIPS_IN_VAIN = 2


def test_a_booking_takes_few_round_trips(
    database: str, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the round trips and statements of web and worker for a booking.

    The counts include storing the webhook, notifying the worker, mapping, both commits around the
    POST, the poll that finds the check due, and the check. Connecting, polls that find nothing and
    recovery are not counted. Statements include BEGIN and COMMIT.
    """
    for name in ("POLL_SECONDS", "RECOVERY_SECONDS"):
        monkeypatch.setattr(worker, name, 600.0)
    with (
        counting_proxy(database) as (url, proxy),
        Database(url, size=4) as opened,
        psycopg.connect(database, autocommit=True) as direct,
    ):
        harness = Harness(opened, upstream)
        with Worker(harness.pipeline).running():
            wait_until(lambda: listeners(database, "received"), "the worker listens")
            counts = []
            for number in range(12):
                proxy.counts.clear()
                _book(harness, number, direct)
                counts.append(dict(proxy.counts))
    # The others also opened a connection or prepared a statement on one.
    assert min(count["round trips"] for count in counts) <= MOST_ROUND_TRIPS, counts
    assert min(count["statements"] for count in counts) <= MOST_STATEMENTS, counts


def _book(harness: Harness, number: int, direct: psycopg.Connection[tuple[object, ...]]) -> None:
    event_id = harness.receive("rentfeed", lead(number)).event_id
    sql = "SELECT FROM bookings WHERE event_id = %s AND state = 'submitted'"
    wait_until(lambda: direct.execute(sql, [event_id]).fetchone() is not None, "it is submitted")
    harness.clock.advance(10)
    assert harness.pipeline.due()[Task.CHECK] == 1
    assert harness.pipeline.run(Task.CHECK)
    sql = "SELECT FROM bookings WHERE event_id = %s AND state = 'booked'"
    assert direct.execute(sql, [event_id]).fetchone() is not None


def test_a_notification_without_an_event_takes_few_round_trips(
    database: str, upstream: SandboxClient
) -> None:
    """Let another worker map the event, so that this worker does not lock the rate limit."""
    with counting_proxy(database) as (url, proxy), Database(url, size=1) as opened:
        one = Worker(Harness(opened, upstream).pipeline)
        counts = [_round_trips(one, proxy) for _ in range(12)]
    assert min(counts) <= MOST_ROUND_TRIPS_IN_VAIN, counts


def _round_trips(one: Worker, proxy: PostgresProxy) -> int:
    proxy.counts.clear()
    one._run_task(Task.MAP)
    return proxy.counts["round trips"]
