"""Run `adapter run` as real processes, and other commands alongside it."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import requests

from adapter.exceptions import StoreUnavailable
from adapter.models import Booking
from adapter.store import Database
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.sandbox_client import SandboxClient

SECRETS = {"RENTFEED_SECRET": "one", "LEASEBOT_SECRET": "two", "TYPEFORM_SECRET": "three"}
ADAPTER = (sys.executable, "-m", "adapter")
#: The environment variables that test processes inherit. The last one measures coverage.
KEPT = ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")


@dataclasses.dataclass
class AdapterProcess:
    """A running `adapter run`, with methods that run other commands in its environment."""

    environ: dict[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['PORT']}"

    @property
    def upstream(self) -> SandboxClient:
        return SandboxClient(f"http://127.0.0.1:{self.environ['ADAPTER_SANDBOX_PORT']}")

    def run_command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return run_command(self.environ, *arguments)

    def bookings(self) -> list[Booking]:
        """Return all bookings, newest first. Read the database directly, because that is faster."""
        url = EmbeddedServer(Path(self.environ["ADAPTER_DATA_DIR"])).url
        with Database(url, size=1) as store, store.transaction() as tx:
            return list(tx.search.bookings())

    def states(self) -> list[str]:
        """Return the state of each booking, or an empty result while PostgreSQL is down."""
        with contextlib.suppress(StoreUnavailable):
            return [str(booking.state) for booking in self.bookings()]
        return []

    def send(self, file: Path, name: str = "rentfeed") -> str:
        return self.run_command("send", name, str(file)).stdout

    def part(self, word: str) -> psutil.Process:
        """Return the child process whose command line contains ``word``."""
        found = self.find(word)
        if found is None:
            raise LookupError(f"no child runs {word}")
        return found

    def find(self, word: str) -> psutil.Process | None:
        """Return the child process whose command line contains ``word``, or None."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(Path(part).name == word for part in child.cmdline()):
                    return child
        return None

    def stop(self) -> None:
        """Stop the processes as Ctrl-C does, and wait until they have ended."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def start_adapter(folder: Path, *, errors: Any = None, **changes: str) -> AdapterProcess:
    """Start `adapter run` with a data folder. Do not wait until it is ready.

    ``errors`` is the file for its standard error. With None, it uses that of this process.
    """
    environ = environment(folder, **changes)
    return AdapterProcess(environ, popen([*ADAPTER, "run"], env=environ, stderr=errors))


def run_command(environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*ADAPTER, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def kept_environ() -> dict[str, str]:
    """Return the part of the environment that test processes inherit."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def environment(folder: Path, **changes: str) -> dict[str, str]:
    return (
        kept_environ()
        | SECRETS
        | {
            "ADAPTER_DATA_DIR": str(folder),
            "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
            "ADAPTER_HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "ADAPTER_SANDBOX_PORT": str(free_port()),
            "ADAPTER_PROPEXO_TIMEOUT_SECONDS": "8",
        }
        | changes
    )


def is_ready(url: str) -> bool:
    try:
        return requests.get(url + "/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def is_up(url: str) -> bool:
    try:
        return requests.get(url + "/_sandbox/requests", timeout=2).ok
    except requests.RequestException:
        return False
