"""Test how bookings change when Propexo sends Knock's records as webhooks."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from adapter import sandbox
from adapter.bookings.reconcile import replacing_in_knock
from adapter.mapping.webhook_outcome import Outcome
from adapter.models import Booking, BookingState, KnockStatus
from adapter.store.crm_models import Reading
from adapter.webhooks.outcome import load_outcome, mark_replaced
from tests.harness import Harness, settle
from tests.leads import lead, reconcile_when_due, same_person
from tests.propexo_webhooks import SECRET, PropexoWebhooks
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

#: An empty write log, so that the other lists are read too.
NO_LOG = {"on": "list", "status": 200, "body": {"results": {"logs": []}}}
LISTS = {"crm_events": "/crm/v1/events/", "crm_prospects": "/crm/v1/prospects/"}


@pytest.fixture
def propexo(harness: Harness) -> PropexoWebhooks:
    return PropexoWebhooks(harness)


def records(upstream: SandboxClient, model: str) -> list[dict[str, Any]]:
    """Return the records that Propexo lists, oldest first."""
    answer = requests.get(
        upstream.url + LISTS[model] + "?order-by=created_at:asc",
        headers={"Authorization": "Bearer sandbox"},
        timeout=5,
    )
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def later(harness: Harness, seconds: float = 60.0) -> str:
    """Return a time after now, in the format of a record."""
    return (harness.clock() + dt.timedelta(seconds=seconds)).isoformat()


def lost(harness: Harness, upstream: SandboxClient, payload: Any) -> Booking:
    """Send a lead whose tour is booked although the response to its POST is lost."""
    upstream.fault({"drop": "after"})
    (booking,) = harness.mapped("rentfeed", payload)
    harness.send()
    unknown = harness.booking(booking.id)
    assert unknown.state is BookingState.UNKNOWN
    return unknown


def booked(harness: Harness, payload: Any) -> Booking:
    (booking,) = harness.mapped("rentfeed", payload)
    settle(harness)

    def is_booked() -> bool:
        harness.check()  # it skips a booking that a webhook has locked
        return harness.state(booking.id) is BookingState.BOOKED

    wait_until(is_booked, "it is booked")
    return harness.booking(booking.id)


def whys(harness: Harness, booking: Booking) -> list[str]:
    return [one.why for one in harness.story(booking.event_id).history]


def knock_facts(booking: Booking) -> tuple[Any, ...]:
    return (booking.prospect_id, booking.tour_id, booking.knock_status)


def test_a_new_tour_settles_an_unknown_booking_at_once(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    unknown = lost(harness, upstream, lead(1))
    (card,), (tour,) = records(upstream, "crm_prospects"), records(upstream, "crm_events")
    reads = len(upstream.calls())

    assert propexo.data("crm_prospects", card) == 200
    assert harness.booking(unknown.id).prospect_id == card["id"]
    assert harness.state(unknown.id) is BookingState.UNKNOWN, "a card is not a tour"
    assert propexo.data("crm_events", tour) == 200

    found = harness.booking(unknown.id)
    assert (found.state, found.reason) == (BookingState.BOOKED, "seen_in_knock")
    assert knock_facts(found) == (card["id"], tour["id"], KnockStatus.BOOKED)
    assert found.confirmed_at is not None
    assert len(upstream.calls()) == reads, "nothing had to be read"
    harness.send()
    assert len(upstream.posts()) == 1


def test_a_tour_before_its_card_is_searched_for_at_once(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    """Send a tour's record that contains nothing about its renter."""
    unknown = lost(harness, upstream, lead(1))
    (tour,) = records(upstream, "crm_events")
    del tour["prospect_id"]
    upstream.fault(NO_LOG)

    assert propexo.data("crm_events", tour) == 409, "it is sent again, too"
    assert harness.booking(unknown.id).due_at == harness.clock()
    harness.check()

    found = harness.booking(unknown.id)
    assert found.state is BookingState.BOOKED
    assert knock_facts(found)[1:] == (tour["id"], KnockStatus.BOOKED)


