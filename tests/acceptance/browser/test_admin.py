"""Test the console's setup pages in a real Chromium with a running adapter."""

import datetime as dt
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.acceptance.browser.site import Reader, Site, open_browser, portal_lead
from tests.users import PASSWORD
from tests.wait import wait_until

pytestmark = pytest.mark.browser

SETUP_PAGES = (
    "/?days=30",
    "/communities",
    "/communities/new",
    "/decisions",
    "/invoice",
    "/people",
    "/sources",
    "/sources/rentfeed",
)
SERIOUS = ("serious", "critical")


def at_property(number: int, listing: str, name: str) -> dict[str, Any]:
    payload = portal_lead(number)
    payload["listing"] |= {"propertyId": listing, "propertyName": name}
    return payload


def appointments_of(site: Site, numbers: range) -> int:
    emails = {f"renter{number}@example.com" for number in numbers}
    found = site.running.upstream.appointments()
    return sum(one["person"]["email_1"] in emails for one in found)


def test_43_leads_of_an_unknown_property_are_booked_by_three_clicks_and_undone(ana: Reader) -> None:
    numbers = range(100, 143)
    ids = [ana.site.send("rentfeed", at_property(one, "CC-1", "Cherry Creek")) for one in numbers]
    ana.site.settled(*ids)
    page = ana.page
    ana.go("/communities")
    page.get_by_role("link", name=re.compile("Cherry Creek")).click()
    page.get_by_role("link", name=re.compile("Maple Court")).click()
    page.get_by_role("button", name="Remember and book 43").click()
    expect(page.get_by_text("43 leads will be sent in 10 seconds")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#toasts")).to_contain_text("43 leads need a community again")
    expect(page.get_by_role("link", name=re.compile("Cherry Creek"))).to_contain_text("43 leads")
    assert appointments_of(ana.site, numbers) == 0
    assert not ana.console_messages


def test_an_assigned_property_is_booked_by_all_processes(ana: Reader) -> None:
    ids = [ana.site.send("rentfeed", at_property(one, "HF-2", "Harbor")) for one in (150, 151)]
    ana.site.settled(*ids)
    page = ana.page
    ana.go("/communities")
    page.get_by_role("link", name=re.compile("HF-2")).click()
    page.get_by_role("link", name=re.compile("Harbor Flats")).click()
    page.get_by_role("button", name="Remember and book 2").click()
    expect(page.get_by_text("2 leads will be sent")).to_be_visible()
    ana.site.settled(*ids)
    wait_until(lambda: appointments_of(ana.site, range(150, 152)) == 2, "both are in Knock", 40)
    # The worker has learned the name too, in the meantime.
    ana.site.settled(ana.site.send("rentfeed", at_property(152, "HF-2", "Harbor")))
    assert appointments_of(ana.site, range(152, 153)) == 1


def test_a_renamed_field_is_fixed_backtested_put_in_place_and_rolled_back(ana: Reader) -> None:
    def renamed(number: int) -> dict[str, Any]:
        payload = portal_lead(number)
        payload["tour"]["day"] = payload["tour"].pop("date")
        return payload

    held, *others = [ana.site.send("rentfeed", renamed(number)) for number in (160, 161, 162)]
    ana.site.settled(held, *others)
    page = ana.page
    page.on("dialog", lambda dialog: None)
    ana.go(f"/try?source=rentfeed&event={held}")
    expect(page.locator("#result")).to_contain_text("This message would need review")
    expect(page.locator("#message .unread", has_text="day:")).to_be_visible()
    mapping = page.locator("#mapping")
    fixed = mapping.input_value().replace("date: tour.date\n", "date: [tour.date, tour.day]\n")
    mapping.fill(fixed)
    expect(page.locator("#result")).to_contain_text("This message would be booked")
    expect(page.locator("#gutter .changed")).to_have_count(1)
    mapping.fill(fixed + "wrong: 1\n")
    expect(page.locator("#result")).to_contain_text("unknown section")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#gutter .error")).to_have_count(1)
    mapping.fill(fixed)
    expect(page.locator("#result")).to_contain_text("This message would be booked")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#checks")).to_contain_text("'tour.day' is new")
    expect(page.locator("#gutter .error")).to_have_count(0)

    page.get_by_role("button", name="Save this message as a sample").first.click()
    expect(page.get_by_text("was added to the mapping as a test")).to_be_visible()
    expect(page.locator("#draft-bar")).to_be_hidden()
    page.get_by_role("button", name="Test on past messages").click()
    expect(page.locator("#backtest")).to_contain_text("would change from Needs review to Booked")
    expect(page.locator("#draft-bar")).to_be_hidden()
    page.get_by_label("What did you change, and why?").fill("RentFeed renamed the date")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("#toasts")).to_contain_text("is now in use")
    assert page.evaluate("localStorage.getItem('mapping-draft:rentfeed')") is None

    wait_until(lambda: is_read(ana.site, renamed), "the worker uses the version", 20)
    ana.go("/try?source=rentfeed")
    confirm = page.get_by_role("button", name="Yes, roll back")
    expect(confirm).to_be_hidden()
    page.get_by_text("Roll back to the file", exact=True).click()
    confirm.click()
    expect(page.locator("#toasts")).to_contain_text("Rolled back to the file")
    expect(page.get_by_text("The file is in use.")).to_be_visible()
    wait_until(lambda: not is_read(ana.site, renamed), "the worker uses the file", 20)


_numbers = iter(range(170, 199))


def is_read(site: Site, renamed: Any) -> bool:
    """Return True if a lead with the renamed field gets a tour time."""
    number = next(_numbers)
    site.settled(site.send("rentfeed", renamed(number)))
    return appointments_of(site, range(number, number + 1)) == 1


