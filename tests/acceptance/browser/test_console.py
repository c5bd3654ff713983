"""Test the console in a real Chromium with a running adapter."""

import re
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.acceptance.browser.site import Reader, Site, portal_lead
from tests.users import PASSWORD
from tests.wait import wait_until

pytestmark = pytest.mark.browser

#: Every page that has its own URL.
PAGES = (
    *("/", "/queue", "/leads", "/leads?kind=webhooks", "/decisions", "/try", "/rejections"),
    *("/audit", "/nope"),
)
#: All pages except the one that does not exist.
FOUND = tuple(path for path in PAGES if path != "/nope")
#: Impact levels of accessibility problems that prevent people from using a page.
SERIOUS = ("serious", "critical")


def held_for_its_time(site: Site, number: int) -> int:
    event_id = site.send("rentfeed", portal_lead(number, time="11:55 PM"))
    site.settled(event_id)
    return event_id


def test_a_held_lead_is_found_fixed_released_and_booked(ana: Reader) -> None:
    event_id = held_for_its_time(ana.site, 1)
    page = ana.page
    ana.go("/queue?todo=call")
    row = page.locator(".lead", has_text="(303) 555-0101")
    expect(row).to_contain_text("Outside booking hours")
    row.get_by_role("link", name=re.compile("Dana Okafor")).click()
    panel = page.locator("#panel")
    expect(panel).to_contain_text("Tours can only be booked between 7:00 AM and 9:00 PM.")

    ana.go(f"/leads/{event_id}")
    starts_at = page.get_by_label(re.compile("Tour time"))
    day = starts_at.input_value().partition("T")[0]
    starts_at.fill(f"{day}T23:30")
    page.get_by_text("Change details").click()
    page.get_by_label("Last name").fill("")
    page.get_by_role("button", name="Book tour").click()
    expect(page.locator(".fault")).not_to_have_count(0)
    expect(page.locator("[aria-invalid]").first).to_be_focused()
    assert page.get_by_label(re.compile("Tour time")).input_value() == f"{day}T23:30"

    page.get_by_label(re.compile("Tour time")).fill(f"{day}T10:00")
    page.get_by_label("Last name").fill("Okafor")
    page.get_by_role("button", name="Book tour").click()
    expect(page.locator(".toast")).to_contain_text("Knock will email Dana.")
    # The page updates itself.
    expect(page.get_by_text("This tour was booked in Knock.")).to_be_visible(timeout=40_000)
    standing = [
        one
        for one in ana.site.running.upstream.appointments()
        if one["person"]["email_1"] == "renter1@example.com"
    ]
    assert [one["status"] for one in standing] == ["booked"]


def test_a_search_finds_a_message_that_was_ignored(ana: Reader) -> None:
    event_id = ana.site.send("rentfeed", portal_lead(191) | {"isTest": True})
    ana.site.settled(event_id)
    ana.go("/leads")
    ana.page.get_by_label("Name, phone, email or ID", exact=True).fill("renter191@example.com")
    ana.page.get_by_role("button", name="Search", exact=True).click()
    row = ana.page.locator("#messages .lead")
    expect(row).to_contain_text("This is a test message")
    row.get_by_role("link", name="Message from rentfeed").click()
    expect(ana.page).to_have_url(re.compile(rf"/leads/{event_id}$"))


def test_a_click_on_a_free_time_fills_in_the_tour_time(ana: Reader) -> None:
    event_id = held_for_its_time(ana.site, 190)
    ana.site.sql(
        "UPDATE bookings SET reason = 'time_taken', "
        f"free_times = ARRAY[starts_at - interval '9 hours 55 minutes'] WHERE event_id = {event_id}"
    )
    page = ana.page
    ana.go(f"/leads/{event_id}")
    expect(page.locator(".task")).to_contain_text("This time is not available in Knock.")
    address, field = page.url, page.get_by_label(re.compile("Tour time"))
    day = field.input_value().partition("T")[0]
    page.get_by_role("link", name=re.compile("2:00 PM")).click()
    expect(field).to_have_value(f"{day}T14:00")
    expect(field).to_be_focused()
    assert page.url == address


