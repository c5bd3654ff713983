"""Test the sandbox over real HTTP: validation, the simulated Knock, and faults."""

import concurrent.futures
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import yaml

from adapter.exceptions import ConfigurationError
from adapter.sandbox import Server, create_app
from adapter.sandbox.catalog import catalog_from
from adapter.store.child_processes import popen
from tests.paths import SHARED
from tests.sandbox_calls import ALICE, APPOINTMENTS, OMITTED, Client, ManualClock

OPENAPI = SHARED / "domain/propexo-knock.openapi.yaml"
PROSPECTS = "/crm/v1/prospects/knock"
NOTE_PATH = "/crm/v1/events/knock/"

FULL = ALICE | {
    "move_in_date": "2027-01-15",
    "number_of_occupants": 2,
    "lease_term_in_months": 12,
    "rent_minimum_in_cents": 150000,
    "rent_maximum_in_cents": 250000,
    "notes": "two cats",
    "desired_num_bedrooms": [0, 1],
    "pets": [],
}
CARD = {k: v for k, v in FULL.items() if not k.startswith("appointment_")}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def serve(clock: ManualClock) -> Iterator[Callable[..., Client]]:
    """Return a function that serves sandboxes until the test ends."""
    servers = []

    def start(**options: Any) -> Client:
        app = create_app(**{"clock": clock, "limit_per_minute": 10_000, **options})
        servers.append(Server(app).__enter__())
        return Client(servers[-1].url)

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def client(serve: Callable[..., Client]) -> Client:
    return serve()


def issues_of(answer: requests.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("invalid_request", "invalid request")
    assert error["details"]["details"]["name"] == "ZodError"
    return list(error["details"]["details"]["issues"])


# Jobs


def test_a_booking_is_a_job_that_succeeds_when_its_time_has_passed(
    client: Client, clock: ManualClock
) -> None:
    answer = client.book()
    assert answer.json() == {"meta": {"job_id": answer.json()["meta"]["job_id"]}, "result": {}}
    job_id = answer.json()["meta"]["job_id"]
    clock.move(0.4)
    pending: dict[str, Any] = {"write_status": "PENDING", "errors": [], "created_record_id": None}
    assert client.status(job_id) == pending
    clock.move(0.1)
    [appointment] = client.appointments()
    done = {"write_status": "SUCCESS", "errors": [], "created_record_id": appointment["id"]}
    assert client.status(job_id) == done


def test_the_appointment_is_stored_as_posted(client: Client) -> None:
    job_id = client.job()
    [appointment] = client.appointments()
    assert {k: v for k, v in appointment.items() if k not in ("id", "prospect_id")} == {
        "job_id": job_id,
        "integration_id": "int-1",
        "community_id": "com-1",
        "attribution_id": "att-1",
        "person": {
            "first_name": "Alice",
            "last_name": "Example",
            "email_1": "alice@example.com",
            "phone_1": "+12065550155",
        },
        "starts_at": "2026-12-01T18:30:00Z",
        "status": "booked",
        "canceled_by": None,
        "confirmations": 1,
        "request": ALICE,
        "created_at": "2026-11-23T12:00:00Z",
    }


def test_an_unknown_job_is_refused_in_the_error_shape(client: Client) -> None:
    answer = client.call("GET", "/v1/admin/write-status/nothing")
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": {"code": "invalid_request", "message": "no write has this job ID"}},
    )


def test_the_write_log_lists_ended_jobs_newest_first(client: Client, clock: ManualClock) -> None:
    client.fault({}, {"job": "FAILURE", "errors": ["slot taken", "too soon"]}, {"job": "PENDING"})
    first, second, stuck = client.job(), client.job(integration_id="int-2"), client.job()
    path = "/v1/admin/logs/writes/"
    assert client.get(path) == {"results": {"logs": []}}, "nothing has ended"
    clock.move(1)
    logs = client.get(path)["results"]["logs"]
    assert [(log["job_id"], log["status"], log["error"]) for log in logs] == [
        (second, "FAILURE", "slot taken; too soon"),
        (first, "SUCCESS", None),
    ]
    assert logs[1]["parameters"] == ALICE
    assert stuck not in {log["job_id"] for log in logs}
    assert len(client.get(path, status="SUCCESS")["results"]["logs"]) == 1
    assert len(client.get(path, integration_id="int-2")["results"]["logs"]) == 1
    assert len(client.get(path, limit=1, offset=1)["results"]["logs"]) == 1
    clock.move(3600)
    assert client.get(path, time_range="hour") == {"results": {"logs": []}}
    assert len(client.get(path, time_range="day")["results"]["logs"]) == 2


# Validation

