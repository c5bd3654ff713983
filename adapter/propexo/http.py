"""One HTTP request to Propexo and its whole answer, within one time-out.

``requests`` bounds each wait for bytes, not the exchange: an answer that drips could take for ever,
and the lease that guards a booking relies on an end. So a timer cuts the connection.
"""

import contextlib
import dataclasses
import io
import math
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests
import requests.adapters

#: Seconds to wait for a connection: DNS, TCP and TLS.
CONNECT_SECONDS = 10.0
#: Longest answer that is read, in bytes.
ANSWER_BYTES = 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back."""

    status: int
    #: Any case; look them up in lower case.
    headers: Mapping[str, str]
    text: str


class Body(io.BytesIO):
    """A request body that knows whether anybody has begun to send it."""

    has_left = False
    #: After this (monotonic seconds) nothing of it may begin to leave. Not left to the timer that
    #: cuts the exchange: in a process that was frozen both threads wake at the same moment.
    leaves_by = math.inf

    def __len__(self) -> int:
        return len(self.getvalue())

    def read(self, size: int | None = -1) -> bytes:
        """Bytes for the wire; from now on some may be on it."""
        if time.monotonic() > self.leaves_by and not self.has_left:
            raise TimeoutError("the time for this request is over")
        self.has_left = True
        return super().read(size)


def exchange(
    method: str, url: str, *, token: str, body: Body | None, timeout_seconds: float
) -> Answer:
    """One request on a connection of its own, so that no stale one can swallow it.

    Redirects are not followed: a redirected POST would turn into a GET. Raises whatever goes
    wrong, of any type: the caller knows by ``body`` whether the request had left.
    """

    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Being an ``auth``, it also keeps a netrc file from replacing the token.
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    if body is not None:
        body.leaves_by = time.monotonic() + timeout_seconds
    with _cut_after(timeout_seconds) as adapter, requests.Session() as session:
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        response = session.request(
            method,
            url,
            data=body,
            headers={"Connection": "close", "Content-Type": "application/json"},
            auth=authorise,
            timeout=(min(CONNECT_SECONDS, timeout_seconds), timeout_seconds),
            allow_redirects=False,
            stream=True,
        )
        return Answer(status=response.status_code, headers=response.headers, text=_text(response))


def _text(response: requests.Response) -> str:
    chunks, total = [], 0
    for chunk in response.iter_content(16 * 1024):
        chunks.append(chunk)
        total += len(chunk)
        if total > ANSWER_BYTES:
            raise requests.exceptions.ChunkedEncodingError("the answer is too long")
    return b"".join(chunks).decode("utf-8", "replace")


@contextlib.contextmanager
def _cut_after(seconds: float) -> Iterator["_Adapter"]:
    """An adapter whose connections are cut when the time is over."""
    adapter = _Adapter()
    timer = threading.Timer(seconds, adapter.cut)
    timer.daemon = True
    timer.start()
    try:
        yield adapter
    finally:
        timer.cancel()
        adapter.release()


class _Adapter(requests.adapters.HTTPAdapter):
    """Keeps a second handle on each socket, by which it can be cut from another thread."""

    def __init__(self) -> None:
        self._handles: list[socket.socket] = []
        self._is_cut = False
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """The pool for an address, with connections that tell us of their sockets."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        handles, adapter = self._handles, self

        class Known(pool.ConnectionCls):  # type: ignore[misc] # it depends on the scheme
            def _new_conn(self) -> socket.socket:
                if adapter._is_cut:
                    raise TimeoutError("the time for this request is over")
                made: socket.socket = super()._new_conn()
                handles.append(made.dup())
                if adapter._is_cut:
                    adapter.cut()
                return made

        pool.ConnectionCls = Known
        return pool

    def cut(self) -> None:
        """Ends every connection; whoever reads from one gets an error."""
        self._is_cut = True
        for handle in self._handles:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Lets the handles go."""
        for handle in self._handles:
            handle.close()
