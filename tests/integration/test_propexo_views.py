"""Test Propexo's own webhooks."""

import dataclasses
import json
from typing import Any

import flask
import pytest

from adapter import signatures
from adapter.models import BookingState, WebhookRequest
from adapter.webhooks import error_handlers, propexo_views
from tests.harness import Harness
from tests.leads import lead
from tests.sandbox_client import SandboxClient

SECRET = "a-secret-of-propexo"


@pytest.fixture
def client(harness: Harness) -> Any:
    app = flask.Flask("notices")
    error_handlers.register_error_handlers(app)
    harness.pipeline.follower.settings = dataclasses.replace(
        harness.settings, public_url="https://a.example.com"
    )
    app.register_blueprint(propexo_views.blueprint(harness.pipeline.follower, SECRET))
    return app.test_client()


def notice(client: Any, body: bytes, secret: str = SECRET) -> int:
    request = WebhookRequest(
        method="POST", url="https://a.example.com/propexo/webhooks", headers={}, body=body
    )
    signed = signatures.sign({"preset": "propexo"}, secret, request, 0)
    answer = client.post("/propexo/webhooks", data=body, headers=dict(signed.headers))
    return int(answer.status_code)


def failure(job_id: str | None, status: str = "FAILURE") -> bytes:
    facts = {"root_job_id": job_id, "write_status": status, "errors": ["the slot is taken"]}
    return json.dumps({"trigger": "WRITE_OPERATION_FAILURE", "data": facts}).encode()


@pytest.mark.parametrize(
    ("status", "state"),
    [("FAILURE", BookingState.FAILED), ("PARTIAL_SUCCESS", BookingState.UNKNOWN)],
)
def test_a_failure_settles_the_booking_at_once(
    harness: Harness, upstream: SandboxClient, client: Any, status: str, state: BookingState
) -> None:
    upstream.fault({"job": "PENDING"})
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    assert notice(client, failure(harness.booking(booking.id).job_id, status)) == 200

    settled = harness.booking(booking.id)
    assert settled.state is state
    assert settled.reasons[-1].reason == "Propexo says: the slot is taken"
    assert notice(client, failure(settled.job_id, status)) == 200
    assert harness.booking(booking.id) == settled


def test_a_forged_propexo_webhook_changes_nothing(harness: Harness, client: Any) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    job_id = harness.booking(booking.id).job_id

    assert notice(client, failure(job_id), secret="another") == 401
    assert client.post("/propexo/webhooks", data=failure(job_id)).status_code == 401
    assert harness.state(booking.id) is BookingState.SUBMITTED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"trigger": "DATA_NEW", "data": {}}',
        failure(None),
        failure("job\x00\ud800"),
        failure("somebody else's"),
        failure("x", "SUCCESS"),
        b'{"trigger": "WRITE_OPERATION_FAILURE", "data": {"root_job_id": {}, "errors": 7}}',
    ],
    ids=range(11),
)
def test_other_propexo_webhooks_are_accepted(client: Any, body: bytes) -> None:
    assert notice(client, body) == 200
