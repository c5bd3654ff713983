"""Test leads without a tour time, which become guest cards, with real services."""

import dataclasses
import datetime as dt
import json
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapter.cli import formatting
from adapter.exceptions import NotPossible
from adapter.mapping import respond, webhook_outcome
from adapter.mapping.registry import load
from adapter.models import Attempt, BookingState, EventState, Kind, KnockFacts
from adapter.operations import serializers
from adapter.operations.advice import advice_for
from adapter.operations.allowed_actions import may_confirm, why_not_release
from adapter.operations.erase_personal_data import Eraser
from adapter.operations.restore import Restore
from adapter.propexo.appointment import request_from
from adapter.store import Issue
from tests.gunicorn_process import LEAD, write_mappings
from tests.harness import START, Harness, settle
from tests.leads import reconcile_when_due
from tests.sandbox_client import SandboxClient

PENDING, HELD, BOOKED = BookingState.PENDING, BookingState.HELD, BookingState.BOOKED
DUPLICATE, SUPERSEDED = BookingState.DUPLICATE, BookingState.SUPERSEDED
EXPIRED, UNKNOWN = BookingState.EXPIRED, BookingState.UNKNOWN

SAMPLE = LEAD | {"phone": "(303) 555-0142", "message": "Is there covered parking?", "mode": "video"}
#: Sections that all mappings in these tests have.
SECTIONS: dict[str, Any] = {
    "signature": {"scheme": "hmac", "header": "X-Signature", "secrets": ["RENTFEED_SECRET"]},
    "appointment": {
        "name": "name",
        "email_1": "email",
        "phone_1": "phone",
        "starts_at": "at",
        "tour_type": {"from": "mode", "table": {"video": "video"}},
        "first_contact_type": {"always": "chat"},
        "notes": ["{message}"],
    },
    "without_time": "prospect",
    "tests": [{"name": "a tour", "payload": SAMPLE, "expect_some": {"last_name": "Okafor"}}],
}


@pytest.fixture
def harness(harness: Harness, tmp_path: Path) -> Harness:
    """Return a harness with two senders that may omit the time, and one whose leads are held."""
    learn(harness, tmp_path)
    return harness


def learn(harness: Harness, folder: Path, **changed: dict[str, Any]) -> None:
    """Write the mappings and load them."""
    held = SECTIONS | {"without_time": "hold"}
    mappings = {"portal": SECTIONS, "form": SECTIONS, "holding": held} | changed
    write_mappings(folder, mappings)
    harness.pipeline.sources = load(folder, harness.settings.policy)


def lead(number: int, **changes: Any) -> dict[str, Any]:
    """Return a lead without a time, by default for a new person."""
    person = {"email": f"person{number}@example.com", "phone": "", "at": ""}
    return SAMPLE | {"id": f"L-{number}"} | person | changes


def tour(number: int, **changes: Any) -> dict[str, Any]:
    return lead(number, at="2026-03-14T20:30:00Z") | changes


# --- one guest card


