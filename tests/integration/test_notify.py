"""Test notifying workers, and batched inserts."""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest

from adapter import store
from adapter.exceptions import StoreUnavailable
from adapter.store import Database, listen_for_received_events
from adapter.store.batch_insert import InsertBatcher
from adapter.store.notify import WorkerNotifier
from tests.postgres_proxy import counting_proxy
from tests.rows import new_event
from tests.wait import wait_until


@pytest.fixture
def heard(database: str) -> Iterator[Iterator[bool]]:
    """Yield the notifications that workers receive, and False every five seconds."""
    notifications = listen_for_received_events(database, 5.0)
    assert next(notifications) is False, "it listens"
    yield notifications
    notifications.close()  # type: ignore[attr-defined]


# --- notifying the workers


def test_the_workers_are_notified_after_an_event_is_committed(
    opened: Database, heard: Iterator[bool]
) -> None:
    assert opened.insert_event(new_event()) is not None
    opened.notify_workers()
    assert next(heard) is True


def test_a_requested_notification_is_sent_before_the_database_closes(
    database: str, heard: Iterator[bool]
) -> None:
    with Database(database) as opened:
        opened.notify_workers()
    assert next(heard) is True


def test_a_listener_without_a_connection_says_so(database: str, heard: Iterator[bool]) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE query LIKE '%LISTEN received'"
        )
    with pytest.raises(StoreUnavailable):
        next(heard)


@pytest.mark.parametrize(
    "use", [lambda url: next(listen_for_received_events(url, 0.5)), store.check_reachable]
)
def test_a_server_that_stalls_after_the_login_counts_as_unavailable(
    database: str, use: Callable[[str], object]
) -> None:
    """Simulate a server that stalls, like a paused pooler or a frozen PostgreSQL."""
    with counting_proxy(database) as (url, proxy):
        use(url)
        proxy.is_stalled = True
        with pytest.raises(StoreUnavailable, match="timeout expired"):
            use(url)


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
    """Check that items are retried one by one, except while PostgreSQL is unavailable."""
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
