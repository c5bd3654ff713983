"""Test what happens if two renters choose the same time before Knock has booked a tour."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.mapping.registry import load
from adapter.models import Booking, BookingState
from tests.harness import START, Harness, ManualClock
from tests.integration.test_invitations import (  # noqa: F401 - fixtures
    THREE,
    TWO,
    Visit,
    client,
    harness,
    invited,
    learn,
    tours_of,
    visit,
)
from tests.renter import Renter
from tests.sandbox_client import SandboxClient, running_sandbox

PENDING, SUBMITTED = BookingState.PENDING, BookingState.SUBMITTED


@pytest.fixture
def sandbox_clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def upstream(sandbox_clock: ManualClock) -> Iterator[SandboxClient]:
    with running_sandbox(clock=sandbox_clock) as upstream:
        yield upstream


def text_of(renter: Renter) -> str:
    """Return the current text of a renter's page."""
    renter.open("?lang=en")
    return renter.text


def check_times(harness: Harness, upstream: SandboxClient, folder: Path) -> None:  # noqa: F811
    """Turn on the check of tour times at the community, where two times are available."""
    learn(folder, check_availability=True)
    harness.pipeline.sources = load(folder, harness.settings.policy)
    upstream.set_free_times("com_1", [TWO, THREE])


def both_choose(harness: Harness, visit: Visit, time: str) -> list[tuple[Renter, Booking]]:  # noqa: F811
    """Have two renters choose the same time, and return their pages and tours."""
    cards = [invited(harness, number=number) for number in (1, 2)]
    renters = [visit(link) for _, link in cards]
    for renter in renters:
        renter.follow(time)
        renter.submit()
    return [
        (renter, tour)
        for renter, (card_id, _) in zip(renters, cards, strict=True)
        for tour in tours_of(harness, card_id)
    ]


def test_the_second_is_told_that_the_time_is_taken(
    harness: Harness,  # noqa: F811
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
    tmp_path: Path,
    sandbox_clock: ManualClock,
) -> None:
    """Check the page of the second renter while Knock still shows the time as available."""
    check_times(harness, upstream, tmp_path)
    (one, first), (other, second) = both_choose(harness, visit, "2:00 PM")
    upstream.fault({"book_after": 8})
    harness.send()
    assert [harness.state(tour.id) for tour in (first, second)] == [SUBMITTED, PENDING]
    assert "We are booking your tour" in text_of(one)
    assert "We are booking your tour" in text_of(other)
    for clock in (harness.clock, sandbox_clock):
        clock.advance(10)
    harness.check()
    harness.send()
    assert "Maple Court is expecting you on Tuesday, March 3 at 2:00 PM." in text_of(one)
    assert "We could not book your tour on Tuesday, March 3 at 2:00 PM." in text_of(other)
    assert "3:00 PM" in other.links()
    assert len(upstream.appointments()) == 1


def test_the_second_does_not_wait_forever(
    harness: Harness,  # noqa: F811
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
    tmp_path: Path,
) -> None:
    check_times(harness, upstream, tmp_path)
    _, (_, second) = both_choose(harness, visit, "2:00 PM")
    upstream.fault({"job": "PENDING", "book_after": 3600})
    harness.send()
    asked = len(upstream.questions())
    for _ in range(29):
        harness.clock.advance(1)
        harness.send()
    assert harness.state(second.id) is PENDING
    assert len(upstream.questions()) == asked, "waiting costs no calls"
    harness.clock.advance(2)
    harness.send()
    assert harness.state(second.id) is SUBMITTED


def test_the_second_does_not_wait_for_a_calendar_that_cannot_be_read(
    harness: Harness,  # noqa: F811
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
    tmp_path: Path,
) -> None:
    check_times(harness, upstream, tmp_path)
    (_, first), (_, second) = both_choose(harness, visit, "2:00 PM")
    harness.clock.advance(61)  # the answer for the renters' pages is no longer used
    upstream.fault(*[{"on": "availability", "status": 503}] * 4, {"job": "PENDING"})
    harness.send()
    harness.clock.advance(1)
    harness.send()
    assert [harness.state(tour.id) for tour in (first, second)] == [SUBMITTED, SUBMITTED]


def test_without_free_times_each_is_told_what_knock_answers(
    harness: Harness,  # noqa: F811
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
    sandbox_clock: ManualClock,
) -> None:
    found = both_choose(harness, visit, "12:30 PM")
    upstream.fault({}, {"job": "FAILURE"})
    harness.send()
    assert all("We are booking your tour" in text_of(renter) for renter, _ in found)
    for clock in (harness.clock, sandbox_clock):
        clock.advance(10)
    harness.check()
    texts = [text_of(renter) for renter, _ in found]
    assert sum("Maple Court is expecting you" in text for text in texts) == 1
    assert sum("We could not book your tour" in text for text in texts) == 1
