"""Test the Propexo client with the sandbox and with misbehaving servers."""

import datetime as dt
import gzip
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import (
    NotAuthorized,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamError,
    WrongPath,
)
from adapter.propexo.client import Propexo
from adapter.propexo.http import Body
from adapter.propexo.responses import WriteStatus, reasons_from
from tests.rows import REQUEST, attempt
from tests.sandbox_client import SandboxClient, canned_server, running_sandbox

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)


@pytest.fixture
def upstream() -> Iterator[SandboxClient]:
    with running_sandbox() as upstream:
        yield upstream


def client(url: str, seconds: float = 5.0, token: str = "sandbox") -> Propexo:
    return Propexo(url, token, timeout_seconds=seconds)


def test_a_booking_is_accepted_and_its_job_succeeds(upstream: SandboxClient) -> None:
    propexo = client(upstream.url)

    accepted = propexo.create(attempt())

    assert accepted.status == 200
    assert propexo.write_status(accepted.job_id).status is WriteStatus.SUCCESS
    (appointment,) = upstream.appointments()
    assert appointment["job_id"] == accepted.job_id
    assert appointment["starts_at"] == "2030-03-14T20:30:00Z"


def test_both_documented_shapes_are_read(upstream: SandboxClient) -> None:
    upstream.fault({"shape": "generic"})

    accepted = client(upstream.url).create(attempt())

    assert "job_id" in json.loads(accepted.answer)
    assert accepted.job_id == upstream.appointments()[0]["job_id"]


@pytest.mark.parametrize(
    ("fault", "error", "booked"),
    [
        ({"status": 400}, Refused, 0),
        ({"status": 404}, WrongPath, 0),
        ({"status": 422}, Refused, 0),
        ({"status": 301, "headers": {"Location": "/elsewhere"}}, WrongPath, 0),
        ({"status": 307, "headers": {"Location": "/elsewhere"}}, WrongPath, 0),
        ({"status": 401}, NotAuthorized, 0),
        ({"status": 403}, NotAuthorized, 0),
        ({"status": 429}, RateLimited, 0),
        ({"status": 503}, RateLimited, 0),
        ({"status": 503, "body": "upstream connect error"}, OutcomeUnknown, 0),
        ({"status": 500}, OutcomeUnknown, 0),
        ({"status": 502}, OutcomeUnknown, 0),
        ({"status": 504}, OutcomeUnknown, 0),
        ({"status": 408}, OutcomeUnknown, 0),
        ({"drop": "before"}, OutcomeUnknown, 0),
        ({"drop": "after"}, OutcomeUnknown, 1),
        ({"delay": 3}, OutcomeUnknown, 1),
    ],
    ids=str,
)
def test_each_fault_raises_one_exception(
    upstream: SandboxClient, fault: dict[str, Any], error: type[UpstreamError], booked: int
) -> None:
    upstream.fault(fault)

    with pytest.raises(UpstreamError) as caught:
        client(upstream.url, seconds=1.0).create(attempt())

    assert type(caught.value) is error
    assert caught.value.status == fault.get("status"), "the first answer counts, and no other"
    assert len(upstream.appointments()) == booked
    assert len(upstream.posts()) == 1


def test_retry_after_is_obeyed(upstream: SandboxClient) -> None:
    upstream.fault({"status": 429, "headers": {"Retry-After": "17"}})

    with pytest.raises(RateLimited) as caught:
        client(upstream.url).create(attempt())

    assert caught.value.retry_after_seconds == 17.0
    assert caught.value.status == 429


@pytest.mark.parametrize(
    "text", ["", "-5", "NaN", "1e400", "9" * 400, "soon", "Wed, 21 Oct 2999 07:28:00 GMT"]
)
def test_an_odd_wait_is_an_hour_at_most(upstream: SandboxClient, text: str) -> None:
    upstream.fault({"status": 429, "headers": {"Retry-After": text}})
    with pytest.raises(RateLimited) as caught:
        client(upstream.url).create(attempt())
    assert 0 <= (caught.value.retry_after_seconds or 0) <= 3600


def test_a_wrong_token_does_not_lose_a_lead(upstream: SandboxClient) -> None:
    with pytest.raises(NotAuthorized, match="rejects the token"):
        client(upstream.url, token="wrong").create(attempt())


def test_a_netrc_file_does_not_replace_the_token(
    upstream: SandboxClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    assert client(upstream.url).create(attempt()).job_id


def test_the_issues_of_a_400_are_read_per_field(upstream: SandboxClient) -> None:
    with pytest.raises(Refused) as caught:
        client(upstream.url).create(attempt(lease_term_in_months=24, colour="red"))

    answer = caught.value.answer
    assert isinstance(answer, str)
    fields = {reason.field for reason in reasons_from(answer)}
    assert "lease_term_in_months" in fields
    assert all(reason.reason.startswith("Propexo says: ") for reason in reasons_from(answer))


@pytest.mark.parametrize(
    "answer",
    [None, "", "[]", "null", "<html>", '{"error": 1}', '{"error": {"details": {"issues": 3}}}'],
)
def test_a_400_without_issues_is_one_reason(answer: str | None) -> None:
    (reason,) = reasons_from(answer)

    assert (reason.field, reason.reason) == ("propexo", "Propexo rejected the booking")


@pytest.mark.parametrize("nested", [False, True])
def test_issues_are_found_at_either_depth(nested: bool) -> None:
    details: dict[str, Any] = {"issues": [{"path": ["pets", 0], "message": "Invalid"}, 7]}
    answer = {"error": {"code": "x", "details": {"details": details} if nested else details}}

    first, second = reasons_from(json.dumps(answer))

    assert (first.field, first.reason) == ("pets.0", "Propexo says: Invalid")
    assert second.field == "propexo"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1", "http://no-such-host.invalid", "https://localhost:1"],
)
def test_a_request_that_was_never_sent_raises_not_sent(url: str) -> None:
    with pytest.raises(NotSent, match="could not be reached"):
        client(url, seconds=2.0).create(attempt())


