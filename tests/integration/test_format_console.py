"""Test that the console guides a user from a changed format to booked leads."""

import html
import re
from typing import Any

from adapter.models import BookingState
from tests.harness import Harness, settle
from tests.integration.test_console import (  # noqa: F401 - fixtures
    Opener,
    Reader,
    ana,
    open_console,
)
from tests.integration.test_formats import received
from tests.leads import lead


def start_time(number: int) -> Any:
    """Return a lead after its sender has renamed the tour's time."""
    body = lead(number)
    body["tour"]["startTime"] = body["tour"].pop("time")
    return body


def full_name(number: int) -> Any:
    """Return a lead after its sender has renamed the field with the renter's name too."""
    body = start_time(number)
    body["contact"]["fullName"] = body["contact"].pop("name")
    return body


def arrive(harness: Harness, *bodies: Any) -> list[int]:
    """Receive webhooks and map them. Return the IDs of their bookings."""
    numbers = []
    for event in received(harness, *bodies):
        harness.map_event(event)
        numbers += [one.id for one in harness.story(event).bookings]
    return numbers


def changed_format(harness: Harness) -> list[int]:
    arrive(harness, *map(lead, range(30)))
    return arrive(harness, *map(start_time, range(100, 112)))


def publish_fix(reader: Reader, *, is_counted: bool = True) -> str:
    """Publish the suggested edit, and let all processes use it. Return the next page.

    With ``is_counted``, a worker has counted the webhooks again in the meantime.
    """
    page = html.unescape(reader.text("/try?source=rentfeed&fix=changes"))
    mapping = page.partition('name="mapping"')[2].partition(">\n")[2].partition("</textarea>")[0]
    seen = re.search(r'name="seen" value="(\d+)"', page)
    form = {"source": "rentfeed", "mapping": mapping, "reason": "renamed"}
    answer = reader.post("/try/put", seen=seen[1] if seen else "0", **form)
    assert answer.status_code == 302, html.unescape(answer.text)
    next_page = html.unescape(reader.client.get(answer.location).text)
    if is_counted:
        use_version(reader.harness)
    return next_page


def use_version(harness: Harness) -> None:
    harness.pipeline.refresh_sources()
    harness.pipeline.count_formats()


def names_in(page: str) -> int:
    return page.count('class="name"')


def test_the_change_and_its_fix_are_shown_on_every_page(ana: Reader) -> None:  # noqa: F811
    changed_format(ana.harness)
    for path in ("/", "/sources/rentfeed"):
        page = html.unescape(ana.text(path))
        assert "rentfeed changed its format." in page, path
        assert "This sender's messages now have “tour.startTime” instead of “tour.time”." in page, (
            path
        )
        assert "+ time: [tour.time, tour.startTime]" in page, path
        assert "12 of 12 would be booked as tours (0 with the current mapping)." in page, path
        assert (
            "we could read the tour time in 12 of the 12 affected messages, up from 0." in page
        ), path
        assert "/console/try?source=rentfeed&fix=changes" in page, path
    assert "Format changed" in ana.text("/sources")
    assert "Show how to fix the mapping" in ana.text("/try?source=rentfeed")
    editor = html.unescape(ana.text("/try?source=rentfeed&fix=changes"))
    assert "time: [tour.time, tour.startTime]" in editor.partition('name="mapping"')[2]
    row = html.unescape(ana.text("/queue?todo=admin"))
    assert "12 leads: the sender changed its format" in row
    assert names_in(ana.text("/queue?todo=call")) == 0
    (key,) = set(re.findall(r"/console/queue/more/([0-9a-f]{12})", row))
    unfolded = html.unescape(ana.text(f"/queue/more/{key}"))
    assert "“tour.time” is missing from the last 12 messages." in unfolded
    fixed = html.unescape(ana.text(f"/try?source=rentfeed&fix={key}"))
    assert "+ time: [tour.time, tour.startTime]" in fixed


def test_after_publish_exactly_the_readable_leads_are_read_again(
    ana: Reader,  # noqa: F811
) -> None:
    numbers = changed_format(ana.harness)
    page = publish_fix(ana)
    assert "leads that were waiting can be read now" in page
    row = html.unescape(ana.text("/queue?todo=admin"))
    assert "12 leads: the mapping can read them now" in row
    assert "rentfeed changed its format" not in ana.text("/sources/rentfeed")
    assert names_in(ana.text("/queue?todo=call")) == 0

    unread = arrive(ana.harness, *map(full_name, range(200, 209)))
    assert {ana.harness.state(one) for one in unread} == {BookingState.HELD}
    row = html.unescape(ana.text("/queue?todo=admin"))
    assert "12 leads: the mapping can read them now" in row
    assert "9 leads: the sender changed its format" in row
    editor = html.unescape(ana.text("/try?source=rentfeed&fix=changes"))
    assert "+ name: [contact.name, contact.fullName]" in editor
    lead_page = html.unescape(ana.text(f"/leads/{unread[0]}"))
    (fix,) = set(re.findall(r"fix=([0-9a-f]+)", lead_page))
    editor = html.unescape(ana.text(f"/try?source=rentfeed&fix={fix}"))
    assert "name: [contact.name, contact.fullName]" in editor

    ids = ",".join(map(str, numbers[:2]))
    answer = ana.client.post(
        "/console/queue/act", data={"csrf": ana.token(), "act": "release", "ids": ids.split(",")}
    )
    assert "The mapping of rentfeed can now read 2 of these leads." in answer.text
    assert "None of these" not in answer.text
    ana.post("/queue/act", act="release", ids=str(numbers[0]))
    assert "The mapping can read this lead now." in html.unescape(ana.text("/queue"))
    assert ana.harness.state(numbers[0]) is BookingState.HELD


