"""Test key presses that come before a lead is shown, in a real Chromium.

The tests hold back the server's responses, so that nothing depends on timing.
"""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.acceptance.browser.site import Reader, Site, portal_lead

pytestmark = pytest.mark.browser

NUMBERS = range(270, 274)


@pytest.fixture(scope="module")
def leads(site: Site) -> list[int]:
    """Return the events of four leads with tours at night, which need review."""
    payloads = [portal_lead(number, days=9, time="11:55 PM") for number in NUMBERS]
    events = [site.send("rentfeed", payload) for payload in payloads]
    site.settled(*events)
    return events


class Desk:
    """The list of leads in a browser, with responses that the test holds back."""

    def __init__(self, reader: Reader) -> None:
        self.page: Page = reader.page
        self._held: list[Route] = []
        self.posts: list[str] = []
        self.page.on("request", self._note)

    def _note(self, request: object) -> None:
        if getattr(request, "method", "") == "POST":
            self.posts.append(getattr(request, "url", "").rpartition("/console")[2])

    def hold(self) -> None:
        """Hold back every response for the panel from now on."""
        self.page.route(re.compile(r"/leads/\d+/"), lambda route: self._held.append(route))

    def let_go(self, *, fails: bool = False) -> None:
        """Wait for a held request, and let the server respond to it."""
        while not self._held:
            self.page.wait_for_timeout(10)  # runs the browser's events
        route = self._held.pop(0)
        route.fulfill(status=500) if fails else route.continue_()

    def wait_for_posts(self, *paths: str) -> None:
        """Wait for the expected POSTs, and check their paths."""
        while len(self.posts) < len(paths):
            self.page.wait_for_timeout(10)  # runs the browser's events
        assert self.posts == [*paths]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def rows(self) -> list[str]:
        """Return the IDs of this module's leads in the list."""
        mine = self.page.locator("#leads .lead", has_text="(720) 555-017").all()
        return [one.get_attribute("data-lead") or "" for one in mine]

    def panel(self, lead: str) -> None:
        """Wait until the panel shows this lead."""
        self.page.locator(f"#panel [data-panel='{lead}']").wait_for()

    @property
    def reason(self) -> str:
        return self.page.locator("#panel [name=reason]").first.input_value()


@pytest.fixture
def desk(ana: Reader, leads: list[int]) -> Desk:
    """Open the list of leads, and select this module's first lead."""
    desk = Desk(ana)
    ana.go("/queue?todo=call")
    current = ana.page.locator(".lead.current")
    desk.press("j")
    while current.get_attribute("data-lead") != desk.rows()[0]:
        desk.press("j")
    return desk


def test_a_reason_that_is_typed_before_the_lead_is_shown_is_no_shortcut(desk: Desk) -> None:
    """Type a reason that contains the shortcut keys of all actions and of the search box."""
    first = desk.rows()[0]
    desk.hold()
    desk.press("Enter", "d", *"Already booked n/a, x", "Backspace", "ArrowDown")
    desk.let_go()
    desk.panel(first)
    expect(desk.page.locator("#panel [name=reason]").first).to_have_value("Already booked n/a, ")
    expect(desk.page.locator("#panel [name=reason]").first).to_be_focused()
    assert desk.posts == []


def test_keys_act_on_the_lead_that_they_lead_to(desk: Desk) -> None:
    _, _, third = desk.rows()[:3]
    desk.press("Enter")
    desk.panel(desk.rows()[0])
    desk.hold()
    desk.press("j", "j", "a", "b")
    desk.let_go()  # the second lead's request was abandoned
    desk.let_go()
    desk.panel(third)
    expect(desk.page.locator("#panel")).to_have_attribute("aria-busy", "true")
    desk.wait_for_posts(f"/leads/{third}/assign")
    desk.let_go()
    desk.let_go()
    expect(desk.page.locator("#panel [aria-invalid]").first).to_be_visible()
    desk.wait_for_posts(f"/leads/{third}/assign", f"/leads/{third}/release")


def test_a_second_b_books_no_lead_that_nobody_has_seen(desk: Desk) -> None:
    first = desk.rows()[0]
    desk.press("Enter")
    desk.panel(first)
    desk.page.locator("#panel [name=any_hour]").first.check()
    desk.page.locator("#panel").focus()
    desk.hold()
    desk.press("b", "b", "b")
    desk.let_go()
    expect(desk.page.locator(f"#panel [data-panel='{first}']")).to_have_count(0)
    assert desk.posts == [f"/leads/{first}/release"]


def test_keys_that_had_to_wait_too_long_are_forgotten(desk: Desk) -> None:
    """Check that the keys and the rest of the text do not act on the lead that is finally shown."""
    first = desk.rows()[0]
    desk.hold()
    desk.press("Enter", "d")
    desk.page.evaluate("performance.now = () => Infinity")
    desk.press(*"bad")
    desk.let_go()
    desk.panel(first)
    desk.press(*"lead")
    expect(desk.page.locator("#panel [data-open=d]").first).not_to_have_attribute("open", "")
    assert desk.posts == []


def test_after_an_error_the_text_does_not_act_on_the_lead_before(desk: Desk) -> None:
    first = desk.rows()[0]
    desk.press("Enter")
    desk.panel(first)
    desk.hold()
    desk.press("j", "d", *"ba")
    desk.let_go(fails=True)
    expect(desk.page.locator("#panel")).to_have_attribute("aria-busy", "false")
    desk.press(*"bad")
    desk.panel(first)
    assert desk.posts == []
    assert desk.reason == ""


def test_a_search_that_is_typed_is_not_interrupted(desk: Desk) -> None:
    first = desk.rows()[0]
    desk.hold()
    desk.press("Enter", "d", "Tab")
    find = desk.page.locator("#find")
    find.focus()
    desk.let_go()
    desk.panel(first)
    desk.page.keyboard.type("bad")
    expect(find).to_have_value("bad")
    assert desk.posts == []


def test_arrows_stay_in_an_open_menu(desk: Desk) -> None:
    first, second = desk.rows()[:2]
    desk.hold()
    desk.press("Enter", "h", "ArrowDown", "ArrowDown")
    desk.let_go()
    desk.panel(first)
    choices = desk.page.locator("#panel [data-open=h] button")
    expect(choices.nth(2)).to_be_focused()
    desk.press("ArrowUp")
    expect(choices.nth(1)).to_be_focused()
    desk.press("Escape")
    expect(choices.first).to_be_hidden()
    desk.panel(first)
    desk.press("ArrowDown")
    desk.let_go()
    desk.panel(second)


def test_a_key_without_effect_says_why(ana: Reader, site: Site) -> None:
    """Press keys with no row selected, and on a row of several leads."""
    place = {"listing": {"propertyId": 40404, "propertyName": "Elm Row"}}
    site.settled(*[site.send("rentfeed", portal_lead(n) | place) for n in (280, 281)])
    ana.go("/queue?todo=community")
    page = ana.page
    toast = page.locator(".toast[data-hint]")
    page.keyboard.press("b")
    expect(toast).to_have_text("Press J or K to select a lead first.")
    page.keyboard.press("j")
    for key in ("x", "b", "d"):
        page.keyboard.press("u")
        expect(toast).to_have_text("There is nothing to undo.")
        page.keyboard.press(key)
        expect(toast).to_have_text("This row is several leads. Press Enter to open it.")
    assert page.url.endswith("/queue?todo=community")