REFUSED = [
    ("integration_id", OMITTED, "invalid_type", ["integration_id"], "Required"),
    ("community_id", OMITTED, "invalid_type", ["community_id"], "Required"),
    ("attribution_id", OMITTED, "invalid_type", ["attribution_id"], "Required"),
    ("last_name", OMITTED, "invalid_type", ["last_name"], "Required"),
    ("appointment_date", OMITTED, "invalid_type", ["appointment_date"], "Required"),
    ("appointment_time", OMITTED, "invalid_type", ["appointment_time"], "Required"),
    ("foo", 1, "unrecognized_keys", [], "Unrecognized key(s) in object: 'foo'"),
    ("notes", None, "invalid_type", ["notes"], "Expected string, received null"),
    ("last_name", 7, "invalid_type", ["last_name"], "Expected string, received number"),
    ("last_name", True, "invalid_type", ["last_name"], "Expected string, received boolean"),
    ("last_name", [], "invalid_type", ["last_name"], "Expected string, received array"),
    ("last_name", {}, "invalid_type", ["last_name"], "Expected string, received object"),
    ("number_of_occupants", "2", "invalid_type", ["number_of_occupants"],
     "Expected number, received string"),
    ("number_of_occupants", 1.5, "invalid_type", ["number_of_occupants"],
     "Expected integer, received float"),
    ("number_of_occupants", True, "invalid_type", ["number_of_occupants"],
     "Expected number, received boolean"),
    ("lease_term_in_months", 0, "too_small", ["lease_term_in_months"],
     "Number must be greater than or equal to 1"),
    ("lease_term_in_months", 19, "too_big", ["lease_term_in_months"],
     "Number must be less than or equal to 18"),
    ("rent_minimum_in_cents", 0, "too_small", ["rent_minimum_in_cents"],
     "Number must be greater than or equal to 1"),
    ("rent_maximum_in_cents", 0, "too_small", ["rent_maximum_in_cents"],
     "Number must be greater than or equal to 1"),
    ("notes", "x" * 1001, "too_big", ["notes"], "String must contain at most 1000 character(s)"),
    # 501 characters beyond the basic plane are 1002 units in JavaScript.
    ("notes", "\U0001f600" * 501, "too_big", ["notes"],
     "String must contain at most 1000 character(s)"),
    ("phone_1", "(206) 555-0155", "invalid_string", ["phone_1"], "Invalid"),
    ("phone_1", "2065550155\n", "invalid_string", ["phone_1"], "Invalid"),
    ("phone_1", "٢٠٦٥٥٥٠١٥٥", "invalid_string", ["phone_1"], "Invalid"),
    ("phone_1", "1" * 51, "invalid_string", ["phone_1"], "Invalid"),
    ("appointment_time", "9:30:00", "invalid_string", ["appointment_time"], "Invalid"),
    ("appointment_time", "10:30", "invalid_string", ["appointment_time"], "Invalid"),
    ("appointment_time", "24:00:00", "invalid_string", ["appointment_time"], "Invalid"),
    ("appointment_time", "10:30:00Z", "invalid_string", ["appointment_time"], "Invalid"),
    ("appointment_date", "12/01/2026", "invalid_union", ["appointment_date"], "Invalid input"),
    ("appointment_date", "2026-02-30", "invalid_union", ["appointment_date"], "Invalid input"),
    ("appointment_date", "20261201", "invalid_union", ["appointment_date"], "Invalid input"),
    ("appointment_date", "0001-01-01T00:00:00+14:00", "invalid_union", ["appointment_date"],
     "Invalid input"),
    ("move_in_date", "soon", "invalid_union", ["move_in_date"], "Invalid input"),
    ("desired_num_bedrooms", [1, "2"], "invalid_type", ["desired_num_bedrooms", 1],
     "Expected number, received string"),
    ("pets", ["CATS"], "invalid_enum_value", ["pets", 0],
     "Invalid enum value. Expected , received 'CATS'"),
    ("tour_type", "SELF_GUIDED", "invalid_enum_value", ["tour_type"],
     "Invalid enum value. Expected , received 'SELF_GUIDED'"),
    ("first_contact_type", "internet", "invalid_enum_value", ["first_contact_type"],
     "Invalid enum value. Expected , received 'internet'"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "code", "path", "message"), REFUSED)
def test_a_wrong_field_is_refused_with_its_issue(
    client: Client, field: str, value: Any, code: str, path: list[Any], message: str
) -> None:
    [issue] = issues_of(client.book(**{field: value}))
    assert (issue["code"], issue["path"], issue["message"]) == (code, path, message)
    assert client.appointments() == [], "what is refused is not booked"


def test_all_issues_are_returned_together(client: Client) -> None:
    issues = issues_of(client.book(last_name=OMITTED, notes=None, foo=1, bar=2))
    assert [issue["code"] for issue in issues] == [
        "invalid_type",
        "invalid_type",
        "unrecognized_keys",
    ]
    assert issues[-1]["keys"] == ["foo", "bar"]


@pytest.mark.parametrize("path", [APPOINTMENTS, PROSPECTS])
def test_an_address_of_some_kind_is_required(client: Client, path: str) -> None:
    whole = ALICE if path == APPOINTMENTS else CARD
    bare = {k: v for k, v in whole.items() if k not in ("email_1", "phone_1")}
    [issue] = issues_of(client.call("POST", path, json=bare))
    assert issue == {"code": "custom", "path": [], "message": "email_1 and/or phone_1 required"}
    for name in ("email_1", "phone_1"):
        assert client.call("POST", path, json=bare | {name: ALICE[name]}).status_code == 200


