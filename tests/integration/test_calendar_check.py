"""Test that tours are checked against the sandbox's calendar before they are booked."""

import datetime as dt
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapter.bookings.calendar_check import Postponed
from adapter.bookings.free_times import calendar_key
from adapter.mapping.respond import RequestValues, Respond
from adapter.models import BookingState
from adapter.operations.release import Repairs
from adapter.store import Database
from adapter.webhooks.outcome import load_outcome
from tests.harness import Harness, settle
from tests.leads import lead, same_person
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient

#: 2:30 PM on March 14, 2026 in Denver, the time of all leads here.
TOUR = dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)
HALF_HOUR = dt.timedelta(minutes=30)
#: Three available times near the tour's time, and two that are farther away.
OTHERS = [TOUR + HALF_HOUR * number for number in (-9, -2, 1, 3, 9)]
NEAREST = tuple(OTHERS[1:4])


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checked_mappings(tmp_path_factory.mktemp("checked"))


def checked_mappings(parent: Path) -> Path:
    """Create a mappings folder that checks the times of tours at one community."""
    folder = parent / "mappings"
    shutil.copytree(MAPPINGS, folder)
    file = folder / "communities.yaml"
    line = "  community_id: com_maple\n"
    file.write_text(file.read_text().replace(line, line + "  check_availability: true\n"))
    return folder


@pytest.fixture
def harness(opened: Database, upstream: SandboxClient, mappings: Path) -> Harness:
    return Harness(opened, upstream, mappings=mappings)


def whys(harness: Harness, event_id: int) -> list[str]:
    """Return the reason codes in the history for a lead's POSTs."""
    return [one.why for one in harness.story(event_id).history if one.to_state == "sending"]


def test_a_free_time_is_booked(harness: Harness, upstream: SandboxClient) -> None:
    upstream.set_free_times("com_maple", [*OTHERS, TOUR])
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    assert harness.state(booking.id) is BookingState.SUBMITTED
    assert whys(harness, booking.event_id) == ["calendar_free"]
    assert [one["path"] for one in upstream.calls()] == [
        "/crm/v1/appointment-availability/knock/",
        "/crm/v1/appointments/knock",
    ]


