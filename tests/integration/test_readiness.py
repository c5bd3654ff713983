"""Test the problems that keep web and worker from using the database, and their reports."""

import contextlib
import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import flask.testing
import psycopg
import pytest

from adapter import app, store
from adapter.app import create_app
from adapter.exceptions import StoreUnavailable
from adapter.server import worker
from adapter.server.worker import Worker
from adapter.settings import Settings
from adapter.store import Database, Outage
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks.self_check import HEADER, proof
from tests.databases import run_sql
from tests.harness import SECRETS, Harness, load_cached
from tests.leads import lead
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

NEWER = "INSERT INTO migrations (name) VALUES ('9999_newer.sql')"


@contextlib.contextmanager
def web(database: str) -> Iterator[flask.testing.FlaskClient]:
    settings = Settings(database_url=database, mappings_dir=MAPPINGS, environ=SECRETS)
    client = create_app(settings, all_sources=load_cached(MAPPINGS)).test_client()
    with client.application.extensions["pipeline"].store:
        yield client


def reason(client: flask.testing.FlaskClient) -> str | None:
    """Return the reason why the web process is not ready, or None."""
    answer = client.get("/readyz")
    data: dict[str, str] = answer.get_json()
    assert answer.status_code == (503 if "reason" in data else 200)
    return data.get("reason")


def test_web_is_ready_once_the_database_is_migrated(empty_database: str) -> None:
    with web(empty_database) as client:
        assert "run adapter migrate" in str(reason(client))
        store.migrate(empty_database)
        assert reason(client) is None

        run_sql(empty_database, NEWER)
        assert reason(client) is None, "a rollback of web stays possible"
        run_sql(empty_database, "UPDATE migrations SET sha256 = 'x' WHERE name LIKE '0001%'")
        assert "different version of 0001_initial.sql" in str(reason(client))


def test_web_is_not_ready_while_postgresql_is_read_only(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ROOM_SECONDS", 0.0)
    name = psycopg.conninfo.conninfo_to_dict(fresh_database)["dbname"]
    run_sql(fresh_database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with web(fresh_database) as client:
        assert "read-only" in str(reason(client))


@pytest.fixture
def small_disk(data_folder: Path) -> Iterator[Path]:
    """Yield a folder on a disk that has only enough space for an empty cluster."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(data_folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    data_folder.chmod(0o755)
    try:
        yield data_folder
    finally:
        subprocess.run(["umount", "-l", str(data_folder)], check=True)


def test_web_is_not_ready_while_the_disk_is_full(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ROOM_SECONDS", 0.0)
    with EmbeddedServer(small_disk).running() as url:
        store.migrate(url)
        with web(url) as client:
            assert reason(client) is None
            fill = small_disk / "fill"
            with contextlib.suppress(OSError), fill.open("wb") as file:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            assert "its disk is full" in str(reason(client))
            fill.unlink()
            assert reason(client) is None


def test_health_tells_strangers_nothing(fresh_database: str) -> None:
    with Database(fresh_database) as opened:
        proved = {HEADER: proof(opened.hash_key(), time.time())}
        others = [
            {},
            {HEADER: ""},
            {HEADER: proof(b"another key", time.time())},
            {HEADER: proof(opened.hash_key(), time.time() - 3600)},
            {HEADER: "9" * 400 + ".x"},
        ]
    with web(fresh_database) as client:
        assert set(client.get("/healthz", headers=proved).get_json()) == {"status", "seen"}
        for headers in others:
            assert client.get("/healthz", headers=headers).json == {"status": "alive"}


# --- a worker on another version's schema -------------------------------------------------


def test_a_worker_stops_on_a_newer_schema_and_goes_on_when_it_may(
    fresh_database: str, upstream: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.05)
    with Database(fresh_database, size=4) as opened:
        harness = Harness(opened, upstream)
        with Worker(harness.pipeline).running():
            run_sql(fresh_database, NEWER)
            wait_until(lambda: harness.pipeline.is_stopped, "it stops")
            event_id = harness.receive("rentfeed", lead(1)).event_id
            time.sleep(0.5)  # the notification does not start anything either
            assert harness.story(event_id).bookings == ()

            run_sql(fresh_database, "DELETE FROM migrations WHERE name = '9999_newer.sql'")
            wait_until(lambda: upstream.posts(), "it goes on")
        assert harness.pipeline.is_stopped


def test_a_worker_may_be_allowed_to_use_a_newer_schema(
    fresh_database: str, upstream: SandboxClient
) -> None:
    run_sql(fresh_database, NEWER)
    with Database(fresh_database, size=4) as opened:
        harness = Harness(opened, upstream, allow_newer_database=True)
        with Worker(harness.pipeline).running():
            harness.receive("rentfeed", lead(1))
            wait_until(lambda: upstream.posts(), "it works")


def test_a_run_ends_after_its_current_event_when_it_must_stop(harness: Harness) -> None:
    for number in range(3):
        harness.receive("rentfeed", lead(number))
    harness.pipeline.mapper.stopping.set()
    assert harness.pipeline.mapper.map_due()

    with harness.pipeline.store.transaction() as tx:
        assert [str(one.state) for one in tx.search.events()].count("received") == 2


# --- an outage in the log -----------------------------------------------------------------


def test_an_outage_is_logged_at_once_each_minute_and_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = iter((0.0, 1.0, 59.0, 60.0, 61.0, 121.0, 121.0, 130.0))
    outage = Outage("database", lambda: next(times))
    with caplog.at_level(logging.INFO):
        for _ in range(6):
            outage.failed("refused")
        outage.failed("starting up")
        outage.ended()
        outage.ended()

    assert [(one.levelname, one.message) for one in caplog.records] == [
        ("WARNING", "postgresql_unavailable"),
        ("ERROR", "postgresql_unavailable"),
        ("ERROR", "postgresql_unavailable"),
        ("ERROR", "postgresql_unavailable"),
        ("INFO", "postgresql_available"),
    ]
    last = caplog.records[-1]
    assert (last.__dict__["seconds"], last.__dict__["failures"]) == (130, 7)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://leads:hunter2@127.0.0.1:1/leads",
            "cannot reach PostgreSQL at 127.0.0.1:1/leads: Connection refused",
        ),
        ("postgresql://nobody:hunter2@localhost/leads?host=SOCKET", 'for user "nobody"'),
    ],
)
def test_the_reason_and_the_server_are_in_the_log_without_the_password(
    postgres: EmbeddedServer, url: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(psycopg.conninfo.conninfo_to_dict(postgres.url)["host"])
    with (
        Database(url.replace("SOCKET", folder), wait_seconds=0.5) as opened,
        pytest.raises(StoreUnavailable),
        opened.transaction(),
    ):
        pass
    (record,) = (one for one in caplog.records if one.message == "postgresql_unavailable")
    said = record.__dict__["reason"]
    assert expected in said
    assert "hunter2" not in said


def test_a_pool_that_is_in_use_says_so(database: str) -> None:
    with Database(database, size=1, wait_seconds=0.2) as opened, opened.statement():
        in_use = pytest.raises(StoreUnavailable, match="all 1 connections of this process are in")
        with in_use, opened.statement():
            pass
