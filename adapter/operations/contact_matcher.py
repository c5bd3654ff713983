"""Find a contact in stored text, in any spelling or encoding.

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

_NOT_IN_EMAIL = "[^a-z0-9._%+-]"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """An email address or phone number to search for."""

    #: A PostgreSQL regex for lower-case bytes with any escapes. It may also match other contacts.
    prefilter: str
    #: A regex that matches exactly this contact in lower-case text without escapes.
    pattern: re.Pattern[str]

    @classmethod
    def from_email(cls, address: str) -> Self:
        """Create a contact from an email address in lower case."""
        parts = re.split(r"[^a-z0-9]", address)
        return cls(
            prefilter=".{1,9}".join(parts),
            pattern=re.compile(
                rf"(?:^|{_NOT_IN_EMAIL}){re.escape(address)}(?![a-z0-9_-]|\.[a-z0-9])"
            ),
        )

    @classmethod
    def from_phone(cls, number: str) -> Self:
        """Create a contact from an E.164 number. It also matches without the country code."""
        country, digits = number.removeprefix("+")[:-10], number[-10:]
        return cls(
            prefilter="(%[0-9a-f]{2}|[^0-9]){0,4}".join(digits),
            pattern=re.compile(
                rf"(?<!\d)(?:(?:00|011)?{country}\D{{0,3}}|0\D{{0,3}})?"
                + r"\D{0,3}".join(digits)
                + r"(?!\d)"
            ),
        )

    def is_in(self, data: bytes) -> bool:
        """Return True if ``data`` contains the contact as text, or in a form, JSON or markup."""
        return any(self.pattern.search(text.lower()) for text in texts_in(data))


def texts_in(data: bytes) -> Iterator[str]:
    """Yield the bytes decoded as text in every possible way."""
    text = data.decode("utf-8", "replace")
    yield text
    yield unquote_plus(text)
    yield html.unescape(text)
    yield from _strings_in(text, DEPTH)


def _strings_in(text: str, depth: int) -> Iterator[str]:
    """Yield the strings in a JSON document, including JSON nested in its strings."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for part in _leaves(value):
        yield part
        if depth and part[:1] in ("{", "[", '"'):
            yield from _strings_in(part, depth - 1)


def _leaves(value: Any) -> Iterator[str]:
    """Yield the strings and numbers in parsed JSON as text, without recursion (it is untrusted)."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            stack += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            stack += one
        elif one is not None:
            yield str(one)
