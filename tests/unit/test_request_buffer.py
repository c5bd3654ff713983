"""Test that the buffer finds the same end of a request as gunicorn's own parser."""

import itertools

import pytest
from gunicorn import http
from gunicorn.config import Config
from hypothesis import given
from hypothesis import strategies as st

from adapter.server.request_buffer import MAX_HEAD_BYTES, Discarded, RequestBuffer

CONFIG = Config()
HEAD = b"POST /hooks/rentfeed HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = {
    "no body": HEAD + b"\r\n",
    "a body": HEAD + b"content-length: 5\r\n\r\n{\r\n\r\n",
    "no bytes": HEAD + b"Content-Length: 0\r\n\r\n",
    "chunks": CHUNKED + b"3\r\nabc\r\nA;x=1\r\n0\r\n\r\n01234\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"1\r\n{\r\n0\r\nX-Trailer: 1\r\n\r\n",
}


def fed(*parts: bytes, limit: int = 100) -> tuple[RequestBuffer, list[bool]]:
    buffer = RequestBuffer(limit)
    return buffer, [buffer.feed(part) for part in parts]


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
@given(cuts=st.sets(st.integers(1, 120), max_size=6), after=st.sampled_from([b"", b"GET / HT"]))
def test_a_request_ends_where_gunicorn_ends_it(data: bytes, cuts: set[int], after: bytes) -> None:
    """Split the request at any position, and append other bytes."""
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(places)]

    buffer, done = fed(*parts[:-1], parts[-1] + after)

    assert done == [False] * (len(parts) - 1) + [True]
    assert buffer.is_whole
    assert buffer.take() == (data, after)
    parser = http.get_parser(CONFIG, iter([data]), ("127.0.0.1", 1))
    next(parser).body.read()
    assert parser.unreader.read() == b""


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 101\r\n\r\n",
        HEAD + b"Content-Length: 999999999999999999\r\n\r\n",
        b"x" * (MAX_HEAD_BYTES + 1),
        CHUNKED + b"65\r\n" + b"x" * 101,
        CHUNKED + b"1\r\nx\r\n" * 1500,
        CHUNKED + b"zz\r\n",
        CHUNKED + b"1;" + b"x" * 9000,
        CHUNKED + b"0\r\nX: " + b"x" * 9000,
    ],
    ids=range(8),
)
def test_a_request_that_will_be_rejected_is_not_read_to_its_end(data: bytes) -> None:
    buffer, done = fed(data)

    assert done == [True]
    assert not buffer.is_whole
    assert buffer.take() == (data, b"")


@pytest.mark.parametrize(
    "data", [b"", b"GET", HEAD, HEAD + b"\r", CHUNKED, CHUNKED + b"5\r\nabc", CHUNKED + b"0\r\n"]
)
def test_a_request_that_has_not_ended_is_waited_for(data: bytes) -> None:
    assert fed(data)[1] == [False]


def test_a_bare_line_feed_is_left_to_the_parser() -> None:
    assert fed(b"GET / HTTP/1.1\n")[1] == [True]


@pytest.mark.parametrize(
    ("length", "awaits"), [(b"5", True), (b"0", False), (b"101", False)], ids=str
)
def test_only_a_sender_of_an_allowed_body_is_told_to_continue(length: bytes, awaits: bool) -> None:
    head = HEAD + b"Expect: 100-Continue\r\nContent-Length: " + length + b"\r\n\r\n"

    assert fed(head)[0].awaits_continue is awaits


def test_a_closing_connection_is_read_up_to_a_limit() -> None:
    closing = Discarded(10)

    assert [closing.feed(b"x" * 5) for _ in range(3)] == [False, False, True]
