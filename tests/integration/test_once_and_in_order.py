"""Test that bookings are sent once, in order, by urgency and within the rate limit."""

import concurrent.futures
import dataclasses
import datetime as dt
import json
from typing import Any

import pytest
import requests

from adapter.bookings.sender import LEASE_MARGIN_SECONDS
from adapter.exceptions import NotPossible
from adapter.mapping.respond import sentence_name
from adapter.models import Attempt, Booking, BookingState, WebhookRequest
from adapter.operations.release import Repairs
from adapter.pipeline import Pipeline
from adapter.propexo.client import Propexo
from adapter.settings import Settings
from adapter.store import Database, Filter, Task
from adapter.store.bookings import MOST_RELATED
from adapter.store.queries import STATEMENTS
from adapter.store.rate_limit import WINDOW
from adapter.webhooks import outcome
from adapter.webhooks.endpoints import build_endpoint
from tests.harness import START, TIMEOUT_SECONDS, Harness, sample, settle
from tests.leads import lead, reconcile_when_due, same_person, surname
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.wait import wait_until

PENDING, BOOKED = BookingState.PENDING, BookingState.BOOKED


def test_the_same_tour_through_two_sources_is_booked_once(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    form = sample("website-response.json")
    answers = {answer["field"]["ref"]: answer for answer in form["form_response"]["answers"]}
    answers["email"]["email"] = "Dana@Example.com"
    answers["last_name"]["text"] = "Roe"
    (second,) = harness.mapped("website", form)
    settle(harness)

    assert harness.state(first.id) is BOOKED
    assert (second.state, second.reason) == (BookingState.DUPLICATE, "same_person_and_time")
    assert str(first.id) in second.reasons[-1].reason
    assert len(upstream.posts()) == 1


def test_a_newer_request_replaces_a_pending_one(harness: Harness, upstream: SandboxClient) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    settle(harness)

    replaced = harness.booking(first.id)
    assert (replaced.state, replaced.reason) == (BookingState.SUPERSEDED, "newer_request")
    assert harness.state(second.id) is BOOKED
    assert [post["appointment_time"] for post in upstream.posts()] == ["22:00:00"]


@pytest.mark.parametrize("is_booked", [False, True])
def test_an_open_source_takes_the_place_of_a_proved_one_only_by_a_person(
    harness: Harness, upstream: SandboxClient, is_booked: bool
) -> None:
    form = sample("website-response.json")
    answers = {answer["field"]["ref"]: answer for answer in form["form_response"]["answers"]}
    answers["email"]["email"] = "dana@example.com"
    answers["last_name"]["text"] = "Roe"
    (proved,) = harness.mapped("website", form)
    if is_booked:
        settle(harness)
    harness.clock.advance(60)
    number = harness.receive("rentfeed", same_person(2, time="4:00 PM")).event_id
    sources = harness.pipeline.sources
    unsigned = dataclasses.replace(sources["rentfeed"], signature={"scheme": "none"})
    harness.pipeline.sources = {**sources, "rentfeed": unsigned}
    harness.map_event(number)
    (unproved,) = harness.story(number).bookings
    assert (unproved.state, unproved.reason) == (BookingState.HELD, "not_proved")
    assert str(proved.id) in unproved.reasons[-1].reason
    settle(harness)
    assert harness.state(proved.id) is BookingState.BOOKED
    assert len(upstream.posts()) == 1
    harness.repairs.release(unproved.id, {}, by="ana")
    settle(harness)
    assert harness.state(unproved.id) is BookingState.BOOKED


def test_a_strangers_request_under_the_key_of_a_real_one_costs_no_lead(harness: Harness) -> None:
    """Let a stranger guess a key of an unsigned source, and send a request before the renter."""
    sources = harness.pipeline.sources
    unsigned = dataclasses.replace(sources["rentfeed"], signature={"scheme": "none"}, secrets=())
    harness.pipeline.sources = {**sources, "rentfeed": unsigned}
    stranger = lead(1, email="stranger@example.com", name="Sam Stranger") | {"leadId": "RF-7"}
    real = lead(2) | {"leadId": "RF-7"}

    def received(payload: Any) -> int:
        endpoint = build_endpoint(unsigned, harness.settings)
        body = json.dumps(payload).encode()
        request = WebhookRequest("POST", "http://x/", {"Content-Type": "application/json"}, body)
        receiver = harness.pipeline.receiver
        receipt = receiver.store(receiver.verify(endpoint, request))
        number = receipt.changed_id or receipt.event_id
        harness.map_event(number)
        return number

    received(stranger)
    harness.clock.advance(60)
    (booking,) = harness.story(received(real)).bookings
    assert booking.state in (BookingState.PENDING, BookingState.HELD), "it is not a duplicate"


def test_a_reschedule_is_sent_after_the_first_request_settles(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"job": "PENDING", "job_seconds": 600})
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.send()
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    harness.send()
    assert harness.state(second.id) is PENDING, "the first job is not finished"

    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(first.id, BookingState.BOOKED, why="job_succeeded", now=harness.clock())
    harness.send()
    assert harness.state(second.id) is BookingState.SUBMITTED
    standing = [one for one in upstream.appointments() if one["status"] == "booked"]
    assert [one["starts_at"] for one in standing] == ["2026-03-14T22:00:00Z"]


def told(harness: Harness, event_id: int) -> str:
    """Return the name of the message that a sender currently gets."""
    found = outcome.load_outcome(harness.pipeline.store, event_id)
    return sentence_name(outcome.mark_replaced(harness.pipeline.store, found))


