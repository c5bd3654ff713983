"""Provide complete installations, which run as real processes."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapter.server.demo_scenario import webhooks
from tests.adapter_process import AdapterProcess, is_ready, is_up, start_adapter
from tests.paths import MAPPINGS
from tests.wait import wait_until


@pytest.fixture
def start(data_folder: Path) -> Iterator[Callable[..., AdapterProcess]]:
    """Start `adapter run` in a separate folder, and stop it at the end."""
    started: list[AdapterProcess] = []

    def begun(**changes: str) -> AdapterProcess:
        running = start_adapter(data_folder / "data", **changes)
        started.append(running)
        wait_until(lambda: is_ready(running.url), "adapter run is ready", 60)
        if "PROPEXO_TOKEN" not in changes:
            wait_until(lambda: is_up(running.upstream.url), "the sandbox is ready", 60)
        return running

    yield begun
    for running in started:
        running.stop()


@pytest.fixture
def lead(tmp_path: Path) -> Path:
    """Return a lead from a portal, with an upcoming tour."""
    _, _, payload = next(webhooks(MAPPINGS, dt.datetime.now(dt.UTC)))
    file = tmp_path / "lead.json"
    file.write_text(json.dumps(payload))
    return file
