"""Provide one PostgreSQL server per pytest worker, and an empty database for each test.

``unit`` tests need neither, ``integration`` tests need a database and a sandbox, and
``acceptance`` tests start real processes.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter import store
from adapter.store import child_processes
from adapter.store.embedded import STOP_SIGNAL, EmbeddedServer
from tests.databases import database_url, delete_rows, run_sql, set_durable, temporary_database
from tests.harness import START, Harness
from tests.installed import server_for_tests
from tests.sandbox_client import SandboxClient, running_sandbox


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that must not run in two workers at once (``--dist loadgroup``)."""
    for item in items:
        if item.get_closest_marker("timed"):
            item.add_marker(pytest.mark.xdist_group("timed"))
        elif "acceptance" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))  # a module shares servers


def pytest_configure(config: pytest.Config) -> None:
    """Make SIGTERM and SIGHUP end a run like Ctrl-C, but within two seconds.

    With pytest-xdist, each worker does this. The main process has no fixtures and simply ends.
    """
    if hasattr(config, "workerinput"):
        child_processes.die_with_parent(os.getppid())
    elif config.getoption("dist", "no") != "no":
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)


def _end(_number: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the fixtures' cleanup
    signal.alarm(2)  # it ends this process, and the guard of its children ends those
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """Yield a PostgreSQL server for the whole run, in a folder that other runs do not delete."""
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as folder:
        server = server_for_tests(Path(folder))
        process: subprocess.Popen[bytes] = server.spawn()
        server.wait(process)
        set_durable(server, is_durable=False)  # this data is not needed after a crash
        yield server
        child_processes.stop(process, STOP_SIGNAL, 10)


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """Yield a data folder for a PostgreSQL server that only this test uses.

    It is not in pytest's folder because as root, the server runs as another user, and each start of
    pytest briefly closes the folder of all its runs to other users.
    """
    with tempfile.TemporaryDirectory(prefix="adapter-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedServer) -> str:
    """Migrate the template database, and return its name."""
    run_sql(postgres.url, "CREATE DATABASE migrated")
    store.migrate(database_url(postgres, "migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def shared_database(postgres: EmbeddedServer, template: str) -> Iterator[str]:
    """Yield the URL of the database that this pytest worker's tests use one after another."""
    with temporary_database(postgres, f"TEMPLATE {template}") as url:
        delete_rows(url)  # it knows the schema from now on
        yield url


@pytest.fixture
def database(shared_database: str) -> Iterator[str]:
    """Yield the URL of a migrated database without rows."""
    yield shared_database
    delete_rows(shared_database)


@pytest.fixture
def fresh_database(postgres: EmbeddedServer, template: str) -> Iterator[str]:
    """Yield the URL of a migrated database that only this test uses.

    Use it for a test that changes the schema, counts pages, or stops the server.
    """
    with temporary_database(postgres, f"TEMPLATE {template}") as url:
        yield url


@pytest.fixture(scope="module")
def module_database(postgres: EmbeddedServer, template: str) -> Iterator[str]:
    """Yield the URL of a migrated database that the tests of one module share with a server."""
    with temporary_database(postgres, f"TEMPLATE {template}") as url:
        yield url


@pytest.fixture
def empty_database(postgres: EmbeddedServer) -> Iterator[str]:
    """Yield the URL of an empty database."""
    with temporary_database(postgres) as url:
        yield url


@pytest.fixture
def opened(database: str) -> Iterator[store.Database]:
    """Yield the opened database."""
    with store.Database(database, size=4) as opened:
        yield opened


@pytest.fixture
def opened_fresh(fresh_database: str) -> Iterator[store.Database]:
    """Yield an opened database that only this test uses."""
    with store.Database(fresh_database, size=4) as opened:
        yield opened


@pytest.fixture
def upstream() -> Iterator[SandboxClient]:
    """Yield a sandbox that uses the tests' clock, so that tours in March 2026 are upcoming."""
    with running_sandbox(clock=lambda: START) as upstream:
        yield upstream


@pytest.fixture
def harness(opened: store.Database, upstream: SandboxClient) -> Harness:
    """Return a pipeline that uses the opened database and the sandbox."""
    return Harness(opened, upstream)
