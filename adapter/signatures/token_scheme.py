"""Verify requests that contain the secret itself, with the ``token`` or ``basic`` scheme."""

import base64
import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote_to_bytes, urlencode

from adapter.exceptions import PayloadError, VerificationError
from adapter.models import WebhookRequest
from adapter.signatures.crypto import bytes_from_base64url, is_equal, key_from_secret
from adapter.signatures.request import (
    FORM_TYPE,
    MAX_FORM_FIELDS,
    MAX_HEADER_CHARACTERS,
    bytes_from_text,
    required_header,
)
from adapter.signatures.signed_header import with_headers

PLACES = ("header", "query", "form", "json")
#: JSON with more braces is not parsed, because that takes time and the sender is not yet verified.
MAX_JSON_OBJECTS = 10_000
#: Replaces a secret in a rejected request.
REMOVED = "[removed]"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TokenScheme:
    """A scheme with the secret in a header, query parameter, form field or JSON member."""

    #: ``header``, ``query``, ``form`` or ``json``.
    place: str
    name: str
    #: The text before the secret, such as ``Bearer``.
    prefix: str

    def keys(self, secret: str) -> list[bytes]:
        """Encode a token as bytes. Raise :class:`ConfigurationError` if it is empty."""
        return [self.signing_key(secret)]

    def signing_key(self, secret: str) -> bytes:
        """Encode a token as bytes. Raise :class:`ConfigurationError` if it is empty."""
        return key_from_secret(secret)

    def verified_by(self, keys: Sequence[bytes], request: WebhookRequest, now: float) -> int:  # noqa: ARG002 - tokens do not expire
        """Return the index of the key that matches the token, trying the newest key first."""
        return _matching_key(keys, self.credentials(request), "token_mismatch")

    def credentials(self, request: WebhookRequest) -> Iterator[bytes]:
        """Yield all possible decodings of the token in a request.

        Raise :class:`VerificationError` if it is missing, repeated or too long.
        """
        for token in self._tokens(request):
            if len(token) > MAX_HEADER_CHARACTERS:
                raise VerificationError("token_mismatch")
            yield from _spellings(token)

    def sign(self, key: bytes, request: WebhookRequest, now: float) -> WebhookRequest:  # noqa: ARG002 - tokens do not expire
        """Return a copy of the request with the token added."""
        token = key.decode()
        if self.place == "header":
            # A header sent as UTF-8 arrives as Latin-1, so encode it as the receiver will see it.
            text = (self.prefix.encode() + key).decode("latin-1")
            return with_headers(request, {self.name: text}, replace=self.name)
        if self.place == "json":
            return dataclasses.replace(request, body=_json_with(request.body, self.name, token))
        request = self.without_secret(request)  # a body with two tokens is rejected
        field = urlencode({self.name: token})
        if self.place == "query":
            mark = "&" if "?" in request.url else "?"
            return dataclasses.replace(request, url=f"{request.url}{mark}{field}")
        body = b"&".join(filter(None, [request.body, field.encode()]))
        typed = with_headers(request, {"Content-Type": FORM_TYPE})
        return dataclasses.replace(typed, body=body)

    def without_secret(self, request: WebhookRequest) -> WebhookRequest:
        """Return a copy of the request without the token. Everything else is unchanged."""
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
        """Return a copy of a rejected request with any token that it may contain removed."""
        if self.place in ("form", "json") and reason != "token_mismatch":
            request = dataclasses.replace(request, body=b"")
        return without_copies(self.without_secret(request), keys)

    def _tokens(self, request: WebhookRequest) -> list[bytes]:
        if self.place == "header":
            return _without_scheme(request, self.name, self.prefix or "Bearer")
        if self.place == "json":
            return [_json_token(request.body, self.name)]
        raw = request.body if self.place == "form" else bytes_from_text(request.query)
        if raw.count(b"&") >= MAX_FORM_FIELDS:
            raise VerificationError("body_unreadable")
        fields = [field for field in raw.split(b"&") if _is_named(field, self.name)]
        return [_single([field.partition(b"=")[2] for field in fields])]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BasicScheme:
    """HTTP Basic authentication (RFC 7617) with a fixed username. The secret is the password."""

    username: str

    def keys(self, secret: str) -> list[bytes]:
        """Return the credentials as ``username:password``. Raise ConfigurationError if empty."""
        return [self.signing_key(secret)]

    def signing_key(self, secret: str) -> bytes:
        """Return the credentials as ``username:password``. Raise ConfigurationError if empty."""
        return self.username.encode() + b":" + key_from_secret(secret)

    def verified_by(self, keys: Sequence[bytes], request: WebhookRequest, now: float) -> int:  # noqa: ARG002 - passwords do not expire
        """Return the index of the key that matches the password, trying the newest key first."""
        return _matching_key(keys, self.credentials(request), "credentials_mismatch")

    def credentials(self, request: WebhookRequest) -> Iterator[bytes]:
        """Yield all possible decodings of the credentials in a request.

        Raise :class:`VerificationError` if there are none.
        """
        for text in _without_scheme(request, "authorization", "Basic"):
            yield from _spellings(_login(text))

    def sign(self, key: bytes, request: WebhookRequest, now: float) -> WebhookRequest:  # noqa: ARG002 - passwords do not expire
        """Return a copy of the request with the credentials in its Authorization header."""
        own = {"Authorization": f"Basic {base64.b64encode(key).decode()}"}
        return with_headers(request, own, replace="authorization")

    def without_secret(self, request: WebhookRequest) -> WebhookRequest:
        """Return a copy of the request without its Authorization header."""
        return with_headers(request, {}, replace="authorization")