def test_a_repeat_is_not_told_of_a_tour_that_knock_canceled(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1, day=15))
    settle(harness)
    harness.clock.advance(60)
    upstream.fault({"job": "PENDING", "job_seconds": 600})
    (second,) = harness.mapped("rentfeed", same_person(2, day=14))
    harness.send()
    assert harness.state(second.id) is BookingState.SUBMITTED
    assert told(harness, first.event_id) == "booked", "the second may fail yet"

    harness.clock.advance(5)
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(second.id, BOOKED, why="job_succeeded", now=harness.clock())
    assert (harness.state(first.id), harness.state(second.id)) == (BOOKED, BOOKED)
    assert told(harness, first.event_id) == "superseded"
    assert told(harness, second.event_id) == "booked"
    assert second.starts_at is not None
    harness.clock.at = second.starts_at + dt.timedelta(hours=2)
    assert told(harness, first.event_id) == "superseded", "also when the second one is over"


def test_a_past_tour_is_not_canceled_by_the_next_one(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1, day=14))
    settle(harness)
    assert first.starts_at is not None
    harness.clock.at = first.starts_at + dt.timedelta(hours=2)
    (second,) = harness.mapped("rentfeed", same_person(2, day=20))
    settle(harness)
    assert harness.state(second.id) is BOOKED
    assert told(harness, first.event_id) == "booked"


