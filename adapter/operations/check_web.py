"""Check whether senders can reach the web process, for ``adapter doctor``."""

import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

import adapter
from adapter.exceptions import StoreUnavailable
from adapter.models import Clock
from adapter.operations.connection_error import connection_error
from adapter.operations.finding import Finding, fault, ok, warning
from adapter.operations.mail_server import MailFailure, SmtpServer
from adapter.settings import Proxies, Settings
from adapter.store import Database
from adapter.webhooks.self_check import HEADER, Arrival, proof

AREA: Final = "web"
RECEIVER: Final = "status webhooks"
MAIL: Final = "email"
#: Statuses that mean the receiver is missing. After any other error, it may just not support HEAD.
_MISPLACED: Final = (301, 302, 303, 307, 308, 404, 410)

#: The client address in the request's X-Forwarded-For. It is reserved for documentation.
FORGED: Final = "192.0.2.77"
#: Timeout of each request, in seconds.
SECONDS: Final = 4.0
MAX_BYTES: Final = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response from the web process."""

    status: int
    body: bytes


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Disable redirects by returning None."""


_opener = urllib.request.build_opener(_NoRedirects)


def web_findings(settings: Settings, url: str | None, clock: Clock) -> Iterator[Finding]:
    """Check the public URL, its proxies, and that private pages are not public."""
    base = settings.public_url
    if base is None:
        text = "ADAPTER_PUBLIC_URL is not set, so the URL that senders use is not checked"
        fix = "set ADAPTER_PUBLIC_URL"
        yield ok(AREA, text) if settings.is_sandbox else warning(AREA, text, fix)
        return
    if base.startswith("http://") and not settings.is_sandbox:
        yield warning(AREA, f"{base} is not encrypted", "use https://, with a proxy for TLS")
    try:
        headers = {"X-Forwarded-For": FORGED, **_proof(url, clock)}
        answer = _get(f"{base}/healthz", headers)
        yield from _answer(answer, base, settings.trusted_proxies)
        if answer.status == http.client.OK:
            yield from _closed(base)
    except (OSError, http.client.HTTPException) as exc:
        fix = "check DNS, the firewall, the proxy and its certificate, and that web is running"
        yield fault(AREA, f"{base} cannot be reached: {connection_error(exc)}", fix)


def receiver_findings(settings: Settings) -> Iterator[Finding]:
    """Check that the receiver of status webhooks can be reached, without sending a webhook."""
    url = settings.status_webhook_url
    if url is None:
        return
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    try:
        status = _get(url, {}, "HEAD").status
    except (OSError, http.client.HTTPException) as exc:
        fix = "check ADAPTER_STATUS_WEBHOOK_URL, DNS, the firewall and the receiver"
        yield fault(RECEIVER, f"{host} cannot be reached: {connection_error(exc)}", fix)
        return
    if status >= http.client.INTERNAL_SERVER_ERROR and status != http.client.NOT_IMPLEMENTED:
        yield warning(RECEIVER, f"{host} responds with HTTP {status}", "check the receiver's log")
    elif status in _MISPLACED:
        text = f"{host} responds with HTTP {status}, and redirects are not followed"
        yield fault(RECEIVER, text, "set ADAPTER_STATUS_WEBHOOK_URL to the receiver's exact URL")
    else:
        yield ok(RECEIVER, f"{host}, which receives status webhooks, can be reached")


def mail_findings(settings: Settings) -> Iterator[Finding]:
    """Check that the SMTP server for invitations can be reached, without sending an email."""
    if settings.smtp_url is None:
        return
    server = SmtpServer.from_url(settings.smtp_url)
    try:
        server.check()
    except MailFailure as exc:
        yield fault(MAIL, str(exc), "fix ADAPTER_SMTP_URL, or the mail server's settings")
    else:
        yield ok(MAIL, f"{server.host}, which emails invitations, accepts emails from us")


def _proof(url: str | None, clock: Clock) -> Mapping[str, str]:
    if url is None:
        return {}
    try:
        with Database(url, size=1) as store:
            store.check_schema()
            return {HEADER: proof(store.hash_key(), clock().timestamp())}
    except StoreUnavailable:
        return {}


def _get(url: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
    """Send a request. Return the response even if its status is an error.

    Raise OSError or HTTPException if there is no response.
    """
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - http(s), as settings check
    try:
        with _opener.open(request, timeout=SECONDS) as response:
            return Answer(response.status, response.read(MAX_BYTES))
    except urllib.error.HTTPError as exc:
        with exc:
            return Answer(exc.code, exc.read(MAX_BYTES))


def _answer(answer: Answer, base: str, proxies: Proxies) -> Iterator[Finding]:
    seen = _seen(answer.body)
    if answer.status != http.client.OK or (seen is None and b"alive" not in answer.body):
        text = f"{base}/healthz returns {answer.status}, but not the adapter's response"
        yield fault(AREA, text, "start web, and configure the proxy to pass all paths to it")
        return
    if seen is None:
        text = f"{base} belongs to an adapter with another database or without a database"
        yield warning(AREA, text, "compare ADAPTER_PUBLIC_URL and DATABASE_URL with those of web")
        return
    yield ok(AREA, f"{base} belongs to this installation's web process")
    if seen.version != adapter.__version__:
        text = f"web runs version {seen.version}, and this command is {adapter.__version__}"
        yield warning(AREA, text, "restart web after an upgrade")
    yield proxy_finding(seen, proxies)


def _seen(body: bytes) -> Arrival | None:
    try:
        seen = json.loads(body)["seen"]
        return Arrival(**seen | {"forwarded_for": tuple(seen["forwarded_for"])})
    except (ValueError, KeyError, TypeError):
        return None


def proxy_finding(seen: Arrival, proxies: Proxies) -> Finding:
    """Compare the proxies in X-Forwarded-For with ADAPTER_TRUSTED_PROXIES."""
    added = [one for one in seen.forwarded_for if one != FORGED]
    fix = f"set ADAPTER_TRUSTED_PROXIES={len(added)}, and restart web"
    append = "configure the proxy: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for"
    if seen.client == FORGED:
        text = "anyone can forge their IP address, because ADAPTER_TRUSTED_PROXIES is too high"
        return fault(AREA, text, fix if added else f"{append}; without a proxy, unset the setting")
    if not added and (proxies or FORGED not in seen.forwarded_for):
        text = "the proxy does not add X-Forwarded-For, so all senders share its IP address"
        return fault(AREA, text, append)
    if added and not proxies:
        text = (
            f"{len(added)} proxies are in front, but none is trusted: senders share an IP address"
        )
        return fault(AREA, text, fix)
    if added and seen.client != added[0]:
        text = (
            f"{len(added)} proxies are in front, but not all are trusted: senders share addresses"
        )
        return fault(AREA, text, fix)
    return ok(AREA, f"the sender's IP address is known: this request came from {seen.client}")


def _closed(base: str) -> Iterator[Finding]:
    for path in ("/console/", "/metrics"):
        answer = _get(base + path, {})
        if answer.status == http.client.OK:
            text = f"anyone can open {base}{path} without signing in"
            yield fault(AREA, text, "block the path in the proxy, and report this bug")
            return
    yield ok(AREA, "/console and /metrics require users to sign in")
