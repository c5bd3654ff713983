"""Build bodies of the maximum accepted size that are slow to process in different ways."""

import copy
import itertools
import json
from collections.abc import Callable, Container, Iterator
from typing import Any

from adapter.models import WebhookRequest

Trail = tuple[str | int, ...]

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="f%07d"\r\n\r\nx\r\n'

#: Number of bytes reserved for the rest of a sample.
SAMPLE_BYTES = 5000

#: Replacements for one value in a valid payload, to reach the code that reads it.
FILLS: dict[str, Callable[[int], Any]] = {
    "one long word": lambda size: "a" * size,
    "digits": lambda size: "3" * size,
    "words": lambda size: "ab " * (size // 3),
    "signs": lambda size: "(+1) -" * (size // 6),
    "lines": lambda size: "a:\n" * (size // 4),
    "control characters": lambda size: "\x01" * (size // 6),
    "a list of texts": lambda size: ["2B"] * (size // 6),
    "a list of objects": lambda size: [{"text": "x"}] * (size // 15),
    "many keys": lambda size: {f"k{n:07d}": 1 for n in range(size // 14)},
    "nested lists": lambda size: _nested(min(size // 2, 900)),
    "JSON in a string": lambda size: "[" * (size // 2) + "]" * (size // 2),
}


def deliveries(
    sample: Any, size: int, only: Container[str] | None = None
) -> Iterator[tuple[str, WebhookRequest]]:
    """Yield named webhooks: bodies of each type, and the sample with one value enlarged."""
    for name, content_type, body in _whole(size):
        if only is None or name in only:
            yield name, WebhookRequest.from_body(body[:size], content_type=content_type)
    for trail, (filling, fill) in itertools.product(_trails(sample), FILLS.items()):
        name = f"{'.'.join(map(str, trail))} is {filling}"
        if only is None or name in only:
            body = json.dumps(_with(sample, trail, fill(size - SAMPLE_BYTES))).encode()
            yield name, WebhookRequest.from_body(body, content_type="application/json")


def _whole(size: int) -> Iterator[tuple[str, str, bytes]]:
    for name, open_, close in (("lists", b"[", b"]"), ("objects", b'{"a":', b"}")):
        depth = size // len(open_ + close)
        yield f"deep {name}", "application/json", open_ * depth + b"1" + close * depth
    keys = b",".join(b'"k%07d":1' % number for number in range(size // 13))
    yield "wide object", "application/json", b"{" + keys + b"}"
    yield "wide list", "application/json", b"[" + b"0," * (size // 2 - 2) + b"0]"
    yield "long number", "application/json", b"9" * size
    yield "long text", "application/json", b'"' + b"\\u00e9" * (size // 6 - 1) + b'"'
    yield "many fields", FORM, b"&".join(b"f%04d=1" % (number % 9000) for number in range(9999))
    yield "one long field", FORM, b"f=" + b"%41" * (size // 3 - 1)
    parts = b"".join(PART % number for number in range(min(size // len(PART), 999)))
    yield "many parts", MULTIPART, parts + b"--b--\r\n"
    yield "part of line ends", MULTIPART, PART % 0 + b"\r\n--" * (size // 4 - 50)
    yield from _xml(size)


def _xml(size: int) -> Iterator[tuple[str, str, bytes]]:
    yield "siblings", "text/xml", b"<r>" + b"<a/>" * (size // 4 - 2) + b"</r>"
    named = b"".join(b"<a%07d/>" % number for number in range(size // 11 - 2))
    yield "siblings of many names", "text/xml", b"<r>" + named + b"</r>"
    attributes = b"".join(b' a%07d=""' % number for number in range(size // 12 - 2))
    yield "attributes", "text/xml", b"<r" + attributes + b"/>"
    yield "deep elements", "text/xml", b"<a>" * (size // 7) + b"</a>" * (size // 7)
    yield "text in pieces", "text/xml", b"<r>" + b"a&lt;" * (size // 5 - 2) + b"</r>"


def _trails(value: Any, trail: Trail = ()) -> Iterator[Trail]:
    """Yield the path to each value of the payload, including inner nodes."""
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, item in pairs:
        yield (*trail, key)
        yield from _trails(item, (*trail, key))


def _with(sample: Any, trail: Trail, fill: Any) -> Any:
    changed = copy.deepcopy(sample)
    place = changed
    for key in trail[:-1]:
        place = place[key]
    place[trail[-1]] = fill
    return changed


def _nested(depth: int) -> list[Any]:
    nest: list[Any] = []
    for _ in range(depth):
        nest = [nest]
    return nest
