"""Test the texts about leads in the console's lists and on lead pages, with real PostgreSQL."""

import csv
import dataclasses
import datetime as dt
import html
import io
import json
import re
from typing import Any

import pytest

from adapter.models import BookingState, Kind
from adapter.store import Issue
from tests.harness import Harness, sample
from tests.integration.test_community_pages import Visit, Visitor, visit  # noqa: F401 - a fixture
from tests.integration.test_put_in_place import at_unknown
from tests.leads import lead, surname

HELD = BookingState.HELD


@pytest.fixture
def ana(harness: Harness, visit: Visit) -> Visitor:  # noqa: F811
    return visit()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", page))


def held(harness: Harness, number: int = 1, **changes: object) -> int:
    (booking,) = harness.mapped("rentfeed", lead(number, time="9:30 PM") | changes)
    assert booking.state is HELD
    return booking.id


def move(harness: Harness, number: int, *states: BookingState, why: str) -> None:
    with harness.pipeline.store.transaction() as tx:
        for state in states:
            tx.bookings.move(number, state, why=why, now=harness.clock())


def test_a_row_without_a_phone_shows_the_email(harness: Harness, ana: Visitor) -> None:
    held(harness)
    for path in ("/queue", "/leads"):
        assert 'href="mailto:person1@example.com"' in ana.page(path)


def test_an_empty_tab_leads_to_the_only_lead(harness: Harness, ana: Visitor) -> None:
    held(harness, 1)
    assert ">See the 1 lead that needs you<" in ana.page("/queue?todo=knock")
    held(harness, 2)
    assert ">See all 2 leads that need you<" in ana.page("/queue?todo=knock")


def test_a_row_of_several_leads_names_the_properties(harness: Harness, ana: Visitor) -> None:
    harness.mapped("rentfeed", at_unknown(1))
    harness.mapped("rentfeed", at_unknown(2))
    assert "The Residences at Cherry Creek · rentfeed" in text_of(ana.page("/queue"))


def test_a_row_shows_the_day_of_a_tour_without_a_time(harness: Harness, ana: Visitor) -> None:
    payload = lead(1) | {"tour": {"date": "03/14/2026", "time": None, "type": "IN_PERSON"}}
    (booking,) = harness.mapped("rentfeed", payload)
    assert booking.state is HELD
    for path in ("/queue", "/leads"):
        assert "03/14/2026, no time" in text_of(ana.page(path))


def test_midnight_is_a_day_without_a_time(harness: Harness, ana: Visitor) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, time="12:00 AM"))
    page = text_of(ana.page(f"/leads/{booking.id}/panel"))
    assert "The message has a date but no time." in page
    assert "Tours can only be booked" not in page


