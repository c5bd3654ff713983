"""Test pauses by users, and the circuit breaker that stops sending while Propexo is failing."""

import concurrent.futures
import datetime as dt
import itertools
import logging
import time
from typing import Any

import pytest

from adapter.exceptions import StoreUnavailable, Unreachable
from adapter.models import Attempt, BookingState
from adapter.operations.pause import Pauses
from adapter.propexo.client import Propexo
from adapter.propexo.responses import Accepted
from adapter.store import Database, Task
from adapter.store.rate_limit import FIRST_STOP, LONGEST_STOP, MOST_FAILURES
from tests.harness import Harness, settle
from tests.leads import lead, same_person
from tests.sandbox_client import SandboxClient, canned_server
from tests.wait import wait_until

PENDING, UNKNOWN = BookingState.PENDING, BookingState.UNKNOWN


def pauses_of(harness: Harness) -> Pauses:
    return Pauses(harness.settings, harness.pipeline.store, harness.clock, "ana")


def posted(upstream: SandboxClient) -> list[str]:
    return [post["email_1"] for post in upstream.posts()]


def elsewhere(number: int) -> Any:
    there = lead(number)
    there["listing"] |= {"propertyId": "20555", "propertyName": "Harbor Flats"}
    return there


# --- pauses by users


@pytest.mark.parametrize("hours", [1, 24 * 20])
def test_nothing_is_sent_while_everything_is_paused(
    harness: Harness, upstream: SandboxClient, hours: int
) -> None:
    """Check both statements that choose bookings, including the one for tours that start soon."""
    harness.clock.at = dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC) - dt.timedelta(hours=hours)
    harness.mapped("rentfeed", lead(1))
    pauses_of(harness).pause("the renter's portal is tested")
    harness.mapped("rentfeed", lead(2))
    settle(harness)
    assert posted(upstream) == []
    assert harness.pipeline.due()[Task.SEND] == 0, "no run is started in vain"

    assert pauses_of(harness).resume() == []
    settle(harness)
    assert len(posted(upstream)) == 2


