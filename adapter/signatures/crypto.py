"""The only cryptography of the adapter: itsdangerous' HMAC, and what is built of it.

Two traps of itsdangerous are stepped around here: ``HMACAlgorithm()`` means SHA-1 when no digest is
named, and an empty key is taken without a word.
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

#: How a digest is written in a header.
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "hex": binascii.hexlify,
    "base64": base64.b64encode,
    "base64url": base64_encode,
}

SECRET_ENCODINGS = ("utf8", "base64", "hex")

_COMPARING = ALGORITHMS["sha256"]
_COMPARING_KEY = secrets.token_bytes(32)


def keyed_hash(key: bytes, value: bytes) -> bytes:
    """HMAC-SHA256 of a value: 32 bytes."""
    return ALGORITHMS["sha256"].get_signature(key, value)


def is_equal(one: bytes, other: bytes) -> bool:
    """Whether two byte strings are the same, in a time that tells nothing about either.

    Both are hashed under a random key first, so the time depends on neither content nor length.
    """
    return _COMPARING.verify_signature(
        _COMPARING_KEY, one, _COMPARING.get_signature(_COMPARING_KEY, other)
    )


def plain_sha256(value: bytes) -> bytes:
    """SHA-256 without a key: 32 bytes."""
    return hashlib.sha256(value).digest()


def key_from_secret(secret: str, *, encoding: str = "utf8", prefix: str = "") -> bytes:
    """The key's bytes. Raises :class:`ConfigurationError` for an empty or unreadable secret.

    Its message is the end of a sentence that begins with "secret 1 of 2", and never quotes it.
    """
    if not secret.strip():
        raise ConfigurationError("is empty: set its environment variable")
    try:
        key = _decoded(want_bytes(secret.removeprefix(prefix)), encoding)
    except ValueError:
        raise ConfigurationError(
            f"is not {encoding}: copy it again, or correct 'secret_encoding'"
        ) from None
    if not key:
        raise ConfigurationError("is empty after its prefix: copy it again")
    return key


def _decoded(text: bytes, encoding: str) -> bytes:
    if encoding == "hex":
        return binascii.unhexlify(text)
    if encoding == "base64":
        # Padding is often lost when a secret is copied; the vendors' libraries do without, too.
        bare = text.rstrip(b"=")
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    return text
