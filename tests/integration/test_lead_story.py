"""Test the sentences on a lead's page about other bookings and users' actions."""

import dataclasses
import re
from typing import Any

import pytest

from adapter.cli.formatting import story_text
from adapter.models import LOCAL_USER, Booking, BookingState
from adapter.operations.pause import Pauses
from adapter.operations.release import Repairs
from adapter.operations.replay import Replays
from tests.harness import Harness, settle
from tests.integration.test_community_pages import Visit, visit  # noqa: F401 - a fixture
from tests.integration.test_put_in_place import at_unknown
from tests.leads import lead, same_person
from tests.sandbox_client import SandboxClient

pytestmark = pytest.mark.usefixtures("harness")
#: The hidden fields of the form that books a lead.
HIDDEN = ("zone", "version")


def text_of(part: str) -> str:
    return " ".join(re.sub("<[^>]+>", "", part).split())


def task_of(page: str) -> str:
    """Return the text of the box that explains the problem and the next step."""
    return text_of(page.partition('<div class="task')[2].partition('<div class="actions')[0])


def story_of(page: str) -> str:
    return text_of(page.partition('class="story"')[2].partition("</ol>")[0])


def as_guest_card(harness: Harness, booking_id: int) -> None:
    """Turn a pending tour into a guest card, as for a lead without a tour time."""
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET kind = 'prospect', starts_at = NULL, appointment = appointment "
            "- 'appointment_date' - 'appointment_time' WHERE id = %s",
            [booking_id],
        )


def test_a_new_tour_names_the_tour_that_it_replaced_in_knock(
    harness: Harness,
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
) -> None:
    del upstream
    numbers = []
    for day in (14, 15, 16):
        (booking,) = harness.mapped("rentfeed", same_person(day, day=day))
        settle(harness)
        numbers.append(booking.id)
    first, second, third = numbers
    ana = visit()
    page = ana.page(f"/leads/{second}")
    said = "This replaced the tour on Saturday, Mar 14, 2:30 PM MDT at Maple Court."
    assert f'<a href="/console/leads/{first}#b{first}">Saturday, Mar 14, 2:30 PM MDT</a>' in page
    assert said in task_of(page)
    assert story_of(page).index("Booked in Knock.") < story_of(page).index(said)
    assert said in task_of(ana.page(f"/leads/{second}/panel"))
    last = ana.page(f"/leads/{third}")
    assert "This replaced the tour on Sunday, Mar 15, 2:30 PM MDT at Maple Court." in task_of(last)
    assert "Mar 14" not in task_of(last) + story_of(last)
    assert "This replaced" not in ana.page(f"/leads/{first}")


def test_a_tour_names_the_request_that_it_replaced_before_it_was_sent(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1, day=14))
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, day=15))
    assert harness.state(first.id) is BookingState.SUPERSEDED
    page = visit().page(f"/leads/{second.id}")
    said = "This replaced the request for a tour on Saturday, Mar 14, 2:30 PM MDT at Maple Court."
    assert said in task_of(page)
    assert said in story_of(page)
    assert "Related leads" not in page


def test_a_guest_card_and_the_tour_that_it_became_name_each_other(
    harness: Harness,
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
) -> None:
    del upstream
    (card,) = harness.mapped("rentfeed", same_person(1))
    as_guest_card(harness, card.id)
    settle(harness)
    harness.clock.advance(60)
    (tour,) = harness.mapped("rentfeed", same_person(2, day=15))
    settle(harness)
    ana = visit()
    told = ana.page(f"/leads/{card.id}")
    said = "This guest card now has the tour on Sunday, Mar 15, 2:30 PM MDT at Maple Court."
    assert said in task_of(told)
    assert said in story_of(told)
    told = ana.page(f"/leads/{tour.id}")
    said = "This was added to the guest card from Monday, Mar 2 at Maple Court."
    assert f'<a href="/console/leads/{card.id}#b{card.id}">Monday, Mar 2</a>' in told
    assert said in task_of(told)
    assert said in story_of(told)


def test_the_story_names_the_user_who_booked_a_tour_again(
    harness: Harness,
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
) -> None:
    """Check that the earlier tour then counts as gone from Knock."""
    del upstream
    (first,) = harness.mapped("rentfeed", same_person(1))
    settle(harness)
    harness.clock.advance(60)
    pipeline = harness.pipeline
    replays = Replays(harness.settings, pipeline.store, pipeline.sources, harness.clock)
    replays.replay(first.event_id, by="maria", dry_run=False, forced_because="it is gone")
    assert harness.booking(first.id).gone_at == harness.clock()
    settle(harness)
    harness.clock.advance(60)
    page = visit().page(f"/leads/{first.id}")
    assert "maria booked it again because it was no longer in Knock" in story_of(page)
    assert "Someone on your team" not in page
    assert "This replaced" not in page


