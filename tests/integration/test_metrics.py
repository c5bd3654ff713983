"""Test the metrics for Prometheus."""

from collections.abc import Iterator

import flask.testing
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.app import create_app
from adapter.settings import Settings
from tests.harness import SECRETS, Harness, load_cached
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient


def client(harness: Harness, **changes: object) -> flask.testing.FlaskClient:
    settings = Settings(
        database_url=harness.pipeline.store.url,
        mappings_dir=MAPPINGS,
        environ=SECRETS,
        **changes,  # type: ignore[arg-type]
    )
    opened = create_app(settings, harness.clock, load_cached(MAPPINGS)).test_client()
    opened.environ_base["HTTP_AUTHORIZATION"] = "Bearer open sesame"
    return opened


@pytest.fixture
def here(harness: Harness) -> Iterator[flask.testing.FlaskClient]:
    opened = client(harness, metrics_token="open sesame")
    with opened.application.extensions["pipeline"].store:
        yield opened


def values(client: flask.testing.FlaskClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_gauges_show_the_current_state(
    here: flask.testing.FlaskClient, harness: Harness, upstream: SandboxClient
) -> None:
    harness.mapped("rentfeed", lead(1, time="11:30 PM"))
    harness.mapped("rentfeed", lead(2))
    harness.clock.advance(30)
    found = values(here)
    assert found["adapter_waiting",] == 1
    assert found["adapter_oldest_waiting_seconds",] == 30
    assert found["adapter_pending",] == 1
    assert found["adapter_sending_stopped",] == 0
    assert found["adapter_leads_24h", "rentfeed", "held"] == 1
    assert found["adapter_last_event_seconds", "rentfeed"] == 30
    upstream.fault({"status": 401})
    harness.send()
    assert values(here)["adapter_sending_stopped",] == 1


def test_rejected_requests_are_counted_by_source_and_reason(
    here: flask.testing.FlaskClient,
) -> None:
    for _ in range(2):
        here.post("/hooks/rentfeed", data=b"{}")
    here.post("/hooks/nobody")
    here.application.extensions["pipeline"].receiver.background_writer.flush()

    found = values(here)
    assert found["adapter_rejections_total", "header_missing", "rentfeed"] == 2
    assert found["adapter_rejections_total", "unknown_source", ""] == 1


def test_metrics_contain_no_personal_data(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    text = here.get("/metrics").text
    for name in ("first_name", "last_name", "email_1", "notes", "appointment_date"):
        assert str(booking.appointment[name]) not in text


def test_they_are_read_with_the_token_only(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    without_token = client(harness)
    with without_token.application.extensions["pipeline"].store:
        assert without_token.get("/metrics").status_code == 401
    for given, status in (
        ("Bearer open sesame", 200),
        ("Bearer ", 401),
        ("Bearer ä", 401),
        ("bearer  open sesame", 200),
        ("", 401),
    ):
        answer = here.get("/metrics", headers={"Authorization": given})
        assert answer.status_code == status
