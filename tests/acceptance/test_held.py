"""Repeat attacks that were tried before and failed, over real HTTP.

``docs/security.md`` lists each attack with its test.
"""

import concurrent.futures
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gunicorn_process import LEAD, GunicornServer, running_gunicorn, write_mappings

SECRET = "a-secret-of-32-bytes-or-so-bbbbb"
BODY = json.dumps(LEAD).encode()
TIMED = {
    "scheme": "hmac",
    "header": "X-Signature",
    "signed": "{timestamp}.{body}",
    "timestamp": {"header": "X-Time"},
    "secrets": ["SECRET"],
}
MAPPINGS: dict[str, dict[str, Any]] = {
    "signed": {"signature": TIMED},
    "open": {"signature": {"scheme": "none"}},
    "xml": {"signature": {"scheme": "none"}, "body": "xml"},
}
#: The possible results of a rejected request: from the parser, from the signature check, or no
#: response.
REFUSED = {400, 401}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, module_database: str) -> Iterator[GunicornServer]:
    folder: Path = tmp_path_factory.mktemp("mappings")
    write_mappings(folder, MAPPINGS)
    limits: dict[str, Any] = {
        "ADAPTER_ADDRESS_LIMIT_PER_MINUTE": "100000",
        "ADAPTER_METRICS_TOKEN": SECRET,
        "ADAPTER_LOG_LEVEL": "ERROR",
    }
    with running_gunicorn(folder, module_database, SECRET=SECRET, **limits) as web:
        yield web


def signature(body: bytes, at: str, key: str = SECRET) -> str:
    return hmac.new(key.encode(), f"{at}.".encode() + body, "sha256").hexdigest()


def now(seconds: float = 0) -> str:
    return str(int(time.time() + seconds))


def statuses(web: GunicornServer, data: bytes) -> list[int]:
    """Send bytes, close the sending side, and return the status of each response."""
    answer = b""
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    return [int(one[:3]) for one in answer.split(b"HTTP/1.1 ")[1:]]


def request(*headers: str, body: bytes = BODY, name: str = "signed", end: str = "\r\n") -> bytes:
    lines = [f"POST /hooks/{name} HTTP/1.1", "Host: x", *headers, f"Content-Length: {len(body)}"]
    return (end.join([*lines, "", ""])).encode("latin-1") + body


def events(web: GunicornServer) -> int:
    with psycopg.connect(web.database) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    assert row
    return int(row[0])


def forgeries() -> dict[str, bytes]:
    at = now()
    good, when = f"X-Signature: {signature(BODY, at)}", f"X-Time: {at}"
    forged = f"X-Signature: {'0' * 64}"
    many = ",".join(["0" * 64] * 16 + [signature(BODY, at)])
    moved = BODY.replace(b"{", b".{", 1)
    times = {
        "plus": "+" + at,
        "minus": "-" + at,
        "no number": "NaN",
        "400 digits": "9" * 400,
        "an exponent": "1e9",
        "the future": now(400),
        "the past": now(-400),
        "a fraction": at + ".0",
        "a space": " ",
    }
    return {
        "the header twice": request(good, forged, when),
        "the header twice, the right one last": request(forged, good, when),
        "the time twice": request(good, when, f"X-Time: {now(1)}"),
        "an underscore": request(good.replace("X-", "X_"), when),
        "folded": request(good + "\r\n x", when),
        "a space before the colon": request(good.replace(":", " :"), when),
        "bare line feeds": request(good, when, end="\n"),
        "capitals": request(good.upper().replace("X-SIGNATURE", "X-Signature"), when),
        "an empty key": request(f"X-Signature: {signature(BODY, at, '')}", when),
        "a moved dot": request(f"X-Signature: {signature(BODY, at)}", when, body=moved),
        "many signatures": request(f"X-Signature: {many}", when),
        "no signature": request(when),
        "no time": request(good),
        **{
            f"as time, {name}": request(f"X-Signature: {signature(BODY, text)}", f"X-Time: {text}")
            for name, text in times.items()
        },
    }


