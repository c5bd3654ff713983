"""Test the console's pages about communities with real PostgreSQL."""

import html
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask.testing
import pytest

from adapter.app import create_app
from adapter.models import BookingState
from adapter.operations.serializers import person
from adapter.settings import Settings
from tests.harness import SECRETS, Harness, load_cached, settle
from tests.integration.test_put_in_place import alias, aliases_of, at_unknown, elm_row
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.users import PASSWORD, user

HELD, PENDING, BOOKED = BookingState.HELD, BookingState.PENDING, BookingState.BOOKED


class Visitor:
    """A signed-in user's browser, without JavaScript."""

    def __init__(self, client: flask.testing.FlaskClient, name: str) -> None:
        self.client = client
        self.post("/sign-in", name=name, password=PASSWORD)

    def page(self, path: str, status: int = 200) -> str:
        answer = self.client.get("/console" + path)
        assert answer.status_code == status, answer.text
        return html.unescape(answer.text)

    def post(self, path: str, **form: str) -> Any:
        page = self.client.get("/console/sign-in").text
        found = re.search(r'name="csrf" value="([^"]+)"', page)
        assert found is not None
        return self.client.post("/console" + path, data={"csrf": found.group(1)} | form)


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(harness: Harness) -> Iterator[Visit]:
    """Open the console as a user. Each call simulates a new web process."""
    stores = []

    def begin(name: str = "ana", **changes: Any) -> Visitor:
        known = user(name, "read" if name == "rob" else "operate")
        given: dict[str, Any] = {
            "users": {name: (known.role, known.password)},
            "mappings_dir": MAPPINGS,
            "environ": SECRETS,
        }
        settings = Settings(database_url=harness.pipeline.store.url, **given | changes)
        app = create_app(settings, harness.clock, load_cached())
        stores.append(app.extensions["pipeline"].store)
        return Visitor(app.test_client(), name)

    yield begin
    for store in stores:
        store.__exit__()


def link_to(page: str, text: str) -> str:
    """Return the URL of the first console link that contains this text."""
    found = next(
        one
        for one in re.findall(r'<a href="([^"]+)"[^>]*>(.*?)</a>', page, re.DOTALL)
        if text in one[1]
    )
    return str(found[0]).removeprefix("/console")


def test_a_property_is_assigned_with_three_clicks_and_taken_back(
    harness: Harness, visit: Visit
) -> None:
    waiting = [harness.mapped("rentfeed", at_unknown(number))[0] for number in range(4)]
    ana = visit()
    page = ana.page("/communities")
    assert "The Residences at Cherry Creek" in page
    assert "Mon\N{EN DASH}Sun 7:00 AM\N{EN DASH}9:00 PM" in page, "if a community has none"
    page = ana.page(link_to(page, "The Residences"))
    assert "rentfeed sent 4 leads for <b><bdi>The Residences" in page
    chosen = link_to(page, "Maple Court")
    assert "Remember and book 4" in ana.page(chosen)
    form = {name: text for name, [text] in parse_qs(urlsplit(chosen).query).items()}

    harness.clock.advance(5)
    answer = ana.post("/communities/assign", **form)
    assert "4 leads will be sent in 10 seconds" in ana.page(
        answer.location.removeprefix("/console")
    )
    states = [harness.story(one.event_id).bookings[-1] for one in waiting]
    assert {(one.state, one.community) for one in states} == {(PENDING, "maple-court")}
    # Another web process knows the name from its next request on.
    assert "All properties are recognized" in visit().page("/communities")

    harness.clock.advance(5)
    ana.post("/communities/undo", source="rentfeed", key="20999")
    assert (
        "The Residences at Cherry Creek is no longer assigned to Maple Court. "
        "4 leads need a community again." in ana.page("/communities")
    )
    states = [harness.story(one.event_id).bookings[-1] for one in waiting]
    assert {one.state for one in states} == {HELD}
    story = ana.page(f"/leads/{states[0].id}").partition('class="story"')[2]
    told = [
        story.find(one)
        for one in (
            "ana assigned this property to Maple Court.",
            "ana removed the assignment of this property to Maple Court.",
            "Needs review",
        )
    ]
    assert -1 not in told
    harness.clock.advance(60)
    for path in ("/queue?todo=community", "/leads"):
        assert "1 min ago" in ana.page(path), path
        assert "just now" not in ana.page(path).partition('class="leads"')[2], path
    assert "read the message again" not in story


def test_an_assignment_explains_only_the_leads_that_it_moved(
    harness: Harness, visit: Visit
) -> None:
    [unknown] = harness.mapped("rentfeed", at_unknown(1))
    [other] = harness.mapped("rentfeed", lead(2, time="9:30 PM"))
    ana = visit()
    chosen = link_to(ana.page(link_to(ana.page("/communities"), "The Residences")), "Maple Court")
    form = {name: text for name, [text] in parse_qs(urlsplit(chosen).query).items()}
    ana.post("/communities/assign", **form)
    harness.clock.advance(30)
    harness.replays.replay(other.event_id, by="ana", dry_run=False)
    assigned = "ana assigned this property to Maple Court."
    assert assigned in ana.page(f"/leads/{unknown.event_id}")
    page = ana.page(f"/leads/{other.event_id}")
    assert "ana read the message again." in page
    assert assigned not in page


