"""Real parts for the tests: one embedded PostgreSQL for the run, a fresh database for each test."""

import datetime as dt
import itertools
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from adapter import children, embedded, store
from adapter.demo import webhooks
from adapter.embedded import EmbeddedServer
from tests.house import START, House
from tests.running import MAPPINGS, Running, begin, is_ready, is_up
from tests.upstream import Upstream, served_sandbox
from tests.waiting import wait_until

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does, but in two seconds.

    With pytest-xdist each worker does so, and its main process, which has no fixtures, just ends.
    """
    if hasattr(config, "workerinput"):
        children.die_with_parent(os.getppid())
    elif config.getoption("dist", "no") != "no":
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)


def _end(_number: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second one would cut the fixtures' end
    signal.alarm(2)  # it ends this process, and the guard of its children ends those
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """A server that lives as long as the run, in a folder that no other run cleans up."""
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as folder:
        server = EmbeddedServer(Path(folder))
        process: subprocess.Popen[bytes] = server.spawn()
        server.wait(process)
        yield server
        embedded.stop(process)


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder for a PostgreSQL of a test's own.

    Not pytest's: under root the server runs as another user, and each start of pytest closes the
    folder of all its runs to others for a moment.
    """
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as folder:
        yield Path(folder)


def url_of(server: EmbeddedServer, database: str) -> str:
    return server.url.replace("/postgres?", f"/{database}?")


def run_sql(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def template(postgres: EmbeddedServer) -> str:
    """The name of a migrated database that the others are copied from."""
    run_sql(postgres.url, "CREATE DATABASE migrated")
    store.migrate(url_of(postgres, "migrated"))
    return "migrated"


@pytest.fixture
def empty_database(postgres: EmbeddedServer) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    run_sql(postgres.url, f"CREATE DATABASE {name}")
    yield url_of(postgres, name)
    run_sql(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(postgres: EmbeddedServer, template: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    name = f"test_{next(_numbers)}"
    run_sql(postgres.url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield url_of(postgres, name)
    run_sql(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def opened(database: str) -> Iterator[store.Store]:
    """A store over that database."""
    with store.Store(database, size=4) as opened:
        yield opened


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A sandbox that lives by the tests' clock: a tour in March 2026 is upcoming there."""
    with served_sandbox(clock=lambda: START) as upstream:
        yield upstream


@pytest.fixture
def house(opened: store.Store, upstream: Upstream) -> House:
    """A pipeline over that store and that sandbox."""
    return House(opened, upstream)


@pytest.fixture
def start(data_folder: Path) -> Iterator[Callable[..., Running]]:
    """Starts `adapter run` in a folder of its own; stops it at the end."""
    started: list[Running] = []

    def begun(**changes: str) -> Running:
        running = begin(data_folder / "data", **changes)
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
    """A portal's lead with a tour in the days to come."""
    _, _, payload = next(webhooks(MAPPINGS, dt.datetime.now(dt.UTC)))
    file = tmp_path / "lead.json"
    file.write_text(json.dumps(payload))
    return file
