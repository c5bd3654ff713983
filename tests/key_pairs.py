"""Build key pairs from fixed numbers for tests of ``scheme: public_key``."""

import base64
import functools
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PRIVATE: Mapping[str, Callable[[], Any]] = {
    "ed25519": lambda: ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
    "ecdsa-p256": lambda: ec.derive_private_key(20261128, ec.SECP256R1()),
    "rsa-sha256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


@functools.cache
def private_key(algorithm: str) -> Any:
    return PRIVATE[algorithm]()


def private_pem(algorithm: str) -> str:
    pem: bytes = private_key(algorithm).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()


def public_pem(algorithm: str) -> str:
    return _public(algorithm, serialization.Encoding.PEM).decode()


def public_der(algorithm: str) -> str:
    return base64.b64encode(_public(algorithm, serialization.Encoding.DER)).decode()


def _public(algorithm: str, encoding: serialization.Encoding) -> bytes:
    public: bytes = (
        private_key(algorithm)
        .public_key()
        .public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return public
