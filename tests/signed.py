"""Sign requests in each scheme, using only the standard library."""

import base64
import hmac
from collections.abc import Mapping, Sequence

from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.signatures import verifier

NOW = 1767229200


URL = "https://hooks.example.com/hooks/riverside"


BODY = '{"name":"Zoë","phone":"+1 512 555-0142"}'.encode()


SECRET = "a-secret-of-ours"


def hex_of(content: bytes, *, secret: bytes = SECRET.encode(), algorithm: str = "sha256") -> str:
    return hmac.new(secret, content, algorithm).hexdigest()


def base64_of(content: bytes) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), content, "sha256").digest()).decode()


def refusal_reason(
    block: Mapping[str, object], given: WebhookRequest, now: float = NOW
) -> str | None:
    return refusal_reason_with(block, [SECRET], given, now)


PLAIN = {"scheme": "hmac", "header": "X-Sig"}


TIMED = PLAIN | {"signed": "{timestamp}.{body}", "timestamp": {"header": "X-Time"}}


LISTED = PLAIN | {
    "format": "t={timestamp},v1={signature}",
    "separator": ",",
    "signed": "{timestamp}.{body}",
}


GOOD_AT = hex_of(f"{NOW}.".encode() + BODY)


BEARER = {"scheme": "token", "in": "header", "name": "Authorization", "prefix": "Bearer "}


QUERY = {"scheme": "token", "in": "query", "name": "token"}


FORM = {"scheme": "token", "in": "form", "name": "HandshakeKey"}


JSON = {"scheme": "token", "in": "json", "name": "secret_key"}


def refusal_reason_with(
    block: Mapping[str, object], secrets: Sequence[str], given: WebhookRequest, now: float = NOW
) -> str | None:
    """Return the reason why the request is rejected, or None if it is accepted."""
    try:
        verifier(block, secrets).verify(given, now)
    except VerificationError as exc:
        return exc.reason
    return None


def request(
    headers: Mapping[str, str] | None = None,
    body: bytes = BODY,
    url: str = URL,
    method: str = "POST",
    client: str | None = None,
) -> WebhookRequest:
    return WebhookRequest(method, url, headers or {}, body, client)
