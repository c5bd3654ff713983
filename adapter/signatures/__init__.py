"""Verify webhooks: signature schemes, presets and handshakes."""

from adapter.signatures.build import (
    Verifier,
    check_block,
    query_token,
    scheme_of,
    sign,
    verifier,
)
from adapter.signatures.crypto import is_unguessable, keyed_hash
from adapter.signatures.presets import PRESETS
from adapter.signatures.reasons import REASONS

__all__ = [
    "PRESETS",
    "REASONS",
    "Verifier",
    "check_block",
    "is_unguessable",
    "keyed_hash",
    "query_token",
    "scheme_of",
    "sign",
    "verifier",
]
