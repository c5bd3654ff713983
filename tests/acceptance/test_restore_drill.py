"""Restore a backup under load with real processes. Nothing may be lost or sent twice."""

import collections
import contextlib
import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from adapter import store
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.adapter_process import ADAPTER, SECRETS, kept_environ, run_command
from tests.bundled_web import is_up, start_web
from tests.databases import database_url, run_sql
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.senders import sending, surname
from tests.wait import wait_until

NAME = "restore_drill"
#: A rate limit below the rate of arriving leads, so that some are pending at the backup.
SETTINGS = {"ADAPTER_RATE_PER_MINUTE": "1200", "ADAPTER_LOG_LEVEL": "WARNING"}
LEADS_PER_SECOND = 18


def count(url: str, states: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM bookings WHERE state = ANY(%s)", [states.split()]
        ).fetchone()
    assert row is not None
    return int(row[0])


@contextlib.contextmanager
def running(url: str, upstream: SandboxClient) -> Iterator[dict[str, str]]:
    """Run a web process and a worker, and yield their environment."""
    port = free_port()
    environ = {
        **kept_environ(),
        **SECRETS,
        **SETTINGS,
        "DATABASE_URL": url,
        "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
        "PROPEXO_TOKEN": "sandbox",
        "PROPEXO_BASE_URL": upstream.url,
        "PORT": str(port),
    }
    secret = SECRETS["RENTFEED_SECRET"]
    web = start_web(url, port, RENTFEED_SECRET=secret, ADAPTER_LOG_LEVEL="ERROR")
    worker = popen([*ADAPTER, "worker"], env=environ, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_up(f"http://127.0.0.1:{port}"), "web is up")
        yield environ
    finally:
        for process in (web, worker):
            process.terminate()
        for process in (web, worker):
            process.wait(40)


def dump(server: EmbeddedServer, url: str, file: Path) -> None:
    program = server.programs() / "pg_dump"
    subprocess.run([program, "--format=custom", f"--file={file}", url], check=True)


def lose_and_restore(server: EmbeddedServer, url: str, file: Path) -> None:
    """Drop the database while the processes run, and restore the backup under the same name."""
    run_sql(server.url, f"DROP DATABASE {NAME} WITH (FORCE)")
    run_sql(server.url, f"CREATE DATABASE {NAME}")
    program = server.programs() / "pg_restore"
    subprocess.run([program, f"--dbname={url}", file], check=True)


def test_a_restore_under_load_loses_nothing_and_sends_nothing_twice(
    postgres: EmbeddedServer, tmp_path: Path
) -> None:
    url, backup = database_url(postgres, NAME), tmp_path / "backup"
    run_sql(postgres.url, f"CREATE DATABASE {NAME}")
    store.migrate(url)
    with running_sandbox(limit_per_minute=1_000_000) as upstream, running(url, upstream) as environ:
        web_url = f"http://127.0.0.1:{environ['PORT']}"
        with sending(web_url, LEADS_PER_SECOND) as senders:
            wait_until(lambda: count(url, "booked") > 5, "some are booked")
            wait_until(lambda: count(url, "pending") > 10, "some are pending")
            since = dt.datetime.now(dt.UTC)
            dump(postgres, url, backup)
            pending = len(upstream.posts())
            wait_until(lambda: len(upstream.posts()) > pending + 20, "some were sent since")
            lose_and_restore(postgres, url, backup)
            sent = len(upstream.posts())
            accepted = senders.count
            wait_until(lambda: senders.count > accepted + 10, "others arrive")
        assert len(upstream.posts()) <= sent + 6, "what was in flight"
        assert "stopped" in run_command(environ, "stats").stdout

        done = run_command(
            environ,
            *("restored", "--since", f"{since:%Y-%m-%dT%H:%M:%S}"),
            *("--settle", "1", "--yes", "--json"),
        )

        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert len(result["sent"]) > 5, "they were pending at the backup"
        assert result["lost"], "they came after the backup"
        senders.repeat_all()
        wait_until(lambda: not count(url, "pending sending submitted unknown"), "all is done", 60)
        posts = collections.Counter(one["last_name"] for one in upstream.posts())
        review = count(url, "held failed expired")
    run_sql(postgres.url, f"DROP DATABASE {NAME} WITH (FORCE)")
    names = {surname(number) for number in range(senders.count)}
    assert {name: number for name, number in posts.items() if number > 1} == {}
    assert names - set(posts) == set()
    assert review == 0
