"""The web process and what it stands beside: the same gunicorn, over the same PostgreSQL."""

import contextlib
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from adapter import store
from adapter.config import Settings, settings_from
from adapter.embedded import EmbeddedServer
from adapter.processes import free_port, web_command
from bench import BenchError

ROOT = Path(__file__).parent.parent
#: gunicorn's last argument, by the name of the server.
APPS = {"ours": None, "empty 204": "bench.bare:empty()", "one INSERT": "bench.bare:insert()"}
START_SECONDS = 30.0


@contextlib.contextmanager
def database(folder: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database on the disk of ``folder``, with fsync on."""
    shutil.rmtree(folder, ignore_errors=True)
    with EmbeddedServer(folder).running() as url:
        store.migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE bench_bodies (id bigserial PRIMARY KEY, source text, body bytea)"
            )
            _check_durable(connection)
        yield url
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(url: str, secret: str, folder: Path) -> Iterator[dict[str, int]]:
    """The port of each server, all of them ready."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for name, app in APPS.items():
            settings = settings_from(_environment(url, secret))
            log = folder / f"{name.replace(' ', '-')}.log"
            process = stack.enter_context(_started(settings, app, log))
            _wait(settings.port, process, log)
            ports[name] = settings.port
        yield ports


def stored(url: str) -> int:
    """How many events are in the database."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row is not None
    return int(row[0])


def secret() -> str:
    """A sender's secret, made up for this run."""
    return secrets.token_hex(16)


def _environment(url: str, secret: str) -> Mapping[str, str]:
    """The defaults of every setting, whatever the environment says."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    names = ("RENTFEED_SECRET", "LEASEBOT_SECRET", "TYPEFORM_SECRET")
    own = {"DATABASE_URL": url, "ADAPTER_HOST": "127.0.0.1", "PORT": str(free_port())}
    return kept | own | dict.fromkeys(names, secret)


@contextlib.contextmanager
def _started(settings: Settings, app: str | None, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = web_command(settings)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command[:-1], app or command[-1]],
            env=dict(settings.environ),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"gunicorn did not start: {log.read_text()}")
        time.sleep(0.05)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _check_durable(connection: "psycopg.Connection[tuple[str, ...]]") -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
        if row != ("on",):
            raise BenchError(f"{setting} is not on: the figures would promise nothing")
