"""Test that the console does not offer or book a tour time that is taken in Knock's calendar."""

import datetime as dt
import re
from pathlib import Path

import pytest

from adapter.bookings.calendar_check import REASON
from adapter.models import TIME_TAKEN, BookingState
from adapter.store import Database
from tests.harness import Harness, load_cached, settle
from tests.integration.test_calendar_check import NEAREST, OTHERS, checked_mappings
from tests.integration.test_community_pages import Visit, Visitor, visit  # noqa: F401 - a fixture
from tests.leads import lead
from tests.sandbox_client import SandboxClient

HELD, PENDING, BOOKED = BookingState.HELD, BookingState.PENDING, BookingState.BOOKED


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a mappings folder that checks the times of tours at both communities."""
    folder = checked_mappings(tmp_path_factory.mktemp("checked"))
    file = folder / "communities.yaml"
    line = "  community_id: com_harbor\n"
    file.write_text(file.read_text().replace(line, line + "  check_availability: true\n"))
    return folder


@pytest.fixture
def harness(opened: Database, upstream: SandboxClient, mappings: Path) -> Harness:
    return Harness(opened, upstream, mappings=mappings)


@pytest.fixture
def ana(harness: Harness, visit: Visit, mappings: Path, upstream: SandboxClient) -> Visitor:  # noqa: F811
    visitor = visit(mappings_dir=mappings, propexo_base_url=upstream.url, propexo_token="sandbox")
    app = visitor.client.application
    app.extensions["pipeline"].sources = load_cached(mappings)
    return visitor


def taken(harness: Harness, upstream: SandboxClient, number: int) -> int:
    """Return a lead that is held because its time is taken."""
    upstream.set_free_times("com_maple", OTHERS)
    (booking,) = harness.mapped("rentfeed", lead(number))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(booking.id, HELD, why=TIME_TAKEN, now=harness.clock(), reasons=[REASON])
        tx.free_times.offer(booking.id, NEAREST)
    return booking.id


def book(ana: Visitor, number: int, **form: str) -> str:
    """Submit a lead's form as the panel does. Return the updated panel."""
    page = ana.page(f"/leads/{number}/panel")
    for name in ("zone", "version"):
        found = re.search(rf'name="{name}" value="([^"]*)"', page)
        assert found is not None
        form[name] = found[1]
    answer = ana.client.post(
        f"/console/leads/{number}/release",
        data={"csrf": csrf_of(page)} | form,
        headers={"HX-Target": "panel"},
    )
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", answer.text))


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def offered(page: str) -> list[str]:
    return re.findall(r'data-value="([^"]+)"', page)


def local(at: dt.datetime) -> str:
    return f"{at - dt.timedelta(hours=6):%Y-%m-%dT%H:%M}"


