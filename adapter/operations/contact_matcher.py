"""Whether a text names a contact, however it is written.

PostgreSQL looks roughly and quickly, by :attr:`Contact.rough`; what it finds is read here, so that
``dana@example.com`` is not erased when ``ana@example.com`` asks.
"""

import dataclasses
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import unquote_plus

#: So deep JSON inside JSON strings is read.
DEPTH = 5

_NOT_IN_EMAIL = "[^a-z0-9._%+-]"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """An e-mail address or a phone number, as it is looked for."""

    #: Finds it and more, in lower-case bytes that were escaped in any way: PostgreSQL's regex.
    prefilter: str
    #: Finds exactly it in a lower-case text without escapes.
    pattern: re.Pattern[str]

    @classmethod
    def from_email(cls, address: str) -> Self:
        """An address in lower case."""
        parts = re.split(r"[^a-z0-9]", address)
        rough = ".{1,9}".join(parts)
        return cls(
            prefilter=rough,
            pattern=re.compile(
                rf"(?:^|{_NOT_IN_EMAIL}){re.escape(address)}(?![a-z0-9_-]|\.[a-z0-9])"
            ),
        )

    @classmethod
    def from_phone(cls, number: str) -> Self:
        """A number in E.164. Its last ten digits count: the country code is often left out."""
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
        """Whether it stands in ``data``: as text, in a form, in JSON, or in markup."""
        return any(self.pattern.search(text.lower()) for text in texts_in(data))


def texts_in(data: bytes) -> Iterator[str]:
    """Every way in which bytes can be read as text."""
    text = data.decode("utf-8", "replace")
    yield text
    yield unquote_plus(text)
    yield html.unescape(text)
    yield from _strings_in(text, DEPTH)


def _strings_in(text: str, depth: int) -> Iterator[str]:
    """The strings of a JSON text, and of JSON texts within its strings."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    for part in _leaves(value):
        yield part
        if depth and part[:1] in ("{", "[", '"'):
            yield from _strings_in(part, depth - 1)


def _leaves(value: Any) -> Iterator[str]:
    """Strings and numbers of plain data, as text; without recursion, for data from strangers."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif one is not None:
            yield str(one)
