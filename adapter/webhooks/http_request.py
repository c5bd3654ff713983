"""Read a Flask request: raw target, raw body, client address."""

import flask
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from adapter import signatures
from adapter.settings import Settings
from adapter.webhooks.client_ip import client_ip


def client_ip_of_request(request: flask.Request, settings: Settings) -> str | None:
    """The sender's address, as far as it can be trusted."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    return client_ip(request.remote_addr, forwarded_for, settings.trusted_proxies)


def raw_target(request: flask.Request) -> str:
    """Path and query as the sender wrote them: a decoder's version is not what was signed."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI")
    target = raw or request.full_path.rstrip("?")
    return target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]


def signed_request(
    request: flask.Request, settings: Settings, client: str | None
) -> signatures.Request:
    """What a signature covers: the method, the address as the sender wrote it, headers, raw bytes.

    The address begins with the public one of the settings: a proxy in front of us may have changed
    scheme, host and port. Without it no signature covers the address, and path and query will do.
    """
    return signatures.Request(
        method=request.method,
        url=(settings.public_url or "") + raw_target(request),
        headers=dict(request.headers.items()),
        body=_body(request, settings.max_body_bytes),
        client=client,
    )


def _body(request: flask.Request, limit: int) -> bytes:
    """The raw bytes; 413 when they are more than ``limit``, 400 when they are not all of them.

    Read from the server itself: Werkzeug cuts a chunked body silently at its limit, and takes one
    that was cut off on the way for a whole one, which only a signature would tell.
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