def test_a_taken_time_is_held_with_the_nearest_free_times(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.set_free_times("com_maple", OTHERS)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    held = harness.booking(booking.id)
    assert (held.state, held.reason) == (BookingState.HELD, "time_taken")
    assert held.free_times == NEAREST
    assert [(one.field, one.reason) for one in held.reasons] == [
        ("starts_at", "is not free in Knock's calendar")
    ]
    assert upstream.posts() == []


def test_a_sender_that_waits_gets_the_free_times(
    harness: Harness, opened: Database, upstream: SandboxClient
) -> None:
    upstream.set_free_times("com_maple", OTHERS)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    outcome = load_outcome(opened, booking.event_id)
    assert outcome.is_final
    template = {"say": "{say}", "times": [{"each_free_time": "{free_time_utc}"}]}
    reply = Respond.from_section({"wait": "8s", "json": template}).reply(outcome, RequestValues())
    assert json.loads(reply.body) == {
        "say": "That time is not available. Would one of these work: "
        "Saturday, March 14 at 1:30 PM, 3:00 PM or 4:00 PM?",
        "times": [f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in NEAREST],
    }


def test_a_user_may_book_a_taken_time_anyway(harness: Harness, upstream: SandboxClient) -> None:
    upstream.set_free_times("com_maple", OTHERS)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    _release(harness, booking.id, {})
    harness.send()
    assert harness.state(booking.id) is BookingState.SUBMITTED
    assert whys(harness, booking.event_id) == ["sending"]
    assert len(upstream.questions()) == 1


def test_a_user_may_book_one_of_the_free_times(harness: Harness, upstream: SandboxClient) -> None:
    upstream.set_free_times("com_maple", OTHERS)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    _release(harness, booking.id, {"starts_at": NEAREST[0].isoformat()})
    harness.send()
    assert [one["appointment_time"] for one in upstream.posts()] == ["19:30:00"]


def _release(harness: Harness, booking_id: int, changes: Mapping[str, Any]) -> None:
    pipeline = harness.pipeline
    repairs = Repairs(harness.settings, pipeline.store, pipeline.sources, harness.clock)
    repairs.release(booking_id, changes, by="ana")


def test_the_renter_may_choose_another_time(harness: Harness, upstream: SandboxClient) -> None:
    """Check that the renter's next request replaces the held one."""
    upstream.set_free_times("com_maple", OTHERS)
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.send()
    harness.clock.advance(5)
    (second,) = harness.mapped("rentfeed", same_person(2, time="1:30 PM"))
    settle(harness)
    assert harness.state(first.id) is BookingState.SUPERSEDED
    assert harness.state(second.id) is BookingState.BOOKED


def test_a_mapping_asks_for_the_check_too(
    opened: Database, upstream: SandboxClient, tmp_path: Path
) -> None:
    shutil.copytree(MAPPINGS, tmp_path / "mappings")
    file = tmp_path / "mappings" / "rentfeed.yaml"
    file.write_text("check_availability: true\n" + file.read_text())
    harness = Harness(opened, upstream, mappings=tmp_path / "mappings")
    upstream.set_free_times("com_maple", OTHERS)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    assert harness.booking(booking.id).reason == "time_taken"


def test_a_self_guided_tour_has_its_own_calendar(harness: Harness, upstream: SandboxClient) -> None:
    tour = {"date": "03/14/2026", "time": "2:30 PM", "type": "SELF_GUIDED"}
    harness.mapped("rentfeed", lead(1) | {"tour": tour})
    harness.send()
    assert [one["appointment_type"] for one in upstream.questions()] == ["SELF_GUIDED_TOUR"]


def test_other_bookings_ask_nothing(
    opened: Database, upstream: SandboxClient, mappings: Path
) -> None:
    unchecked = Harness(opened, upstream)
    unchecked.mapped("rentfeed", lead(1))
    unchecked.send()
    assert len(upstream.posts()) == 1
    assert upstream.questions() == []


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"status": 500}, "calendar_no_answer"),
    ({"status": 503, "headers": {"Retry-After": "600"}}, "calendar_no_answer"),
    ({"drop": "before"}, "calendar_no_answer"),
    ({"drop": "during"}, "calendar_no_answer"),
    ({"delay": 30}, "calendar_no_answer"),
    ({"status": 400}, "calendar_rejected"),
    ({"status": 401}, "calendar_rejected"),
    ({"status": 403}, "calendar_rejected"),
    ({"status": 404}, "calendar_rejected"),
    ({"status": 302, "headers": {"Location": "/"}}, "calendar_rejected"),
    ({"status": 429, "headers": {"Retry-After": "60"}}, "calendar_busy"),
    ({"status": 200, "body": "<html>"}, "calendar_unreadable"),
    ({"status": 200, "body": {"result": []}}, "calendar_unreadable"),
    ({"status": 200, "body": {"result": [{"slot": "whenever"}]}}, "calendar_unreadable"),
    ({"status": 200, "body": {"result": ["2026-03-13T20:30:00Z"]}}, "calendar_too_short"),
    (
        {"status": 200, "body": {"result": ["2026-03-20T20:30:00Z", "?"]}},
        "calendar_too_short",
    ),
]


@pytest.mark.parametrize(("fault", "why"), FAULTS, ids=str)
def test_a_tour_that_cannot_be_checked_is_booked_at_once(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any], why: str
) -> None:
    upstream.fault({"on": "availability", **fault})
    began_at, started_at = harness.clock(), time.monotonic()
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    assert time.monotonic() - started_at < 5
    assert harness.clock() - began_at < dt.timedelta(seconds=1)
    assert harness.state(booking.id) is BookingState.SUBMITTED
    assert whys(harness, booking.event_id) == [why]
    assert len(upstream.questions()) == 1
    (other,) = harness.mapped("rentfeed", lead(2, time="3:30 PM"))
    harness.clock.advance(2)
    harness.send()
    assert harness.state(other.id) is BookingState.SUBMITTED


def test_without_calls_left_tours_are_booked_unchecked(
    opened: Database, upstream: SandboxClient, mappings: Path
) -> None:
    """Use up the calls for reads, which may be only one in four while bookings are waiting."""
    harness = Harness(opened, upstream, mappings=mappings, rate_per_minute=4)
    (first,) = harness.mapped("rentfeed", lead(1))
    (second,) = harness.mapped("rentfeed", lead(2, day=15))
    harness.send()
    assert whys(harness, first.event_id) == ["calendar_free"]
    assert whys(harness, second.event_id) == ["calendar_busy"]
    assert len(upstream.questions()) == 1
    assert len(upstream.posts()) == 2