def _matching_key(keys: Sequence[bytes], spellings: Iterable[bytes], mismatch: str) -> int:
    for spelling in spellings:
        for index in reversed(range(len(keys))):
            if is_equal(spelling, keys[index]):
                return index
    raise VerificationError(mismatch)


def _spellings(text: bytes) -> Iterator[bytes]:
    """Yield a credential as it was sent, and in every possible decoded and trimmed form.

    Senders may percent-encode a secret once, twice or not at all, put quotes or whitespace around
    it, or send Latin-1. A request with the secret in any of these forms is authentic.
    """
    yield text
    once = unquote_to_bytes(text)
    form = unquote_to_bytes(text.replace(b"+", b" "))
    for spelling in (text, form, once, unquote_to_bytes(once)):
        yield spelling
        yield spelling.strip(b" \t\r\n\"'")
    yield text.decode("latin-1").encode()


def _without_scheme(request: WebhookRequest, header: str, scheme: str) -> list[bytes]:
    """Return a header's value with and without scheme prefixes such as ``Bearer``.

    Users may omit the prefix, and tools may add it a second time.
    """
    word = scheme.strip().lower().encode()
    texts = [required_header(request, header, "header_missing")]
    while len(texts) < 3 and texts[-1].lower().startswith(word):
        texts.append(texts[-1][len(word) :].lstrip(b" \t:"))
    return texts[::-1]


def _login(text: bytes) -> bytes:
    """Decode Basic credentials from base64. Return an empty string if they are invalid."""
    try:
        return bytes_from_base64url(text.strip())
    except ValueError:
        return b""


def _single(values: list[bytes]) -> bytes:
    """Return a list's only value. Raise VerificationError if it has none or more than one."""
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
    """Return the name-value pairs of a JSON object, or an empty list for other JSON values."""
    if body.count(b"{") > MAX_JSON_OBJECTS:
        raise VerificationError("body_unreadable")
    try:
        # Raw line breaks in strings are allowed, as in the payload parser.
        members = json.loads(_text_from(body), strict=False, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise VerificationError("body_unreadable") from None
    return members if isinstance(members, _Pairs) else []


class _Pairs(list[tuple[str, object]]):
    """The name-value pairs of a JSON object. The type distinguishes them from a JSON array."""


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
    """Return a JSON body without the given member. Return any other body unchanged."""
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(_text_from(body), strict=False)
        if isinstance(document, dict) and document.pop(name, None) is not None:
            return json.dumps(document).encode()
    return body


def without_copies(request: WebhookRequest, secrets: Iterable[bytes]) -> WebhookRequest:
    """Return a copy of the request with every unencoded occurrence of a secret masked."""
    url, headers, body = request.url, request.headers, request.body
    for secret in secrets:
        body = body.replace(secret, REMOVED.encode())
        for text in {secret.decode(encoding, "replace") for encoding in ("utf-8", "latin-1")}:
            url = url.replace(text, REMOVED)
            headers = {name: value.replace(text, REMOVED) for name, value in headers.items()}
    return dataclasses.replace(request, url=url, headers=headers, body=body)


def _form_without(form: bytes, name: str) -> bytes:
    return b"&".join(field for field in form.split(b"&") if not _is_named(field, name))


def _is_named(field: bytes, name: str) -> bool:
    encoded, wanted = field.partition(b"=")[0], name.encode()
    if len(encoded) > 3 * len(wanted):  # longer than the name with every byte percent-encoded
        return False
    return unquote_to_bytes(encoded.replace(b"+", b" ")) == wanted
