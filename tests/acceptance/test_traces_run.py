"""Follow a lead through the processes of ``adapter run`` in one trace."""

from collections.abc import Callable
from pathlib import Path

from tests.adapter_process import AdapterProcess
from tests.collector import running_collector
from tests.wait import wait_until

NAMES = {
    *("webhook", "map", "send", "propexo create_appointment", "check", "propexo read_status"),
}


def test_the_spans_of_web_and_worker_are_one_trace(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    with running_collector() as collector:
        running = start(ADAPTER_TRACES_URL=collector.url, OTEL_BSP_SCHEDULE_DELAY="200")
        running.send(lead)
        wait_until(lambda: {one.name for one in collector.spans} >= NAMES, "all are sent", 30)

    assert len({one.trace for one in collector.spans}) == 1
    (root,) = (one for one in collector.spans if not one.parent)
    assert root.name == "webhook"
    assert root.attributes["adapter.source"] == "rentfeed"
