"""Background jobs: stored as the installed Procrastinate stores them; notifications of workers."""

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

#: Triggers of Procrastinate on its table of jobs; False: disabled by us.
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
def listener(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection that receives the notifications of workers."""
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as connection:
        (channel,) = manager.get_channel_for_queues(None)
        connection.execute(f"LISTEN {channel}".encode())
        yield connection


def heard(listener: psycopg.Connection[Any], seconds: float = 5.0) -> list[str]:
    return [notice.payload for notice in listener.notifies(timeout=seconds, stop_after=1)]


# --- Procrastinate's schema


@pytest.mark.parametrize("at", [None, LATER])
def test_tasks_are_the_rows_that_procrastinate_would_insert(opened: Database, at: Any) -> None:
    """If it fails with a newer Procrastinate, a migration has to adapt enqueue_task."""
    queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
    with opened.transaction() as tx:
        tx.jobs.enqueue(Task.SEND, 3, at)
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


def test_the_task_of_an_event_is_the_same_as_an_enqueued_one(opened: Database) -> None:
    event_id = insert_event(opened)
    (with_event,) = jobs(opened)
    with opened.transaction() as tx:
        tx.connection.execute("DELETE FROM procrastinate_jobs")
        tx.jobs.enqueue(Task.MAP, event_id or 0)
    assert jobs(opened) == [with_event]


def test_exactly_these_triggers_are_disabled(opened: Database) -> None:
    with opened.transaction() as tx:
        rows = tx.connection.execute(
            "SELECT tgname, tgenabled FROM pg_trigger"
            " WHERE tgrelid = 'procrastinate_jobs'::regclass AND NOT tgisinternal"
        ).fetchall()
    assert {row["tgname"]: row["tgenabled"] == "O" for row in rows} == TRIGGERS


def test_another_violation_is_not_taken_for_a_waiting_task(opened_fresh: Database) -> None:
    with opened_fresh.transaction() as tx:
        tx.connection.execute("CREATE UNIQUE INDEX one_task ON procrastinate_jobs (task_name)")
        tx.jobs.enqueue(Task.SEND, 1)
    with pytest.raises(psycopg.errors.UniqueViolation), opened_fresh.transaction() as tx:
        tx.jobs.enqueue(Task.SEND, 2)


def test_a_row_has_one_waiting_task_of_a_kind_and_the_transaction_goes_on(opened: Database) -> None:
    with opened.transaction() as tx:
        tx.jobs.enqueue(Task.SEND, 1)
        tx.jobs.enqueue(Task.SEND, 1)
        tx.jobs.enqueue(Task.FOLLOW_UP, 1)
    assert tasks(opened) == [("send", 1), ("follow_up", 1)]


def test_the_queues_pool_commits_each_statement_and_replaces_closed_connections(
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


# --- notifying the workers


def test_a_task_that_can_run_notifies_the_workers_at_commit(
    opened: Database, listener: psycopg.Connection[Any]
) -> None:
    with opened.transaction() as tx:
        tx.jobs.enqueue(Task.SEND, 1)
    (payload,) = heard(listener)
    assert json.loads(payload)["type"] == "job_inserted"


def test_a_task_for_later_does_not_notify(
    opened: Database, listener: psycopg.Connection[Any]
) -> None:
    with opened.transaction() as tx:
        tx.jobs.enqueue(Task.SEND, 1, utc_now().replace(year=2999))
    with opened.transaction() as tx:
        tx.connection.execute("SELECT pg_notify('procrastinate_any_queue_v1', 'the end')")
    assert heard(listener) == ["the end"]


def test_the_workers_are_notified_after_an_event_is_committed(
    opened: Database, listener: psycopg.Connection[Any]
) -> None:
    assert opened.insert_event(new_event()) is not None
    opened.notify_workers()
    (payload,) = heard(listener)
    assert json.loads(payload)["type"] == "job_inserted"


def test_a_requested_notification_is_sent_before_the_database_closes(
    database: str, listener: psycopg.Connection[Any]
) -> None:
    with Database(database) as opened:
        opened.notify_workers()
    assert heard(listener)


def test_several_requests_are_answered_by_one_notification() -> None:
    sent, may_go = [], threading.Event()

    def send() -> None:
        sent.append(True)
        may_go.wait()

    notifier = WorkerNotifier(send)
    notifier.notify()
    wait_until(lambda: sent, "the first is sent")
    for _ in range(50):
        notifier.notify()
    may_go.set()
    notifier.close()
    assert len(sent) == 2


def test_a_failed_notification_does_not_stop_the_next_one() -> None:
    sent = []

    def send() -> None:
        sent.append(True)
        if len(sent) == 1:
            raise StoreUnavailable("away")

    notifier = WorkerNotifier(send)
    notifier.notify()
    wait_until(lambda: sent, "the first is sent")
    notifier.notify()
    wait_until(lambda: len(sent) > 1, "the second is sent")
    notifier.close()


# --- batches


def test_events_of_many_threads_are_stored_once_and_each_thread_gets_its_id(
    opened: Database,
) -> None:
    digests = [f"{number % 40}".encode() for number in range(200)]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(lambda digest: opened.insert_event(new_event(digest)), digests))
    stored = {digest: event_id for digest, event_id in zip(digests, ids, strict=True) if event_id}
    assert len([event_id for event_id in ids if event_id]) == len(stored) == 40
    with opened.transaction() as tx:
        for digest, event_id in stored.items():
            row = tx.connection.execute(
                "SELECT lead_id FROM claims WHERE digest = %s", [digest]
            ).fetchone()
            assert row == {"lead_id": event_id}
    assert sorted(tasks(opened)) == sorted(("map_event", event_id) for event_id in stored.values())


def test_a_row_that_postgresql_refuses_fails_alone(opened: Database, database: str) -> None:
    bad = dataclasses.replace(new_event(), digest=None)  # type: ignore[arg-type]
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with (
        concurrent.futures.ThreadPoolExecutor(4) as threads,
        psycopg.connect(database) as holder,
        psycopg.connect(database, autocommit=True) as looker,
    ):
        holder.execute("LOCK TABLE claims")
        first = threads.submit(opened.insert_event, new_event(b"first"))
        wait_until(lambda: looker.execute(waits).fetchone() == (1,), "the first is running")
        others = [threads.submit(opened.insert_event, new) for new in (new_event(b"2"), bad)]
        wait_until(lambda: len(opened._batcher._waiting) == 2, "the others wait")
        holder.rollback()
        assert first.result() is not None
        assert others[0].result() is not None
        assert isinstance(others[1].exception(), psycopg.IntegrityError)
    assert len(tasks(opened)) == 2


def test_two_processes_that_claim_the_same_digests_do_not_deadlock(
    database: str,
) -> None:
    digests = [f"{number:03}".encode() for number in range(16)]
    with Database(database) as one, Database(database) as other:

        def claim(opened: Database, ordered: Sequence[bytes]) -> list[int | None]:
            with opened.statement() as tx:
                return tx.events.insert_many([new_event(digest) for digest in ordered])

        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            for number in range(30):
                fresh = [digest + bytes([number]) for digest in digests]
                ours = threads.submit(claim, one, fresh)
                theirs = threads.submit(claim, other, fresh[::-1])
                claimed = [*filter(None, ours.result()), *filter(None, theirs.result())]
                assert len(claimed) == len(fresh)


def test_items_submitted_during_an_insert_are_inserted_together() -> None:
    batches: list[list[int]] = []
    may_go = threading.Event()

    def insert(items: Sequence[int]) -> list[int]:
        batches.append(sorted(items))
        may_go.wait()
        return [-one for one in items]

    batcher = InsertBatcher(insert)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        first = threads.submit(batcher.submit, 1)
        wait_until(lambda: batches, "the first is running")
        others = [threads.submit(batcher.submit, number) for number in (2, 3, 4)]
        wait_until(lambda: len(batcher._waiting) == 3, "the others wait")
        may_go.set()
        assert [future.result() for future in (first, *others)] == [-1, -2, -3, -4]
    assert batches == [[1], [2, 3, 4]]


@pytest.mark.parametrize(
    ("error", "batches"),
    [
        (ValueError("wrong"), [[1], [2, 3, 4], [2], [3], [4]]),
        (StoreUnavailable("away"), [[1], [2, 3, 4]]),
    ],
)
def test_an_item_that_cannot_be_inserted_fails_alone(
    error: Exception, batches: list[list[int]]
) -> None:
    """If PostgreSQL is unavailable, items are not retried one by one: each try may take seconds."""
    made: list[list[int]] = []
    may_go = threading.Event()

    def insert(items: Sequence[int]) -> list[int]:
        made.append(sorted(items))
        may_go.wait()
        if 3 in items:
            raise error
        return list(items)

    batcher = InsertBatcher(insert)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        first = threads.submit(batcher.submit, 1)
        wait_until(lambda: made, "the first is running")
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
    assert made == batches
    assert batcher.submit(5) == 5


def test_a_timeout_fails_those_that_wait_without_another_timeout() -> None:
    tries, may_go = [], threading.Event()

    def insert(items: Sequence[int]) -> list[int]:
        tries.append(items)
        may_go.wait()
        raise StoreUnavailable("timeout")

    batcher = InsertBatcher(insert)
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        first = threads.submit(batcher.submit, 1)
        wait_until(lambda: tries, "the first is running")
        others = [threads.submit(batcher.submit, number) for number in (2, 3, 4)]
        wait_until(lambda: len(batcher._waiting) == 3, "the others wait")
        may_go.set()
        for future in (first, *others):
            assert isinstance(future.exception(), StoreUnavailable)
    assert len(tries) == 1
    may_go.set()
    with pytest.raises(StoreUnavailable):
        batcher.submit(5)