def test_a_refused_booking_does_not_look_like_a_rejected_message(
    harness: Harness, ana: Visitor
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    move(harness, booking.id, BookingState.SENDING, BookingState.FAILED, why="refused")
    for path in ("/queue", "/leads"):
        page = text_of(ana.page(path))
        assert "Knock refused it" in page
    assert 'class="soft small">Rejected<' not in ana.page("/leads")


def test_a_request_that_was_canceled_before_it_was_sent_says_so(
    harness: Harness, ana: Visitor
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    move(harness, booking.id, BookingState.DISCARDED, why="canceled_by_renter")
    assert 'class="state discarded">Canceled by the renter<' in ana.page("/leads")
    assert ">Dismissed<" not in ana.page(f"/leads/{booking.id}")


def test_a_missing_name_is_asked_for(harness: Harness, ana: Visitor) -> None:
    payload = lead(1)
    payload["contact"]["name"] = ""
    (booking,) = harness.mapped("rentfeed", payload)
    assert booking.state is HELD
    page = ana.page(f"/leads/{booking.id}/panel")
    fields = page.split("<summary>Change details")[0]
    assert 'name="first_name"' in fields
    assert 'name="last_name"' in fields
    assert "No name" in text_of(ana.page("/queue?todo=details"))


def test_a_duplicate_of_a_guest_card_reads_as_a_sentence(harness: Harness, ana: Visitor) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    with harness.pipeline.store.transaction() as tx:
        card = dataclasses.replace(
            first, id=0, kind=Kind.PROSPECT, starts_at=None, match_keys=(77,), item_key=None
        )
        card = tx.bookings.insert(card, 1, now=harness.clock())
    (second,) = harness.mapped("rentfeed", lead(2))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(
            second.id,
            BookingState.DUPLICATE,
            why="same_person_asked_before",
            because_of=card.id,
            now=harness.clock(),
        )
    page = text_of(ana.page(f"/leads/{second.id}"))
    assert f"Duplicate of Dana {surname(1)}'s guest card (waiting to send)" in page
    assert "No tour (" not in page


def test_a_value_leads_to_where_it_came_from(harness: Harness, ana: Visitor) -> None:
    page = ana.page(f"/leads/{held(harness)}")
    assert ">show in message</a>" in page
    assert ">source</a>" not in page


def test_technical_times_are_marked_as_utc(harness: Harness, ana: Visitor) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    page = text_of(ana.page(f"/leads/{booking.id}"))
    assert f"{booking.appointment['appointment_time']} UTC" in page
    assert "2026-03-14 UTC" in page


def test_undo_leads_back_to_the_list(harness: Harness, ana: Visitor) -> None:
    number = held(harness)
    page = ana.page(f"/leads/{number}/panel?list=todo%3Dcall")
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token is not None
    answer = ana.client.post(
        f"/console/leads/{number}/discard",
        data={"csrf": token[1], "reason": "spam", "list": "todo=call"},
        headers={"HX-Target": "panel"},
    )
    undo = re.search(r"<form[^>]*bring-back.*?</form>", answer.text, re.DOTALL)
    assert undo is not None
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', undo[0]))
    answer = ana.client.post(f"/console/leads/{number}/bring-back", data=fields)
    assert answer.location == f"/console/queue?todo=call#row-{number}"


def test_a_message_that_cannot_be_read_is_explained_without_code(
    harness: Harness, ana: Visitor
) -> None:
    receipt = harness.receive("rentfeed", b'{"name": "Ken Broken", "mail": "ken@example.com"')
    harness.map_event(receipt.event_id)
    page = text_of(ana.page(f"/leads/{receipt.event_id}"))
    agent, technical = page.split("Technical", 1)
    assert "We can't read this message, so only the raw text is shown." in agent
    assert "line 1" not in agent
    assert "line 1" in technical
    tab = re.search(r">Unreadable messages <span[^>]*>(\d+)<", ana.page("/leads"))
    assert tab is not None
    assert tab[1] == "1"
    row = text_of(ana.page("/leads?kind=webhooks&state=held"))
    assert "ken@example.com" in row, "so that an agent can recognize the renter"


HTML_PAGE = b'{"html": "<h1>502 Bad Gateway</h1>"}'


def without_tours() -> bytes:
    handoff = sample("leasebot-handoff.json")
    handoff["handoff"]["tours"] = []
    return json.dumps(handoff).encode()


@pytest.mark.parametrize(
    ("source", "body", "short", "wrong", "todo"),
    [
        pytest.param(
            "leasebot",
            without_tours(),
            "No tour in the message",
            "There is no tour in this message.",
            "Read the original message. If a renter wants a tour, call or email them and enter the "
            "tour in Knock. Then dismiss this message.",
            id="an empty list of tours",
        ),
        pytest.param(
            "rentfeed",
            HTML_PAGE,
            "Maybe not a tour request",
            "We can't tell if this message is a tour request.",
            "Read the original message. If it isn't a tour request, dismiss it. If it is, ask an "
            "admin to fix the mapping.",
            id="no event type",
        ),
    ],
)
def test_a_message_without_leads_is_explained_in_plain_words(
    harness: Harness, ana: Visitor, source: str, body: bytes, short: str, wrong: str, todo: str
) -> None:
    receipt = harness.receive(source, body)
    harness.map_event(receipt.event_id)
    for path in ("/queue", "/queue?todo=admin", "/leads?kind=webhooks&state=held"):
        page = text_of(ana.page(path))
        assert short in page, path
        assert "can't be used" not in page
    for path in (f"/leads/{receipt.event_id}", f"/leads/{receipt.event_id}/panel"):
        agent = html.unescape(text_of(ana.page(path))).partition("Technical")[0]
        assert wrong in agent
        assert todo in agent
        assert "Fix the problem" not in agent


def test_a_message_without_leads_shows_its_contact(harness: Harness, ana: Visitor) -> None:
    number = harness.receive("leasebot", without_tours()).event_id
    harness.map_event(number)
    for path in (
        "/queue",
        f"/leads/{number}",
        f"/leads/{number}/panel",
        "/leads/messages?q=Marcus",
    ):
        agent = ana.page(path).partition("<h2>Original message")[0]
        assert "720 209 1146" in agent, path


def test_a_name_that_cannot_be_used_is_shown(harness: Harness, ana: Visitor) -> None:
    number = held(harness, contact={"name": "Cal Unknown", "phone": "303-555-0142"})
    found = ana.page("/leads/messages?q=Unknown").partition('class="leads"')[2]
    assert "“Cal Unknown”" in text_of(found)
    for part in ("(303) 555-0142", "Sat, Mar 14, 9:30 PM MDT", "Maple Court · rentfeed"):
        assert part in text_of(found)
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET is_cancellation = true, reason = 'cancellation' WHERE id = %s",
            [number],
        )
    for path in ("/queue", f"/leads/{number}", f"/leads/{number}/panel"):
        page = ana.page(path)
        assert "“Cal Unknown”" in page, path
        assert "No name" not in page
        assert "so they are in the notes" not in page
    assert "We couldn't use these values: name “Cal Unknown”." in html.unescape(
        text_of(ana.page(f"/leads/{number}"))
    )


def test_an_ignored_message_says_why_and_who(harness: Harness, ana: Visitor) -> None:
    payload = lead(1) | {"eventType": "price_alert"}
    receipt = harness.receive("rentfeed", payload)
    harness.map_event(receipt.event_id)
    assert harness.story(receipt.event_id).event.state == "ignored"
    for path in ("/decisions", "/leads?kind=webhooks&state=ignored"):
        page = text_of(ana.page(path))
        assert "This message is not a tour request (event type: price alert)" in page
        assert "person1@example.com" in page
        assert "eventType" not in page.partition("Technical")[0]
    for path in ("/sources/rentfeed", "/try?source=rentfeed"):
        assert "Message from rentfeed" in ana.page(path), path
    title = "1 message was handled automatically in the last 24 hours"
    assert title in ana.page("/decisions"), "it never became a lead"


def test_two_tours_in_one_message_name_each_other_once(harness: Harness, ana: Visitor) -> None:
    handoff = sample("leasebot-handoff.json")
    handoff["handoff"]["tours"][1] |= {"property": "Maple Court", "startsAt": "2026-03-15T10:00:00"}
    first, second = harness.mapped("leasebot", handoff)
    assert second.reason == "two_tours_at_once"
    box = ana.page(f"/leads/{second.id}/panel").split('class="task')[1].split("<form")[0]
    assert box.count(f'href="/console/leads/{first.id}') == 1
    assert "If you book both, Knock keeps only the tour that you book last." in box


def test_a_user_without_edit_access_reads_one_sentence(harness: Harness, visit: Visit) -> None:  # noqa: F811
    rob = visit("rob")
    number = held(harness)
    sentence = "You have view-only access. Someone with edit access can change that under People."
    paths = ["/rejections", "/sources/rentfeed", "/try", "/communities", f"/leads/{number}"]
    for path in paths:
        assert text_of(rob.page(path)).count(sentence) == 1, path
    assert sentence in rob.post(f"/leads/{number}/discard", reason="spam").text


def test_a_property_preview_names_renters_and_times(harness: Harness, ana: Visitor) -> None:
    harness.mapped("rentfeed", at_unknown(1))
    page = ana.page("/communities")
    link = re.search(r'href="/console(/communities/pick[^"]*)"', page)
    assert link is not None
    page = ana.page(link[1] + "&community=maple-court")
    (name,) = re.findall(r"<bdi>(Dana [^<]*)</bdi>", page)
    assert name == f"Dana {surname(1)}"
    assert "Sat, Mar 14, 2026, 2:30 PM MDT" in text_of(page)
    assert "<h1>Assign <bdi>The Residences at Cherry Creek</bdi> to Maple Court" in page


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        ([2], "1 tour, today: Knock will email the renter."),
        ([2, 14], "2 tours, 1 of them today: Knock will email each renter."),
    ],
)
def test_a_property_preview_counts_the_tours_of_today(
    harness: Harness, ana: Visitor, days: list[int], sentence: str
) -> None:
    for number, day in enumerate(days, 1):
        harness.mapped("rentfeed", at_unknown(number, day=day))
    link = re.search(r'href="/console(/communities/pick[^"]*)"', ana.page("/communities"))
    assert link is not None
    assert sentence in text_of(ana.page(link[1] + "&community=maple-court"))


