"""Check that erased data is gone from every column of every table."""

import dataclasses
import datetime as dt
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote_plus

import pytest
from click.testing import CliRunner

from adapter import signatures
from adapter.cli import commands
from adapter.exceptions import VerificationError
from adapter.models import BookingState, KnockFacts, WebhookRequest
from adapter.operations.contact_matcher import Contact
from adapter.operations.erase_personal_data import BATCH, Eraser, Found
from adapter.operations.replay import Replays
from adapter.store import SIGN_IN_WINDOW, Database
from adapter.webhooks.endpoints import build_endpoint
from tests.harness import Harness, sample, settle
from tests.leads import lead
from tests.sandbox_client import SandboxClient
from tests.wait import is_waiting_for_keys, wait_until

EMAIL = "dana.okafor@example.com"
PHONE = "+13035550142"
DANA: dict[str, Any] = {"name": "Dana Okafor", "email": EMAIL, "phone": "(303) 555-0142"}
#: The personal data in all spellings.
TRACES = ("okafor", "dana.okafor", "5550142", "555-0142", "covered parking")


def erasure(harness: Harness) -> Eraser:
    return Eraser(harness.settings, harness.pipeline.store, harness.clock)


def find(harness: Harness, contact: Contact) -> Found:
    return erasure(harness).find(contact, lambda read, total: None)


def everything(store: Database) -> str:
    """Return all rows of all our tables as one lowercase string."""
    with store.transaction() as tx:
        names = tx.connection.execute(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        rows = []
        for row in names:
            found = tx.connection.execute(f'SELECT * FROM "{row["name"]}"').fetchall()
            rows += [str(value) for one in found for value in one.values()]
    return "\n".join(rows).lower()


def traces(harness: Harness) -> list[str]:
    text = everything(harness.pipeline.store)
    return [trace for trace in TRACES if trace in text]


def refuse(harness: Harness) -> None:
    """Send a request with an invalid signature, which is stored as a rejection."""
    source = harness.pipeline.sources["rentfeed"]
    request = WebhookRequest(
        method="POST",
        url="https://adapter.example.com/hooks/rentfeed",
        headers={"Content-Type": "application/json"},
        body=json.dumps(lead(7, **DANA)).encode(),
    )
    signed = signatures.sign(source.signature, "wrong", request, harness.clock().timestamp())
    with pytest.raises(VerificationError):
        harness.pipeline.receiver.verify(build_endpoint(source, harness.settings), signed)
    harness.pipeline.receiver.background_writer.flush()


@pytest.mark.parametrize("contact", [Contact.from_email(EMAIL), Contact.from_phone(PHONE)])
def test_a_renters_data_is_deleted_everywhere_on_request(
    harness: Harness, upstream: SandboxClient, contact: Contact
) -> None:
    payload = lead(1, **DANA)
    (booked,) = harness.mapped("rentfeed", payload)
    settle(harness)
    (waits,) = harness.mapped("rentfeed", lead(2, day=15, time="2:30 AM", **DANA))
    harness.mapped(
        "rentfeed", b'{"oops": "call Dana Okafor, 303.555.0142 / dana.okafor@example.com"'
    )
    refuse(harness)
    harness.mapped("rentfeed", lead(3) | {"comments": ""})
    assert traces(harness)

    found = find(harness, contact)
    assert (len(found.events), len(found.rejections)) == (3, 1)
    assert erasure(harness).erase(found, by="ana") == []

    assert traces(harness) == []
    assert harness.state(booked.id) is BookingState.BOOKED
    assert harness.state(waits.id) is BookingState.DISCARDED
    assert harness.booking(booked.id).appointment["community_id"] == "com_maple"
    assert "person3@example.com" in everything(harness.pipeline.store)
    assert find(harness, contact) == Found(events=(), rejections=())
    # Repeating the webhook does not restore the data.
    assert harness.receive("rentfeed", payload).is_duplicate
    assert traces(harness) == []


def test_a_rare_key_is_erased_with_its_webhook(harness: Harness) -> None:
    for number in range(25):
        harness.receive("rentfeed", lead(number))
    event_id = harness.receive("rentfeed", lead(90) | {"for": {"Dana Okafor": 1}}).event_id
    harness.pipeline.count_formats()
    with harness.pipeline.store.transaction() as tx:
        before = {row["name"] for row in tx.formats.counts(["rentfeed"])[1]}
        tx.erasure.erase_payloads([event_id])
        after = {row["name"] for row in tx.formats.counts(["rentfeed"])[1]}
    assert before - after == {"for.Dana Okafor"}


def test_an_erased_lead_is_not_replayed(harness: Harness) -> None:
    (waits,) = harness.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))
    erasure(harness).erase(find(harness, Contact.from_email(EMAIL)), by="ana")
    replays = harness.replays
    refused = replays.replay(waits.event_id, by="ana", dry_run=False, forced_because="again")
    assert refused.refusal == "its payload was erased"


