"""Test receiving webhooks with real gunicorn: responses, and resistance to abuse."""

import contextlib
import functools
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from adapter import store
from adapter.store import child_processes
from adapter.store.embedded import STOP_SIGNAL, EmbeddedServer
from tests.bundled_web import LIMIT, SECRETS, Web, is_up, start_web
from tests.ports import free_port
from tests.wait import wait_until


@pytest.fixture(scope="module")
def web(module_database: str) -> Iterator[Web]:
    running = Web(free_port(), module_database)
    process = start_web(running.database, running.port)
    wait_until(lambda: is_up(running.url), "gunicorn answers")
    yield running
    process.terminate()
    process.wait(30)


def test_a_signed_webhook_is_accepted_and_its_repeat_is_recognized(web: Web) -> None:
    body = b'{"leadId": "RF-1"}'
    first, second = web.post(body), web.post(body)

    assert (first.status_code, first.json()["status"]) == (200, "accepted")
    assert (second.status_code, second.json()["status"]) == (200, "duplicate")
    assert second.json()["event"] == first.json()["event"]
    assert isinstance(first.json()["event"], int)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RentFeed-Signature": "0" * 64},
        {"X-RentFeed-Signature": ""},
        {"X-RentFeed-Signature": "é" * 64},
        {"X-RentFeed-Timestamp": "0"},
        {"X-RentFeed-Timestamp": "soon"},
        {"X-RentFeed-Timestamp": "9" * 400},
    ],
    ids=str,
)
def test_a_bad_signature_is_one_opaque_401(web: Web, headers: dict[str, str]) -> None:
    request = web.signed(body=b'{"leadId": "forged"}')
    sent = {name: value.encode() for name, value in (dict(request.headers) | headers).items()}
    before = web.events()

    answer = requests.post(request.url, data=request.body, headers=sent, timeout=10)

    assert answer.status_code == 401
    assert answer.json() == {"error": "signature not accepted"}
    assert web.events() == before


def test_no_signature_at_all_is_the_same_401(web: Web) -> None:
    answer = requests.post(web.url + "/hooks/rentfeed", data=b"{}", timeout=10)

    assert (answer.status_code, answer.json()) == (401, {"error": "signature not accepted"})


@pytest.mark.parametrize("name", ["nobody", "communities", "..", "%00", "%F0%9F%92%A9", "a" * 3000])
def test_an_unknown_source_is_404(web: Web, name: str) -> None:
    """Send the path as is, because a client that normalizes it would request another page."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    connection.request("POST", f"/hooks/{name}", b"{}")

    assert connection.getresponse().status == 404
    connection.close()


def test_get_is_405_and_never_404(web: Web) -> None:
    answer = requests.get(web.url + "/hooks/rentfeed", timeout=10)

    assert answer.status_code == 405


def test_a_long_body_is_413_before_it_is_read(web: Web) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    connection.putrequest("POST", "/hooks/rentfeed")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders(b"{")

    assert connection.getresponse().status == 413
    connection.close()


def test_a_chunked_body_has_the_same_limit(web: Web) -> None:
    def chunks(count: int) -> Iterator[bytes]:
        yield from (b"x" * 1024 for _ in range(count))

    long = requests.post(web.url + "/hooks/rentfeed", data=chunks(200), timeout=10)
    short = requests.post(web.url + "/hooks/rentfeed", data=chunks(2), timeout=10)

    assert long.status_code == 413
    assert short.status_code == 401


def test_a_chunked_body_is_verified_like_any_other(web: Web) -> None:
    body = b'{"leadId": "RF-chunked"}'
    request = web.signed(body=body)
    headers = dict(request.headers)

    answer = requests.post(
        request.url, data=iter([body[:5], body[5:]]), headers=headers, timeout=10
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"[" * 60_000,
        b'{"leadId": ' + b"9" * 5000 + b"}",
        b'{"leadId": {"a": []}}',
        b'{"leadId": "\\ud800\\u0000"}',
        b'{"leadId": NaN}',
        json.dumps({"leadId": "x" * 60_000}).encode(),
    ],
    ids=range(8),
)
@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "text/xml", ";;=;charset=no-such"]
)
def test_any_signed_bytes_are_stored_for_review(web: Web, body: bytes, kind: str) -> None:
    answer = web.post(body, **{"Content-Type": kind})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
        b"POST //hooks//rentfeed HTTP/1.1\r\nHost: \xff\r\nContent-Length: 2\r\n\r\n{}",
        b"POST http://evil.example/hooks/rentfeed HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST * HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        b"BREW /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{}",
    ],
    ids=range(11),
)
def test_hostile_requests_are_never_a_500(web: Web, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)

    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")), answer[:200]
    assert is_up(web.url)


def answer_to(web: Web, request: bytes) -> bytes:
    """Send bytes unchanged, and return the complete response."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_bytes", "status", "error"),
    [
        (b"{secret}\r\n\r\n", 400, "bad request"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "request uri too large"),
        (b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 20_000, 431, "request header fields too large"),
        (b"GET / HTTP/1.1\r\nExpect: secret\r\n\r\n", 417, "expectation failed"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: secret\r\n\r\n", 501, "not implemented"),
    ],
    ids=range(5),
)
def test_what_is_not_http_is_answered_in_json_too(
    web: Web, request_bytes: bytes, status: int, error: str
) -> None:
    head, _, body = answer_to(web, request_bytes).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"error": error}


