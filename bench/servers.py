"""Run the web process and its baselines with the same gunicorn and PostgreSQL."""

import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil
import psycopg

from adapter import store
from adapter.server.ports import free_port
from adapter.server.web_process import web_command
from adapter.settings import settings_from
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from bench import BenchError

ROOT = Path(__file__).parent.parent
#: gunicorn's last argument, by the name of the server.
APPS = {"ours": None, "empty 204": "bench.bare:empty()", "one INSERT": "bench.bare:insert()"}
START_SECONDS = 60.0
#: A process counts as idle if it uses less than this share of a core for this long.
IDLE_SHARE, IDLE_SECONDS = 0.2, 0.1
STOP_SECONDS = 40.0


def folder() -> Path:
    """Yield a folder for a section's logs and its PostgreSQL cluster, if it has one."""
    return settings_from().data_dir / "bench"


@contextlib.contextmanager
def database(folder: Path, server: str | None = None) -> Iterator[str]:
    """Yield the URL of a new, migrated database that uses fsync. See :func:`databases`."""
    with databases(folder, ("bench",), server) as urls:
        yield urls["bench"]


@contextlib.contextmanager
def databases(
    folder: Path, names: Sequence[str], server: str | None = None
) -> Iterator[dict[str, str]]:
    """Yield migrated databases on ``server``, or on a new server in ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = EmbeddedServer(folder).running() if server is None else contextlib.nullcontext(server)
    with own as url, psycopg.connect(url, autocommit=True) as connection:
        _check_durable(connection)
        urls = {name: url.replace("/postgres?", f"/bench_{name}?") for name in names}
        first, *others = names
        try:
            connection.execute(f"CREATE DATABASE bench_{first}".encode())
            _prepare(urls[first])
            for name in others:
                command = f"CREATE DATABASE bench_{name} TEMPLATE bench_{first}"
                connection.execute(command.encode())
            yield urls
        finally:
            if server is not None:
                for name in names:
                    command = f"DROP DATABASE IF EXISTS bench_{name} WITH (FORCE)"
                    connection.execute(command.encode())
    shutil.rmtree(folder, ignore_errors=True)


def _prepare(url: str) -> None:
    store.migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE bench_bodies (id bigserial PRIMARY KEY, source text, body bytea)"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A server under load."""

    port: int
    pid: int
    #: Its table with one row per request, or None if it stores nothing.
    url: str | None = None


@contextlib.contextmanager
def running(
    url: str, secret: str, folder: Path, names: Iterable[str] = tuple(APPS)
) -> Iterator[dict[str, Target]]:
    """Yield the adapter and its baselines once all of them are ready."""
    with Family() as family:
        begun = {name: begin_web(family, url, secret, folder, APPS[name]) for name in names}
        yield {name: web.ready() for name, web in begun.items()}


@contextlib.contextmanager
def webs(urls: Mapping[str, str], secret: str, folder: Path) -> Iterator[dict[str, Target]]:
    """Yield a web process for each database, keyed by name, once all of them are ready."""
    with Family() as family:
        begun = {name: begin_web(family, url, secret, folder) for name, url in urls.items()}
        yield {name: web.ready() for name, web in begun.items()}


def begin_web(
    family: "Family", url: str, secret: str, folder: Path, app: str | None = None
) -> "Web":
    """Start the web process as `adapter run` does, or another app under the same gunicorn."""
    settings = settings_from(environment(url, secret))
    command = web_command(settings)
    log = folder / f"web-{settings.port}.log"
    process = family.begin([*command[:-1], app or command[-1]], settings.environ, log)
    target = Target(port=settings.port, pid=process.pid, url=None if app else url)
    return Web(target=target, process=process, log=log)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Web:
    """A running web process."""

    target: Target
    process: "subprocess.Popen[bytes]"
    log: Path

    def ready(self) -> Target:
        """Return the server's URL once it responds."""
        wait_for(f"http://127.0.0.1:{self.target.port}/readyz", self.process, self.log)
        return self.target


def stored(url: str) -> int:
    """Return the number of events in the database."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row is not None
    return int(row[0])


def secret() -> str:
    """Return a random secret for a sender."""
    return secrets.token_hex(16)


def environment(url: str, secret: str, **changes: str) -> dict[str, str]:
    """Return an environment with default settings, except for the rate limit per source.

    A benchmark sends more than any real sender.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    names = ("RENTFEED_SECRET", "LEASEBOT_SECRET", "TYPEFORM_SECRET")
    own = {"DATABASE_URL": url, "ADAPTER_HOST": "127.0.0.1", "PORT": str(free_port())}
    own["ADAPTER_SOURCE_LIMIT_PER_MINUTE"] = "10000000"
    return kept | own | dict.fromkeys(names, secret) | changes


class Family:
    """Processes that start concurrently and end when the ``with`` block ends."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def begin(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path
    ) -> "subprocess.Popen[bytes]":
        """Start a process without waiting for it. Its output goes to ``log``."""
        with log.open("wb") as out:
            process = popen(
                command,
                env=dict(environ),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self._processes.append(process)
        return process


@contextlib.contextmanager
def started(
    command: Sequence[str], environ: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process for the duration of the ``with`` block."""
    with Family() as family:
        yield family.begin(command, environ, log)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server responds. Raise BenchError if its process does not start."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{process.args!r} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def wait_until_idle(pid: int) -> None:
    """Wait until a process and its children are idle. Raise BenchError if that takes too long."""
    process, deadline = psutil.Process(pid), time.monotonic() + START_SECONDS
    before = cpu_seconds(process)
    while True:
        time.sleep(IDLE_SECONDS)  # CPU usage is measured over this time
        now = cpu_seconds(process)
        if now - before < IDLE_SHARE * IDLE_SECONDS:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"{process.name()} does not become idle")
        before = now


def postmaster(url: str) -> psutil.Process:
    """Return the main process of the PostgreSQL server at ``url``, which must run locally."""
    with psycopg.connect(url) as connection:
        return psutil.Process(connection.info.backend_pid).parent() or psutil.Process()


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and its children, including those that have ended."""
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
            return error.code == 404  # the peer is up but has no such page
    except OSError:
        return False


def _check_durable(connection: "psycopg.Connection[tuple[str, ...]]") -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
        if row != ("on",):
            raise BenchError(f"{setting} is off, so the figures would be meaningless")
