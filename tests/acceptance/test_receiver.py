"""Test receiving webhooks with real gunicorn: responses, and resistance to abuse."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from adapter import store
from adapter.store import child_processes
from adapter.store.embedded import STOP_SIGNAL, EmbeddedServer
from tests.bundled_web import SECRETS, Web, is_up, start_web
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


def test_a_signed_webhook_is_accepted_and_its_repeat_is_told(web: Web) -> None:
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
    """Send the path unchanged, because a client that normalizes it would request another page."""
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
def test_any_signed_bytes_are_stored_for_a_person(web: Web, body: bytes, kind: str) -> None:
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


def test_alive_and_ready(web: Web) -> None:
    assert requests.get(web.url + "/healthz", timeout=10).json() == {"status": "alive"}
    assert requests.get(web.url + "/readyz", timeout=10).json() == {"status": "ready"}


def test_errors_are_json_everywhere(web: Web) -> None:
    answer = requests.get(web.url + "/nothing/here", timeout=10)

    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


def test_without_a_database_senders_are_asked_to_come_back(data_folder: Path) -> None:
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
        assert (ready.status_code, ready.json()["reason"]) == (503, "run adapter migrate")
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
    finally:
        gunicorn.terminate()
        gunicorn.wait(30)

    log = capfd.readouterr().err
    assert "webhook_stored" in log
    assert "webhook_rejected" in log
    for secret in ("secret.person", "RF-log", "bad-signature", *SECRETS.values()):
        assert secret not in log


def test_connections_that_fall_silent_do_not_hold_the_door(database: str) -> None:
    """Open more connections than threads, and stop in the headers or the body."""
    web = Web(free_port(), database)
    gunicorn = start_web(database, web.port)
    halves = (b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 9\r\n\r\n{")
    with contextlib.ExitStack() as stack:
        try:
            wait_until(lambda: is_up(web.url), "gunicorn answers")
            for number in range(24):
                silent = socket.create_connection(("127.0.0.1", web.port), timeout=10)
                stack.enter_context(silent)
                silent.sendall(b"".join(halves[: 1 + number % 2]))
            wait_until(lambda: is_up(web.url), "the door is free again", 40)
        finally:
            gunicorn.terminate()
            gunicorn.wait(60)


def test_a_burst_of_connections_is_shared_out_among_the_workers(database: str) -> None:
    """Check that no worker takes all connections, which would leave a core idle."""
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


def test_a_request_that_drips_is_cut_off_and_frees_its_thread(database: str) -> None:
    """Send one byte at a time, in the headers and in the body, without long pauses."""
    web = Web(free_port(), database)
    gunicorn = start_web(database, web.port, workers=1, is_hasty=True)
    head = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n"
    drips = (head + b"X-Drip: ", head + b"Content-Length: 60000\r\n\r\n")
    ended = threading.Event()

    def drip(sender: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not ended.wait(1.0):
                sender.sendall(b"x")

    with contextlib.ExitStack() as stack:
        try:
            wait_until(lambda: is_up(web.url), "gunicorn answers")
            for number in range(5):  # one more than there are threads
                sender = socket.create_connection(("127.0.0.1", web.port), timeout=10)
                stack.enter_context(sender)
                sender.sendall(drips[number % 2])
                threading.Thread(target=drip, args=[sender], daemon=True).start()
            wait_until(lambda: not is_up(web.url), "all threads read")
            wait_until(lambda: is_up(web.url), "the door is free again")
            assert web.post(b"{}").status_code == 200
        finally:
            ended.set()
            gunicorn.terminate()
            gunicorn.wait(60)