def test_bookings_in_flight_are_kept_and_listed(harness: Harness, upstream: SandboxClient) -> None:
    upstream.fault({"job": "PENDING"})
    (booking,) = harness.mapped("rentfeed", lead(1, **DANA))
    harness.send()
    left = erasure(harness).erase(find(harness, Contact.from_email(EMAIL)), by="ana")

    assert left == [booking.event_id]
    assert traces(harness)


def test_a_tour_that_is_requested_during_the_erasure_is_erased_too(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    found = find(harness, Contact.from_email(first.appointment["email_1"]))
    store, now = harness.pipeline.store, harness.clock()
    with ThreadPoolExecutor(1) as pool:
        with store.transaction() as tx:
            tx.bookings.lock_related([first], now)
            erasing = pool.submit(lambda: erasure(harness).erase(found, by="ana"))
            wait_until(lambda: is_waiting_for_keys(store), "the erasure waits")
            tx.bookings.insert(
                dataclasses.replace(first, state=BookingState.HELD, due_at=None), 1, now=now
            )
        assert erasing.result(timeout=30) == []
    _, second = harness.story(first.event_id).bookings
    assert (second.state, second.reason) == (BookingState.DISCARDED, "erased")
    assert "email_1" not in second.appointment


@pytest.mark.parametrize("is_replay", [True, False])
def test_an_erasure_does_not_deadlock_with_another_writer_of_the_same_webhook(
    harness: Harness, is_replay: bool
) -> None:
    """Check that both lock the event before its people, because different orders could deadlock."""
    (waits,) = harness.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))
    store, sources = harness.pipeline.store, harness.pipeline.sources
    replays = Replays(harness.settings, store, sources, harness.clock)

    def write() -> object:
        if is_replay:
            return replays.replay(waits.event_id, by="ana", dry_run=False).refusal
        return erasure(harness).older_than(0, by="ana", progress=print)

    found = find(harness, Contact.from_email(EMAIL))
    if not is_replay:
        harness.clock.advance(24 * 3600 * 30)  # the tour is over
    with ThreadPoolExecutor(2) as pool:
        with store.transaction() as tx:
            tx.bookings.lock_related([waits], harness.clock())
            erasing = pool.submit(lambda: erasure(harness).erase(found, by="ana"))
            wait_until(lambda: is_waiting_for_keys(store), "the erasure waits")
            writing = pool.submit(write)
            wait_until(lambda: writing.done() or _waiting(store) == 2, "the other one waits")
        assert erasing.result(timeout=30) == []
        assert writing.result(timeout=30) == ("its payload was erased" if is_replay else 0)
    assert traces(harness) == []


def _waiting(store: Database) -> int:
    query = "SELECT count(*) AS number FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with store.statement() as tx:
        row = tx.connection.execute(query).fetchone()
    return int(row["number"]) if row else 0


@pytest.mark.parametrize("times", [("2:30 PM", "2:30 PM"), ("2:30 PM", "4:00 PM")])
def test_what_was_merged_with_or_replaced_by_an_erased_lead_is_decided_again(
    harness: Harness, upstream: SandboxClient, times: tuple[str, str]
) -> None:
    upstream.fault({"status": 400}, {"status": 400})
    both = [
        harness.mapped("rentfeed", lead(number, time=time, **DANA))[0]
        for number, time in enumerate(times)
    ]
    harness.send()
    gone, waits = sorted(both, key=lambda one: harness.state(one.id) is not BookingState.FAILED)
    assert harness.booking(waits.id).because_of == gone.id
    assert erasure(harness).erase(Found(events=(gone.event_id,), rejections=()), by="ana") == []

    again = harness.booking(waits.id)
    assert (again.state, again.reason) == (BookingState.HELD, "original_dismissed")
    assert harness.story(gone.id).event.kept == "nothing"


