"""The web process and what it stands beside: the same gunicorn, over the same PostgreSQL."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import psycopg

from adapter import store
from adapter.children import popen
from adapter.config import settings_from
from adapter.embedded import EmbeddedServer
from adapter.processes import free_port, web_command
from bench import BenchError

ROOT = Path(__file__).parent.parent
#: gunicorn's last argument, by the name of the server.
APPS = {"ours": None, "empty 204": "bench.bare:empty()", "one INSERT": "bench.bare:insert()"}
START_SECONDS = 60.0
#: A process rests that uses less than this share of a core for so long.
IDLE_SHARE, IDLE_SECONDS = 0.2, 0.1
STOP_SECONDS = 40.0


@contextlib.contextmanager
def database(folder: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database on the disk of ``folder``, with fsync on."""
    with databases(folder, ("bench",)) as urls:
        yield urls["bench"]


@contextlib.contextmanager
def databases(folder: Path, names: Sequence[str]) -> Iterator[dict[str, str]]:
    """The same for several, all on one server."""
    shutil.rmtree(folder, ignore_errors=True)
    server = EmbeddedServer(folder)
    with server.running() as url:
        urls = {name: url.replace("/postgres?", f"/{name}?") for name in names}
        with psycopg.connect(url, autocommit=True) as connection:
            _check_durable(connection)
            for name in names:
                connection.execute(f"CREATE DATABASE {name}".encode())
        for each in urls.values():
            store.migrate(each)
            with psycopg.connect(each, autocommit=True) as connection:
                connection.execute(
                    "CREATE TABLE bench_bodies (id bigserial PRIMARY KEY, source text, body bytea)"
                )
        yield urls
    shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A server under load."""

    port: int
    pid: int
    #: Where it stores events, one for each request; None: it stores none.
    url: str | None = None


@contextlib.contextmanager
def running(url: str, secret: str, folder: Path) -> Iterator[dict[str, Target]]:
    """Each server, all of them ready."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(web(url, secret, folder, app)) for name, app in APPS.items()
        }


@contextlib.contextmanager
def web(url: str, secret: str, folder: Path, app: str | None = None) -> Iterator[Target]:
    """The web process as `adapter run` starts it, or another app under the same gunicorn."""
    settings = settings_from(environment(url, secret))
    command = web_command(settings)
    log = folder / f"web-{settings.port}.log"
    with started([*command[:-1], app or command[-1]], settings.environ, log) as process:
        wait_for(f"http://127.0.0.1:{settings.port}/readyz", process, log)
        yield Target(port=settings.port, pid=process.pid, url=None if app else url)


def stored(url: str) -> int:
    """How many events are in the database."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row is not None
    return int(row[0])


def secret() -> str:
    """A sender's secret, made up for this run."""
    return secrets.token_hex(16)


def environment(url: str, secret: str, **changes: str) -> dict[str, str]:
    """The defaults of every setting, whatever the environment says.

    But for the limit by source: a bench sends more in a minute than any sender.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    names = ("RENTFEED_SECRET", "LEASEBOT_SECRET", "TYPEFORM_SECRET")
    own = {"DATABASE_URL": url, "ADAPTER_HOST": "127.0.0.1", "PORT": str(free_port())}
    own["ADAPTER_SOURCE_LIMIT_PER_MINUTE"] = "10000000"
    return kept | own | dict.fromkeys(names, secret) | changes


@contextlib.contextmanager
def started(
    command: Sequence[str], environ: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process for the time of the block; what it says goes to ``log``."""
    with log.open("wb") as out:
        process = popen(
            command, env=dict(environ), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Returns once something answers there. Raises BenchError when the process does not come up."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def wait_until_idle(pid: int) -> None:
    """Returns once a process and its children rest. Raises BenchError when they go on for long."""
    process, deadline = psutil.Process(pid), time.monotonic() + START_SECONDS
    before = _cpu_seconds(process)
    while True:
        time.sleep(IDLE_SECONDS)  # the time over which its use of the processor is measured
        now = _cpu_seconds(process)
        if now - before < IDLE_SHARE * IDLE_SECONDS:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name()} does not come to rest")
        before = now


def _cpu_seconds(process: psutil.Process) -> float:
    """What it and its children have used, those that have ended too."""
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(one.cpu_times()[:4])
    return used


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 404  # a peer that is up and has nothing there
    except OSError:
        return False


def _check_durable(connection: "psycopg.Connection[tuple[str, ...]]") -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
        if row != ("on",):
            raise BenchError(f"{setting} is not on: the figures would promise nothing")
