"""Test the worker as a process: graceful shutdown, and recovery of a dead worker's tasks."""

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

#: A worker in which one part hangs forever, with a short watchdog limit.
BROKEN = """
import sys, threading, time
from adapter.bookings.map_event import Mapper
from adapter.cli import main
from adapter.pipeline import Pipeline
from adapter.server import worker

worker.RECOVERY_SECONDS = 0.2
worker.DEAD_SECONDS, worker.GRACE_SECONDS, worker.FORCE_SECONDS = {limits}

def hang(*_):
    threading.Event().wait()

async def block(_):
    time.sleep(600)

{part} = {fault}
sys.argv = ["adapter", "worker"]
main()
"""


@contextlib.contextmanager
def broken_worker(
    harness: Harness,
    upstream: SandboxClient,
    part: str,
    fault: str,
    limits: tuple[float, float, float],
) -> Iterator["subprocess.Popen[str]"]:
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
        [sys.executable, "-c", BROKEN.format(part=part, fault=fault, limits=limits)],
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
    ("part", "fault", "dead"),
    [
        ("Pipeline.recover", "hang", "recovery"),
        ("worker.delete_stalled", "block", "recovery"),
        ("Mapper.map_due", "hang", "map"),
    ],
)
def test_a_worker_with_dead_threads_logs_it_and_exits(
    harness: Harness, upstream: SandboxClient, part: str, fault: str, dead: str
) -> None:
    for number in range(12):
        harness.receive("rentfeed", lead(number))
    with broken_worker(harness, upstream, part, fault, (3.0, 600.0, 0.0)) as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode == DEAD
    (line,) = [
        line for line in map(json.loads, said.splitlines()) if line["event"] == "process_is_stuck"
    ]
    assert (line["level"], line["part"]) == ("critical", dead)


def test_a_stop_does_not_wait_for_hung_threads(harness: Harness, upstream: SandboxClient) -> None:
    harness.receive("rentfeed", tour())
    harness.pipeline.store._notify_workers()
    with broken_worker(harness, upstream, "Mapper.map_due", "hang", (600.0, 1.0, 1.0)) as process:
        wait_until(lambda: not waiting_tasks(harness), "the task has started the run that hangs")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)

    assert process.returncode == DEAD
    assert "forced_stop" in said


def waiting_tasks(harness: Harness) -> int:
    """Return how many Procrastinate tasks are not finished."""
    with harness.pipeline.store.transaction() as tx:
        return len(tx.connection.execute("SELECT FROM procrastinate_jobs").fetchall())