@pytest.mark.parametrize("path", ["/hooks/healthz", "/healthz"])
@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO"])
def test_a_header_never_changes_the_path(web: Web, path: str, name: str) -> None:
    """Send headers that a stranger might use to bypass a proxy that forwards only /hooks."""
    with_header = requests.get(web.url + path, headers={name: "/hooks"}, timeout=10)

    assert with_header.status_code == requests.get(web.url + path, timeout=10).status_code


def test_alive_and_ready(web: Web) -> None:
    assert requests.get(web.url + "/healthz", timeout=10).json() == {"status": "alive"}
    assert requests.get(web.url + "/readyz", timeout=10).json() == {"status": "ready"}


def test_errors_are_json_everywhere(web: Web) -> None:
    answer = requests.get(web.url + "/nothing/here", timeout=10)

    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


def test_without_a_database_senders_are_asked_to_retry(data_folder: Path) -> None:
    """Expect 503 with Retry-After while PostgreSQL is down, and 200 once it is back."""
    server = EmbeddedServer(data_folder)
    process = server.spawn()
    server.wait(process)
    store.migrate(server.url)
    web = Web(free_port(), server.url)
    gunicorn = start_web(server.url, web.port)
    try:
        wait_until(lambda: is_up(web.url), "gunicorn answers")
        assert web.post(b'{"leadId": "before"}').status_code == 200
        child_processes.stop(process, STOP_SIGNAL, 10)

        away = web.post(b'{"leadId": "while"}')
        assert away.status_code == 503
        assert int(away.headers["Retry-After"]) > 0
        assert requests.get(web.url + "/readyz", timeout=10).status_code == 503

        process = server.spawn()
        server.wait(process)
        wait_until(
            lambda: web.post(b'{"leadId": "while"}').status_code == 200, "webhooks are taken again"
        )
    finally:
        gunicorn.terminate()
        gunicorn.wait(30)
        child_processes.stop(process, STOP_SIGNAL, 10)


def test_a_database_that_was_not_migrated_is_503(empty_database: str) -> None:
    web = Web(free_port(), empty_database)
    gunicorn = start_web(empty_database, web.port)
    try:
        wait_until(lambda: is_up(web.url), "gunicorn answers")
        assert web.post(b"{}").status_code == 503
        ready = requests.get(web.url + "/readyz", timeout=10)
        assert ready.status_code == 503
        assert ready.json()["reason"].endswith(": run adapter migrate")
    finally:
        gunicorn.terminate()
        gunicorn.wait(30)


