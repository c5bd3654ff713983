"""Test each step of processing a webhook, with real PostgreSQL and the sandbox over HTTP."""

import datetime as dt
import json
import logging
from typing import Any

import psycopg
import pytest

from adapter import signatures
from adapter.bookings import transitions
from adapter.bookings.sender import LEASE_MARGIN_SECONDS
from adapter.exceptions import StoreUnavailable, VerificationError
from adapter.logs import JsonLines
from adapter.models import Attempt, AttemptOutcome, BookingState, EventState, WebhookRequest
from adapter.propexo.client import Propexo
from adapter.settings import Policy
from adapter.store import Database, Task
from adapter.webhooks.dedupe import Receipt
from adapter.webhooks.endpoints import build_endpoint
from tests.harness import START, TIMEOUT_SECONDS, Harness, sample, tour
from tests.sandbox_client import SandboxClient, running_sandbox


def test_a_webhook_is_mapped_posted_and_booked(harness: Harness, upstream: SandboxClient) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    assert booking.state is BookingState.PENDING
    assert booking.starts_at == dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)

    harness.send()
    submitted = harness.booking(booking.id)
    assert submitted.state is BookingState.SUBMITTED
    harness.clock.advance(5)
    harness.check()

    booked = harness.booking(booking.id)
    assert booked.state is BookingState.BOOKED
    (appointment,) = upstream.appointments()
    assert appointment["job_id"] == booked.job_id
    assert appointment["starts_at"] == "2026-03-14T20:30:00Z"
    assert appointment["community_id"] == "com_maple"
    story = harness.story(booking.id)
    assert [change.to_state for change in story.history] == [
        *("received", "pending", "mapped", "sending", "submitted", "booked")
    ]


def test_unconfigured_enum_values_are_not_posted(harness: Harness, upstream: SandboxClient) -> None:
    harness.mapped("rentfeed", tour())
    harness.send()

    (posted,) = upstream.posts()
    assert not {"tour_type", "pets", "first_contact_type"} & posted.keys()
    assert "Tour type: in person" in posted["notes"]
    assert None not in posted.values()


def test_configured_enum_values_are_sent_in_propexos_spelling(opened: Database) -> None:
    policy = Policy(tour_types={"in_person": "IN_PERSON"}, pets={"small_dog": "SMALL_DOG"})
    enums = {"tour_type": ["IN_PERSON"], "pets": ["SMALL_DOG"]}
    with running_sandbox(clock=lambda: START, enums=enums) as upstream:
        harness = Harness(opened, upstream, policy)
        (booking,) = harness.mapped("rentfeed", tour())
        harness.send()

        (posted,) = upstream.posts()
    assert posted["tour_type"] == "IN_PERSON"
    assert posted["pets"] == ["SMALL_DOG"]
    assert "first_contact_type" not in posted
    assert harness.booking(booking.id).state is BookingState.SUBMITTED


def test_a_repeated_webhook_is_one_event(harness: Harness) -> None:
    first = harness.receive("rentfeed", tour())
    harness.clock.advance(60)
    second = harness.receive("rentfeed", tour())

    assert not first.is_duplicate
    assert second == Receipt(event_id=first.event_id, is_duplicate=True)
    assert harness.story(first.event_id).duplicates == 1


def test_an_unreadable_body_is_stored_once_and_held(harness: Harness) -> None:
    first = harness.receive("rentfeed", b"{not json")
    assert harness.receive("rentfeed", b"{not json").is_duplicate
    assert not harness.receive("rentfeed", b"{not json either").is_duplicate

    harness.map_event(first.event_id)

    story = harness.story(first.event_id)
    assert story.event.state is EventState.HELD
    assert "JSON" in story.event.reasons[0].reason
    assert story.bookings == ()


def test_a_forged_request_stores_nothing(harness: Harness) -> None:
    source = harness.pipeline.sources["rentfeed"]
    forged = WebhookRequest(
        method="POST", url="https://a.example.com/hooks/rentfeed", headers={}, body=b"{}"
    )
    with pytest.raises(VerificationError):
        harness.pipeline.receiver.verify(build_endpoint(source, harness.settings), forged)

    with harness.pipeline.store.transaction() as tx:
        assert tx.search.events() == []


