"""Remove secrets and sender IP addresses from requests, so that they are never stored."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote_plus

from adapter.exceptions import PayloadError
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.body import unpacked
from adapter.parsing.strip_values import without_values
from adapter.signatures import Verifier, is_unguessable
from adapter.store.rows import delivery_headers
from adapter.webhooks.client_ip import is_address

#: Headers that are never stored, regardless of the scheme.
CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
#: Names of other headers that may carry a credential.
_SUSPICIOUS = re.compile(r"authori[sz]ation|cookie|token|secret|passw|api-?key|credential|session")
#: Separators of words in a header. They do not include "/", so that Chrome/1.2.3.4 is one word.
_NOT_ADDRESS = re.compile(r"[^\w.:%/-]+")
_MARK = re.compile("[.:].*[.:]")


def headers_needed(source: Source, verifier: Verifier) -> frozenset[str]:
    """Return the lowercase names of the headers that the mapping or the signature check reads."""
    others = ("content-type", *delivery_headers(source.delivery_header))
    return verifier.proof_headers.union(source.headers_read, others)


def without_private_headers(
    request: WebhookRequest, needed: Collection[str], secrets: Iterable[bytes]
) -> WebhookRequest:
    """Return a copy of the request without headers that may contain a secret or an IP address.

    Proxies copy the sender's address and the URL, with its token, into headers. A header that is
    needed is kept, unless it contains a secret that is too long to occur by chance.
    """
    # From ``user:password``, use only the password, because it may occur by itself.
    texts = [(one.partition(b":")[2] or one).decode("utf-8", "replace") for one in secrets if one]
    certain = [text for text in texts if is_unguessable(text.encode())]
    hidden = [
        name
        for name, value in request.lowercase_headers.items()
        if (_has_any(value, certain) if name in needed else _is_private(name, value, texts))
    ]
    return request.without_headers(hidden)


def without_fields(request: WebhookRequest, names: tuple[str, ...]) -> WebhookRequest:
    """Return a copy of the request with the values of the named fields removed."""
    if not names:
        return request
    body = request.body
    with contextlib.suppress(PayloadError):
        body = unpacked(body, [])
    url = request.url.encode("utf-8", "surrogatepass")
    return dataclasses.replace(
        request,
        url=without_values(url, names).decode("utf-8", "surrogatepass"),
        body=without_values(body, names),
    )


def _is_private(name: str, value: str, secrets: Iterable[str]) -> bool:
    return (
        "?" in value  # a URL with a query
        or _is_suspicious(name)
        or _has_any(value, secrets)
        or any(is_address(word) for word in _NOT_ADDRESS.split(value) if _MARK.search(word))
    )


#: Cached, because senders and proxies repeat the same names.
@functools.lru_cache(maxsize=1024)
def _is_suspicious(name: str) -> bool:
    return bool(_SUSPICIOUS.search(name))


def _has_any(value: str, secrets: Iterable[str]) -> bool:
    plain = unquote_plus(value) if "%" in value or "+" in value else value
    return any(secret in value or secret in plain for secret in secrets)
