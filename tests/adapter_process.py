"""`adapter run` as real processes, and the commands that one would type beside it."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import requests

from adapter.exceptions import StoreUnavailable
from adapter.models import Booking
from adapter.store import Database
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.paths import MAPPINGS
from tests.ports import free_port
from tests.sandbox_client import Upstream

SECRETS = {"RENTFEED_SECRET": "one", "LEASEBOT_SECRET": "two", "TYPEFORM_SECRET": "three"}
ADAPTER = (sys.executable, "-m", "adapter")
#: What a process of a test's has of our environment. The last one lets its coverage be measured.
KEPT = ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")


@dataclasses.dataclass
class Running:
    """One `adapter run`, and the commands one would type beside it."""

    environ: dict[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['PORT']}"

    @property
    def upstream(self) -> Upstream:
        return Upstream(f"http://127.0.0.1:{self.environ['ADAPTER_SANDBOX_PORT']}")

    def adapter(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return adapter(self.environ, *arguments)

    def bookings(self) -> list[Booking]:
        """Return all bookings, newest first; from the store, as a command costs a second."""
        url = EmbeddedServer(Path(self.environ["ADAPTER_DATA_DIR"])).url
        with Database(url, size=1) as store, store.transaction() as tx:
            return list(tx.search.bookings())

    def states(self) -> list[str]:
        """Return the state of each booking; none while PostgreSQL is away."""
        with contextlib.suppress(StoreUnavailable):
            return [str(booking.state) for booking in self.bookings()]
        return []

    def send(self, file: Path, name: str = "rentfeed") -> str:
        return self.adapter("send", name, str(file)).stdout

    def part(self, word: str) -> psutil.Process:
        """The child whose command line holds ``word``."""
        found = self.find(word)
        if found is None:
            raise LookupError(f"no child runs {word}")
        return found

    def find(self, word: str) -> psutil.Process | None:
        """The same, or None where no child is it."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(Path(part).name == word for part in child.cmdline()):
                    return child
        return None

    def stop(self) -> None:
        """Stops it as Ctrl-C does, and waits until it has ended."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)


def begin(folder: Path, **changes: str) -> Running:
    """Starts `adapter run` on a data folder; it is not ready yet."""
    environ = environment(folder, **changes)
    return Running(environ, popen([*ADAPTER, "run"], env=environ))


def adapter(environ: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*ADAPTER, *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def kept_environ() -> dict[str, str]:
    """Return the part of our environment that a process of a test's gets."""
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
