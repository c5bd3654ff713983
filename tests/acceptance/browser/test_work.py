"""Test a day's work in the console, in a real Chromium with a running adapter."""

import datetime as dt
import re
import time
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.browser.site import Reader, Site, open_browser, portal_lead, running_site
from tests.acceptance.browser.test_console import serious_faults

pytestmark = pytest.mark.browser

LONG_NAME = "Maximiliana-Alexandrina von Wolfenstein-Hohenschwangau-Sondershausen"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Run a separate site for these tests, because they count its leads."""
    with running_site() as one:
        yield one


@pytest.fixture
def reader(browser: Browser, site: Site) -> Iterator[Reader]:
    with open_browser(browser, site) as one:
        yield one


def night_leads(site: Site, numbers: range) -> list[int]:
    ids = [site.send("rentfeed", portal_lead(number, time="11:55 PM")) for number in numbers]
    site.settled(*ids)
    return ids


def unknown_properties(site: Site, numbers: range) -> None:
    """Send one lead for each of many unknown properties, one of them with a tour in two hours."""
    ids = []
    for number in numbers:
        payload = portal_lead(number, days=4)
        payload["listing"] |= {"propertyId": str(60000 + number), "propertyName": "Elm Row"}
        if number == numbers[-1]:
            soon = dt.datetime.now(ZoneInfo("America/New_York")) + dt.timedelta(hours=2)
            payload["tour"] |= {
                "date": f"{soon:%m/%d/%Y}",
                "time": f"{soon.hour % 12 or 12}:{soon:%M %p}",
            }
        ids.append(site.send("rentfeed", payload))
    site.settled(*ids)


def test_forty_leads_are_worked_by_keyboard(ana: Reader) -> None:
    """Work forty leads without a mouse and without loading another page."""
    night_leads(ana.site, range(1, 41))
    page = ana.page
    ana.go("/queue?todo=call")
    page.locator("#leads .lead").nth(39).wait_for()
    number = page.locator("#leads .lead").count()
    page.evaluate("window.isSamePage = true")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    panel = page.locator("#panel [data-panel]")
    for left in range(number - 1, number - 41, -1):
        panel.wait_for()
        shown = panel.get_attribute("data-panel")
        if left % 2:
            page.keyboard.press("d")
            page.keyboard.type("No longer interested")
            page.keyboard.press("Enter")
        else:
            time_field = page.locator("#panel [name=starts_at]")
            day = time_field.input_value().partition("T")[0]
            time_field.fill(f"{day}T10:{left:02}")
            page.keyboard.press("Escape")
            page.keyboard.press("b")
        if left:
            expect(page.locator(f"#panel [data-panel='{shown}']")).to_have_count(0)
        expect(page.locator("#leads .lead")).to_have_count(left)
        expect(page.locator("#count-call")).to_have_text(str(left))
        expect(page.locator("#row-count")).to_have_text(
            re.compile(f"^1.{left} of {left}$" if left else "^$")
        )
    assert page.evaluate("window.isSamePage")
    assert not ana.console_messages


def test_a_release_is_undone_and_nothing_is_sent(ana: Reader) -> None:
    (event_id,) = night_leads(ana.site, range(50, 51))
    page = ana.page
    ana.go(f"/leads/{event_id}")
    page.get_by_label(re.compile("outside booking hours")).first.check()
    page.get_by_role("button", name="Book tour").click()
    expect(page.locator(".toast")).to_contain_text("Undo")
    # The message covers nothing: it is beside the page on a desktop, and above the bar on a phone.
    box = page.locator(".toast").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 224
    page.keyboard.press("u")
    expect(page.locator(".toast")).to_contain_text("Undone. Nothing was sent")
    expect(page.get_by_text("Tours can only be booked between").first).to_be_visible()
    people = [one["person"]["email_1"] for one in ana.site.running.upstream.appointments()]
    assert "renter50@example.com" not in people

    page.get_by_text("Dismiss", exact=True).click()
    page.get_by_label(re.compile("Reason")).fill("a test")
    page.get_by_role("button", name="Dismiss this lead").click()
    expect(page.get_by_text("Dismissed: a test")).to_be_visible()
    page.get_by_role("button", name="Bring back").click()
    expect(page.get_by_text("Tours can only be booked between").first).to_be_visible()


def test_snoozing_several_leads_is_undone_by_a_key(ana: Reader) -> None:
    night_leads(ana.site, range(60, 63))
    page = ana.page
    ana.go("/queue?todo=call")
    leads = page.locator("#leads .lead")
    number = leads.count()
    assert number >= 3
    for place in range(3):
        leads.nth(place).get_by_role("checkbox").check()
    page.get_by_role("button", name="Snooze").click()
    expect(page.locator(".toast")).to_contain_text("3 leads snoozed until")
    expect(leads).to_have_count(number - 3)
    page.keyboard.press("u")
    expect(page.locator(".toast")).to_contain_text("Undone. 3 leads need you again.")
    expect(leads).to_have_count(number)
    assert page.url.endswith("/queue?todo=call")
    assert not ana.console_messages


def test_money_is_in_dollars(ana: Reader) -> None:
    (event_id,) = night_leads(ana.site, range(51, 52))
    page = ana.page
    ana.go(f"/leads/{event_id}")
    expect(page.locator("dd", has_text="$1,500").first).to_be_visible()
    page.get_by_text("Change details").click()
    assert page.get_by_label("Minimum rent").input_value() == "1,500"
    page.get_by_label("Minimum rent").fill("$1,650")
    page.get_by_label("Maximum rent").fill("cheap")
    page.get_by_label(re.compile("outside booking hours")).first.check()
    page.get_by_role("button", name="Book tour").click()
    expect(page.locator(".fault")).to_have_text(re.compile("Enter an amount in dollars"))
    page.get_by_label("Maximum rent").fill("2200.50")
    page.get_by_label(re.compile("outside booking hours")).first.check()
    page.get_by_role("button", name="Book tour").click()
    expect(page.locator(".toast")).to_contain_text("will be sent to Knock")
    expect(page.locator("dd", has_text="$1,650").first).to_be_visible()
    expect(page.locator("dd", has_text="$2,200.50").first).to_be_visible()


def test_150_unknown_properties_hide_nothing_and_the_soonest_tour_is_first(ana: Reader) -> None:
    night_leads(ana.site, range(60, 61))
    unknown_properties(ana.site, range(100, 250))
    page = ana.page
    ana.go("/queue")
    first = page.locator("#leads .lead").first
    expect(first).to_contain_text("150 leads: property not recognized")
    expect(first).not_to_contain_text("No time")
    expect(first.locator(".soon")).to_be_visible()
    expect(page.locator("#leads")).to_contain_text("Outside booking hours")
    expect(page.locator("#count-community")).to_have_text("150")
    first.get_by_role("link").click()
    expect(page.locator("#leads .lead")).to_have_count(50)
    expect(page.locator("#leads .lead").first.locator(".soon")).to_be_visible()
    for _ in range(2):
        page.get_by_role("link", name="Next page").click()
    expect(page.locator(".pages")).to_contain_text("50 of 150")


def test_a_link_works_through_sign_in_and_an_ended_session_loses_nothing(reader: Reader) -> None:
    (event_id,) = night_leads(reader.site, range(52, 53))
    page = reader.page
    reader.go(f"/leads/{event_id}")
    reader.submit_sign_in("ana")
    expect(page).to_have_url(re.compile(f"/leads/{event_id}$"))

    field = page.get_by_label(re.compile("Tour time"))
    day = field.input_value().partition("T")[0]
    field.fill(f"{day}T11:15")
    page.context.clear_cookies()
    page.get_by_role("button", name="Book tour").click()
    expect(page.get_by_text("You were signed out.")).to_be_visible()
    reader.submit_sign_in("ana")
    expect(page).to_have_url(re.compile(f"/leads/{event_id}$"))
    expect(page.get_by_label(re.compile("Tour time"))).to_have_value(f"{day}T11:15")
    expect(page.get_by_text("What you typed before is back.")).to_be_visible()
    page.get_by_role("button", name="Book tour").click()
    expect(page.locator(".toast")).to_contain_text("will be sent to Knock")


def test_a_phone_shows_a_lead_with_a_way_back(ana: Reader) -> None:
    night_leads(ana.site, range(57, 58))
    page = ana.page
    page.set_viewport_size({"width": 390, "height": 844})
    ana.go("/queue?todo=call")
    page.locator("#leads .lead .name").first.click()
    close = page.locator("#panel [data-close]")
    expect(close).to_be_in_viewport()
    page.locator("#panel").get_by_role("button", name="Assign to me").click()
    toast, bar = page.locator(".toast").bounding_box(), page.locator(".main-nav").bounding_box()
    assert toast is not None
    assert bar is not None
    assert toast["y"] + toast["height"] <= bar["y"], "the bar stays in sight"
    close.click()
    expect(page.locator("#panel [data-panel]")).to_have_count(0)
    expect(page.locator("#leads .lead").first).to_be_in_viewport()


def test_a_suggested_fix_is_put_in_place_and_the_waiting_leads_are_booked(ana: Reader) -> None:
    """Use so many leads that the pages try them in several parts."""
    night_leads(ana.site, range(59, 60))  # it cannot be booked with either mapping
    ids, numbers = [], range(260, 283)
    for number in numbers:
        payload = portal_lead(number)
        payload["tour"]["tourDate"] = payload["tour"].pop("date")
        ids.append(ana.site.send("rentfeed", payload))
    ana.site.settled(*ids)
    page = ana.page
    ana.go(f"/leads/{ids[0]}")
    page.get_by_role("link", name="See all 23 leads like this").click()
    page.get_by_role("link", name="Fix the mapping").click()
    expect(page.locator(".fix-card")).to_contain_text("+ date: [tour.date, tour.tourDate]")
    expect(page.locator(".fix-card")).to_contain_text(
        "we could read the tour time in 23 of the 23 affected messages"
    )
    expect(page.locator("#gutter .changed").first).to_be_visible()
    page.locator(".fix-card").get_by_role("button", name="Publish").click()
    page.get_by_role("link", name="Read these 23 leads again").click()
    button = page.get_by_role("button", name="Book 23 tours")
    expect(button).to_be_visible()
    expect(page.locator("#preview-rows tr")).to_have_count(20)
    expect(page.locator("#preview-rest")).to_contain_text(
        "And 3 more leads. The others would not change."
    )
    button.click()
    expect(page.get_by_role("heading", name="23 tours are being booked")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    ana.site.settled(*ids)
    people = [one["person"]["email_1"] for one in ana.site.running.upstream.appointments()]
    assert {f"renter{number}@example.com" for number in numbers} <= {*people}
    heading = page.get_by_role("heading", name="23 tours are in Knock")
    expect(heading).to_be_visible(timeout=20_000)  # after the next refresh

    ana.go("/try?source=rentfeed")
    page.get_by_text("Roll back to the file", exact=True).click()
    page.get_by_role("button", name="Yes, roll back").click()
    expect(page.get_by_text("The file is in use.")).to_be_visible()
    assert not ana.console_messages


def test_long_names_and_notes_fit_a_phone(ana: Reader) -> None:
    payload = portal_lead(53, time="11:55 PM", name=LONG_NAME)
    payload["comments"] = "We would like to see everything " * 60
    event_id = ana.site.send("rentfeed", payload)
    ana.site.settled(event_id)
    page = ana.page
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/queue", "/leads", f"/leads/{event_id}"):
        ana.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    # Each label is on one line, so no word is broken.
    for label in ("First name", "Move-in date", "Occupants"):
        box = page.locator("dt", has_text=label).first.bounding_box()
        assert box is not None
        assert box["height"] < 45, label
    phone = page.locator(".contacts a").first
    assert (phone.get_attribute("href") or "").startswith("tel:+1")
    box = phone.bounding_box()
    assert box is not None
    assert box["y"] < 400


def test_the_status_line_turns_red_when_the_worker_stops_and_green_again(ana: Reader) -> None:
    """Check that the open page shows the change within 15 seconds, without a reload."""
    page = ana.page
    ana.go("/leads")
    status = page.locator("#status")
    worker = ana.site.running.part("worker")
    expect(status).not_to_have_class(re.compile("broken"), timeout=20_000)
    stopped_at = time.monotonic()
    worker.suspend()
    try:
        expect(status).to_have_class(re.compile("broken"), timeout=15_000)
        assert time.monotonic() - stopped_at <= 15
        expect(status).to_contain_text("Bookings have stopped")
    finally:
        worker.resume()
    expect(status).not_to_have_class(re.compile("broken"), timeout=15_000)


def test_the_list_and_the_panel_are_accessible(browser: Browser, site: Site) -> None:
    night_leads(site, range(54, 56))
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    desk = Reader(context.new_page(), site, [])
    desk.sign_in("ana")
    desk.go("/queue?todo=call")
    desk.page.keyboard.press("j")
    desk.page.keyboard.press("Enter")
    desk.page.locator("#panel [data-panel]").wait_for()
    tabs = desk.page.locator(".tabs")
    assert tabs.evaluate("one => one.scrollHeight <= one.clientHeight"), "it has no scroll bar"
    assert serious_faults(desk) == []
    small = desk.page.evaluate(
        "[...document.querySelectorAll('button, .button, nav a, input[type=checkbox]')].filter("
        "e => e.checkVisibility() && e.offsetHeight < 24 && !e.closest('li, label'))"
        ".map(e => e.outerHTML)"
    )
    assert small == []
    context.close()


def test_undo_brings_the_lead_back_to_its_list(ana: Reader) -> None:
    """Check that the list is shown again with the lead open, so that shortcut keys still work."""
    night_leads(ana.site, range(230, 233))
    page = ana.page
    ana.go("/queue?todo=call")
    row = page.locator("#leads .lead", has_text="(720) 555-0131")
    number = row.get_attribute("data-lead")
    row.locator(".name").click()
    page.locator(f"#panel [data-panel='{number}']").wait_for()
    page.keyboard.press("d")
    page.locator("#panel input[name=reason]").first.fill("Spam")
    page.get_by_role("button", name="Dismiss this lead").click()
    expect(page.locator(f"#row-{number}")).to_have_count(0)
    page.locator("[data-undo]").click()
    expect(page).to_have_url(re.compile(rf"/queue\?todo=call#row-{number}$"))
    page.locator(f"#panel [data-panel='{number}']").wait_for()
    expect(page.locator(f"#row-{number}")).to_have_class(re.compile("current"))


def test_a_box_that_must_be_checked_says_what_to_do(ana: Reader) -> None:
    [number] = night_leads(ana.site, range(233, 234))
    ana.go(f"/leads/{number}")
    page = ana.page
    page.get_by_text("Already in Knock", exact=True).click()
    page.get_by_role("button", name="Mark as already in Knock").click()
    box = page.locator("input[name=seen]")
    said = "Check this box after you have seen this lead in Knock."
    assert box.evaluate("box => box.validationMessage") == said
    box.check()
    assert box.evaluate("box => box.validationMessage") == ""
    page.get_by_role("button", name="Mark as already in Knock").click()
    page.get_by_text("Marked as already in Knock.").wait_for()


def test_keys_tell_a_user_without_edit_access_why_nothing_happens(reader: Reader) -> None:
    night_leads(reader.site, range(234, 235))
    reader.sign_in("rob")
    reader.go("/queue?todo=call")
    page = reader.page
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#panel [data-panel]").wait_for()
    sentence = page.get_by_text("You have view-only access.")
    for key in "bad":  # what is typed after D may be a reason, so it is ignored for a moment
        page.keyboard.press(key)
        expect(sentence).to_be_focused()
        page.locator("#panel").focus()