def test_a_lead_without_a_time_becomes_a_guest_card(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("portal", lead(1, phone="(303) 555-0142"))
    assert (booking.kind, booking.state, booking.starts_at) == (Kind.PROSPECT, PENDING, None)
    settle(harness)

    booked = harness.booking(booking.id)
    assert (booked.state, booked.reason) == (BOOKED, "job_succeeded")
    assert upstream.posts() == [], "nothing is booked"
    (posted,) = upstream.cards()
    assert posted == {
        "integration_id": "int_1",
        "community_id": "com_1",
        "attribution_id": "att_1",
        "first_name": "Dana",
        "last_name": "Okafor",
        "email_1": "person1@example.com",
        "phone_1": "+13035550142",
        "notes": "Is there covered parking?\nFirst contact type: chat\nTour type: video",
        "subscribe": False,
    }
    (prospect,) = upstream.prospects()
    assert [one["job_id"] for one in prospect["inquiries"]] == [booked.job_id]
    (attempt,) = harness.story(booking.id).attempts[booking.id]
    assert (attempt.kind, attempt.request) == (Kind.PROSPECT, posted)


@pytest.mark.parametrize("name", ["", "555", None], ids=repr)
def test_a_guest_card_needs_no_name(
    harness: Harness, upstream: SandboxClient, name: str | None
) -> None:
    (booking,) = harness.mapped("portal", lead(1, name=name))
    settle(harness)

    assert harness.state(booking.id) is BOOKED
    (posted,) = upstream.cards()
    assert "last_name" not in posted
    assert ("Name: 555" in posted["notes"]) == (name == "555"), "what was written is not lost"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"community": "Elm Row"}, "community"),
        ({"email": "", "phone": ""}, "email_1"),
        ({"email": "none@none.com", "phone": "000"}, "email_1"),
        ({"at": "tomorrow"}, "starts_at"),
        ({"at": "2026-03-14"}, "starts_at"),
        ({"at": "2026-03-01T20:30:00Z"}, "starts_at"),
    ],
    ids=str,
)
def test_an_uncertain_person_place_or_time_needs_review(
    harness: Harness, changes: dict[str, Any], field: str
) -> None:
    (booking,) = harness.mapped("portal", lead(1, **changes))

    assert booking.state is HELD
    assert field in {reason.field for reason in booking.reasons}
    wanted = Kind.PROSPECT if not changes.get("at") else Kind.APPOINTMENT
    assert booking.kind is wanted


def test_a_repeated_lead_creates_no_second_card(harness: Harness, upstream: SandboxClient) -> None:
    first = harness.receive("portal", lead(1))
    again = harness.receive("portal", lead(1))
    harness.map_event(first.event_id)
    harness.map_event(first.event_id)
    settle(harness)

    assert again.is_duplicate
    assert len(upstream.cards()) == 1


@pytest.mark.parametrize("is_booked", [False, True])
def test_a_second_request_from_a_person_creates_no_second_card(
    harness: Harness, upstream: SandboxClient, is_booked: bool
) -> None:
    (first,) = harness.mapped("portal", lead(1, email="dana@example.com"))
    if is_booked:
        settle(harness)
    harness.clock.advance(3600)
    (second,) = harness.mapped("form", lead(2, email="Dana@Example.com"))
    settle(harness)

    assert harness.state(first.id) is BOOKED
    assert (second.state, second.reason) == (DUPLICATE, "same_person_asked_before")
    assert f"booking {first.id}" in second.reasons[-1].reason
    assert len(upstream.cards()) == 1


def test_a_wrongly_merged_card_is_released(harness: Harness, upstream: SandboxClient) -> None:
    harness.mapped("portal", lead(1, name="J. Okafor", phone="303-555-0142"))
    settle(harness)
    (merged,) = harness.mapped("form", lead(2, name="June Okafor", phone="303-555-0142"))
    assert merged.state is DUPLICATE
    harness.repairs.release(merged.id, {}, by="ana", is_another_person=True)
    settle(harness)

    assert harness.state(merged.id) is BOOKED
    assert len(upstream.prospects()) == 2