def test_a_record_without_a_time_brings_the_searches_forward_once_a_minute(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    unknown = lost(harness, upstream, lead(1))
    bare = {"id": "evt_1", "integration_id": "int_7Qm2", "event_name": "Tour"}
    propexo.data("crm_events", bare | {"integration_id": "int_other"})
    assert harness.booking(unknown.id).due_at == unknown.due_at
    propexo.data("crm_events", bare)
    assert harness.booking(unknown.id).due_at == harness.clock()

    with harness.pipeline.store.transaction() as tx:
        tx.bookings.reschedule(unknown, harness.clock() + dt.timedelta(hours=1))
    propexo.data("crm_events", bare)
    assert harness.booking(unknown.id).due_at == harness.clock() + dt.timedelta(minutes=1)


def test_a_record_that_arrives_before_the_outcome_settles_it(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    unknown = lost(harness, upstream, lead(1))
    (card,), (tour,) = records(upstream, "crm_prospects"), records(upstream, "crm_events")
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE bookings SET state = 'sending', due_at = NULL")
        tx.connection.execute("UPDATE attempts SET outcome = NULL, lease_until = 'epoch'")

    propexo.data("crm_prospects", card)
    propexo.data("crm_events", tour)
    assert harness.state(unknown.id) is BookingState.SENDING, "its process may still be running"
    harness.pipeline.recover()
    harness.check()

    assert harness.state(unknown.id) is BookingState.BOOKED


def test_a_booked_tour_is_confirmed_once(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    tour = booked(harness, lead(1))
    (card,), (event,) = records(upstream, "crm_prospects"), records(upstream, "crm_events")
    before = harness.booking(tour.id).updated_at

    for _ in range(3):
        propexo.data("crm_prospects", card)
        propexo.data("crm_events", event)
        harness.clock.advance(900)

    confirmed = harness.booking(tour.id)
    assert (confirmed.state, confirmed.updated_at) == (BookingState.BOOKED, before)
    assert confirmed.confirmed_at == harness.clock() - dt.timedelta(seconds=2700)
    assert whys(harness, tour).count("confirmed_in_knock") == 1


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"status": "Canceled (Renter)"}, KnockStatus.CANCELED),
        ({"is_cancelled": True}, KnockStatus.CANCELED),
        ({"status": "No Show"}, KnockStatus.NO_SHOW),
        ({"status": "Visited"}, KnockStatus.VISITED),
        ({"status": "Waiting"}, KnockStatus.WAITING),
    ],
)
def test_what_happens_to_a_tour_in_knock_is_known(
    harness: Harness,
    upstream: SandboxClient,
    propexo: PropexoWebhooks,
    changed: dict[str, Any],
    status: KnockStatus,
) -> None:
    tour = booked(harness, lead(1))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    (event,) = records(upstream, "crm_events")
    propexo.data("crm_events", event)

    harness.clock.advance(60)
    ids = {key: event[key] for key in ("id", "integration_id")}
    change = ids | changed | {"updated_at": later(harness, 0)}
    assert propexo.data("crm_events", change, "DATA_UPDATE") == 200
    assert propexo.data("crm_events", change, "DATA_UPDATE") == 200

    known = harness.booking(tour.id)
    assert (known.state, known.knock_status) == (BookingState.BOOKED, status)
    assert known.is_gone is (status is KnockStatus.CANCELED)
    assert whys(harness, tour).count(f"{status}_in_knock") == 1