def test_the_free_times_are_asked_again_after_each_booking(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Check that a time is no longer available to a second person after it was booked."""
    upstream.set_free_times("com_maple", [*OTHERS, TOUR])
    first, second = (harness.mapped("rentfeed", lead(number))[0] for number in (1, 2))
    harness.send()
    assert harness.state(first.id) is BookingState.SUBMITTED
    assert harness.state(second.id) is BookingState.PENDING, "Knock may not have booked it yet"
    assert len(upstream.questions()) == 1
    settle(harness)
    harness.send()
    assert harness.booking(second.id).reason == "time_taken"
    assert len(upstream.questions()) == 2


def test_an_answer_is_used_for_every_booking_within_a_minute(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Check that the cached times stay valid as long as nothing is booked."""
    upstream.set_free_times("com_maple", OTHERS)
    found = [harness.mapped("rentfeed", lead(number))[0] for number in range(4)]
    harness.send()
    assert {harness.booking(one.id).reason for one in found} == {"time_taken"}
    assert len(upstream.questions()) == 1


def test_a_booking_waits_for_another_processs_question(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Check that the booking stops waiting if the other process dies."""
    (booking,) = harness.mapped("rentfeed", lead(1))
    step, _ = harness.pipeline.sender._next()
    assert step is not None
    harness.clock.advance(1)
    (other,) = harness.mapped("rentfeed", lead(2, day=13))
    harness.send()
    assert harness.state(other.id) is BookingState.PENDING
    assert upstream.calls() == []
    harness.clock.advance(3)
    harness.send()
    assert harness.state(other.id) is BookingState.SUBMITTED
    assert whys(harness, other.event_id) == ["calendar_no_answer"]
    harness.clock.advance(1)
    harness.send()
    assert harness.state(booking.id) is BookingState.SUBMITTED


def test_a_lead_waits_for_one_slow_answer_but_not_for_the_next(
    harness: Harness, opened: Database, upstream: SandboxClient
) -> None:
    """Let another process get a slow response and book one of the available times."""
    days = (12, 13, 14)
    waiting = [harness.mapped("rentfeed", lead(day, day=day))[0] for day in days]
    key, asked_at = calendar_key(waiting[0]), harness.clock()
    with opened.transaction() as tx:
        tx.free_times.begin(key, asked_at)
    for _ in range(8):
        harness.send()
        harness.clock.advance(0.3)
    assert upstream.calls() == []
    with opened.transaction() as tx:
        tx.free_times.end(
            key,
            asked_at,
            harness.clock(),
            times=[TOUR],
            is_complete=True,
            problem=None,
            shape=None,
            is_slow=True,
        )
        tx.free_times.drop("int_7Qm2", "com_maple")

    harness.send()
    assert [harness.state(one.id) for one in waiting] == [BookingState.SUBMITTED] * 3
    assert [whys(harness, one.event_id) for one in waiting] == [["calendar_busy"]] * 3
    assert upstream.questions() == []
    (new,) = harness.mapped("rentfeed", lead(11, day=11))
    harness.send()
    assert whys(harness, new.event_id) == ["calendar_free"]
    assert len(upstream.questions()) == 1, "a new lead may wait for its own answer"


def test_an_old_answer_is_not_used_after_a_wait_for_the_rate_limit(
    harness: Harness, opened: Database, upstream: SandboxClient
) -> None:
    """Delete the cached answer during the wait, as another process does when it books a tour."""
    upstream.set_free_times("com_maple", [*OTHERS, TOUR])
    (booking,) = harness.mapped("rentfeed", lead(1))
    sender, key = harness.pipeline.sender, calendar_key(booking)
    asked, _ = sender._next()
    assert isinstance(asked, Postponed)
    answered = sender.check.finish(asked)
    with opened.transaction() as tx:
        tx.free_times.drop(key.integration_id, key.community_id)
    harness.clock.advance(6)
    again, _ = sender._next(answered)
    assert isinstance(again, Postponed)
    assert again.question is not None


def test_a_lead_that_was_replaced_meanwhile_is_not_held(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.set_free_times("com_maple", OTHERS)
    assert harness.pipeline.free_times.of("maple-court") == tuple(OTHERS)
    (first,) = harness.mapped("rentfeed", same_person(1))
    step, _ = harness.pipeline.sender._next()
    harness.clock.advance(1)
    harness.mapped("rentfeed", same_person(2, time="1:30 PM"))
    harness.pipeline.sender.check.finish(step)  # type: ignore[arg-type] # it was postponed
    assert harness.state(first.id) is BookingState.SUPERSEDED
