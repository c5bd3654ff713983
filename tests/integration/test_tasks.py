"""How tasks are put: as the installed Procrastinate puts them, and how the workers are woken."""

import asyncio
import concurrent.futures
import dataclasses
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import procrastinate
import psycopg
import pytest
from procrastinate import manager
from psycopg.rows import dict_row

from adapter.exceptions import StoreUnavailable
from adapter.models import utc_now
from adapter.store import Database, Task, queue_pool
from adapter.store.batch_insert import InsertBatcher
from adapter.store.notify import WorkerNotifier
from tests.rows import LATER, insert_event, new_event, tasks
from tests.wait import wait_until

#: What Procrastinate does by itself when a task is put or changes; False: switched off by us.
TRIGGERS = {
    "procrastinate_jobs_notify_queue_job_inserted_v1": False,
    "procrastinate_jobs_notify_queue_job_aborted_v1": True,
    "procrastinate_trigger_status_events_update_v1": False,
    "procrastinate_trigger_status_events_insert_v1": False,
    "procrastinate_trigger_scheduled_events_v1": False,
    "procrastinate_trigger_abort_requested_events_v1": True,
    "procrastinate_trigger_delete_jobs_v1": True,
}


def jobs(opened: Database) -> list[dict[str, Any]]:
    with opened.transaction() as tx:
        found = tx.connection.execute("SELECT * FROM procrastinate_jobs ORDER BY id").fetchall()
    return [{key: value for key, value in job.items() if key != "id"} for job in found]


