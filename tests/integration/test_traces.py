"""Test traces with a real OTLP receiver."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from adapter import tracing
from adapter.exceptions import ConfigurationError
from adapter.operations.start_checks import environment_faults
from adapter.settings import Settings
from adapter.store import Task
from tests.collector import Collector, Span, running_collector
from tests.harness import Harness, settle
from tests.leads import lead
from tests.sandbox_client import SandboxClient


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        tracing.configure(running.url, "1.2.3")
        yield running
        tracing.configure(None, "1.2.3")


def receive(harness: Harness, number: int) -> int:
    """Receive a webhook as the view does, without using the test's clock."""
    receipt = harness.receive("rentfeed", lead(number))
    tracing.received(
        harness.pipeline.store.hash_key(),
        receipt.event_id,
        0.25,
        is_first=not receipt.is_duplicate,
        source="rentfeed",
        outcome="accepted",
    )
    return receipt.event_id


def spans(collector: Collector) -> dict[str, Span]:
    tracing.shut_down()
    return {span.name: span for span in collector.spans}


def test_a_lead_is_one_trace_from_the_webhook_to_the_tour(
    harness: Harness, collector: Collector
) -> None:
    event_id = receive(harness, 1)
    harness.pipeline.run(Task.MAP)
    settle(harness)
    found = spans(collector)

    parents = {
        "webhook": None,
        "map": "webhook",
        "send": "webhook",
        "propexo create_appointment": "send",
        "check": "webhook",
        "propexo read_status": "check",
    }
    assert found.keys() == parents.keys()
    assert {span.trace for span in found.values()} == {found["webhook"].trace}
    for name, parent in parents.items():
        assert found[name].parent == (found[parent].id if parent else b"")
    assert found["webhook"].attributes == {
        "adapter.source": "rentfeed",
        "adapter.outcome": "accepted",
        "adapter.event": event_id,
    }
    assert found["webhook"].seconds == pytest.approx(0.25, abs=0.1)
    assert found["send"].attributes.keys() == {
        "adapter.event",
        "adapter.booking",
        "adapter.attempt",
    }


def test_each_lead_has_a_trace_of_its_own_and_a_repeat_is_in_it(
    harness: Harness, collector: Collector
) -> None:
    receive(harness, 1)
    receive(harness, 1)
    receive(harness, 2)
    tracing.shut_down()

    first, repeat, other = collector.spans
    assert (repeat.trace, repeat.parent) == (first.trace, first.id)
    assert other.trace != first.trace
    assert other.parent == b""


def test_an_error_is_marked_without_its_text_and_nothing_personal_is_sent(
    harness: Harness, collector: Collector, upstream: SandboxClient
) -> None:
    upstream.fault({"status": 429})
    receive(harness, 1)
    harness.pipeline.run(Task.MAP)
    harness.send()
    failed = spans(collector)["propexo create_appointment"]

    assert failed.status == 2
    assert failed.attributes == {"error.type": "RateLimited"}
    (booking,) = harness.story(failed_event(collector)).bookings
    for name in ("first_name", "last_name", "email_1", "notes"):
        assert str(booking.appointment[name]).encode() not in collector.text
    assert b"exception" not in collector.text, "its text and traceback are not recorded"


def failed_event(collector: Collector) -> int:
    return int(spans(collector)["webhook"].attributes["adapter.event"])


def test_a_call_outside_a_lead_is_not_recorded(harness: Harness, collector: Collector) -> None:
    harness.pipeline.propexo.check_token()

    assert spans(collector) == {}


def test_the_sampler_decides_once_for_a_lead(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    with running_collector() as running:
        tracing.configure(running.url, "1")
        for number in range(24):
            receive(harness, number)
        harness.pipeline.run(Task.MAP)
        tracing.shut_down()
        tracing.configure(None, "1")

    roots = {span.trace for span in running.spans if span.name == "webhook"}
    assert 0 < len(roots) < 24
    assert {span.trace for span in running.spans if span.name == "map"} == roots


def test_a_collector_that_fails_is_logged_once(
    collector: Collector, caplog: pytest.LogCaptureFixture, harness: Harness
) -> None:
    caplog.set_level("INFO", "adapter.tracing")
    collector.receiver.answers = [400, 400]
    for number in range(3):
        receive(harness, number)
        tracing.shut_down()

    events = [one.message for one in caplog.records if one.name == "adapter.tracing"]
    assert events == ["traces_not_delivered", "traces_delivered"]


def test_without_the_setting_nothing_of_opentelemetry_is_imported(harness: Harness) -> None:
    code = (
        "import sys, adapter.app, adapter.server.worker, adapter.cli.run; "
        "from adapter import tracing; tracing.configure(None, '1'); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert tracing.step("map", b"key", 1) is tracing.step("send", b"key", 2, booking=3)


def test_a_missing_extra_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    settings = Settings(traces_url="http://127.0.0.1:4318/v1/traces")

    with pytest.raises(ConfigurationError, match=r"pip install 'knock-lead-adapter\[otel\]'"):
        tracing.configure(settings.traces_url, "1")
    assert any("knock-lead-adapter[otel]" in line for line in environment_faults(settings))
