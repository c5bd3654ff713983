"""Verify signatures with the sender's public key (Ed25519, ECDSA P-256 or RSA).

:mod:`cryptography` verifies the signatures. Keys are kept as base64-encoded SubjectPublicKeyInfo,
so that the same key in different formats (PEM, DER, raw bytes or JWK) compares as equal.
"""

import base64
import binascii
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from adapter.exceptions import ConfigurationError
from adapter.signatures.crypto import ENCODINGS, bytes_from_base64, bytes_from_base64url

PublicKey: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

#: A shorter RSA key can be factored. NIST SP 800-131A, revision 2, disallows it.
MIN_RSA_BITS = 2048
#: A longer RSA key makes each verification slow.
MAX_RSA_BITS = 8192
#: A key set with more keys is rejected, because a request may be verified with each of them.
MAX_KEYS = 16

#: More signatures in a header are not verified, because each costs up to 0.1 ms. Rotating a key
#: needs two.
MAX_SIGNATURES = 4
#: Ed25519 keys whose signatures anyone can forge, because their order is at most 8 (RFC 7748,
#: section 6).
_WEAK_ED25519 = frozenset(
    bytes.fromhex(text)
    for text in (
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "00" * 32,
        "00" * 31 + "80",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)

_ECDSA = ec.ECDSA(hashes.SHA256())
_RSA = (padding.PKCS1v15(), hashes.SHA256())
_FORMS = "PEM, base64-encoded DER or raw bytes, or a JSON Web Key Set"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Algorithm:
    """A public-key algorithm, with its key types and its name in a JSON Web Key."""

    title: str
    public: type[PublicKey]
    private: type[PrivateKey]
    verify: Callable[[Any, bytes, bytes], None]
    sign: Callable[[Any, bytes], bytes]
    jwk: tuple[str, str | None]


ALGORITHMS: Mapping[str, Algorithm] = {
    "ed25519": Algorithm(
        title="an Ed25519 key",
        public=ed25519.Ed25519PublicKey,
        private=ed25519.Ed25519PrivateKey,
        verify=lambda key, signature, content: key.verify(signature, content),
        sign=lambda key, content: key.sign(content),
        jwk=("OKP", "Ed25519"),
    ),
    "ecdsa-p256": Algorithm(
        title="an ECDSA key on the curve P-256",
        public=ec.EllipticCurvePublicKey,
        private=ec.EllipticCurvePrivateKey,
        verify=lambda key, signature, content: key.verify(signature, content, _ECDSA),
        sign=lambda key, content: key.sign(content, _ECDSA),
        jwk=("EC", "P-256"),
    ),
    "rsa-sha256": Algorithm(
        title=f"an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits",
        public=rsa.RSAPublicKey,
        private=rsa.RSAPrivateKey,
        verify=lambda key, signature, content: key.verify(signature, content, *_RSA),
        sign=lambda key, content: key.sign(content, *_RSA),
        jwk=("RSA", None),
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PublicKeySignature:
    """A signature scheme for senders that sign with a private key."""

    algorithm: str
    encoding: str
    #: Removed from the start of a key, such as ``whpk_``.
    secret_prefix: str

    def keys(self, secret: str) -> list[bytes]:
        """Parse the public keys in a setting. Raise :class:`ConfigurationError` if it is invalid.

        The message completes a sentence that starts with "secret 1 of 2".
        """
        text = secret.strip().removeprefix(self.secret_prefix)
        if not text:
            raise ConfigurationError("is empty; set its environment variable to the public key")
        if "PRIVATE KEY" in text:
            raise ConfigurationError("is a private key; ask the sender for its public key")
        found = self._from_set(text) if text.startswith("{") else [_public_key(text)]
        return [_packed(self._checked(key)) for key in found]

    def signing_key(self, secret: str) -> bytes:
        """Check a private key in PEM format. Raise :class:`ConfigurationError` if it is invalid."""
        if "PRIVATE KEY" not in secret:
            raise ConfigurationError(
                "is a public key, which can verify but not sign; to sign, name the file of a "
                "private key in PEM with --key"
            )
        self._checked(_private_key(secret.encode()).public_key())
        return secret.encode()

    def is_any_valid(self, key: bytes, content: bytes, signatures: Sequence[str]) -> bool:
        """Return True if any of the signatures is valid for this public key and content."""
        return any(self._is_valid(key, content, text) for text in signatures[:MAX_SIGNATURES])

    def signature(self, key: bytes, content: bytes) -> str:
        """Sign the content with a private key in PEM format, and return the signature."""
        made = ALGORITHMS[self.algorithm].sign(_private_key(key), content)
        return ENCODINGS[self.encoding](made).decode()

    def _is_valid(self, key: bytes, content: bytes, text: str) -> bool:
        try:
            signature = _DECODERS[self.encoding](text.encode())
            if ENCODINGS[self.encoding](signature) != text.encode():
                return False
            ALGORITHMS[self.algorithm].verify(_unpacked(key), signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _checked(self, key: Any) -> PublicKey:
        algorithm = ALGORITHMS[self.algorithm]
        if not isinstance(key, algorithm.public) or not _is_strong(key):
            raise ConfigurationError(
                f"is not {algorithm.title}; copy it again, or correct 'algorithm'"
            )
        return key

    def _from_set(self, text: str) -> list[Any]:
        """Parse a JSON Web Key Set or a single key, and return the keys for this algorithm.

        Keys for other algorithms are skipped, because a set serves all receivers (RFC 7517).
        """
        try:
            document = json.loads(text)
            found = document.get("keys", [document])
            keys = [_from_jwk(one) for one in found if self._fits(one)]
        except ConfigurationError:
            raise
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            raise ConfigurationError(f"cannot be read; it must be {_FORMS}") from None
        if not 0 < len(keys) <= MAX_KEYS:
            raise ConfigurationError(
                f"must contain {ALGORITHMS[self.algorithm].title}, and at most {MAX_KEYS} of them"
            )
        return keys

    def _fits(self, jwk: Mapping[str, str]) -> bool:
        if "d" in jwk:
            raise ConfigurationError("contains a private key; ask the sender for its public key")
        kind, curve = ALGORITHMS[self.algorithm].jwk
        return (jwk["kty"], jwk.get("crv")) == (kind, curve) and jwk.get("use", "sig") == "sig"


def _is_strong(key: PublicKey) -> bool:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.public_bytes_raw() not in _WEAK_ED25519
    if isinstance(key, rsa.RSAPublicKey):
        return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    return isinstance(key.curve, ec.SECP256R1)


def _public_key(text: str) -> Any:
    """Parse a public key in PEM format, or in DER or raw bytes encoded as base64 or hex."""
    try:
        if text.startswith("-----BEGIN"):
            # Line breaks are often written as \n in an environment variable.
            return serialization.load_pem_public_key(text.replace("\\n", "\n").encode())
        return _from_bytes(_decoded(text))
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"cannot be read; it must be {_FORMS}") from None


def _decoded(text: str) -> bytes:
    compact = "".join(text.split())
    try:
        return binascii.unhexlify(compact)
    except ValueError:
        return bytes_from_base64url(compact.encode())


def _from_bytes(content: bytes) -> Any:
    if len(content) == 32:
        return ed25519.Ed25519PublicKey.from_public_bytes(content)
    if len(content) in (33, 65):
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), content)
    return serialization.load_der_public_key(content)


def _from_jwk(jwk: Mapping[str, str]) -> Any:
    if jwk["kty"] == "OKP":
        return ed25519.Ed25519PublicKey.from_public_bytes(bytes_from_base64url(jwk["x"].encode()))
    if jwk["kty"] == "EC":
        x, y = _integer(jwk["x"]), _integer(jwk["y"])
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return rsa.RSAPublicNumbers(_integer(jwk["e"]), _integer(jwk["n"])).public_key()


def _integer(text: str) -> int:
    return int.from_bytes(bytes_from_base64url(text.encode()), "big")


_DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": binascii.unhexlify,
    "base64": bytes_from_base64,
    "base64url": bytes_from_base64url,
}


def _packed(key: PublicKey) -> bytes:
    return base64.b64encode(
        key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


@functools.lru_cache(maxsize=256)  # parsing a key takes longer than verifying with it
def _unpacked(key: bytes) -> Any:
    return serialization.load_der_public_key(base64.b64decode(key))


def _private_key(text: bytes) -> Any:
    try:
        return serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError("is not an unencrypted private key in PEM") from None
