"""Whether whoever asks sits at this machine, with nothing between."""

from typing import Final

import flask

from adapter.settings import Settings
from adapter.webhooks.client_ip import host_of, is_loopback

#: Headers that tell of a proxy on the way.
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def is_local_request(request: flask.Request, settings: Settings) -> bool:
    """Whether the peer is this machine, was called by its name, and no proxy stands between.

    The name counts too: a page elsewhere may point its own name at 127.0.0.1. Behind a proxy
    every reader would seem to be here.
    """
    has_proxy = is_proxied(request) or settings.trusted_proxies
    if has_proxy or settings.public_url is not None:
        return False
    return is_loopback(request.remote_addr or "") and is_loopback(host_of(request.host))


def is_proxied(request: flask.Request) -> bool:
    """Whether a proxy shows: by a header of its own, or by HTTP/1.0, which no browser speaks."""
    is_old = request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
    return is_old or any(name in request.headers for name in FORWARDED)
