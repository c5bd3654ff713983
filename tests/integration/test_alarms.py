"""Test who is notified of problems, when they are notified, and how often."""

import concurrent.futures
import dataclasses
import datetime as dt
import logging
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from adapter.exceptions import StoreUnavailable
from adapter.operations import alarm_watch
from adapter.operations.alarm_watch import Watch
from adapter.operations.health import NO_WORKER_AFTER, REFUSED_AFTER, Level
from adapter.operations.notifications import Line, Notifier, message_of
from adapter.operations.serializers import age_of
from adapter.server.heartbeat import Heart
from adapter.server.worker import Worker
from adapter.store import Database
from tests.databases import run_sql
from tests.harness import Harness, settle
from tests.integration.test_monitoring import count_hours, execute, rejected
from tests.leads import lead
from tests.message_catcher import MessageCatcher, running_catcher
from tests.ports import free_port
from tests.sandbox_client import SandboxClient
from tests.shell import Shell
from tests.wait import wait_until

URL = "https://adapter.example.com"


@pytest.fixture
def catcher() -> Iterator[MessageCatcher]:
    with running_catcher() as running:
        yield running


class Installation:
    """Two processes that watch for problems with the test's clock, and a worker's heartbeats."""

    def __init__(self, harness: Harness, *urls: str) -> None:
        self.harness = harness
        self.settings = dataclasses.replace(harness.settings, alarms=urls, public_url=URL)
        self.heart = Heart(harness.pipeline, "worker")
        self.is_working = True
        self.watches = [self.watch(reports_outages=True), self.watch()]

    def watch(self, store: Database | None = None, *, reports_outages: bool = False) -> Watch:
        store = store or self.harness.pipeline.store
        sources, clock = self.harness.pipeline.sources, self.harness.clock
        return Watch(self.settings, store, lambda: sources, clock, reports_outages=reports_outages)

    def run(self, seconds: int, every: int = 10) -> None:
        """Have both processes check every ten seconds, and the worker send heartbeats."""
        for _ in range(seconds // every):
            self.harness.clock.advance(every)
            self.age(every)
            if self.is_working:
                self.heart.looked()
                self.heart.beat()
                self.update("clock_ahead_seconds = 0")
            for watch in self.watches:
                watch.step()

    def age(self, seconds: int) -> None:
        """Make time pass for the processes, because PostgreSQL does not use the test's clock."""
        passed = f"interval '{seconds} s'"
        self.update(
            f"seen_at = seen_at - {passed}, looked_at = looked_at - {passed},"
            f" started_at = started_at - {passed}"
        )

    def update(self, values: str) -> None:
        with self.harness.pipeline.store.statement() as tx:
            tx.connection.execute(f"UPDATE processes SET {values}".encode())


@pytest.fixture
def running(harness: Harness, catcher: MessageCatcher) -> Installation:
    """Return an installation that has started and has no problems."""
    installation = Installation(harness, catcher.url)
    installation.run(30)
    assert catcher.messages == []
    return installation


def alarms(harness: Harness) -> list[tuple[Any, ...]]:
    return execute(harness, "SELECT code, source, is_closed FROM alarms ORDER BY id")


# --- each problem is reported once, and its end once


def test_a_worker_that_is_gone(running: Installation, catcher: MessageCatcher) -> None:
    running.harness.receive("rentfeed", lead(1))
    running.is_working = False
    running.run(50)
    assert catcher.messages == []
    running.run(150)
    assert catcher.titles() == ["BROKEN: no_worker"]
    (message,) = catcher.messages
    assert message["type"] == "failure"
    sentence, step, _, link = message["message"].splitlines()
    assert sentence.startswith("No worker has run since 18:00 UTC")
    assert sentence.endswith(": 1 webhook is waiting.")
    assert step.startswith("Start `adapter worker`")
    assert link == f"{URL}/console/"
    running.is_working = True
    running.harness.pipeline.mapper.map_due()
    running.harness.send()
    running.run(50)
    assert len(catcher.messages) == 1
    running.run(150)
    assert catcher.titles() == ["BROKEN: no_worker", "OK: no_worker"]
    assert catcher.messages[1]["type"] == "success"
    assert catcher.messages[1]["message"].startswith("Ended: no_worker, from Mar 02 18:00 to ")
    assert alarms(running.harness) == [("no_worker", "", True)]


def test_ages_are_those_of_the_moment_at_which_an_alarm_is_shown(
    harness: Harness, shell: Shell
) -> None:
    now = dt.datetime.now(dt.UTC)
    text = f"rentfeed has sent nothing ({age_of(now - dt.timedelta(hours=2))})."
    facts: dict[str, Any] = {"level": "warning", "next_step": "Ask.", "began_at": now, "now": now}
    with harness.pipeline.store.transaction() as tx:
        tx.alarms.add(code="source_silent", source="rentfeed", sentence=text, **facts)
    shown = shell("alarms")
    assert "rentfeed has sent nothing (2 h ago)." in shown
    assert "over now (it is reported as ended after a minute)" in shown


def test_a_stored_alarm_contains_no_age(running: Installation) -> None:
    running.is_working = False
    running.run(200)
    ((sentence,),) = execute(running.harness, "SELECT sentence FROM alarms")
    assert "ago)" not in sentence
    assert "({ago 2026-03-02T" in sentence


def test_a_worker_that_hangs(running: Installation, catcher: MessageCatcher) -> None:
    running.heart.looked = lambda: None  # type: ignore[method-assign] # it only sends heartbeats
    hangs_at = running.heart._looked_at = time.monotonic()
    for minute in range(1, 4):
        running.heart._looked_at = hangs_at - 60 * minute
        running.run(60)
    assert catcher.titles() == ["BROKEN: no_worker"]
    assert " has hung since " in catcher.messages[0]["message"]
    del running.heart.looked
    running.run(150)
    assert catcher.titles() == ["BROKEN: no_worker", "OK: no_worker"]


def test_a_refused_token(
    running: Installation, catcher: MessageCatcher, upstream: SandboxClient
) -> None:
    harness = running.harness
    harness.mapped("rentfeed", lead(1, email="secret.renter@example.com"))
    upstream.fault({"status": 401})
    harness.send()
    running.run(150)
    assert catcher.titles() == ["BROKEN: sending_stopped"]
    assert "Propexo rejects our API token: 1 booking is waiting." in catcher.messages[0]["message"]
    harness.pipeline.sender.try_resume_sending()
    harness.clock.advance(11)
    harness.pipeline.sender.try_resume_sending()
    harness.send()
    running.run(150)
    assert catcher.titles() == ["BROKEN: sending_stopped", "OK: sending_stopped"]
    assert "secret.renter" not in str(catcher.messages)


def test_a_silent_source(running: Installation, catcher: MessageCatcher) -> None:
    harness = running.harness
    count_hours(harness, 24 * 28, 1, each=12)
    settle(harness)
    running.harness.clock.advance(90 * 3600)
    running.run(30)
    assert catcher.about("source_silent") == ["WARNING: source_silent (rentfeed)"]
    (found,) = (one for one in catcher.messages if "source_silent" in one["title"])
    assert "rentfeed has sent nothing since March 2, 18:00 UTC (4 days ago)" in found["message"]
    harness.mapped("rentfeed", lead(2, day=15))
    settle(harness)
    running.run(150)
    assert catcher.about("source_silent") == [
        "WARNING: source_silent (rentfeed)",
        "OK: source_silent (rentfeed)",
    ]


def test_a_rotated_secret(running: Installation, catcher: MessageCatcher) -> None:
    for number in range(3):
        rejected(running.harness, number)
    running.run(200)
    assert catcher.titles() == ["BROKEN: source_refused (rentfeed)"]
    assert "run `adapter rejections retry rentfeed`" in catcher.messages[0]["message"]
    running.harness.receive("rentfeed", lead(5))
    running.harness.pipeline.mapper.map_due()
    running.harness.pipeline.receiver.background_writer.flush()
    running.run(150)
    assert catcher.about("source_refused") == [
        "BROKEN: source_refused (rentfeed)",
        "OK: source_refused (rentfeed)",
    ]


def test_postgresql_that_is_away_for_a_minute(
    running: Installation, catcher: MessageCatcher
) -> None:
    clock, stores = running.harness.clock, [watch._store for watch in running.watches]
    gone = f"postgresql://127.0.0.1:{free_port()}/postgres"
    with Database(gone, size=1, wait_seconds=0.05) as away:
        for watch in running.watches:
            watch._store = away
        for seconds in (10, 50, 10, 10, 3600):
            assert catcher.messages == [] or seconds > 9
            for watch in running.watches:
                with pytest.raises(StoreUnavailable):
                    watch.step()
            clock.advance(seconds)
        assert catcher.titles() == ["BROKEN: database_unreachable"]
        assert "PostgreSQL has been unavailable since 18:00 UTC" in catcher.messages[0]["message"]
    for watch, store in zip(running.watches, stores, strict=True):
        watch._store = store
    running.run(150)
    assert catcher.titles() == ["BROKEN: database_unreachable", "OK: database_unreachable"]


def test_a_short_outage_of_postgresql_is_not_reported(
    running: Installation, catcher: MessageCatcher
) -> None:
    watch = running.watches[0]
    store = watch._store
    with Database(f"postgresql://127.0.0.1:{free_port()}/x", size=1, wait_seconds=0.05) as away:
        watch._store = away
        for _ in range(6):
            with pytest.raises(StoreUnavailable):
                watch.step()
            running.harness.clock.advance(10)
    watch._store = store
    running.run(150)
    assert catcher.messages == []


def test_postgresql_that_is_read_only(
    fresh_database: str, upstream: SandboxClient, catcher: MessageCatcher
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(fresh_database)["dbname"]
    run_sql(fresh_database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with Database(fresh_database, size=2) as opened:
        installation = Installation(Harness(opened, upstream), catcher.url)
        for _ in range(12):
            with pytest.raises(StoreUnavailable, match="read-only"):
                installation.watches[0].step()
            installation.harness.clock.advance(10)
    assert catcher.titles() == ["BROKEN: database_unreachable"]
    assert "PostgreSQL is read-only" in catcher.messages[0]["message"]


def test_people_are_told_in_the_time_that_operations_md_promises() -> None:
    """Add up the delays of an alarm: two checks, and the pause after another message."""
    notice = dt.timedelta(seconds=2 * alarm_watch.WATCH_SECONDS) + alarm_watch.PAUSE
    assert notice <= dt.timedelta(minutes=1), "a refused token, a clock"
    assert NO_WORKER_AFTER + notice <= dt.timedelta(minutes=2)
    assert REFUSED_AFTER + notice <= dt.timedelta(minutes=10)
    assert alarm_watch.AWAY_AFTER + notice <= dt.timedelta(minutes=2)


# --- several problems, reminders, and what people do about them


def test_problems_that_begin_together_are_one_message(
    running: Installation, catcher: MessageCatcher
) -> None:
    harness = running.harness
    harness.mapped("rentfeed", lead(1, day=9, time="11:30 PM"))
    harness.clock.advance(24 * 3600)
    for number in range(3):
        rejected(harness, number)
    harness.clock.advance(300)
    running.run(60)
    assert catcher.titles() == ["BROKEN: source_refused (rentfeed); WARNING: review_overdue"]
    assert catcher.messages[0]["type"] == "failure"


def test_people_are_reminded_every_four_hours(
    running: Installation, catcher: MessageCatcher, shell: Shell
) -> None:
    running.is_working = False
    running.run(200)
    running.run(4 * 3600, every=600)
    assert catcher.titles() == ["BROKEN: no_worker"] * 2
    assert catcher.messages[1]["message"].startswith("Ongoing: No worker has run since 18:00 UTC")
    shell("alarms", "acknowledge", "no_worker", "--by", "ana")
    running.run(5 * 3600, every=600)
    assert len(catcher.messages) == 2
    running.is_working = True
    running.run(120)
    assert catcher.titles()[2:] == ["OK: no_worker"]
    assert "alarm_acknowledged" in shell("audit", "--by", "ana")


def test_a_snoozed_alarm_is_repeated_afterward(
    running: Installation, catcher: MessageCatcher, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.cli.manage_alarms.utc_now", running.harness.clock)
    running.is_working = False
    running.run(120)
    shell("alarms", "snooze", "no_worker", "--for", "2h")
    running.run(7200 - 300, every=300)
    assert len(catcher.messages) == 1
    running.run(600, every=300)
    assert catcher.titles() == ["BROKEN: no_worker"] * 2
    assert "there is no open alarm no_web" in shell(
        "alarms", "snooze", "no_web", "--for", "2h", exit_code=1
    )
    assert "no open alarm no_worker of" in shell(
        "alarms", "acknowledge", "no_worker", "--source", "rentfeed", exit_code=1
    )


def test_a_problem_that_comes_and_goes_is_one(
    running: Installation, catcher: MessageCatcher
) -> None:
    running.is_working = False
    running.age(61)
    running.run(30)
    for _ in range(3):
        running.is_working = True
        running.run(40)
        running.is_working = False
        running.age(61)
        running.run(30)
    assert catcher.titles() == ["BROKEN: no_worker"]


def test_what_only_one_process_can_see_does_not_end_for_the_others(
    running: Installation, catcher: MessageCatcher
) -> None:
    """Let only one process watch the sources, as if only its machine could see them."""
    running.watches[1]._sources = list
    for number in range(3):
        rejected(running.harness, number)
    running.run(300)
    assert catcher.titles() == ["BROKEN: source_refused (rentfeed)"]


def test_a_process_that_starts_lets_the_others_start(
    harness: Harness, catcher: MessageCatcher
) -> None:
    installation = Installation(harness, catcher.url)
    installation.is_working = False
    installation.run(20)
    installation.is_working = True
    installation.run(60)
    assert alarms(harness) == []


# --- delivery


def test_a_message_that_nobody_accepts_is_repeated_and_logged_once(
    running: Installation, catcher: MessageCatcher, caplog: pytest.LogCaptureFixture
) -> None:
    catcher.status = 500
    running.is_working = False
    with caplog.at_level(logging.DEBUG):
        running.run(300)
        catcher.status = 200
        running.run(120)
    assert catcher.titles() == ["BROKEN: no_worker"]
    failed = [one for one in caplog.records if one.message == "alarm_not_delivered"]
    assert len(failed) == 1
    reason = "the service did not accept the message"
    assert {(one.number, one.reason) for one in failed} == {(1, reason)}  # type: ignore[attr-defined]
    begun = [one for one in caplog.records if one.message == "problem_began"]
    assert [one.code for one in begun] == ["no_worker"]  # type: ignore[attr-defined]
    own = [one for one in caplog.records if not one.name.startswith("urllib3")]
    assert "a-secret" not in str([vars(one) for one in own])


def test_a_process_that_dies_before_it_sends_is_replaced(
    running: Installation, catcher: MessageCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = running.watches[0]
    monkeypatch.setattr(first, "_tell", lambda *_: running.watches.remove(first))
    running.is_working = False
    running.run(90)
    assert (running.watches, catcher.messages) == ([running.watches[-1]], [])
    running.run(90)
    assert catcher.titles() == ["BROKEN: no_worker"]


def test_two_processes_at_the_same_time_send_one_message(
    running: Installation, catcher: MessageCatcher
) -> None:
    first, second = running.watches
    running.is_working = False
    running.age(70)
    catcher.answers.clear()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        first.step()
        sent = threads.submit(first.step)
        wait_until(lambda: catcher.requests, "the first sends")
        second.step()
        second.step()
        assert catcher.requests == 1
        catcher.answers.set()
        sent.result()
    running.run(60)
    assert catcher.titles() == ["BROKEN: no_worker"]


def test_a_process_that_hangs_does_not_keep_the_lock(
    running: Installation, catcher: MessageCatcher
) -> None:
    running.is_working = False
    running.age(70)

    def is_told() -> bool:
        running.run(10)
        return bool(catcher.messages)

    def hang() -> None:
        with running.harness.pipeline.store.transaction() as tx:
            assert tx.alarms.try_lock()
            running.run(20)
            assert catcher.messages == []
            wait_until(is_told, "another process sends", 15)

    with pytest.raises(StoreUnavailable):
        hang()


def test_a_service_that_hangs_delays_no_other(
    catcher: MessageCatcher, caplog: pytest.LogCaptureFixture, harness: Harness
) -> None:
    message = message_of(harness.settings, [Line(Level.OK, "test", "A test.")])
    with running_catcher() as slow:
        slow.answers.clear()
        notifier = Notifier([slow.url, catcher.url], seconds=1.0)
        began = time.monotonic()
        assert notifier.send(message)
        assert time.monotonic() - began < 3.0
        assert len(catcher.messages) == 1
        # Threads of other tests may log something meanwhile.
        failed = [one for one in caplog.records if one.msg == "alarm_not_delivered"]
        assert [one.number for one in failed] == [1]  # type: ignore[attr-defined]


def test_a_wrong_url_is_told_and_stays_secret(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    message = message_of(harness.settings, [Line(Level.OK, "test", "A test.")])
    with caplog.at_level(logging.DEBUG):
        errors = Notifier(["slak://T0/B0/a-secret", "slack://"]).send_to_each(message)
    assert errors == ["not a valid Apprise URL"] * 2
    assert "a-secret" not in caplog.text


# --- the parts


def test_each_worker_watches(
    running: Installation, catcher: MessageCatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.server.worker.WATCH_SECONDS", 0.05)
    monkeypatch.setattr(alarm_watch, "SETTLING", dt.timedelta())
    harness = running.harness
    for number in range(3):
        rejected(harness, number)
    harness.clock.advance(600)
    harness.pipeline.settings = running.settings
    with Worker(harness.pipeline).running():
        wait_until(lambda: catcher.about("source_refused"), "it tells people")


def test_the_commands(
    running: Installation,
    catcher: MessageCatcher,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert shell("alarms") == "There have been no alarms.\n"
    assert "ADAPTER_ALARMS is not set" in shell("alarms", "test", exit_code=1)
    running.is_working = False
    running.run(120)
    assert shell("alarms").startswith("BROKEN: no_worker\n  No worker has run since ")
    (alarm,) = shell.json("alarms")["alarms"]
    assert (alarm["code"], alarm["ended_at"]) == ("no_worker", None)
    monkeypatch.setenv("ADAPTER_ALARMS", f"{catcher.url}, json://127.0.0.1:{free_port()}/a-secret")
    text = shell("alarms", "test", exit_code=1)
    assert "1    json     accepted" in text
    assert "2    json     the service did not accept the message" in text
    assert "secret" not in text
    assert catcher.titles()[-1] == "OK: test"
