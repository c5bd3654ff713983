"""Verify schemes ``token`` and ``basic``: a secret that travels with the request."""

import base64
import contextlib
import dataclasses
import json
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes, urlencode

from adapter.exceptions import PayloadError, VerificationError
from adapter.models import WebhookRequest
from adapter.signatures.crypto import is_equal, key_from_secret
from adapter.signatures.hmac_scheme import with_headers
from adapter.signatures.request import FORM_TYPE, bytes_from_text, fields_from_form, header_of

PLACES = ("header", "query", "form", "json")
#: Replaces a secret in a rejected request.
REMOVED = "[removed]"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TokenScheme:
    """A static secret in a header, the query, a form field or a JSON member."""

    #: ``header``, ``query``, ``form`` or ``json``.
    place: str
    name: str
    #: The text before the secret, such as ``Bearer``.
    prefix: str

    def key(self, secret: str) -> bytes:
        """Return the token's bytes with the prefix. Raise :class:`ConfigurationError`."""
        return self.prefix.encode() + key_from_secret(secret)

    def verified_by(self, keys: Sequence[bytes], request: WebhookRequest, now: float) -> int:  # noqa: ARG002 - tokens do not age
        """Return the index of the matching key. Try the newest first."""
        return _matching_key(keys, self._token(request), "token_mismatch")

    def sign(self, key: bytes, request: WebhookRequest, now: float) -> WebhookRequest:  # noqa: ARG002 - tokens do not age
        """Return the request with the token added."""
        token = key.decode()
        if self.place == "header":
            # Sent as UTF-8, a header arrives as Latin-1: return it as the receiver will see it.
            text = key.decode("latin-1")
            return with_headers(request, {self.name: text}, replace=self.name)
        if self.place == "json":
            return dataclasses.replace(request, body=_json_with(request.body, self.name, token))
        field = urlencode({self.name: token})
        if self.place == "query":
            mark = "&" if "?" in request.url else "?"
            return dataclasses.replace(request, url=f"{request.url}{mark}{field}")
        body = b"&".join(filter(None, [request.body, field.encode()]))
        typed = with_headers(request, {"Content-Type": FORM_TYPE})
        return dataclasses.replace(typed, body=body)

    def without_secret(self, request: WebhookRequest) -> WebhookRequest:
        """Return the request without the token. Every other byte of a form or query stays."""
        if self.place == "header":
            return with_headers(request, {}, replace=self.name)
        if self.place == "json":
            return dataclasses.replace(request, body=_json_without(request.body, self.name))
        if self.place == "form":
            return dataclasses.replace(request, body=_form_without(request.body, self.name))
        start, mark, _ = request.url.partition("#")[0].partition("?")
        query = _form_without(bytes_from_text(request.query), self.name).decode("latin-1")
        return dataclasses.replace(request, url=start + (mark and query and mark) + query)

    def strip_rejected(
        self, keys: Sequence[bytes], request: WebhookRequest, reason: str
    ) -> WebhookRequest:
        """Return a rejected request without any token that can be found in it."""
        stripped = self.without_secret(request)
        if self.place in ("form", "json") and reason != "token_mismatch":
            stripped = dataclasses.replace(stripped, body=b"")
        for key in keys:
            stripped = _redact(stripped, key.removeprefix(self.prefix.encode()))
        return stripped

    def _token(self, request: WebhookRequest) -> bytes:
        if self.place == "header":
            return _header(request, self.name)
        if self.place == "json":
            return _json_token(request.body, self.name)
        raw = request.body if self.place == "form" else bytes_from_text(request.query)
        name = self.name.encode()
        return _single([value for field, value in fields_from_form(raw) if field == name])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BasicScheme:
    """HTTP Basic (RFC 7617): the user name is configured, the secret is the password."""

    username: str

    def key(self, secret: str) -> bytes:
        """Return the credentials as the header holds them. Raise :class:`ConfigurationError`."""
        return base64.b64encode(self.username.encode() + b":" + key_from_secret(secret))

    def verified_by(self, keys: Sequence[bytes], request: WebhookRequest, now: float) -> int:  # noqa: ARG002 - passwords do not age
        """Return the index of the matching password. Try the newest first."""
        scheme, space, credentials = _header(request, "authorization").partition(b" ")
        if scheme.lower() != b"basic" or not space:
            raise VerificationError("header_malformed")
        return _matching_key(keys, credentials, "credentials_mismatch")

    def sign(self, key: bytes, request: WebhookRequest, now: float) -> WebhookRequest:  # noqa: ARG002 - passwords do not age
        """Return the request with the credentials in its header."""
        own = {"Authorization": f"Basic {key.decode()}"}
        return with_headers(request, own, replace="authorization")

    def without_secret(self, request: WebhookRequest) -> WebhookRequest:
        """Return the request without the credentials."""
        return with_headers(request, {}, replace="authorization")


def _matching_key(keys: Sequence[bytes], token: bytes, mismatch: str) -> int:
    for index in reversed(range(len(keys))):
        if is_equal(token, keys[index]):
            return index
    raise VerificationError(mismatch)


def _header(request: WebhookRequest, name: str) -> bytes:
    value = header_of(request, name)
    if value is None:
        raise VerificationError("header_missing")
    return bytes_from_text(value)


def _single(values: list[bytes]) -> bytes:
    """Return the only value. Of two, a later reader might take the other one."""
    if len(values) > 1:
        raise VerificationError("token_repeated")
    if not values or not values[0]:
        raise VerificationError("token_missing")
    return values[0]


def _json_token(body: bytes, name: str) -> bytes:
    values = [value for member, value in _members(body) if member == name]
    texts = [value if isinstance(value, str) else "" for value in values]
    return _single([text.encode("utf-8", "surrogatepass") for text in texts])


def _members(body: bytes) -> list[tuple[str, object]]:
    """Return a JSON object's members, including repeated ones, or none for anything else."""
    try:
        # Raw line breaks in strings are allowed: the parser of the payload reads them too.
        members = json.loads(_text_from(body), strict=False, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise VerificationError("body_unreadable") from None
    return members if isinstance(members, _Pairs) else []


class _Pairs(list[tuple[str, object]]):
    """A JSON object as pairs. Its type distinguishes it from a JSON array."""


def _json_with(body: bytes, name: str, token: str) -> bytes:
    document = None
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(body or b"{}")
    if not isinstance(document, dict):
        raise PayloadError("the body must be a JSON object to carry the token")
    return json.dumps({**document, name: token}).encode()


def _text_from(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("windows-1252", "replace")


def _json_without(body: bytes, name: str) -> bytes:
    """Return the JSON object without that member. An unreadable body has no token."""
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(_text_from(body), strict=False)
        if isinstance(document, dict) and document.pop(name, None) is not None:
            return json.dumps(document).encode()
    return body


def _redact(request: WebhookRequest, secret: bytes) -> WebhookRequest:
    """Return the request with every plain copy of a secret replaced."""
    texts = [secret.decode(encoding, "replace") for encoding in ("utf-8", "latin-1")]

    def redacted(text: str) -> str:
        for plain in texts:
            text = text.replace(plain, REMOVED)
        return text

    return dataclasses.replace(
        request,
        url=redacted(request.url),
        headers={name: redacted(value) for name, value in request.headers.items()},
        body=request.body.replace(secret, REMOVED.encode()),
    )


def _form_without(form: bytes, name: str) -> bytes:
    def is_other(field: bytes) -> bool:
        encoded = field.partition(b"=")[0].replace(b"+", b" ")
        return unquote_to_bytes(encoded) != name.encode()

    return b"&".join(field for field in form.split(b"&") if is_other(field))
