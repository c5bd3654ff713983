"""Run the nginx configuration that ``adapter init`` writes in front of the web process."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import commands
from adapter.models import WebhookRequest, utc_now
from adapter.operations.check_web import web_findings
from adapter.operations.finding import Status
from adapter.settings import Settings, settings_from
from adapter.signatures import sign
from adapter.store.child_processes import popen
from tests.gunicorn_process import (
    LEAD,
    GunicornServer,
    HttpResponse,
    running_gunicorn,
    write_mappings,
)
from tests.ports import free_port
from tests.wait import wait_until

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("nginx", "openssl"))), reason="nginx or openssl is not installed"
)

HOST = "leads.example.com"
HMAC = {"scheme": "hmac", "header": "X-Signature", "secrets": ["SECRET"]}
SENDER = "127.0.0.2"
MAPPINGS = {"plain": {"signature": HMAC}, "listed": {"signature": HMAC | {"allow_ips": [SENDER]}}}
LARGEST = settings_from({}).max_body_bytes

#: The main configuration around the site's file. nginx writes everything into one folder.
MAIN = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx:
    """A running nginx."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plain_port, self.port = free_port(), free_port()

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, source_address=(source, 0), timeout=20
        )

    def post(
        self, target: str, headers: Mapping[str, str], body: bytes, source: str = "127.0.0.1"
    ) -> HttpResponse:
        with contextlib.closing(self.connect(source)) as connection:
            connection.request("POST", target, body, dict(headers))
            answer = connection.getresponse()
            return HttpResponse(answer.status, dict(answer.headers), answer.read())


@contextlib.contextmanager
def running_nginx(folder: Path, *upstreams: int) -> Iterator[Nginx]:
    """Run nginx as configured by ``adapter init``, except for the ports and the certificate."""
    nginx = Nginx(folder)
    CliRunner().invoke(commands, ["init", str(folder / "leads"), "--host", HOST])
    site = (folder / "leads" / "nginx" / "lead-adapter.conf").read_text()
    changes = {
        r"(?m)^ *listen \[::\].*\n": "",
        r"listen 80;": f"listen 127.0.0.1:{nginx.plain_port};",
        r"listen 443 ssl;": f"listen 127.0.0.1:{nginx.port} ssl;",
        r"/etc/letsencrypt/live/leads\.example\.com": str(folder),
        r"server 127\.0\.0\.1:8000;": "\n".join(f"server 127.0.0.1:{one};" for one in upstreams),
    }
    for pattern, text in changes.items():
        site, count = re.subn(pattern, text, site)
        assert count, pattern
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    make_certificate(folder)
    process = popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        wait_until(lambda: process.poll() is not None or listens(nginx.port), "nginx listens")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield nginx
    finally:
        process.terminate()
        process.wait(20)


def make_certificate(folder: Path) -> None:
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    files = ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", *options, *names, *files], check=True, capture_output=True)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, module_database: str) -> Iterator[GunicornServer]:
    folder = tmp_path_factory.mktemp("mappings")
    write_mappings(folder, MAPPINGS)
    environ: dict[str, Any] = {
        "SECRET": "the-secret",
        "ADAPTER_PUBLIC_URL": f"https://{HOST}",
        "ADAPTER_TRUSTED_PROXIES": "1",
        "ADAPTER_LOG_LEVEL": "ERROR",
    }
    with running_gunicorn(folder, module_database, **environ) as web:
        yield web


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, web: GunicornServer) -> Iterator[Nginx]:
    with running_nginx(tmp_path_factory.mktemp("nginx"), web.port) as nginx:
        yield nginx


def signed(name: str, body: bytes) -> tuple[str, dict[str, str], bytes]:
    """Return the target, headers and body of a signed webhook."""
    url = f"https://{HOST}/hooks/{name}"
    request = WebhookRequest("POST", url, {"Content-Type": "application/json"}, body)
    request = sign(HMAC, "the-secret", request, time.time())
    return f"/hooks/{name}", {**request.headers, "Host": HOST}, request.body


