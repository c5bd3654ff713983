"""Start the adapter in five ways without settings, and check who can open which pages.

``docs/security.md`` has the table. No one can see a lead without signing in.
"""

import contextlib
import dataclasses
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapter.models import WebhookRequest
from adapter.signatures import sign
from adapter.store.child_processes import popen
from adapter.store.embedded import EmbeddedServer
from tests.adapter_process import ADAPTER, is_ready
from tests.harness import load_cached
from tests.leads import lead
from tests.paths import MAPPINGS, ROOT
from tests.ports import free_port
from tests.wait import wait_until
from tools.hostile.canaries import leaks, secret_for, spellings

NAMES = ("RENTFEED_SECRET", "LEASEBOT_SECRET", "TYPEFORM_SECRET")
SECRETS = {name: secret_for(name) for name in NAMES}
FORBIDDEN = spellings(list(SECRETS.values()))
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
#: The minimum nginx configuration for passing on requests.
NGINX_CONF = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{web}; }} }}
}}
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """An adapter that was started in one of the five ways."""

    #: Where web listens, and where strangers reach it.
    web_port: int
    port: int
    output: Path
    environ: dict[str, str]
    processes: tuple[psutil.Process, ...]
    #: The addresses that it may listen on besides 127.0.0.1.
    public_ports: tuple[int, ...] = ()

    def family(self) -> list[psutil.Process]:
        return [
            one
            for process in self.processes
            for one in (process, *process.children(recursive=True))
        ]


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return an environment with ports and folders that do not conflict with other tests."""
    return {
        "PATH": os.environ["PATH"],
        **SECRETS,
        "ADAPTER_DATA_DIR": str(folder / "data"),
        "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
        "ADAPTER_SANDBOX_PORT": str(free_port()),
        "PORT": str(free_port()),
        **changes,
    }


@contextlib.contextmanager
def started(
    folder: Path, environ: dict[str, str], *commands: list[str], **facts: tuple[int, ...]
) -> Iterator[Started]:
    """Run commands until the block ends, with their output in a file."""
    output, port, running = folder / "output", int(environ["PORT"]), []
    try:
        for command in commands:
            with output.open("ab") as file:
                running.append(popen(command, env=environ, cwd=ROOT, stdout=file, stderr=file))
        wait_until(lambda: is_ready(f"http://127.0.0.1:{port}"), f"ready; see {output}", 60)
        processes = tuple(psutil.Process(one.pid) for one in running)
        yield Started(
            web_port=port,
            port=port,
            output=output,
            environ=environ,
            processes=processes,
            **facts,
        )
    finally:
        for one in running:
            one.terminate()
        for one in running:
            one.wait(40)


@contextlib.contextmanager
def adapter_run(folder: Path, _database: str) -> Iterator[Started]:
    with started(folder, environment(folder), [*ADAPTER, "run"]) as one:
        yield one


@contextlib.contextmanager
def web_and_worker(folder: Path, database: str) -> Iterator[Started]:
    """Run web and worker as on a hosting platform, which sets PORT and connects from outside."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    needed = {"DATABASE_URL": database, "PROPEXO_TOKEN": "sandbox", "PROPEXO_BASE_URL": nowhere}
    environ = environment(folder, **needed)
    commands = [[*ADAPTER, "web"], [*ADAPTER, "worker"]]
    with started(folder, environ, *commands, public_ports=(int(environ["PORT"]),)) as one:
        yield one


@contextlib.contextmanager
def behind_nginx(folder: Path, _database: str) -> Iterator[Started]:
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed")
    with started(folder, environment(folder), [*ADAPTER, "run"]) as one:
        port, file = free_port(), folder / "nginx.conf"
        file.write_text(NGINX_CONF.format(folder=folder, port=port, web=one.web_port))
        nginx = popen([NGINX, "-e", "stderr", "-c", str(file)])
        try:
            wait_until(lambda: is_ready(f"http://127.0.0.1:{port}"), "nginx answers")
            yield dataclasses.replace(one, port=port)
        finally:
            nginx.terminate()
            nginx.wait(20)


@contextlib.contextmanager
def in_a_container(folder: Path, _database: str) -> Iterator[Started]:
    """Run the adapter like a container: read-only except for its folder, and reachable publicly."""
    (folder / "tmp").mkdir(mode=0o1777)
    script = f'mount --bind {folder} {folder} && mount -o remount,ro,bind / && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", script, "sh"]
    probe = subprocess.run([*inside, "touch", "/made-up"], capture_output=True, check=False)
    if b"Read-only" not in probe.stderr:
        pytest.skip("file systems cannot be made read-only here")
    environ = environment(folder, ADAPTER_HOST="0.0.0.0", TMPDIR=str(folder / "tmp"))
    ports = (int(environ["PORT"]),)
    with started(folder, environ, [*inside, *ADAPTER, "run"], public_ports=ports) as one:
        yield one


@contextlib.contextmanager
def as_root(folder: Path, _database: str) -> Iterator[Started]:
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    (folder / "deep").mkdir(mode=0o700)
    environ = environment(folder / "deep", HOME="/root", USER="root")
    with started(folder, environ, [*ADAPTER, "run"]) as one:
        yield one


WAYS: dict[str, Callable[[Path, str], contextlib.AbstractContextManager[Started]]] = {
    "adapter run": adapter_run,
    "web and worker": web_and_worker,
    "behind nginx": behind_nginx,
    "in a container": in_a_container,
    "as root": as_root,
}

