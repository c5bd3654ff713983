"""Compute and compare digests, using itsdangerous.

This avoids two pitfalls of itsdangerous: ``HMACAlgorithm()`` means SHA-1 when no digest is
named, and an empty key raises no error.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable

from itsdangerous import HMACAlgorithm, want_bytes
from itsdangerous.encoding import base64_encode

from adapter.exceptions import ConfigurationError

ALGORITHMS = {
    "sha1": HMACAlgorithm(hashlib.sha1),
    "sha256": HMACAlgorithm(hashlib.sha256),
    "sha512": HMACAlgorithm(hashlib.sha512),
}

#: Encodings for a digest in a header.
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "base64url": base64_encode,
}

SECRET_ENCODINGS = ("utf8", "base64", "hex")
#: A shorter token or password could be guessed from its hash by someone who copies the database.
MIN_CREDENTIAL_BYTES = 16

_COMPARISON = ALGORITHMS["sha256"]
_COMPARISON_KEY = secrets.token_bytes(32)


def keyed_hash(key: bytes, value: bytes) -> bytes:
    """Return the HMAC-SHA256 of a value (32 bytes)."""
    return ALGORITHMS["sha256"].get_signature(key, value)


def is_equal(one: bytes, other: bytes) -> bool:
    """Compare two byte strings in constant time.

    Both are hashed with a random key first, so that the time does not reveal the length either.
    """
    return _COMPARISON.verify_signature(
        _COMPARISON_KEY, one, _COMPARISON.get_signature(_COMPARISON_KEY, other)
    )


def plain_sha256(value: bytes) -> bytes:
    """Return the SHA-256 of a value (32 bytes)."""
    return hashlib.sha256(value).digest()


def is_unguessable(credential: bytes) -> bool:
    """Return True if a token or password has at least 16 bytes and cannot be guessed."""
    return len(credential.partition(b":")[2] or credential) >= MIN_CREDENTIAL_BYTES


def key_from_secret(secret: str, *, encoding: str = "utf8", prefix: str = "") -> bytes:
    """Decode a secret and return it as bytes. Raise :class:`ConfigurationError` if it is invalid.

    The message completes a sentence that starts with "secret 1 of 2". It never quotes the secret.
    """
    if not secret.strip():
        raise ConfigurationError("is empty; set its environment variable")
    try:
        key = _decoded(want_bytes(secret.removeprefix(prefix)), encoding)
    except ValueError:
        raise ConfigurationError(
            f"is not {encoding}; copy it again, or correct 'secret_encoding'"
        ) from None
    if not key:
        raise ConfigurationError("is empty after its prefix; copy it again")
    return key


def _decoded(text: bytes, encoding: str) -> bytes:
    if encoding == "hex":
        return binascii.unhexlify(text)
    return bytes_from_base64(text) if encoding == "base64" else text


def bytes_from_base64url(text: bytes) -> bytes:
    """Decode standard or URL-safe base64. Raise ValueError for invalid characters."""
    return bytes_from_base64(text.translate(bytes.maketrans(b"-_", b"+/")))


def bytes_from_base64(text: bytes) -> bytes:
    """Decode base64 with or without padding. Raise ValueError for invalid characters.

    Padding may be missing, because it is often lost when a secret is copied. The vendors'
    libraries allow that too.
    """
    unpadded = text.rstrip(b"=")
    return base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
