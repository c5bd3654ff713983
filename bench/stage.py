"""Run the web process, workers, the sandbox and a sender that measures times, on one database."""

import contextlib
import dataclasses
import datetime as dt
import http.client
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.server.ports import free_port
from adapter.settings import Policy
from adapter.webhooks import signed_client
from bench import BenchError, leads, servers
from bench.servers import Target

PROPEXO_CREATE = "/crm/v1/appointments/knock"
#: Timeout for each step.
PATIENCE_SECONDS = 120.0
#: One row for each worker that listens for received events.
WORKERS = "pg_stat_activity WHERE query LIKE '%LISTEN received'"
#: A number of requests per minute so high that there is effectively no limit.
UNLIMITED = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sandbox:
    """The sandbox and its records."""

    port: int

    def calls(self) -> list[dict[str, Any]]:
        """Return all requests to Propexo's API, in order."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_sandbox/requests") as answer:
            found: list[dict[str, Any]] = json.load(answer)["requests"]
        return found

    def posts(self) -> list[dict[str, Any]]:
        """Return all POST requests that create a tour or guest card."""
        return [call for call in self.calls() if call["path"] == PROPEXO_CREATE]


class Stage:
    """The processes of one installation, and a sender."""

    def __init__(self, url: str, folder: Path, *, limit: int = UNLIMITED) -> None:
        self.url = url
        self.secret = servers.secret()
        self.folder = folder
        self.sandbox = Sandbox(port=free_port())
        self._limit = limit
        self.worker_pid = 0
        self._environ = servers.environment(
            url,
            self.secret,
            PROPEXO_TOKEN="sandbox",
            PROPEXO_BASE_URL=f"http://127.0.0.1:{self.sandbox.port}",
            ADAPTER_RATE_PER_MINUTE=str(limit),
            ADAPTER_SOON_HOURS="48",
        )
        mappings = servers.ROOT / "mappings"
        self.source: Source = registry.load(mappings, Policy())["rentfeed"]
        self.sample = (mappings / "samples" / "rentfeed-tour.json").read_bytes()

    @contextlib.contextmanager
    def running(self) -> Iterator[int]:
        """Start the sandbox and a worker, and yield the worker's PID once it is ready."""
        with servers.Family() as family:
            yield self._begun(family)

    @contextlib.contextmanager
    def running_with_web(self) -> Iterator[Target]:
        """Start the web process too, and yield its URL."""
        with servers.Family() as family:
            web = servers.begin_web(family, self.url, self.secret, self.folder)
            self._begun(family)
            yield web.ready()

    @contextlib.contextmanager
    def another_worker(self) -> Iterator[None]:
        """Start another worker."""
        with servers.Family() as family:
            before = self._count(WORKERS)
            self._begin(family, "worker", name="worker-2")
            self._wait_for_workers(before + 1)
            yield

    def _begun(self, family: servers.Family) -> int:
        """Start the sandbox so that jobs end immediately, with or without Propexo's rate limit."""
        before = self._count(WORKERS)
        worker = self._begin(family, "worker")
        self.worker_pid = worker.pid
        allowed = 1_000_000 if self._limit == UNLIMITED else 150
        options = ("--port", str(self.sandbox.port), "--job-seconds", "0", "--quiet")
        sandbox = self._begin(family, "sandbox", *options, "--rate-limit", str(allowed))
        address = f"http://127.0.0.1:{self.sandbox.port}/_sandbox/requests"
        servers.wait_for(address, sandbox, self.folder / "sandbox.log")
        self._wait_for_workers(before + 1)
        return worker.pid

    def _wait_for_workers(self, count: int) -> None:
        """Wait until ``count`` workers are listening for events."""
        wait_until(lambda: self._count(WORKERS) >= count, "the worker is listening")

    def lead(self, name: str, *, in_days: int = 9) -> bytes:
        """Return the body of a webhook for one person."""
        return json.dumps(leads.bookable(self.sample, name, in_days=in_days)).encode()

    def fill(self, count: int, prefix: str) -> None:
        """Store received webhooks as the web process would."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO events (source, received_at, content_type, headers, query, body)"
                " SELECT 'rentfeed', now(), 'application/json', '{}', '',"
                "  convert_to(replace(%(body)s, 'NAME', %(prefix)s || '-' || n), 'UTF8')"
                " FROM generate_series(1, %(count)s) n",
                {"body": self.lead("NAME").decode(), "prefix": prefix, "count": count},
            )

    def booked(self) -> int:
        """Return the number of bookings in the state `booked`."""
        return self._count("bookings WHERE state = 'booked'")

    def _count(self, what: str) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(f"SELECT count(*) FROM {what}".encode()).fetchone()
        assert row is not None
        return int(row[0])

    def _begin(
        self, family: servers.Family, *command: str, name: str = ""
    ) -> "subprocess.Popen[bytes]":
        log = self.folder / f"{name or command[0]}.log"
        return family.begin([sys.executable, "-m", "adapter", *command], self._environ, log)


class Mail:
    """A sender with a connection per webhook, which records when each was sent and accepted."""

    def __init__(self, stage: Stage, target: Target) -> None:
        self._stage = stage
        self._port = target.port
        self.sent_at: dict[str, float] = {}
        self.taken_ms: list[float] = []

    def send(self, name: str, *, in_days: int = 9) -> None:
        """Send one person's webhook. Raise BenchError unless it is accepted as new."""
        request: WebhookRequest = signed_client.sign_webhook(
            self._stage.source,
            self._stage.secret,
            body=self._stage.lead(name, in_days=in_days),
            content_type="application/json",
            adapter_url="http://127.0.0.1",
        )
        began = time.perf_counter()
        self.sent_at[f"{name}@example.com"] = time.time()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            path = request.url.removeprefix("http://127.0.0.1")
            connection.request("POST", path, request.body, dict(request.headers))
            answer = connection.getresponse()
            answer.read()
        self.taken_ms.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise BenchError(f"a webhook got the response {answer.status}")

    def send_evenly(self, names: list[str], per_second: float) -> None:
        """Send webhooks at a fixed rate, no matter how fast the responses arrive."""
        began = time.monotonic()
        for number, name in enumerate(names):
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
            self.send(name)

    def until_posted_ms(self) -> dict[str, float]:
        """Return the milliseconds from each webhook to its POST, keyed by person."""
        posts = self._stage.sandbox.posts()
        return {
            email: (seconds_of(post) - self.sent_at[email]) * 1000
            for post in posts
            if (email := post["body"].get("email_1")) in self.sent_at
        }


def seconds_of(call: dict[str, Any]) -> float:
    """Return the time when a request reached the sandbox, in Unix seconds."""
    return dt.datetime.fromisoformat(call["received_at"]).timestamp()


def wait_until(holds: Callable[[], object], what: str, pause_seconds: float = 0.05) -> None:
    """Wait until a condition holds. Raise BenchError if that takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"timed out after {PATIENCE_SECONDS:g} s while waiting until {what}")
        time.sleep(pause_seconds)