def test_nothing_of_a_payload_reaches_the_log(
    database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    web = Web(free_port(), database)
    gunicorn = start_web(database, web.port, ADAPTER_LOG_LEVEL="DEBUG")
    try:
        wait_until(lambda: is_up(web.url), "gunicorn answers")
        body = b'{"leadId": "RF-log", "contact": {"email": "secret.person@example.com"}}'
        assert web.post(body).status_code == 200
        assert web.post(body, **{"X-RentFeed-Signature": "bad-signature"}).status_code == 401
        for line in (body, b"POST /hooks/rentfeed HTTP/1.1\r\nAuthorization secret.person"):
            assert b" 400 " in answer_to(web, line + b"\r\n\r\n")
        psutil.Process(gunicorn.pid).children()[0].kill()
        wait_until(lambda: len(psutil.Process(gunicorn.pid).children()) == 2, "it is replaced")
    finally:
        gunicorn.terminate()
        gunicorn.wait(30)

    log = capfd.readouterr().err
    assert all(line.startswith('{"at": ') for line in log.splitlines())
    assert '"logger": "gunicorn.error", "event": "library_message", "where": "reap_workers:' in log
    assert "webhook_stored" in log
    assert "webhook_rejected" in log
    for secret in ("secret.person", "RF-log", "bad-signature", *SECRETS.values()):
        assert secret not in log


def test_slow_senders_cost_sockets_and_no_threads(database: str) -> None:
    """Open 16 silent connections a second and 64 slow ones, far more than there are threads."""
    web = Web(free_port(), database)
    gunicorn = start_web(database, web.port)
    halves = (b"X-Drip: ", b"Content-Length: 60000\r\n\r\n{")
    ended = threading.Event()

    def connect() -> socket.socket:
        return stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=10))

    def harass(dripping: list[socket.socket]) -> None:
        while not ended.wait(0.25):
            for sender in dripping:
                sender.sendall(b"x")
            for _ in range(4):
                connect()

    with contextlib.ExitStack() as stack:
        try:
            wait_until(lambda: is_up(web.url), "gunicorn answers")
            dripping = [connect() for _ in range(64)]
            for number, sender in enumerate(dripping):
                sender.sendall(b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n" + halves[number % 2])
            hostile = threading.Thread(target=harass, args=[dripping])
            hostile.start()
            seconds = []
            for number in range(100):
                began = time.monotonic()
                assert web.post(b'{"leadId": "RF-%d"}' % number).status_code == 200
                seconds.append(time.monotonic() - began)
            assert sorted(seconds)[98] < 1, seconds
        finally:
            ended.set()
            hostile.join()
            gunicorn.terminate()
            gunicorn.wait(60)


def test_senders_that_do_not_read_their_responses_hold_no_thread(web: Web) -> None:
    """Use more senders than threads, each with 100 simultaneous requests for a large file."""
    fetch = b"GET /console/static/htmx.min.js HTTP/1.1\r\nHost: x\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sender = stack.enter_context(socket.socket())
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sender.connect(("127.0.0.1", web.port))
            sender.sendall(fetch * 100)
        for number in range(20):
            began = time.monotonic()
            assert web.post(b'{"leadId": "RF-unread-%d"}' % number).status_code == 200
            assert time.monotonic() - began < 5


def test_a_request_in_parts_is_accepted_and_the_next_one_with_it(web: Web) -> None:
    """Send the end of the headers byte by byte, and the next request in the same packet."""
    request = web.signed(body=b'{"leadId": "RF-parts"}')
    head = "".join(f"{name}: {text}\r\n" for name, text in request.headers.items())
    sent = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
        head.encode(),
        len(request.body),
        request.body,
    )
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(sent) - 40, len(sent)):
            connection.sendall(sent[at : at + 1] if at > len(sent) - 40 else sent[: at + 1])
        connection.sendall(sent + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answers.count(b"HTTP/1.1 200") == 3
    assert [answers.count(word) for word in (b"accepted", b"duplicate", b'"alive"')] == [1, 1, 1]


@pytest.mark.parametrize(("length", "first"), [(10, b"100 Continue"), (LIMIT + 1, b"413 ")])
def test_expect_continue_is_answered_once(web: Web, length: int, first: bytes) -> None:
    head = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % length)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + first)
        with contextlib.suppress(OSError):
            connection.sendall(b"x" * length)
            connection.shutdown(socket.SHUT_WR)
            rest = b"".join(iter(lambda: connection.recv(65536), b""))
            assert rest.count(b"HTTP/1.1 ") == (1 if length == 10 else 0)


def test_what_follows_a_body_that_is_too_long_is_no_request(web: Web) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % 10**9
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:
        connection.sendall(head + smuggled)
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 413") == 1
    assert b"Connection: close" in answers


def test_a_burst_of_connections_is_shared_out_among_the_workers(database: str) -> None:
    """Check that no worker takes all of the connections, which would leave a core idle."""
    web = Web(free_port(), database)
    gunicorn = start_web(database, web.port)

    def workers() -> list[psutil.Process]:
        return psutil.Process(gunicorn.pid).children()

    def taken() -> list[int]:
        return [connections_of(worker) for worker in workers()]

    with contextlib.ExitStack() as stack:
        stack.callback(gunicorn.wait, 60)
        stack.callback(gunicorn.terminate)
        wait_until(lambda: is_up(web.url), "gunicorn answers")
        with contextlib.ExitStack() as first:

            def have_both() -> bool:
                first.enter_context(web.kept_alive())
                return len(taken()) == 2 and all(taken())

            wait_until(have_both, "both workers take connections")
        shares = []
        for _ in range(6):
            wait_until(lambda: not any(taken()), "all are closed")
            with contextlib.ExitStack() as burst:
                for _ in range(16):
                    burst.enter_context(web.kept_alive())
                wait_until(lambda: sum(taken()) == 16, "all are taken")
                shares.append(taken())
    assert sum(map(min, shares)) >= 30, shares


def connections_of(worker: psutil.Process) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED for one in worker.net_connections("tcp"))


def test_a_request_that_drips_is_cut_off(database: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Send one byte at a time, first in the headers and then in the body."""
    web = Web(free_port(), database)
    gunicorn = start_web(database, web.port, workers=1, is_hasty=True)
    head = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n"
    try:
        wait_until(lambda: is_up(web.url), "gunicorn answers")
        for drip in (head + b"X-Drip: ", head + b"Content-Length: 60000\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", web.port), timeout=0.2) as sender:
                sender.sendall(drip)
                wait_until(functools.partial(is_cut_off, sender), "the request is cut off")
    finally:
        gunicorn.terminate()
        gunicorn.wait(60)
    assert capfd.readouterr().err.count("request_cut_off") == 2


def is_cut_off(sender: socket.socket) -> bool:
    """Send one more byte. Return True if the adapter has closed the connection."""
    try:
        sender.sendall(b"x")
        return not sender.recv(1) or True
    except TimeoutError:
        return False
    except OSError:
        return True
