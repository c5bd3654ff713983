"""Test the read-only HTTP API, and that its OpenAPI document matches it."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import flask.testing
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapter.app import create_app
from adapter.console.openapi import document
from adapter.settings import Settings
from tests.harness import SECRETS, Harness, load_cached, settle
from tests.integration.test_erasure import DANA, EMAIL
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.shell import Shell

TOKEN = "a-token-of-many-characters"


def client(harness: Harness, token: str | None = TOKEN) -> flask.testing.FlaskClient:
    settings = Settings(
        database_url=harness.pipeline.store.url,
        mappings_dir=MAPPINGS,
        environ=SECRETS,
        api_token=token,
    )
    opened = create_app(settings, harness.clock, load_cached(MAPPINGS)).test_client()
    opened.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return opened


@pytest.fixture
def api(harness: Harness) -> Iterator[flask.testing.FlaskClient]:
    opened = client(harness)
    with opened.application.extensions["pipeline"].store:
        yield opened


def ids(api: flask.testing.FlaskClient, query: str = "") -> list[int]:
    answer = api.get(f"/api/leads?{query}")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.get_json()["leads"]]


def acts(harness: Harness) -> list[tuple[str, str, int | None, str]]:
    with harness.pipeline.store.transaction() as tx:
        return [(one.by, one.action, one.lead_id, one.detail) for one in tx.audit.entries()]


def test_leads_are_listed_with_filters(api: flask.testing.FlaskClient, harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", lead(1, **DANA))
    settle(harness)
    harness.clock.advance(3600)
    (second,) = harness.mapped("rentfeed", lead(2, time="11:30 PM"))
    assert ids(api) == [second.id, first.id]
    assert ids(api, "state=booked") == [first.id]
    assert ids(api, "state=booked&state=held") == [second.id, first.id]
    assert ids(api, "source=website") == []
    assert ids(api, "community=maple-court&source=rentfeed") == [second.id, first.id]
    assert ids(api, "community=oak-park") == []
    since = quote((harness.clock() - dt.timedelta(minutes=5)).isoformat())
    assert ids(api, f"since={since}") == [second.id]
    assert ids(api, f"until={since}") == [first.id]
    assert ids(api, f"search={EMAIL}") == ids(api, "search=dana+oka") == [first.id]


def test_the_answers_are_those_of_the_commands(
    api: flask.testing.FlaskClient, harness: Harness, shell: Shell
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, **DANA))
    settle(harness)
    assert api.get("/api/leads").get_json()["leads"] == shell.json("bookings")["bookings"]
    shown = shell.json("show", str(booking.id))
    for key in (booking.id, booking.event_id, harness.booking(booking.id).job_id):
        assert api.get(f"/api/leads/{key}").get_json() == shown
    assert api.get("/api/leads/4711").status_code == 404
    assert api.get("/api/leads/%00").get_json() == {"error": "not found"}


def test_pages_follow_each_other_by_cursor(
    api: flask.testing.FlaskClient, harness: Harness
) -> None:
    made = [harness.mapped("rentfeed", lead(number))[0].id for number in range(5)]
    found, cursor = [], ""
    for _ in range(3):
        page = api.get(f"/api/leads?limit=2{cursor}").get_json()
        found.append([one["id"] for one in page["leads"]])
        cursor = f"&cursor={page['next_cursor']}"
        harness.mapped("rentfeed", lead(10 + len(found)))
    assert found == [made[:2:-1], made[2:0:-1], made[:1]]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=201", "limit"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("state=bookd", "state"),
        ("source=Rent%00Feed", "source"),
        ("community=x'--", "community"),
        ("since=2026-03-01", "since"),
        ("since=2026-03-01T00:00:00", "since"),
        ("cursor=0", "cursor"),
        ("cursor=99999999999999999999", "cursor"),
        ("search=", "search"),
        (f"search={'x' * 201}", "search"),
        ("sarch=dana", "sarch"),
    ],
)
def test_an_invalid_query_is_named(
    api: flask.testing.FlaskClient, query: str, parameter: str
) -> None:
    answer = api.get(f"/api/leads?{query}")
    assert answer.status_code == 400
    assert list(answer.get_json()["faults"]) == [parameter]


def test_the_api_is_read_with_the_token_only(
    api: flask.testing.FlaskClient, harness: Harness
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    paths = ("/api/leads", f"/api/leads/{booking.id}", "/api/openapi.json")
    closed = client(harness, token=None)
    with closed.application.extensions["pipeline"].store:
        assert {closed.get(path).status_code for path in paths} == {401}
    for given, status in ((f"bearer  {TOKEN}", 200), (TOKEN, 200), (f"Bearer {TOKEN}x", 401)):
        for path in paths:
            answer = api.get(path, headers={"Authorization": given})
            assert answer.status_code == status
            assert answer.headers["Cache-Control"] == "no-store"
            assert (answer.headers.get("WWW-Authenticate") == "Bearer") is (status == 401)
    api.environ_base.pop("HTTP_AUTHORIZATION")
    assert api.get("/api/leads").get_json() == {"error": "unauthorized"}


def test_the_api_only_reads(api: flask.testing.FlaskClient, harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    for path in ("/api/leads", f"/api/leads/{booking.id}", "/api/openapi.json"):
        head = api.head(path)
        assert (head.status_code, head.data) == (200, b"")
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = api.open(path, method=method)
            assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_each_look_is_in_the_audit_log_without_the_search(
    api: flask.testing.FlaskClient, harness: Harness
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, **DANA))
    api.get(f"/api/leads?search={EMAIL}&source=rentfeed")
    api.get(f"/api/leads/{booking.id}")
    api.get("/api/leads/4711")
    api.get("/api/leads", headers={"Authorization": "Bearer x"})
    assert acts(harness) == [
        ("(api)", "looked", booking.event_id, ""),
        ("(api)", "exported", None, "source=rentfeed search"),
    ]


def test_nothing_of_a_lead_is_logged(
    api: flask.testing.FlaskClient, harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, **DANA))
    caplog.clear()
    api.get(f"/api/leads?search={EMAIL}")
    api.get(f"/api/leads?serch={EMAIL}")
    api.get(f"/api/leads/{booking.id}")
    assert "okafor" not in caplog.text.lower()


def test_the_document_is_valid_and_names_every_route(api: flask.testing.FlaskClient) -> None:
    described = api.get("/api/openapi.json").get_json()
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"].startswith("3.1.")
    rules = [one.rule for one in api.application.url_map.iter_rules() if "/api" in one.rule]
    assert sorted(described["paths"]) == sorted(re.sub("<(.*)>", r"{\1}", one) for one in rules)
    for operations in described["paths"].values():
        assert list(operations) == ["get"]


def validator(name: str) -> Any:
    """Return a validator for one schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", **document()}
    return OAS31Validator(json.loads(json.dumps(schema)))


