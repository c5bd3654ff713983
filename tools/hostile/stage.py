"""Run `adapter run` and a sandbox as in production, with all mappings."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import requests
from werkzeug.security import generate_password_hash

from adapter.mapping import registry
from adapter.settings import Policy
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.adapter_process import is_ready, kept_environ
from tests.paths import ROOT
from tests.ports import free_port
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until
from tools.hostile.attacks import Target
from tools.hostile.canaries import secret_for, spellings
from tools.hostile.mappings import make_folder, secrets_of
from tools.hostile.payloads import mapping_samples

START_SECONDS = 60.0
STOP_SECONDS = 45.0
USER = "operator"
#: Higher than Propexo's limit, because hostile leads are sent too.
RATE_PER_MINUTE = "6000"


class Stage:
    """All processes of the test, which run while a ``with`` block executes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "adapter.log"
        mappings = make_folder(folder / "mappings")
        sources = dict(registry.load(mappings, Policy()))
        self.secrets = secrets_of(sources)
        self.password = secret_for("PASSWORD")
        own = {"ADAPTER_METRICS_TOKEN": secret_for("METRICS")}
        own["PROPEXO_WEBHOOK_SECRET"] = secret_for("PROPEXO")
        own["ADAPTER_API_TOKEN"] = secret_for("API")
        self.upstream = SandboxClient(f"http://127.0.0.1:{free_port()}")
        self.port = free_port()
        self.target = Target(
            url=f"http://127.0.0.1:{self.port}",
            sources=sources,
            samples=mapping_samples(sources),
            secrets=self.secrets,
            metrics_token=own["ADAPTER_METRICS_TOKEN"],
            api_token=own["ADAPTER_API_TOKEN"],
            propexo_secret=own["PROPEXO_WEBHOOK_SECRET"],
        )
        #: Texts that must not be in any output.
        self.forbidden = spellings([*self.secrets.values(), *own.values(), self.password])
        self.database_url = EmbeddedServer(folder / "data").url
        self.environ = {
            **kept_environ(),
            **self.secrets,
            **own,
            "ADAPTER_DATA_DIR": str(folder / "data"),
            "ADAPTER_MAPPINGS_DIR": str(mappings),
            "ADAPTER_PUBLIC_URL": self.target.url,
            "ADAPTER_RATE_PER_MINUTE": RATE_PER_MINUTE,
            "ADAPTER_USERS": f"{USER}:operate:{generate_password_hash(self.password)}",
            "PORT": str(self.port),
            "PROPEXO_TOKEN": "sandbox",
            "PROPEXO_BASE_URL": self.upstream.url,
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            port = self.upstream.url.rpartition(":")[2]
            limit = ("--rate-limit", RATE_PER_MINUTE)
            self._start("sandbox", "sandbox", "--quiet", "--port", port, *limit)
            self.run = psutil.Process(self._start("adapter", "run").pid)
            wait_until(lambda: is_ready(self.target.url), "adapter run is ready", START_SECONDS)
            self._sign_in()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.send_signal(signal.SIGINT)
        for process in self._running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def family(self) -> dict[int, str]:
        """Return the adapter's processes, keyed by ID, without PostgreSQL's connections."""
        found = {}
        for process in (self.run, *self.run.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                name = next((Path(word).name for word in words if Path(word).name in PARTS), None)
                if name and "postgres:" not in words[0]:
                    found[process.pid] = name
        return found

    def command_lines(self) -> str:
        """Return the command-line arguments of all processes."""
        lines = []
        for process in (self.run, *self.run.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                lines.append(" ".join(process.cmdline()))
        return "\n".join(lines)

    def metrics(self) -> str:
        """Return the metrics that Prometheus would read."""
        bearer = {"Authorization": f"Bearer {self.target.metrics_token}"}
        response = requests.get(self.target.url + "/metrics", headers=bearer, timeout=20)
        response.raise_for_status()
        return response.text

    def outputs(self) -> Iterator[tuple[str, str]]:
        """Yield the name and text of each process's output."""
        files = (*self.folder.glob("*.log"), *(self.folder / "data").rglob("*.log"))
        for file in files:
            yield str(file.relative_to(self.folder)), file.read_text(errors="replace")

    def _sign_in(self) -> None:
        """Sign in a user, as a browser does."""
        with requests.Session() as session:
            url = self.target.url + "/console/sign-in"
            token = _csrf_in(session.get(url, timeout=20).text)
            form = {"name": USER, "password": self.password, "csrf": token}
            home = session.post(url, data=form, timeout=20, headers={"Origin": self.target.url})
            home.raise_for_status()
            page = session.get(self.target.url + "/console/try", timeout=20)
            self.target.csrf = _csrf_in(page.text)
            self.target.cookie = "; ".join(f"{one.name}={one.value}" for one in session.cookies)

    def _start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command, and write its output to a file."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = popen(
                [sys.executable, "-m", "adapter", *arguments],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process


PARTS = frozenset({"run", "worker", "gunicorn", "postgres", "web"})


def _csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, "the page has no form"
    return found[1]
