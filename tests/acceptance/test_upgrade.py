"""Test a rolling upgrade of two web and two worker processes behind nginx, under load."""

import bisect
import collections
import contextlib
import datetime as dt
import io
import itertools
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapter import store
from adapter.models import WebhookRequest
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from adapter.store.rate_limit import BURST
from tests.acceptance.test_nginx import HOST, running_nginx
from tests.adapter_process import ADAPTER, SECRETS, kept_environ
from tests.bundled_web import is_up
from tests.databases import temporary_database
from tests.paths import MAPPINGS, ROOT
from tests.pooler import needs_pgbouncer, running_pgbouncer
from tests.ports import free_port
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.senders import sending, surname
from tests.wait import wait_until

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("nginx", "openssl"))), reason="nginx or openssl is not installed"
)

#: The version to upgrade from. A clone without tags starts with the present one.
OLD = "v0.2.0"
RATE_PER_MINUTE = 720
LEADS_PER_SECOND = 3
#: So many leads are waiting that the workers would exceed the rate limit in this time.
BACKLOG = 40
WINDOW = dt.timedelta(seconds=2)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a folder with the old version's code."""
    command = ["git", "-C", str(ROOT), "archive", OLD, "adapter"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        return ROOT
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


class Deployment:
    """Two web and two worker processes. Each runs the code in a folder."""

    def __init__(self, database: str, upstream: SandboxClient) -> None:
        self.ports = [free_port(), free_port()]
        self.environ = {
            **kept_environ(),
            **SECRETS,
            "DATABASE_URL": database,
            "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
            "ADAPTER_TRUSTED_PROXIES": "1",
            "ADAPTER_RATE_PER_MINUTE": str(RATE_PER_MINUTE),
            "ADAPTER_PUBLIC_URL": f"https://{HOST}",
            "ADAPTER_LOG_LEVEL": "ERROR",
            "ADAPTER_HOST": "127.0.0.1",
            "WEB_CONCURRENCY": "1",
            "PROPEXO_TOKEN": "sandbox",
            "PROPEXO_BASE_URL": upstream.url,
        }
        self.processes: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def start(self, part: str, number: int, code: Path) -> None:
        """Start a process, and wait until a web process responds."""
        port = self.ports[number]
        environ = self.environ | {"PYTHONPATH": str(code), "PORT": str(port)}
        self.processes[part, number] = popen([*ADAPTER, part], env=environ, cwd=code)
        if part == "web":
            wait_until(lambda: is_up(f"http://127.0.0.1:{port}"), "web is up")

    def stop(self, part: str, number: int) -> None:
        process = self.processes.pop((part, number))
        process.terminate()
        assert process.wait(40) in (0, -15), "it ended in order"

    def stop_all(self) -> None:
        for part, number in list(self.processes):
            self.stop(part, number)


@contextlib.contextmanager
def deployed(database: str, upstream: SandboxClient, code: Path) -> Iterator[Deployment]:
    """Run two web processes, and stop whatever is started during the block."""
    deployment = Deployment(database, upstream)
    try:
        for number in (0, 1):
            deployment.start("web", number, code)
        yield deployment
    finally:
        deployment.stop_all()


@pytest.mark.parametrize(
    "is_pooled", [False, pytest.param(True, marks=needs_pgbouncer)], ids=["direct", "pgbouncer"]
)
def test_a_rolling_upgrade_loses_nothing_and_sends_nothing_twice(
    postgres: EmbeddedServer, old: Path, tmp_path: Path, is_pooled: bool
) -> None:
    """Upgrade from the last release. With PgBouncer, only restart, because it lacks support."""
    old = ROOT if is_pooled else old
    with (
        running_sandbox(limit_per_minute=1_000_000) as upstream,
        temporary_database(postgres) as database,
    ):
        migrate(database, old)
        with (
            running_pgbouncer(database) if is_pooled else contextlib.nullcontext(database) as url,
            deployed(url, upstream, old) as deployment,
            running_nginx(tmp_path, *deployment.ports) as nginx,
        ):

            def post(request: WebhookRequest) -> int:
                target = request.url.partition(HOST)[2]
                return nginx.post(
                    target, {**request.headers, "Host": HOST}, bytes(request.body)
                ).status

            with sending(f"https://{HOST}", 15, post) as senders:
                wait_until(lambda: senders.count > BACKLOG, "leads wait for the workers")
                senders.per_second = LEADS_PER_SECOND
                for number in (0, 1):
                    deployment.start("worker", number, old)
                wait_until(lambda: len(upstream.posts()) > 5, "the old version sends")
                store.migrate(database)
                for number, part in itertools.product((0, 1), ("worker", "web")):
                    deployment.stop(part, number)
                    deployment.start(part, number, ROOT)
            wait_until(lambda: states(database).keys() == {"booked"}, "all are booked", 60)
            posts = collections.Counter(one["last_name"] for one in upstream.posts())
            most = most_posts_in_window(upstream.calls())

    assert posts == {surname(number): 1 for number in range(senders.count)}
    assert most <= RATE_PER_MINUTE / 60 * WINDOW.total_seconds() + BURST + 3, "one rate for all"


def migrate(database: str, code: Path) -> None:
    environ = kept_environ() | {"DATABASE_URL": database, "PYTHONPATH": str(code)}
    subprocess.run([*ADAPTER, "migrate"], env=environ, cwd=code, check=True, capture_output=True)


def states(database: str) -> dict[str, int]:
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT state, count(*) FROM bookings GROUP BY 1").fetchall()
        left = connection.execute("SELECT FROM events WHERE state = 'received'").fetchall()
    return dict(rows) | ({"received": len(left)} if left else {})


def most_posts_in_window(calls: list[dict[str, Any]]) -> int:
    """Return the maximum number of POSTs by all workers in any window."""
    times = sorted(
        dt.datetime.fromisoformat(call["received_at"]) for call in calls if call["method"] == "POST"
    )
    return max(bisect.bisect(times, at + WINDOW) - number for number, at in enumerate(times))
