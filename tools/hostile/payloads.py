"""Generate hostile payloads by changing a mapping's samples, in the sender's format."""

import copy
import dataclasses
import gzip
import json
import random
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.body import parse
from tests.unit.test_hostile_texts import PIECES
from tools.hostile.canaries import plant

BOUNDARY = "hostile"
JSON, FORM, XML = "application/json", "application/x-www-form-urlencoded", "text/xml"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
CONTENT_TYPES = (
    *(JSON, FORM, XML, MULTIPART, "", "text/plain", "text/html", "application/octet-stream"),
    *("application/json; charset=utf-16", "application/json; charset=no-such", "multipart/mixed"),
    *("multipart/form-data", "multipart/form-data; boundary=", "text/xml; charset=ebcdic-cp-us"),
    *(
        "application/x-www-form-urlencoded; charset=shift_jis",
        "*/*",
        "a",
        ";;;",
        "json/" + "j" * 900,
    ),
    *(
        "application/xml; charset=utf-7",
        "application/json\xff",
        "message/rfc822",
        "multipart/" * 99,
    ),
)
CHARSETS = ("utf-16", "utf-32", "utf-16-le", "latin-1", "cp1252", "utf-7", "utf-8-sig", "cp037")
#: JSON that the encoder would not write. Each replaces a marked text.
RAW = {
    "deep list": b"[" * 50_000 + b"]" * 50_000,
    "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "unclosed": b"[" * 10_000,
    "large number": b"9" * 5_000,
    "long fraction": b"0." + b"3" * 5_000,
    "large exponent": b"1e999999",
    "leading zero": b"007",
    "word": b"undefined",
    "lone surrogate": b'"\\ud800\\udfff\\ud83d"',
    "wrong escape": b'"\\x41\\u12"',
    "bytes": b'"\xff\xfe\xc3\x28\xf0\x9f"',
    "control": b'"\x00\x01\x08\x0b\x1b\x7f"',
    "twice": b'{"id":1,"id":2,"name":"a","name":null,"email":[],"email":"b"}',
    "comment": b"/* */ null // x",
}
NUMBERS = (
    *(0, -1, 1, -0.0, 0.1, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf")),
    *(2**31, -(2**31) - 1, 2**53 + 1, 2**63, 2**64, 10**30, 10**300, 99999999999999999999),
    *(253402300800, -62135596801, 1e11, 1772568249000, 86399.9999),
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    " ",
    [],
    {},
    [[]],
    [None],
    {"": None},
    [{}],
    [[], {}],
)
DATES = (
    *("0000-00-00T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"),
    *("2026-02-30", "02/29/2027", "2026-03-08T02:30:00", "2026-11-01T01:30:00", "13/13/13"),
    *(
        "+292278994-08-17T07:12:55Z",
        "-1",
        "1e10",
        "24:00",
        "25:61:99 PM",
        "tomorrow",
        "\uff11\uff12/\uff11\uff12/\uff12\uff10\uff12\uff16",
    ),
    *(
        "2026-03-14T20:30:00.123456789Z",
        "20260314T203000Z",
        "2026-W11-6",
        "Sat Mar 14 2026",
        "٠٣/١٤/٢٠٢٦",
    ),
)
#: Texts, some of which are known to slow down regular expressions for addresses, numbers and
#: spaces.
TEXTS = (
    *("a" * 500 + "!", "a@" * 500, "a." * 500 + "@", "@" + "a-" * 500, "1" * 500 + "x", "-" * 500),
    *(
        " " * 2000 + "x",
        "\t" * 2000,
        "\u200b" * 300,
        "\u202e\u2066abc\u2069",
        "Z\u0335\u0321" * 200,
    ),
    *("'; DROP TABLE events; --", "%s%n%x{0}{}", "${jndi:ldap://x}", "{{7*7}}", "../../etc/passwd"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "=1+1", "@SUM(1)", "\uff20a"),
    *(
        "\r\nSet-Cookie: a=b\r\n\r\n",
        "\x00",
        "\ud800",
        "\U0001f468\u200d\U0001f469",
        "ﷺ" * 40,
        "İ" * 50,
    ),
    *(
        "null",
        "undefined",
        "NaN",
        "[object Object]",
        "true",
        "0x10",
        "1_000",
        "\uff11\uff12\uff13",
        "½",
        "²",
    ),
)
XML_HEADS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>',
    '<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd">',
    '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
    '<?xml version="1.0" encoding="utf-7"?>',
    '<?xml version="1.1" standalone="maybe"?>',
    "<?x" * 5000,
    "<!--" * 5000,
)
_MARKED = re.compile(rb'"@@raw:([a-z ]+)@@"')
_WITHIN = 60_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """The body, headers and query of one request."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]
    query: str

    def request(self, url: str) -> WebhookRequest:
        """Return an unsigned request with this payload."""
        headers = {**self.headers, "Content-Type": self.content_type}
        url = f"{url}?{self.query}" if self.query else url
        return WebhookRequest("POST", url, headers, self.body)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A sample as a tree that can be changed and encoded again."""

    kind: str
    tree: Any
    headers: Mapping[str, str]
    query: str


def samples_of(source: Source) -> list[Sample]:
    """Return the samples in a mapping's tests, with recognizable values inserted."""
    return [_sample(source, test) for test in source.sections["tests"]]


def hostile_payload(rng: random.Random, samples: Sequence[Sample]) -> Payload:
    """Generate a random hostile payload."""
    sample = rng.choice(samples)
    body = encoded(rng, sample.kind, mutated(rng, sample.tree))
    if rng.random() < 0.15:
        body = rng.choice(SPOILERS)(rng, body)
    kind = sample.kind if rng.random() < 0.92 else rng.choice(CONTENT_TYPES)
    return Payload(
        body=body[:1_000_000], content_type=kind, headers=sample.headers, query=sample.query
    )


def _sample(source: Source, test: Mapping[str, Any]) -> Sample:
    payload = test["payload"]
    headers = {name.lower(): str(value) for name, value in test.get("headers", {}).items()}
    query = test.get("query", "")
    if not isinstance(payload, str):
        tree = json.loads(plant(json.dumps(payload, default=str).encode()))
        return Sample(kind=JSON, tree=tree, headers=headers, query=query)
    file = source.path.parent / payload
    raw = plant(file.read_bytes())
    stated = test.get("content_type") or content_type_of(file, raw) or JSON
    kind, tree = _tree(raw, stated)
    return Sample(kind=kind, tree=tree, headers=headers, query=query)


def _tree(raw: bytes, stated: str) -> tuple[str, Any]:
    if "xml" in stated:
        return XML, _from_element(ET.fromstring(raw))
    if "multipart" in stated:
        parts: Any = parse(raw, stated)
        return MULTIPART, [[name, value] for name, value in parts.items()]
    if "form" in stated:
        pairs = urllib.parse.parse_qsl(raw.decode(), keep_blank_values=True)
        return FORM, [list(pair) for pair in pairs]
    return JSON, json.loads(raw)


def _from_element(element: ET.Element) -> Any:
    children = [_from_element(child) for child in element]
    return [element.tag, dict(element.attrib), element.text or "", children]


# changes ------------------------------------------------------------------------------------------


def mutated(rng: random.Random, tree: Any) -> Any:
    """Return a copy of a tree with a few changes in random places."""
    root = [copy.deepcopy(tree)]
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 5, 9))):
        holder, key = rng.choice(list(_spots(root)))
        rng.choice(CHANGES)(rng, root, holder, key)
    return root[0]