def lead(**changes: str) -> bytes:
    return json.dumps(LEAD | changes).encode()


def test_a_signed_webhook_is_stored(nginx: Nginx) -> None:
    answer = nginx.post(*signed("plain", lead()))

    assert (answer.status, json.loads(answer.body)["status"]) == (200, "accepted")


def test_the_senders_address_arrives_and_cannot_be_forged(nginx: Nginx) -> None:
    target, headers, body = signed("listed", lead(id="L-2"))
    forged = headers | {"X-Forwarded-For": SENDER}

    assert nginx.post(target, headers, body, source=SENDER).status == 200
    assert nginx.post(target, headers, body).status == 401
    assert nginx.post(target, forged, body).status == 401


def test_the_largest_webhook_passes_and_a_larger_one_does_not(nginx: Nginx) -> None:
    padding = LARGEST - len(lead(id="L-3", pad=""))
    largest, larger = (lead(id="L-3", pad="x" * size) for size in (padding, padding + 1))
    assert len(largest) == LARGEST

    assert nginx.post(*signed("plain", largest)).status == 200
    refused = nginx.post(*signed("plain", larger))
    assert refused.status == 413
    assert b"nginx" in refused.body, "the web process has not read it"


def test_a_request_is_passed_on_only_when_it_is_complete(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        running_nginx(tmp_path, upstream.getsockname()[1]) as nginx,
        contextlib.closing(nginx.connect()) as slow,
        contextlib.closing(nginx.connect()) as fast,
    ):
        slow.putrequest("POST", "/hooks/slow")
        slow.putheader("Content-Length", str(LARGEST))
        slow.endheaders(b"x" * (LARGEST - 1))
        fast.request("POST", "/hooks/fast", b"x")
        for connection, path in ((fast, "/hooks/fast"), (slow, "/hooks/slow")):
            upstream.settimeout(20)
            passed, _ = upstream.accept()
            with passed, passed.makefile("rb") as received:
                assert path in received.readline().decode()
                passed.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            if connection is fast:
                assert fast.getresponse().status == 204
                slow.send(b"x")
        assert not any(file.is_file() for file in (tmp_path / "body").rglob("*"))


def test_browsers_are_told_once_to_use_tls_only(nginx: Nginx) -> None:
    plain = http.client.HTTPConnection("127.0.0.1", nginx.plain_port, timeout=20)
    with contextlib.closing(plain), contextlib.closing(nginx.connect()) as secure:
        plain.request("GET", "/console/?a=1", headers={"Host": HOST})
        moved = plain.getresponse()
        secure.request("GET", "/console/", headers={"Host": HOST})
        opened = secure.getresponse()

    assert (moved.status, moved.headers["Location"]) == (308, f"https://{HOST}/console/?a=1")
    assert opened.headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]


@pytest.mark.parametrize(
    ("base", "trusted", "expected"),
    [
        ("https://127.0.0.1:{0.port}", 1, "the sender's IP address is known"),
        ("https://127.0.0.1:{0.port}", 0, "set ADAPTER_TRUSTED_PROXIES=1"),
        ("https://localhost:{0.port}", 1, "its certificate is not valid"),
        ("https://127.0.0.1:{0.plain_port}", 1, "cannot be reached"),
        ("http://127.0.0.1:{0.plain_port}", 1, "returns 308, but not the adapter's response"),
    ],
)
def test_doctor_checks_the_way_through_nginx(
    nginx: Nginx,
    web: GunicornServer,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    trusted: int,
    expected: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(nginx.folder / "fullchain.pem"))
    url = base.format(nginx)
    settings = Settings(public_url=url, trusted_proxies=trusted, propexo_token="sandbox")

    found = list(web_findings(settings, web.database, utc_now))

    assert expected in " ".join(f"{one.text}: {one.fix}" for one in found), found
    is_right = expected.startswith("the sender")
    assert (Status.FAULT not in {one.status for one in found}) == is_right