def test_after_publishing_no_page_says_that_the_format_changed(ana: Reader) -> None:  # noqa: F811
    changed_format(ana.harness)
    assert "changed its format" in ana.text("/try?source=rentfeed")
    page = publish_fix(ana, is_counted=False)
    assert "is now in use" in page
    assert "changed its format" not in page
    assert "changed its format" not in ana.text("/sources/rentfeed")


def test_a_roll_back_takes_back_what_was_said(ana: Reader) -> None:  # noqa: F811
    changed_format(ana.harness)
    publish_fix(ana)
    ana.post("/try/roll-back", source="rentfeed", number="0", seen="1")
    use_version(ana.harness)
    row = html.unescape(ana.text("/queue?todo=admin"))
    assert "the mapping can read" not in row
    assert "12 leads: the sender changed its format" in row
    assert "can now read leads that it could not" not in ana.text("/")
    assert "we could read the tour time in 12 of the 12 affected messages" in ana.text("/")


def test_an_unrelated_publish_claims_nothing(ana: Reader) -> None:  # noqa: F811
    arrive(ana.harness, *map(lead, range(30)))
    arrive(ana.harness, *map(full_name, range(100, 112)))
    page = html.unescape(ana.text("/try?source=rentfeed"))
    mapping = page.partition('name="mapping"')[2].partition(">\n")[2].partition("</textarea>")[0]
    edited = mapping.replace("Unit asked about", "Unit")
    assert edited != mapping
    edited = edited.replace("Unit: 2B", "Unit: 2B")
    form = {"source": "rentfeed", "mapping": edited, "seen": "0", "reason": "shorter"}
    answer = ana.post("/try/put", **form)
    assert answer.status_code in (302, 409), html.unescape(answer.text)
    use_version(ana.harness)
    row = html.unescape(ana.text("/queue?todo=admin"))
    assert "the mapping can read" not in row
    assert "12 leads: the sender changed its format" in row


def test_what_is_already_in_knock_without_the_value_is_listed(
    ana: Reader,  # noqa: F811
) -> None:
    def other_mail(number: int) -> Any:
        body = lead(number, phone=f"30355501{number % 100:02}")
        body["contact"]["correo"] = body["contact"].pop("email")
        return body

    received(ana.harness, *map(lead, range(30)))
    numbers = arrive(ana.harness, *map(other_mail, range(100, 108)))
    settle(ana.harness)
    sent = [one for one in numbers if ana.harness.state(one) is BookingState.BOOKED]
    assert sent
    page = html.unescape(ana.text("/sources/rentfeed"))
    number = f"{len(sent)} leads are" if len(sent) > 1 else "1 lead is"
    assert f"{number} already in Knock without the email." in page
    assert "we could read the email in 8 of the 8 affected messages, up from 0" in page


def tour_date(number: int) -> Any:
    """Return a lead after its sender has renamed the tour's date."""
    body = lead(number)
    body["tour"]["tourDate"] = body["tour"].pop("date")
    return body


def of_new_property(number: int) -> Any:
    return lead(number) | {"listing": {"propertyId": 20999, "propertyName": "Riverside Lofts"}}


def test_few_leads_get_the_same_fix_on_every_page(ana: Reader) -> None:  # noqa: F811
    """Check that a property assigned in the console does not hide the fix."""
    arrive(ana.harness, *map(lead, range(3)), *map(of_new_property, range(10, 13)))
    form = {"source": "rentfeed", "value": "20999", "community": "maple-court"}
    assert ana.post("/communities/assign", **form).status_code == 302
    ana.harness.pipeline.refresh_sources()
    arrive(ana.harness, *map(tour_date, range(20, 24)))
    assert not ana.harness.pipeline.live.overrides.versions

    for path in ("/", "/sources/rentfeed"):
        page = html.unescape(ana.text(path))
        assert "This sender's messages now have “tour.tourDate” instead of “tour.date”." in page
        assert "+ date: [tour.date, tour.tourDate]" in page, path
        assert "4 of 4 would be booked as tours (0 with the current mapping)." in page, path
        (link,) = set(re.findall(r"/console(/try\?source=rentfeed&fix=[0-9a-f]{12})", page))
        assert "date: [tour.date, tour.tourDate]" in ana.text(link)
    arrive(ana.harness, lead(30))
    page = html.unescape(ana.text("/sources/rentfeed"))
    assert "Some of this sender's messages have “tour.tourDate” instead of “tour.date”." in page
    assert "4 of 4 would be booked as tours" in page
    assert "Format changed" in ana.text("/sources")
    assert "Show how to fix the mapping" in ana.text("/try?source=rentfeed")