def test_a_draft_survives_a_session_that_ends(ana: Reader) -> None:
    page = ana.page
    page.on("dialog", lambda dialog: dialog.accept())
    ana.go("/try?source=website")
    text = page.locator("#mapping").input_value()
    page.locator("#mapping").fill(text + "# my work\n")
    page.context.clear_cookies()
    page.get_by_role("button", name="Try").click()
    page.get_by_label("Name", exact=True).fill("ana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    ana.go("/try?source=website")
    page.get_by_role("button", name="Restore").click()
    assert page.locator("#mapping").input_value().endswith("# my work\n")
    page.evaluate("localStorage.clear()")


@pytest.fixture
def other(browser: Browser, site: Site) -> Iterator[Reader]:
    with open_browser(browser, site) as reader:
        yield reader


def test_a_rejected_message_is_read_and_rechecked(ana: Reader) -> None:
    body = json.dumps(portal_lead(60, name="Wei Mitchell")).encode()
    stamp = str(int(dt.datetime.now(dt.UTC).timestamp()))
    headers = {"X-RentFeed-Signature": "ab" * 32, "X-RentFeed-Timestamp": stamp}
    url = f"{ana.site.running.url}/hooks/rentfeed"
    request = urllib.request.Request(url, body, headers | {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    page = ana.page
    wait_until(lambda: rejected_count(ana) > 0, "the rejection is stored", 10)
    page.get_by_label("Find a name, email or phone number").fill("wei mitchell")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name=re.compile("Open")).click()
    expect(page.locator("pre").first).to_contain_text("Wei Mitchell")
    expect(page.get_by_text("signature doesn't match our secret for this source.")).to_be_visible()
    ana.go("/rejections")
    page.get_by_role("button", name=re.compile("Recheck all")).first.click()
    expect(page.get_by_text("still fails")).to_be_visible()


def rejected_count(reader: Reader) -> int:
    reader.go("/rejections")
    return reader.page.get_by_role("link", name=re.compile("Open message")).count()


def test_a_person_is_added_gets_a_role_and_signs_in(ana: Reader, other: Reader) -> None:
    page = ana.page
    ana.go("/people")
    page.get_by_label("Name", exact=True).fill("maria")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#toasts")).to_contain_text("Added maria")
    other.sign_in("maria")
    expect(other.page.locator(".who")).to_contain_text("view only")
    page.get_by_text("Edit maria").click()
    page.locator("tr", has_text="maria").get_by_label("Access").select_option("Can edit")
    page.locator("tr", has_text="maria").get_by_role("button", name="Save").click()
    expect(page.locator("#toasts")).to_contain_text("maria can edit now.")
    other.go("/people")
    expect(other.page.locator(".who")).to_contain_text("can edit")


def test_an_invoice_is_checked_on_a_phone_and_its_claims_are_downloaded(
    ana: Reader, tmp_path: Path
) -> None:
    ana.site.settled(ana.site.send("rentfeed", portal_lead(165)))
    today = dt.datetime.now(dt.UTC).strftime("%m/%d/%Y")
    invoice = tmp_path / "march.csv"
    invoice.write_text(
        "Lead Date;Email;Property;Amount\n"
        + "".join(
            f"{today};{email};Maple Court;$35.00\n"
            for email in ("renter165@example.com", "renter165@example.com", "nobody@example.com")
        )
    )
    page = ana.page
    page.set_viewport_size({"width": 390, "height": 844})
    ana.go("/sources")
    page.get_by_role("link", name="Check an invoice").click()
    page.get_by_label("Portal", exact=True).select_option("rentfeed")
    page.get_by_label("Invoice or list of leads").set_input_files(invoice)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("$70.00 to claim")).to_be_visible()
    expect(page.get_by_role("heading", name="Charged twice")).to_be_visible()
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in SERIOUS] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the claims").click()
    lines = Path(download.value.path()).read_text("utf-8-sig").splitlines()
    assert [one.split(",")[0] for one in lines] == ["line", "3", "4"]
    assert not ana.console_messages


def test_the_tour_hours_of_an_added_community_are_set_on_a_phone(ana: Reader) -> None:
    ana.site.sql(
        "INSERT INTO added_communities (key, name, integration_id, community_id, timezone, by, at) "
        "VALUES ('elm-row', 'Elm Row', 'int_1', 'com_elm', 'America/Chicago', 'ana', now())"
    )
    ana.site.sql(
        "INSERT INTO put_in_place (changes) VALUES (1) "
        "ON CONFLICT (one) DO UPDATE SET changes = put_in_place.changes + 1"
    )
    page = ana.page
    page.set_viewport_size({"width": 390, "height": 844})

    def is_listed() -> bool:
        ana.go("/communities")
        return page.get_by_role("link", name="Elm Row settings").count() == 1

    wait_until(is_listed, "all processes know the community")
    page.get_by_role("link", name="Elm Row settings").click()
    page.get_by_label("Monday, from").fill("09:00")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in SERIOUS] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Monday: Enter both times")).to_be_visible()
    page.get_by_label("Monday, to").fill("17:30")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("cell", name="Mon 9:00 AM\u20135:30 PM")).to_be_visible()


def test_the_setup_pages_are_accessible_fit_a_phone_and_are_small(ana: Reader) -> None:
    ana.page.set_viewport_size({"width": 390, "height": 844})
    for path in SETUP_PAGES:
        ana.go(path)
        found = Axe().run(ana.page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in SERIOUS] == [], path
        assert ana.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert len(ana.page.content()) < 100 * 1024, path