#: The status that a request without credentials gets, by method and path.
OPEN = {
    "GET /healthz": 200,
    "GET /readyz": 200,
    "GET /": 302,
    "GET /console/static/console.css": 200,
    "POST /hooks/rentfeed": 401,
    "POST /hooks/no-such": 404,
    "GET /hooks/rentfeed": 405,
    "POST /propexo/webhooks": 404,
    "GET /metrics": 401,
    "GET /api/leads": 401,
    **{
        f"GET /console/{page}": 403
        for page in (
            *("", "leads", "leads/1", "queue", "rejections", "audit", "decisions", "try"),
            *("export.csv", "sums.csv", "metrics", "open?key=" + "x" * 43, "sign-in"),
        )
    },
    "POST /console/sign-in": 403,
    "POST /console/leads/1/release": 403,
}
#: Headers as a browser on this machine, a stranger elsewhere and common proxies send them.
SENDERS = {
    "this machine": {"Host": "127.0.0.1"},
    "elsewhere": {"Host": "leads.example.com"},
    "a proxy": {
        "Host": "127.0.0.1",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
    },
    "a rebound name": {"Host": "127.0.0.1.evil.example"},
}


def call(port: int, line: str, headers: dict[str, str]) -> tuple[int, str]:
    """Return the status and the whole response."""
    method, path = line.split(" ", 1)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, path, b"" if method == "POST" else None, headers)
        response = connection.getresponse()
        return response.status, f"{response.headers}{response.read().decode('utf-8', 'replace')}"


def send_lead(port: int) -> int:
    """Send a signed lead with recognizable personal data, and return its event ID."""
    person: dict[str, Any] = {
        "name": "Qanary Roe",
        "email": "qanary@example.com",
        "phone": "303-555-0173",
    }
    body = json.dumps(lead(1, **person)).encode()
    source = load_cached(MAPPINGS)["rentfeed"]
    headers = {"Content-Type": "application/json"}
    request = WebhookRequest("POST", "http://x/hooks/rentfeed", headers, body)
    request = sign(source.signature, SECRETS["RENTFEED_SECRET"], request, time.time())
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", "/hooks/rentfeed", body, dict(request.headers))
        response = connection.getresponse()
        assert response.status == 200
        return int(json.loads(response.read())["event"])


def listening(adapter: Started) -> set[tuple[str, int]]:
    """Return the addresses and ports that any of the processes listens on."""
    found = set()
    for process in adapter.family():
        with contextlib.suppress(psutil.Error):
            for one in process.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    found.add((one.laddr.ip, one.laddr.port))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_lead_is_open_to_anyone_who_has_not_signed_in(
    data_folder: Path, fresh_database: str, way: str
) -> None:
    with WAYS[way](data_folder, fresh_database) as adapter:
        event = send_lead(adapter.port)
        table = OPEN | {f"GET /console/leads/{event}": 403}
        answers = {
            (line, sender): call(adapter.port, line, headers)
            for line in table
            for sender, headers in SENDERS.items()
        }
        addresses = listening(adapter)
        arguments = [" ".join(one.cmdline()) for one in adapter.family()]
        key = re.search(r"/console/open\?key=(\S+)", adapter.output.read_text())
        link = f"GET /console/open?key={key[1]}" if key else ""
        strangers = [sender for sender in SENDERS if sender != "this machine"]
        opened = [call(adapter.port, link, SENDERS[one])[0] for one in strangers if link]

    statuses = {asked: status for asked, (status, _) in answers.items()}
    assert statuses == {(line, sender): table[line] for line in table for sender in SENDERS}
    assert set(opened) <= {403}, "the link counts on this machine only"
    texts = [text for _, text in answers.values()]
    for text in (*texts, *arguments, adapter.output.read_text()):
        assert not list(leaks(text, FORBIDDEN))
    public = {(ip, port) for ip, port in addresses if ip != "127.0.0.1"}
    assert {port for _, port in public} == set(adapter.public_ports)


def test_the_link_does_not_open_the_console_through_nginx(
    data_folder: Path, fresh_database: str
) -> None:
    with behind_nginx(data_folder, fresh_database) as adapter:
        key = re.search(r"/console/open\?key=(\S+)", adapter.output.read_text())
        assert key
        link = f"GET /console/open?key={key[1]}"
        through = call(adapter.port, link, {"Host": "127.0.0.1"})[0]
        directly = call(adapter.web_port, link, {"Host": "127.0.0.1"})[0]
    assert (through, directly) == (403, 302)


def test_the_embedded_database_is_open_to_no_other_account(
    data_folder: Path, fresh_database: str
) -> None:
    with adapter_run(data_folder, fresh_database) as adapter:
        folder = EmbeddedServer(data_folder / "data").folder
        assert folder.stat().st_mode & 0o077 == 0
        ports = {int(adapter.environ[name]) for name in ("PORT", "ADAPTER_SANDBOX_PORT")}
        assert {port for _, port in listening(adapter)} == ports, "PostgreSQL has none"
        if os.geteuid() == 0:
            read = [
                sys.executable,
                "-c",
                f"import os; os.setuid(65534); os.listdir({str(folder)!r})",
            ]
            assert (
                b"PermissionError" in subprocess.run(read, capture_output=True, check=False).stderr
            )
