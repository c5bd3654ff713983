"""Run gunicorn and a worker with mappings that a test writes."""

import contextlib
import dataclasses
import http.client
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adapter.server.web_process import web_command
from adapter.settings import Settings
from adapter.store.child_processes import popen
from tests.adapter_process import ADAPTER, kept_environ
from tests.paths import ROOT
from tests.ports import free_port
from tests.sandbox_client import SandboxClient
from tests.wait import wait_until


@dataclasses.dataclass(frozen=True)
class HttpResponse:
    """An HTTP response to a sender."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True)
class GunicornServer:
    """A running gunicorn."""

    port: int
    database: str

    def call(
        self, method: str, target: str, headers: Mapping[str, str] | list[Any], body: bytes = b""
    ) -> HttpResponse:
        """Send one request with exactly the given target and headers (Latin-1)."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, text in pairs:
                if name.lower() != "host":
                    connection.putheader(name, text.encode("latin-1"))
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return HttpResponse(response.status, dict(response.headers), response.read())

    def post(
        self, name: str, headers: Mapping[str, str], body: bytes, query: str = ""
    ) -> HttpResponse:
        """Send one webhook to a source."""
        return self.call("POST", f"/hooks/{name}{query}", headers, body)


#: A lead with all fields that the mapping below reads.
LEAD = {
    "id": "L-1",
    "kind": "tour",
    "community": "Maple Court",
    "name": "Dana Okafor",
    "email": "dana@example.com",
    "at": "2026-03-14T20:30:00Z",
}


def write_mappings(folder: Path, mappings: Mapping[str, Mapping[str, Any]]) -> None:
    """Write communities.yaml, and a small mapping with the given sections for each name."""
    community = {
        "integration_id": "int_1",
        "community_id": "com_1",
        "timezone": "America/Denver",
        "attributions": dict.fromkeys(mappings, "att_1"),
        "known_as": {name: ["Maple Court"] for name in mappings},
    }
    (folder / "communities.yaml").write_text(yaml.safe_dump({"maple-court": community}))
    for name, sections in mappings.items():
        text = yaml.safe_dump({**_mapping(), **sections}, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text)


def _mapping() -> dict[str, Any]:
    expected = {
        "integration_id": "int_1",
        "community_id": "com_1",
        "attribution_id": "att_1",
        "first_name": "Dana",
        "last_name": "Okafor",
        "email_1": "dana@example.com",
        "appointment_date": "2026-03-14",
        "appointment_time": "20:30:00",
        "first_contact_type": "chat",
    }
    return {
        "accept": {"kind": "tour"},
        "dedupe": "id",
        "community": "community",
        "appointment": {
            "name": "name",
            "email_1": "email",
            "starts_at": "at",
            "first_contact_type": {"always": "chat"},
        },
        "tests": [{"name": "a tour", "payload": dict(LEAD), "expect": expected}],
    }


@contextlib.contextmanager
def running_gunicorn(
    folder: Path, database: str, *, entry: str | None = None, threads: int = 4, **environ: str
) -> Iterator[GunicornServer]:
    """Run gunicorn with the mappings in ``folder`` during the block.

    ``entry`` is an application to run instead of the adapter's.
    """
    port = free_port()
    command = web_command(Settings(port=port, web_workers=1, web_threads=threads))
    if entry is not None:
        command = [*command[: command.index("--config")], entry]
    kept = kept_environ()
    given = {"DATABASE_URL": database, "ADAPTER_MAPPINGS_DIR": str(folder)}
    process = popen(command, env=kept | given | environ, cwd=ROOT)
    try:
        wait_until(lambda: _listens(port, process), "gunicorn answers")
        yield GunicornServer(port, database)
    finally:
        process.terminate()
        process.wait(40)


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "gunicorn ended; its reason stands above"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/healthz", headers={"X-Tests-Now": "0"})
            return connection.getresponse().status > 0
        except OSError:
            return False


def target_of(url: str) -> tuple[str, str]:
    """Split a URL into its origin and its raw request target."""
    scheme, _, rest = url.partition("://")
    host = rest.split("/", 1)[0].split("?", 1)[0]
    return f"{scheme}://{host}", rest[len(host) :] or "/"


@contextlib.contextmanager
def running_worker(
    folder: Path, database: str, upstream: SandboxClient, environ: dict[str, str]
) -> Iterator[None]:
    """Run a worker during the block."""
    kept = kept_environ()
    given = {
        "DATABASE_URL": database,
        "ADAPTER_MAPPINGS_DIR": str(folder),
        "PROPEXO_TOKEN": "sandbox",
        "PROPEXO_BASE_URL": upstream.url,
    }
    process = popen([*ADAPTER, "worker"], env=kept | given | environ)
    try:
        yield
    finally:
        process.terminate()
        process.wait(40)


def call_timed(call: Callable[[], HttpResponse]) -> tuple[HttpResponse, float]:
    """Return the response to a call, and its duration in seconds."""
    began = time.monotonic()
    return call(), time.monotonic() - began