def test_a_failed_tls_handshake_has_sent_nothing(upstream: SandboxClient) -> None:
    with pytest.raises(NotSent) as caught:
        client(upstream.url.replace("http:", "https:")).create(attempt())

    assert isinstance(caught.value.__cause__, Exception)
    assert ssl.SSLError.__name__ in repr(caught.value.__cause__)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PACKED = gzip.compress(b"[" * 50_000_000, mtime=0)


def packed(content: bytes, encoding: bytes = b"gzip") -> bytes:
    head = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(content))
    return OK + head + content


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"not http at all\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\n",
        OK + b"Content-Length: 100\r\n\r\n{}",
        OK + b"Content-Length: 2\r\n\r\n{}",
        OK + b"Content-Length: 4\r\n\r\nnull",
        OK + b'Content-Length: 13\r\n\r\n{"job_id": 7}',
        OK + b'Content-Length: 15\r\n\r\n{"meta": "text"}',
        OK + b'Content-Length: 14\r\n\r\n{"job_id": ""}',
        OK + b"Content-Length: 4\r\n\r\n\xff\xfe\x00\x00",
        OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK + b"Content-Length: 3000000\r\n\r\n" + b"[" * 3_000_000,
        OK + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
        b"HTTP/1.1 99999 what\r\n\r\n",
        packed(PACKED),
        packed(gzip.compress(PACKED, mtime=0), b"gzip, gzip"),
        packed(gzip.compress(PACKED, mtime=0)),
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"ffff\r\n" + b"[" * 65535 + b"\r\n" * 99,
        b"HTTP/1.1 500 No\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=range(22),
)
def test_a_broken_response_is_an_unknown_outcome(answer: bytes) -> None:
    with canned_server(answer) as url, pytest.raises(OutcomeUnknown):
        client(url, seconds=2.0).create(attempt())


@pytest.mark.timed
@pytest.mark.parametrize(
    ("answer", "drip"),
    [(OK + b"Content-Length: 5000\r\n\r\n{", b" "), (OK + b"X-Drip: ", b"x")],
    ids=["body", "headers"],
)
def test_a_slow_response_times_out(answer: bytes, drip: bytes) -> None:
    """Send a response whose bytes arrive quickly one by one, but take too long altogether."""
    with canned_server(answer, drip=drip) as url:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            client(url, seconds=1.0).create(attempt())

        assert time.monotonic() - began < 5.0


def test_a_body_is_not_sent_after_the_timeout() -> None:
    late = Body(b"{}")
    late.send_deadline = time.monotonic()
    with pytest.raises(TimeoutError):
        late.read()
    assert not late.has_started

    begun = Body(b"{}")
    assert begun.read(1) == b"{"
    begun.send_deadline = time.monotonic()
    assert begun.read() == b"}", "half of it is on the wire"


@pytest.mark.parametrize(
    ("fault", "status", "errors"),
    [
        ({"job": "FAILURE", "errors": ["the slot is taken"]}, "FAILURE", ("the slot is taken",)),
        ({"job": "PARTIAL_SUCCESS"}, "PARTIAL_SUCCESS", None),
        ({"job": "PENDING"}, "PENDING", ()),
    ],
    ids=str,
)
def test_each_write_status_is_read(
    upstream: SandboxClient, fault: dict[str, Any], status: str, errors: tuple[str, ...] | None
) -> None:
    upstream.fault(fault)
    propexo = client(upstream.url)

    report = propexo.write_status(propexo.create(attempt()).job_id)

    assert report.status == status
    assert errors is None or report.errors == errors


def test_a_job_id_cannot_lead_elsewhere(upstream: SandboxClient) -> None:
    with pytest.raises(UpstreamError):
        client(upstream.url).write_status("../../_sandbox/appointments")


@pytest.mark.parametrize("body", [b"{}", b'{"write_status": "DONE"}', b"[]", b"x"])
def test_a_status_that_cannot_be_read_is_an_error(body: bytes) -> None:
    head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    with canned_server(head + body) as url, pytest.raises(UpstreamError, match="no write status"):
        client(url).write_status("job")


def test_the_body_is_sent_whole_and_once(upstream: SandboxClient) -> None:
    client(upstream.url).create(attempt(first_name="Zoë", notes="x" * 900))

    (posted,) = upstream.posts()
    assert posted == REQUEST | {"first_name": "Zoë", "notes": "x" * 900}
