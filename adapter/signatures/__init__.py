"""Verify webhook requests with signature schemes, presets and handshakes."""

from adapter.signatures.build import (
    Verifier,
    check_block,
    covers_query,
    proved_headers,
    query_token,
    scheme_of,
    sign,
    verifier,
)
from adapter.signatures.config import Scheme
from adapter.signatures.crypto import is_unguessable, keyed_hash
from adapter.signatures.presets import PRESETS
from adapter.signatures.reasons import REASONS

__all__ = [
    "PRESETS",
    "REASONS",
    "Scheme",
    "Verifier",
    "check_block",
    "covers_query",
    "is_unguessable",
    "keyed_hash",
    "proved_headers",
    "query_token",
    "scheme_of",
    "sign",
    "verifier",
]
