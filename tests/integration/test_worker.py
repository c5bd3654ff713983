"""Test workers inside this process: notifications, polling, and several workers."""

import contextlib
from collections.abc import Iterator, Mapping

import psycopg
import pytest

from adapter.models import BookingState
from adapter.server import worker
from adapter.server.watchdog import DEAD, Watchdog
from adapter.server.worker import Worker
from adapter.store import Database, Task
from tests.databases import listeners
from tests.harness import Harness
from tests.leads import lead
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

NEVER = 600.0


@contextlib.contextmanager
def working(harness: Harness, workers: int = 1) -> Iterator[list[int]]:
    """Run a worker, and yield its listener's server process ID. Wait for ``workers`` listeners."""
    url = harness.pipeline.store.url
    with Worker(harness.pipeline).running():
        wait_until(lambda: len(listeners(url, "received")) == workers, "it listens")
        yield listeners(url, "received")


def wait_until_sent(harness: Harness, events: list[int]) -> None:
    states = [BookingState.SUBMITTED] * len(events)
    wait_until(
        lambda: [one.state for event in events for one in harness.story(event).bookings] == states,
        "the tours are sent",
    )


@pytest.fixture
def no_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll only once, at the start."""
    monkeypatch.setattr(worker, "POLL_SECONDS", NEVER)


@pytest.mark.usefixtures("no_polls")
def test_received_events_are_mapped_and_sent_when_they_are_announced(
    harness: Harness, upstream: SandboxClient
) -> None:
    with working(harness):
        events = [harness.receive("rentfeed", lead(number)).event_id for number in range(3)]
        wait_until_sent(harness, events)
    assert len(upstream.posts()) == 3


@pytest.mark.usefixtures("no_polls")
def test_a_listener_that_is_disconnected_listens_again(harness: Harness) -> None:
    url = harness.pipeline.store.url
    with working(harness) as (pid,):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        wait_until(lambda: listeners(url, "received") not in ([], [pid]), "it listens again")
        wait_until_sent(harness, [harness.receive("rentfeed", lead(1)).event_id])


@pytest.mark.usefixtures("no_polls")
def test_each_outage_of_the_listener_is_logged(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    url, ended = harness.pipeline.store.url, []
    with working(harness) as (pid,), psycopg.connect(url, autocommit=True) as connection:
        for _ in range(2):
            ended.append(pid)
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            wait_until(lambda: listeners(url, "received") not in ([], [ended[-1]]), "it listens")
            (pid,) = listeners(url, "received")
            wait_until_sent(harness, [harness.receive("rentfeed", lead(len(ended))).event_id])
    logged = [one for one in caplog.records if one.message == "postgresql_unavailable"]
    assert [vars(one)["part"] for one in logged] == ["listener", "listener"]
    assert vars(logged[0])["reason"] == vars(logged[1])["reason"]


def test_a_lost_notification_costs_one_poll(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a worker without notifications, as behind a pooler in transaction mode."""
    monkeypatch.setattr(Database, "notify_workers", lambda _: None)
    monkeypatch.setattr(worker, "POLL_SECONDS", 3.0)
    polls: list[Mapping[Task, int]] = []
    look = harness.pipeline.due

    def counted() -> Mapping[Task, int]:
        polls.append(look())
        return polls[-1]

    monkeypatch.setattr(harness.pipeline, "due", counted)
    with working(harness):
        wait_until(lambda: polls, "it has polled")
        wait_until_sent(harness, [harness.receive("rentfeed", lead(1)).event_id])
    assert [poll[Task.MAP] for poll in polls] == [0, 1]


@pytest.mark.usefixtures("no_polls")
def test_several_workers_book_each_lead_once(harness: Harness, upstream: SandboxClient) -> None:
    with (
        Database(harness.pipeline.store.url, size=4) as other,
        working(harness),
        working(Harness(other, upstream), workers=2),
    ):
        events = [harness.receive("rentfeed", lead(number)).event_id for number in range(30)]
        wait_until_sent(harness, events)
    assert len({post["email_1"] for post in upstream.posts()}) == len(upstream.posts()) == 30


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