@pytest.mark.parametrize(
    ("day", "starts_at"),
    [
        ("2026-12-01", "2026-12-01T18:30:00Z"),
        ("2026-12-01T00:00:00Z", "2026-12-01T18:30:00Z"),
        ("2026-12-01T08:00:00.000+09:00", "2026-11-30T18:30:00Z"),  # 23:00 UTC the day before
    ],
)
def test_a_utc_date_is_accepted_in_either_format(client: Client, day: str, starts_at: str) -> None:
    client.job(appointment_date=day)
    assert client.appointments()[0]["starts_at"] == starts_at


@pytest.mark.parametrize(
    "changes",
    [
        {"notes": "\U0001f600" * 500},
        {"lease_term_in_months": 1},
        {"lease_term_in_months": 18.0},  # JavaScript does not distinguish them
        {"rent_minimum_in_cents": 1},
        {"phone_1": "1" * 50},
        {"last_name": ""},
    ],
)
def test_values_at_the_limit_are_accepted(client: Client, changes: dict[str, Any]) -> None:
    client.job(**(FULL | changes))


def test_only_configured_enum_values_are_accepted(serve: Callable[..., Client]) -> None:
    client = serve(enums={"tour_type": ["A", "B"], "pets": ["CAT"]})
    client.job(tour_type="B", pets=["CAT"])
    [issue] = issues_of(client.book(tour_type="C"))
    assert issue["options"] == ["A", "B"]
    assert issue["message"] == "Invalid enum value. Expected 'A' | 'B', received 'C'"


def test_an_unknown_enum_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'tour' is not an enum; the enums are first_"):
        create_app(enums={"tour": ["A"]})


HOSTILE = [
    b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"\x00",
    b'{"notes": "\\u0000"}', b'{"notes": "\\ud800"}', b'{"\\ud800": 1}', b"[" * 100_000,
    b'{"a":' * 60 + b"1" + b"}" * 60, b"[" * 400 + b"]" * 400, b"9" * 10_000,
    b'{"lease_term_in_months": ' + b"9" * 4000 + b"}", b'{"notes": {"$ne": null}}',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("path", [APPOINTMENTS, PROSPECTS, "/_sandbox/faults"])
def test_a_hostile_body_is_rejected_with_a_clear_error(
    client: Client, path: str, body: bytes
) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = client.call("POST", path, data=body, headers=json_type)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] in ("invalid_request", "invalid_fault")
    client.calls()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        # Python would read it as infinity, and write it in a form that others cannot read.
        (b'{"a": 1e999}', "the body is not JSON"),
        (b'{"a": NaN}', "the body is not JSON"),
        (b"[" * 51 + b"]" * 51 + b" ", "the body is nested deeper than 50 levels"),
    ],
)
def test_json_that_only_python_accepts_is_rejected(
    client: Client, body: bytes, message: str
) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = client.call("POST", APPOINTMENTS, data=body, headers=json_type)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)
    assert client.calls()[0]["body"] == body.decode(), "it is listed as text"


@pytest.mark.parametrize("path", [APPOINTMENTS, "/_sandbox/faults"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_huge_body_is_413(client: Client, path: str, is_chunked: bool) -> None:
    body = b"[" + b" " * (1024 * 1024) + b"]"
    data = (body[i : i + 65536] for i in range(0, len(body), 65536)) if is_chunked else body
    answer = client.call("POST", path, data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == "the body is longer than 1048576 bytes"


def test_a_broken_chunk_is_400(client: Client) -> None:
    host, port = client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"POST {APPOINTMENTS} HTTP/1.1\r\nHost: x\r\n"
            "Transfer-Encoding: chunked\r\n\r\nnot a length\r\n".encode()
        )
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "query",
    [{"limit": 251}, {"limit": "x"}, {"offset": -1}, {"order-by": "name:up"},
     {"updated_at_gte": "yesterday"}, {"limit": "9" * 5000}, {"offset": "\x00"}],
)  # fmt: skip
def test_a_bad_query_is_refused(client: Client, query: dict[str, Any]) -> None:
    [issue] = issues_of(client.call("GET", "/crm/v1/prospects/", params=query))
    assert issue["path"] == list(query)


def test_a_body_not_declared_as_json_is_rejected(client: Client) -> None:
    answer = client.call("POST", APPOINTMENTS, data=ALICE)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Content-Type must be application/json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/crm/v1/nothing", 404),
        ("POST", APPOINTMENTS + "/", 404),
        ("DELETE", APPOINTMENTS, 405),
        ("GET", "/nothing", 404),
    ],
)
def test_an_unknown_path_is_refused_in_the_error_shape(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.call(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message"}


# Token and rate


@pytest.mark.parametrize("token", ["", "wrong", "sandbox ", "sandböx", "Bearer sandbox"])
def test_a_wrong_token_is_401_and_books_nothing(client: Client, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}x".encode() if token else b""}
    answer = client.call("POST", APPOINTMENTS, json=ALICE, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
    assert answer.headers["x-ratelimit-limit"] == "10000"
    assert client.appointments() == []


def test_the_rate_limit_is_reported_and_enforced_until_the_minute_ends(
    serve: Callable[..., Client], clock: ManualClock
) -> None:
    client = serve(limit_per_minute=2)
    clock.move(30)
    answers = [client.book(), client.call("GET", "/crm/v1/events/"), client.book()]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].json()["error"]["code"] == "too_many_requests"
    assert len(client.appointments()) == 1
    clock.move(29.9)
    assert client.book().status_code == 429, "the minute has not reset yet"
    clock.move(0.1)
    assert client.book().status_code == 200


def test_the_last_fifth_of_the_limit_is_slow_if_configured(
    serve: Callable[..., Client],
) -> None:
    client = serve(limit_per_minute=5, slowdown_seconds=0.5)
    seconds = [client.call("GET", "/crm/v1/events/").elapsed.total_seconds() for _ in range(5)]
    assert max(seconds[:4]) < 0.5 <= seconds[4]


# Knock


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"email_1": " ALICE@Example.com ", "phone_1": OMITTED}, True),
        ({"email_1": "other@example.com", "phone_1": "2065550155"}, True),
        ({"email_1": "other@example.com", "phone_1": "+12065550156"}, False),
        ({"community_id": "com-2"}, False),
        ({"integration_id": "int-2"}, False),
    ],
)
def test_a_second_tour_of_the_same_person_cancels_the_first(
    client: Client, changes: dict[str, Any], is_same: bool
) -> None:
    client.job()
    client.job(appointment_time="20:00:00", **changes)
    first, second = client.appointments()
    assert (first["status"], second["status"]) == ("cancelled" if is_same else "booked", "booked")
    assert (first["prospect_id"] == second["prospect_id"]) is is_same