def test_credentials_are_not_stored(harness: Harness) -> None:
    receipt = harness.receive(
        "rentfeed", tour(), Authorization="Bearer x", Cookie="a=b", **{"User-Agent": "RentFeed/1"}
    )

    headers = harness.story(receipt.event_id).event.headers
    assert headers["user-agent"] == "RentFeed/1"
    assert not {"authorization", "cookie"} & headers.keys()


def test_an_event_returns_its_original_request(harness: Harness) -> None:
    endpoint = build_endpoint(harness.pipeline.sources["rentfeed"], harness.settings)
    sent = WebhookRequest(
        method="POST",
        url="https://a.example.com/hooks/rentfeed?unit=2B&n=%20",
        headers={"Content-Type": "application/json", "X-Trace": "7"},
        body=json.dumps(tour()).encode(),
        client="192.0.2.7",
    )
    signed = signatures.sign(endpoint.source.signature, "one", sent, harness.clock().timestamp())
    receiver = harness.pipeline.receiver
    receipt = receiver.store(receiver.verify(endpoint, signed))

    stored = harness.story(receipt.event_id).event.request
    assert (stored.method, stored.query, stored.body) == ("POST", "unit=2B&n=%20", sent.body)
    assert stored.content_type == "application/json"
    assert stored.headers == signed.lowercase_headers
    assert stored.client is None, "addresses are not stored"


def test_an_item_repeated_in_another_webhook_is_a_duplicate(harness: Harness) -> None:
    both = sample("leasebot-handoff.json")
    one = sample("leasebot-handoff.json")
    one["handoff"]["tours"] = one["handoff"]["tours"][:1]

    assert [booking.state for booking in harness.mapped("leasebot", one)] == ["pending"]
    assert [booking.state for booking in harness.mapped("leasebot", both)] == [
        "duplicate",
        "pending",
    ]


def test_ignored_and_held_events_make_no_task(harness: Harness) -> None:
    assert harness.mapped("rentfeed", tour(isTest=True)) == []
    (held,) = harness.mapped("rentfeed", tour(leadId="other", tour={"date": "", "time": ""}))

    assert held.state is BookingState.HELD
    assert [reason.field for reason in held.reasons] == ["starts_at"]
    harness.send()
    assert harness.booking(held.id).state is BookingState.HELD


def test_each_step_done_twice_changes_nothing(harness: Harness, upstream: SandboxClient) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    harness.map_event(booking.event_id)
    assert len(harness.story(booking.id).bookings) == 1

    harness.send()
    harness.clock.advance(3600)
    harness.send()
    assert len(upstream.posts()) == 1

    harness.check()
    before = harness.story(booking.id)
    harness.check()
    assert harness.story(booking.id) == before


def test_a_missing_row_is_skipped(harness: Harness) -> None:
    harness.map_event(1)
    harness.send()
    harness.check()


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"status": 429}, 60),
        ({"status": 429, "headers": {"Retry-After": "7"}}, 7),
        ({"status": 503}, 2),
    ],
    ids=str,
)
def test_a_retryable_error_is_retried_and_booked_once(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any], seconds: float
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    upstream.fault(fault)
    harness.send()

    waiting = harness.booking(booking.id)
    assert waiting.state is BookingState.PENDING
    assert waiting.due_at is not None
    assert seconds <= (waiting.due_at - START).total_seconds() <= seconds * 1.25

    harness.send()
    assert len(upstream.posts()) == 1, "not before it is due"
    harness.clock.at = waiting.due_at
    harness.send()
    assert harness.booking(booking.id).state is BookingState.SUBMITTED
    assert len(upstream.appointments()) == 1


def test_a_refused_connection_is_retried(harness: Harness, upstream: SandboxClient) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    sender = harness.pipeline.sender
    sender.propexo, real = Propexo("http://127.0.0.1:1", "x"), sender.propexo
    for _ in range(3):
        harness.send()
        waiting = harness.booking(booking.id)
        assert (waiting.state, waiting.reason) == (BookingState.PENDING, "not_sent")
        assert waiting.due_at is not None
        harness.clock.at = waiting.due_at
    sender.propexo = real
    harness.clock.advance(10)
    harness.pipeline.recover()
    harness.send()

    outcomes = [attempt.outcome for attempt in harness.story(booking.id).attempts[booking.id]]
    assert outcomes == ["not_sent", "not_sent", "not_sent", "accepted"]


