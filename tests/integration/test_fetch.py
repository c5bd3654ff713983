"""Test ``fetch:`` with a real API server: webhooks that contain only IDs become tours."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.bookings import fetch_documents
from adapter.models import BookingState, EventState
from adapter.settings import Policy
from adapter.store import Database
from tests.harness import Harness
from tests.json_api import JsonApi, running_json_api
from tests.sandbox_client import SandboxClient

COMMUNITIES = """
maple-court:
  integration_id: int_7Qm2
  community_id: com_maple
  timezone: America/Denver
  attributions: { thin: att_website_m }
  known_as: { thin: [maple-court] }
"""
MAPPING = """
signature: {{ preset: github, secrets: [SECRET] }}
accept: {{ object: tour }}
fetch:
  tour: {{ get: "{url}/v1/tours/{{entry.id}}", token: API_TOKEN }}
for_each: {{ entry: entries }}
dedupe: entry.id
community: tour.place
appointment:
  first_name: tour.renter.first
  last_name: tour.renter.last
  email_1: tour.renter.email
  starts_at: tour.at
tests:
  - name: a booking
    payload: {{ object: tour, entries: [ {{ id: 7 }} ] }}
    fetched:
      "{url}/v1/tours/7":
        place: maple-court
        renter: {{ first: Dana, last: Okafor, email: dana@example.com }}
        at: 2027-03-14T14:30
    expect_some: {{ first_name: Dana, appointment_date: 2027-03-14 }}
