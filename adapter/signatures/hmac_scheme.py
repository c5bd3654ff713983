"""Schemes ``hmac`` and ``hash``: a digest over the request stands in a header."""

import dataclasses
from collections.abc import Iterator, Sequence

from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.signatures import twilio
from adapter.signatures.crypto import (
    ALGORITHMS,
    ENCODINGS,
    is_equal,
    key_from_secret,
    keyed_hash,
    plain_sha256,
)
from adapter.signatures.request import header_of
from adapter.signatures.signed_content import HeaderFormat, SignedContent
from adapter.signatures.timestamps import Clock


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DigestScheme:
    """A digest with a key (``hmac``), or of a text that starts with the secret (``hash``)."""

    #: Names of the header; the first one present counts.
    headers: tuple[str, ...]
    format: HeaderFormat
    content: SignedContent
    encoding: str
    #: None: the plain SHA-256 of scheme ``hash``.
    algorithm: str | None
    #: None: nothing is said about the time.
    clock: Clock | None
    secret_encoding: str
    secret_prefix: str

    def key(self, secret: str) -> bytes:
        """The key of one secret. Raises :class:`ConfigurationError`."""
        return key_from_secret(secret, encoding=self.secret_encoding, prefix=self.secret_prefix)

    def verified_by(self, keys: Sequence[bytes], request: WebhookRequest, now: float) -> int:
        """The index of the key that matched; the newest, which is the last, is tried first."""
        signatures, timestamp = self.format.read(self._header(request))
        if self.clock and self.clock.header:
            timestamp = _timestamp(request, self.clock.header)
        index = self._matching(keys, signatures, request, timestamp)
        # Only now: "too old" is then said of a genuine request, which tells a person more.
        if self.clock:
            self.clock.check(timestamp or "", now)
        return index

    def sign(self, key: bytes, request: WebhookRequest, now: float) -> WebhookRequest:
        """The request as this sender would send it."""
        clock = self.clock or Clock()
        timestamp = clock.text_from_seconds(now)
        headers = {name: _message_id(request, timestamp) for name in self.content.headers}
        headers |= {clock.header: timestamp} if clock.header else {}
        request = with_headers(request, headers, replace=clock.header)
        if "form" in self.content.names:
            request = twilio.with_body_hash(request)
        spelled = next(self.content.spelled(request, timestamp, key))
        signature = self._encoded(key, spelled).decode()
        own = {self.headers[0]: self.format.write(signature, timestamp)}
        return with_headers(request, own, replace=self.headers[0])

    def _header(self, request: WebhookRequest) -> str:
        for name in self.headers:
            if value := header_of(request, name):
                return value
        raise VerificationError("header_missing")

    def _matching(
        self,
        keys: Sequence[bytes],
        signatures: list[str],
        request: WebhookRequest,
        timestamp: str | None,
    ) -> int:
        for index in reversed(range(len(keys))):
            for expected in self._expected(keys[index], request, timestamp):
                if any(is_equal(text.encode(), expected) for text in signatures):
                    return index
        raise VerificationError("signature_mismatch")

    def _expected(
        self, key: bytes, request: WebhookRequest, timestamp: str | None
    ) -> Iterator[bytes]:
        """What the sender should have written: encoded, so that its text is never decoded."""
        for spelled in self.content.spelled(request, timestamp, key):
            yield self._encoded(key, spelled)

    def _encoded(self, key: bytes, content: bytes) -> bytes:
        if self.algorithm is None:
            return ENCODINGS[self.encoding](plain_sha256(content))
        return ENCODINGS[self.encoding](ALGORITHMS[self.algorithm].get_signature(key, content))


def with_headers(
    request: WebhookRequest, headers: dict[str, str], *, replace: str | None = None
) -> WebhookRequest:
    """The request with these headers added; only the one named ``replace`` displaces another."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if replace is None or name.lower() != replace.lower()
    }
    present = {name.lower() for name in kept}
    added = {name: value for name, value in headers.items() if name.lower() not in present}
    return dataclasses.replace(request, headers={**kept, **added})


def _timestamp(request: WebhookRequest, header: str) -> str:
    value = header_of(request, header)
    if value is None:
        raise VerificationError("timestamp_missing")
    if not value.isascii():
        raise VerificationError("timestamp_malformed")
    return value


def _message_id(request: WebhookRequest, timestamp: str) -> str:
    """An id for senders that sign one: the same for the same body at the same time."""
    return "msg_" + keyed_hash(timestamp.encode(), request.body).hex()[:24]
