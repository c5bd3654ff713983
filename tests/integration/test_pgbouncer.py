"""Test booking with PgBouncer in transaction mode, where each transaction gets a new session."""

import concurrent.futures
import logging
from collections.abc import Iterator

import psycopg
import pytest

from adapter import store
from adapter.exceptions import StoreUnavailable
from adapter.models import BookingState
from adapter.server.worker import Worker
from adapter.store import Database, Task
from adapter.store import notify as notify_module
from tests.databases import listeners
from tests.harness import Harness
from tests.leads import lead
from tests.pooler import needs_pgbouncer, running_pgbouncer
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

pytestmark = needs_pgbouncer


@pytest.fixture
def pooled(empty_database: str) -> Iterator[str]:
    with running_pgbouncer(empty_database) as url:
        yield url


def test_leads_are_migrated_stored_and_booked(
    pooled: str, empty_database: str, upstream: SandboxClient, caplog: pytest.LogCaptureFixture
) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(store.migrate, [pooled] * 4))
    assert sum(map(len, runs)) == len(set().union(*runs)) > 0
    assert store.migrate(pooled) == [], "no lock was left behind"

    with Database(pooled, size=8) as opened:
        harness = Harness(opened, upstream)
        with Worker(harness.pipeline).running(), caplog.at_level(logging.WARNING):
            received = [harness.receive("rentfeed", lead(number)).event_id for number in range(20)]
            wait_until(
                lambda: all(is_sent(harness, event_id) for event_id in received),
                "all are sent",
            )
        for _ in received:
            harness.clock.advance(10)
            harness.pipeline.run(Task.CHECK)
        assert opened.check_schema().missing == ()
        opened.check_room()
    assert len(upstream.posts()) == 20
    assert listeners(empty_database, "received") == []
    assert [record.getMessage() for record in caplog.records if "job" not in record.msg] == []


def is_sent(harness: Harness, event_id: int) -> bool:
    states = {one.state for one in harness.story(event_id).bookings}
    return bool(states) and states <= {BookingState.SUBMITTED, BookingState.BOOKED}


def test_the_timeout_of_a_process_is_not_that_of_others(pooled: str) -> None:
    with Database(pooled, size=2, statement_seconds=0.2) as opened, opened.statement() as tx:
        assert tx.connection.prepare_threshold is None
    with psycopg.connect(pooled, autocommit=True) as other:
        for _ in range(3):
            assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_a_waiting_request_is_woken_without_notifications(
    pooled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_module, "POOLED_SECONDS", 0.05)
    woken = store.listen_for_settled_events(pooled)

    assert [next(woken) for _ in range(3)] == [None] * 3


def test_without_a_pooler_statements_are_prepared_and_time_out(database: str) -> None:
    with Database(database, size=1, statement_seconds=0.2) as opened:
        with opened.statement() as tx:
            assert tx.connection.prepare_threshold == 5
            assert str(tx.connection.info.timezone) == "UTC"
        canceled = pytest.raises(StoreUnavailable, match=r"statement timeout \(57014\)")
        with canceled, opened.statement() as tx:
            tx.connection.execute("SELECT pg_sleep(5)")