def test_a_lead_that_was_mistaken_for_someone_else_is_booked(ana: Reader) -> None:
    shared = {"mobile": "303-555-0177"}
    numbers = []
    for number, name in ((50, "J. Vale"), (51, "June Vale")):
        payload = portal_lead(number, name=name)
        payload["contact"] |= shared
        numbers.append(ana.site.send("rentfeed", payload))
        ana.site.settled(numbers[-1])
    page = ana.page
    ana.go("/")
    page.get_by_role("link", name="Leads that were handled automatically").click()
    row = page.locator("tr", has_text="This renter had already asked for the same tour.")
    row.locator("td.number").get_by_role("link").click()
    page.get_by_role("link", name=re.compile("June Vale")).click()
    said = page.get_by_text("This renter had already asked for the same tour")
    expect(said.first).to_be_visible()
    page.get_by_role("button", name="This is a different person").click()
    expect(page.locator(".toast")).to_contain_text("will be sent to Knock")
    ana.site.settled(numbers[1])
    page.reload()
    expect(page.locator(".state.booked")).to_be_visible()


def test_a_fixed_mapping_releases_a_group(ana: Reader) -> None:
    payloads = [portal_lead(number) for number in (20, 21, 22)]
    for payload in payloads:
        payload["listing"] |= {"propertyId": "30999", "propertyName": "Elm Row"}
    numbers = [ana.site.send("rentfeed", payload) for payload in payloads]
    ana.site.settled(*numbers)
    page = ana.page
    ana.go("/queue?todo=community")
    page.get_by_role("link", name="leads: property not recognized").click()
    expect(page.get_by_role("link", name="3 leads at Elm Row")).to_be_visible()
    ana.go(f"/leads/{numbers[0]}")
    page.get_by_text("Technical").click()
    page.get_by_role("link", name="all leads with this problem").click()

    communities = ana.site.mappings / "communities.yaml"
    text = communities.read_text()
    communities.write_text(text.replace("rentfeed: [20417, ", "rentfeed: [20417, 30999, "))
    assert communities.read_text() != text

    def would_be_booked() -> bool:
        page.get_by_role("button", name="Preview with the current settings").click()
        return page.get_by_role("heading", name="With the current settings, 3 of 3").is_visible()

    wait_until(would_be_booked, "the fixed mapping is loaded", 30)
    page.get_by_role("button", name="Book 3 tours").click()
    expect(page.get_by_role("heading", name="3 tours are being booked")).to_be_visible()
    ana.site.settled(*numbers)
    for number in numbers:
        ana.go(f"/leads/{number}")
        expect(page.locator(".state.booked")).to_have_count(1)


def test_the_read_role_cannot_change(reader: Reader) -> None:
    event_id = held_for_its_time(reader.site, 3)
    reader.sign_in("rob")
    reader.go(f"/leads/{event_id}")
    expect(reader.page.get_by_text("What Knock will get")).to_be_visible()
    assert (
        reader.page.get_by_role(
            "button", name=re.compile("Book|Dismiss|Mark|Snooze|Assign")
        ).count()
        == 0
    )

    reader.go("/queue")
    assert reader.page.get_by_role("button", name=re.compile("Book|Dismiss|Mark")).count() == 0
    token = reader.page.evaluate("document.querySelector('[name=csrf]').value")
    answer = reader.page.request.post(
        reader.site.console + f"/leads/{event_id}/discard",
        form={"csrf": token, "reason": "no"},
    )
    assert answer.status == 403
    assert "You have view-only access" in answer.text()


def test_wrong_passwords_are_reported_and_five_lock_out(reader: Reader) -> None:
    page = reader.page
    for number in range(6):
        reader.go("/sign-in")
        page.get_by_label("Name", exact=True).fill("lou")
        page.get_by_label("Password").fill(PASSWORD if number == 5 else "not the one")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text(
            "Too many attempts" if number == 5 else "Wrong name or password"
        )


