"""Compute the digests for the ``hmac`` and ``hash`` schemes."""

import dataclasses
from collections.abc import Sequence

from adapter.signatures.crypto import (
    ALGORITHMS,
    ENCODINGS,
    is_equal,
    key_from_secret,
    plain_sha256,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Digest:
    """Signs with an HMAC, or with a hash of text that starts with the secret."""

    encoding: str
    #: The digest's name, or None for the plain SHA-256 of the ``hash`` scheme.
    algorithm: str | None
    secret_encoding: str
    secret_prefix: str

    def keys(self, secret: str) -> list[bytes]:
        """Decode a secret into a list with one key. Raise ConfigurationError if it is invalid."""
        return [self.signing_key(secret)]

    def signing_key(self, secret: str) -> bytes:
        """Decode a secret into a key. Raise :class:`ConfigurationError` if it is invalid."""
        return key_from_secret(secret, encoding=self.secret_encoding, prefix=self.secret_prefix)

    def is_any_valid(self, key: bytes, content: bytes, signatures: Sequence[str]) -> bool:
        """Return True if any of the signatures equals the digest of the content.

        The header's text is never decoded, so that a signature has only one valid spelling.
        """
        expected = self.signature(key, content).encode()
        return any(is_equal(text.encode(), expected) for text in signatures)

    def signature(self, key: bytes, content: bytes) -> str:
        """Return the content's digest, encoded as the sender would write it."""
        digest = (
            plain_sha256(content)
            if self.algorithm is None
            else ALGORITHMS[self.algorithm].get_signature(key, content)
        )
        return ENCODINGS[self.encoding](digest).decode()