def test_messages_with_one_id_name_each_other(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    """Check that only identical messages are called repeats."""
    (first,) = harness.mapped("rentfeed", lead(1, name="Key Keyes"))
    harness.receive("rentfeed", lead(1, name="Key Keyes"))
    ana = visit()
    page = ana.page(f"/leads/{first.id}")
    assert "The sender sent this message 2 times. We used it once." in page
    assert "used the same ID" not in page

    receipt = harness.receive("rentfeed", lead(1, name="Kim Other", email="kim@example.com"))
    assert receipt.changed_id is not None
    harness.map_event(receipt.changed_id)
    (second,) = harness.story(receipt.changed_id).bookings
    text = story_text(harness.story(first.event_id), (), {}, None)
    assert "sent again 2 times; at least once with changes" in text
    page = ana.page(f"/leads/{first.id}")
    assert "The sender sent 3 messages with this ID." in page
    assert "We used it once" not in page
    assert "rentfeed used the same ID for Kim Other, Sat, Mar 14, 2:30 PM MDT" in text_of(page)
    assert f"/console/leads/{second.id}#b{second.id}" in page
    page = text_of(ana.page(f"/leads/{second.id}"))
    assert "rentfeed used the same ID for Key Keyes, Sat, Mar 14, 2:30 PM MDT" in page


def test_a_lead_with_a_shared_contact_says_which_tour_it_would_cancel(
    harness: Harness,
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
) -> None:
    del upstream
    shared: Any = {"email": "family@example.com"}
    (first,) = harness.mapped("rentfeed", lead(1, name="Liam Ortiz", **shared))
    settle(harness)
    (second,) = harness.mapped("rentfeed", lead(2, day=15, name="Lara Ortiz", **shared))
    assert (second.state, second.reason) == (BookingState.HELD, "another_person")
    ana = visit()
    wrong = "Someone with a different name has the same email. The other lead: Liam Ortiz"
    assert wrong in task_of(ana.page(f"/leads/{second.id}"))
    said = (
        "If you click “Book tour”, Knock treats both leads as one person and cancels Liam Ortiz's "
        "tour on Saturday, Mar 14, 2:30 PM MDT."
    )
    assert said in text_of(ana.page(f"/leads/{second.id}"))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.mark_gone([first.id], now=harness.clock())
    assert "cancels Liam Ortiz's" not in text_of(ana.page(f"/leads/{second.id}"))


def canceled(harness: Harness, booking: Booking, **changes: Any) -> int:
    """Store a cancellation of a booked tour that still needs review."""
    values: dict[str, Any] = {"id": 0, "state": BookingState.HELD, "reason": "cancellation"}
    values |= {"is_cancellation": True, "due_at": None, "because_of": booking.id} | changes
    with harness.pipeline.store.transaction() as tx:
        made = dataclasses.replace(harness.booking(booking.id), **values)
        return tx.bookings.insert(made, 1, now=harness.clock()).id


def test_a_cancellation_says_whether_we_have_its_tour_and_when_it_is_done(
    harness: Harness,
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
) -> None:
    del upstream
    (tour,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    ana = visit()
    number = canceled(harness, tour)
    assert "The renter canceled this tour." in task_of(ana.page(f"/leads/{number}/panel"))
    ana.post(f"/leads/{number}/discard", reason="Canceled in Knock", seen="on")
    page = ana.page(f"/leads/{number}/panel")
    assert (
        "Done: someone canceled the tour in Knock, or added a note to the guest card."
        in task_of(page)
    )
    assert ">Canceled in Knock</span>" in page
    assert "Dismissed" not in page.partition('class="story"')[0]
    (other,) = harness.mapped("rentfeed", lead(2))
    stray = canceled(harness, other, because_of=None)
    page = ana.page(f"/leads/{stray}/panel")
    assert "The renter canceled a tour that we didn't book." in task_of(page)
    (reason,) = re.findall(r'name="reason" value="(The renter[^"]+)"', page)
    ana.post(f"/leads/{stray}/discard", reason=reason)
    page = ana.page(f"/leads/{stray}/panel")
    assert "Dismissed: The renter has no tour in Knock" in task_of(page)
    assert "someone canceled the tour" not in page


def test_a_finished_lead_does_not_lead_to_the_next_one_in_needs_you(
    harness: Harness,
    upstream: SandboxClient,
    visit: Visit,  # noqa: F811
) -> None:
    del upstream
    (booked,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    (held,) = harness.mapped("rentfeed", lead(2, time="9:30 PM"))
    harness.mapped("rentfeed", lead(3, time="9:30 PM"))
    ana = visit()
    page = ana.page(f"/leads/{booked.id}")
    assert 'rel="next"' not in page
    assert '<p><a href="/console/leads">Leads</a></p>' in page
    assert re.search(r'<a href="/console/leads" aria-current="page">', page)
    for path in (f"/leads/{held.id}", f"/leads/{booked.id}?list=todo%3Dcall"):
        assert 'rel="next"' in ana.page(path), path
        assert "Needs you</a></p>" in ana.page(path), path
        assert re.search(r'<a href="/console/queue" aria-current="page">', ana.page(path)), path


def test_the_curl_command_contains_no_signature_and_no_connection_headers(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    sent = {"User-Agent": "RentFeed", "Content-Length": "9", "Accept-Encoding": "gzip"}
    event_id = harness.receive("rentfeed", lead(1), **sent).event_id
    harness.map_event(event_id)
    page = visit().page(f"/leads/{event_id}")
    command = page.partition('<pre id="curl"')[2].partition("</pre>")[0].lower()
    assert "-h 'user-agent: rentfeed'" in command
    for header in ("x-rentfeed-signature", "content-length", "accept-encoding"):
        assert header not in command
        assert header in page.lower(), "the headers are still listed"


def test_an_undo_says_that_nothing_was_sent_and_a_check_box_what_it_allows(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    (held,) = harness.mapped("rentfeed", lead(1, time="9:30 PM"))
    ana = visit()
    page = ana.page(f"/leads/{held.id}")
    assert '<input type="checkbox" name="any_hour">Book it anyway, outside booking hours<' in page
    hidden = {name: re.findall(rf'name="{name}" value="([^"]*)"', page)[0] for name in HIDDEN}
    ana.post(f"/leads/{held.id}/release", any_hour="1", **hidden)
    ana.post(f"/leads/{held.id}/undo")
    assert "ana undid this before it was sent." in story_of(ana.page(f"/leads/{held.id}"))
    ana.post(f"/leads/{held.id}/snooze", until="hour")
    assert '<span class="soft small">Snoozed</span>' in ana.page("/leads")
    page = " ".join(ana.page(f"/leads/{held.id}").split())
    assert re.search(r"<span>Snoozed until <time[^>]*>[^<]+</time>\. Show it now</span>", page)


def test_leads_that_share_a_row_are_named_once_or_by_their_phone(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    same: Any = {"name": "Pia Holm", "email": "pia@example.com"}
    for day in (14, 15):
        harness.mapped("rentfeed", at_unknown(day, day=day, **same))
    harness.mapped("rentfeed", at_unknown(3, name="", phone="(303) 555-0142", email=""))
    page = visit().page("/queue?todo=community")
    assert "<bdi>Pia Holm (2 leads), (303) 555-0142</bdi></span>" in page
    assert "and others" not in page


def test_the_history_says_who_changed_what_before_booking(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    (held,) = harness.mapped("rentfeed", lead(1, time="3:00 AM"))
    changes = {"starts_at": "2026-03-14T15:00", "phone_1": "303 555 0151"}
    repairs = Repairs(
        harness.settings, harness.pipeline.store, harness.pipeline.sources, harness.clock
    )
    repairs.release(held.id, changes, by=LOCAL_USER)
    ana = visit()
    said = "Setup user changed the phone and tour time and sent the lead to Knock."
    assert said in story_of(ana.page(f"/leads/{held.id}"))
    feed = text_of(ana.page("/audit").split('class="feed"')[1])
    assert "Setup user changed Dana Roeab's phone and tour time and sent the lead to Knock" in feed
    feed = text_of(ana.page("/audit?by=setup+user").split('class="feed"')[1])
    assert "Setup user" in feed
    assert "(local)" not in feed


def test_the_user_of_the_one_time_link_has_one_name(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    pauses = Pauses(harness.settings, harness.pipeline.store, harness.clock, by=LOCAL_USER)
    pauses.pause("a move", source="rentfeed")
    ana = visit()
    for path in ("/", "/sources/rentfeed", "/queue", "/audit"):
        assert "(local)" not in ana.page(path), path
    for path in ("/", "/sources/rentfeed"):
        assert "Setup user paused" in text_of(ana.page(path)), path