def test_a_request_after_a_month_creates_a_new_card(
    harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("portal", lead(1, email="dana@example.com"))
    settle(harness)
    harness.clock.advance(31 * 86_400)
    (again,) = harness.mapped("form", lead(2, email="dana@example.com"))
    settle(harness)

    assert harness.state(again.id) is BOOKED
    (prospect,) = upstream.prospects()
    assert len(prospect["inquiries"]) == 2, "on the same card"


# --- together with a tour


@pytest.mark.parametrize("is_booked", [False, True])
def test_a_tour_is_sent_after_a_guest_card(
    harness: Harness, upstream: SandboxClient, is_booked: bool
) -> None:
    (card,) = harness.mapped("portal", lead(1, email="dana@example.com"))
    if is_booked:
        settle(harness)
    harness.clock.advance(60)
    (booking,) = harness.mapped("form", tour(2, email="dana@example.com"))
    settle(harness)

    assert harness.state(booking.id) is BOOKED
    (stands,) = upstream.appointments()
    assert stands["status"] == "booked"
    (prospect,) = upstream.prospects()
    assert prospect["appointments"] == [stands["id"]], "on the same card"
    if is_booked:
        assert harness.state(card.id) is BOOKED
    else:
        replaced = harness.booking(card.id)
        assert (replaced.state, replaced.reason) == (SUPERSEDED, "newer_request")
        assert upstream.cards() == [], "the tour makes the card itself"


@pytest.mark.parametrize("is_booked", [False, True])
def test_a_person_with_a_tour_needs_no_card(
    harness: Harness, upstream: SandboxClient, is_booked: bool
) -> None:
    (booking,) = harness.mapped("portal", tour(1, email="dana@example.com"))
    if is_booked:
        settle(harness)
    harness.clock.advance(60)
    (card,) = harness.mapped("form", lead(2, email="dana@example.com"))
    settle(harness)

    assert (card.state, card.reason) == (DUPLICATE, "same_person_has_a_tour")
    assert harness.state(booking.id) is BOOKED
    assert (len(upstream.posts()), len(upstream.cards())) == (1, 0)


@pytest.mark.parametrize("days", [1, -1])
def test_a_person_whose_tour_knock_moved_needs_no_card_until_both_times(
    harness: Harness, upstream: SandboxClient, days: int
) -> None:
    (booking,) = harness.mapped("portal", tour(1, email="dana@example.com"))
    settle(harness)
    assert booking.starts_at is not None
    to, now = booking.starts_at + dt.timedelta(days=days), harness.clock()
    with harness.pipeline.store.transaction() as tx:
        facts = KnockFacts(moved_to=to, moved_at=now, why="moved_in_knock")
        tx.bookings.record_in_knock(booking, facts, by="web", now=now)
    harness.clock.advance((min(booking.starts_at, to) - now).total_seconds() + 60)
    (card,) = harness.mapped("form", lead(2, email="dana@example.com"))
    settle(harness)
    assert (card.state, card.reason) == (DUPLICATE, "same_person_has_a_tour")
    assert upstream.cards() == []


def test_a_past_tour_does_not_replace_a_card(harness: Harness, upstream: SandboxClient) -> None:
    harness.mapped("portal", tour(1, email="dana@example.com"))
    settle(harness)
    harness.clock.at = dt.datetime(2026, 3, 20, 18, tzinfo=dt.UTC)
    (card,) = harness.mapped("form", lead(2, email="dana@example.com"))
    settle(harness)

    assert harness.state(card.id) is BOOKED


def test_a_tour_that_arrives_late_is_still_sent(harness: Harness, upstream: SandboxClient) -> None:
    """Receive a tour that, according to its sender, was requested before the guest card."""
    late = harness.receive("portal", tour(1, email="dana@example.com"))
    harness.clock.advance(60)
    (card,) = harness.mapped("form", lead(2, email="dana@example.com"))
    harness.map_event(late.event_id)
    settle(harness)

    assert [one.state for one in harness.story(late.event_id).bookings] == [BOOKED]
    assert harness.state(card.id) is SUPERSEDED


def test_a_tour_waits_for_a_card_in_flight(harness: Harness, upstream: SandboxClient) -> None:
    """Check that the tour waits, because Knock might otherwise create two cards for one person."""
    upstream.fault({"job": "PENDING", "job_seconds": 600})
    (card,) = harness.mapped("portal", lead(1, email="dana@example.com"))
    harness.send()
    (booking,) = harness.mapped("form", tour(2, email="dana@example.com"))
    harness.send()
    assert harness.state(booking.id) is PENDING

    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(card.id, BOOKED, why="job_succeeded", now=harness.clock())
    settle(harness)
    assert harness.state(booking.id) is BOOKED


def test_a_postponed_card_is_replaced_by_a_tour(harness: Harness, upstream: SandboxClient) -> None:
    (card,) = harness.mapped("portal", lead(1, email="dana@example.com"))
    sender = harness.pipeline.sender
    attempt = sender._next()[0]
    assert isinstance(attempt, Attempt)
    harness.mapped("form", tour(2, email="dana@example.com"))
    upstream.fault({"status": 503, "headers": {"Retry-After": "3"}})
    sender._send(attempt)

    assert harness.state(card.id) is SUPERSEDED


def test_a_postponed_tour_is_not_replaced_by_a_card(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("portal", tour(1, email="dana@example.com"))
    sender = harness.pipeline.sender
    attempt = sender._next()[0]
    assert isinstance(attempt, Attempt)
    harness.clock.advance(1)
    harness.mapped("form", lead(2, email="dana@example.com"))
    upstream.fault({"status": 503, "headers": {"Retry-After": "3"}})
    sender._send(attempt)

    assert harness.state(booking.id) is PENDING


@pytest.mark.parametrize("first_has_time", [False, True])
def test_a_sender_changes_a_lead_without_a_time(
    harness: Harness, upstream: SandboxClient, first_has_time: bool
) -> None:
    """Check that an added time is booked, but that a removed time does not cancel the tour."""
    versions = [lead(1), tour(1)]
    if first_has_time:
        versions.reverse()
    (first,) = harness.mapped("portal", versions[0])
    harness.clock.advance(60)
    changed = harness.receive("portal", versions[1])
    assert changed.changed_id is not None
    harness.map_event(changed.changed_id)
    (second,) = harness.story(changed.changed_id).bookings
    settle(harness)

    assert len(upstream.posts()) == 1
    assert upstream.cards() == []
    booked = first if first_has_time else second
    assert harness.state(booked.id) is BOOKED


def test_a_card_never_replaces_a_held_tour(harness: Harness, upstream: SandboxClient) -> None:
    (held,) = harness.mapped("portal", tour(1, at="2026-03-14T09:30:00Z"))
    assert held.state is HELD
    changed = harness.receive("portal", lead(1))
    assert changed.changed_id is not None
    harness.map_event(changed.changed_id)
    settle(harness)

    assert harness.state(held.id) is HELD, "its time is still for a person to judge"
    assert len(upstream.cards()) == 1


# --- the send queue


def test_tours_go_first_then_guest_cards_by_turns(
    harness: Harness, upstream: SandboxClient
) -> None:
    for number in range(3):
        harness.mapped("portal", lead(number, message=f"portal {number}"))
    harness.mapped("form", lead(10, message="form"))
    harness.mapped("portal", tour(20, at="2026-11-14T20:30:00Z", message="far tour"))
    harness.send()

    said = [body["notes"].partition("\n")[0] for body in upstream.creates()]
    assert said == ["far tour", "form", "portal 0", "portal 1", "portal 2"]


@pytest.mark.parametrize(
    "fault", [{"status": 429}, {"status": 503, "headers": {"Retry-After": "3"}}]
)
def test_a_retryable_error_is_retried(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any]
) -> None:
    upstream.fault(fault)
    (booking,) = harness.mapped("portal", lead(1))
    harness.send()
    assert harness.state(booking.id) is PENDING
    harness.clock.advance(90)
    settle(harness)

    assert harness.state(booking.id) is BOOKED
    assert len(upstream.prospects()) == 1


def test_a_guest_card_is_retried_for_some_days_and_then_expires(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("portal", lead(1))
    harness.clock.advance(71 * 3600)
    harness.pipeline.recover()
    assert harness.state(booking.id) is PENDING
    harness.clock.advance(3600)
    harness.pipeline.recover()
    expired = harness.booking(booking.id)
    assert (expired.state, expired.reason) == (EXPIRED, "waited_too_long")
    assert "has no tour time" in advice_for(Issue.of(expired)).wrong

    harness.repairs.release(booking.id, {}, by="ana")
    harness.pipeline.recover()
    settle(harness)
    assert harness.state(booking.id) is BOOKED, "a release is a new beginning"


def test_a_rejected_optional_field_goes_into_the_notes(
    harness: Harness, upstream: SandboxClient
) -> None:
    issue = {"code": "custom", "path": ["last_name"], "message": "too long"}
    body = {"error": {"code": "invalid_request", "message": "x", "details": {"issues": [issue]}}}
    upstream.fault({"status": 400, "body": body})
    (booking,) = harness.mapped("portal", lead(1))
    settle(harness)

    assert harness.state(booking.id) is BOOKED
    _, light = upstream.cards()
    assert "last_name" not in light
    assert "Last name: Okafor" in light["notes"]


# --- no blind re-post


@pytest.mark.parametrize(
    "fault", [{"drop": "after"}, {"drop": "during"}, {"status": 502, "book": True}], ids=str
)
def test_a_lost_response_is_found_and_never_sent_again(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any]
) -> None:
    upstream.fault(fault)
    (booking,) = harness.mapped("portal", lead(1))
    harness.send()
    assert harness.state(booking.id) is UNKNOWN
    harness.send()
    reconcile_when_due(harness, booking.id)
    found = harness.booking(booking.id)
    assert (found.state, found.reason) == (BookingState.SUBMITTED, "found_in_write_log")
    settle(harness)

    assert harness.state(booking.id) is BOOKED
    assert len(upstream.cards()) == 1


def test_a_lost_response_is_found_by_the_person(harness: Harness, upstream: SandboxClient) -> None:
    """Search while the job is missing from the write log because it has not ended."""
    upstream.fault({"drop": "after", "job": "PENDING"})
    (booking,) = harness.mapped("portal", lead(1))
    harness.send()
    reconcile_when_due(harness, booking.id)

    found = harness.booking(booking.id)
    assert (found.state, found.reason) == (BOOKED, "seen_in_knock")


def test_a_tours_job_is_not_mistaken_for_a_cards(harness: Harness, upstream: SandboxClient) -> None:
    """Let another program post a tour for the same person."""
    upstream.fault({"drop": "before"})
    (booking,) = harness.mapped("portal", lead(1))
    harness.send()
    (attempt,) = harness.story(booking.id).attempts[booking.id]
    request = {name: value for name, value in attempt.request.items() if name != "subscribe"}
    upstream.book(request | {"appointment_date": "2026-03-14", "appointment_time": "20:30:00"})
    reconcile_when_due(harness, booking.id)

    assert harness.booking(booking.id).reason == "seen_in_knock", "not found_in_write_log"


def test_a_card_that_is_not_found_needs_review(harness: Harness, upstream: SandboxClient) -> None:
    upstream.fault({"drop": "before"})
    (booking,) = harness.mapped("portal", lead(1))
    harness.send()
    upstream.book(upstream.cards()[0] | {"email_1": "kim@example.com"}, Kind.PROSPECT)
    while harness.booking(booking.id).due_at is not None:
        reconcile_when_due(harness, booking.id)

    left = harness.booking(booking.id)
    assert (left.state, left.reason) == (UNKNOWN, "not_found")
    assert len(upstream.cards()) == 2, "and one of another program"


def test_the_database_forbids_a_second_post(harness: Harness, upstream: SandboxClient) -> None:
    (booking,) = harness.mapped("portal", lead(1))
    harness.send()
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE bookings SET state = 'pending'")
    with (
        pytest.raises(psycopg.errors.UniqueViolation, match="never_two"),
        harness.pipeline.store.transaction() as tx,
    ):
        tx.attempts.begin(booking.id, {}, now=harness.clock(), lease_until=harness.clock())


def test_the_database_keeps_times_and_guest_cards_apart(harness: Harness) -> None:
    (card,) = harness.mapped("portal", lead(1))
    (booking,) = harness.mapped("portal", tour(2))
    for row, change in (
        (card.id, "starts_at = now()"),
        (card.id, "kind = 'appointment'"),
        (booking.id, "starts_at = NULL"),
        (booking.id, "kind = 'guess'"),
    ):
        with (
            pytest.raises(psycopg.errors.CheckViolation),
            harness.pipeline.store.transaction() as tx,
        ):
            tx.connection.execute(f"UPDATE bookings SET {change} WHERE id = {row}".encode())


def test_simultaneous_senders_make_one_card(harness: Harness, upstream: SandboxClient) -> None:
    events = [
        harness.receive("portal", lead(number, email="dana@example.com")).event_id
        for number in range(8)
    ]
    threads = [threading.Thread(target=harness.map_event, args=[one]) for one in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with harness.pipeline.store.transaction() as tx:
        states = sorted(booking.state for booking in tx.search.bookings())

    assert states == sorted([PENDING, *[DUPLICATE] * 7])


# --- people


def test_a_held_lead_gets_a_time_and_is_booked(harness: Harness, upstream: SandboxClient) -> None:
    """Use ``without_time: hold``, so that an agent picks the time."""
    (held,) = harness.mapped("holding", lead(1))
    assert (held.kind, held.state) == (Kind.APPOINTMENT, HELD)
    harness.repairs.release(held.id, {"starts_at": "2026-03-14T14:30"}, by="ana")
    settle(harness)

    assert harness.state(held.id) is BOOKED
    (posted,) = upstream.posts()
    assert posted["appointment_time"] == "20:30:00"


def test_a_held_card_is_released_as_one(harness: Harness, upstream: SandboxClient) -> None:
    (held,) = harness.mapped("portal", lead(1, community="Elm Row"))
    with pytest.raises(NotPossible, match="community: is missing"):
        harness.repairs.release(held.id, {}, by="ana")
    harness.repairs.release(held.id, {"community": "maple-court"}, by="ana")
    settle(harness)

    assert harness.state(held.id) is BOOKED
    assert len(upstream.cards()) == 1
    assert upstream.posts() == []


def test_a_card_that_a_user_saw_in_knock_is_confirmed(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"drop": "before"})
    (card,) = harness.mapped("portal", lead(1))
    harness.send()
    assert may_confirm(harness.booking(card.id))
    harness.repairs.confirm(card.id, by="ana")
    settle(harness)

    booked = harness.booking(card.id)
    assert (booked.state, booked.reason) == (BOOKED, "seen_in_knock")
    assert "guest card exists in Knock" in (why_not_release(booked) or "")
    assert len(upstream.cards()) == 1


def test_a_held_card_with_a_time_is_a_tour(harness: Harness, upstream: SandboxClient) -> None:
    (held,) = harness.mapped("portal", lead(1, community="Elm Row"))
    changes = {"community": "maple-court", "starts_at": "2026-03-14T14:30"}
    harness.repairs.release(held.id, changes, by="ana")
    settle(harness)

    assert (harness.booking(held.id).kind, harness.state(held.id)) == (Kind.APPOINTMENT, BOOKED)
    assert (len(upstream.posts()), len(upstream.cards())) == (1, 0)


def test_a_nameless_card_needs_a_name_for_its_tour(
    harness: Harness, upstream: SandboxClient
) -> None:
    (held,) = harness.mapped("portal", lead(1, name="", community="Elm Row"))
    changes = {"community": "maple-court", "starts_at": "2026-03-14T14:30"}
    with pytest.raises(NotPossible, match="last_name: "):
        harness.repairs.release(held.id, changes, by="ana")
    harness.repairs.release(held.id, changes | {"last_name": "Okafor"}, by="ana")
    settle(harness)

    assert len(upstream.posts()) == 1


@pytest.mark.parametrize("is_booked", [False, True])
def test_a_sent_or_pending_card_gets_a_tour_in_addition(
    harness: Harness, upstream: SandboxClient, is_booked: bool
) -> None:
    (card,) = harness.mapped("portal", lead(1))
    if is_booked:
        settle(harness)
    harness.clock.advance(60)
    beside = harness.repairs.release(card.id, {"starts_at": "2026-03-14T14:30"}, by="ana")
    settle(harness)

    assert beside.id != card.id
    assert harness.state(beside.id) is BOOKED
    assert harness.state(card.id) is (BOOKED if is_booked else SUPERSEDED)
    assert len(upstream.posts()) == 1
    story = harness.story(card.id)
    assert [one.kind for one in story.bookings] == [Kind.PROSPECT, Kind.APPOINTMENT]
    first = next(one for one in story.history if one.booking_id == beside.id)
    assert (first.why, first.by) == ("time_given", "ana")
    refusal = "already requested this tour" if is_booked else "is superseded because of booking"
    with pytest.raises(NotPossible, match=refusal):
        harness.repairs.release(card.id, {"starts_at": "2026-03-14T14:30"}, by="ana")


def test_a_sent_card_is_not_released_without_a_time(harness: Harness) -> None:
    (card,) = harness.mapped("portal", lead(1))
    settle(harness)
    with pytest.raises(NotPossible, match="nothing to release"):
        harness.repairs.release(card.id, {"last_name": "Roe"}, by="ana")


def test_a_release_creates_no_second_card(harness: Harness) -> None:
    (first,) = harness.mapped("portal", lead(1, email="dana@example.com"))
    (held,) = harness.mapped("form", lead(2, email="dana@example.com", community="Elm Row"))
    with pytest.raises(NotPossible, match=f"already has a guest card: booking {first.id}"):
        harness.repairs.release(held.id, {"community": "maple-court"}, by="ana")


def test_held_leads_become_cards_after_the_mapping_changes(
    harness: Harness, upstream: SandboxClient, tmp_path: Path
) -> None:
    (held,) = harness.mapped("holding", lead(1))
    learn(harness, tmp_path, holding=SECTIONS)
    replays = harness.replays
    difference = replays.replay(held.event_id, by="ana", dry_run=True)
    assert difference.outcome == "prospect"
    assert difference.fields["0.outcome"] == ("held", "prospect")
    replays.replay(held.event_id, by="ana", dry_run=False)
    settle(harness)

    assert len(upstream.cards()) == 1
    again = replays.replay(held.event_id, by="ana", dry_run=False)
    assert again.refusal is not None
    assert "is booked" in again.refusal


def test_users_see_that_it_is_a_guest_card(harness: Harness) -> None:
    (card,) = harness.mapped("portal", lead(1))
    settle(harness)
    booked = harness.booking(card.id)
    row = formatting.bookings_table([booked]).splitlines()[1]
    assert "no time (guest card)" in row
    data = json.loads(serializers.to_json(booked))
    assert (data["kind"], data["state"], data["starts_at"]) == ("prospect", "booked", None)
    text = formatting.story_text(harness.story(card.id), (), {}, None)
    assert f"booking {card.id}: booked (job_succeeded)\n" in text
    assert "  Dana Okafor at maple-court, no time (guest card)\n" in text


def test_a_waiting_sender_is_not_told_of_a_tour(harness: Harness) -> None:
    (card,) = harness.mapped("portal", lead(1))
    assert webhook_outcome.webhook_outcome_from(1, EventState.MAPPED, [card]).outcome == "accepted"
    settle(harness)
    found = webhook_outcome.webhook_outcome_from(1, EventState.MAPPED, [harness.booking(card.id)])

    assert found.outcome == respond.sentence_name(found) == "prospect"
    values = respond.values_from(found)
    assert (values["booking.kind"], values["booking.starts_at"]) == ("prospect", "")
    assert values["booking.reason"] == ""
    expired = dataclasses.replace(harness.booking(card.id), state=EXPIRED)
    late = webhook_outcome.webhook_outcome_from(1, EventState.MAPPED, [expired])
    assert respond.sentence_name(late) == "failed", "no time of it is too soon"


def test_a_forced_card_does_not_change_a_pending_tour(
    harness: Harness, upstream: SandboxClient
) -> None:
    (card,) = harness.mapped("portal", lead(1, email="dana@example.com"))
    settle(harness)
    (booking,) = harness.mapped("form", tour(2, email="dana@example.com"))
    replays = harness.replays
    replays.replay(card.event_id, by="ana", dry_run=False, forced_because="lost in Knock")
    settle(harness)
    settle(harness)

    assert harness.state(booking.id) is BOOKED
    assert len(upstream.cards()) == 2


def test_a_canceled_lead_is_reported_as_such(harness: Harness, tmp_path: Path) -> None:
    off = SECTIONS | {"cancellation": {"kind": "off"}}
    off["tests"] = [*SECTIONS["tests"], {"payload": SAMPLE | {"kind": "off"}, "cancellation": True}]
    learn(harness, tmp_path, portal=off)
    (card,) = harness.mapped("portal", lead(1))
    settle(harness)
    (call_off,) = harness.mapped("portal", lead(1, kind="off"))

    assert (call_off.state, call_off.kind) == (HELD, Kind.APPOINTMENT)
    assert (
        "if it is a guest card, note there that the renter canceled" in call_off.reasons[-1].reason
    )
    assert str(card.id) in call_off.reasons[-1].reason


@pytest.mark.parametrize("card_first", [True, False])
def test_a_tour_canceled_before_it_was_sent_loses_no_lead(
    harness: Harness, upstream: SandboxClient, tmp_path: Path, card_first: bool
) -> None:
    off = SECTIONS | {"cancellation": {"kind": "off"}}
    off["tests"] = [*SECTIONS["tests"], {"payload": SAMPLE | {"kind": "off"}, "cancellation": True}]
    learn(harness, tmp_path, portal=off)
    if card_first:
        (card,) = harness.mapped("form", lead(2, email="dana@example.com"))
    harness.mapped("portal", tour(1, email="dana@example.com"))
    if not card_first:
        (card,) = harness.mapped("form", lead(2, email="dana@example.com"))
    (call_off,) = harness.mapped("portal", tour(1, email="dana@example.com", kind="off"))

    assert call_off.reason == "cancellation_done"
    held = harness.booking(card.id)
    assert (held.state, held.reason) == (HELD, "original_canceled")
    harness.repairs.release(card.id, {}, by="ana")
    settle(harness)
    assert (len(upstream.posts()), len(upstream.cards())) == (0, 1)


def test_ages_count_from_the_arrival_not_from_the_senders_clock(harness: Harness) -> None:
    (booking,) = harness.mapped("portal", lead(1))
    assert booking.asked_at == booking.created_at == START


def test_a_card_is_decided_again_if_the_one_it_was_merged_with_is_erased_by_age(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"status": 400}, {"status": 400})
    (first,) = harness.mapped("portal", lead(1))
    harness.clock.advance(20 * 86400)
    (second,) = harness.mapped("form", lead(1))
    harness.send()
    assert (harness.state(first.id), harness.state(second.id)) == (BookingState.FAILED, DUPLICATE)
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)
    assert eraser.older_than(10, by="ana", progress=lambda done: None) == 1

    again = harness.booking(second.id)
    assert (again.state, again.reason) == (HELD, "original_dismissed")


def test_after_a_restore_guest_cards_are_found_and_recognized(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Send two cards after the backup: one that was pending then, and one that arrived later."""
    (known,) = harness.mapped("portal", lead(1))
    settle(harness)
    (pending,) = harness.mapped("portal", lead(2))
    fields = harness.booking(pending.id).appointment
    for email in ("person2@example.com", "person3@example.com"):
        body = request_from({**fields, "email_1": email}, {}, Kind.PROSPECT)
        upstream.book(body, Kind.PROSPECT)
    pipeline = harness.pipeline
    restore = Restore(
        harness.settings,
        pipeline.store,
        pipeline.sources,
        pipeline.propexo,
        harness.clock,
        harness.clock.advance,
    )
    restore.stop()
    restore.apply(restore.survey(harness.clock()), by="ana")
    (again,) = harness.mapped("portal", lead(3))
    assert [harness.state(one.id) for one in (known, pending)] == [BOOKED, BOOKED]
    assert (again.state, again.reason) == (DUPLICATE, "same_person_asked_before")
    settle(harness)
    assert len(upstream.cards()) == 3
