"""Read a Flask request's raw URL, body, client IP address and bearer token."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import flask
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from adapter.models import WebhookRequest
from adapter.settings import Settings
from adapter.webhooks.client_ip import client_ip


def client_ip_of_request(request: flask.Request, settings: Settings) -> str | None:
    """Return the sender's IP address, based only on headers that trusted proxies set."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    return client_ip(request.remote_addr, forwarded_for, settings.trusted_proxies)


def tolerate_paths(wsgi_app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Wrap a WSGI application to ignore extra slashes, spaces and capitals in webhook paths.

    Pasted URLs often contain these, and source names are always in lower case. Signatures still
    cover the URL as the sender wrote it (see :func:`raw_target`).
    """

    def call(environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
        parts = [part.strip() for part in environ.get("PATH_INFO", "").lower().split("/")]
        if (kept := [part for part in parts if part])[:1] == ["hooks"]:
            environ["PATH_INFO"] = "/" + "/".join(kept)
        return wsgi_app(environ, start_response)

    return call


def raw_target(request: flask.Request) -> str:
    """Return the path and query exactly as sent, because signatures cover this form."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI")
    target = raw or request.full_path.rstrip("?")
    return target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]


def read_request(request: flask.Request, settings: Settings, body: bytes) -> WebhookRequest:
    """Return the parts of a request that a signature may cover, with the body as raw bytes.

    The URL starts with ADAPTER_PUBLIC_URL, because a proxy may have changed the scheme, host and
    port. Without this setting, no signature covers the URL, so the path and query are enough.
    """
    return WebhookRequest(
        method=request.method,
        url=(settings.public_url or "") + raw_target(request),
        headers=dict(request.headers.items()),
        body=body,
        client=client_ip_of_request(request, settings),
    )


def read_body(request: flask.Request, limit: int) -> bytes:
    """Read the raw request body. Abort with 413 if it is too large, or 400 if it is incomplete.

    This reads from the server directly, because Werkzeug silently truncates a chunked body at its
    limit, and returns a body that was cut off in transit as if it were complete.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return b""  # neither a length nor chunks: there is no body
    try:
        body = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    except Exception as exc:
        raise BadRequest from exc
    if len(body) > limit:
        raise RequestEntityTooLarge
    if length is not None and len(body) != length:
        raise BadRequest
    return bytes(body)


def has_bearer_token(request: flask.Request, token: str | None) -> bool:
    """Return True if the request has this bearer token. If ``token`` is None, return False."""
    if token is None:
        return False
    bearer = re.sub("(?i)^bearer +", "", request.headers.get("Authorization", ""))
    return secrets.compare_digest(bearer.encode(), token.encode())
