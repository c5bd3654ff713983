"""Find an email address, a phone number or words in text, in any common encoding.

PostgreSQL preselects rows with :attr:`Contact.prefilter`. This module checks them exactly, so that
a request to erase ``ana@example.com`` does not erase ``dana@example.com``.
"""

import dataclasses
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import unquote_plus

#: Maximum nesting of JSON inside JSON strings.
DEPTH = 5
#: Maximum length of a character's escape, such as four bytes in octal.
MAX_ESCAPE = 16

_NOT_IN_EMAIL = "[^a-z0-9._%+-]"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """An email address, a phone number or words to search for."""

    #: A PostgreSQL regex for lower-case bytes with any escapes. It may also match other values.
    prefilter: str
    #: Match exactly this contact, in lower-case text without escapes. All must match.
    patterns: tuple[re.Pattern[str], ...]

    @classmethod
    def from_email(cls, address: str) -> Self:
        """Create a search for a lower-case email address."""
        parts = re.split(r"[^a-z0-9]", address)
        return cls(
            prefilter=".{1,9}".join(parts),
            patterns=(
                re.compile(rf"(?:^|{_NOT_IN_EMAIL}){re.escape(address)}(?![a-z0-9_-]|\.[a-z0-9])"),
            ),
        )

    @classmethod
    def from_phone(cls, number: str) -> Self:
        """Create a search for an E.164 phone number, with or without its country code."""
        country, digits = number.removeprefix("+")[:-10], number[-10:]
        return cls(
            prefilter="(%[0-9a-f]{2}|[^0-9]){0,4}".join(digits),
            patterns=(
                re.compile(
                    rf"(?<!\d)(?:(?:00|011)?{country}\D{{0,3}}|0\D{{0,3}})?"
                    + r"\D{0,3}".join(digits)
                    + r"(?!\d)"
                ),
            ),
        )

    @classmethod
    def from_words(cls, text: str) -> Self:
        """Create a search for a name, an ID or other text. It matches the beginnings of words."""
        words = text.lower().split()
        longest = max(words, key=len)
        return cls(
            prefilter=re.sub("[^a-z0-9]+", lambda match: _any_escape(match[0]), longest),
            patterns=tuple(re.compile(rf"(?<!\w){re.escape(word)}") for word in words),
        )

    def is_in(self, data: bytes) -> bool:
        """Return True if data contains the contact, plain or encoded."""
        missing = set(self.patterns)
        for text in texts_in(data):
            missing -= {one for one in missing if one.search(text.lower())}
            if not missing:
                return True
        return False

    def is_in_request(self, body: bytes | None, *texts: str) -> bool:
        """Return True if the body or another part of a request contains the contact."""
        return self.is_in(body or b"") or any(self.is_in(text.encode()) for text in texts)


def _any_escape(characters: str) -> str:
    """Return a PostgreSQL regex that matches characters in any encoding."""
    return f".{{1,{min(MAX_ESCAPE * len(characters), 255)}}}"


def texts_in(data: bytes) -> Iterator[str]:
    """Yield data as text, decoded in several ways."""
    text = data.decode("utf-8", "replace")
    yield text
    yield unquote_plus(text)
    yield html.unescape(text)
    yield from _strings_in(text, DEPTH)


def _strings_in(text: str, depth: int) -> Iterator[str]:
    """Yield all strings in a JSON document, including JSON nested in strings."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for part in _leaves(value):
        yield part
        if depth and part[:1] in ("{", "[", '"'):
            yield from _strings_in(part, depth - 1)


def _leaves(value: Any) -> Iterator[str]:
    """Yield all keys, strings and numbers in parsed JSON as text, without recursion."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            stack += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            stack += one
        elif one is not None:
            yield str(one)
