"""Build the text that Twilio signs, from the URL and the sorted form fields.

A template cannot describe this scheme: Twilio may sign the URL with or without its port, repeated
values of a field are signed once, and a body that is not a form is covered by a hash in the URL.
https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import dataclasses
import re
from collections.abc import Iterable

from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.signatures.crypto import is_equal, plain_sha256
from adapter.signatures.request import bytes_from_text, fields_from_form, is_form

_HASH_FIELD = b"bodySHA256"
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>(?:[^/?#@]*@)?(?:\[[^\]/?#]*\]|[^/?#:\[\]]*))"
    r"(?P<port>:[0-9]+)?(?P<rest>(?:[/?#].*)?)",
    re.DOTALL,
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def urls_of(url: str) -> tuple[str, ...]:
    """Return the URLs that Twilio may have signed: one without and one with a port."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        return (url,)
    start, rest = f"{match['scheme']}://{match['host']}", match["rest"]
    return start + rest, start + (match["port"] or _DEFAULT_PORTS[match["scheme"]]) + rest


def form_of(request: WebhookRequest) -> bytes:
    """Return the text that Twilio signs for a form, or b"" if the URL contains the body's hash.

    Raise VerificationError for a body that the signature does not cover.
    """
    if hashes := _hashes(request):
        _check_hash(request.body, hashes)
        return b""
    if request.body and not is_form(request):
        raise VerificationError("body_not_signed")
    return _sorted_text(fields_from_form(request.body))


def with_body_hash(request: WebhookRequest) -> WebhookRequest:
    """Return a copy of the request with the body's hash in its URL, unless the body is a form."""
    if not request.body or is_form(request) or _hashes(request):
        return request
    mark = "&" if "?" in request.url else "?"
    field = f"{_HASH_FIELD.decode()}={plain_sha256(request.body).hex()}"
    return dataclasses.replace(request, url=f"{request.url}{mark}{field}")


def _hashes(request: WebhookRequest) -> list[bytes]:
    fields = fields_from_form(bytes_from_text(request.query))
    return [value for name, value in fields if name == _HASH_FIELD]


def _check_hash(body: bytes, hashes: list[bytes]) -> None:
    expected = plain_sha256(body).hex().encode()
    if len(hashes) != 1 or not is_equal(hashes[0], expected):
        raise VerificationError("body_hash_mismatch")


def _sorted_text(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the sorted form fields as one string, with each repeated pair included once."""
    return b"".join(name + value for name, value in sorted(set(fields)))
