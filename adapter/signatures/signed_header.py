"""Verify and create the header that contains the signature of a request."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from adapter.exceptions import VerificationError
from adapter.models import WebhookRequest
from adapter.signatures import twilio
from adapter.signatures.crypto import keyed_hash
from adapter.signatures.request import header_of
from adapter.signatures.signed_content import HeaderFormat, SignedContent
from adapter.signatures.timestamps import Clock


class Primitive(Protocol):
    """Computes and verifies signatures over bytes, using an HMAC, a hash or a public key."""

    def keys(self, secret: str) -> list[bytes]:
        """Decode a secret into keys for verification. Raise ConfigurationError if it is invalid."""

    def signing_key(self, secret: str) -> bytes:
        """Decode a secret into a key for signing. Raise ConfigurationError if it is invalid."""

    def is_any_valid(self, key: bytes, content: bytes, signatures: Sequence[str]) -> bool:
        """Return True if any of the signatures is valid for this key and content."""

    def signature(self, key: bytes, content: bytes) -> str:
        """Return the signature for the content, as the sender would write it in the header."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SignedHeaderScheme:
    """A scheme with a signature in a header: ``hmac``, ``hash`` or ``public_key``."""

    #: Header names. The first one present is used.
    headers: tuple[str, ...]
    format: HeaderFormat
    content: SignedContent
    #: None if the sender does not sign a timestamp.
    clock: Clock | None
    primitive: Primitive

    def keys(self, secret: str) -> list[bytes]:
        """Decode a secret into keys for verification. Raise ConfigurationError if it is invalid."""
        return self.primitive.keys(secret)

    def signing_key(self, secret: str) -> bytes:
        """Decode a secret into a key for signing. Raise ConfigurationError if it is invalid."""
        return self.primitive.signing_key(secret)

    def verified_by(self, keys: Sequence[bytes], request: WebhookRequest, now: float) -> int:
        """Return the index of the key that verifies the signature, trying the newest key first."""
        signatures, timestamp = self.format.read(self._header(request))
        if self.clock and self.clock.header:
            timestamp = _timestamp(request, self.clock.header)
        index = self._matching_key(keys, signatures, request, timestamp)
        # Checked last, so that "too old" always means a valid signature with an old timestamp.
        if self.clock:
            self.clock.check(timestamp or "", now)
        return index

    def sign(self, key: bytes, request: WebhookRequest, now: float) -> WebhookRequest:
        """Return a copy of the request, signed as this sender would sign it."""
        clock = self.clock or Clock()
        timestamp = clock.text_from_seconds(now)
        headers = {name: _message_id(request, timestamp) for name in self.content.headers}
        headers |= {clock.header: timestamp} if clock.header else {}
        request = with_headers(request, headers, replace=clock.header)
        if "form" in self.content.names:
            request = twilio.with_body_hash(request)
        content = next(self.content.variants(request, timestamp, key))
        signature = self.primitive.signature(key, content)
        own = {self.headers[0]: self.format.write(signature, timestamp)}
        return with_headers(request, own, replace=self.headers[0])

    def _header(self, request: WebhookRequest) -> str:
        for name in self.headers:
            if value := header_of(request, name):
                return value
        raise VerificationError("header_missing")

    def _matching_key(
        self,
        keys: Sequence[bytes],
        signatures: list[str],
        request: WebhookRequest,
        timestamp: str | None,
    ) -> int:
        for index in reversed(range(len(keys))):
            for content in self.content.variants(request, timestamp, keys[index]):
                if self.primitive.is_any_valid(keys[index], content, signatures):
                    return index
        raise VerificationError("signature_mismatch")


def with_headers(
    request: WebhookRequest, headers: dict[str, str], *, replace: str | None = None
) -> WebhookRequest:
    """Return a copy of the request with added headers. Overwrite only the header ``replace``."""
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
    """Compute a message ID from the body and the timestamp."""
    return "msg_" + keyed_hash(timestamp.encode(), request.body).hex()[:24]