@pytest.mark.parametrize("how", forgeries())
def test_no_spelling_of_a_signature_gets_in(web: GunicornServer, how: str) -> None:
    before = events(web)
    assert set(statuses(web, forgeries()[how])) <= REFUSED
    assert events(web) == before


def test_a_genuine_request_gets_in_in_any_case_and_its_replay_is_a_duplicate(
    web: GunicornServer,
) -> None:
    at = now()
    headers = (f"x-signature: {signature(BODY, at)}", f"X-TIME: {at}")
    before = events(web)
    assert statuses(web, request(*headers) * 2) == [200, 200]
    assert events(web) == before + 1


HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
START = b"POST /hooks/open HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = {
    "CL and TE": START + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
    "TE and CL": START + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n5c\r\n" + HIDDEN,
    "two lengths": START + b"Content-Length: 1\r\nContent-Length: 40\r\n\r\na" + HIDDEN,
    **{
        f"length {text[:9]!r}": START + b"Content-Length: " + text + b"\r\n\r\n" + HIDDEN
        for text in (b"+1", b"-1", b"1e3", b"0x1", b"1 1", b"1,1", b"\xb2", b"9" * 5000)
    },
    **{
        f"chunk {text!r}": START + CHUNKED + b"\r\n" + text + b"\r\n\r\n" + HIDDEN
        for text in (b"-1", b"+1", b"0x1", b"g", b"ffffffffffffffff", b"1;\n", b"")
    },
    **{
        f"coding {text!r}": START + b"Transfer-Encoding: " + text + b"\r\n\r\n0\r\n\r\n" + HIDDEN
        for text in (b"chunked, identity", b"xchunked", b"\x0bchunked", b"gzip", b"chunked, gzip")
    },
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED)
def test_no_request_is_hidden_in_another(web: GunicornServer, data: bytes) -> None:
    found = statuses(web, data)
    assert len(found) <= 1, "the hidden request was answered"
    assert set(found) <= {400, 413, 501, 505}
    unknown_coding = b"Transfer-Encoding" in data and found == [501]
    assert unknown_coding or 501 not in found


def test_an_upgrade_and_trailers_are_ignored(web: GunicornServer) -> None:
    h2c = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"
    assert statuses(web, request(*h2c, name="open", body=b'{"id": 1}')) == [200]
    at = now()
    trailers = f"\r\n0\r\nX-Signature: {signature(b'', at)}\r\n\r\n".encode()
    signed = START.replace(b"open", b"signed") + f"X-Time: {at}\r\n".encode()
    assert set(statuses(web, signed + CHUNKED + trailers)) <= REFUSED