def test_a_new_source_has_no_usual_number(harness: Harness, visit: Visit) -> None:  # noqa: F811
    assert not usual_numbers(visit())["rentfeed"].isdigit()
    harness.mapped("rentfeed", lead(1))
    with harness.pipeline.store.transaction() as tx:
        tx.stats.count_hours(harness.clock() + dt.timedelta(hours=2))
    harness.clock.advance(20 * 86400)
    found = usual_numbers(visit())
    assert found["rentfeed"].isdigit(), "it has been known for weeks"
    others = [text for name, text in found.items() if name != "rentfeed"]
    assert others
    assert not any(map(str.isdigit, others))


def usual_numbers(visitor: Visitor) -> dict[str, str]:
    cell = r'<b>([\w-]+)</b>.*?data-t="Typical" class="number">([^<]*)<'
    return dict(re.findall(cell, visitor.page("/sources"), re.DOTALL))


def test_health_counts_leads_that_were_not_read_yet(harness: Harness, ana: Visitor) -> None:
    """Check that the line about bookings shows the same number as the problem above it."""
    harness.mapped("rentfeed", lead(1))
    harness.receive("rentfeed", lead(2))
    page = text_of(ana.page("/"))
    assert "2 leads are waiting, the oldest since" in page


def test_a_source_explains_its_secrets(ana: Visitor) -> None:
    page = text_of(ana.page("/sources/rentfeed"))
    assert "with a secret that only you and the sender know" in page
    assert "Your engineer sets secrets on the server." in page