def test_a_past_tour_is_not_cancelled(client: Client, clock: ManualClock) -> None:
    client.job()
    clock.move(30 * 86400)
    client.job(appointment_date="2026-12-30")
    assert [one["status"] for one in client.appointments()] == ["booked", "booked"]


def test_empty_addresses_match_nobody(client: Client) -> None:
    client.job(email_1="", phone_1="+12065550155")
    client.job(email_1="", phone_1="+12065550156")
    assert [one["status"] for one in client.appointments()] == ["booked", "booked"]


def test_a_later_post_overwrites_the_card(client: Client, clock: ManualClock) -> None:
    client.job(lease_term_in_months=12)
    clock.move(60)
    client.job(first_name="A.", email_1=OMITTED)
    [prospect] = client.get("/crm/v1/prospects/")["results"]
    names = ("first_name", "email_1", "lease_term_in_months", "created_at", "updated_at")
    assert [prospect[name] for name in names] == [
        "A.", "alice@example.com", 12, "2026-11-23T12:00:00Z", "2026-11-23T12:01:00Z",
    ]  # fmt: skip


def test_an_overwritten_address_no_longer_matches(client: Client) -> None:
    client.job()
    client.job(email_1="new@example.com")
    client.job(phone_1=OMITTED)
    _, second, third = client.appointments()
    assert second["status"] == "booked"
    assert third["prospect_id"] != second["prospect_id"]


def test_confirmations_are_mailed_for_each_booking(client: Client) -> None:
    client.job()
    client.job()
    client.job(email_1=OMITTED, phone_1="+12065550199")
    # The last one has no email address and did not consent to texts.
    assert [one["confirmations"] for one in client.appointments()] == [1, 1, 0]


def test_a_guest_card_creates_no_appointment(client: Client, clock: ManualClock) -> None:
    answer = client.call("POST", PROSPECTS, json=CARD | {"subscribe": False})
    clock.move(1)
    [prospect] = client.get("/crm/v1/prospects/")["results"]
    status = client.status(answer.json()["meta"]["job_id"])
    assert status["created_record_id"] == prospect["id"]
    assert client.appointments() == []
    [card] = client.get("/_sandbox/prospects")["prospects"]
    assert card["card"] == {name: CARD[name] for name in card["card"]}
    assert [one["request"] for one in card["inquiries"]] == [CARD | {"subscribe": False}]


def test_a_guest_card_does_not_change_the_persons_tours(client: Client) -> None:
    client.job()
    client.call("POST", PROSPECTS, json=CARD | {"last_name": "Roe"})
    [tour] = client.appointments()
    [card] = client.get("/_sandbox/prospects")["prospects"]
    assert tour["status"] == "booked"
    assert card["appointments"] == [tour["id"]], "the same card, brought up to date"
    assert card["card"]["last_name"] == "Roe"


def test_faults_apply_to_guest_cards(client: Client) -> None:
    client.fault({"drop": "after"}, {"status": 503}, {"job": "FAILURE"})
    with pytest.raises(requests.ConnectionError):
        client.call("POST", PROSPECTS, json=CARD)
    assert client.call("POST", PROSPECTS, json=CARD).status_code == 503
    assert client.call("POST", PROSPECTS, json=CARD).status_code == 200
    [card] = client.get("/_sandbox/prospects")["prospects"]
    assert len(card["inquiries"]) == 1


def note(client: Client, **changes: Any) -> dict[str, Any]:
    """Return a valid note for a new guest card."""
    client.call("POST", PROSPECTS, json=CARD)
    [card] = client.get("/crm/v1/prospects/")["results"]
    named = {name: card[name] for name in ("integration_id", "community_id")}
    words = {"event_name": "ACTIVITY", "notes": "My cat", "event_datetime": "2026-03-02T18:00:00Z"}
    return named | {"prospect_id": card["id"]} | words | changes