def undeclared(value: Any, schema: Any, path: str = "") -> list[str]:
    """Return the properties in a response that the document does not declare."""
    schemas = document()["components"]["schemas"]
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [one for item in value for one in undeclared(item, schema.get("items", {}), path)]
    if not isinstance(value, dict) or not {"properties", "additionalProperties"} & schema.keys():
        return []
    known = schema.get("properties", {})
    others = schema.get("additionalProperties")
    lacking = [f"{path}.{key}" for key in value if key not in known and others is None]
    return lacking + [
        one
        for key, item in value.items()
        for one in undeclared(item, known.get(key, others or {}), f"{path}.{key}")
    ]


def test_the_answers_are_as_described(
    api: flask.testing.FlaskClient, harness: Harness, upstream: SandboxClient, shell: Shell
) -> None:
    (first,) = harness.mapped("rentfeed", lead(1, **DANA))
    settle(harness)
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", lead(2, day=15, **DANA))
    settle(harness)
    (twin,) = harness.mapped("rentfeed", lead(3, day=15, **DANA))
    (held,) = harness.mapped("rentfeed", lead(4, time="11:30 PM"))
    shell("discard", str(held.id), "--reason", "a test")
    harness.map_event(broken := harness.receive("rentfeed", b"{").event_id)
    answers = [("LeadPage", api.get("/api/leads").get_json())]
    answers += [
        ("LeadHistory", api.get(f"/api/leads/{key}").get_json())
        for key in (first.id, second.id, twin.id, held.id, broken)
    ]
    answers.append(("Error", api.get("/api/leads/4711").get_json()))
    answers.append(("Error", api.get("/api/leads?limit=x").get_json()))
    seen = set(
        re.findall(r'"(replaced_in_knock|related|because_of|acts)": [\[{]\W*"', json.dumps(answers))
    )
    assert seen == {"replaced_in_knock", "related", "because_of", "acts"}
    for name, answer in answers:
        validator(name).validate(answer)
        assert undeclared(answer, document()["components"]["schemas"][name]) == []