def test_the_playground_follows_typing(ana: Reader) -> None:
    event_id = ana.site.send("rentfeed", portal_lead(40))
    ana.site.settled(event_id)
    page = ana.page
    ana.go(f"/try?source=rentfeed&event={event_id}")
    result = page.locator("#result")
    expect(result).to_contain_text("This message would be booked")

    mapping = page.get_by_label("rentfeed.yaml")
    text = mapping.input_value()
    mapping.fill(text.replace("email_1: contact.email", "email_1: contact.mail"))
    expect(result).to_contain_text("Comparison with the mapping in use")
    expect(result).to_contain_text("Email")
    mapping.fill(text.replace("name: contact.name", "nmae: contact.name"))
    expect(result).to_contain_text("2 problems")
    expect(result).to_contain_text("nmae")

    mapping.fill(text.replace("email_1: contact.email", "email_1: contact.mail"))
    page.get_by_role("button", name="Test on past messages").click()
    expect(page.locator("#backtest")).to_contain_text("messages would change")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download").click()
    assert found.value.suggested_filename == "rentfeed.yaml"
    assert "contact.mail" in found.value.path().read_text()
    assert not ana.console_messages


HOSTILE = {
    "markup": "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>",
    "quotes": "\"'><svg onload=window.harmed=1>{{ 7 * 7 }}{% raw %}",
    "turned": "\u202edlrow\u202c \u2066hidden\u2069 \u200fright",
    "nul": "before\x00after\x1b[31m",
    "long": "x" * 1_000_000,
    "half": "\ud800 half of a pair",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_payloads_show_harmlessly(ana: Reader, kind: str) -> None:
    text = HOSTILE[kind]
    payload = portal_lead(50, time="11:55 PM", name=text[:500], email=f"{kind}@example.com")
    payload |= {"leadId": f"RF-{kind}", text[:200]: text[:500], "comments": text}
    event_id = ana.site.send("rentfeed", payload)
    ana.site.settled(event_id)
    for path in (
        f"/leads/{event_id}",
        "/queue",
        "/leads",
        f"/try?source=rentfeed&event={event_id}",
    ):
        ana.go(path)
        expect(ana.page.locator("h1")).to_be_visible()
        assert ana.page.evaluate("window.harmed") is None
        shown = ana.page.locator("body").inner_text()
        assert not re.search("[\u200f\u202a-\u202e\u2066-\u2069\x1b]", shown)
    assert not ana.console_messages
    ana.page.set_viewport_size({"width": 390, "height": 844})
    ana.go(f"/leads/{event_id}")
    assert ana.page.evaluate("document.documentElement.scrollWidth") <= 390


def serious_faults(reader: Reader) -> list[str]:
    found = Axe().run(reader.page).response["violations"]
    return [
        f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_is_accessible(
    ana: Reader, scheme: Literal["light", "dark"]
) -> None:
    held = held_for_its_time(ana.site, 60 if scheme == "light" else 61)
    booked = ana.site.send("rentfeed", portal_lead(62))
    ana.site.settled(booked)
    # The pages' Content-Security-Policy would block axe's own script.
    context = ana.page.context.browser.new_context(  # type: ignore[union-attr]
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,
        bypass_csp=True,
    )
    phone = Reader(context.new_page(), ana.site, [])
    phone.go("/sign-in")
    assert serious_faults(phone) == []
    phone.sign_in("ana")
    phone.go("/queue")
    more = (f"/leads/{held}", f"/leads/{booked}", f"/leads/{held}?list=todo%3Dcall")
    for path in (*PAGES, *more):
        phone.go(path)
        assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert serious_faults(phone) == [], path
    context.close()


def test_no_page_logs_an_error(ana: Reader) -> None:
    """Check that no script fails and that neither the policy nor the server blocks a resource."""
    for path in FOUND:
        ana.go(path)
        expect(ana.page.locator("h1")).to_be_visible()
        assert not ana.console_messages, path