def test_a_note_is_added_to_a_guest_card(client: Client) -> None:
    body = note(client)
    answer = client.call("POST", NOTE_PATH, json=body)
    assert client.status(answer.json()["meta"]["job_id"])["errors"] == []
    assert [one["request"] for one in client.get("/_sandbox/notes")["notes"]] == [body]
    [event] = client.get(f"/crm/v1/events/?prospect_id={body['prospect_id']}")["results"]
    assert (event["event_name"], event["notes"]) == ("ACTIVITY", "My cat")


@pytest.mark.parametrize(
    "changes",
    [
        {"prospect_id": "another"},
        {"community_id": "another"},
        {"event_name": "NOTE"},
        {"notes": "x" * 1001},
        {"subject": "x"},
    ],
    ids=str,
)
def test_an_invalid_note_is_rejected(client: Client, changes: dict[str, Any]) -> None:
    assert client.call("POST", NOTE_PATH, json=note(client, **changes)).status_code == 400
    assert client.get("/_sandbox/notes") == {"notes": []}


def test_a_fault_of_creates_does_not_apply_to_notes(client: Client) -> None:
    body = note(client)
    client.fault({"status": 503}, {"on": "event", "status": 500})
    statuses = [client.call("POST", NOTE_PATH, json=body).status_code for _ in range(2)]
    assert statuses == [500, 200]


# Lists


def test_a_list_is_paged_newest_first(client: Client, clock: ManualClock) -> None:
    for number in range(3):
        client.job(email_1=f"p{number}@example.com", phone_1=OMITTED)
        clock.move(60)
    first = client.get("/crm/v1/prospects/", limit=2)
    assert first["meta"] == {
        "orderBy": [{"created_at": "desc"}], "limit": 2, "offset": 0, "hasMore": True, "total": 3,
    }  # fmt: skip
    rest = client.get("/crm/v1/prospects/", limit=2, offset=2)
    assert rest["meta"]["hasMore"] is False
    emails = [record["email_1"] for record in first["results"] + rest["results"]]
    assert emails == ["p2@example.com", "p1@example.com", "p0@example.com"]
    fresh = client.get("/crm/v1/prospects/", updated_at_gte="2026-11-23T12:01:00Z")
    assert fresh["meta"]["total"] == 2
    oldest = client.get("/crm/v1/prospects/", **{"order-by": "created_at:asc", "limit": 1})
    assert oldest["results"][0]["email_1"] == "p0@example.com"


def test_events_are_found_by_their_prospect(client: Client) -> None:
    client.job()
    client.job(email_1="bob@example.com", phone_1=OMITTED)
    _, bob = client.appointments()
    [event] = client.get("/crm/v1/events/", prospect_id=bob["prospect_id"])["results"]
    assert (event["id"], event["event_datetime"]) == (bob["id"], "2026-12-01T18:30:00Z")


#: Two integrations with a community each.
CATALOG = {
    one: {
        "name": f"Operator {one}",
        "communities": {f"com-{one}": {"name": "Elm Row", "attributions": {f"att-{one}": "Chat"}}},
    }
    for one in ("int-1", "int-2")
}


def test_the_catalog_is_listed(serve: Callable[..., Client]) -> None:
    client = serve(catalog=catalog_from(CATALOG))
    integrations = client.get("/v1/admin/integrations/")["results"]
    assert {(one["id"], one["vendor"]) for one in integrations} == {
        ("int-1", "KNOCK"), ("int-2", "KNOCK"),
    }  # fmt: skip
    everywhere = client.get("/crm/v1/communities/", limit=1)
    assert (everywhere["meta"]["total"], everywhere["meta"]["hasMore"]) == (2, True)
    [community] = client.get("/crm/v1/communities/", integration_id="int-2")["results"]
    assert (community["id"], community["name"]) == ("com-int-2", "Elm Row")
    [found] = client.get("/crm/v1/attributions/", community_id="com-int-2")["results"]
    assert (found["id"], found["integration_id"]) == ("att-int-2", "int-2")
    assert client.get("/crm/v1/attributions/", community_id="com-3")["results"] == []


@pytest.mark.parametrize(
    "data", [[], None, {"int-1": {}}, {"int-1": {"name": "x", "communities": {"c": {}}}}], ids=repr
)
def test_a_catalog_with_another_shape_is_rejected(data: Any) -> None:
    with pytest.raises(ConfigurationError, match="a catalog must be"):
        catalog_from(data)


# Faults


def test_a_status_fault_books_nothing(client: Client) -> None:
    client.fault(
        {"status": 503, "headers": {"Retry-After": "7"}},
        {"status": 502, "body": "<h1>Bad Gateway</h1>"},
        {"status": 400, "body": {"error": {"code": "x", "message": "y"}}},
    )
    unavailable, gateway, bad, fine = (client.book() for _ in range(4))
    assert unavailable.status_code == 503
    assert unavailable.headers["Retry-After"] == "7"
    assert unavailable.json()["error"]["code"] == "service_unavailable"
    assert unavailable.headers["x-ratelimit-remaining"] == "9999"
    assert (gateway.status_code, gateway.text) == (502, "<h1>Bad Gateway</h1>")
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "x")
    assert fine.status_code == 200
    assert len(client.appointments()) == 1


def test_a_status_fault_can_hide_a_booking(client: Client) -> None:
    client.fault({"status": 502, "book": True})
    assert client.book().status_code == 502
    assert len(client.appointments()) == 1