def test_a_paused_source_or_community_holds_up_no_other(
    harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.mapped("rentfeed", elsewhere(2))
    pauses_of(harness).pause("new hours", community="maple-court")
    assert harness.pipeline.due()[Task.SEND] == 1
    settle(harness)
    assert posted(upstream) == ["person2@example.com"]

    pauses_of(harness).pause("wrong times", source="rentfeed")
    pauses_of(harness).resume(community="maple-court")
    settle(harness)
    assert len(posted(upstream)) == 1
    (left,) = pauses_of(harness).resume()
    assert (left.source, left.community) == ("rentfeed", ""), "it is ended by its name"
    settle(harness)
    assert len(posted(upstream)) == 1
    pauses_of(harness).resume(source="rentfeed")
    settle(harness)
    assert len(posted(upstream)) == 2


def test_a_sent_booking_is_followed_up_while_paused(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    pauses_of(harness).pause("maintenance")
    harness.clock.advance(10)
    assert harness.pipeline.due()[Task.CHECK] == 1
    harness.check()
    assert harness.state(booking.id) is BookingState.BOOKED


def test_a_paused_tour_expires_when_it_is_too_late(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    pauses_of(harness).pause("maintenance")
    assert booking.starts_at is not None
    harness.clock.at = booking.starts_at
    harness.pipeline.recover()
    assert harness.state(booking.id) is BookingState.EXPIRED


def test_resuming_ends_a_pause_that_a_fast_clock_or_propexo_left(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"status": 429, "headers": {"Retry-After": "3600"}})
    for number in range(2):
        harness.mapped("rentfeed", lead(number))
    harness.send()
    harness.clock.advance(60)
    settle(harness)
    assert len(upstream.posts()) == 1, "paused for an hour"
    pauses_of(harness).resume()
    settle(harness)
    assert len(upstream.posts()) == 3, "both, with no wait for the retry's delay"


def test_resuming_does_not_deadlock_with_a_worker_that_checks_a_booking(
    harness: Harness, opened: Database
) -> None:
    """Check the lock order: the worker locks the rate limit first, and then the booking."""
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    submitted = harness.booking(booking.id)
    pauses_of(harness).pause("maintenance")
    with concurrent.futures.ThreadPoolExecutor() as threads:
        with opened.transaction() as tx:
            tx.rate_limit.lock(harness.clock())
            resuming = threads.submit(pauses_of(harness).resume)
            wait_until(lambda: is_waiting(opened), "the command waits for the rate limit")
            tx.bookings.reschedule(submitted, harness.clock())
        assert resuming.result(10) == []


def is_waiting(opened: Database) -> bool:
    sql = b"SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1"
    with opened.statement() as tx:
        return tx.connection.execute(sql).fetchone() is not None


# --- reads and bookings that wait for each other


def test_a_booking_that_waits_for_a_read_does_not_delay_it(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Reschedule a tour whose job may still be running, while no reads are left."""
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.send()
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    with harness.pipeline.store.transaction() as tx:
        limiter = tx.rate_limit
        for _ in range(30):
            limiter.count_call(limiter.lock(harness.clock()), harness.clock(), 120)
        tx.connection.execute("UPDATE rate_limit SET theoretical_arrival_at = 'epoch'")
    harness.clock.advance(2)
    harness.check()
    assert harness.state(first.id) is BookingState.BOOKED
    harness.send()
    assert harness.state(second.id) is BookingState.SUBMITTED


# --- the breaker


def break_down(harness: Harness, upstream: SandboxClient, *faults: dict[str, Any]) -> list[int]:
    """Map and send more bookings than may fail in a row. Return the bookings' IDs."""
    ids = [harness.mapped("rentfeed", lead(number))[0].id for number in range(8)]
    upstream.fault(*faults)
    harness.send()
    return ids


def states(harness: Harness, ids: list[int]) -> list[BookingState]:
    return [harness.state(booking_id) for booking_id in ids]


def tries(harness: Harness, seconds: float) -> None:
    """Run recovery and sending repeatedly for the given time."""
    until = harness.clock() + dt.timedelta(seconds=seconds)
    while harness.clock() < until:
        harness.pipeline.recover()
        harness.send()
        harness.clock.advance(5)


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 503, "body": ""}, {"drop": "before"}]
)
def test_sending_stops_after_three_unclear_answers_and_resumes_after_a_clear_one(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any], caplog: Any
) -> None:
    down = [{"on": "list", "status": 500}] * 100
    ids = break_down(harness, upstream, *[fault] * 3, *down)
    tries(harness, 600)
    assert states(harness, ids) == [UNKNOWN] * 3 + [PENDING] * 5, "an outage of ten minutes"
    assert len(upstream.posts()) == 3
    assert [record.levelno for record in caplog.records if record.msg == "sending_stopped"] == [
        logging.ERROR
    ]

    tries(harness, 600)
    assert states(harness, ids)[3:] == [BookingState.SUBMITTED] * 5
    assert "sending_resumed" in caplog.messages


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_that_may_not_read_the_list_resumes_after_an_outage(
    harness: Harness, upstream: SandboxClient, status: int
) -> None:
    ids = break_down(
        harness, upstream, *[{"status": 500}] * 3, *[{"on": "list", "status": status}] * 100
    )
    tries(harness, 300)
    assert states(harness, ids)[3:] == [BookingState.SUBMITTED] * 5


def test_while_only_posts_fail_each_trial_is_one_post_after_a_longer_time(
    harness: Harness, upstream: SandboxClient
) -> None:
    ids = break_down(harness, upstream, *[{"status": 500}] * 6)
    starts: list[dt.datetime] = []
    for _ in range(400):
        harness.pipeline.recover()
        harness.send()
        starts += [harness.clock()] * (len(upstream.posts()) - len(starts))
        harness.clock.advance(2)
    pairs = itertools.pairwise(starts[2:6])
    gaps = [(after - at).total_seconds() for at, after in pairs]
    assert [10 <= gaps[0] < 20, 20 <= gaps[1] < 35, 40 <= gaps[2] < 60] == [True] * 3, gaps
    assert states(harness, ids) == [UNKNOWN] * 6 + [BookingState.SUBMITTED] * 2


