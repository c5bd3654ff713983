"""Detect requests that come directly from this machine, not through a proxy."""

from typing import Final

import flask

from adapter.webhooks.client_ip import host_of, is_loopback

#: Headers that a proxy adds.
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def is_local_request(request: flask.Request) -> bool:
    """Return True if a request came directly from this machine, to a local host name.

    The host name is checked too, because a remote page's domain may resolve to 127.0.0.1. Behind a
    proxy, every request would seem to be local.
    """
    is_here = is_loopback(request.remote_addr or "") and is_loopback(host_of(request.host))
    return is_here and not is_proxied(request)


def is_proxied(request: flask.Request) -> bool:
    """Return True if a request came through a proxy, judging by its headers and HTTP version."""
    is_old = request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
    return is_old or any(name in request.headers for name in FORWARDED)