@pytest.mark.parametrize(
    ("fault", "booked"),
    [
        ({"drop": "before"}, 0),
        ({"drop": "after"}, 1),
        ({"drop": "during"}, 1),
        ({"drop": "after", "delay": 0.05}, 1),
    ],
)
def test_a_dropped_connection_has_no_response(
    client: Client, fault: dict[str, Any], booked: int
) -> None:
    client.fault(fault)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.book()
    assert len(client.appointments()) == booked
    [call] = client.calls()
    assert (call["status"], call["answered_at"], call["fault"]) == (None, None, fault)


def test_a_delayed_response_does_not_delay_the_booking(client: Client) -> None:
    client.fault({"delay": 30})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = pool.submit(client.book)
        until(client.appointments)
        assert not late.done()
        assert client.calls()[0]["status"] is None, "the call is open"
        client.call("POST", "/_sandbox/reset")  # ends the delay
        assert late.result(timeout=10).status_code == 200


def test_a_delay_before_delays_the_booking_too(client: Client) -> None:
    client.fault({"delay_before": 30})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = pool.submit(client.book)
        until(client.calls)
        assert client.appointments() == []
        client.call("POST", "/_sandbox/reset")
        assert late.result(timeout=10).status_code == 200
    assert len(client.appointments()) == 1


@pytest.mark.parametrize(
    ("fault", "status", "errors", "booked"),
    [
        ({"job": "FAILURE"}, "FAILURE", ["Knock did not accept the request"], 0),
        ({"job": "FAILURE", "errors": ["slot taken"]}, "FAILURE", ["slot taken"], 0),
        # Propexo's own request to Knock times out: reported as a failure although it is booked.
        ({"job": "FAILURE", "errors": ["timed out"], "book": True}, "FAILURE", ["timed out"], 1),
        ({"job": "PARTIAL_SUCCESS", "errors": []}, "PARTIAL_SUCCESS", [], 1),
        ({"job": "PENDING"}, "PENDING", [], 1),
        ({"job_seconds": 90_000 - 3600 - 1}, "PENDING", [], 1),
        ({"book": False}, "SUCCESS", [], 0),
    ],
)
def test_a_job_can_end_with_another_status(
    client: Client,
    clock: ManualClock,
    fault: dict[str, Any],
    status: str,
    errors: list[str],
    booked: int,
) -> None:
    client.fault(fault)
    job_id = client.job()
    assert client.status(job_id)["write_status"] == "PENDING"
    clock.move(3600)
    found = client.status(job_id)
    assert (found["write_status"], found["errors"]) == (status, errors)
    assert len(client.appointments()) == booked


@pytest.mark.parametrize(
    "fault", [{"drop": "before"}, {"drop": "after"}, {"status": 500}, {"job": "FAILURE"}], ids=repr
)
def test_a_create_can_be_executed_late_regardless_of_the_response(
    client: Client, clock: ManualClock, fault: dict[str, Any]
) -> None:
    client.fault(fault | {"book_after": 90})
    with contextlib.suppress(requests.ConnectionError):
        client.book()
    clock.move(89)
    assert client.appointments() == []
    clock.move(1)
    [appointment] = client.appointments()
    assert appointment["created_at"] == "2026-11-23T12:01:30Z"


def test_a_job_that_is_executed_late_is_pending_until_then(
    client: Client, clock: ManualClock
) -> None:
    client.fault({"book_after": 90})
    job_id = client.job()
    clock.move(89)
    assert client.status(job_id)["write_status"] == "PENDING"
    clock.move(2)
    found = client.status(job_id)
    assert found["write_status"] == "SUCCESS"
    assert found["created_record_id"] == client.appointments()[0]["id"]


def test_an_older_request_executed_late_cancels_the_newer_tour(
    client: Client, clock: ManualClock
) -> None:
    client.fault({"status": 500, "book_after": 90})
    client.book()
    client.book(appointment_date="2026-12-02")
    clock.move(90)
    newer, older = client.appointments()
    assert (newer["status"], newer["canceled_by"]) == ("cancelled", older["id"])
    assert (older["status"], older["canceled_by"]) == ("booked", None)


def test_an_agent_cancels_a_tour_in_knock(client: Client) -> None:
    client.book()
    [booked] = client.appointments()
    path = f"/_sandbox/appointments/{booked['id']}/cancel"
    canceled = client.call("POST", path).json()
    assert (canceled["status"], canceled["canceled_by"]) == ("cancelled", "person")
    assert client.get("/crm/v1/events/")["results"][0]["is_cancelled"]
    client.book()  # it does not replace a tour, because none exists
    assert client.appointments()[0]["canceled_by"] == "person"
    assert client.call("POST", "/_sandbox/appointments/x/cancel").status_code == 404


def test_an_agent_moves_a_tour_in_knock(client: Client) -> None:
    client.book()
    [booked] = client.appointments()
    path = f"/_sandbox/appointments/{booked['id']}/move"
    moved = client.call("POST", f"{path}?to=2030-12-01T14:00:00-07:00").json()
    assert (moved["status"], moved["starts_at"]) == ("booked", "2030-12-01T21:00:00Z")
    assert client.call("POST", path).status_code == 400


