"""Create names, contacts and secrets that can be recognized in any output."""

import base64
import re
from collections.abc import Collection, Iterator

#: Part of each planted name, email address, text and secret.
MARK = "qanary"
#: The digits of each planted phone number.
PHONE = "3035550173"
_NAMES = (
    (re.compile(rb"dana", re.IGNORECASE), b"Qanary"),
    (re.compile(rb"okafor", re.IGNORECASE), b"Qanaryov"),
    (re.compile(rb"555([- ]?)01\d\d"), rb"555\g<1>0173"),
    (re.compile(rb"\+1(?:404|720|512)(?=555)"), b"+1303"),
)
_SEPARATORS = str.maketrans("", "", "()-. +")


def plant(raw: bytes) -> bytes:
    """Return a sample with our recognizable name, email address and phone number in it."""
    for pattern, text in _NAMES:
        raw = pattern.sub(text, raw)
    return raw


def secret_for(name: str) -> str:
    """Return a recognizable secret that is valid as text and as base64."""
    return base64.b64encode(f"{MARK} {name} {MARK}".ljust(48, "-").encode()).decode()


def spellings(secrets: Collection[str]) -> frozenset[str]:
    """Return the texts that would disclose a secret: the secret itself, and a login with it."""
    found = set(secrets)
    for secret in secrets:
        for user in ("adapter", ""):
            found.add(base64.b64encode(f"{user}:{secret}".encode()).decode()[8:-4])
        found.add(base64.b64decode(secret + "==", validate=False).decode("latin-1"))
    return frozenset(found)


def leaks(text: str, secrets: Collection[str]) -> Iterator[str]:
    """Yield the kinds of recognizable values that a string contains."""
    if MARK in text.lower():
        yield "a name, email address or text"
    if PHONE in text.translate(_SEPARATORS):
        yield "a phone number"
    if any(secret in text for secret in secrets):
        yield "a secret"
