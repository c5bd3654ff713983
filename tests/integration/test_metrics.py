"""Test the metrics for Prometheus."""

import json
from collections.abc import Iterator

import flask.testing
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter import signatures
from adapter.app import create_app
from adapter.console import metrics_page
from adapter.exceptions import StoreUnavailable
from adapter.models import BookingState, WebhookRequest
from adapter.settings import Settings
from adapter.store import Database, Task, meter
from tests.harness import SECRETS, Harness, load_cached, settle
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


def counted(here: flask.testing.FlaskClient, harness: Harness) -> dict[tuple[str, ...], float]:
    """Return the metrics after the worker and the web process have saved their values."""
    here.application.extensions["pipeline"].store.save_metrics()
    harness.pipeline.count_metrics()
    return values(here)


def post(here: flask.testing.FlaskClient, number: int) -> None:
    body = json.dumps(lead(number)).encode()
    request = WebhookRequest(method="POST", url="/hooks/rentfeed", headers={}, body=body)
    block = load_cached(MAPPINGS)["rentfeed"].signature
    at = here.application.extensions["pipeline"].clock().timestamp()
    signed = signatures.sign(block, SECRETS["RENTFEED_SECRET"], request, at)
    headers = {**signed.headers, "Content-Type": "application/json"}
    assert here.post(signed.url, data=signed.body, headers=headers).status_code == 200


def test_a_lead_is_counted_from_the_webhook_to_the_tour(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    before = counted(here, harness)
    post(here, 1)
    post(here, 1)
    harness.clock.advance(2)
    harness.pipeline.run(Task.MAP)
    settle(harness)

    found = counted(here, harness)
    assert before["adapter_webhooks_total", "accepted", "rentfeed"] == 0
    assert found["adapter_webhooks_total", "accepted", "rentfeed"] == 1
    assert found["adapter_webhooks_total", "duplicate", "rentfeed"] == 1
    assert found["adapter_events_total", "mapped", "rentfeed"] == 1
    for state in ("pending", "sending", "submitted", "booked"):
        assert found["adapter_bookings_total", "rentfeed", state] == 1
    assert found["adapter_propexo_requests_total", "create_appointment", "ok"] == 1
    assert found["adapter_propexo_requests_total", "read_status", "ok"] == 1
    assert found["adapter_propexo_request_seconds_count", "read_status"] == 1
    assert found["adapter_acknowledge_seconds_count",] == 2
    assert 0 < found["adapter_acknowledge_seconds_sum",] < 60
    assert found["adapter_time_to_post_seconds_sum", "rentfeed"] == 2
    assert found["adapter_time_to_post_seconds_bucket", "1", "rentfeed"] == 0
    assert found["adapter_time_to_post_seconds_bucket", "2.5", "rentfeed"] == 1
    assert found["adapter_time_to_post_seconds_bucket", "+Inf", "rentfeed"] == 1
    assert found["adapter_time_to_booked_seconds_sum", "rentfeed"] == 12
    assert counted(here, harness) == found


def test_the_counts_of_processes_are_added(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    other = client(harness, metrics_token="open sesame")
    with other.application.extensions["pipeline"].store as store:
        for number, web in enumerate((here, other, other)):
            post(web, number)
        store.save_metrics()
    assert counted(here, harness)["adapter_webhooks_total", "accepted", "rentfeed"] == 3


def test_the_time_that_a_lead_was_reviewed_is_no_latency(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1, time="11:30 PM"))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(
            booking.id,
            BookingState.PENDING,
            why="released",
            by="ana",
            now=harness.clock(),
            due_at=harness.clock(),
        )
    harness.clock.advance(3600)
    settle(harness)

    found = counted(here, harness)
    assert found["adapter_bookings_total", "rentfeed", "booked"] == 1
    assert found["adapter_time_to_post_seconds_count", "rentfeed"] == 0
    assert found["adapter_time_to_booked_seconds_count", "rentfeed"] == 0


def test_a_replayed_lead_is_no_latency(here: flask.testing.FlaskClient, harness: Harness) -> None:
    event_id = harness.receive("rentfeed", lead(1)).event_id
    with harness.pipeline.store.transaction() as tx:
        assert tx.events.discard(event_id, why="test", by="ana", now=harness.clock())
        assert tx.events.reopen(event_id, why="replayed", by="ana", now=harness.clock())
    harness.clock.advance(3600)
    harness.map_event(event_id)
    settle(harness)

    found = counted(here, harness)
    assert found["adapter_events_total", "discarded", "rentfeed"] == 1
    assert found["adapter_bookings_total", "rentfeed", "booked"] == 1
    assert found["adapter_time_to_post_seconds_count", "rentfeed"] == 0
    assert found["adapter_time_to_booked_seconds_count", "rentfeed"] == 0


def test_what_propexo_answers_is_counted_and_a_retry_is_no_second_time_to_post(
    here: flask.testing.FlaskClient, harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"status": 429})
    harness.mapped("rentfeed", lead(1))
    harness.send()
    harness.clock.advance(600)
    harness.send()

    found = counted(here, harness)
    assert found["adapter_propexo_requests_total", "create_appointment", "rate_limited"] == 1
    assert found["adapter_propexo_requests_total", "create_appointment", "ok"] == 1
    assert found["adapter_bookings_total", "rentfeed", "sending"] == 2
    assert found["adapter_time_to_post_seconds_count", "rentfeed"] == 1
    assert found["adapter_time_to_post_seconds_sum", "rentfeed"] == 0