def test_the_generic_shape_can_be_asked_for(client: Client) -> None:
    client.fault({"shape": "generic"})
    [job_id] = [client.book().json().pop("job_id")]
    assert client.status(job_id)["write_status"] == "PENDING"


def test_faults_apply_only_to_their_kind_of_call(client: Client) -> None:
    client.fault(
        {"on": "status", "status": 500}, {"on": "list", "status": 501}, {"on": "any", "status": 502}
    )
    assert client.call("GET", "/v1/admin/write-status/x").status_code == 500
    assert client.book().status_code == 502
    assert client.call("GET", "/crm/v1/events/").status_code == 501
    assert client.get("/_sandbox/faults") == {"next": []}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"stauts": 503}, "unknown fault 'stauts'; the faults are on, delay_before, delay, status"),
        ({"status": "503"}, "'status' must be a whole number from 200 to 599"),
        ({"status": 503.5}, "'status' must be a whole number from 200 to 599"),
        ({"status": True}, "'status' must be a whole number from 200 to 599"),
        ({"delay": -1}, "'delay' must be seconds from 0 to 600"),
        ({"drop": "now"}, "'drop' must be one of before, after, during"),
        ({"job": "DONE"}, "'job' must be one of SUCCESS, FAILURE, PARTIAL_SUCCESS, PENDING"),
        ({"job": ["PENDING"]}, "'job' must be one of SUCCESS, FAILURE, PARTIAL_SUCCESS, PENDING"),
        ({"book_after": -1}, "'book_after' must be seconds from 0 to 86400"),
        ({"errors": "x"}, "'errors' must be a list of strings"),
        ({"headers": {"A\r\nB": "x"}}, "'headers' must be header names with printable ASCII text"),
        ({"headers": {"A": "x\ny"}}, "'headers' must be header names with printable ASCII text"),
        ({"on": "status", "job": "PENDING"}, "'job' needs a create request"),
    ],
)
def test_an_invalid_fault_is_named_and_none_is_queued(
    client: Client, fault: dict[str, Any], message: str
) -> None:
    answer = client.fault({"status": 503}, fault)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"next[1]: {message}")
    assert client.get("/_sandbox/faults") == {"next": []}


def test_faults_can_be_cleared_and_all_be_reset(client: Client) -> None:
    client.fault({"status": 503})
    assert client.call("DELETE", "/_sandbox/faults").json() == {"next": []}
    job_id = client.job()
    client.fault({"status": 503})
    client.call("POST", "/_sandbox/reset")
    assert (client.appointments(), client.calls()) == ([], [])
    assert client.get("/_sandbox/faults") == {"next": []}
    assert client.call("GET", f"/v1/admin/write-status/{job_id}").status_code == 400


# What it shows


def test_requests_are_listed_as_received(client: Client, clock: ManualClock) -> None:
    client.call("GET", "/crm/v1/prospects/", params={"limit": 1})
    clock.move(5)
    client.call("POST", APPOINTMENTS, data=b"{oops", headers={"Content-Type": "application/json"})
    client.book()
    calls = client.calls()
    assert [(c["number"], c["method"], c["path"], c["query"], c["status"]) for c in calls] == [
        (1, "GET", "/crm/v1/prospects/", "limit=1", 200),
        (2, "POST", APPOINTMENTS, "", 400),
        (3, "POST", APPOINTMENTS, "", 200),
    ]
    assert [call["body"] for call in calls] == [None, "{oops", ALICE]
    assert calls[1]["received_at"] == calls[1]["answered_at"] == "2026-11-23T12:00:05Z"


def test_the_page_for_people_escapes_what_it_shows(client: Client) -> None:
    assert "Nothing yet." in requests.get(client.url, timeout=10).text
    client.job(last_name="<script>alert(1)</script>", first_name="\ud800")
    page = requests.get(client.url, timeout=10)
    assert page.status_code == 200
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>" not in page.text
    card = CARD | {"notes": "</table><b>x</b>", "last_name": "Roe"}
    client.call("POST", PROSPECTS, json=card)
    cards = requests.get(client.url, timeout=10).text.partition("Guest cards")[2]
    assert "Roe" in cards
    assert "&lt;/table&gt;&lt;b&gt;x&lt;/b&gt;" in cards


