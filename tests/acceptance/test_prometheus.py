"""Let a real Prometheus scrape an installation, using the files that ``adapter init`` writes."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from adapter.store.child_processes import popen
from tests.adapter_process import AdapterProcess
from tests.ports import free_port
from tests.promql import exported, expressions
from tests.unit.test_init import init
from tests.wait import wait_until

pytestmark = [
    pytest.mark.xdist_group("prometheus"),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed"),
]

TOKEN = "open sesame"


@contextmanager
def running_prometheus(folder: Path, target: str) -> Iterator[str]:
    """Run Prometheus with the files from ``adapter init``, but another address and interval."""
    init(folder / "leads")
    own = folder / "leads" / "prometheus"
    (own / "metrics-token").write_text(TOKEN)
    configured = yaml.safe_load((own / "prometheus.yml").read_text())
    configured["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = configured["scrape_configs"]
    job |= {"scheme": "http", "static_configs": [{"targets": [target]}]}
    (own / "prometheus.yml").write_text(yaml.safe_dump(configured))
    address = f"127.0.0.1:{free_port()}"
    process = popen(
        [
            "prometheus",
            f"--config.file={own / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ]
    )
    try:
        wait_until(lambda: _is_ready(f"http://{address}/-/ready"), "Prometheus is ready", 30)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    answer = requests.get(f"{prometheus}/api/v1/query", {"query": expression}, timeout=5).json()
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def test_prometheus_reads_all_metrics_and_answers_all_queries(
    start: Callable[..., AdapterProcess], lead: Path, tmp_path: Path
) -> None:
    """Check that the numbers from two web processes and a worker are added up."""
    running = start(ADAPTER_METRICS_TOKEN=TOKEN)
    with running_prometheus(tmp_path, running.url.removeprefix("http://")) as prometheus:
        requests.post(f"{running.url}/hooks/rentfeed", timeout=5)  # without a signature
        for _ in range(3):
            running.send(lead)
        booked = 'adapter_bookings_total{state="booked"} == 1'
        wait_until(lambda: query(prometheus, booked), "the booking is counted", 60)
        received = 'sum(adapter_webhooks_total{source="rentfeed"}) == 3'
        wait_until(lambda: query(prometheus, received), "the webhooks are counted", 60)

        missing = {name for name in exported() if not query(prometheus, name)}
        assert missing <= {"adapter_format_changes"}  # no sender has changed its format
        for expression in expressions().values():
            query(prometheus, expression)
        duplicates = query(prometheus, 'adapter_webhooks_total{outcome="duplicate"} == 2')
        assert [one["metric"]["source"] for one in duplicates] == ["rentfeed"]
        loaded = requests.get(f"{prometheus}/api/v1/rules", timeout=5).json()["data"]["groups"]
        assert {rule["health"] for group in loaded for rule in group["rules"]} == {"ok"}
        assert query(prometheus, 'ALERTS{alertstate="firing"}') == []