def test_what_is_in_knock_is_listed_when_it_is_taken_back(harness: Harness, visit: Visit) -> None:
    [held] = harness.mapped("rentfeed", at_unknown(1))
    ana = visit()
    chosen = link_to(ana.page(link_to(ana.page("/communities"), "The Residences")), "Maple Court")
    form = {name: text for name, [text] in parse_qs(urlsplit(chosen).query).items()}
    answer = ana.post("/communities/assign", **form)
    assigned = answer.location.removeprefix("/console")
    page = ana.page(assigned)
    assert "1 lead will be sent in 10 seconds" in page
    assert "Undo</button>" in page
    harness.clock.advance(11)
    page = ana.page(assigned)
    assert "1 lead is being booked" in page
    assert "Undo</button>" not in page
    settle(harness)
    booking = harness.story(held.event_id).bookings[-1]
    answer = ana.post("/communities/undo", source="rentfeed", key="20999")
    for _ in range(2):  # The list is still there when the page is opened again.
        page = ana.page(answer.location.removeprefix("/console"))
        assert "This tour is already in Knock." in page
        assert link_to(page, person(booking.appointment)) == f"/leads/{booking.id}"


def test_a_reader_sees_the_choices_and_cannot_assign(harness: Harness, visit: Visit) -> None:
    harness.mapped("rentfeed", at_unknown(1))
    rob = visit("rob")
    page = rob.page(link_to(rob.page("/communities"), "The Residences"))
    chosen = link_to(page, "Maple Court")
    assert "view-only" in rob.page(chosen)
    form = {name: text for name, [text] in parse_qs(urlsplit(chosen).query).items()}
    assert rob.post("/communities/assign", **form).status_code == 403


def test_a_lead_that_is_gone_is_said(visit: Visit) -> None:
    page = visit().page("/communities/pick?source=rentfeed&value=%221%22", 404)
    assert "No lead is waiting for this property anymore" in page


def test_leads_that_were_read_before_an_assignment_are_booked_too(
    harness: Harness, visit: Visit
) -> None:
    [held] = harness.mapped("rentfeed", at_unknown(1))
    aliases_of(harness).add(alias(harness))
    ana = visit()
    page = ana.page("/communities")
    assert "Assigned" in page
    path = link_to(page, "The Residences")
    assert "Book 1" in ana.page(path)
    form = {name: text for name, [text] in parse_qs(urlsplit(path).query).items()}
    assert ana.post("/communities/continue", **form).status_code == 302
    assert harness.story(held.event_id).bookings[-1].state is PENDING


# --- the settings of an added community


def test_an_admin_sets_the_tour_hours_of_an_added_community(harness: Harness, visit: Visit) -> None:
    ana = visit()
    aliases_of(harness).add_community(elm_row(harness))
    ana.client.application.extensions["pipeline"].live.refresh()
    path = link_to(ana.page("/communities"), "Settings")
    assert path == "/communities/elm-row/settings"
    hours = {"opens_mon": "09:00", "closes_mon": "18:00", "opens_tue": "09:00"}
    refused = ana.post(path, **hours)
    assert refused.status_code == 422
    text = html.unescape(refused.text)
    assert "Tuesday: Enter both times, or leave both empty if there are no tours that day." in text
    assert 'name="closes_mon" value="18:00"' in text, "what was entered is kept"
    early = ana.post(path, **hours | {"closes_tue": "09:15"})
    assert "Tuesday: The closing time must be at least 30 minutes after" in early.text
    assert "Tour hours" in ana.page(path)
    assert 'value="18:00"' not in ana.page(path), "nothing was saved"

    ana.post(path, **hours | {"closes_tue": "18:00", "check": "yes", "pms": "yardi"})
    aliases_of(harness).add(alias(harness, "elm-row", attribution_id="att_1"))
    ana.client.application.extensions["pipeline"].live.refresh()
    page = ana.page("/communities")
    assert '<td data-t="Lead sources">rentfeed</td>' in page
    assert "Mon\u2013Tue 9:00 AM\u20136:00 PM" in page
    assert "Only available times" in page
    assert "mon-tue: 9:00 AM-6:00 PM" in page, "in the YAML to copy"
    page = ana.page(path)
    assert 'name="closes_tue" value="18:00"' in page
    assert " checked" in page
    assert '<option value="yardi" selected>' in page
    assert "updated Elm Row's settings" in ana.page("/audit")


def test_other_communities_have_no_settings_here(harness: Harness, visit: Visit) -> None:
    aliases_of(harness).add_community(elm_row(harness))
    rob = visit("rob")
    rob.client.application.extensions["pipeline"].live.refresh()
    assert "Settings" not in rob.page("/communities").partition("<main")[2]
    assert rob.post("/communities/elm-row/settings", pms="yardi").status_code == 403
    ana = visit()
    row = ana.page("/communities").partition("<td>Maple Court")[2].partition("</tr>")[0]
    assert "Set up in communities.yaml" in row
    assert "Elm Row settings" in ana.page("/communities")
    page = ana.page("/communities/maple-court/settings", status=404)
    assert "It is set up in communities.yaml." in page