def test_a_trial_is_one_post_at_a_time(harness: Harness, upstream: SandboxClient) -> None:
    break_down(harness, upstream, *[{"status": 500}] * 3)
    harness.clock.advance(FIRST_STOP.total_seconds() + 1)
    harness.pipeline.recover()
    attempt, _ = harness.pipeline.sender._next()
    assert not isinstance(attempt, dt.datetime)
    later, _ = harness.pipeline.sender._next()
    assert isinstance(later, dt.datetime)
    assert later > harness.clock() + dt.timedelta(seconds=5), "it waits for the trial's outcome"


def test_two_unclear_answers_and_a_clear_one_stop_nothing(
    harness: Harness, upstream: SandboxClient
) -> None:
    unclear, clear = {"status": 500}, {"status": 400}
    ids = break_down(harness, upstream, *[unclear, unclear, clear] * 2)
    assert PENDING not in states(harness, ids)


def test_reads_go_on_while_only_posts_have_no_clear_answer(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", lead(20))
    harness.send()
    break_down(harness, upstream, *[{"status": 500}] * 3)
    harness.clock.advance(5)
    assert harness.pipeline.due()[Task.CHECK] == 1
    harness.check()
    assert harness.state(first.id) is BookingState.BOOKED


def test_a_wrong_address_fails_no_booking(harness: Harness, upstream: SandboxClient) -> None:
    sender = harness.pipeline.sender
    right = sender.propexo
    sender.propexo = Propexo(upstream.url + "/wrong", "sandbox", timeout_seconds=1.0)
    ids = break_down(harness, upstream)
    tries(harness, 600)
    assert states(harness, ids) == [PENDING] * 8
    sender.propexo = right
    tries(harness, 60)
    assert states(harness, ids) == [BookingState.SUBMITTED] * 8


NOT_FOUND = {"status": 404}


class PartlyWrong(Propexo):
    """Sends one renter's bookings to a path that does not exist, as if their ID were wrong."""

    def create(self, attempt: Attempt) -> Accepted:
        if attempt.request["email_1"] != "person1@example.com":
            return super().create(attempt)
        return Propexo(f"{self.base_url}/wrong", "sandbox", timeout_seconds=1.0).create(attempt)


def test_a_booking_with_a_wrong_id_fails_once_another_one_is_accepted(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Use the soonest tour, so that without other rules, every trial would use this booking."""
    harness.pipeline.sender.propexo = PartlyWrong(upstream.url, "sandbox", timeout_seconds=1.0)
    (wrong,) = harness.mapped("rentfeed", lead(1, day=10))
    tries(harness, 600)
    assert harness.state(wrong.id) is PENDING, "the address may be wrong"
    (other,) = harness.mapped("rentfeed", lead(2))
    tries(harness, LONGEST_STOP.total_seconds() * 1.1)
    failed = harness.booking(wrong.id)
    assert (failed.state, failed.reason) == (BookingState.FAILED, "refused")
    assert harness.state(other.id) is BookingState.SUBMITTED
    assert not harness.verdict().why_unsent or "No worker" in str(harness.verdict().why_unsent)


def test_a_wrong_address_fails_no_single_booking(
    harness: Harness, upstream: SandboxClient, caplog: Any
) -> None:
    """Simulate a night with only one lead, while Propexo has a broken deployment."""
    (booking,) = harness.mapped("rentfeed", lead(1))
    upstream.fault(*[NOT_FOUND] * 6)
    for _ in range(3):
        harness.send()
        harness.clock.advance(3)
    assert harness.verdict().problems[1].code == "sending_stopped"
    assert harness.state(booking.id) is PENDING
    tries(harness, 600)
    assert harness.state(booking.id) is BookingState.SUBMITTED
    stops = [record.levelname for record in caplog.records if record.msg == "sending_stopped"]
    assert stops == ["ERROR", "WARNING", "WARNING", "WARNING"], "one alarm"


def test_sending_resumes_if_the_list_never_existed(
    harness: Harness, upstream: SandboxClient
) -> None:
    missing = [NOT_FOUND | {"on": "list"}] * 200
    ids = break_down(harness, upstream, *[NOT_FOUND] * 3, *missing)
    tries(harness, 600)
    assert states(harness, ids) == [PENDING] * 8, "the address may still be wrong"
    tries(harness, 600)
    assert states(harness, ids) == [BookingState.SUBMITTED] * 8


def test_a_check_that_the_rate_limit_delays_is_an_alarm_in_time(
    harness: Harness, upstream: SandboxClient, caplog: Any
) -> None:
    """Let other programs use up the token's calls during an outage."""
    sender = harness.pipeline.sender
    sender.propexo = Propexo("http://127.0.0.1:1", "x", timeout_seconds=1.0)
    break_down(harness, upstream)
    with harness.pipeline.store.transaction() as tx:
        tx.rate_limit.pause(harness.clock() + dt.timedelta(hours=1))
    tries(harness, 600)
    alarms = [one for one in caplog.records if one.msg == "propexo_unreachable"]
    assert [vars(one)["reason"] for one in alarms] == ["the rate limit allows no check now"]


def test_an_unreachable_propexo_is_logged_with_host_and_reason_and_once_as_an_error(
    harness: Harness, upstream: SandboxClient, caplog: Any
) -> None:
    sender = harness.pipeline.sender
    right, sender.propexo = sender.propexo, Propexo("http://127.0.0.1:1", "x", timeout_seconds=1.0)
    ids = break_down(harness, upstream)
    tries(harness, 1200)
    assert states(harness, ids) == [PENDING] * 8
    attempts = sum(len(harness.story(one).attempts[one]) for one in ids)
    assert attempts <= MOST_FAILURES + 1, "nothing is tried while Propexo is away"
    (alarm,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert alarm.msg == "propexo_unreachable"
    assert vars(alarm)["reason"] == (
        "Propexo could not be reached: Connection refused (127.0.0.1:1)"
    )
    sender.propexo = right
    tries(harness, LONGEST_STOP.total_seconds())
    assert states(harness, ids) == [BookingState.SUBMITTED] * 8
    assert caplog.messages.count("sending_resumed") == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "Connection refused (127.0.0.1:1)"),
        (
            "http://adapter-test.invalid",
            "the host name cannot be resolved (adapter-test.invalid:80)",
        ),
    ],
)
def test_an_error_names_the_host_and_the_reason(url: str, why: str) -> None:
    with pytest.raises(Unreachable) as caught:
        Propexo(url, "x").check_token()
    assert str(caught.value) == f"Propexo could not be reached: {why}"


def test_a_tls_error_is_named() -> None:
    with canned_server(b"HTTP/1.0 400 no\r\n\r\n") as url, pytest.raises(Unreachable) as caught:
        Propexo(url.replace("http:", "https:"), "x").check_token()
    assert "TLS error: " in str(caught.value)


# --- a worker that dies or hangs


def test_a_read_by_a_worker_that_died_is_repeated_within_seconds(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    harness.clock.advance(10)
    assert harness.pipeline.follower._next() is not None, "a worker takes it, and dies"
    harness.clock.advance(6)
    harness.check()
    assert harness.state(booking.id) is BookingState.BOOKED


def hang_with_the_lock(harness: Harness) -> None:
    """Hold the rate limit's lock in an idle transaction while another worker sends."""
    with harness.pipeline.store.transaction() as tx:
        tx.rate_limit.lock(harness.clock())
        harness.send()  # its statement would be canceled after ten seconds
        tx.rate_limit.lock(harness.clock())


def test_a_worker_that_hangs_with_the_rate_limit_locked_delays_others_for_five_seconds(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        hang_with_the_lock(harness)
    assert time.monotonic() - began < 9
    assert harness.state(booking.id) is BookingState.SUBMITTED