def test_times_that_we_have_booked_since_are_not_offered(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    first, second = taken(harness, upstream, 1), taken(harness, upstream, 2)
    page = ana.page(f"/leads/{second}/panel")
    assert offered(page) == [local(one) for one in NEAREST]
    assert re.search(r"Available in Knock as of <time[^>]*>\d+:\d\d [AP]M</time>", page)
    book(ana, first, starts_at=local(NEAREST[0]))
    rest = [local(one) for one in NEAREST[1:]]
    assert offered(ana.page(f"/leads/{second}/panel")) == rest, "it is about to be sent"
    harness.clock.advance(60)
    settle(harness)
    harness.clock.advance(17 * 60)
    assert harness.state(first) is BOOKED
    assert offered(ana.page(f"/leads/{second}")) == rest
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.mark_gone([first], now=harness.clock())
    assert len(offered(ana.page(f"/leads/{second}"))) == 3


def test_a_taken_time_is_booked_only_if_the_user_insists(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    number = taken(harness, upstream, 1)
    chosen, still_free = NEAREST[0], OTHERS[-1]
    harness.clock.advance(17 * 60)
    upstream.set_free_times("com_maple", [still_free])
    page = book(ana, number, starts_at=local(chosen))
    assert "This time is not available in Knock." in page
    assert harness.state(number) is HELD
    assert f"{still_free - dt.timedelta(hours=6):%-I:%M %p}" in page, "the new answer is offered"
    page = book(ana, number, starts_at=local(chosen), taken_time="on")
    assert harness.state(number) is PENDING
    harness.clock.advance(60)
    settle(harness)
    assert harness.state(number) is BOOKED


def test_two_renters_do_not_get_the_same_time_within_seconds(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    """Book the second tour before the first one is in Knock's calendar."""
    first, second = taken(harness, upstream, 1), taken(harness, upstream, 2)
    book(ana, first, starts_at=local(NEAREST[1]))
    assert harness.state(first) is PENDING
    assert "not available in Knock" in book(ana, second, starts_at=local(NEAREST[1]))
    assert harness.state(second) is HELD


def test_a_renter_who_already_has_the_tour_is_named_as_the_reason(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    """The renter's other tour is not sent yet, so Knock's calendar does not have it."""
    first = taken(harness, upstream, 1)
    (other,) = harness.mapped("rentfeed", lead(1, time="afternoon") | {"leadId": "other"})
    assert other.state is HELD
    book(ana, first, starts_at=local(NEAREST[1]))
    assert harness.state(first) is PENDING
    page = book(ana, other.id, starts_at=local(NEAREST[1]))
    assert "This renter already has this tour." in page
    assert "not available in Knock" not in page


def test_a_time_that_someone_else_with_the_same_email_has_is_taken(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    first = taken(harness, upstream, 1)
    second = lead(1, time="afternoon", name="Hal Hill") | {"leadId": "other"}
    (other,) = harness.mapped("rentfeed", second)
    assert other.state is HELD
    book(ana, first, starts_at=local(NEAREST[1]))
    assert "not available in Knock" in book(ana, other.id, starts_at=local(NEAREST[1]))
    assert [harness.state(first), harness.state(other.id)] == [PENDING, HELD]


def test_a_calendar_that_cannot_be_read_does_not_stop_a_user(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    number = taken(harness, upstream, 1)
    harness.clock.advance(17 * 60)
    upstream.fault({"on": "availability", "status": 500})
    book(ana, number, starts_at=local(NEAREST[0]))
    assert harness.state(number) is PENDING


def test_the_preview_of_several_leads_names_a_taken_time(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    first, second = taken(harness, upstream, 1), taken(harness, upstream, 2)
    token = csrf_of(ana.page(f"/leads/{first}/panel"))
    form = {"csrf": token, "act": "release", "ids": [str(first), str(second)]}
    answer = ana.client.post("/console/queue/act", data=form)
    assert "This time is not available in Knock." in answer.text


def test_several_leads_do_not_wait_for_each_slow_calendar(
    harness: Harness, upstream: SandboxClient, ana: Visitor
) -> None:
    """Read three calendars that take 2.7 seconds each."""
    self_guided = {"date": "03/14/2026", "time": "3:30 PM", "type": "SELF_GUIDED"}
    harbor = {"propertyId": "20555", "propertyName": "Harbor Flats"}
    payloads = [lead(1), lead(2) | {"tour": self_guided}, lead(3) | {"listing": harbor}]
    bookings = [harness.mapped("rentfeed", payload)[0] for payload in payloads]
    with harness.pipeline.store.transaction() as tx:
        for one in bookings:
            tx.bookings.move(one.id, HELD, why="held_by_mapping", now=harness.clock(), reasons=[])
    upstream.fault(*[{"on": "availability", "delay": 2.7}] * 3)
    token = csrf_of(ana.page(f"/leads/{bookings[0].id}/panel"))
    ids = [str(one.id) for one in bookings]
    form = {"csrf": token, "act": "release", "ids": ids}
    assert ana.client.post("/console/queue/act", data=form).status_code == 200
    assert len(upstream.questions()) == 2
    ana.client.post("/console/queue/act", data=form | {"sure": "1"})
    assert [harness.state(one.id) for one in bookings] == [PENDING] * 3