def booked_at(**tour: str | None) -> Any:
    """Return a lead whose message has the given tour values."""
    return lead(1) | {"tour": {"type": "IN_PERSON"} | tour}


@pytest.mark.parametrize(
    ("tour", "shown", "short", "sentence"),
    [
        (
            {"date": "sometime", "time": "2:30 PM"},
            "“sometime 2:30 PM”",
            "Can't read the tour time",
            "We couldn't read the tour time: “sometime 2:30 PM”.",
        ),
        (
            {"date": "03/08/2026", "time": "2:30 AM"},
            "“03/08/2026 2:30 AM”",
            "Tour time doesn't exist",
            "This time doesn't exist: clocks spring forward that night",
        ),
        (
            {"date": None, "time": "11:00 AM"},
            "11:00 AM, no date",
            "No tour date",
            "The message has a time (“11:00 AM”) but no date.",
        ),
        (
            {"tourDate": "03/14/2026", "time": "11:00 AM"},
            "11:00 AM, date not read",
            "",
            "The message has “tour.tourDate” instead of “tour.date”",
        ),
        (
            {"date": "03/14/2026", "time": "12:00 AM"},
            "Sat, Mar 14, 12:00 AM",
            "No time of day",
            "The message has a date but no time.",
        ),
        ({}, "No time given", "No tour time", "We couldn't find a tour time in the message."),
    ],
)
def test_a_tour_time_that_cannot_be_used_is_described(
    harness: Harness,
    ana: Visitor,
    tour: dict[str, str | None],
    shown: str,
    short: str,
    sentence: str,
) -> None:
    (booking,) = harness.mapped("rentfeed", booked_at(**tour))
    assert booking.state is HELD
    for path in ("/queue", "/leads", f"/leads/{booking.id}"):
        page = text_of(ana.page(path))
        assert shown in page, path
        assert shown == "No time given" or "No time given" not in page, path
    for path in ("/queue", "/leads"):
        assert short in text_of(ana.page(path)), path
    assert sentence in text_of(ana.page(f"/leads/{booking.id}"))


def test_the_senders_text_cannot_hide_or_reverse_other_text(harness: Harness, ana: Visitor) -> None:
    harness.mapped("rentfeed", booked_at(date=None, time="\u202esoon<b>"))
    page = ana.client.get("/console/queue").text
    assert "⟨U+202E⟩soon&lt;b&gt;" in page


def test_a_day_of_some_months_ago_has_its_year(harness: Harness, ana: Visitor) -> None:
    held(harness)
    assert "Sat, Mar 14, 9:30 PM MDT" in text_of(ana.page("/queue"))
    harness.clock.advance(200 * 86400)
    ana = Visitor(ana.client, "ana")
    for path in ("/queue", "/leads"):
        assert "Sat, Mar 14, 2026, 9:30 PM MDT" in text_of(ana.page(path)), path


def test_a_search_with_a_tab_says_where_the_leads_are(harness: Harness, ana: Visitor) -> None:
    harness.mapped("rentfeed", lead(1))
    name = surname(1)
    page = ana.page(f"/leads?q={name}&state=held")
    assert "No leads found with these filters" in page
    assert f'<a href="/console/leads?q={name}">See all leads for “<bdi>{name}</bdi>”</a>' in page
    assert "No lead has this name" not in page
    assert "/leads/messages" not in page  # it would repeat leads of other tabs
    for path in (f"/leads?q={name}", "/leads?q=Nemo&state=held", "/leads?q=Nemo"):
        assert "with these filters" not in ana.page(path), path
    assert "No lead has this name" in ana.page("/leads?q=Nemo&state=held")