def test_an_older_request_that_is_mapped_late_is_never_sent(
    harness: Harness, upstream: SandboxClient
) -> None:
    older = harness.receive("rentfeed", same_person(1))
    harness.clock.advance(60)
    (newer,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    harness.map_event(older.event_id)
    settle(harness)

    (late,) = harness.story(older.event_id).bookings
    assert (late.state, late.reason) == (BookingState.SUPERSEDED, "newer_request_came_first")
    assert harness.state(newer.id) is BOOKED
    assert len(upstream.posts()) == 1


@pytest.mark.parametrize(
    "fault", [{"status": 503, "headers": {"Retry-After": "3"}}, {"status": 401}], ids=str
)
def test_a_postponed_older_request_is_replaced_by_a_newer_one(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any]
) -> None:
    (older,) = harness.mapped("rentfeed", same_person(1))
    sender = harness.pipeline.sender
    attempt = sender._next()[0]
    assert isinstance(attempt, Attempt)
    harness.clock.advance(1)
    (newer,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    upstream.fault(fault)
    sender._send(attempt)

    assert harness.state(older.id) is BookingState.SUPERSEDED
    harness.clock.advance(60)
    harness.pipeline.recover()
    harness.send()
    assert harness.state(newer.id) is BookingState.SUBMITTED
    assert [post["appointment_time"] for post in upstream.posts()] == ["20:30:00", "22:00:00"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_booking_is_due_once_the_outcome_it_waited_for_is_known(
    harness: Harness, upstream: SandboxClient, status: int
) -> None:
    harness.mapped("rentfeed", same_person(1))
    attempt = harness.pipeline.sender._next()[0]
    assert isinstance(attempt, Attempt)
    harness.clock.advance(1)
    harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    assert harness.pipeline.due()[Task.SEND] == 0, "the older one is in flight"
    upstream.fault({"status": status})
    harness.pipeline.sender._send(attempt)

    assert harness.pipeline.due()[Task.SEND] == 1


def test_an_attempt_is_abandoned_only_after_its_lease(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    assert isinstance(harness.pipeline.sender._next()[0], Attempt)
    states = []
    for _ in range(2):
        harness.clock.advance(TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS - 1)
        harness.pipeline.recover()
        states.append(harness.state(booking.id))

    assert states == [BookingState.SENDING, BookingState.UNKNOWN]


def test_the_senders_own_time_decides_who_is_newer(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Retry an old webhook after the sender has delivered a newer one."""
    newer, older = same_person(2, time="4:00 PM"), same_person(1)
    newer["createdAt"], older["createdAt"] = "2026-03-02T10:50:00-07:00", "2026-03-02T17:40:00Z"
    (first,) = harness.mapped("rentfeed", newer)
    harness.clock.advance(60)
    (late,) = harness.mapped("rentfeed", older)

    assert (late.state, late.reason) == (BookingState.SUPERSEDED, "newer_request_came_first")
    assert harness.state(first.id) is PENDING


def test_a_fraction_of_a_second_decides_who_is_newer(
    harness: Harness, upstream: SandboxClient
) -> None:
    newer, older = same_person(2, time="4:00 PM"), same_person(1)
    newer["createdAt"], older["createdAt"] = "2026-03-02T17:40:05.900Z", "2026-03-02T17:40:05.1Z"
    (first,) = harness.mapped("rentfeed", newer)
    (late,) = harness.mapped("rentfeed", older)

    assert (late.state, late.reason) == (BookingState.SUPERSEDED, "newer_request_came_first")
    assert harness.state(first.id) is PENDING


@pytest.mark.parametrize(
    "said", ["2031-01-01T00:00:00Z", "yesterday", "", None, 7, [], "2026-03-02"]
)
def test_an_implausible_sender_time_is_replaced_by_the_arrival(harness: Harness, said: Any) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1) | {"createdAt": said})

    assert booking.asked_at == START


def test_one_person_at_two_communities_is_two_tours(
    harness: Harness, upstream: SandboxClient
) -> None:
    there = same_person(2)
    there["listing"] |= {"propertyId": "20555", "propertyName": "Harbor Flats"}
    harness.mapped("rentfeed", same_person(1))
    harness.mapped("rentfeed", there)
    settle(harness)

    assert len([one for one in upstream.appointments() if one["status"] == "booked"]) == 2


def test_two_tours_at_one_community_in_one_webhook_need_review(harness: Harness) -> None:
    handoff = sample("leasebot-handoff.json")
    handoff["handoff"]["tours"][1] |= {"property": "Maple Court", "startsAt": "2026-03-15T10:00:00"}
    first, second = harness.mapped("leasebot", handoff)

    assert first.state is PENDING
    assert (second.state, second.reason) == (BookingState.HELD, "two_tours_at_once")


def test_shared_contacts_do_not_identify_a_person(
    opened: Database, upstream: SandboxClient
) -> None:
    from adapter.settings import Policy

    harness = Harness(opened, upstream, Policy(shared_contacts=frozenset({"office@example.com"})))
    for number in (1, 2):
        (booking,) = harness.mapped("rentfeed", lead(number, email="office@example.com"))
        assert booking.state is PENDING
        assert booking.person_keys == frozenset()


def give_to_many(harness: Harness, booking: Booking, key: int) -> None:
    """Store as many more requests with a key as the limit allows, each from a different person."""
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            """INSERT INTO bookings (event_id, item, source, state, appointment, match_keys,
                asked_at, created_at, updated_at)
            SELECT event_id, n, source, 'discarded', appointment, ARRAY[%s, n], asked_at,
                created_at, updated_at
            FROM bookings, generate_series(1, %s) AS n WHERE id = %s""",
            [key, MOST_RELATED - 1, booking.id],
        )


def test_a_contact_of_hundreds_is_left_to_a_person(
    harness: Harness, upstream: SandboxClient
) -> None:
    office: Any = {"phone": "303-555-0142"}
    (first,) = harness.mapped("rentfeed", lead(1, **office))
    give_to_many(harness, first, first.match_keys[1])
    (second,) = harness.mapped("rentfeed", lead(2, **office))
    assert (second.state, second.reason) == (BookingState.HELD, "contact_of_many")
    assert "hundreds of requests" in second.reasons[-1].reason
    # The renter's own email is still known, and so is the person with the other phone.
    (again,) = harness.mapped("rentfeed", lead(3, email="person1@example.com", name="D. Roeab"))
    assert (again.state, again.because_of) == (BookingState.DUPLICATE, first.id)
    harness.repairs.release(second.id, {}, by="ana")
    for _ in range(2):  # one after the other, because Knock takes both for one person
        settle(harness)
    assert harness.state(second.id) is BOOKED


def test_what_was_merged_before_a_contact_had_hundreds_is_decided_again(harness: Harness) -> None:
    office: Any = {"phone": "303-555-0142", "name": "Dana Roe"}
    (first,) = harness.mapped("rentfeed", lead(1, **office))
    (merged,) = harness.mapped("rentfeed", lead(2, **office))
    assert (merged.state, merged.because_of) == (BookingState.DUPLICATE, first.id)
    give_to_many(harness, first, *first.person_keys & merged.person_keys)
    harness.repairs.discard(first.id, "not ours", by="ana")

    again = harness.booking(merged.id)
    assert (again.state, again.reason) == (BookingState.HELD, "original_dismissed")


def test_a_key_of_hundreds_tells_no_leads_apart(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    assert first.item_key is not None
    give_to_many(harness, first, first.item_key)
    changed = changed_to(harness, lead(1, email="other@example.com", name="Ben Example"))
    assert changed.state is PENDING
    assert "cannot identify a lead" in changed.reasons[-1].reason


def test_simultaneous_senders_of_one_tour_make_one_booking(harness: Harness) -> None:
    events = [harness.receive("rentfeed", same_person(number)).event_id for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(harness.map_event, events))

    with harness.pipeline.store.transaction() as tx:
        states = sorted(booking.state for booking in tx.search.bookings())
    assert states == sorted([PENDING, *[BookingState.DUPLICATE] * 7])


def test_simultaneous_handoffs_in_any_order_do_not_block_each_other(harness: Harness) -> None:
    events = []
    for number in range(20):
        handoff = sample("leasebot-handoff.json")
        handoff["visitor"]["firstName"] = surname(number)
        if number % 2:
            handoff["handoff"]["tours"].reverse()
        events.append(harness.receive("leasebot", handoff).event_id)
    with harness.pipeline.store.transaction() as tx:
        events = [event.id for event in tx.search.events()]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(harness.map_event, events))

    with harness.pipeline.store.transaction() as tx:
        assert {event.state for event in tx.search.events()} == {"mapped"}


def test_a_changed_lead_with_the_same_key_is_stored_and_rescheduled(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    changed = harness.receive("rentfeed", lead(1, time="4:00 PM"))
    assert changed.is_duplicate
    with harness.pipeline.store.transaction() as tx:
        newest = tx.search.events(limit=1)[0]
    harness.map_event(newest.id)
    settle(harness)

    (second,) = harness.story(newest.id).bookings
    assert (harness.state(first.id), second.state) == (BOOKED, BOOKED)
    standing = [one for one in upstream.appointments() if one["status"] == "booked"]
    assert [one["starts_at"] for one in standing] == ["2026-03-14T22:00:00Z"]


def test_the_same_lead_with_other_bytes_is_a_duplicate(
    harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1))
    assert harness.receive("rentfeed", lead(1) | {"createdAt": "2026-03-02T12:00:00Z"}).is_duplicate
    with harness.pipeline.store.transaction() as tx:
        newest = tx.search.events(limit=1)[0]
    harness.map_event(newest.id)
    settle(harness)

    (again,) = harness.story(newest.id).bookings
    assert (again.state, again.reason) == (BookingState.DUPLICATE, "item_seen_before")
    assert len(upstream.posts()) == 1


def test_a_corrected_lead_replaces_the_held_one(harness: Harness) -> None:
    (held,) = harness.mapped("rentfeed", lead(1, time=""))
    assert held.state is BookingState.HELD
    harness.receive("rentfeed", lead(1))
    with harness.pipeline.store.transaction() as tx:
        newest = tx.search.events(limit=1)[0]
    harness.map_event(newest.id)

    (corrected,) = harness.story(newest.id).bookings
    assert corrected.state is PENDING
    assert harness.state(held.id) is BookingState.SUPERSEDED


def test_another_contact_with_a_booked_key_needs_review(
    harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1))
    settle(harness)
    harness.receive("rentfeed", lead(1, email="somebody.else@example.com"))
    with harness.pipeline.store.transaction() as tx:
        newest = tx.search.events(limit=1)[0]
    harness.map_event(newest.id)
    settle(harness)

    (changed,) = harness.story(newest.id).bookings
    assert (changed.state, changed.reason) == (BookingState.HELD, "changed_after_first")
    assert len(upstream.posts()) == 1


def changed_to(harness: Harness, payload: Any) -> Booking:
    """Return the booking of a lead that was sent again with changes and the same key."""
    receipt = harness.receive("rentfeed", payload)
    assert receipt.is_duplicate
    assert receipt.changed_id is not None
    harness.map_event(receipt.changed_id)
    (booking,) = harness.story(receipt.changed_id).bookings
    return booking


def test_each_change_with_the_same_key_is_a_separate_event(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    second, third = (changed_to(harness, lead(1, time=time)) for time in ("4:00 PM", "5:00 PM"))

    assert second.event_id != third.event_id
    assert (harness.state(second.id), third.state) == (BookingState.SUPERSEDED, PENDING)


def test_a_lead_that_changes_its_contact_twice_is_held_once(
    harness: Harness, upstream: SandboxClient
) -> None:
    """Send three requests from one person that have only the key in common."""
    harness.mapped("rentfeed", lead(1))
    for number in (2, 3):
        newest = changed_to(harness, lead(1, email=f"person{number}@example.com"))
    settle(harness)

    (posted,) = upstream.posts()
    assert posted["email_1"] == "person3@example.com"
    assert harness.state(newest.id) is BOOKED


def test_one_key_for_two_tours_of_one_webhook_loses_neither(harness: Harness) -> None:
    handoff = sample("leasebot-handoff.json")
    first_tour, second_tour = handoff["handoff"]["tours"]
    second_tour["id"] = first_tour["id"]
    first, second = harness.mapped("leasebot", handoff)

    assert first.community != second.community
    assert (first.state, second.state) == (PENDING, PENDING)


def test_an_unsigned_query_makes_no_new_event(harness: Harness) -> None:
    source = harness.pipeline.sources["rentfeed"]
    from adapter import signatures
    from tests.harness import SECRETS

    ids = set()
    for query in ("", "?n=1", "?n=2"):
        request = WebhookRequest(
            method="POST",
            url="https://a.example.com/hooks/rentfeed" + query,
            headers={"Content-Type": "application/json"},
            body=b'{"no": "key"}',
        )
        signed = signatures.sign(
            source.signature, SECRETS["RENTFEED_SECRET"], request, harness.clock().timestamp()
        )
        verified = harness.pipeline.receiver.verify(
            build_endpoint(source, harness.settings), signed
        )
        ids.add(harness.pipeline.receiver.store(verified).event_id)
    assert len(ids) == 1


# --- urgency and turns


def order_of_posts(upstream: SandboxClient) -> list[str]:
    return [post["last_name"] for post in upstream.posts()]


def test_soon_tours_go_first_then_the_sources_take_turns(
    harness: Harness, upstream: SandboxClient
) -> None:
    for number in range(1, 5):
        harness.mapped("rentfeed", lead(number, day=20))
    form = sample("website-response.json")
    harness.mapped("website", form)
    for number, time in ((8, "10:30 AM"), (9, "10:00 AM")):
        harness.mapped("rentfeed", lead(number, day=3, time=time))
    harness.send()

    soon = [surname(9), surname(8)]  # one after another, although it is the form's turn in between
    in_turn = ["Okafor-Lindqvist", *map(surname, (1, 2, 3, 4))]
    assert order_of_posts(upstream) == soon + in_turn


def test_weights_give_a_source_more_turns(opened: Database, upstream: SandboxClient) -> None:
    harness = Harness(opened, upstream)
    harness.pipeline.sender.settings = Settings(source_weights={"rentfeed": 2})
    for number in range(1, 6):
        harness.mapped("rentfeed", lead(number, day=20))
    for number in range(2):
        form = sample("website-response.json")
        answers = {answer["field"]["ref"]: answer for answer in form["form_response"]["answers"]}
        answers["email"]["email"] = f"form{number}@example.com"
        answers["phone"]["phone_number"] = ""
        answers["last_name"]["text"] = ("Forma", "Formb")[number]
        form["form_response"]["token"] = f"token-{number}"
        harness.mapped("website", form)
    harness.send()

    posts = order_of_posts(upstream)
    assert posts[:6].count("Forma") + posts[:6].count("Formb") == 2
    assert posts.index("Forma") < 3
    assert len(posts) == 7


# --- the rate


def test_no_minute_holds_more_calls_than_allowed(opened: Database) -> None:
    with running_sandbox(clock=lambda: START, limit_per_minute=10_000) as upstream:
        harness = Harness(opened, upstream)
        harness.pipeline.sender.settings = Settings(rate_per_minute=20)
        for number in range(45):
            harness.mapped("rentfeed", lead(number, day=20))
        while len(upstream.posts()) < 45:
            harness.send()
            harness.clock.advance(0.7)

    with harness.pipeline.store.transaction() as tx:
        rows = tx.connection.execute("SELECT started_at FROM attempts ORDER BY id").fetchall()
    calls = [row["started_at"] for row in rows]
    assert len(calls) == 45
    for at in calls:
        assert len([other for other in calls if at <= other < at + WINDOW]) <= 20
    assert calls[-1] - calls[0] <= dt.timedelta(seconds=135), "what is allowed is used"


def test_bookings_take_precedence_over_reads(harness: Harness, upstream: SandboxClient) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    harness.mapped("rentfeed", lead(2))
    with harness.pipeline.store.transaction() as tx:
        gate = tx.rate_limit
        for _ in range(30):
            gate.count_call(gate.lock(harness.clock()), harness.clock(), 120)
        tx.connection.execute("UPDATE rate_limit SET theoretical_arrival_at = 'epoch'")
    harness.clock.advance(2)
    harness.check()
    assert harness.state(first.id) is BookingState.SUBMITTED, "the read was put off"
    harness.send()
    assert len(upstream.posts()) == 2, "the booking was not"


def test_propexos_rate_limit_headers_are_obeyed(opened: Database) -> None:
    with running_sandbox(clock=lambda: START, limit_per_minute=10) as upstream:
        harness = Harness(opened, upstream)
        for number in range(9):
            harness.mapped("rentfeed", lead(number, day=20))
        for _ in range(40):
            harness.send()
            if len(upstream.posts()) == 9:
                break
            harness.clock.advance(5)
        with harness.pipeline.store.transaction() as tx:
            gate = tx.rate_limit.lock(harness.clock())

        assert gate.allowed == 10
        assert harness.clock() - START >= dt.timedelta(seconds=60), "eight of ten in a minute"


def test_a_rejected_token_suspends_sending_until_it_is_accepted(
    harness: Harness, upstream: SandboxClient
) -> None:
    for number in range(5):
        harness.mapped("rentfeed", lead(number))
    upstream.fault({"status": 401}, {"on": "list", "status": 401})
    harness.send()
    assert len(upstream.posts()) == 1
    for _ in range(3):
        harness.clock.advance(5)
        harness.send()
    assert len(upstream.posts()) == 1, "nobody else's lead is burnt"

    harness.clock.advance(60)
    harness.pipeline.recover()
    harness.send()
    assert len(upstream.posts()) == 1, "the token is still refused"
    harness.clock.advance(60)
    harness.pipeline.recover()
    harness.send()
    assert len(upstream.posts()) == 6
    with harness.pipeline.store.transaction() as tx:
        assert {booking.state for booking in tx.search.bookings()} == {BookingState.SUBMITTED}


# --- unknown bookings are found again


def lose_the_answer(harness: Harness, upstream: SandboxClient, fault: dict[str, Any]) -> int:
    upstream.fault(fault)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    assert harness.state(booking.id) is BookingState.UNKNOWN
    return booking.id


def test_a_lost_response_is_found_in_the_write_log(
    harness: Harness, upstream: SandboxClient
) -> None:
    booking_id = lose_the_answer(harness, upstream, {"drop": "after"})
    reconcile_when_due(harness, booking_id)
    found = harness.booking(booking_id)
    assert (found.state, found.reason) == (BookingState.SUBMITTED, "found_in_write_log")

    harness.clock.advance(5)
    harness.check()
    assert harness.state(booking_id) is BOOKED
    assert found.job_id == upstream.appointments()[0]["job_id"]
    assert len(upstream.posts()) == 1


def test_a_tour_is_seen_in_knock_where_no_job_is_known(
    harness: Harness, upstream: SandboxClient
) -> None:
    booking_id = lose_the_answer(harness, upstream, {"drop": "after", "job": "PENDING"})
    reconcile_when_due(harness, booking_id)

    seen = harness.booking(booking_id)
    assert (seen.state, seen.reason) == (BOOKED, "seen_in_knock")


def test_a_booking_that_is_not_found_needs_review_after_the_lag(
    harness: Harness, upstream: SandboxClient
) -> None:
    booking_id = lose_the_answer(harness, upstream, {"drop": "before"})
    upstream.book(upstream.posts()[0] | {"last_name": "Quill", "email_1": "kim@example.com"})
    looks = 0
    while harness.booking(booking_id).due_at is not None:
        reconcile_when_due(harness, booking_id)
        looks += 1

    given_up = harness.booking(booking_id)
    assert (given_up.state, given_up.reason) == (BookingState.UNKNOWN, "not_found")
    waited = harness.clock() - START
    assert dt.timedelta(hours=13) <= waited <= dt.timedelta(hours=15)
    assert looks < 40
    assert len(upstream.posts()) == 2, "and one of another program"


def carried_out_late(harness: Harness, upstream: SandboxClient, newer: Any) -> tuple[int, int]:
    """Post a newer lead. Then let Propexo process an older one whose response was lost."""
    older_id = lose_the_answer(harness, upstream, {"drop": "before"})
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", newer)
    if second.state is BookingState.HELD:
        harness.repairs.release(second.id, {}, by="ana", is_wanted_anyway=True)
    harness.send()
    upstream.fault({"job": "PENDING"})
    attempt = harness.story(older_id).attempts[older_id][-1]
    Propexo(upstream.url, "sandbox").create(attempt)
    return older_id, second.id


@pytest.mark.parametrize("name", ["Dana Roeab", "Ben Example"])
def test_what_is_said_of_a_tour_that_was_carried_out_late_is_true_of_anyones(
    harness: Harness, upstream: SandboxClient, name: str
) -> None:
    newer = lead(2, time="4:00 PM", email="person1@example.com", name=name)
    older_id, newer_id = carried_out_late(harness, upstream, newer)
    harness.clock.advance(5)
    harness.check()
    assert harness.state(newer_id) is BOOKED
    while harness.booking(older_id).due_at is not None:
        reconcile_when_due(harness, older_id)

    older = harness.booking(older_id)
    assert (older.state, older.reason) == (BookingState.UNKNOWN, "carried_out_late")
    assert older.reasons[-1].reason == (
        f"Propexo may have processed this request after booking {newer_id}, which has the same "
        "email or phone, so Knock may have this tour instead of that one"
    )


def test_a_tour_of_either_of_two_unknown_ones_is_left_to_a_person_in_time(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"drop": "before"}, {"drop": "before"})
    (first,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", lead(2, time="4:00 PM", email="person1@example.com"))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(second.id, PENDING, why="test", now=harness.clock(), due_at=START)
    harness.send()
    upstream.fault({"job": "PENDING"})
    attempt = harness.story(first.id).attempts[first.id][-1]
    Propexo(upstream.url, "sandbox").create(attempt)
    while harness.booking(first.id).due_at is not None:
        reconcile_when_due(harness, first.id)
        assert harness.clock() - START <= dt.timedelta(hours=15)

    assert harness.booking(first.id).reason == "carried_out_late"
    assert harness.state(second.id) is BookingState.UNKNOWN


def test_another_persons_job_is_not_mistaken_for_ours(
    harness: Harness, upstream: SandboxClient
) -> None:
    other = Propexo(upstream.url, "sandbox")
    booking_id = lose_the_answer(harness, upstream, {"drop": "before"})
    attempt = harness.story(booking_id).attempts[booking_id][-1]
    import dataclasses

    request = dict(attempt.request) | {"last_name": "Other", "email_1": "other@example.com"}
    other.create(dataclasses.replace(attempt, request=request))
    reconcile_when_due(harness, booking_id)

    assert harness.state(booking_id) is BookingState.UNKNOWN


# --- cancellations


CANCELLED = """
signature: {scheme: none}
accept: {type: booked}
cancellation: {type: cancelled}
dedupe: id
community: {always: maple-court}
appointment:
  last_name: name
  email_1: email
  starts_at: start
tests:
  - name: booked
    payload:
      {type: booked, id: a, name: Roe, email: roe@example.com, start: "2026-03-14T20:30:00Z"}
    expect_some: {last_name: Roe}
"""


def test_a_cancellation_stops_a_pending_tour_or_needs_review(
    opened: Database, upstream: SandboxClient, tmp_path: Any
) -> None:
    from adapter.mapping.registry import load
    from tests.paths import MAPPINGS

    communities = (MAPPINGS / "communities.yaml").read_text()
    (tmp_path / "communities.yaml").write_text(
        communities.replace(
            "rentfeed: att_rentfeed_m", "rentfeed: att_rentfeed_m, simple: att_s", 1
        )
    )
    (tmp_path / "simple.yaml").write_text(CANCELLED)
    harness = Harness(opened, upstream)
    harness.pipeline.sources = load(tmp_path, harness.settings.policy)

    def deliver(kind: str, number: str) -> Any:
        from adapter import signatures
        from adapter.webhooks.receive import verified_from

        source = harness.pipeline.sources["simple"]
        verifier = signatures.verifier(source.signature, [])
        body = (
            f'{{"type": "{kind}", "id": "{number}", "name": "Roe", '
            f'"email": "roe{number}@example.com", "start": "2026-03-14T20:30:00Z"}}'
        ).encode()
        request = WebhookRequest(
            method="POST",
            url="https://a.example.com/hooks/simple",
            headers={"Content-Type": "application/json"},
            body=body,
        )
        verified = verified_from(source, verifier, request, harness.clock())
        event_id = harness.pipeline.receiver.store(verified).event_id
        harness.map_event(event_id)
        return harness.story(event_id).bookings[0]

    waiting = deliver("booked", "1")
    stopped = deliver("cancelled", "1")
    assert harness.state(waiting.id) is BookingState.DISCARDED
    assert (stopped.state, stopped.reason) == (BookingState.DISCARDED, "cancellation_done")

    gone = deliver("booked", "2")
    settle(harness)
    asked = deliver("cancelled", "2")
    assert harness.state(gone.id) is BOOKED
    assert (asked.state, asked.reason) == (BookingState.HELD, "cancellation")
    assert str(gone.id) in asked.reasons[-1].reason

    unknown = deliver("cancelled", "3")
    assert (unknown.state, unknown.reason) == (BookingState.HELD, "cancellation")
    late = deliver("booked", "3")
    assert (late.state, late.reason) == (BookingState.HELD, "canceled_before")

    upstream.fault({"drop": "after"})
    lost = deliver("booked", "4")
    harness.send()
    deliver("cancelled", "4")
    assert harness.state(lost.id) is BookingState.UNKNOWN, "it stands in Knock: a person must"

    on_the_wire = deliver("booked", "5")
    attempt = harness.pipeline.sender._next()[0]
    assert isinstance(attempt, Attempt)
    deliver("cancelled", "5")
    upstream.fault({"status": 503})
    harness.pipeline.sender._send(attempt)
    assert harness.state(on_the_wire.id) is BookingState.DISCARDED

    with pytest.raises(NotPossible, match="is a cancellation"):
        Repairs(harness.settings, opened, harness.pipeline.sources, harness.clock).release(
            asked.id, {}, by="ana"
        )


def test_the_send_slots_of_two_workers_share_one_rate_limit(
    opened: Database, upstream: SandboxClient
) -> None:
    harness = Harness(opened, upstream)
    for number in range(20):
        harness.mapped("rentfeed", lead(number, day=20))
    pipelines = [
        Pipeline(
            harness.settings,
            opened,
            harness.pipeline.sources,
            Propexo(upstream.url, "sandbox"),
            harness.clock,
            pause=harness.clock.advance,
        )
        for _ in range(3)
    ]
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda pipeline: pipeline.sender.send_due(), pipelines))

    names = [post["last_name"] for post in upstream.posts()]
    assert sorted(names) == sorted(surname(number) for number in range(20))


@pytest.mark.parametrize("text", ["\x00", "\ud800", "x" * 5000])
def test_no_response_from_propexo_blocks_a_booking_forever(
    harness: Harness, upstream: SandboxClient, text: str
) -> None:
    upstream.fault({"job": "FAILURE", "errors": [f"bad {text}"]})
    (first,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    issue = {"code": "custom", "path": ["last_name"], "message": f"bad {text}"}
    body = {"error": {"code": "invalid_request", "message": text, "details": {"issues": [issue]}}}
    upstream.fault({"status": 400, "body": body})
    (second,) = harness.mapped("rentfeed", lead(2))
    settle(harness)

    assert harness.state(first.id) is BookingState.FAILED
    assert harness.state(second.id) is BookingState.FAILED


# --- bookings that must not block others or be sent


def test_one_booking_that_the_token_may_not_make_does_not_stop_the_others(
    harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(0, day=4))
    for number in range(1, 5):
        harness.mapped("rentfeed", lead(number))
    upstream.fault({"status": 403})
    harness.send()
    for _ in range(3):
        if any(post["last_name"] == surname(1) for post in upstream.posts()):
            break
        harness.clock.advance(15)
        harness.pipeline.recover()
        harness.send()
    assert {surname(number) for number in range(1, 5)} <= {
        post["last_name"] for post in upstream.posts()
    }

    upstream.fault({"status": 403})
    harness.clock.advance(120)
    harness.pipeline.recover()
    harness.send()
    with harness.pipeline.store.transaction() as tx:
        (held,) = tx.search.bookings(Filter(states=["held"]))
    assert held.reason == "not_authorized"


def test_a_booking_that_cannot_be_started_is_held_and_others_are_sent(
    harness: Harness, upstream: SandboxClient
) -> None:
    (bad,) = harness.mapped("rentfeed", lead(0, day=4))
    (good,) = harness.mapped("rentfeed", lead(1))
    with harness.pipeline.store.transaction() as tx:
        tx.attempts.begin(bad.id, {}, now=harness.clock(), lease_until=harness.clock())
        due_now = "UPDATE bookings SET state = 'pending', due_at = %s WHERE id = %s"
        tx.connection.execute(due_now, [harness.clock(), bad.id])
    for _ in range(3):
        harness.send()

    assert (harness.state(bad.id), harness.booking(bad.id).reason) == (
        BookingState.HELD,
        "internal_error",
    )
    assert harness.state(good.id) is BookingState.SUBMITTED


def test_a_job_unknown_to_propexo_does_not_block_a_newer_request(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.send()
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    for _ in range(200):
        if harness.state(first.id) is not BookingState.SUBMITTED:
            break
        upstream.fault({"on": "status", "status": 404})
        due_at = harness.booking(first.id).due_at
        assert due_at is not None
        harness.clock.at = due_at
        harness.check()
    assert harness.booking(first.id).reason == "no_final_status"
    harness.send()
    assert harness.state(second.id) is BookingState.SUBMITTED


@pytest.mark.parametrize(("job", "end"), [("SUCCESS", "booked"), ("FAILURE", "failed")])
def test_a_job_that_ends_after_its_deadline_is_still_settled(
    opened: Database, job: str, end: str
) -> None:
    now = [START]
    with running_sandbox(clock=lambda: now[0]) as upstream:
        harness = Harness(opened, upstream)
        upstream.fault({"job": job, "job_seconds": 4 * 3600})
        (booking,) = harness.mapped("rentfeed", lead(1))
        harness.send()
        for hours, state in ((2, BookingState.UNKNOWN), (5, BookingState.SUBMITTED)):
            harness.clock.at = now[0] = START + dt.timedelta(hours=hours)
            harness.check()
            assert harness.state(booking.id) is state
        harness.check()

        assert harness.state(booking.id) == end
        assert len(upstream.posts()) == 1


@pytest.mark.parametrize("fault", [{"job": "PENDING"}, {"on": "status", "status": 500}], ids=str)
def test_a_stuck_job_needs_review_halfway_to_a_soon_tour(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any]
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    upstream.fault({"job": "PENDING"})
    harness.send()
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, day=2, time="11:45 AM"))
    for _ in range(200):
        if harness.state(first.id) is not BookingState.SUBMITTED:
            break
        if "on" in fault:
            upstream.fault(fault)
        due_at = harness.booking(first.id).due_at
        assert due_at is not None
        harness.clock.at = due_at
        harness.check()
        harness.send()
    assert harness.booking(first.id).reason == "no_final_status"
    assert harness.state(second.id) is BookingState.SUBMITTED
    # It starts 45 minutes after the first was sent, and can be sent until 5 minutes before.
    assert 20 * 60 <= (harness.clock() - START).total_seconds() < 24 * 60


def test_lists_that_cannot_be_read_are_not_proof_of_absence(
    harness: Harness, upstream: SandboxClient
) -> None:
    booking_id = lose_the_answer(harness, upstream, {"drop": "after"})
    for _ in range(60):
        upstream.fault({"on": "list", "status": 500})
        reconcile_when_due(harness, booking_id)
    waited = harness.clock() - START
    assert waited > dt.timedelta(hours=14)
    assert harness.booking(booking_id).reason == "no_answer"
    requests.delete(upstream.url + "/_sandbox/faults", timeout=5)

    reconcile_when_due(harness, booking_id)
    assert harness.state(booking_id) is not BookingState.UNKNOWN


def test_past_tours_are_never_posted(harness: Harness, upstream: SandboxClient) -> None:
    for number in range(3):
        harness.mapped("rentfeed", lead(number, day=3, time="11:30 AM"))
    harness.clock.at = dt.datetime(2026, 3, 3, 18, 26, tzinfo=dt.UTC)
    with harness.pipeline.store.transaction() as tx:
        assert (
            tx.send_queue.most_urgent(
                harness.clock(),
                soon=harness.clock() + dt.timedelta(days=9),
                late=harness.clock() + dt.timedelta(minutes=5),
            )
            is None
        )
    harness.send()
    harness.pipeline.recover()

    assert upstream.posts() == []
    with harness.pipeline.store.transaction() as tx:
        assert {booking.state for booking in tx.search.bookings()} == {BookingState.EXPIRED}


def test_a_booking_that_moves_on_while_it_is_chosen_is_not_sent(
    harness: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let another transaction replace the booking between its selection and its lock."""
    (booking,) = harness.mapped("rentfeed", lead(1, day=20))
    before = STATEMENTS["next_in_turn"]
    slow = before.replace(b"FROM source_turns t,", b"FROM (SELECT pg_sleep(1)) s, source_turns t,")
    assert slow != before
    monkeypatch.setitem(STATEMENTS, "next_in_turn", slow)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        sending = thread.submit(harness.send)
        wait_until(lambda: _sleeps(harness), "the choice has begun")
        with harness.pipeline.store.transaction() as tx:
            tx.bookings.move(booking.id, BookingState.SUPERSEDED, why="newer_request", now=START)
        sending.result(30)

    assert upstream.posts() == []
    assert harness.state(booking.id) is BookingState.SUPERSEDED


def _sleeps(harness: Harness) -> bool:
    with harness.pipeline.store.transaction() as tx:
        row = tx.connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        ).fetchone()
    return bool(row and row["count"])


def test_the_same_item_twice_in_one_webhook_is_one_booking(harness: Harness) -> None:
    handoff = sample("leasebot-handoff.json")
    handoff["handoff"]["tours"] = [handoff["handoff"]["tours"][0]] * 2
    states = [booking.state for booking in harness.mapped("leasebot", handoff)]

    assert states == [PENDING, BookingState.DUPLICATE]


def test_a_corrected_name_replaces_a_pending_request(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    harness.clock.advance(5)
    harness.receive("rentfeed", lead(1, name="Dana Corrected"))
    with harness.pipeline.store.transaction() as tx:
        newest = tx.search.events(limit=1)[0]
    harness.map_event(newest.id)

    (second,) = harness.story(newest.id).bookings
    assert second.state is PENDING
    assert harness.state(first.id) is BookingState.SUPERSEDED


def test_an_older_version_under_the_same_key_changes_nothing(harness: Harness) -> None:
    harness.receive("rentfeed", lead(1, email="wrong@example.com"))
    harness.clock.advance(5)
    harness.receive("rentfeed", lead(1))
    with harness.pipeline.store.transaction() as tx:
        newer, older = tx.search.events()
    harness.map_event(newer.id)
    harness.map_event(older.id)

    (kept,), (late,) = harness.story(newer.id).bookings, harness.story(older.id).bookings
    assert kept.state is PENDING
    assert late.state is BookingState.SUPERSEDED


def test_a_stop_leaves_the_rest_in_the_queue(harness: Harness, upstream: SandboxClient) -> None:
    for number in range(5):
        harness.mapped("rentfeed", lead(number))
    harness.pipeline.sender.stopping.set()
    harness.send()

    assert upstream.posts() == []
