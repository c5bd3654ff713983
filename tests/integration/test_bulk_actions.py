"""Test actions on several leads, and the Undo button in the message that follows."""

import html
import re
from typing import Any

import pytest

from adapter.console import lead_actions
from adapter.models import Booking, BookingState
from tests.harness import Harness
from tests.integration.test_community_pages import Visit, Visitor, visit  # noqa: F401 - a fixture
from tests.leads import lead

pytestmark = pytest.mark.usefixtures("harness")
HELD = BookingState.HELD


def at_night(harness: Harness, *numbers: int) -> list[int]:
    """Store leads whose tours are outside booking hours, so that they need review."""
    found = [harness.mapped("rentfeed", lead(number, time="9:30 PM"))[0] for number in numbers]
    assert {one.state for one in found} == {HELD}
    return [one.id for one in found]


def bookings(harness: Harness, numbers: list[int]) -> list[Booking]:
    return [harness.booking(number) for number in numbers]


def token_of(browser: Visitor) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.page("/queue"))
    assert found is not None
    return found[1]


def act(browser: Visitor, name: str, numbers: list[int], **form: str) -> str:
    """Submit the form for the selected leads, and return the page that follows."""
    fields = {
        "csrf": token_of(browser),
        "act": name,
        "ids": list(map(str, numbers)),
        "sure": "1",
    } | form
    answer = browser.client.post("/console/queue/act", data=fields)
    return browser.page(answer.location.removeprefix("/console"))


def undo(browser: Visitor, page: str) -> str:
    """Click Undo in the message on a page, and return the page that follows."""
    found = re.search(r'action="/console(/undo[^"]*)" data-seconds="10"', page)
    assert found is not None, page
    answer = browser.post(found[1], list="todo=call")
    assert answer.location == "/console/queue?todo=call"
    return browser.page("/queue")


def test_snoozing_several_leads_is_undone(harness: Harness, visit: Visit) -> None:  # noqa: F811
    numbers, ana = at_night(harness, 1, 2), visit()
    page = act(ana, "snooze", numbers, until="hour")
    assert "2 leads snoozed until" in page
    assert all(one.snoozed_until for one in bookings(harness, numbers))
    assert "Undone. 2 leads need you again." in undo(ana, page)
    assert not any(one.snoozed_until for one in bookings(harness, numbers))


def test_mine_counts_only_my_snoozed_leads(harness: Harness, visit: Visit) -> None:  # noqa: F811
    numbers, ana = at_night(harness, 1, 2, 3), visit()
    act(ana, "assign", numbers[:1])
    act(ana, "snooze", numbers[:2], until="hour")
    snoozed = r'<a href="/console/queue\?([^"]+)"[^>]*>Snoozed <span class="count">(\d)<'
    assert re.findall(snoozed, ana.page("/queue")) == [("snoozed=1", "2")]
    page = ana.page("/queue?mine=1")
    assert re.findall(snoozed, page) == [("mine=1&snoozed=1", "1")]
    assert "assigned to ana" in ana.page("/queue?mine=1&snoozed=1")
    page = ana.page("/queue?mine=1&snoozed=1")
    assert re.findall(r'<a href="([^"]+)">All <span[^>]*>(\d)<', page) == [
        ("/console/queue?mine=1", "0")
    ]


def test_a_list_of_leads_mentions_no_check_box() -> None:
    text = lead_actions._fault_sentence("starts_at", "is not available in Knock")
    assert text == "This time is not available in Knock. Choose another time."


def test_dismissing_several_leads_is_undone(harness: Harness, visit: Visit) -> None:  # noqa: F811
    numbers, ana = at_night(harness, 1), visit()
    unread = harness.receive("rentfeed", b"{").event_id
    harness.map_event(unread)
    page = act(ana, "discard", [unread, *numbers])
    assert harness.state(numbers[0]) is BookingState.DISCARDED
    assert "Undone. 2 leads need you again." in undo(ana, page)
    assert harness.state(numbers[0]) is HELD
    assert harness.story(unread).event.state == "held"


def test_assigning_several_leads_is_undone(harness: Harness, visit: Visit) -> None:  # noqa: F811
    """Check that the leads go back to the users who had them."""
    numbers, ana = at_night(harness, 1, 2, 3), visit()
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.assign(numbers[0], "maria")
        tx.bookings.assign(numbers[1], "zoe: the new one")
    page = act(ana, "assign", numbers)
    assert {one.assigned_to for one in bookings(harness, numbers)} == {"ana"}
    assert "Undone." in undo(ana, page)
    former = [one.assigned_to for one in bookings(harness, numbers)]
    assert former == ["maria", "zoe: the new one", None]


def test_a_group_of_dismissed_leads_is_brought_back(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    numbers, ana = at_night(harness, 1, 2), visit()
    with harness.pipeline.store.transaction() as tx:
        (group,) = tx.review_queue.groups(harness.clock())
    answer = ana.post(f"/queue/{group.issue.key}/discard", reason="a test", seen=str(group.last_id))
    page = ana.page(answer.location.removeprefix("/console"))
    assert "2 leads were dismissed." in page
    undo(ana, page)
    assert {one.state for one in bookings(harness, numbers)} == {HELD}


def test_what_cannot_be_undone_offers_no_undo(harness: Harness, visit: Visit) -> None:  # noqa: F811
    numbers, ana = at_night(harness, 1, 2), visit()
    page = act(ana, "confirm", numbers)
    assert "2 leads marked as already in Knock." in page
    assert "data-undo" not in page
    assert ana.post("/undo?act=confirm&ids=1").status_code == 404


def test_leads_that_must_be_opened_are_not_booked_with_others(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    """Use leads with an unavailable time, with someone else's contact, and without a name."""
    (taken,) = harness.mapped("rentfeed", lead(1))
    shared: Any = {"email": "family@example.com"}
    harness.mapped("rentfeed", lead(2, name="Liam Ortiz", **shared))
    (other,) = harness.mapped("rentfeed", lead(3, day=15, name="Lara Ortiz", **shared))
    (nameless,) = harness.mapped("rentfeed", lead(4, name=""))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(taken.id, HELD, why="time_taken", now=harness.clock())
    numbers, ana = [taken.id, other.id, nameless.id], visit()
    assert {one.state for one in bookings(harness, numbers)} == {HELD}
    fields = {"csrf": token_of(ana), "act": "release", "ids": list(map(str, numbers))}
    asked = html.unescape(ana.client.post("/console/queue/act", data=fields).text)
    assert "None of these 3 leads can be booked yet" in asked
    assert "This time is not available in Knock. Open this lead to book it." in asked
    assert "Open this lead to book it." in asked.partition("Lara Ortiz")[2]
    assert "No name</bdi>: The last name is missing." in asked
    page = act(ana, "release", numbers)
    assert "Open this lead to book it." in page
    assert {one.state for one in bookings(harness, numbers)} == {HELD}