def test_many_callers_at_once_are_all_booked(client: Client) -> None:
    emails = [f"p{number}@example.com" for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        jobs = list(pool.map(lambda email: client.job(email_1=email, phone_1=OMITTED), emails))
    appointments = client.appointments()
    assert len(set(jobs)) == 100
    assert {one["request"]["email_1"] for one in appointments} == set(emails)
    assert {one["status"] for one in appointments} == {"booked"}
    assert [call["number"] for call in client.calls()] == list(range(1, 101))


def test_calls_print_nothing(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    client.fault({}, {"drop": "after"})
    client.job()
    with pytest.raises(requests.ConnectionError):
        client.book()
    client.call("GET", "/nothing")
    assert capfd.readouterr() == ("", "")


def test_a_call_does_not_wait_for_a_delayed_packet(client: Client) -> None:
    # Nagle's algorithm and delayed ACKs together would cost 40 ms per call.
    answers = [client.call("GET", "/crm/v1/events/") for _ in range(21)]
    seconds = sorted(answer.elapsed.total_seconds() for answer in answers)
    assert seconds[10] < 0.03, "most calls are stalled"


# The command


def start(*options: str) -> subprocess.Popen[str]:
    return popen(
        [sys.executable, "-m", "adapter", "sandbox", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_a_server_releases_its_port() -> None:
    with Server(create_app()) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="Address already in use"):
            Server(create_app(), port=port)
    with Server(create_app(), port=port) as server:
        assert requests.get(server.url, timeout=10).status_code == 200
    assert "sandbox" not in {thread.name for thread in threading.enumerate()}


# Compared with what is known about Propexo's API


@pytest.fixture(scope="module")
def openapi() -> Any:
    if not OPENAPI.exists():
        pytest.skip("../shared is not here")
    return yaml.safe_load(OPENAPI.read_text())


@pytest.mark.corpus
def test_every_path_is_in_the_openapi(openapi: Any) -> None:
    served = {
        (method.lower(), re.sub(r"<\w+>", "{root_job_id}", rule.rule))
        for rule in create_app().url_map.iter_rules()
        if rule.rule.startswith(("/crm", "/v1"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    known = {(method, path) for path, item in openapi["paths"].items() for method in item}
    served.discard(("post", NOTE_PATH))  # it is described only in prose
    served.discard(("put", "/crm/v1/prospects/knock/{root_job_id}"))  # and so is this
    assert len(served) == 10
    assert served <= known, f"not in the openapi: {served - known}"


def body_schemas(openapi: Any) -> list[tuple[str, dict[str, Any], Any]]:
    """Yield the path, a complete valid body, and the body's schema for each POST."""
    content = openapi["paths"][PROSPECTS]["post"]["requestBody"]["content"]
    appointment = openapi["components"]["schemas"]["KnockAppointment"]
    return [
        (APPOINTMENTS, FULL, appointment),
        (PROSPECTS, CARD, content["application/json"]["schema"]),
    ]


def breaches(name: str, prop: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield invalid values for a property with the given schema."""
    wrong = {"string": 7, "integer": "7", "array": "x", "boolean": "x"}
    yield name, wrong[prop.get("type", "string")]
    yield name, None
    if "minimum" in prop:
        yield name, prop["minimum"] - 1
    if "maximum" in prop:
        yield name, prop["maximum"] + 1
    if "maxLength" in prop:
        yield name, "x" * (prop["maxLength"] + 1)
    if "pattern" in prop:
        yield name, "x"
    if prop.get("type") == "array":
        yield name, [wrong[prop["items"]["type"]]]


@pytest.mark.corpus
def test_validation_agrees_with_the_openapi(openapi: Any, client: Client) -> None:
    for path, full, schema in body_schemas(openapi):
        assert client.call("POST", path, json=full).status_code == 200, path
        for name in schema["required"]:
            body = {k: v for k, v in full.items() if k != name}
            assert issues_of(client.call("POST", path, json=body))[0]["path"] == [name]
        assert schema["anyOf"] == [{"required": ["email_1"]}, {"required": ["phone_1"]}]
        for name, prop in schema["properties"].items():
            for _, value in breaches(name, prop):
                [issue] = issues_of(client.call("POST", path, json=full | {name: value}))
                assert issue["path"][0] == name, f"{path} {name}={value!r}"
        assert issues_of(client.call("POST", path, json=full | {"x": 1}))[0]["keys"] == ["x"]


@pytest.mark.corpus
def test_each_field_of_the_openapi_is_known_and_no_other(openapi: Any) -> None:
    schemas = create_app().extensions["sandbox"].schemas
    for kind, (_, _, known) in zip(("appointment", "prospect"), body_schemas(openapi), strict=True):
        assert set(schemas[kind]["properties"]) == set(known["properties"])
        assert set(schemas[kind]["required"]) == set(known["required"])


@pytest.mark.corpus
def test_values_at_the_limits_of_the_openapi_are_accepted(openapi: Any, client: Client) -> None:
    for path, full, schema in body_schemas(openapi):
        for name, prop in schema["properties"].items():
            edges = [prop[key] for key in ("minimum", "maximum") if key in prop]
            edges += ["x" * prop["maxLength"]] if "maxLength" in prop else []
            for edge in edges:
                answer = client.call("POST", path, json=full | {name: edge})
                assert answer.status_code == 200, answer.text


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.com"},
        {"Host": "127.0.0.1.evil.example.com:8001"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
    ],
)
def test_a_website_reads_and_changes_nothing(client: Client, headers: dict[str, str]) -> None:
    assert client.book().status_code == 200
    for method, path in [
        ("GET", "/"),
        ("GET", "/_sandbox/appointments"),
        ("GET", PROSPECTS),
        ("POST", "/_sandbox/faults"),
        ("POST", "/_sandbox/reset"),
    ]:
        assert client.call(method, path, headers=headers).status_code == 403, path
    assert len(client.get("/_sandbox/appointments")["appointments"]) == 1


@pytest.mark.parametrize("host", ["localhost", "sandbox:8001", "192.0.2.1", "[::1]:8001"])
def test_names_on_this_network_reach_it(client: Client, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.call("POST", "/_sandbox/reset", headers=headers).status_code == 200


def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition} never held"
        time.sleep(0.005)
