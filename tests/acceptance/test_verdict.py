"""Test with real processes that missing and hung processes are detected."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from adapter.store.embedded import EmbeddedServer
from tests.adapter_process import AdapterProcess
from tests.message_catcher import MessageCatcher, running_catcher
from tests.wait import wait_until


@pytest.fixture
def catcher() -> Iterator[MessageCatcher]:
    with running_catcher() as one:
        yield one


def execute(running: AdapterProcess, sql: str) -> list[tuple[Any, ...]]:
    url = EmbeddedServer(Path(running.environ["ADAPTER_DATA_DIR"])).url
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def let_time_pass(running: AdapterProcess, kind: str) -> None:
    """Make the heartbeats of one kind of process two minutes older."""
    execute(
        running,
        "UPDATE processes SET seen_at = seen_at - interval '2 min',"
        " looked_at = looked_at - interval '2 min', started_at = started_at - interval '2 min'"
        f" WHERE kind = '{kind}'",
    )


def is_fresh(running: AdapterProcess, kind: str) -> bool:
    sql = f"SELECT id FROM processes WHERE kind = '{kind}' AND seen_at > now() - interval '1 min'"
    return bool(execute(running, sql))


def test_a_hung_worker_and_a_replaced_web_process_are_noticed(
    start: Callable[..., AdapterProcess], catcher: MessageCatcher
) -> None:
    running = start(ADAPTER_ALARMS=catcher.url)
    wait_until(
        lambda: is_fresh(running, "web") and is_fresh(running, "worker"), "they send heartbeats"
    )
    checked = running.run_command("stats", "--check")
    assert checked.stdout.startswith("OK: All is well. 1 worker is running."), checked.stdout
    assert checked.returncode == 0

    worker = running.part("worker")
    worker.suspend()
    let_time_pass(running, "worker")
    checked = running.run_command("stats", "--check")
    assert checked.stdout.startswith("BROKEN: No worker has run since "), checked.stdout
    assert checked.returncode == 2
    wait_until(lambda: catcher.messages, "the web process tells people", 60)
    assert catcher.titles() == ["BROKEN: no_worker"]
    worker.resume()
    wait_until(lambda: is_fresh(running, "worker"), "the worker continues")

    (main,) = execute(running, "SELECT pid FROM processes WHERE kind = 'web'")[0]
    for reporter_or_other in psutil.Process(main).children():
        reporter_or_other.kill()
    let_time_pass(running, "web")
    wait_until(lambda: is_fresh(running, "web"), "another web process reports")
    assert running.run_command("stats", "--check").returncode == 0
