"""Run gunicorn with the bundled mappings."""

import dataclasses
import socket
import subprocess

import requests

from adapter import store
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.server.web_process import web_command
from adapter.settings import Settings
from adapter.store.child_processes import popen
from adapter.webhooks import signed_client
from tests.adapter_process import kept_environ
from tests.harness import load_cached
from tests.paths import MAPPINGS

SECRETS = {
    "RENTFEED_SECRET": "a-secret-of-rentfeed",
    "LEASEBOT_SECRET": "a-secret-of-leasebot",
    "TYPEFORM_SECRET": "a-secret-of-typeform",
}


LIMIT = 64 * 1024


@dataclasses.dataclass
class Web:
    """A running gunicorn."""

    port: int
    database: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def signed(self, name: str = "rentfeed", body: bytes = b"{}") -> WebhookRequest:
        return signed_client.sign_webhook(
            source(name),
            SECRETS[source(name).secrets[-1]],
            body=body,
            content_type="application/json",
            adapter_url=self.url,
        )

    def post(self, body: bytes, **headers: str) -> requests.Response:
        request = self.signed(body=body)
        return requests.post(
            request.url, data=body, headers=dict(request.headers) | headers, timeout=10
        )

    def kept_alive(self) -> socket.socket:
        """Open a keep-alive connection that has sent one request."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection

    def events(self) -> int:
        with store.Database(self.database) as opened, opened.transaction() as tx:
            return len(tx.search.events(limit=10_000))


def source(name: str) -> Source:
    return load_cached(MAPPINGS)[name]


def start_web(
    database: str, port: int, *, workers: int = 2, is_hasty: bool = False, **environ: str
) -> "subprocess.Popen[bytes]":
    settings = Settings(port=port, web_workers=workers, web_threads=4)
    command = web_command(settings)
    if is_hasty:
        command[command.index("adapter.server.web_worker.Worker")] = "tests.apps.hasty_web.Worker"
    kept = kept_environ()
    return popen(
        command,
        env=kept
        | SECRETS
        | {
            "DATABASE_URL": database,
            "ADAPTER_MAPPINGS_DIR": str(MAPPINGS),
            "ADAPTER_MAX_BODY_BYTES": str(LIMIT),
        }
        | environ,
    )


def is_up(url: str) -> bool:
    try:
        return requests.get(url + "/healthz", timeout=2).ok
    except requests.RequestException:
        return False
