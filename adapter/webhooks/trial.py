"""Sign and recognize test messages from the console, which are verified but never stored.

Test messages have their own URL, so that no proxy can turn one into a lead by removing a header.
"""

import datetime as dt
import hashlib
from typing import Final

from adapter import signatures
from adapter.models import WebhookRequest
from adapter.signatures import crypto
from adapter.store import Database

HEADER: Final = "X-Adapter-Test"
VALID_SECONDS: Final = 60


def token_for(database: Database, source: str, body: bytes, now: dt.datetime) -> str:
    """Return a token, valid for a minute, that marks a message as a test message."""
    at = str(int(now.timestamp()))
    return f"{at}.{_mark(database, source, body, at).hex()}"


def is_trial(
    database: Database, source: str, request: WebhookRequest, token: str, now: dt.datetime
) -> bool:
    """Return True if the console created this token for this message within the last minute."""
    at, _, mark = token.partition(".")
    if not (at.isascii() and at.isdigit() and len(at) < 12):
        return False
    if abs(now.timestamp() - int(at)) > VALID_SECONDS:
        return False
    expected = _mark(database, source, request.body, at).hex().encode()
    return crypto.is_equal(mark.encode("utf-8", "replace"), expected)


def _mark(database: Database, source: str, body: bytes, at: str) -> bytes:
    content = f"test message\0{source}\0{at}\0{hashlib.sha256(body).hexdigest()}"
    return signatures.keyed_hash(database.hash_key(), content.encode())