"""


def document(**changes: Any) -> dict[str, Any]:
    renter = {"first": "Dana", "last": "Okafor", "email": "dana@example.com"}
    return {"place": "maple-court", "renter": renter, "at": "2026-03-14T14:30"} | changes


@pytest.fixture
def api() -> Iterator[JsonApi]:
    with running_json_api() as api:
        api.documents["/v1/tours/7"] = document()
        yield api


@pytest.fixture
def thin(opened: Database, upstream: SandboxClient, tmp_path: Path, api: JsonApi) -> Harness:
    """Return a harness with one source whose webhooks contain only IDs."""
    return harness_for(opened, upstream, tmp_path, api)


def harness_for(
    opened: Database, upstream: SandboxClient, folder: Path, api: JsonApi, **settings: Any
) -> Harness:
    (folder / "communities.yaml").write_text(COMMUNITIES)
    (folder / "thin.yaml").write_text(MAPPING.format(url=api.url))
    harness = Harness(opened, upstream, Policy(), folder, **{"fetch_private": True, **settings})
    harness.settings.environ["API_TOKEN"] = "the-token"  # type: ignore[index]
    return harness


def webhook(*ids: object) -> dict[str, Any]:
    return {"object": "tour", "entries": [{"id": one} for one in ids]}


def map_until(thin: Harness, seconds: float = 0) -> None:
    """Map the due events, and map them again after a fetch has stored their documents."""
    thin.clock.advance(seconds)
    while thin.pipeline.mapper.map_due():
        pass


def test_a_webhook_with_only_ids_becomes_a_tour(thin: Harness, api: JsonApi) -> None:
    event_id = thin.receive("thin", webhook(7)).event_id
    map_until(thin)

    (booking,) = thin.story(event_id).bookings
    assert booking.state is BookingState.PENDING, booking.reasons
    assert booking.appointment["email_1"] == "dana@example.com"
    assert booking.starts_at == dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)
    assert api.requests == [("/v1/tours/7", "Bearer the-token")]


def test_each_item_has_its_own_document(thin: Harness, api: JsonApi) -> None:
    renter = {"first": "Kim", "last": "Ito", "email": "kim@example.com"}
    api.documents["/v1/tours/8"] = document(renter=renter)
    event_id = thin.receive("thin", webhook(7, 8)).event_id
    map_until(thin)

    names = [one.appointment["first_name"] for one in thin.story(event_id).bookings]
    assert names == ["Dana", "Kim"]
    assert len(api.requests) == 2


def test_an_ignored_webhook_fetches_nothing(thin: Harness, api: JsonApi) -> None:
    event_id = thin.receive("thin", {"object": "page", "entries": [{"id": 7}]}).event_id
    map_until(thin)

    assert thin.story(event_id).event.state is EventState.IGNORED
    assert api.requests == []


@pytest.mark.parametrize("answer", [500, 503, 429, 401, 403, 302, "text", "long"])
def test_a_failure_is_retried(thin: Harness, api: JsonApi, answer: int | str) -> None:
    api.answers = [answer, answer]
    event_id = thin.receive("thin", webhook(7)).event_id
    map_until(thin)
    assert thin.story(event_id).event.state is EventState.RECEIVED, "it waits for its document"
    map_until(thin, 11)
    map_until(thin, 21)

    (booking,) = thin.story(event_id).bookings
    assert booking.state is BookingState.PENDING
    assert len(api.requests) == 3


def test_a_host_that_never_responds_costs_ten_seconds_and_no_lead(
    thin: Harness, api: JsonApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_documents, "TIMEOUT_SECONDS", 0.2)
    api.answers = ["hang"]
    event_id = thin.receive("thin", webhook(7)).event_id
    map_until(thin)
    map_until(thin, 11)

    assert [one.state for one in thin.story(event_id).bookings] == [BookingState.PENDING]


def test_retry_after_is_respected(thin: Harness, api: JsonApi) -> None:
    api.answers, api.headers = [429], {"Retry-After": "300"}
    event_id = thin.receive("thin", webhook(7)).event_id
    map_until(thin)
    map_until(thin, 200)
    assert len(api.requests) == 1
    map_until(thin, 101)

    assert [one.state for one in thin.story(event_id).bookings] == [BookingState.PENDING]


def test_a_document_that_does_not_exist_goes_to_a_person_at_once(
    thin: Harness, api: JsonApi
) -> None:
    event_id = thin.receive("thin", webhook(9)).event_id
    map_until(thin)

    story = thin.story(event_id)
    (booking,) = story.bookings
    assert booking.state is BookingState.HELD
    texts = [reason.reason for reason in booking.reasons]
    assert "127.0.0.1 did not return it: HTTP 404 Not Found" in texts


def test_after_an_hour_it_goes_to_a_person_and_a_replay_fetches_again(
    thin: Harness, api: JsonApi
) -> None:
    api.answers = [500] * 50
    event_id = thin.receive("thin", webhook(7)).event_id
    for _ in range(12):
        map_until(thin, 601)
    story = thin.story(event_id)
    assert [one.state for one in story.bookings] == [BookingState.HELD]
    assert 5 < len(api.requests) < 20

    api.answers = []
    replays = thin.replays
    replays.replay(event_id, by="dana", dry_run=False)
    states = [one.state for one in thin.story(event_id).bookings]
    assert states == [BookingState.SUPERSEDED, BookingState.PENDING]


def test_an_event_from_before_an_outage_is_tried_more_than_once(
    thin: Harness, api: JsonApi
) -> None:
    api.answers = [500, 500]
    event_id = thin.receive("thin", webhook(7)).event_id
    thin.clock.advance(2 * 3600)
    for _ in range(3):
        map_until(thin, 601)

    assert [one.state for one in thin.story(event_id).bookings] == [BookingState.PENDING]


def test_the_document_is_encrypted_and_read_again(
    opened: Database, upstream: SandboxClient, tmp_path: Path, api: JsonApi
) -> None:
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    with Database(opened.url, keys=[key]) as store:
        thin = harness_for(store, upstream, tmp_path, api)
        event_id = thin.receive("thin", webhook(7)).event_id
        map_until(thin)
        assert "dana@example.com" in str(thin.story(event_id).event.fetched)
        with opened.transaction() as tx:
            row = tx.connection.execute(
                "SELECT fetched, encode(body, 'escape') AS body FROM events WHERE id = %s",
                [event_id],
            ).fetchone()
        assert row is not None
        assert "dana" not in str(dict(row))


def test_private_hosts_are_refused_unless_the_setting_allows_them(
    opened: Database,
    upstream: SandboxClient,
    tmp_path: Path,
    api: JsonApi,
    caplog: pytest.LogCaptureFixture,
) -> None:
    thin = harness_for(opened, upstream, tmp_path, api, fetch_private=False)
    thin.receive("thin", webhook(7))
    map_until(thin)

    assert api.requests == []
    (record,) = [one for one in caplog.records if one.message == "fetch_failed"]
    assert "set ADAPTER_FETCH_PRIVATE=yes" in record.__dict__["reason"]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("a/../../admin", "/v1/tours/a%2F..%2F..%2Fadmin"),
        ("7?x=1#y", "/v1/tours/7%3Fx%3D1%23y"),
        ("7\r\nHost: b", "/v1/tours/7%20Host%3A%20b"),
        ("@evil.example.com/", "/v1/tours/%40evil.example.com%2F"),
    ],
)
def test_a_value_cannot_leave_its_place_in_the_url(
    thin: Harness, api: JsonApi, written: str, path: str
) -> None:
    thin.receive("thin", webhook(written))
    map_until(thin)

    assert [one for one, _ in api.requests] == [path]


@pytest.mark.parametrize("written", ["..", ".", "", None, True, {"a": 1}])
def test_nothing_is_fetched_without_a_usable_value(
    thin: Harness, api: JsonApi, written: object
) -> None:
    event_id = thin.receive("thin", webhook(written)).event_id
    map_until(thin)

    assert api.requests == []
    assert thin.story(event_id).event.state is not EventState.RECEIVED


def test_a_missing_token_is_named(thin: Harness, api: JsonApi) -> None:
    del thin.settings.environ["API_TOKEN"]  # type: ignore[attr-defined]
    event_id = thin.receive("thin", webhook(7)).event_id
    map_until(thin)

    (booking,) = thin.story(event_id).bookings
    texts = [reason.reason for reason in booking.reasons]
    assert "127.0.0.1 did not return it: API_TOKEN is not set" in texts
    assert api.requests == []


def test_each_missing_document_is_retried_even_if_another_item_is_complete(
    thin: Harness, api: JsonApi
) -> None:
    renter = {"first": "Kim", "last": "Ito", "email": "kim@example.com"}
    api.documents["/v1/tours/8"] = document(renter=renter)
    api.answers = [200, 503]
    event_id = thin.receive("thin", webhook(7, 8)).event_id
    map_until(thin)
    map_until(thin, 11)

    states = [one.state for one in thin.story(event_id).bookings]
    assert states == [BookingState.PENDING, BookingState.PENDING]


def test_more_documents_than_one_run_fetches(thin: Harness, api: JsonApi) -> None:
    for number in range(12):
        renter = {"first": "Kim", "last": "Ito", "email": f"kim{number}@example.com"}
        api.documents[f"/v1/tours/{number}"] = document(renter=renter)
    event_id = thin.receive("thin", webhook(*range(12))).event_id
    map_until(thin)

    states = {one.state for one in thin.story(event_id).bookings}
    assert states == {BookingState.PENDING}
    assert len(api.requests) == 12


def test_our_own_limit_is_never_a_reason_to_give_up(thin: Harness, api: JsonApi) -> None:
    for number in range(70):
        api.documents[f"/v1/tours/{number}"] = document()
        thin.receive("thin", webhook(number))
    thin.clock.advance(2 * 3600)
    map_until(thin)
    map_until(thin, 61)

    for _ in range(80):
        map_until(thin, 2)

    assert len(api.requests) == 70


def test_a_source_that_does_not_respond_does_not_hold_up_its_own_queue(
    thin: Harness, api: JsonApi
) -> None:
    """Check that after a failure, the source's other events wait and send no requests."""
    api.documents["/v1/tours/8"] = document()
    api.answers = [503]
    thin.receive("thin", webhook(7))
    thin.receive("thin", webhook(8))
    map_until(thin)
    assert len(api.requests) == 1
    map_until(thin, 11)

    assert len(api.requests) == 3


def test_documents_have_a_total_size(thin: Harness, api: JsonApi) -> None:
    for number in range(3):
        api.documents[f"/v1/tours/{number}"] = document(padding="x" * 500_000)
    event_id = thin.receive("thin", webhook(0, 1, 2)).event_id
    map_until(thin)

    stored = thin.story(event_id).event.fetched or ""
    assert len(stored) < 1_100_000
    assert "the documents are too large" in stored
