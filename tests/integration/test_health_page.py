"""Test the console's Health page with real PostgreSQL."""

import datetime as dt
import re

import pytest

from adapter.models import BookingState
from tests.harness import SECRETS, Harness, settle
from tests.integration.test_admin_pages import rejected
from tests.integration.test_community_pages import Visit, link_to, visit  # noqa: F401 - a fixture
from tests.leads import lead

pytestmark = pytest.mark.usefixtures("harness")


def check(page: str, title: str) -> tuple[str, str]:
    """Return the level and the text of a line on the page."""
    found = re.search(
        rf'<li class="(\w+)">(?:(?!</li>).)*<b>{title}</b>(.*?)</li>', page, re.DOTALL
    )
    assert found is not None
    return found[1], re.sub("<[^>]+>", "", found[2])


def at_night(harness: Harness, number: int) -> int:
    (booking,) = harness.mapped("rentfeed", lead(number, time="9:30 PM"))
    assert booking.state is BookingState.HELD
    return booking.id


def test_the_counts_are_those_of_the_pages_they_lead_to(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    ana = visit()
    assert check(ana.page("/"), "Lead sources")[1].startswith(
        "No messages arrived in the last 24 hours."
    )
    first, second = at_night(harness, 1), at_night(harness, 2)
    ana.post(f"/leads/{first}/snooze")
    page = ana.page("/")
    assert "rentfeed sent 2 messages in the last 24 hours." in check(page, "Lead sources")[1]
    level, text = check(page, "Leads that need you")
    assert level == "warning"
    assert text.startswith("1 lead needs you. It arrived just now.")
    assert "1 more lead is snoozed." in text
    assert re.search(r'id="need-count">1<', page)
    assert "9:30 PM MDT." in text, "in the community's time zone"
    ana.post(f"/leads/{second}/snooze")
    level, text = check(ana.page("/"), "Leads that need you")
    assert (level, text[:22]) == ("ok", "You're all caught up. ")


def test_a_rejected_lead_is_a_warning_for_a_day(harness: Harness, visit: Visit) -> None:  # noqa: F811
    rejected(harness, reason="header_missing")
    ana = visit()
    assert check(ana.page("/"), "Rejected messages")[0] == "ok", "a stranger's call"
    rejected(harness, leadId="RF-2")
    page = ana.page("/")
    level, text = check(page, "Rejected messages")
    assert level == "warning"
    assert "All good" not in page
    assert "2 messages were rejected in the last 24 hours, and 1 of them may be a lead." in text
    harness.clock.advance(86_401)
    assert check(visit().page("/"), "Rejected messages")[0] == "ok"


def test_the_chart_covers_a_day_a_week_or_a_month(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    at_night(harness, 1)
    harness.clock.advance(3 * 86_400)
    at_night(harness, 2)
    ana = visit()
    ana.client.set_cookie("console_zone", "America/Denver")
    for days, total, bars in ((1, 1, 24), (7, 2, 7), (30, 2, 30)):
        page = ana.page(f"/?days={days}")
        assert f'viewBox="0 0 {bars} 1"' in page
        assert f"Needs review <b>{total}</b></li>" in page
    day = harness.clock().astimezone(dt.timezone(dt.timedelta(hours=-7)))
    assert f"<td>{day:%a}, {day:%b} {day.day}</td>" in page
    assert "?days=30" in re.findall(r'id="health" hx-get="([^"]+)"', page)[0]
    assert 'viewBox="0 0 24' in ana.page("/?days=9000")


def test_engineers_may_read_all_times_in_utc(harness: Harness, visit: Visit) -> None:  # noqa: F811
    harness.mapped("rentfeed", lead(1))
    rob = visit("rob")
    rob.client.set_cookie("console_zone", "America/Denver")
    here = "11:00 AM"
    assert here in rob.page("/audit")
    rob.post("/times", utc="1")
    assert here not in rob.page("/audit")
    assert "6:00 PM" in rob.page("/audit")
    assert "Show local times" in rob.page("/")
    rob.post("/times")
    assert here in rob.page("/audit")


def test_a_mapping_that_a_deploy_replaced_is_a_warning(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    text = harness.pipeline.sources["rentfeed"].text
    with harness.pipeline.store.transaction() as tx:
        tx.overrides.add_version(
            "rentfeed",
            text + "\n# edited\n",
            file_hash="an older file",
            reason="a new field",
            by="ana",
            at=harness.clock(),
        )
    ana = visit(environ=SECRETS)
    page = ana.page("/")
    assert "The mapping for rentfeed that was published here is no longer in use" in page
    assert "ana published version 1" in ana.page("/try?source=rentfeed")
    answer = ana.post("/try/roll-back", source="rentfeed", number="0", seen="1")
    assert answer.status_code == 302
    assert "no longer in use" not in ana.page("/")


def test_the_typical_time_covers_only_leads_booked_without_a_person(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    """Include a lead that was read again, whose new booking needed no review."""
    event_id = harness.receive("rentfeed", lead(1)).event_id
    late = at_night(harness, 2)
    with harness.pipeline.store.transaction() as tx:
        assert tx.events.discard(event_id, why="test", by="maria", now=harness.clock())
    harness.clock.advance(3600)
    with harness.pipeline.store.transaction() as tx:
        assert tx.events.reopen(event_id, why="replayed", by="maria", now=harness.clock())
    harness.map_event(event_id)
    with harness.pipeline.store.transaction() as tx:
        now, to = harness.clock(), BookingState.PENDING
        tx.bookings.move(late, to, why="released", by="maria", now=now, due_at=now)
    settle(harness)
    ana = visit()
    page = ana.page("/")
    assert "Sent to Knock <b>2</b>" in page
    assert '<span class="number">10' not in page
    harness.mapped("rentfeed", lead(3))
    settle(harness)
    words = "Typical time to book a lead that needed no review"
    assert f'<span class="number">10 s</span><span class="soft">{words}</span>' in ana.page("/")
    assert '<span class="number">10 s</span>typical time to book a lead' in ana.page(
        "/sources/rentfeed"
    )


def test_leads_that_a_rollback_no_longer_books_are_a_warning(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    """Publish a mapping that also books showings, then roll back to the file, which does not."""
    ana = visit(environ=SECRETS)
    text = harness.pipeline.sources["rentfeed"].text
    assert "eventType: tour_request" in text
    edited = text.replace("eventType: tour_request", "eventType: [tour_request, showing]", 1)
    answer = ana.post("/try/put", source="rentfeed", mapping=edited, reason="new", seen="0")
    assert answer.status_code == 302
    harness.pipeline.refresh_sources()
    showing = [lead(number) | {"eventType": "showing"} for number in range(1, 6)]
    (booked,) = harness.mapped("rentfeed", showing[0])
    assert booked.state is BookingState.PENDING
    assert "Since then" not in ana.page("/")

    harness.clock.advance(60)
    ana.post("/try/roll-back", source="rentfeed", number="0", seen="1")
    harness.pipeline.refresh_sources()
    harness.clock.advance(60)
    ignored = [harness.receive("rentfeed", one).event_id for one in showing[1:3]]
    other = harness.receive("rentfeed", lead(6) | {"eventType": "price_alert"}).event_id
    for event_id in (*ignored, other):
        harness.map_event(event_id)
        assert harness.story(event_id).event.state == "ignored"
    at_night(harness, 7)  # neither version books it
    harness.clock.advance(3600)
    page = ana.page("/")
    words = "ana rolled back the mapping of rentfeed "
    assert words in page
    assert "(version 2). Since then, 2 leads have not been booked." in page
    assert "The previous version would have booked them." in page
    listed = ana.page(link_to(page, "See them"))
    assert all(f"/leads/{event_id}" in listed for event_id in ignored)
    assert f"/leads/{other}" not in listed

    # The warning stays until the leads are handled, although newer ones are booked again.
    ana.post("/try/roll-back", source="rentfeed", number="1", seen="2")
    harness.pipeline.refresh_sources()
    assert words in ana.page("/")
    feed = re.sub("<[^>]+>", "", ana.page("/audit?action=mapping_rolled_back"))
    assert "rolled back the rentfeed mapping, which is now version 3" in feed
    for event_id in ignored:
        ana.post(f"/leads/{event_id}/replay")
    assert "Since then" not in ana.page("/")