@pytest.mark.parametrize("is_reversed", [False, True])
def test_no_erased_lead_is_revived_when_the_one_that_replaced_it_is_erased(
    harness: Harness, upstream: SandboxClient, is_reversed: bool
) -> None:
    both = [
        harness.mapped("rentfeed", lead(number, time=time, **DANA))[0]
        for number, time in enumerate(("2:30 PM", "4:00 PM"))
    ]
    assert harness.state(both[0].id) is BookingState.SUPERSEDED
    found = find(harness, Contact.from_email(EMAIL))
    if is_reversed:
        found = Found(events=found.events[::-1], rejections=())
    assert erasure(harness).erase(found, by="ana") == []

    assert [harness.state(one.id) for one in both] == [BookingState.DISCARDED] * 2
    assert [harness.booking(one.id).reason for one in both] == ["erased"] * 2
    assert traces(harness) == []


def test_a_webhook_of_which_one_tour_is_on_its_way_is_left_as_it_is(
    harness: Harness, upstream: SandboxClient
) -> None:
    payload = sample("leasebot-handoff.json")
    payload["handoff"]["tours"][0]["property"] = "Elm Row"
    held, sent = harness.mapped("leasebot", payload)
    upstream.fault({"job": "PENDING"})
    harness.send()
    assert harness.state(sent.id) is BookingState.SUBMITTED
    found = Found(events=(held.event_id,), rejections=())
    assert erasure(harness).erase(found, by="ana") == [held.event_id]
    assert harness.state(held.id) is BookingState.HELD


def test_texts_that_a_user_wrote_are_deleted_too(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(
            booking.id,
            BookingState.DISCARDED,
            why="Dana Okafor rang us",
            now=harness.clock(),
            by="ana",
        )
    erasure(harness).erase(find(harness, Contact.from_email(EMAIL)), by="ana")
    assert traces(harness) == []


def forget(harness: Harness) -> None:
    while erasure(harness).forget_old():
        pass


def test_payloads_go_first_and_people_later_once_the_tour_is_over(harness: Harness) -> None:
    (booked,) = harness.mapped("rentfeed", lead(1, **DANA))
    settle(harness)
    refuse(harness)
    harness.clock.advance(89 * 86400)
    forget(harness)
    assert harness.story(booked.id).event.body

    harness.clock.advance(2 * 86400)
    forget(harness)
    story = harness.story(booked.id)
    assert (story.event.kept, story.event.body, dict(story.event.headers)) == ("lead", b"", {})
    assert story.attempts[booked.id][0].request == {}
    assert booked.appointment["last_name"] == "Okafor"
    with harness.pipeline.store.transaction() as tx:
        assert tx.rejections.newest() == []

    harness.clock.advance(640 * 86400)
    forget(harness)
    assert harness.story(booked.id).event.kept == "nothing"
    assert traces(harness) == []
    assert [change.to_state for change in harness.story(booked.id).history][-1] == "booked"


def test_upcoming_tours_and_pending_bookings_are_kept_at_any_age(harness: Harness) -> None:
    (far,) = harness.mapped("rentfeed", lead(1, **DANA))
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE events SET received_at = received_at - interval '1000 days'")
    forget(harness)
    assert harness.story(far.id).event.kept == "all"

    settle(harness)
    forget(harness)
    assert harness.story(far.id).event.kept == "all"

    harness.clock.advance(13 * 86400)
    forget(harness)
    assert harness.story(far.id).event.kept == "nothing"


def test_a_tour_that_knock_moved_is_kept_until_its_new_time(harness: Harness) -> None:
    (tour,) = harness.mapped("rentfeed", lead(1, **DANA))
    settle(harness)
    assert tour.starts_at is not None
    to = tour.starts_at + dt.timedelta(days=7)
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE events SET received_at = received_at - interval '1000 days'")
        facts = KnockFacts(moved_to=to, moved_at=harness.clock(), why="moved_in_knock")
        tx.bookings.record_in_knock(tour, facts, by="web", now=harness.clock())
    harness.clock.advance(13 * 86400)
    forget(harness)
    assert harness.story(tour.id).event.kept == "all"
    harness.clock.advance(7 * 86400)
    forget(harness)
    assert harness.story(tour.id).event.kept == "nothing"


def test_everything_older_than_some_days_is_erased_in_batches(harness: Harness) -> None:
    events = [harness.mapped("rentfeed", lead(number))[0].event_id for number in range(5)]
    settle(harness)
    harness.clock.advance(30 * 86400)
    (young,) = harness.mapped("rentfeed", lead(9, day=14))
    heard: list[int] = []
    count = erasure(harness).older_than(20, by="ana", progress=heard.append)

    assert (count, heard) == (5, [5])
    assert {harness.story(event).event.kept for event in events} == {"nothing"}
    assert harness.story(young.id).event.kept == "all"


JSON = json.dumps


@pytest.mark.parametrize(
    ("data", "is_named"),
    [
        (b"mail dana.okafor@example.com now", True),
        (b"DANA.OKAFOR@EXAMPLE.COM", True),
        (JSON({"note": "write to\ndana.okafor@example.com"}).encode(), True),
        (rb'{"e": "dana.okafor\u0040example.com"}', True),
        (JSON({"slots": JSON({"mail": EMAIL})}).encode(), True),
        (f"email={quote_plus(EMAIL)}&x=1".encode(), True),
        (b"<email>dana.okafor&#64;example.com</email>", True),
        (b"\xff\xfe dana.okafor@example.com", True),
        (b"to dana.okafor@example.com.", True),
        (b"jordana.okafor@example.com", False),
        (b"dana.okafor@example.community", False),
        (b"dana.okafor@example.com.mx", False),
        (b"danaXokafor@example.com", False),
        (b"", False),
    ],
    ids=str,
)
def test_an_address_is_found_however_it_is_written(data: bytes, is_named: bool) -> None:
    assert Contact.from_email(EMAIL).is_in(data) is is_named


@pytest.mark.parametrize(
    ("data", "is_named"),
    [
        (b"+13035550142", True),
        (b"(303) 555-0142", True),
        (b"1-303-555-0142", True),
        (b"303.555.0142 x12", True),
        (JSON({"phone": 3035550142}).encode(), True),
        (b"phone=%28303%29+555-0142", True),
        (b"93035550142", False),
        (b"30355501423", False),
        (b"303 555 0143", False),
        (b"0113035550142", False),
        (b"00 1 303 555 0142", True),
    ],
    ids=str,
)
def test_a_number_is_found_however_it_is_written(data: bytes, is_named: bool) -> None:
    assert Contact.from_phone(PHONE).is_in(data) is is_named


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "specify exactly one of --email, --phone and --older-than"),
        (["--email", EMAIL, "--phone", PHONE], "specify exactly one of"),
        (["--email", "dana"], "not an email address"),
        (["--email", "none@none.com"], "is a placeholder"),
        (["--phone", "12"], "not a valid phone number"),
        (["--older-than", "30", "--dry-run"], "--dry-run requires"),
    ],
    ids=str,
)
def test_wrong_usage_is_explained(arguments: list[str], text: str) -> None:
    ended = CliRunner().invoke(commands, ["purge", *arguments])
    assert ended.exit_code == 2
    assert text in ended.output


