"""Generate random hostile HTTP requests as bytes."""

import base64
import dataclasses
import json
import random
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from adapter import signatures
from adapter.exceptions import PayloadError, VerificationError
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from tests.presets import HOSTILE_TEXTS
from tools.hostile.canaries import MARK
from tools.hostile.payloads import (
    CONTENT_TYPES,
    FORM,
    JSON,
    MULTIPART,
    RAW,
    XML,
    XML_HEADS,
    Payload,
    Sample,
    hostile_payload,
    hostile_text,
)

Headers = list[tuple[str, str]]
METHODS = (
    *("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "PROPFIND"),
    *("post", "P", "POST" * 50, "BREW", "get", "QUERY"),
)
#: Paths that a stranger may try instead of `/hooks/SOURCE`. ``{}`` stands for a source.
PATHS = (
    *("/hooks/{}/", "//hooks/{}", "/hooks//{}", "/hooks/%2e%2e/console/", "/hooks/../console/"),
    *(
        "/%68ooks/{}",
        "/hooks%2F{}",
        "/hooks/{}%00",
        "/hooks/{}%0d%0aX: y",
        "/hooks/{}/../../metrics",
    ),
    *(
        "/hooks/{}?" + "a=%ff&" * 300,
        "/hooks/{}#x",
        "/hooks/{};a=b",
        "http://evil.example/hooks/{}",
    ),
    *(
        "/hooks/" + "a" * 2000,
        "/hooks/%F0%9F%8F%A0",
        "/hooks/\xe9",
        "/hooks/..%2f..%2fetc%2fpasswd",
    ),
    *("*", "hooks", "", "?", "/", "//evil.example/", "/\\evil.example", "/healthz/../metrics"),
    *(
        "/static/../../etc/passwd",
        "/console/static/..%2f..%2fauth.py",
        "/.env",
        "/readyz",
        "/healthz",
    ),
    *("/propexo/webhooks", "/hooks/", "/webhooks/{}", "/hooks/{}?token=" + MARK, "/hooks/" + MARK),
)
CONSOLE = (
    *("/console/", "/console/leads", "/console/queue", "/console/export.csv", "/console/sums.csv"),
    *(
        "/console/audit",
        "/console/metrics",
        "/console/try",
        "/console/rejections",
        "/console/sign-in",
    ),
    *(
        "/console/open?key=" + MARK,
        "/console/leads/1",
        "/console/decisions",
        "/console/queue/x/release",
    ),
    *("/console/leads/1/release", "/console/static/console.css", "/console/no-such", "/metrics"),
)
PAGES = (
    *(
        "leads",
        "queue",
        "rejections",
        "audit",
        "export.csv",
        "sums.csv",
        "decisions",
        "try",
        "metrics",
    ),
)
PARAMETERS = (
    "q",
    "source",
    "state",
    "page",
    "since",
    "until",
    "before",
    "after",
    "reason",
    "event",
)
QUERIES = (
    *(
        "' OR 1=1 --",
        "%",
        "_%_%_",
        "a & ! b | (",
        "<->",
        "'" * 200,
        "\\",
        "9" * 40,
        "-1",
        "1e9",
        "NaN",
    ),
    *(
        "2026-13-45",
        "0000-00-00",
        "9999-12-31",
        "\x00",
        "\ud800".encode("utf-8", "surrogatepass").hex(),
    ),
    *("<script>alert(1)</script>", "qanary", "a" * 5000, "+1 (303) 555-0173", "held", "%%%", "*"),
)
PROXY_HEADERS = (
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"),
    *(
        "SCRIPT_NAME",
        "PATH_INFO",
        "X-Original-URL",
        "X-Rewrite-Url",
        "X-HTTP-Method-Override",
        "Referer",
    ),
    *(
        "X-Forwarded-Prefix",
        "REMOTE_USER",
        "REMOTE-ADDR",
        "X-Client-IP",
        "CF-Connecting-IP",
        "Expect",
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """The bytes to send on one connection, and the acceptable responses."""

    kind: str
    data: bytes
    #: The client's IP address. Each address has a rate limit.
    address: str
    #: True if the request is complete, valid HTTP, so that it must get a response.
    is_answered: bool = False
    #: True if 501 is a correct response.
    may_be_501: bool = False
    #: True if the sender or user is authenticated, so that the response may contain its own values.
    is_proved: bool = False
    limit_seconds: float = 2.0
    #: True to close the sending side after the last byte.
    is_closed: bool = False


@dataclasses.dataclass(kw_only=True, slots=True)
class Target:
    """The data about the adapter that attacks use."""

    url: str
    sources: Mapping[str, Source]
    samples: Mapping[str, Sequence[Sample]]
    secrets: Mapping[str, str]
    #: The cookie of a signed-in user, and the token for its forms.
    cookie: str = ""
    csrf: str = ""
    metrics_token: str = ""
    api_token: str = ""
    propexo_secret: str = ""
    #: The newest acknowledged event.
    last_event: int = 1

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url).netloc


def draw(target: Target, seed: int, number: int) -> Attack:
    """Return the request with the given number. Only timestamped signatures and cookies vary."""
    rng = random.Random(f"{seed}:request:{number}")
    names, weights = zip(*((make, weight) for make, weight in KINDS.items()), strict=True)
    make = rng.choices(names, weights)[0]
    attack: Attack = make(rng, target)
    # Strangers share some addresses, including the genuine sender's, and have many others.
    last = rng.choice((1, 1, 2, 3, *range(4, 60)))
    address = (
        "127.0.0.1" if last == 1 else f"127.{last}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"
    )
    return dataclasses.replace(attack, kind=make.__name__.strip("_"), address=address)


def http(method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
    """Return the bytes of a request with exactly the given headers."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def _attack(data: bytes, **facts: object) -> Attack:
    return Attack(kind="", data=data, address="", **facts)  # type: ignore[arg-type] # checked by users


def _clean(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable() and ord(letter) < 256)[:4000]


# webhooks -----------------------------------------------------------------------------------------


def _source(rng: random.Random, target: Target) -> Source:
    return target.sources[rng.choice(sorted(target.sources))]


def _signed(
    target: Target, source: Source, payload: Payload, at: float | None = None
) -> WebhookRequest:
    request = payload.request(f"{target.url}/hooks/{source.name}")
    if not source.secrets:
        return request
    secret = target.secrets[source.secrets[-1]]
    try:
        return signatures.sign(source.signature, secret, request, at or time.time())
    except (PayloadError, VerificationError):  # it cannot be signed
        return request


def _as_http(rng: random.Random, target: Target, request: WebhookRequest) -> tuple[str, Headers]:
    headers = [("Host", target.host), *request.headers.items()]
    headers += [("Connection", "close")] * (rng.random() < 0.9)
    return request.url.removeprefix(target.url), headers


def _limit(source: Source) -> float:
    """Return the time limit for a response. Some sources wait for an outcome."""
    wait = str((source.respond or {}).get("wait", "0")).rstrip("s")
    return 2.0 + float(wait)


def signed(rng: random.Random, target: Target) -> Attack:
    """Generate a genuine sender's request that contains a hostile customer's input."""
    source = _source(rng, target)
    payload = hostile_payload(rng, target.samples[source.name])
    return _sent(rng, target, source, payload)


def _sent(rng: random.Random, target: Target, source: Source, payload: Payload) -> Attack:
    request = _signed(target, source, payload)
    path, headers = _as_http(rng, target, request)
    headers = [(name, _clean(value)) for name, value in headers]
    data = http("POST", path, headers, request.body)
    if rng.random() < 0.1:
        data = http(
            "POST", path, [*headers, ("Transfer-Encoding", "chunked")], _chunked(rng, request.body)
        )
    return _attack(data, is_answered=True, is_proved=True, limit_seconds=_limit(source))


def _chunked(rng: random.Random, body: bytes) -> bytes:
    parts, at = [], 0
    while at < len(body):
        size = rng.choice((1, 7, 1000, 65536)) if len(body) < 5000 else 50_000
        part = body[at : at + size]
        parts.append(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        at += size
    return b"".join([*parts, b"0\r\n\r\n"])


def signed_bomb(rng: random.Random, target: Target) -> Attack:
    """Generate a correctly signed body that is huge, deeply nested or misleading."""
    source = _source(rng, target)
    kind, body = rng.choice(BOMBS)(rng)
    return _sent(rng, target, source, Payload(body=body, content_type=kind, headers={}, query=""))


def unsigned_bomb(rng: random.Random, target: Target) -> Attack:
    """Generate an unsigned body that is huge, deeply nested or misleading."""
    kind, body = rng.choice(BOMBS)(rng)
    headers = [("Host", target.host), ("Content-Type", _clean(kind)), ("Connection", "close")]
    query = rng.choice(("", "", "?token=" + MARK))
    path = f"/hooks/{_source(rng, target).name}{query}"
    return _attack(http("POST", path, headers, body), is_answered=True)


def forged(rng: random.Random, target: Target) -> Attack:
    """Generate a request whose signature or secret is missing, invalid, old or duplicated."""
    source = _source(rng, target)
    payload = hostile_payload(rng, target.samples[source.name])
    age = rng.choice((0.0, 0.0, -400.0, 400.0, -1e9))
    request = _signed(target, source, payload, time.time() + age)
    path, headers = _as_http(rng, target, request)
    headers = [(name, _clean(value)) for name, value in _spoiled(rng, headers)]
    if "?" in path and rng.random() < 0.8:
        path = path.partition("?")[0] + rng.choice(
            ("", "?token=", "?token=a&token=b", "?TOKEN=" + MARK)
        )
    body = request.body.replace(b"e", b"E", 1) if rng.random() < 0.3 else request.body
    return _attack(
        http("POST", path, headers, body),
        is_answered=True,
        is_proved=True,
        limit_seconds=_limit(source),
    )


def _spoiled(rng: random.Random, headers: Headers) -> Headers:
    at = rng.randrange(1, len(headers))
    name, value = headers[at]
    text = rng.choice(list(HOSTILE_TEXTS.values()))[:4000]
    changes: Sequence[Headers] = (
        [],
        [(name, value), (name, value)],
        [(name, value), (name, "0" * 64)],
        [(name.lower(), value), (name.replace("-", "_"), value)],
        [(name, text)],
        [(name, value[:-1])],
        [(name, value.upper())],
        [(name, value + "\r\n folded")],
        [(f"{name} ", value)],
        [(name, value.swapcase()), ("Authorization", f"Bearer {MARK}")],
        [(name, base64.b64encode(value.encode("latin-1", "replace")).decode())],
    )
    return [*headers[:at], *rng.choice(changes), *headers[at + 1 :]]


def content_type(rng: random.Random, target: Target) -> Attack:
    """Generate a signed sample with an incorrect content type, charset or encoding."""
    source = _source(rng, target)
    payload = hostile_payload(rng, target.samples[source.name])
    payload = dataclasses.replace(payload, content_type=_clean(rng.choice(CONTENT_TYPES)))
    request = _signed(target, source, payload)
    path, headers = _as_http(rng, target, request)
    headers = [(name, _clean(value)) for name, value in headers]
    headers += rng.choice(([], [("Content-Encoding", "gzip")], [("Content-Type", FORM)]))
    return _attack(
        http("POST", path, headers, request.body),
        is_answered=True,
        is_proved=True,
        limit_seconds=_limit(source),
    )


# bodies -------------------------------------------------------------------------------------------

_MB = 1_000_000


def _json_bomb(rng: random.Random) -> tuple[str, bytes]:
    keys = b",".join(b'"k%d":%d' % (number, number) for number in range(rng.choice((900, 60_000))))
    bodies = (
        *RAW.values(),
        b"{" + keys + b"}",
        b'{"a":1,' * 1 + b'"a":1,' * 100_000 + b'"a":1}',
        b"[" * 500_000,
        b'{"name":"' + b"\\u0000" * 100_000 + b'"}',
        b"[" + b"9" * 900_000 + b"]",
        json.dumps({"id": MARK, "email": f"{MARK}@example.com", "name": MARK}).encode("utf-16"),
    )
    return JSON, rng.choice(bodies)


def _form_bomb(rng: random.Random) -> tuple[str, bytes]:
    bodies = (
        *(b"a&" * 400_000, b"%" * _MB, b"=" * _MB, b"a=%ff&" * 100_000, b"&" * _MB, b"+" * _MB),
        b"HandshakeKey=" + MARK.encode() + b"&HandshakeKey=" * 50_000,
        b"&".join(b"k%d=v" % number for number in range(1_990)),
    )
    return FORM, rng.choice(bodies)


def _xml_bomb(rng: random.Random) -> tuple[str, bytes]:
    head = rng.choice(XML_HEADS).encode()
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9))
    bodies = (
        head + b"<a>" + b"&b;" * 50_000 + b"</a>",
        b'<!DOCTYPE a [<!ENTITY l0 "ha">' + laughs + b"]><a>&l9;</a>",
        b"<a>" * 200_000,
        b"<a " + b" ".join(b'b%d="1"' % number for number in range(40_000)) + b"/>",
        b"<a>" + b"<b/>" * 200_000 + b"</a>",
        b'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></a>',
        b"<a>" + b"&#38;" * 150_000 + b"</a>",
    )
    return XML, rng.choice(bodies)


def _multipart_bomb(rng: random.Random) -> tuple[str, bytes]:
    part = b'--hostile\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    bodies = (
        part * 15_000 + b"--hostile--",
        b"--hostile\r\n" * 80_000,
        b"--hostile\r\n" + b"X: y\r\n" * 150_000,
        b'--hostile\r\nContent-Disposition: form-data; name="' + b"a" * 900_000 + b'"\r\n\r\n',
        b"--hostil" * 120_000,
        b"\r\n--hostile" * 90_000,
        part + b"\r\n" * 400_000 + b"--hostile",
    )
    return rng.choice(
        (MULTIPART, "multipart/form-data", "multipart/form-data; boundary=h")
    ), rng.choice(bodies)


def _html_bomb(rng: random.Random) -> tuple[str, bytes]:
    html = (hostile_text(rng) * 200)[:100_000]
    said = f"<p>{html}" if rng.random() < 0.5 else html
    mail = {
        "MessageID": f"{MARK}-{rng.randrange(10**9)}",
        "HtmlBody": said,
        "TextBody": rng.choice(("", said)),
        "From": f"{MARK}@example.com",
        "headers": {"message_id": MARK},
        "plain": said,
        "html": said,
    }
    return JSON, json.dumps(mail).encode()


def _packed_bomb(rng: random.Random) -> tuple[str, bytes]:
    kind = rng.choice((JSON, XML, FORM, MULTIPART, "application/gzip"))
    return kind, zlib.compress(b"a" * 50_000_000 if rng.random() < 0.1 else b"a" * _MB)


def _noise(rng: random.Random) -> tuple[str, bytes]:
    return rng.choice(CONTENT_TYPES), rng.randbytes(rng.choice((0, 1, 50, 5_000, 900_000)))


BOMBS: Sequence[Callable[[random.Random], tuple[str, bytes]]] = (
    *(_json_bomb, _form_bomb, _xml_bomb, _multipart_bomb, _html_bomb, _packed_bomb, _noise),
)


# HTTP ---------------------------------------------------------------------------------------------


def broken_http(rng: random.Random, target: Target) -> Attack:
    """Generate bytes that are not a valid HTTP request, or that contain two requests."""
    name = _source(rng, target).name
    lead = json.dumps(
        {"name": MARK, "email": f"{MARK}@example.com", "phone": "+13035550173"}
    ).encode()
    start = f"POST /hooks/{name} HTTP/1.1\r\nHost: x\r\n".encode()
    data = rng.choice(list(_broken(rng, name.encode(), start, lead)))
    if rng.random() < 0.15:
        data = data[: rng.randrange(1, len(data) + 1)]
    if rng.random() < 0.15:
        changed = bytearray(data)
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        data = bytes(changed)
    return _attack(data, may_be_501=True, is_closed=True)


_LENGTHS = (
    *(b"+1", b"-1", b"1e3", b"0x10", b"9" * 5000, b"", b" "),
    *(b"1, 1", b"1_0", b"\xb2", b"5\x00"),
)
_CODINGS = (
    *(b"gzip", b"chunked, identity", b"xchunked", b"\x0bchunked"),
    *(b"chunked, chunked", b"gzip, chunked"),
)
_CHUNKS = (
    *(b"-1\r\n", b"zz\r\n", b"5\nab", b"5;" + b"a" * 9000, b"fffffffff\r\n"),
    *(b"5\r\nabc", b"1\r\nab\r\n0\r\n\r\n", b"1\r\na\r\n" * 5000 + b"0\r\n\r\n"),
    b"0\r\nContent-Length: 3\r\nX-Signature: a\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
)
_VERSIONS = (
    *(b"HTTP/0.9", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/11.1"),
    *(b"http/1.1", b"ICY/1.0", b""),
)


def _broken(rng: random.Random, name: bytes, start: bytes, lead: bytes) -> Iterator[bytes]:
    """Yield requests that break the rules of HTTP. ``start`` has a request line and a host."""
    length = b"Content-Length: %d\r\n\r\n" % len(lead)
    yield from _broken_bodies(rng, start, lead, length)
    yield from _broken_headers(rng, start, lead, length)
    for version in _VERSIONS:
        yield b"POST /hooks/" + name + b" " + version + b"\r\nHost: x\r\n" + length + lead
    yield b"GET /hooks/" + name + b"\r\n\r\n"
    yield b"GET /" + b"a" * rng.choice((5_000, 100_000)) + b" HTTP/1.1\r\n\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500)
    yield b"SSH-2.0-OpenSSH_9\r\n"
    yield b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + start + length + lead
    yield b"\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a" + rng.randbytes(30)
    yield b"\r\n" * 3_000 + start + b"\r\n"
    yield rng.randbytes(rng.choice((1, 100, 100_000)))
    yield lead


def _broken_bodies(rng: random.Random, start: bytes, lead: bytes, length: bytes) -> Iterator[bytes]:
    """Yield requests whose length or chunks do not fit their bodies."""
    for value in _LENGTHS:
        yield start + b"Content-Length: " + value + b"\r\n\r\n" + lead
    for coding in _CODINGS:
        yield start + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
    for chunk in _CHUNKS:
        yield start + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
    yield start + b"Content-Length: 5\r\n" + length + lead
    yield start + b"Transfer-Encoding: chunked\r\n" + length + b"0\r\n\r\n" + lead
    yield start + b"Content-Length: %d\r\n\r\n" % (len(lead) + rng.choice((1, 100, 900_000))) + lead
    yield start + b"Content-Length: 3\r\n\r\n" + lead + b"\r\n\r\n"
    yield start + b"Content-Length: 999999999999\r\n\r\n" + lead
    yield start + b"\r\n" + lead + b"\r\n\r\n"
    yield (start + length + lead) * 30


def _broken_headers(
    rng: random.Random, start: bytes, lead: bytes, length: bytes
) -> Iterator[bytes]:
    """Yield requests with malformed, oversized, too many or contradictory headers."""
    yield start.replace(b"\r\n", b"\n") + b"\n"
    yield start + b" folded: x\r\n\tmore\r\n\r\n"
    yield start + b"Content-Length : 5\r\n\r\nabcde"
    yield start + b"No colon here " + lead + b"\r\n\r\n"
    yield start + b"Authorization Bearer " + lead + b"\r\n\r\n"
    yield start + b"X-\x00: \x00\r\n\r\n"
    yield start + b"X: " + b"x" * rng.choice((9_000, 70_000, 400_000)) + b"\r\n\r\n"
    many = (b"X-%d: y\r\n" % number for number in range(rng.choice((101, 5_000))))
    yield start + b"".join(many) + b"\r\n"
    yield start + b"Expect: 100-continue\r\nExpect: 200\r\n" + length + lead
    upgrade = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n"
    yield start + upgrade + length + lead
    yield start + b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: YQ==\r\n\r\n"


def odd_path(rng: random.Random, target: Target) -> Attack:
    """Generate a request with an unusual method, path, host or proxy header."""
    method = rng.choice(METHODS) if rng.random() < 0.6 else "POST"
    name = _source(rng, target).name
    path = rng.choice((*PATHS, *CONSOLE, "/hooks/{}")).replace("{}", name)
    host = rng.choice(
        (target.host, "evil.example", "127.0.0.1", "localhost", "[::1]", "a" * 300, "a@b", "")
    )
    headers = [("Host", host), ("Connection", "close")]
    for _ in range(rng.choice((0, 1, 3))):
        value = rng.choice(
            ("127.0.0.1", "/console", "//evil.example", "https", "GET", "a,b,c", MARK, "1.2.3.4:99")
        )
        headers.append((rng.choice(PROXY_HEADERS), value))
    body = rng.choice((b"", b"{}", b"a=b", f'{{"name": "{MARK}"}}'.encode()))
    data = http(method, path, headers, body)
    return _attack(data, is_closed=True)


# console, metrics, Propexo ------------------------------------------------------------------------


def console_stranger(rng: random.Random, target: Target) -> Attack:
    """Generate a request to the console from someone who has not signed in."""
    path = rng.choice(CONSOLE)
    secret = json.dumps({"user": "admin", "mark": MARK}).encode()
    cookie = rng.choice(
        ("", "session=" + base64.b64encode(secret).decode(), "session=" + "a" * 3000)
    )
    headers = [("Host", target.host), ("Cookie", cookie), ("Connection", "close")]
    if rng.random() < 0.4:
        return _attack(http(rng.choice(("GET", "HEAD", "POST")), path, headers), is_answered=True)
    fields = {"name": rng.choice(("operator", MARK, "a'--")), "password": MARK, "csrf": MARK}
    kind, body = rng.choice(BOMBS)(rng)
    if rng.random() < 0.3:  # each computes a slow hash
        kind, body, path = FORM, urllib.parse.urlencode(fields).encode(), "/console/sign-in"
    headers += [("Content-Type", _clean(kind)), ("Origin", f"http://{target.host}")]
    return _attack(http(rng.choice(("POST", "POST", "GET")), path, headers, body), is_answered=True)


def console_user(rng: random.Random, target: Target) -> Attack:
    """Generate a signed-in user's request that contains hostile input or opens a hostile lead."""
    headers = [("Host", target.host), ("Cookie", target.cookie), ("Connection", "close")]
    drawn = rng.random()
    if drawn < 0.4:
        number = max(1, target.last_event - rng.randrange(300))
        return _user(http("GET", f"/console/leads/{number}", headers))
    if drawn < 0.8:
        chosen = rng.sample(PARAMETERS, rng.choice((1, 2, 4)))
        query = urllib.parse.urlencode({name: rng.choice(QUERIES) for name in chosen})
        page = rng.choice(PAGES)
        seconds = 20.0 if page.endswith(".csv") else 2.0  # a download of all leads
        return _user(http("GET", f"/console/{page}?{query}", headers), limit_seconds=seconds)
    source = _source(rng, target)
    payload = hostile_payload(rng, target.samples[source.name])
    fields = {
        "csrf": rng.choice((target.csrf, target.csrf, MARK)),
        "source": source.name,
        "payload": payload.body[:60_000].decode("utf-8", "replace"),
        "mapping": rng.choice(
            ("", "a: &a [*a]", "a: " * 5000, "[" * 9000, "!!python/object:os.system x")
        ),
        "content_type": payload.content_type,
    }
    headers += [("Content-Type", FORM), ("Origin", f"http://{target.host}")]
    return _user(
        http(
            "POST",
            "/console/try/result",
            headers,
            urllib.parse.urlencode(fields, errors="replace").encode(),
        )
    )


def _user(data: bytes, limit_seconds: float = 2.0) -> Attack:
    return _attack(data, is_answered=True, is_proved=True, limit_seconds=limit_seconds)


def metrics(rng: random.Random, target: Target) -> Attack:
    """Generate a request for the metrics, usually with an invalid token."""
    token = rng.choice(
        ("", MARK, "Bearer", "Bearer ", f"Bearer {MARK}", f"Basic {MARK}", "Bearer " + "a" * 5000)
    )
    token = f"Bearer {target.metrics_token}" if rng.random() < 0.2 else token
    headers = [("Host", target.host), ("Authorization", token), ("Connection", "close")]
    path = rng.choice(("/metrics", "/metrics/", "/metrics?a=" + MARK, "//metrics", "/metrics%00"))
    return _attack(
        http(rng.choice(("GET", "GET", "HEAD", "POST")), path, headers), is_answered=True
    )


def lead_api(rng: random.Random, target: Target) -> Attack:
    """Generate an API request that has a hostile query or ID, and often an invalid token."""
    is_proved = rng.random() < 0.7
    wrong = ("", MARK, "Bearer", f"Basic {MARK}", "Bearer " + "a" * 5000)
    token = f"Bearer {target.api_token}" if is_proved else rng.choice(wrong)
    headers = [("Host", target.host), ("Authorization", token), ("Connection", "close")]
    chosen = rng.sample(("state", "source", "since", "limit", "cursor", "search", MARK), 3)
    query = urllib.parse.urlencode({name: rng.choice(QUERIES) for name in chosen})
    key = rng.choice(
        (str(max(1, target.last_event - rng.randrange(300))), "9" * 40, "%00", "..%2f")
    )
    path = rng.choice((f"/api/leads?{query}", f"/api/leads/{key}", "/api/openapi.json", "/api/x"))
    data = http(rng.choice(("GET", "GET", "HEAD", "POST", "OPTIONS")), path, headers)
    return _attack(data, is_answered=True, is_proved=is_proved)


def propexo(rng: random.Random, target: Target) -> Attack:
    """Generate a webhook that claims to come from Propexo."""
    kind, body = rng.choice(BOMBS)(rng)
    facts: dict[str, Any] = {
        "root_job_id": rng.choice((MARK, None, 7, [], "a" * 9000, "\x00")),
        "write_status": rng.choice(("FAILURE", "PARTIAL_SUCCESS", MARK, {})),
        "errors": rng.choice(([MARK], [[]] * 99, None, {"a": MARK}, ["\ud800" * 999])),
    }
    trigger = "WRITE_OPERATION_FAILURE"
    notices: tuple[Any, ...] = (
        {"trigger": trigger, "data": facts},
        {"trigger": trigger, "data": []},
        [],
        MARK,
    )
    body = json.dumps(rng.choice(notices)).encode() if rng.random() < 0.7 else body
    request = WebhookRequest(
        "POST", f"{target.url}/propexo/webhooks", {"Content-Type": _clean(kind)}, body
    )
    if rng.random() < 0.7:
        request = signatures.sign(
            {"preset": "propexo"}, target.propexo_secret, request, time.time()
        )
    path, headers = _as_http(rng, target, request)
    return _attack(http("POST", path, headers, body), is_answered=True)


KINDS: Mapping[Callable[[random.Random, Target], Attack], int] = {
    signed: 26,
    signed_bomb: 9,
    unsigned_bomb: 9,
    forged: 14,
    content_type: 6,
    broken_http: 12,
    odd_path: 9,
    console_stranger: 6,
    console_user: 6,
    metrics: 2,
    lead_api: 4,
    propexo: 2,
}
