"""Check that ten seconds after a process is killed, no children are left."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from adapter.store import child_processes
from adapter.store.child_processes import popen
from adapter.store.embedded import STOP_SIGNAL, EmbeddedServer
from tests.acceptance.browser.site import CHROMIUM
from tests.adapter_process import ADAPTER, AdapterProcess, environment, is_ready
from tests.paths import ROOT
from tests.sandbox_client import running_sandbox
from tests.wait import wait_until

SECONDS = 10.0


def family_of(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def names_of(family: list[psutil.Process]) -> set[str]:
    """Return the words in the processes' command lines, without folders."""
    words = set()
    for process in family:
        with contextlib.suppress(psutil.Error):
            words |= {Path(word).name for word in process.cmdline()}
    return words


def left_of(family: list[psutil.Process]) -> list[str]:
    """Kill and return the processes that are still alive after ten seconds."""
    deadline = time.monotonic() + SECONDS
    while (left := [process for process in family if lives(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    told = [f"{process.name()} {process.cmdline()}" for process in left]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    return told


def lives(process: psutil.Process) -> bool:
    """Return True if a process is running and is not a zombie."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def killed(process: "subprocess.Popen[bytes]", number: int) -> list[str]:
    """Send a signal to a process. Return its family's remaining processes ten seconds later."""
    family = family_of(process.pid)
    process.send_signal(number)
    left = left_of(family)
    process.wait()
    return left


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_finishes_requests_in_flight_and_leaves_nothing(
    start: Callable[..., AdapterProcess], lead: Path, number: int
) -> None:
    """Check that PostgreSQL keeps running as long as the worker needs it."""
    with running_sandbox() as upstream:
        addressed = {"PROPEXO_TOKEN": "sandbox", "PROPEXO_BASE_URL": upstream.url}
        running = start(**addressed)
        upstream.fault({"delay": 3})
        assert running.send(lead).startswith("200 ")
        wait_until(upstream.posts, "the POST is open")
        assert {"gunicorn", "worker", "postgres"} <= names_of(family_of(running.process.pid))

        assert killed(running.process, number) == []

        again = start(**addressed)
        wait_until(lambda: again.states() == ["booked"], "the lead is booked", 60)
        (booking,) = again.bookings()
        assert "unknown" not in again.run_command("show", str(booking.id)).stdout
        assert len(upstream.posts()) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_hung_process_is_killed_and_its_lead_is_posted_once(
    start: Callable[..., AdapterProcess], lead: Path, number: int
) -> None:
    """Kill a worker in an endless POST, a frozen web process, and a client."""
    with running_sandbox() as upstream, contextlib.ExitStack() as stack:
        running = start(
            PROPEXO_TOKEN="sandbox",
            PROPEXO_BASE_URL=upstream.url,
            ADAPTER_PROPEXO_TIMEOUT_SECONDS="40",
        )
        upstream.fault({"delay": 30})
        assert running.send(lead).startswith("200 ")
        wait_until(upstream.posts, "the POST is open")
        url = EmbeddedServer(Path(running.environ["ADAPTER_DATA_DIR"])).url
        stack.enter_context(contextlib.closing(psycopg.connect(url)))
        running.part("gunicorn").suspend()

        assert killed(running.process, number) == []

        # The command starts PostgreSQL, which has ended too.
        listed = json.loads(running.run_command("bookings", "--json").stdout)["bookings"]
        assert [booking["state"] for booking in listed] == ["sending"]
        assert len(upstream.posts()) == 1


def test_a_run_whose_terminal_is_closed_leaves_nothing(data_folder: Path) -> None:
    ours, theirs = pty.openpty()
    environ = environment(data_folder / "data")
    terminal = [sys.executable, "-c", TERMINAL, *ADAPTER, "run"]
    running = AdapterProcess(environ, popen(terminal, env=environ, stdin=theirs, stdout=theirs))
    os.close(theirs)
    wait_until(lambda: is_ready(running.url), "adapter run is ready", 60)
    family = family_of(running.process.pid)

    os.close(ours)

    left = left_of(family)
    running.process.wait()
    assert left == []


#: A program that makes its standard input the controlling terminal, and executes another program.
TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_demo_leaves_nothing(data_folder: Path, number: int) -> None:
    environ = os.environ | {"TMPDIR": str(data_folder)}
    demo = popen([*ADAPTER, "demo"], env=environ, stdout=subprocess.DEVNULL)
    wanted = {"gunicorn", "worker", "sandbox", "postgres"}
    wait_until(lambda: wanted <= names_of(family_of(demo.pid)), "its parts run", 60)

    assert killed(demo, number) == []

    if number != signal.SIGKILL:
        assert list(data_folder.glob("adapter-demo-*")) == []


@pytest.fixture
def held() -> Iterator["subprocess.Popen[bytes]"]:
    """Yield a command that started the embedded PostgreSQL and hangs."""
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as folder:
        words = [sys.executable, "-c", HOLD, folder]
        process = popen(words, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.stdout.close()


HOLD = """
import sys, time
from pathlib import Path
from adapter.store.embedded import EmbeddedServer

with EmbeddedServer(Path(sys.argv[1])).running():
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("also", [True, False], ids=["its guard too", "it alone"])
def test_a_killed_command_leaves_no_postgresql(held: "subprocess.Popen[bytes]", also: bool) -> None:
    (guard,) = [one for one in family_of(held.pid) if "child_guard.py" in names_of([one])]
    if also:
        guard.kill()

    assert killed(held, signal.SIGKILL) == []


#: A test for a separate pytest run, which hangs after starting everything that tests use.
BLOCKED = """
import pathlib
import threading

import pytest

from tests.acceptance.browser.conftest import browser
from tests.paths import MAPPINGS
from tests.gunicorn_process import running_gunicorn


def test_blocked(start, database{browser}):
    secrets = {{"RENTFEED_SECRET": "1", "LEASEBOT_SECRET": "2", "TYPEFORM_SECRET": "3"}}
    with running_gunicorn(MAPPINGS, database, **secrets):
        start()
        pathlib.Path({ready!r}).touch()
        threading.Event().wait(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("options", [[], ["-n", "1"]], ids=["one process", "xdist"])
def test_a_killed_run_of_tests_leaves_nothing(
    data_folder: Path, options: list[str], number: int
) -> None:
    ready = data_folder / "ready"
    file = data_folder / "test_blocked.py"
    file.write_text(BLOCKED.format(ready=str(ready), browser=", browser" if CHROMIUM else ""))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", *options]
    command += ["-p", "tests.acceptance.conftest"]
    command += [f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", str(file)]
    environ = os.environ | {"TMPDIR": str(data_folder)}
    with (data_folder / "said").open("wb") as said:
        run = popen(command, cwd=ROOT, env=environ, stdout=said, stderr=said)
    wait_until(lambda: ready.exists() or run.poll() is not None, "the test hangs", 90)
    assert run.poll() is None, (data_folder / "said").read_text()
    wanted = {"gunicorn", "worker", "sandbox", "postgres"} | ({"chromium"} if CHROMIUM else set())
    assert wanted <= names_of(family_of(run.pid))

    assert killed(run, number) == []


def test_a_stopping_server_makes_way_for_the_next(data_folder: Path) -> None:
    server = EmbeddedServer(data_folder)
    first = server.spawn()
    server.wait(first)
    with contextlib.closing(psycopg.connect(server.url)):
        first.terminate()
        wait_until(lambda: not server.is_running(), "it takes no more clients")

        second = server.spawn()
        server.wait(second)

    assert first.wait(10) == 0
    child_processes.stop(second, STOP_SIGNAL, 10)


def test_the_log_of_the_embedded_postgresql_has_no_rows_and_an_end(data_folder: Path) -> None:
    server = EmbeddedServer(data_folder)
    server.prepare()
    log = server.folder / "server.log"
    log.write_bytes(b"earlier " * 200_000)
    with server.running() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (email text PRIMARY KEY)")
        for _ in range(2):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO t VALUES (%s)", ["dana@example.com"])
        with contextlib.suppress(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT 'dana@example.com'::int")

    text = log.read_text()
    assert "ready to accept connections" in text
    assert "dana" not in text
    assert "earlier" not in text
    assert log.with_name("server.log.1").read_bytes().startswith(b"earlier")