#: Maximum number of values to choose from in a payload.
MOST_SPOTS = 3_000


def _spots(node: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [node]
    while waiting and len(found) < MOST_SPOTS:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found[:MOST_SPOTS] or [([None], 0)]


def hostile_text(rng: random.Random) -> str:
    """Generate a hostile text. Only a few of these texts are long."""
    drawn: float = rng.random()
    if drawn < 0.4:
        return rng.choice(TEXTS)
    if drawn < 0.5:
        return "".join(
            chr(rng.choice((rng.randrange(0x300), rng.randrange(0x11000)))) for _ in range(30)
        )
    piece = rng.choice(PIECES)
    return piece * (rng.choice((1, 2, 20, 300)) if drawn < 0.985 else _WITHIN // len(piece))


def _drop(_rng: random.Random, root: Any, holder: Any, key: Any) -> None:
    if holder is not root:
        del holder[key]


def _retype(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(rng.choice(VALUES))


def _number(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    number = rng.choice(NUMBERS)
    holder[key] = str(number) if rng.random() < 0.3 else number


def _date(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(DATES)


def _raw(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    holder[key] = f"@@raw:{rng.choice(list(RAW))}@@"


def _text(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    holder[key] = hostile_text(rng)


def _splice(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    text = holder[key]
    if isinstance(text, str):
        at = rng.randrange(len(text) + 1)
        holder[key] = text[:at] + hostile_text(rng) + text[at:]


def _nest(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    value = holder[key]
    for _ in range(rng.choice((1, 1, 2, 30, 90))):
        value = [value] if rng.random() < 0.5 else {str(key): value}
    holder[key] = value


def _unnest(_rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(value, list | dict) and value:
        holder[key] = next(iter(value.values() if isinstance(value, dict) else value))


def _grow(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    value, times = holder[key], rng.choice((2, 2, 10, 40, 200))
    if isinstance(value, dict):
        value.update((f"k{number}", number) for number in range(times * 5))
    elif isinstance(value, list):
        holder[key] = [copy.deepcopy(one) for one in (value * times)[: max(50, 4 * len(value))]]
    elif isinstance(value, str):
        holder[key] = (value * times)[:_WITHIN]


def _swap(rng: random.Random, root: Any, holder: Any, key: Any) -> None:
    other, place = rng.choice(_spots(root))
    if holder is not root and other is not root:
        first, second = copy.deepcopy(holder[key]), copy.deepcopy(other[place])
        holder[key] = second
        with _any_place():
            other[place] = first


def _rename(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        name = rng.choice(
            (hostile_text(rng), str(key).upper(), f" {key} ", f"{key}\u200b", "__proto__")
        )
        holder[name] = holder.pop(key)


def _within(rng: random.Random, _root: Any, holder: Any, key: Any) -> None:
    """Change JSON inside a string."""
    value = holder[key]
    if isinstance(value, str) and value[:1] in ("{", "["):
        with _any_place():
            holder[key] = json.dumps(mutated(rng, json.loads(value)))


class _any_place:  # noqa: N801 - used like contextlib.suppress
    """Ignores a change that is not possible at its position."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, *_: object) -> bool:
        return kind is not None and issubclass(kind, ValueError | LookupError)


CHANGES: Sequence[Callable[[random.Random, Any, Any, Any], None]] = (
    *(_drop, _retype, _number, _date, _raw, _text, _text, _splice, _splice, _nest, _unnest, _grow),
    *(_swap, _rename, _within, _within),
)


# encoding -----------------------------------------------------------------------------------------


def encoded(rng: random.Random, kind: str, tree: Any) -> bytes:
    """Encode a tree as bytes, even if it has no valid encoding."""
    if kind == XML:
        return _xml(rng, tree).encode("utf-8", "surrogatepass")
    if kind == FORM:
        return urllib.parse.urlencode(list(_pairs(tree)), errors="surrogatepass").encode()
    if kind == MULTIPART:
        return _multipart(rng, tree)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5, default=str)
    body = text.encode("utf-8", "surrogatepass")
    return _MARKED.sub(lambda match: RAW.get(match[1].decode(), b"null"), body)


def _pairs(tree: Any) -> Iterator[tuple[str, str]]:
    for pair in tree if isinstance(tree, list) else [tree]:
        if isinstance(pair, list) and len(pair) == 2:
            yield _leaf(pair[0]), _leaf(pair[1])
        else:
            yield "x", _leaf(pair)


def _leaf(value: Any) -> str:
    if isinstance(value, str) and value.startswith("@@raw:"):
        return RAW.get(value[6:-2], value.encode("utf-8", "replace")).decode("latin-1")
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _multipart(rng: random.Random, tree: Any) -> bytes:
    parts = []
    for name, value in _pairs(tree):
        extra = rng.choice(("", "", "", "", *PART_HEADERS))
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
        parts.append((head + value + "\r\n").encode("utf-8", "surrogatepass"))
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


PART_HEADERS = (
    '; filename="../../a"',
    "; filename*=utf-8''%ff%fe; filename=\"\x00\"",
    "\r\nContent-Type: text/plain; charset=no-such",
    "\r\nContent-Transfer-Encoding: base64",
    "\r\nContent-Type: multipart/mixed; boundary=hostile",
    "\r\n" + "X: y\r\n" * 200,
    "\r\nX-Long: " + "x" * 20_000,
)


def _xml(rng: random.Random, tree: Any) -> str:
    head = rng.choice(XML_HEADS) if rng.random() < 0.06 else ""
    return head + _element(tree, 0)


def _element(node: Any, depth: int) -> str:
    if not (isinstance(node, list) and len(node) == 4) or depth > 400:
        return escape(_leaf(node))
    tag, attributes, text, children = node
    name = re.sub(r"^\{(.*)\}(.*)$", r"\2", _leaf(tag))
    pairs = attributes.items() if isinstance(attributes, dict) else ()
    said = "".join(f' {key}="{escape(_leaf(value), QUOTES)}"' for key, value in pairs)
    inner = "".join(_element(child, depth + 1) for child in _listed(children))
    return f"<{name}{said}>{escape(_leaf(text))}{inner}</{name}>"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


QUOTES = {'"': "&quot;"}


# bytes --------------------------------------------------------------------------------------------


def _flip(rng: random.Random, body: bytes) -> bytes:
    changed = bytearray(body or b"x")
    for _ in range(rng.choice((1, 1, 3, 20))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(rng: random.Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _insert(rng: random.Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.randbytes(rng.choice((1, 4, 64))) + body[at:]


def _repeat(rng: random.Random, body: bytes) -> bytes:
    start = rng.randrange(len(body) + 1)
    return body + body[start : start + 2_000] * rng.choice((1, 2, 20))


def _charset(rng: random.Random, body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode(rng.choice(CHARSETS), "replace")


def _pad(rng: random.Random, body: bytes) -> bytes:
    padding = rng.choice((b" ", b"\n", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"[", b"<"))
    return padding * rng.choice((1, 1, 100, 20_000)) + body


def _packed(_rng: random.Random, body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


SPOILERS: Sequence[Callable[[random.Random, bytes], bytes]] = (
    *(_flip, _flip, _cut, _insert, _repeat, _charset, _charset, _pad, _packed),
)


def mapping_samples(sources: Mapping[str, Source]) -> dict[str, list[Sample]]:
    """Return all samples, keyed by mapping."""
    return {name: samples_of(source) for name, source in sources.items()}
