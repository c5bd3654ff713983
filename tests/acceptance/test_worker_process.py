"""Test the worker process: graceful shutdown, and parts that hang."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from adapter.server.watchdog import DEAD
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.adapter_process import AdapterProcess, kept_environ
from tests.harness import SECRETS, Harness, tour
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until


def test_a_stop_finishes_what_is_in_flight(
    start: Callable[..., AdapterProcess], lead: Path
) -> None:
    running = start()
    running.upstream.fault({"delay": 4})
    assert running.send(lead).startswith("200 ")
    wait_until(lambda: running.upstream.posts(), "the sandbox holds the POST open")
    worker = running.part("worker")
    for _ in range(50):
        worker.send_signal(signal.SIGTERM)
    worker.wait(25)

    url = EmbeddedServer(Path(running.environ["ADAPTER_DATA_DIR"])).url
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT outcome, status FROM attempts").fetchone()
    assert row == ("accepted", 200)
    assert len(running.upstream.posts()) == 1


# --- a process that is alive but stuck ----------------------------------------------------

#: A worker with a part that hangs forever, and with a short watchdog limit.
BROKEN = """
import pathlib, sys, threading
from adapter.bookings.map_event import Mapper
from adapter.cli import main
from adapter.pipeline import Pipeline
from adapter.server import worker

worker.RECOVERY_SECONDS = 0.2
worker.DEAD_SECONDS, worker.GRACE_SECONDS = {limits}

def hang(*_):
    pathlib.Path({mark!r}).touch()
    threading.Event().wait()

{part} = hang
sys.argv = ["adapter", "worker"]
main()
"""


@contextlib.contextmanager
def broken_worker(
    harness: Harness,
    upstream: SandboxClient,
    part: str,
    limits: tuple[float, float],
    mark: Path,
) -> Iterator["subprocess.Popen[str]"]:
    """Start a worker with a part that creates the file ``mark`` and then hangs."""
    kept = kept_environ()
    given = {
        "DATABASE_URL": harness.pipeline.store.url,
        "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
        "PROPEXO_TOKEN": "sandbox",
        "PROPEXO_BASE_URL": upstream.url,
        "ADAPTER_WORKER_CONCURRENCY": "8",
        "ADAPTER_PROPEXO_TIMEOUT_SECONDS": "1",
    }
    process = popen(
        [sys.executable, "-c", BROKEN.format(part=part, limits=limits, mark=str(mark))],
        env=kept | SECRETS | given,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("part", "dead"),
    [
        ("Pipeline.recover", "recovery"),
        ("Pipeline.due", "polling"),
        ("worker.listen_for_received_events", "listener"),
        ("Mapper.map_due", "map"),
    ],
)
def test_a_worker_with_dead_threads_logs_it_and_exits(
    harness: Harness, upstream: SandboxClient, tmp_path: Path, part: str, dead: str
) -> None:
    for number in range(12):
        harness.receive("rentfeed", lead(number))
    with broken_worker(harness, upstream, part, (3.0, 600.0), tmp_path / "hangs") as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode == DEAD
    (line,) = [
        line for line in map(json.loads, said.splitlines()) if line["event"] == "process_is_stuck"
    ]
    assert (line["level"], line["part"]) == ("critical", dead)


def test_a_stop_does_not_wait_for_hung_threads(
    harness: Harness, upstream: SandboxClient, tmp_path: Path
) -> None:
    harness.receive("rentfeed", tour())
    mark = tmp_path / "hangs"
    with broken_worker(harness, upstream, "Mapper.map_due", (600.0, 2.0), mark) as process:
        wait_until(mark.exists, "a run hangs")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)

    assert process.returncode == DEAD
    assert "forced_stop" in said