def test_the_command_confirms_erases_and_reports(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", harness.pipeline.store.url)
    (waits,) = harness.mapped("rentfeed", lead(1, time="2:30 AM", **DANA))

    def run(*more: str, answer: str = "") -> Any:
        return CliRunner().invoke(commands, ["purge", "--email", EMAIL, *more], input=answer)

    dry = run("--dry-run", "--json")
    assert json.loads(dry.stdout)["events"] == [waits.event_id]
    assert run(answer="n\n").exit_code == 1
    assert traces(harness)
    erased = run("--by", "ana", answer="y\n")
    assert erased.exit_code == 0, erased.output
    assert f"event {waits.event_id}" in erased.stdout
    assert traces(harness) == []
    assert harness.story(waits.event_id).history[-1].by == "ana"
    assert dt.timedelta(0) <= harness.clock() - harness.story(waits.event_id).event.received_at


def test_old_failed_sign_ins_and_audit_entries_are_deleted(harness: Harness) -> None:
    def kept() -> tuple[int, int]:
        with harness.pipeline.store.transaction() as tx:
            failures = tx.connection.execute("SELECT FROM failed_sign_ins").rowcount
            return failures, len(tx.audit.entries(limit=1000))

    with harness.pipeline.store.transaction() as tx:
        tx.users.record_failure(
            [f"somebody {number}" for number in range(BATCH + 1)], now=harness.clock()
        )
        tx.audit.record("looked", by="ana", at=harness.clock())
    harness.pipeline.recover()
    assert kept() == (BATCH + 1, 1), "what counts is kept"
    harness.clock.advance(SIGN_IN_WINDOW.total_seconds() + 1)
    harness.pipeline.recover()
    assert kept() == (1, 1), "a batch at a time"
    harness.pipeline.recover()
    assert kept() == (0, 1)
    harness.clock.advance(harness.settings.lead_days * 86400 - SIGN_IN_WINDOW.total_seconds() - 10)
    harness.pipeline.recover()
    assert kept() == (0, 1)
    harness.clock.advance(20)
    harness.pipeline.recover()
    assert kept() == (0, 0)
