"""Test the view that receives Propexo's webhooks."""

import json

import pytest

from adapter.models import BookingState
from tests.harness import Harness
from tests.leads import lead
from tests.propexo_webhooks import PropexoWebhooks
from tests.sandbox_client import SandboxClient


@pytest.fixture
def client(harness: Harness) -> PropexoWebhooks:
    return PropexoWebhooks(harness)


def failure(job_id: str | None, status: str = "FAILURE") -> bytes:
    facts = {"root_job_id": job_id, "write_status": status, "errors": ["the slot is taken"]}
    return json.dumps({"trigger": "WRITE_OPERATION_FAILURE", "data": facts}).encode()


@pytest.mark.parametrize(
    ("status", "state"),
    [("FAILURE", BookingState.FAILED), ("PARTIAL_SUCCESS", BookingState.UNKNOWN)],
)
def test_a_failure_settles_the_booking_at_once(
    harness: Harness,
    upstream: SandboxClient,
    client: PropexoWebhooks,
    status: str,
    state: BookingState,
) -> None:
    upstream.fault({"job": "PENDING"})
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    assert client.post(failure(harness.booking(booking.id).job_id, status)) == 200

    settled = harness.booking(booking.id)
    assert settled.state is state
    assert settled.reasons[-1].reason == "Propexo says: the slot is taken"
    assert client.post(failure(settled.job_id, status)) == 200
    assert harness.booking(booking.id) == settled


def test_a_forged_propexo_webhook_changes_nothing(
    harness: Harness, client: PropexoWebhooks
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    job_id = harness.booking(booking.id).job_id

    assert client.post(failure(job_id), secret="another") == 401
    assert client.client.post("/propexo/webhooks", data=failure(job_id)).status_code == 401
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
def test_other_propexo_webhooks_are_accepted(client: PropexoWebhooks, body: bytes) -> None:
    assert client.post(body) == 200
