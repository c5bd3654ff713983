"""Test reading available times from the sandbox over HTTP, with a real database."""

import datetime as dt
import json
import threading
import time

import pytest
import requests

from adapter.models import utc_now
from adapter.pipeline import Pipeline
from adapter.sandbox.catalog import BUNDLED, catalog_from
from adapter.store import Database
from adapter.store.calendars import CalendarKey
from tests.harness import START, Harness
from tests.sandbox_client import SandboxClient, running_sandbox

#: 2:30 PM on March 14, 2026 in Denver, and the free times around it.
TOUR = dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)
FREE = [TOUR + dt.timedelta(minutes=30 * number) for number in (-8, -2, -1, 1, 2, 8)]


def test_free_times_are_asked_once_a_minute_for_all_processes(
    harness: Harness, opened: Database, upstream: SandboxClient
) -> None:
    upstream.set_free_times("com_maple", FREE)
    other = Harness(opened, upstream)
    other.clock.at = harness.clock.at
    assert harness.pipeline.free_times.of("maple-court") == tuple(FREE)
    assert other.pipeline.free_times.of("maple-court") == tuple(FREE)
    assert upstream.questions() == [
        {
            "integration_id": "int_7Qm2",
            "community_id": "com_maple",
            "appointment_type": "APPOINTMENT",
        }
    ]
    harness.clock.advance(61)
    upstream.set_free_times("com_maple", FREE[:1])
    assert harness.pipeline.free_times.of("maple-court") == tuple(FREE[:1])
    assert len(upstream.questions()) == 2


def test_times_that_start_too_soon_are_not_offered(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.set_free_times("com_maple", FREE)
    harness.clock.at = FREE[0] - dt.timedelta(minutes=1)
    found = harness.pipeline.free_times.of("maple-court")
    assert found == tuple(FREE[1:])


def test_an_unknown_community_has_no_known_times(harness: Harness, upstream: SandboxClient) -> None:
    assert harness.pipeline.free_times.of("nowhere") is None
    assert upstream.calls() == []


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 400},
        {"status": 401},
        {"status": 404},
        {"status": 429},
        {"status": 302},
        {"drop": "before"},
        {"drop": "during"},
        {"delay": 5},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": {"result": []}},
        {"status": 200, "body": {"result": [{"label": "Saturday"}]}},
    ],
    ids=str,
)
def test_whatever_goes_wrong_the_free_times_are_unknown(
    harness: Harness, upstream: SandboxClient, fault: dict[str, object]
) -> None:
    """Check that sending continues, and that the read is not repeated immediately."""
    upstream.fault({"on": "availability", **fault})
    assert harness.pipeline.free_times.of("maple-court") is None
    assert harness.pipeline.free_times.of("maple-court") is None
    assert len(upstream.questions()) == 1
    with harness.pipeline.store.transaction() as tx:
        state = tx.rate_limit.lock(harness.clock())
    assert state.stopped_for is None
    assert state.failures == 0
    assert state.paused_until <= harness.clock()


def test_after_a_question_without_an_answer_no_community_is_asked_for_a_minute(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"on": "availability", "status": 503})
    assert harness.pipeline.free_times.of("maple-court") is None
    assert harness.pipeline.free_times.of("harbor-flats") is None
    assert len(upstream.questions()) == 1
    harness.clock.advance(61)
    assert harness.pipeline.free_times.of("harbor-flats")
    assert len(upstream.questions()) == 2


def test_questions_count_in_the_rate_limit_and_give_way(
    opened: Database, upstream: SandboxClient
) -> None:
    harness = Harness(opened, upstream, rate_per_minute=1)
    assert harness.pipeline.free_times.of("maple-court")
    assert harness.pipeline.free_times.of("harbor-flats") is None
    assert len(upstream.questions()) == 1


def test_two_processes_do_not_ask_the_same_question_at_once(
    opened: Database, upstream: SandboxClient
) -> None:
    """Check that the second process waits for the response to the first one."""
    upstream.fault({"on": "availability", "delay": 0.5})
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(_wall_clock(opened, upstream).free_times.of("maple-court"))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(upstream.questions()) == 1
    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.mark.parametrize(("ahead", "questions"), [(0.1, 0), (60.0, 1)])
def test_a_question_that_was_asked_while_waiting_for_the_lock_is_not_repeated(
    opened: Database, upstream: SandboxClient, ahead: float, questions: int
) -> None:
    """Check that a process whose clock is far ahead does not keep others from asking."""
    harness = Harness(opened, upstream)
    key = CalendarKey(
        integration_id="int_7Qm2", community_id="com_maple", appointment_type="APPOINTMENT"
    )
    with opened.transaction() as tx:
        tx.free_times.begin(key, harness.clock() + dt.timedelta(seconds=ahead))
    harness.pipeline.free_times.of("maple-court")
    assert len(upstream.questions()) == questions


def _wall_clock(opened: Database, upstream: SandboxClient) -> Pipeline:
    one = Harness(opened, upstream)
    return Pipeline(
        one.settings, opened, one.pipeline.sources, one.pipeline.propexo, utc_now, time.sleep
    )


def test_the_sandbox_is_open_in_local_daytime_and_each_tour_takes_its_time() -> None:
    catalog = catalog_from(json.loads(BUNDLED.read_text()))
    with running_sandbox(catalog=catalog, clock=lambda: START) as sandbox:
        before = _result(sandbox)
        sandbox.book(
            {
                "integration_id": "int_7Qm2",
                "community_id": "com_maple",
                "attribution_id": "att_rentfeed_m",
                "appointment_date": "2026-03-14",
                "appointment_time": "20:30:00",
                "last_name": "Okafor",
                "email_1": "dana@example.com",
            }
        )
        after = _result(sandbox)
    times = [one["start_time"] for one in before]
    # 9 AM and 5:30 PM in Denver, before and after the clocks change on March 8.
    assert times[0] == "2026-03-02T18:30:00Z"
    assert "2026-03-03T16:00:00Z" in times
    assert "2026-03-14T23:30:00Z" in times
    assert "2026-03-15T00:00:00Z" not in times
    assert [one for one in before if one not in after] == [
        {"start_time": "2026-03-14T20:30:00Z", "end_time": "2026-03-14T21:00:00Z"}
    ]


def _result(sandbox: SandboxClient) -> list[dict[str, str]]:
    body = {
        "integration_id": "int_7Qm2",
        "community_id": "com_maple",
        "appointment_type": "APPOINTMENT",
    }
    url = sandbox.url + "/crm/v1/appointment-availability/knock/"
    answer = requests.post(url, json=body, headers={"Authorization": "Bearer sandbox"}, timeout=5)
    found: list[dict[str, str]] = answer.json()["result"]
    return found
