"""Break a real installation in every way, and count the alarms and all-clears that people get."""

import contextlib
import datetime as dt
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from adapter import store
from adapter.server.web_process import web_command
from adapter.settings import Settings
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from adapter.webhooks import signed_client
from tests.acceptance.test_outages import Server, frozen
from tests.adapter_process import SECRETS, is_ready, kept_environ
from tests.apps.hurried import CLOCK_FILE, SPEED
from tests.harness import load_cached
from tests.integration.test_readiness import small_disk
from tests.message_catcher import MessageCatcher, running_catcher
from tests.paths import MAPPINGS, ROOT
from tests.ports import free_port
from tests.sandbox_client import SandboxClient, running_sandbox
from tests.senders import lead, post
from tests.wait import wait_until

pytestmark = pytest.mark.timed
__all__ = ["small_disk"]

HURRIED = (sys.executable, "-m", "tests.apps.hurried")
#: Longer than any alarm takes here. The waits in between are much shorter.
SECONDS = 40.0


class Drill:
    """PostgreSQL, web, a worker, a sandbox, and a person who gets the alarms."""

    def __init__(
        self, server: Server, upstream: SandboxClient, catcher: MessageCatcher, folder: Path
    ) -> None:
        self.server, self.upstream, self.catcher = server, upstream, catcher
        self.clock = folder / "clock"
        self.step_clock(0)
        self.port = free_port()
        self.environ = {
            **kept_environ(),
            **SECRETS,
            "DATABASE_URL": server.url,
            "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
            "ADAPTER_ALARMS": catcher.url,
            "ADAPTER_LOG_LEVEL": "ERROR",
            "PROPEXO_TOKEN": "sandbox",
            "PROPEXO_BASE_URL": upstream.url,
            CLOCK_FILE: str(self.clock),
        }
        self.web = self._run(*web_command(Settings(port=self.port, web_workers=1))[2:])
        self.worker = self._run("worker")
        #: Number of leads sent so far.
        self.sent = 0
        self._told = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return popen([*HURRIED, *arguments], env=self.environ, cwd=ROOT)

    def start_worker(self) -> None:
        self.worker = self._run("worker")

    def step_clock(self, seconds: float) -> None:
        """Step the clock of the machine on which web and worker run."""
        self.clock.write_text(str(seconds))

    def send(self, source: str = "rentfeed", secret: str | None = None) -> int:
        """Send a new lead, signed with ``secret`` or else the correct secret. Return the status."""
        self.sent += 1
        found = load_cached(MAPPINGS)[source]
        return post(
            signed_client.sign_webhook(
                found,
                secret or SECRETS[found.secrets[-1]],
                body=json.dumps(lead(self.sent)).encode(),
                content_type="application/json",
                adapter_url=self.url,
            )
        )

    def execute(self, sql: str, *values: object) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(sql.encode(), values)

    def settle(self) -> None:
        """Wait until the start or end of every problem has been detected twice."""
        time.sleep(10 / SPEED * 6)
        assert self.messages() == []

    def messages(self) -> list[str]:
        """Return the messages since the last call to :meth:`expect`."""
        titles = self.catcher.titles()[self._told :]
        return sorted(part for title in titles for part in _parts(title))

    def expect(self, *messages: str) -> None:
        """Wait until people are notified of exactly these problems, in one or more messages."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(self.messages()) >= len(messages), "alarms", SECONDS)
        assert self.messages() == sorted(messages)
        self._told = len(self.catcher.messages)

    def stop(self) -> None:
        for process in (self.web, self.worker):
            if process.poll() is None:
                process.terminate()
        for process in (self.web, self.worker):
            process.wait(40)


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _parts(title: str) -> Iterator[str]:
    """Yield the level and code of each problem in a message's title."""
    for part in title.split("; "):
        level, _, names = part.partition(": ")
        yield from (f"{level}: {name}" for name in names.split(", "))


@contextlib.contextmanager
def drill(folder: Path, own: Path) -> Iterator[Drill]:
    """Run a healthy installation, and fail if anything unexpected goes wrong."""
    server = Server(EmbeddedServer(folder))
    server.start()
    store.migrate(server.url)
    with running_catcher() as catcher, running_sandbox() as upstream:
        one = Drill(server, upstream, catcher, own)
        try:
            wait_until(lambda: is_ready(one.url), "web is ready")
            assert one.send() == 200
            wait_until(lambda: upstream.posts(), "the worker sends")
            one.settle()
            yield one
        finally:
            one.stop()
            server.stop()


def test_each_problem_is_one_alarm_and_one_all_clear(data_folder: Path, tmp_path: Path) -> None:
    with drill(data_folder, tmp_path) as one:
        several_at_once(one)
        one.worker.kill()
        one.worker.wait()
        one.expect("BROKEN: no_worker")
        one.start_worker()
        one.expect("OK: no_worker")

        with frozen(psutil.Process(one.worker.pid)):
            one.expect("BROKEN: no_worker")
        one.expect("OK: no_worker")

        one.settle()  # wait until PostgreSQL has recorded the message, or it would be sent again
        one.server.stop()
        one.expect("BROKEN: database_unreachable")
        one.server.start()
        one.expect("OK: database_unreachable")
        one.settle()
        assert one.messages() == []


def several_at_once(one: Drill) -> None:
    """Have Propexo reject the token, silence a source, rotate a secret, and step the clock."""
    one.upstream.fault(*[{"status": 401, "on": "any"}] * 500)
    be_silent(one, "leasebot")
    one.step_clock(20)
    assert one.send() == 200
    for _ in range(3):
        assert one.send(secret="the-rotated-one") == 401
    one.expect(
        "BROKEN: sending_stopped",
        "BROKEN: source_refused (rentfeed)",
        "WARNING: source_silent (leasebot)",
        "WARNING: clock_differs",
    )
    requests.delete(f"{one.upstream.url}/_sandbox/faults", timeout=5)
    one.step_clock(0)
    assert [one.send(name) for name in ("rentfeed", "leasebot")] == [200, 200]
    one.expect(
        "OK: sending_stopped",
        "OK: source_refused (rentfeed)",
        "OK: source_silent (leasebot)",
        "OK: clock_differs",
    )


def be_silent(one: Drill, source: str) -> None:
    """Make a source send ten webhooks an hour for four weeks, then nothing for three hours."""
    one.execute(
        "INSERT INTO hourly_counts SELECT %s, hour, 10 FROM generate_series("
        "date_trunc('hour', now()) - interval '28 days', now(), '1 hour') AS hour",
        source,
    )
    at = dt.datetime.now(dt.UTC) - dt.timedelta(hours=3)
    one.execute("INSERT INTO secret_uses VALUES (%s, 'LEASEBOT_SECRET', %s)", source, at)


def test_a_disk_that_fills_up_is_one_alarm_and_one_all_clear(
    small_disk: Path, tmp_path: Path
) -> None:
    with drill(small_disk, tmp_path) as one:
        fill = small_disk / "fill"
        fill.write_bytes(b"x" * (free_bytes(small_disk) - 20 * 1024**2))
        one.expect("WARNING: disk_low")
        with contextlib.suppress(OSError), fill.open("ab") as file:
            while file.write(b"x" * 4096):
                file.flush()
        one.expect("BROKEN: database_unreachable")
        fill.unlink()
        one.expect("OK: database_unreachable", "OK: disk_low")
        assert one.send() == 200