def test_a_stranger_creates_no_series(here: flask.testing.FlaskClient, harness: Harness) -> None:
    for number in range(20):
        here.post(f"/hooks/stranger{number}", data=b"{}")
    here.application.extensions["pipeline"].receiver.background_writer.flush()
    found = counted(here, harness)

    assert found["adapter_rejections_total", "unknown_source", ""] == 20
    assert not [key for key in found if "stranger" in " ".join(key)]


def test_numbers_that_cannot_be_saved_are_kept(harness: Harness) -> None:
    with Database("postgresql://127.0.0.1:1/none", wait_seconds=0.1) as away:
        away.meter.count(meter.WEBHOOKS, "rentfeed", "unavailable")
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                away.save_metrics()
        assert away.meter.take() == {("webhooks", ("rentfeed", "unavailable"), ""): 1}


def test_history_that_is_not_committed_yet_is_counted_later(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    """Commit an entry after a later one was counted."""
    (booking,) = harness.mapped("rentfeed", lead(1))
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(booking.id, BookingState.HELD, why="test", by="ana", now=harness.clock())
        harness.mapped("rentfeed", lead(2))
        harness.pipeline.count_metrics()
        harness.pipeline.count_metrics()
    found = counted(here, harness)
    assert found["adapter_bookings_total", "rentfeed", "held"] == 1
    assert found["adapter_bookings_total", "rentfeed", "pending"] == 2


def test_buckets_of_an_earlier_version_are_kept(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    key = ("acknowledge_seconds", (), "0.007")
    with harness.pipeline.store.transaction() as tx:
        tx.metrics.add({key: 3})

    found = values(here)
    assert found["adapter_acknowledge_seconds_bucket", "0.005"] == 0
    assert found["adapter_acknowledge_seconds_bucket", "0.01"] == 3
    assert found["adapter_acknowledge_seconds_count",] == 3


def test_exactly_the_declared_metrics_are_served(
    here: flask.testing.FlaskClient, harness: Harness
) -> None:
    harness.mapped("rentfeed", lead(1))
    families = text_string_to_metric_families(here.get("/metrics").text)
    served = {family.name: family.documentation for family in families}

    assert served.keys() == {f"adapter_{name}" for name in metrics_page.GAUGES} | {
        f"adapter_{metric.name}" for metric in metrics_page.COUNTED
    }
    assert all(served.values())
