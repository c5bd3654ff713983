"""Show ``adapter doctor`` how its request arrived, so that it can check the reverse proxies.

``/healthz`` shows these details only to a caller who has the hash key from the database.
"""

import dataclasses
from typing import Any, Final

import flask

import adapter
from adapter.exceptions import StoreUnavailable
from adapter.settings import Settings
from adapter.signatures.crypto import is_equal, keyed_hash
from adapter.store import Database
from adapter.webhooks.http_request import client_ip_of_request

#: The header with the time (seconds) and its keyed hash.
HEADER: Final = "X-Adapter-Self-Check"
#: Maximum age of a request. The clocks of two machines may differ.
MAX_AGE_SECONDS: Final = 600


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """The details of a request as the web process received it."""

    version: str
    #: The address that the connection came from.
    peer: str | None
    #: The entries of X-Forwarded-For.
    forwarded_for: tuple[str, ...]
    #: The sender's address that the rate limit and IP address lists apply to.
    client: str | None


def proof(key: bytes, at: float) -> str:
    """Return the value of the self-check header: a time and its keyed hash."""
    text = str(int(at))
    return f"{text}.{keyed_hash(key, b'self-check ' + text.encode()).hex()}"


def arrival(
    request: flask.Request, settings: Settings, store: Database, now: float
) -> dict[str, Any] | None:
    """Return details of how the request arrived, or None if its self-check header is invalid."""
    given = request.headers.get(HEADER, "")
    at = given.partition(".")[0]
    if not (at.isascii() and at.isdigit()) or abs(float(at[:20]) - now) > MAX_AGE_SECONDS:
        return None
    try:
        is_proved = is_equal(given.encode(), proof(store.hash_key(), int(at)).encode())
    except StoreUnavailable:
        return None
    return _seen(request, settings) if is_proved else None


def _seen(request: flask.Request, settings: Settings) -> dict[str, Any]:
    entries = request.headers.get("X-Forwarded-For", "").split(",")
    return dataclasses.asdict(
        Arrival(
            version=adapter.__version__,
            peer=request.remote_addr,
            forwarded_for=tuple(filter(None, map(str.strip, entries))),
            client=client_ip_of_request(request, settings),
        )
    )
