"""Run the processes: `adapter run`, a second worker, and the sandbox."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import psutil
import requests

from adapter.mapping.registry import load
from adapter.mapping.source import Source
from adapter.sandbox.data_webhooks import MAX_RETRIES
from adapter.server.child_process import ChildProcess
from adapter.settings import Policy
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.paths import ROOT
from tests.ports import free_port
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until

MAPPINGS = Path(__file__).parent / "mappings"
SECRETS = {
    "PORTAL_SECRET": "made-up-1",
    "FORM_SECRET": "made-up-2",
    "CHAT_SECRET": "made-up-3",
}
#: The secret that Propexo uses to sign its own webhooks.
UPSTREAM_SECRET = "made-up-4"
START_SECONDS = 60.0
#: Pause before Propexo sends a webhook again. It does so ten times, longer than any outage.
WEBHOOK_RETRY_SECONDS = 2.0
STOP_SECONDS = 45.0

#: Short, so that recovery fits into a round. The lease is the timeout plus ten seconds.
SETTINGS = {
    "ADAPTER_PROPEXO_TIMEOUT_SECONDS": "2",
    "ADAPTER_JOB_DEADLINE_SECONDS": "8",
    "ADAPTER_LOG_LEVEL": "WARNING",
    "WEB_CONCURRENCY": "2",
    # All senders and renters have the same IP address.
    "ADAPTER_ADDRESS_LIMIT_PER_MINUTE": "1000000",
}


class Sandbox(SandboxClient):
    """A client for the sandbox and its records."""

    def forget_faults(self) -> None:
        """Delete all pending faults."""
        requests.delete(self.url + "/_sandbox/faults", timeout=5).raise_for_status()

    def tell(self, adapter_url: str, *, delay: float, stage: float) -> None:
        """Make the sandbox send webhooks about Knock's records with the given delays (seconds)."""
        url, retry_seconds = adapter_url + "/propexo/webhooks", WEBHOOK_RETRY_SECONDS
        self.sync(
            url=url, secret=UPSTREAM_SECRET, retry_seconds=retry_seconds, delay=delay, stage=stage
        )

    def undelivered(self) -> list[str]:
        """Return the records whose webhooks have not been accepted yet and will be sent again."""
        return [
            one["body"]["data"]["record_id"]
            for one in self._get("sync")["webhooks"]
            if not _is_accepted(one["statuses"]) and len(one["statuses"]) <= MAX_RETRIES
        ]

    def given_up(self) -> list[str]:
        """Return the records with a webhook that was never accepted."""
        return [
            one["body"]["data"]["record_id"]
            for one in self._get("sync")["webhooks"]
            if not _is_accepted(one["statuses"]) and len(one["statuses"]) > MAX_RETRIES
        ]

    def stored_notes(self) -> list[dict[str, Any]]:
        """Return the notes on guest cards with their times, in order."""
        found: list[dict[str, Any]] = self._get("notes")["notes"]
        return found


class Stage:
    """All processes of the test, which run while a ``with`` block executes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = SECRETS
        self.sources: dict[str, Source] = dict(load(MAPPINGS, Policy()))
        self.database_url = EmbeddedServer(folder / "data").url
        self.upstream = Sandbox(f"http://127.0.0.1:{free_port()}")
        port = free_port()
        self.web_url = f"http://127.0.0.1:{port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._environ = {
            **kept,
            **SECRETS,
            **SETTINGS,
            "ADAPTER_DATA_DIR": str(folder / "data"),
            "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
            "ADAPTER_HOST": "127.0.0.1",
            "PORT": str(port),
            "ADAPTER_PUBLIC_URL": self.web_url,
            "PROPEXO_WEBHOOK_SECRET": UPSTREAM_SECRET,
            "PROPEXO_TOKEN": "sandbox",
            "PROPEXO_BASE_URL": self.upstream.url,
        }
        self._running: list[subprocess.Popen[bytes]] = []
        self.second_worker = ChildProcess("second worker", self._start_second_worker)

    def __enter__(self) -> Self:
        try:
            port = self.upstream.url.rpartition(":")[2]
            self._sandbox = self._start("sandbox", "--quiet", "--port", port)
            self._run = self._start("run")
            wait_until(lambda: _is_ready(self.web_url), "adapter run is ready", START_SECONDS)
            self.second_worker.keep_alive(lambda _: None)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def part(self, word: str) -> psutil.Process:
        """Return the child process of `adapter run` whose command line contains ``word``."""
        for child in psutil.Process(self._run.pid).children():
            with contextlib.suppress(psutil.Error):
                if any(Path(argument).name == word for argument in child.cmdline()):
                    return child
        raise LookupError(f"no child runs {word} now")

    def workers(self) -> list[psutil.Process]:
        """Return the workers that are running."""
        found = []
        with contextlib.suppress(LookupError, psutil.Error):
            found.append(self.part("worker"))
        with contextlib.suppress(psutil.Error):
            if self.second_worker.process is not None:
                found.append(psutil.Process(self.second_worker.process.pid))
        return found

    def _start_second_worker(self) -> "subprocess.Popen[bytes]":
        return self._start("worker", DATABASE_URL=self.database_url)

    def _start(self, *arguments: str, **changes: str) -> "subprocess.Popen[bytes]":
        """Start a command in its own session, so that Ctrl-C reaches only the test itself."""
        with (self.folder / "adapter.log").open("ab") as log:
            process = popen(
                [sys.executable, "-m", "adapter", *arguments],
                cwd=ROOT,
                env=self._environ | changes,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    def _end(self) -> None:
        """Stop all started processes and their children. Try to stop them gracefully first."""
        family = list(self._family())
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
        for started in self._running:
            started.send_signal(signal.SIGINT)
        for started in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(STOP_SECONDS)
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        for started in self._running:
            started.wait()

    def _family(self) -> Iterator[psutil.Process]:
        for started in self._running:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(started.pid)
                yield from (process, *process.children(recursive=True))


def _is_accepted(statuses: Sequence[int | None]) -> bool:
    return bool(statuses) and statuses[-1] is not None and 200 <= statuses[-1] < 300


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url + "/readyz", timeout=2).ok
    except requests.RequestException:
        return False