def test_the_first_booking_in_knock_is_recorded_for_the_database(
    opened: Database, upstream: SandboxClient
) -> None:
    harness = Harness(opened, upstream, propexo_token="a-token")

    def host() -> str | None:
        with opened.transaction() as tx:
            return tx.propexo_host()

    harness.mapped("rentfeed", tour())
    upstream.fault({"status": 422})
    harness.send()
    assert host() is None, "nothing was booked"

    harness.mapped("rentfeed", tour(leadId="RF-2"))
    harness.send()
    assert host() == "api.propexo.com"


@pytest.mark.parametrize(
    ("fault", "booked"),
    [({"delay": 3}, 1), ({"drop": "after"}, 1), ({"drop": "before"}, 0), ({"status": 500}, 0)],
    ids=str,
)
def test_an_unknown_outcome_is_never_sent_again(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any], booked: int
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    upstream.fault(fault)
    harness.send()
    for _ in range(5):
        harness.clock.advance(3600)
        harness.send()
        harness.pipeline.recover()

    assert harness.booking(booking.id).state is BookingState.UNKNOWN
    assert len(upstream.posts()) == 1
    assert len(upstream.appointments()) == booked


def test_a_400_fails_with_propexos_issues_per_field(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    issue = {"code": "custom", "path": ["attribution_id"], "message": "Unknown attribution"}
    body = {"error": {"code": "invalid_request", "message": "x", "details": {"issues": [issue]}}}
    upstream.fault({"status": 400, "body": body})
    harness.send()

    failed = harness.booking(booking.id)
    assert (failed.state, failed.reason) == (BookingState.FAILED, "refused")
    assert failed.reasons[-1].field == "attribution_id"
    assert failed.reasons[-1].reason == "Propexo says: Unknown attribution"


def issues(*names: str) -> dict[str, Any]:
    found = [{"code": "custom", "path": [name], "message": "Invalid"} for name in names]
    details = {"issues": found}
    return {"error": {"code": "invalid_request", "message": "x", "details": details}}


def test_a_400_about_optional_fields_drops_only_those_fields(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"status": 400, "body": issues("lease_term_in_months", "move_in_date")})
    (booking,) = harness.mapped("rentfeed", tour())
    harness.send()

    assert harness.booking(booking.id).state is BookingState.SUBMITTED
    first, second = upstream.posts()
    assert first.keys() - second.keys() == {"lease_term_in_months", "move_in_date"}
    assert "Lease term: 12" in second["notes"]
    assert "Move in date: 2026-05-01" in second["notes"]


@pytest.mark.parametrize(
    "names", [("lease_term_in_months", "last_name"), ("email_1",), ("colour",)], ids=str
)
def test_a_400_about_required_fields_needs_review(
    harness: Harness, upstream: SandboxClient, names: tuple[str, ...]
) -> None:
    upstream.fault({"status": 400, "body": issues(*names)})
    (booking,) = harness.mapped("rentfeed", tour())
    harness.send()

    assert harness.booking(booking.id).state is BookingState.FAILED
    assert len(upstream.posts()) == 1


def test_optional_fields_are_dropped_only_once(harness: Harness, upstream: SandboxClient) -> None:
    refusal = {"status": 400, "body": issues("notes")}
    upstream.fault(refusal, refusal)
    (booking,) = harness.mapped("rentfeed", tour())
    harness.send()

    assert harness.booking(booking.id).state is BookingState.FAILED
    assert len(upstream.posts()) == 2


