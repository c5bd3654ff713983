"""Test workers whose clocks are wrong, jump, or differ from PostgreSQL's."""

import datetime as dt
import logging
from typing import Any

import pytest

from adapter.models import Attempt, BookingState, Clock
from adapter.pipeline import Pipeline
from adapter.store import Database, DatabaseClock, Task
from tests.harness import START, Harness, ManualClock
from tests.leads import lead
from tests.sandbox_client import SandboxClient

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def postgres_clock() -> ManualClock:
    """Return PostgreSQL's clock."""
    return ManualClock(START)


def worker(harness: Harness, wall: Clock, there: ManualClock) -> Pipeline:
    """Return another worker, on a machine whose clock runs at the same speed as PostgreSQL's."""
    clock = DatabaseClock(wall, lambda: (there() - START).total_seconds(), lambda _: there())
    first = harness.pipeline
    made = Pipeline(
        first.settings, first.store, first.sources, first.propexo, clock, pause=there.advance
    )
    made.sync_clock()
    return made


def test_a_clock_follows_postgresql_and_ignores_steps_of_its_machine(
    opened: Database, postgres_clock: ManualClock
) -> None:
    wall, passed = ManualClock(START + HOUR), [0.0]
    clock = DatabaseClock(wall, lambda: passed[0], lambda _: postgres_clock())
    assert clock() == START + HOUR, "before it has asked"
    clock.measure(opened)
    passed[0] += 7
    wall.at -= 5 * HOUR
    assert clock() == START + dt.timedelta(seconds=7)
    postgres_clock.advance(-30)
    clock.measure(opened)
    assert clock() == START - dt.timedelta(seconds=30)


def test_postgresql_is_asked(opened: Database) -> None:
    clock = DatabaseClock(ManualClock(START))
    clock.measure(opened)
    assert abs(clock() - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)
    assert clock.is_dangerous


def test_a_worker_that_is_an_hour_ahead_stops_no_other(
    harness: Harness, upstream: SandboxClient, postgres_clock: ManualClock
) -> None:
    ahead = worker(harness, lambda: postgres_clock() + HOUR, postgres_clock)
    right = worker(harness, postgres_clock, postgres_clock)
    ahead.sender.is_allowed = True  # see below
    for number in range(3):
        harness.mapped("rentfeed", lead(number))
    upstream.fault({"status": 429, "headers": {"Retry-After": "5"}})
    ahead.sender.send_due()
    assert len(upstream.posts()) == 1
    postgres_clock.advance(10)
    right.sender.send_due()
    assert len(upstream.posts()) == 4


def test_a_worker_that_is_an_hour_ahead_ends_no_lease(
    harness: Harness, postgres_clock: ManualClock
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    assert isinstance(harness.pipeline.sender._next()[0], Attempt)
    worker(harness, lambda: postgres_clock() + HOUR, postgres_clock).recover()
    assert harness.state(booking.id) is BookingState.SENDING


@pytest.mark.parametrize(
    ("seconds", "errors", "is_sent"),
    [(1.5, 0, True), (-1.5, 0, True), (3, 1, True), (-3, 1, True), (31, 1, False), (-31, 1, False)],
)
def test_a_difference_is_logged_once_and_a_large_one_prevents_sending(
    harness: Harness,
    upstream: SandboxClient,
    postgres_clock: ManualClock,
    caplog: Any,
    seconds: float,
    errors: int,
    is_sent: bool,
) -> None:
    wrong = [seconds]
    wall = lambda: postgres_clock() + dt.timedelta(seconds=wrong[0])  # noqa: E731
    pipeline = worker(harness, wall, postgres_clock)
    harness.mapped("rentfeed", lead(1))
    for _ in range(3):
        pipeline.recover()
        pipeline.sender.send_due()
    logged = [record for record in caplog.records if record.msg == "clock_differs"]
    assert [record.levelno for record in logged] == [logging.ERROR] * errors
    assert len(upstream.posts()) == is_sent

    wrong[0] = 0.0
    pipeline.recover()
    pipeline.sender.send_due()
    assert caplog.messages.count("clock_agrees") == errors
    assert len(upstream.posts()) == 1


def test_a_clock_of_postgresql_that_steps_back_stops_nothing(
    harness: Harness, upstream: SandboxClient, postgres_clock: ManualClock
) -> None:
    """Set PostgreSQL's clock back, so that earlier timestamps are in the future."""
    pipeline = worker(harness, postgres_clock, postgres_clock)
    harness.clock.at += HOUR
    with harness.pipeline.store.transaction() as tx:
        limiter = tx.rate_limit
        for _ in range(120):
            limiter.count_call(limiter.lock(harness.clock()), harness.clock(), 120)
        limiter.pause(harness.clock() + dt.timedelta(seconds=5))
    (pending,) = harness.mapped("rentfeed", lead(1))
    pipeline.sender.send_due()
    assert upstream.posts() == []

    pipeline.recover()
    postgres_clock.advance(70)
    pipeline.sender.send_due()
    assert harness.state(pending.id) is BookingState.SUBMITTED


def test_a_lease_from_before_a_step_back_ends_in_time(
    harness: Harness, postgres_clock: ManualClock
) -> None:
    pipeline = worker(harness, postgres_clock, postgres_clock)
    harness.clock.at += HOUR
    (booking,) = harness.mapped("rentfeed", lead(1))
    assert isinstance(harness.pipeline.sender._next()[0], Attempt)
    pipeline.recover()
    postgres_clock.advance(pipeline.sender.lease.total_seconds() + 1)
    pipeline.recover()
    assert harness.state(booking.id) is BookingState.UNKNOWN


def test_without_a_pause_no_answer_delays_calls_after_a_step_back(
    harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.send()
    with harness.pipeline.store.transaction() as tx:
        paused_until = tx.rate_limit.lock(harness.clock()).paused_until
    assert paused_until < START - HOUR
    assert harness.pipeline.due()[Task.SEND] == 0