def test_webhooks_out_of_order_do_not_bring_a_canceled_tour_back(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    tour = booked(harness, lead(1))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    (event,) = records(upstream, "crm_events")
    canceled = event | {"is_cancelled": True, "updated_at": later(harness), "last_seen": None}
    harness.clock.advance(120)

    propexo.data("crm_events", canceled, "DATA_UPDATE")
    propexo.data("crm_events", event)
    assert harness.booking(tour.id).knock_status is KnockStatus.CANCELED

    rebooked = event | {"updated_at": later(harness), "last_seen": None}
    harness.clock.advance(120)
    propexo.data("crm_events", rebooked, "DATA_UPDATE")
    propexo.data("crm_events", canceled, "DATA_UPDATE")
    assert harness.booking(tour.id).knock_status is KnockStatus.BOOKED
    assert not harness.booking(tour.id).is_gone


def test_a_tour_that_knock_moved_is_shown_and_nothing_else_changes(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    tour = booked(harness, lead(1))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    (first,) = records(upstream, "crm_events")
    propexo.data("crm_events", first)
    before = harness.booking(tour.id)
    moves = []
    for time in ("2026-03-16T21:00:00Z", "2026-03-17T21:00:00Z"):
        harness.clock.advance(60)
        upstream.act(upstream.appointments()[0], f"move?to={time}")
        (event,) = records(upstream, "crm_events")
        moves.append(event | {"updated_at": later(harness, 0), "last_seen": None})
    old = {name: moves[0].pop(name) for name in ("status", "is_cancelled")}

    assert propexo.data("crm_events", moves[1], "DATA_UPDATE") == 200
    for late in (moves[0], moves[0] | old, first | {"updated_at": later(harness, -900)}, moves[1]):
        assert propexo.data("crm_events", late, "DATA_UPDATE") == 200

    moved = harness.booking(tour.id)
    assert (moved.moved_to, moved.moved_at) == (
        dt.datetime(2026, 3, 17, 21, tzinfo=dt.UTC),
        harness.clock(),
    )
    assert moved.is_moved
    assert dataclasses.replace(moved, moved_to=None, moved_at=None) == dataclasses.replace(
        before, knock_status_at=moved.knock_status_at
    )
    assert whys(harness, tour).count("moved_in_knock") == 1


def test_a_tour_that_a_newer_one_replaced_is_not_news(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    first = booked(harness, same_person(1, day=14))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    propexo.data("crm_events", records(upstream, "crm_events")[0])
    harness.clock.advance(60)
    second = booked(harness, same_person(2, day=15))

    for event in records(upstream, "crm_events"):
        propexo.data("crm_events", event | {"updated_at": later(harness)}, "DATA_UPDATE")

    replaced, standing = harness.booking(first.id), harness.booking(second.id)
    assert (replaced.knock_status, standing.knock_status) == ("canceled", "booked")
    assert whys(harness, first)[-1] == "replaced_in_knock"
    assert "canceled_in_knock" not in whys(harness, first)
    with harness.pipeline.store.transaction() as tx:
        assert replacing_in_knock(tx, [replaced])[first.id].id == second.id


def test_what_comes_before_its_guest_card_is_sent_again(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    """Send a tour before its guest card's contacts are known, and send its first webhook again.

    If the cancellation were accepted before the tour is known, it would be lost.
    """
    tour = booked(harness, lead(1))
    (card,), (event,) = records(upstream, "crm_prospects"), records(upstream, "crm_events")
    ids = {name: event[name] for name in ("id", "integration_id")}
    canceled = ids | {"status": "Canceled (Manager)", "updated_at": later(harness)}

    assert propexo.data("crm_events", event) == 409
    assert propexo.data("crm_events", canceled, "DATA_UPDATE") == 409
    assert propexo.data("crm_prospects", card) == 200
    assert propexo.data("crm_events", canceled, "DATA_UPDATE") == 409
    assert harness.booking(tour.id).knock_status is None
    assert propexo.data("crm_events", event) == 200
    assert propexo.data("crm_events", canceled, "DATA_UPDATE") == 200
    assert harness.booking(tour.id).knock_status is KnockStatus.CANCELED
    assert propexo.data("crm_events", canceled | {"id": "another"}, "DATA_UPDATE") == 200


def test_what_is_certainly_not_about_a_booking_is_not_sent_again(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    booked(harness, lead(1))
    (event,) = records(upstream, "crm_events")
    ids = {name: event[name] for name in ("id", "integration_id")}
    canceled = ids | {"status": "Canceled (Manager)"}

    other_time = event | {"event_datetime": later(harness), "id": "another"}
    assert propexo.data("crm_events", other_time) == 200
    message = ids | {"id": "a-message", "notes": "Hello"}
    assert propexo.data("crm_events", message, "DATA_UPDATE") == 200
    with harness.pipeline.store.transaction() as tx:
        tx.crm_models.save(ids["integration_id"], "crm_prospects", Reading.OFF, harness.clock())
    assert propexo.data("crm_events", event) == 200, "its guest card will never be known"
    assert propexo.data("crm_events", canceled, "DATA_UPDATE") == 200


def test_a_tour_that_does_not_become_known_is_not_waited_for(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    booked(harness, lead(1))
    (event,) = records(upstream, "crm_events")
    assert propexo.data("crm_events", event) == 409
    harness.clock.advance(3 * 3600)
    assert propexo.data("crm_events", event) == 200


def test_a_renter_may_ask_again_after_a_cancellation_in_knock(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    tour = booked(harness, same_person(1))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    (event,) = records(upstream, "crm_events")
    harness.clock.advance(60)
    propexo.data("crm_events", event | {"is_cancelled": True}, "DATA_UPDATE")
    assert harness.booking(tour.id).is_gone

    harness.clock.advance(60)
    again = booked(harness, same_person(2, day=15))
    assert again.id != tour.id
    assert len(upstream.posts()) == 2


def test_a_sender_is_not_told_that_a_canceled_tour_is_booked(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    tour = booked(harness, lead(1))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    (event,) = records(upstream, "crm_events")
    store = harness.pipeline.store
    for is_canceled, told in ((False, Outcome.BOOKED), (True, Outcome.FAILED)):
        propexo.data("crm_events", event | {"is_cancelled": is_canceled})
        assert mark_replaced(store, load_outcome(store, tour.event_id)).outcome is told


def test_another_renters_tour_at_the_same_time_changes_nothing(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    one, other = booked(harness, lead(1)), booked(harness, lead(2))
    for card in records(upstream, "crm_prospects"):
        propexo.data("crm_prospects", card)
    first, _ = records(upstream, "crm_events")

    propexo.data("crm_events", first | {"is_cancelled": True}, "DATA_UPDATE")
    assert harness.booking(one.id).knock_status is KnockStatus.CANCELED
    assert harness.booking(other.id).knock_status is None
    assert harness.booking(one.id).prospect_id != harness.booking(other.id).prospect_id


def test_a_roommate_who_tours_at_the_same_time_is_not_the_renter(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    """Use a roommate who has no lead, and whose guest card contains only the shared phone."""
    tour = booked(harness, lead(1, phone="(303) 555-0142"))
    (card,), (event,) = records(upstream, "crm_prospects"), records(upstream, "crm_events")
    unknown = dict.fromkeys(("email_1", "first_name", "last_name"))
    propexo.data("crm_prospects", card | unknown | {"id": "roommate"})
    theirs = event | {"id": "their-tour", "prospect_id": "roommate", "is_cancelled": True}
    propexo.data("crm_events", theirs)
    known = harness.booking(tour.id)
    assert (knock_facts(known), known.is_gone) == ((None, None, None), False)

    propexo.data("crm_prospects", card)
    propexo.data("crm_events", event)
    assert knock_facts(harness.booking(tour.id)) == (card["id"], event["id"], KnockStatus.BOOKED)


def test_roommates_with_one_phone_are_not_mixed_up(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    phone = "(303) 555-0142"
    (one,) = harness.mapped("rentfeed", lead(1, phone=phone))
    settle(harness)
    (card,) = records(upstream, "crm_prospects")
    propexo.data("crm_prospects", card | {"email_1": "room.mate@example.com"})
    assert harness.booking(one.id).prospect_id is None
    propexo.data("crm_prospects", card)
    assert harness.booking(one.id).prospect_id == card["id"]


def test_a_failed_job_whose_tour_is_in_knock_is_booked(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    upstream.fault({"job": "FAILURE", "book": True})
    (booking,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    assert harness.state(booking.id) is BookingState.FAILED

    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    propexo.data("crm_events", records(upstream, "crm_events")[0])
    assert harness.state(booking.id) is BookingState.BOOKED


def test_an_unknown_tour_that_was_canceled_since_is_not_looked_for(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    unknown = lost(harness, upstream, lead(1))
    propexo.data("crm_prospects", records(upstream, "crm_prospects")[0])
    (event,) = records(upstream, "crm_events")
    propexo.data("crm_events", event | {"is_cancelled": True})

    known = harness.booking(unknown.id)
    assert (known.state, known.is_gone) == (BookingState.BOOKED, True)
    assert whys(harness, unknown)[-1] == "canceled_in_knock"


def test_a_webhook_shows_that_a_model_can_be_read(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    booked(harness, lead(1))
    propexo.data("crm_events", records(upstream, "crm_events")[0])
    with harness.pipeline.store.transaction() as tx:
        (model,) = tx.crm_models.all()
    assert (model.model, model.state) == ("crm_events", Reading.READABLE)
    assert model.heard_at == harness.clock()


# --- with webhooks that the sandbox sends


@pytest.fixture
def connected(harness: Harness, upstream: SandboxClient) -> Iterator[SandboxClient]:
    """Make the sandbox send its webhooks to a server over HTTP."""
    app = PropexoWebhooks(harness).app
    with sandbox.Server(app) as server:
        url = f"{server.url}/propexo/webhooks"
        upstream.sync(url=url, secret=SECRET, retry_seconds=0.2)
        yield upstream


def test_an_unknown_booking_is_settled_within_a_second(
    harness: Harness, connected: SandboxClient
) -> None:
    connected.sync(delay=0.5)
    unknown = lost(harness, connected, lead(1))

    def is_told() -> bool:
        sent = connected.sync()["webhooks"]
        return len(sent) == 2 and all(one["statuses"] == [200] for one in sent)

    wait_until(is_told, "both webhooks are accepted")
    assert harness.state(unknown.id) is BookingState.BOOKED, "when the webhook is answered"


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("renter-cancel", KnockStatus.CANCELED),
        ("cancel", KnockStatus.CANCELED),
        ("visit", KnockStatus.VISITED),
        ("miss", KnockStatus.NO_SHOW),
    ],
)
def test_what_people_do_in_knock_reaches_the_booking(
    harness: Harness, connected: SandboxClient, action: str, status: KnockStatus
) -> None:
    tour = booked(harness, lead(1))
    wait_until(lambda: harness.booking(tour.id).confirmed_at, "it is confirmed")
    harness.clock.advance(60)
    connected.act(connected.appointments()[0], action)
    wait_until(lambda: harness.booking(tour.id).knock_status is status, "its status is known")
    assert harness.state(tour.id) is BookingState.BOOKED


def test_a_guest_card_whose_contacts_come_later_is_recognized_then(
    harness: Harness, connected: SandboxClient
) -> None:
    connected.sync(stage=0.5)
    tour = booked(harness, lead(1))
    wait_until(lambda: len(connected.sync()["webhooks"]) == 3, "both stages are sent")
    wait_until(lambda: harness.booking(tour.id).prospect_id, "the card is known")


def test_a_webhook_that_is_not_accepted_is_sent_again_ten_times(
    harness: Harness, connected: SandboxClient
) -> None:
    connected.sync(secret="another", retry_seconds=0.01)
    booked(harness, lead(1))

    def statuses() -> list[list[int]]:
        return [one["statuses"] for one in connected.sync()["webhooks"]]

    wait_until(lambda: statuses() == [[401] * 11] * 2, "both are given up")


DEEP = b'{"trigger": "DATA_NEW", "data": {"event": "DATA_NEW", "object": "crm_events", '
NAMED = DEEP + b'"record_id": "r", "integration_id": "int_7Qm2", "payload": '


@pytest.mark.parametrize(
    "body",
    [
        b'"DATA_NEW"',
        b'{"trigger": "DATA_NEW", "data": 7}',
        b'{"trigger": ["DATA_NEW"], "data": {"event": {}}}',
        DEEP + b'"record_id": 7}}',
        DEEP + b'"record_id": "a\\u0000b", "integration_id": "\\ud800"}}',
        DEEP.replace(b"crm_events", b"residents") + b'"record_id": "r"}}',
        NAMED + b"[" * 900 + b"]" * 900 + b"}}",
        NAMED + b"[" * 100_000,
        NAMED + b'{"email": "\\ud800@x\\u0000", "phone": "\\u0661\\u0662", "start": 1e999}}}',
        NAMED
        + b'{"start": "9999-12-31T23:59:59-14:00", "updated_at": "0001-01-01T00:00:00+14:00"}}}',
        NAMED + b'{"prospect_id": "' + b"p" * 300 + b'", "status": ["Booked"]}}}',
        NAMED + b"[" + b'"2026-03-14T20:30:00Z",' * 20_000 + b'"x"]}}',
        NAMED + b'{"email": "' + b"@" * 299 + b'"}}}',
    ],
    ids=range(13),
)
def test_any_record_gets_an_answer(harness: Harness, propexo: PropexoWebhooks, body: bytes) -> None:
    tour = booked(harness, lead(1))
    assert propexo.post(body) in (200, 409)
    assert propexo.post(body.replace(b"crm_events", b"crm_prospects")) == 200
    assert harness.booking(tour.id).knock_status is None


def test_too_large_a_webhook_is_refused(harness: Harness, propexo: PropexoWebhooks) -> None:
    assert propexo.post(b" " * (harness.settings.max_body_bytes + 1)) == 413


# --- models that are switched off


def searched(harness: Harness, unknown: Booking) -> Booking:
    """Search for an unknown booking as soon as the search is due."""
    reconcile_when_due(harness, unknown.id)
    return harness.booking(unknown.id)


@pytest.mark.parametrize("model", ["crm_events", "crm_prospects"])
def test_an_unknown_booking_is_not_searched_for_if_its_model_is_off(
    harness: Harness, upstream: SandboxClient, model: str
) -> None:
    upstream.sync(off=[model])
    unknown = lost(harness, upstream, lead(1))
    upstream.fault(NO_LOG)

    left = searched(harness, unknown)
    assert (left.state, left.reason, left.due_at) == (BookingState.UNKNOWN, "not_readable", None)
    with harness.pipeline.store.transaction() as tx:
        states = {one.model: one.state for one in tx.crm_models.all()}
    assert states[model] is Reading.OFF

    second = lost(harness, upstream, lead(2))
    assert second.reason == "not_readable", "users are told at once"
    assert searched(harness, second).due_at is None


def test_a_rejected_list_does_not_stop_sending(harness: Harness, upstream: SandboxClient) -> None:
    unknown = lost(harness, upstream, lead(1))
    upstream.fault(
        NO_LOG,
        {"on": "list", "status": 403, "body": {"error": {"code": "forbidden", "message": "off"}}},
    )
    assert searched(harness, unknown).reason == "not_readable"
    booked(harness, lead(2))


def test_an_empty_list_proves_nothing(harness: Harness, upstream: SandboxClient) -> None:
    upstream.fault({"drop": "before"})
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    left = searched(harness, harness.booking(booking.id))
    assert (left.reason, left.due_at is None) == ("not_readable", False)

    upstream.book(upstream.posts()[0])
    assert searched(harness, left).state is BookingState.SUBMITTED


def test_a_guest_card_without_contacts_is_not_a_missing_one(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.sync(stage=80_000)
    unknown = lost(harness, upstream, lead(1))
    upstream.fault(NO_LOG)
    left = searched(harness, unknown)
    assert (left.reason, left.due_at is None) == ("no_answer", False)
    harness.clock.advance(13 * 3600)
    upstream.fault(NO_LOG)
    harness.check()
    assert harness.booking(unknown.id).reason == "maybe_found"


def test_a_worker_learns_of_models_that_are_off_in_advance(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.sync(off=["crm_prospects"])
    harness.pipeline.check_models()
    assert not upstream.calls(), "not at the start"
    harness.clock.advance(120)
    harness.pipeline.check_models()
    with harness.pipeline.store.transaction() as tx:
        states = {one.model: one.state for one in tx.crm_models.all()}
    assert states == {"crm_events": Reading.EMPTY, "crm_prospects": Reading.OFF}
    calls = len(upstream.calls())
    harness.pipeline.check_models()
    assert len(upstream.calls()) == calls, "only every few hours"
    harness.clock.advance(7 * 3600)
    upstream.sync(off=[])
    harness.pipeline.check_models()
    with harness.pipeline.store.transaction() as tx:
        assert {one.state for one in tx.crm_models.all()} == {Reading.EMPTY}


def test_another_guest_card_with_the_same_phone_is_not_taken_for_the_renters(
    harness: Harness, upstream: SandboxClient, propexo: PropexoWebhooks
) -> None:
    tour = booked(harness, same_person(1))
    (card,) = records(upstream, "crm_prospects")
    assert propexo.data("crm_prospects", card) == 200
    changed = {"email_1": card["email_1"], "integration_id": card["integration_id"]}
    lacks_name = changed | {"id": "another-card", "last_name": ""}
    for _ in range(2):
        assert propexo.data("crm_prospects", lacks_name, "DATA_UPDATE") == 200
    assert harness.booking(tour.id).prospect_id == card["id"]