@pytest.fixture
def ear(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that hears what wakes a worker."""
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        (channel,) = manager.get_channel_for_queues(None)
        connection.execute(f"LISTEN {channel}".encode())
        yield connection


def heard(ear: psycopg.Connection[Any], seconds: float = 5.0) -> list[str]:
    return [notice.payload for notice in ear.notifies(timeout=seconds, stop_after=1)]


# --- Procrastinate's schema


@pytest.mark.parametrize("at", [None, LATER])
def test_our_tasks_are_the_rows_that_procrastinate_would_write(opened: Database, at: Any) -> None:
    """When a newer version writes something else, enqueue_task is to be followed by another."""
    queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
    with opened.transaction() as tx:
        tx.put_task(Task.SEND, 3, at)
    (ours,) = jobs(opened)
    with opened.transaction() as tx:
        tx.connection.execute("DELETE FROM procrastinate_jobs")
        deferrer = queue.configure_task(
            "send",
            queueing_lock="send:3",
            lock="send:3",
            schedule_at=at,
            priority=5,
            connection=tx.connection,
        )
        deferrer.defer(row_id=3)
    assert jobs(opened) == [ours]


def test_an_events_task_is_the_one_that_is_put_by_hand(opened: Database) -> None:
    event_id = insert_event(opened)
    (with_event,) = jobs(opened)
    with opened.transaction() as tx:
        tx.connection.execute("DELETE FROM procrastinate_jobs")
        tx.put_task(Task.MAP, event_id or 0)
    assert jobs(opened) == [with_event]


def test_what_we_switched_off_is_all_that_there_is(opened: Database) -> None:
    with opened.transaction() as tx:
        rows = tx.connection.execute(
            "SELECT tgname, tgenabled FROM pg_trigger"
            " WHERE tgrelid = 'procrastinate_jobs'::regclass AND NOT tgisinternal"
        ).fetchall()
    assert {row["tgname"]: row["tgenabled"] == "O" for row in rows} == TRIGGERS


def test_another_violation_is_not_taken_for_a_waiting_task(opened_fresh: Database) -> None:
    with opened_fresh.transaction() as tx:
        tx.connection.execute("CREATE UNIQUE INDEX one_task ON procrastinate_jobs (task_name)")
        tx.put_task(Task.SEND, 1)
    with pytest.raises(psycopg.errors.UniqueViolation), opened_fresh.transaction() as tx:
        tx.put_task(Task.SEND, 2)


def test_a_row_has_one_waiting_task_of_a_kind_and_the_transaction_goes_on(opened: Database) -> None:
    with opened.transaction() as tx:
        tx.put_task(Task.SEND, 1)
        tx.put_task(Task.SEND, 1)
        tx.put_task(Task.FOLLOW_UP, 1)
    assert tasks(opened) == [("send", 1), ("follow_up", 1)]


def test_the_queues_statements_are_transactions_and_cut_connections_are_replaced(
    database: str,
) -> None:
    async def backends() -> list[int]:
        async with queue_pool(conninfo=database, min_size=1, open=False) as pool:
            async with pool.connection() as connection:
                assert connection.autocommit
                first = connection.info.backend_pid
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
                return [first, connection.info.backend_pid]

    first, second = asyncio.run(backends())
    assert first != second


# --- waking the workers


def test_a_task_that_can_run_wakes_the_workers_at_commit(
    opened: Database, ear: psycopg.Connection[Any]
) -> None:
    with opened.transaction() as tx:
        tx.put_task(Task.SEND, 1)
    (payload,) = heard(ear)
    assert json.loads(payload)["type"] == "job_inserted"


def test_a_task_for_later_wakes_nobody(opened: Database, ear: psycopg.Connection[Any]) -> None:
    with opened.transaction() as tx:
        tx.put_task(Task.SEND, 1, utc_now().replace(year=2999))
    with opened.transaction() as tx:
        tx.connection.execute("SELECT pg_notify('procrastinate_any_queue_v1', 'the end')")
    assert heard(ear) == ["the end"]


def test_an_event_is_announced_after_its_commit(
    opened: Database, ear: psycopg.Connection[Any]
) -> None:
    assert opened.insert_event(new_event()) is not None
    opened.notify_workers()
    (payload,) = heard(ear)
    assert json.loads(payload)["type"] == "job_inserted"


def test_what_is_announced_is_told_before_the_store_closes(
    database: str, ear: psycopg.Connection[Any]
) -> None:
    with Database(database) as opened:
        opened.notify_workers()
    assert heard(ear)


def test_many_announcements_are_told_at_once() -> None:
    told, may_go = [], threading.Event()

    def tell() -> None:
        told.append(True)
        may_go.wait()

    notifier = WorkerNotifier(tell)
    notifier.notify()
    wait_until(lambda: told, "the first is told")
    for _ in range(50):
        notifier.notify()
    may_go.set()
    notifier.close()
    assert len(told) == 2


def test_a_herald_that_was_not_heard_tells_the_next_one() -> None:
    told = []

    def tell() -> None:
        told.append(True)
        if len(told) == 1:
            raise StoreUnavailable("away")

    notifier = WorkerNotifier(tell)
    notifier.notify()
    wait_until(lambda: told, "the first is told")
    notifier.notify()
    wait_until(lambda: len(told) > 1, "the second is told")
    notifier.close()


# --- together


def test_events_of_many_threads_are_stored_once_each_and_each_knows_its_own(
    opened: Database,
) -> None:
    digests = [f"{number % 40}".encode() for number in range(200)]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda digest: opened.insert_event(new_event(digest)), digests))
    stored = {digest: event_id for digest, event_id in zip(digests, ids, strict=True) if event_id}
    assert len([event_id for event_id in ids if event_id]) == len(stored) == 40
    with opened.transaction() as tx:
        for digest, event_id in stored.items():
            assert tx.event_of_claim("rentfeed", digest) == event_id
    assert sorted(tasks(opened)) == sorted(("map_event", event_id) for event_id in stored.values())


def test_a_row_that_postgresql_refuses_takes_nobody_down(opened: Database, database: str) -> None:
    bad = dataclasses.replace(new_event(), digest=None)  # type: ignore[arg-type]
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with (
        concurrent.futures.ThreadPoolExecutor(4) as threads,
        psycopg.connect(database) as holder,
        psycopg.connect(database, autocommit=True) as looker,
    ):
        holder.execute("LOCK TABLE claims")
        first = threads.submit(opened.insert_event, new_event(b"first"))
        wait_until(lambda: looker.execute(waits).fetchone() == (1,), "the first is under way")
        others = [threads.submit(opened.insert_event, new) for new in (new_event(b"2"), bad)]
        wait_until(lambda: len(opened._batcher._waiting) == 2, "the others wait")
        holder.rollback()
        assert first.result() is not None
        assert others[0].result() is not None
        assert isinstance(others[1].exception(), psycopg.IntegrityError)
    assert len(tasks(opened)) == 2


def test_two_stores_that_claim_the_same_in_another_order_do_not_wait_for_each_other(
    database: str,
) -> None:
    digests = [f"{number:03}".encode() for number in range(16)]
    with Database(database) as one, Database(database) as other:

        def claim(opened: Database, ordered: Sequence[bytes]) -> list[int | None]:
            with opened.statement() as leads:
                return leads.insert_events([new_event(digest) for digest in ordered])

        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            for number in range(30):
                fresh = [digest + bytes([number]) for digest in digests]
                ours = threads.submit(claim, one, fresh)
                theirs = threads.submit(claim, other, fresh[::-1])
                claimed = [*filter(None, ours.result()), *filter(None, theirs.result())]
                assert len(claimed) == len(fresh)


def test_those_who_come_while_one_is_under_way_cross_together() -> None:
    crossings: list[list[int]] = []
    may_go = threading.Event()

    def carry(cargo: Sequence[int]) -> list[int]:
        crossings.append(sorted(cargo))
        may_go.wait()
        return [-one for one in cargo]

    batcher = InsertBatcher(carry)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        first = threads.submit(batcher.submit, 1)
        wait_until(lambda: crossings, "the first is under way")
        others = [threads.submit(batcher.submit, number) for number in (2, 3, 4)]
        wait_until(lambda: len(batcher._waiting) == 3, "the others wait")
        may_go.set()
        assert [future.result() for future in (first, *others)] == [-1, -2, -3, -4]
    assert crossings == [[1], [2, 3, 4]]


@pytest.mark.parametrize(
    ("error", "crossings"),
    [
        (ValueError("wrong"), [[1], [2, 3, 4], [2], [3], [4]]),
        (StoreUnavailable("away"), [[1], [2, 3, 4]]),
    ],
)
def test_one_that_cannot_cross_takes_nobody_down(
    error: Exception, crossings: list[list[int]]
) -> None:
    """Where PostgreSQL is away nobody is tried alone: each try may take seconds."""
    made: list[list[int]] = []
    may_go = threading.Event()

    def carry(cargo: Sequence[int]) -> list[int]:
        made.append(sorted(cargo))
        may_go.wait()
        if 3 in cargo:
            raise error
        return list(cargo)

    batcher = InsertBatcher(carry)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        first = threads.submit(batcher.submit, 1)
        wait_until(lambda: made, "the first is under way")
        others = []
        for number in (2, 3, 4):
            others.append(threads.submit(batcher.submit, number))
            wait_until(lambda: len(batcher._waiting) == len(others), "it waits")
        may_go.set()
        assert first.result() == 1
        assert others[1].exception() is error
        is_away = isinstance(error, StoreUnavailable)
        assert [other.exception() for other in (others[0], others[2])] == [
            error if is_away else None
        ] * 2
    assert made == crossings
    assert batcher.submit(5) == 5


def test_who_waits_while_postgresql_says_nothing_does_not_wait_for_it_once_more() -> None:
    tries, may_go = [], threading.Event()

    def carry(cargo: Sequence[int]) -> list[int]:
        tries.append(cargo)
        may_go.wait()
        raise StoreUnavailable("it says nothing")

    batcher = InsertBatcher(carry)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        first = threads.submit(batcher.submit, 1)
        wait_until(lambda: tries, "the first is under way")
        others = [threads.submit(batcher.submit, number) for number in (2, 3, 4)]
        wait_until(lambda: len(batcher._waiting) == 3, "the others wait")
        may_go.set()
        for future in (first, *others):
            assert isinstance(future.exception(), StoreUnavailable)
    assert len(tries) == 1
    may_go.set()
    with pytest.raises(StoreUnavailable):
        batcher.submit(5)
