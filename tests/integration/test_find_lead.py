"""Test that a renter's lead is found, whatever its state, with an explanation."""

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Collection
from typing import Any

import pytest

from adapter.operations.find_lead import Hit, LeadFinder, Messages, Result
from adapter.operations.pause import Pauses
from adapter.server.heartbeat import Heart
from adapter.settings import Policy
from adapter.store import Database, Filter
from tests.harness import Harness, settle
from tests.integration.test_erasure import DANA, EMAIL, everything, refuse
from tests.leads import lead
from tests.sandbox_client import SandboxClient
from tests.shell import Shell

SPELLINGS = [EMAIL, "Dana.Okafor@Example.com", "303.555.0142", "+1 (303) 555-0142", "Dana Okafor"]


def found(harness: Harness, word: str, **options: Any) -> Result:
    seconds = options.pop("seconds", 60.0)
    finder = LeadFinder(
        harness.settings, harness.pipeline.store, harness.clock, zone=dt.UTC, seconds=seconds
    )
    return finder.find(word, by="ana", limit=options.pop("limit", 20), **options)


def only(harness: Harness, word: str, **options: Any) -> Hit:
    (hit,) = found(harness, word, **options).hits
    return hit


@pytest.mark.parametrize("word", SPELLINGS)
def test_a_rejected_request_is_found_with_its_reason(harness: Harness, word: str) -> None:
    refuse(harness)
    hit = only(harness, word)
    assert (hit.kind, hit.source, hit.state) == ("rejection", "rentfeed", "signature_mismatch")
    assert hit.cause == (
        "rejected on Mon, Mar 2, 2026, 6:00 PM UTC: "
        "A secret is wrong, or the request was changed after signing."
    )
    assert hit.next == "adapter rejections retry rentfeed --dry-run"


@pytest.mark.parametrize("word", SPELLINGS)
@pytest.mark.parametrize("state", ["received", "ignored", "held", "discarded"])
def test_a_webhook_without_a_booking_is_found(harness: Harness, word: str, state: str) -> None:
    payload: Any = lead(1, **DANA) | ({"isTest": True} if state == "ignored" else {})
    body = json.dumps(payload) + ("," if state in ("held", "discarded") else "")
    event_id = harness.receive("rentfeed", body.encode()).event_id
    if state != "received":
        harness.map_event(event_id)
    if state == "discarded":
        harness.repairs.discard(event_id, "a test", by="ana")
    hit = only(harness, word)
    assert (hit.kind, hit.id, hit.state) == ("webhook", event_id, state)
    assert {
        "received": "it is waiting for a worker",
        "ignored": "ignored: This message is a test, or not a tour request",
        "held": "needs review:",
        "discarded": "discarded by a user",
    }[state] in hit.cause


@pytest.mark.parametrize("word", SPELLINGS)
def test_a_booked_tour_is_found_with_its_local_time(harness: Harness, word: str) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, **DANA))
    assert "is in the send queue; it is not sent: No worker " in only(harness, word).cause
    settle(harness)
    hit = only(harness, word)
    assert (hit.kind, hit.id, hit.person) == ("booking", booking.id, "Dana Okafor")
    assert (
        hit.cause == "the tour on Sat, Mar 14, 2026, 2:30 PM MDT at maple-court is booked in Knock"
    )
    assert only(harness, str(booking.id)) == only(harness, str(booking.event_id)) == hit
    assert only(harness, f"#{booking.id}") == hit
    assert only(harness, harness.booking(booking.id).job_id or "") == hit


def test_a_tour_that_cannot_be_sent_names_what_stops_sending(
    harness: Harness, upstream: SandboxClient
) -> None:
    worker = Heart(harness.pipeline, "worker")
    worker.looked()
    worker.beat()
    upstream.fault({"status": 401})
    harness.mapped("rentfeed", lead(1, **DANA))
    harness.send()
    hit = only(harness, EMAIL)
    assert "it is not sent: Nothing has been sent since" in hit.cause
    assert "Propexo rejects our API token" in hit.cause
    assert hit.next == "adapter stats"