PATHS = [
    *("/console/", "//console/", "/hooks/../console/", "/hooks/%2e%2e/console/", "/%63onsole/"),
    *("/hooks%2F..%2Fconsole/", "http://evil.example/console/", "/console/#x", "/console%00/"),
    *(
        "/console/static/../leads",
        "/console/static/%2e%2e/leads",
        "/metrics",
        "//metrics",
        "/METRICS",
    ),
    *("/metrics%2F", "/hooks/../metrics", "/metrics;a", "/metrics?token=a", "/console/metrics"),
    *("/console/static/..%2f..%2f..%2f..%2fetc%2fpasswd", "/..%2f..%2fetc/passwd", "*", "metrics"),
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_passes_by_the_sign_in(web: GunicornServer, path: str) -> None:
    found = statuses(web, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert set(found) <= {302, 308, 400, 401, 403, 404, 405}


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_changes_the_method(web: GunicornServer, header: str) -> None:
    assert web.call("GET", "/hooks/open", {header: "POST"}, BODY).status == 405
    assert web.call("POST", "/readyz", {header: "GET"}).status == 405


BOMBS: dict[str, tuple[str, bytes]] = {
    "deep JSON": ("application/json", b"[" * 500_000),
    "a long number": ("application/json", b'{"id":' + b"9" * 900_000 + b"}"),
    "numbers beyond limits": ("application/json", b'{"id":1e999,"at":-1e999,"n":NaN}'),
    "a NUL and a surrogate": ("application/json", b'{"id":"\\u0000\\ud800","name":"\\udfff"}'),
    "UTF-16": ("application/json", json.dumps(LEAD | {"id": "16"}).encode("utf-16")),
    "UTF-32": ("application/json", json.dumps(LEAD | {"id": "32"}).encode("utf-32")),
    "keys twice": ("application/json", b'{"id":"a","id":"b","email":"a","email":[]}'),
    "90,000 keys": (
        "application/json",
        b"{" + b",".join(b'"k%d":1' % number for number in range(80_000)) + b"}",
    ),
    "a form of %": ("application/x-www-form-urlencoded", b"%" * 1_000_000),
    "a form of fields": ("application/x-www-form-urlencoded", b"a&" * 500_000),
    "parts": ("multipart/form-data; boundary=b", b"--b\r\n" * 200_000),
    "a part's headers": ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 150_000),
    "no boundary": ("multipart/form-data; boundary=", b"--b\r\n\r\n"),
    "no such charset": ("application/json; charset=no-such", BODY),
    "no content type": ("", b"\xff\xfe\x00"),
    "nothing": ("application/json", b""),
}


@pytest.mark.parametrize(("content_type", "body"), BOMBS.values(), ids=BOMBS)
def test_any_body_is_stored_in_time(web: GunicornServer, content_type: str, body: bytes) -> None:
    began = time.monotonic()
    assert web.post("open", {"Content-Type": content_type}, body).status == 200
    assert time.monotonic() - began < 2.0


def xml_bombs(url: str) -> list[bytes]:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n + 1, b"&l%d;" % n * 10) for n in range(9))
    return [
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "%s">]><a>&x;</a>' % url.encode(),
        b'<!DOCTYPE a [<!ENTITY %% x SYSTEM "%s"> %%x;]><a/>' % url.encode(),
        b'<!DOCTYPE a SYSTEM "%s"><a/>' % url.encode(),
        b'<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="%s"/></a>' % url.encode(),
        b'<?xml-stylesheet href="%s"?><a/>' % url.encode(),
        b'<!DOCTYPE a [<!ENTITY l0 "ha">' + laughs + b"]><a>&l9;</a>",
        b'<!DOCTYPE a [<!ENTITY b "' + b"b" * 50_000 + b'">]><a>' + b"&b;" * 50_000 + b"</a>",
        b'<?xml version="1.0" encoding="utf-7"?><a/>',
        b"<a>" * 200_000,
    ]


def test_xml_opens_nothing_and_is_stored_in_time(web: GunicornServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.settimeout(0.5)
        for body in xml_bombs(f"http://127.0.0.1:{outside.getsockname()[1]}/"):
            began = time.monotonic()
            assert web.post("xml", {"Content-Type": "text/xml"}, body).status == 200
            assert time.monotonic() - began < 2.0
        with pytest.raises(TimeoutError):
            outside.accept()


def test_sixty_equal_requests_at_once_are_one_event(web: GunicornServer) -> None:
    at, body = now(), json.dumps(LEAD | {"id": "sixty"}).encode()
    headers = {"X-Signature": signature(body, at), "X-Time": at}
    together, before = threading.Barrier(60), events(web)

    def send(_: int) -> str:
        together.wait()
        response = web.post("signed", headers, body)
        assert response.status == 200
        return str(json.loads(response.body)["status"])

    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        told = sorted(pool.map(send, range(60)))
    assert told == ["accepted"] + ["duplicate"] * 59
    assert events(web) == before + 1