def test_mine_says_how_many_leads_need_someone(harness: Harness, ana: Visitor) -> None:
    held(harness, 1)
    page = ana.page("/queue?mine=1")
    assert "No leads are assigned to you." in page
    assert '<a href="/console/queue">1 lead needs someone</a>' in page
    assert "caught up" not in page
    held(harness, 2)
    assert ">2 leads need someone</a>" in ana.page("/queue?mine=1")
    page = ana.page("/queue?source=leasebot")
    assert "No leads from leasebot need you." in page
    assert ">See all 2 leads that need you<" in page
    assert "No leads are snoozed." in ana.page("/queue?snoozed=1")


def test_the_form_names_the_zone_and_what_is_wrong_with_a_time(
    harness: Harness, ana: Visitor
) -> None:
    """Check that the zone fits tours in summer and winter, and that a past time is called so."""
    number = held(harness)
    page = ana.page(f"/leads/{number}")
    assert "Tour time (Mountain time)" in page
    unseen = dict(re.findall(r'name="(zone|version|csrf)" value="([^"]*)"', page))
    for at, wrong in (
        ("2026-03-01T10:00", "This time has passed. Choose a later time."),
        ("2026-03-02T11:05", "This time is only minutes away. Choose a later time."),
    ):
        answer = ana.client.post(
            f"/console/leads/{number}/release", data=unseen | {"starts_at": at}
        )
        assert answer.status_code == 409
        assert wrong in answer.text


def test_lists_say_why_a_lead_was_dismissed(harness: Harness, ana: Visitor) -> None:
    number = held(harness)
    move(harness, number, BookingState.DISCARDED, why="No longer looking")
    assert "Dismissed No longer looking" in text_of(ana.page("/leads"))
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET is_cancellation = true, reason = 'cancellation_done' "
            "WHERE id = %s",
            [number],
        )
    page = text_of(ana.page("/leads"))
    assert "Canceled by the renter The renter canceled a tour that isn't in Knock." in page


def test_lists_show_when_a_message_that_was_read_again_arrived(
    harness: Harness, ana: Visitor
) -> None:
    booking = harness.booking(held(harness))
    harness.clock.advance(3600)
    harness.replays.replay(booking.event_id, by="ana", dry_run=False)
    current = harness.story(booking.event_id).bookings[-1]
    assert current.id != booking.id
    listed = [
        "/queue",
        "/leads",
        f"/queue/{Issue.of(current).key}",
        f"/leads/several?leads={current.id}",
        "/leads/messages?q=Dana",
    ]
    for path in listed:
        page = text_of(ana.page(path).partition("<main")[2])
        assert "1 h ago" in page or "60 min ago" in page, path
        assert "just now" not in page, path
    (row,) = csv.DictReader(io.StringIO(ana.page("/export.csv")))
    assert row["received_at"] == "2026-03-02T18:00:00Z"


@pytest.mark.parametrize("typed", ["(303) 555-0152", "(303) 555-0153"])
def test_a_phone_number_looks_the_same_in_the_form(
    harness: Harness, ana: Visitor, typed: str
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, time="9:30 PM", phone="3035550152"))
    page = ana.page(f"/leads/{booking.id}")
    assert 'name="phone_1" type="tel" value="(303) 555-0152"' in page
    (version,) = re.findall(r'name="version" value="([^"]+)"', page)
    form = {"version": version, "starts_at": "2026-03-14T14:30", "phone_1": typed}
    ana.post(f"/leads/{booking.id}/release", **form)
    changed = harness.booking(booking.id)
    assert changed.state is BookingState.PENDING
    assert changed.appointment["phone_1"] == f"+1303555{typed[-4:]}"
    with harness.pipeline.store.transaction() as tx:
        details = " ".join(one.detail or "" for one in tx.audit.entries())
    assert ("starts_at" in details, "phone_1" in details) == (True, typed[-1] == "3")


def test_a_message_without_a_lead_has_one_name(harness: Harness, ana: Visitor) -> None:
    harness.map_event(harness.receive("rentfeed", b"{,").event_id)
    harness.mapped("rentfeed", lead(1) | {"isTest": True})
    paths = [
        ("/queue", 1),
        ("/leads?kind=webhooks&state=held", 1),
        ("/leads?kind=webhooks&state=ignored", 1),
        ("/sources/rentfeed", 2),
        ("/decisions", 1),
        ("/try?source=rentfeed", 2),
    ]
    for path, number in paths:
        page = ana.page(path)
        assert page.count("Message from rentfeed") >= number, path
        assert 'aria-current="page">Unreadable' not in page or "held" in path, path
        assert "No name" not in page, path