def test_a_tour_whose_community_is_paused_names_who_paused_it(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1, **DANA))
    pauses = Pauses(harness.settings, harness.pipeline.store, harness.clock, "ana")
    pauses.pause("closed for the holidays", source="website")
    assert "paused" not in only(harness, EMAIL).cause
    pauses.pause("closed for the holidays", community="maple-court")
    text = "ana has paused community maple-court: closed for the holidays"
    assert text in only(harness, EMAIL).cause


def test_a_tour_that_another_request_replaced_names_that_one(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", lead(1, **DANA))
    settle(harness)
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", lead(2, day=15, **DANA))
    settle(harness)
    newest, oldest = found(harness, EMAIL).hits
    assert (newest.id, oldest.id) == (second.id, first.id)
    assert f"was canceled in Knock when it booked {second.id}" in oldest.cause
    assert oldest.next == f"adapter show {second.id}"


def test_a_booking_in_review_is_found_by_a_contact_that_no_field_has(harness: Harness) -> None:
    payload = lead(1, name="", mobile="303-555-0142 ext", email="", note=f"write to {EMAIL}")
    (booking,) = harness.mapped("rentfeed", payload | {"agent": {"email": EMAIL}})
    hit = only(harness, EMAIL)
    assert (hit.kind, hit.id, hit.state) == ("booking", booking.id, "held")
    assert "needs review:" in hit.cause


@pytest.mark.parametrize("word", ["José Ñandú", "josé ñan", "RF-88"])
def test_a_name_is_found_in_any_escape(harness: Harness, word: str) -> None:
    payload = {"leadId": "RF-88", "first": "José", "last": "Ñandú", "text": "a \\"}
    for body in (
        json.dumps(payload).encode(),
        json.dumps(payload, ensure_ascii=False).encode(),
        json.dumps({"raw": json.dumps(payload)}).encode(),
        b"id=RF-88&name=Jos%C3%A9+%C3%91and%C3%BA",
        b"<p>RF-88 Jos&eacute; &Ntilde;and&uacute;</p>",
    ):
        harness.map_event(harness.receive("rentfeed", body).event_id)
    assert len(found(harness, word).hits) == 5
    assert found(harness, "José Ramírez").hits == ()
    assert found(harness, "osé").hits == (), "words match from their start"


def test_other_renters_are_not_found(harness: Harness) -> None:
    for body in (
        b'{"oops": "xdana.okafor@example.com",',
        b'{"oops": "dana.okafor@example.com.mx",',
        b'{"oops": 13035550142999,',
    ):
        harness.map_event(harness.receive("rentfeed", body).event_id)
    for word in (EMAIL, "(303) 555-0142"):
        assert found(harness, word).hits == ()


def test_the_search_has_a_period_and_says_so(harness: Harness) -> None:
    refuse(harness)
    harness.mapped("rentfeed", lead(1, **DANA))
    harness.receive("rentfeed", b'{"oops": "dana.okafor@example.com",')
    later = harness.clock() + dt.timedelta(seconds=1)
    assert len(found(harness, EMAIL, until=later).hits) == 3
    result = found(harness, EMAIL, since=later)
    assert result.hits == ()
    assert (result.searched.since, result.searched.is_complete) == (later, True)
    assert harness.clock() - result.searched.payloads_since == dt.timedelta(days=90)


def test_many_webhooks_are_searched_in_pages_and_the_newest_come_first(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.operations.find_lead.PAGE", 3)
    ids = []
    for number in range(10):
        harness.clock.advance(1)
        body = f'{{"oops": "{EMAIL}", "number": {number},'.encode()
        ids.append(harness.receive("rentfeed", body).event_id)
        harness.map_event(ids[-1])
    result = found(harness, EMAIL)
    assert [hit.id for hit in result.hits] == ids[::-1]
    assert (result.searched.webhooks, result.searched.is_complete) == (10, True)
    result = found(harness, EMAIL, limit=4)
    assert [hit.id for hit in result.hits] == ids[:5:-1]
    assert not result.searched.is_complete


def test_the_search_ends_when_its_time_is_up(harness: Harness) -> None:
    refuse(harness)
    harness.receive("rentfeed", f'{{"oops": "{EMAIL}",'.encode())
    result = found(harness, EMAIL, seconds=0)
    assert (result.hits, result.searched.is_complete) == ((), False)


def test_a_request_whose_key_is_missing_is_counted(
    harness: Harness, database: str, upstream: SandboxClient
) -> None:
    key = base64.urlsafe_b64encode(b"1" * 32).decode()
    with Database(database, size=4, keys=[key]) as opened:
        keyed = Harness(opened, upstream, encryption_keys=(key,))
        refuse(keyed)
        keyed.receive("rentfeed", b'{"oops": "dana.okafor@example.com",')
        assert len(found(keyed, EMAIL).hits) == 2
    result = found(harness, EMAIL)
    assert (result.hits, result.searched.unreadable) == ((), 2)


def test_a_short_number_is_searched_in_bookings_only(harness: Harness) -> None:
    harness.receive("rentfeed", b'{"oops": 142,')
    result = found(harness, "142")
    assert (result.hits, result.searched.has_text) == ((), False)
    (booking,) = harness.mapped("rentfeed", lead(1, **DANA))
    assert only(harness, "0142").id == booking.id


def test_the_command_ends_with_the_cause_and_the_next_command(
    harness: Harness, shell: Shell
) -> None:
    refuse(harness)
    harness.mapped("rentfeed", lead(1, **DANA))
    text = shell("find", EMAIL, "--since", "2026-03-01")
    assert "rejected request 1 from rentfeed, received" in text
    assert "A secret is wrong" in text
    assert "next: adapter rejections retry rentfeed --dry-run" in text
    assert "searched: bookings received since Sun, Mar 1, 2026" in text
    data = shell.json("find", EMAIL)
    assert {hit["kind"] for hit in data["hits"]} == {"booking", "rejection"}
    assert {hit["next"] for hit in data["hits"]} >= {"adapter stats"}


def test_the_command_fails_if_nothing_is_found_and_names_no_renter_in_the_audit_log(
    harness: Harness, shell: Shell
) -> None:
    text = shell("find", "nobody@example.com", exit_code=1)
    assert text.startswith("nothing found\nsearched: bookings received at any time")
    assert "0 webhooks without bookings and 0 rejected requests received since" in text
    (act,) = shell.json("audit")["acts"]
    assert (act["action"], act["lead_id"], act["detail"]) == ("searched", None, "0 found")
    assert "nobody" not in everything(harness.pipeline.store)
    assert "at least two characters" in shell("find", " ", exit_code=2)


def test_shared_contacts_are_found_too(harness: Harness) -> None:
    refuse(harness)
    policy = Policy(shared_contacts=frozenset({EMAIL}), placeholder_emails=frozenset({EMAIL}))
    harness.settings = dataclasses.replace(harness.settings, policy=policy)
    assert only(harness, EMAIL).kind == "rejection"


def messages(harness: Harness, word: str, limit: int, listed: Collection[int] = ()) -> Messages:
    finder = LeadFinder(harness.settings, harness.pipeline.store, harness.clock)
    return finder.messages(word, Filter(), listed=listed, limit=limit, by="ana")


def test_leads_that_are_listed_already_do_not_use_up_the_limit(harness: Harness) -> None:
    broken = [
        harness.receive("rentfeed", json.dumps(lead(number)).encode() + b",").event_id
        for number in (1, 2, 3)
    ]
    for number in broken:
        harness.map_event(number)
    held = [harness.mapped("rentfeed", lead(n, time="9:30 PM"))[0].id for n in (4, 5, 6)]

    found = messages(harness, "Dana", 3)
    assert ([one.id for one in found.bookings], found.events) == (held[::-1], ())
    assert not found.searched.is_complete

    found = messages(harness, "Dana", 3, listed=held)
    assert ([one.id for one in found.events], found.bookings) == (broken[::-1], ())
    assert found.searched.is_complete

    found = messages(harness, "Dana", 2, listed=held)
    assert ([one.id for one in found.events], found.searched.is_complete) == (broken[:0:-1], False)