@pytest.mark.parametrize(
    ("fault", "state", "why"),
    [
        ({"job": "FAILURE", "errors": ["slot taken"]}, BookingState.FAILED, "job_failed"),
        ({"job": "PARTIAL_SUCCESS"}, BookingState.UNKNOWN, "partial_success"),
        ({"job": "PENDING"}, BookingState.UNKNOWN, "no_final_status"),
    ],
    ids=str,
)
def test_the_jobs_final_status_decides(
    harness: Harness, upstream: SandboxClient, fault: dict[str, Any], state: BookingState, why: str
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    upstream.fault(fault)
    harness.send()
    looks = 0
    while harness.booking(booking.id).state is BookingState.SUBMITTED:
        due_at = harness.booking(booking.id).due_at
        assert due_at is not None
        harness.clock.at = due_at
        harness.check()
        looks += 1

    ended = harness.booking(booking.id)
    assert (ended.state, ended.reason) == (state, why)
    assert looks < 60
    assert len(upstream.posts()) == 1


def test_an_unreadable_status_is_requested_again(harness: Harness, upstream: SandboxClient) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    harness.send()
    upstream.fault({"on": "status", "status": 500}, {"on": "status", "status": 429})
    for _ in range(5):
        if harness.booking(booking.id).state is BookingState.BOOKED:
            break
        due_at = harness.booking(booking.id).due_at
        assert due_at is not None
        harness.clock.at = max(due_at, harness.clock() + dt.timedelta(minutes=1))
        harness.check()

    assert harness.booking(booking.id).state is BookingState.BOOKED


def test_a_tour_whose_time_has_passed_is_not_booked(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    assert booking.starts_at is not None
    harness.clock.at = booking.starts_at
    harness.send()
    harness.pipeline.recover()

    assert harness.booking(booking.id).state is BookingState.EXPIRED
    assert upstream.posts() == []


def test_a_crash_while_sending_is_unknown_until_a_late_response(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    attempt = harness.pipeline.sender._next()[0]
    assert isinstance(attempt, Attempt)
    harness.pipeline.recover()
    assert harness.booking(booking.id).state is BookingState.SENDING, "its lease still runs"

    harness.clock.advance(TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS + 1)
    harness.pipeline.recover()
    lost = harness.booking(booking.id)
    assert (lost.state, lost.reason) == (BookingState.UNKNOWN, "sender_lost")

    accepted = harness.pipeline.propexo.create(attempt)
    with harness.pipeline.store.transaction() as tx:
        transitions.record_accepted(tx, attempt, accepted, harness.clock())
    assert harness.booking(booking.id).state is BookingState.SUBMITTED


def test_a_booking_left_unknown_by_a_crash_is_logged_and_searched_for(
    harness: Harness, upstream: SandboxClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Crash before the first byte, so that the adapter cannot know that nothing was sent."""
    (booking,) = harness.mapped("rentfeed", tour())
    assert isinstance(harness.pipeline.sender._next()[0], Attempt)
    harness.clock.advance(TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS + 1)
    harness.pipeline.recover()

    assert upstream.posts() == []
    (line,) = [record for record in caplog.records if record.message == "booking_unknown"]
    facts = vars(line)
    assert (line.levelname, facts["booking_id"], facts["why"]) == (
        "WARNING",
        booking.id,
        "sender_lost",
    )
    assert harness.booking(booking.id).due_at is not None, "it is looked for"


def test_a_process_suspended_before_the_post_does_not_send(
    harness: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    sender = harness.pipeline.sender
    begin = sender._next

    def begin_and_sleep(*answered: Any) -> Any:
        attempt = begin(*answered)
        harness.clock.advance(30)
        return attempt

    monkeypatch.setattr(sender, "_next", begin_and_sleep)
    harness.send()

    assert upstream.posts() == []
    (attempt,) = harness.story(booking.id).attempts[booking.id]
    assert attempt.outcome is AttemptOutcome.NOT_SENT
    assert harness.booking(booking.id).state is BookingState.PENDING


def test_an_event_without_a_mapping_is_held(harness: Harness) -> None:
    receipt = harness.receive("rentfeed", tour())
    harness.pipeline.sources = {}
    harness.map_event(receipt.event_id)
    assert harness.story(receipt.event_id).event.state is EventState.RECEIVED, "another may know it"
    harness.clock.advance(3600)
    harness.map_event(receipt.event_id)

    story = harness.story(receipt.event_id)
    assert story.event.state is EventState.HELD
    assert story.event.reasons[0].reason == "the mapping rentfeed no longer exists"


def test_an_event_that_must_wait_for_its_mapping_does_not_block_others(harness: Harness) -> None:
    waiting = harness.receive("rentfeed", tour()).event_id
    other = harness.receive("leasebot", sample("leasebot-handoff.json")).event_id
    sources = harness.pipeline.sources
    harness.pipeline.sources = {"leasebot": sources["leasebot"]}
    harness.pipeline.mapper.map_due()
    assert harness.story(waiting).event.state is EventState.RECEIVED
    assert harness.story(other).event.state is EventState.MAPPED
    assert harness.pipeline.due()[Task.MAP] == 0

    harness.pipeline.sources = sources
    harness.clock.advance(30)
    harness.pipeline.mapper.map_due()
    assert harness.story(waiting).event.state is EventState.MAPPED


def test_an_event_that_cannot_be_mapped_is_held_and_the_others_are_mapped(
    harness: Harness, opened: Database
) -> None:
    bad = harness.receive("rentfeed", tour(leadId="bad")).event_id
    good = harness.receive("rentfeed", tour()).event_id
    with opened.transaction() as tx:  # simulate a bug: its headers are not an object
        tx.connection.execute("UPDATE events SET headers = '7' WHERE id = %s", [bad])
    harness.pipeline.mapper.map_due()
    harness.pipeline.mapper.map_due()

    with opened.transaction() as tx:
        states = tx.connection.execute("SELECT id, state FROM events ORDER BY id").fetchall()
    assert [(row["id"], row["state"]) for row in states] == [(bad, "held"), (good, "mapped")]


def test_a_booking_that_cannot_be_checked_does_not_delay_others(
    harness: Harness, opened: Database
) -> None:
    (bad,) = harness.mapped("rentfeed", tour())
    (good,) = harness.mapped("leasebot", sample("leasebot-handoff.json"))[:1]
    harness.send()
    with opened.transaction() as tx:  # simulate a bug: an unknown booking without an attempt
        tx.connection.execute("DELETE FROM attempts WHERE booking_id = %s", [bad.id])
        tx.connection.execute("UPDATE bookings SET state = 'unknown' WHERE id = %s", [bad.id])
    harness.clock.advance(10)
    now = harness.clock()
    harness.check()

    due_at = harness.booking(bad.id).due_at
    assert due_at is not None
    assert due_at - now >= dt.timedelta(hours=1)
    assert harness.state(good.id) is BookingState.BOOKED


def test_a_check_whose_worker_dies_is_due_again_after_a_while(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    harness.send()
    harness.clock.advance(10)
    assert harness.pipeline.follower._next() is not None
    assert harness.pipeline.follower._next() is None, "another worker does not take it too"
    harness.clock.advance(30)
    harness.check()
    assert harness.state(booking.id) is BookingState.BOOKED


def test_nothing_of_a_lead_reaches_the_workers_log(
    harness: Harness, upstream: SandboxClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Check the mapping, Propexo errors that quote the lead, and exceptions."""
    caplog.set_level("DEBUG")
    echo = {"error": {"code": "x", "message": "Dana Okafor, dana.okafor@example.com"}}
    upstream.fault({"status": 400, "body": echo})
    harness.mapped("rentfeed", tour())
    harness.send()
    harness.mapped("rentfeed", tour(leadId="RF-2", tour={"date": "03/08/2026", "time": "2:30 AM"}))
    try:
        with harness.pipeline.store.transaction() as tx:
            tx.connection.execute("SELECT 'dana.okafor@example.com'::integer")
    except psycopg.DataError as exc:
        logging.getLogger("adapter.test").warning("step_failed", exc_info=exc)

    lines = "\n".join(map(JsonLines().format, caplog.records))
    assert "booking_refused" in lines
    assert "InvalidTextRepresentation" in lines
    for personal in ("okafor", "Okafor", "Dana", "3035550142", "RF-2"):
        assert personal not in lines


def test_an_outcome_is_saved_once_postgresql_is_back(
    harness: Harness, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (booking,) = harness.mapped("rentfeed", tour())
    sender = harness.pipeline.sender
    attempt = sender._next()[0]
    assert isinstance(attempt, Attempt)
    real, failures = harness.pipeline.store.transaction, iter(range(3))

    def away() -> Any:
        if next(failures, None) is not None:
            raise StoreUnavailable("away")
        return real()

    monkeypatch.setattr(harness.pipeline.store, "transaction", away)
    sender._send(attempt)
    monkeypatch.undo()

    assert harness.booking(booking.id).state is BookingState.SUBMITTED
    assert len(upstream.posts()) == 1
