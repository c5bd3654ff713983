"""Send HTTP requests with a limit on the total time until the response is complete.

``requests`` limits each wait for bytes, but not the total time, so a slow response could take
forever. The lease on a booking requires a limit, so a timer closes the connection.
"""

import contextlib
import dataclasses
import io
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters

#: Seconds to wait for a connection, including DNS and TLS.
CONNECT_SECONDS = 10.0
#: Maximum size of a response, in bytes.
MAX_RESPONSE_BYTES = 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    #: Lookups of header names ignore case.
    headers: Mapping[str, str]
    text: str


class Body(io.BytesIO):
    """A request body that records whether any part of it may have been sent."""

    #: True if any part of the body may have been sent.
    has_started = False
    #: Sending must not start after this time (monotonic seconds). The timer that closes the
    #: connection is not enough: if a suspended process resumes, both threads continue at once.
    send_deadline = math.inf

    def __len__(self) -> int:
        return len(self.getvalue())

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes to send. Record that sending has begun."""
        if time.monotonic() > self.send_deadline and not self.has_started:
            raise TimeoutError("the request timed out")
        self.has_started = True
        return super().read(size)


#: Checks the IP address of a new connection. Raises OSError if the address is not allowed.
AddressCheck = Callable[[str], object]


def exchange(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Body | None,
    timeout_seconds: float,
    check_address: AddressCheck | None = None,
) -> Response:
    """Send a request on a new connection, and return the response.

    A reused connection could be stale. Redirects are not followed, because a redirected POST would
    become a GET. Errors are raised unchanged: the caller can tell from ``body`` whether the request
    was sent. Nothing is sent to an IP address that ``check_address`` rejects, except through a
    proxy, which connects by itself.
    """

    def add_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Set through ``auth``, so that a netrc file cannot replace the token.
        request.headers.update(headers)
        return request

    if body is not None:
        body.send_deadline = time.monotonic() + timeout_seconds
    with _closed_after(timeout_seconds, check_address) as adapter, requests.Session() as session:
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        response = session.request(
            method,
            url,
            data=body,
            headers={"Connection": "close", "Content-Type": "application/json"},
            auth=add_headers,
            timeout=(min(CONNECT_SECONDS, timeout_seconds), timeout_seconds),
            allow_redirects=False,
            stream=True,
        )
        return Response(status=response.status_code, headers=response.headers, text=_text(response))


def failure_text(exc: BaseException, url: str) -> str:
    """Return an error message with the host and the reason that a request failed.

    The message never contains anything from the request.
    """
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    return f"{_reason(exc)} ({host})"


def _reason(exc: BaseException) -> str:
    """Return the innermost exception's reason, such as "timed out"."""
    chain = [exc]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner)
    for one in reversed(chain):
        if isinstance(one, ssl.SSLError):
            return f"TLS error: {getattr(one, 'verify_message', None) or one.reason}"
        if isinstance(one, socket.gaierror):
            return "the host name cannot be resolved"
        if isinstance(one, TimeoutError):
            return "timed out"
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    return type(exc).__name__


def _text(response: requests.Response) -> str:
    chunks, total = [], 0
    for chunk in response.iter_content(16 * 1024):
        chunks.append(chunk)
        total += len(chunk)
        if total > MAX_RESPONSE_BYTES:
            raise requests.exceptions.ChunkedEncodingError("the response is too long")
    return b"".join(chunks).decode("utf-8", "replace")


@contextlib.contextmanager
def _closed_after(seconds: float, check_address: AddressCheck | None) -> Iterator["_Adapter"]:
    """Yield an HTTP adapter, and close its connections after ``seconds``."""
    adapter = _Adapter(check_address)
    timer = threading.Timer(seconds, adapter.close_connections)
    timer.daemon = True
    timer.start()
    try:
        yield adapter
    finally:
        timer.cancel()
        adapter.release()


class _Adapter(requests.adapters.HTTPAdapter):
    """An HTTP adapter whose connections another thread can close."""

    def __init__(self, check_address: AddressCheck | None) -> None:
        self._check_address = check_address
        self._handles: list[socket.socket] = []
        self._is_closed = False
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        """Return the connection pool for a request, and register the sockets that it opens."""
        pool: Any = super().get_connection_with_tls_context(*args, **options)
        handles, adapter = self._handles, self
        check = None if pool.proxy else self._check_address

        class Registered(pool.ConnectionCls):  # type: ignore[misc] # it depends on the scheme
            def _new_conn(self) -> socket.socket:
                if adapter._is_closed:
                    raise TimeoutError("the request timed out")
                connection: socket.socket = super()._new_conn()
                if check is not None:
                    with contextlib.ExitStack() as refused:
                        refused.callback(connection.close)
                        check(connection.getpeername()[0])
                        refused.pop_all()
                handles.append(connection.dup())
                if adapter._is_closed:
                    adapter.close_connections()
                return connection

        pool.ConnectionCls = Registered
        return pool

    def close_connections(self) -> None:
        """Shut down all connections, so that threads that read from them get an error."""
        self._is_closed = True
        for handle in self._handles:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the duplicated socket handles after the request has ended."""
        for handle in self._handles:
            handle.close()
