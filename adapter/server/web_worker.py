"""Extend gunicorn's threaded worker, so that no thread has to wait for a slow sender.

Gunicorn reads a request in the thread that processes it, so a few slow senders block every thread.
Here, the main thread reads without blocking, and a connection that is silent or slow costs only a
socket and the bytes it sent. When it closes a connection, the main thread waits for the sender to
close its end too, also without blocking.
"""

import contextlib
import fcntl
import functools
import json
import logging
import selectors
import socket
import sys
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

from gunicorn import http
from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import ThreadWorker

from adapter.server.request_buffer import Discarded, RequestBuffer
from adapter.settings import Settings

log = logging.getLogger(__name__)

#: A request that has not arrived completely within this time is rejected.
READ_SECONDS = 20.0
#: If a request has no response within this time, it is disconnected, because the sender may not be
#: reading. Senders may wait 25 seconds for an outcome, plus the time to store the webhook.
ANSWER_SECONDS = 40.0
#: How long a connection that is being closed, or a process that stops, waits for the sender.
LINGER_SECONDS = 2.0
#: Limits per process for connections that wait for a request or for the sender to close, and for
#: their bytes. Beyond a limit, the oldest is dropped, because a genuine request takes only
#: milliseconds.
MAX_WAITING = 400
MAX_WAITING_BYTES = 64 * 1024**2
#: A sender that has not read this much of earlier responses is disconnected before the next
#: response can block a thread. The send buffer has room for this and for the largest public page
#: (52 kB).
MAX_UNREAD_BYTES = 64 * 1024
SEND_BUFFER_BYTES = 256 * 1024
#: Maximum number of idle keep-alive connections per process, in addition to the waiting ones.
MAX_IDLE = 300
#: Number of bytes to read or to pass to the parser at a time.
RECEIVE_BYTES = 64 * 1024
_PARSED_BYTES = 8 * 1024
#: After a worker accepts a connection, it pauses for this long, so that another worker gets the
#: next one. Otherwise, one worker would accept a whole burst and keep all of its connections.
ACCEPT_BACKOFF_SECONDS = 0.001
_SWEEP_SECONDS = 0.5

#: Status and error message for exceptions of gunicorn's parser. All others result in a 400.
_PARSE_ERRORS = {
    LimitRequestLine: (414, "request uri too large"),
    LimitRequestHeaders: (431, "request header fields too large"),
    ExpectationFailed: (417, "expectation failed"),
    UnsupportedTransferCoding: (501, "not implemented"),
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """A threaded gunicorn worker that reads each request completely before a thread handles it."""

    #: Set by the main process from its settings. Workers must not load settings, because gunicorn
    #: creates them in the main process, which an error would end.
    max_body_bytes: int = Settings().max_body_bytes

    #: Set when this process begins to stop, for threads that report on it.
    stopping = threading.Event()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.max_keepalived = MAX_IDLE
        #: The bytes read from each waiting connection and its deadline, oldest first.
        self._waiting: dict[Any, tuple[RequestBuffer | Discarded, float]] = {}
        self._swept_at = 0.0
        self._began: dict[Any, float] = {}
        self._backoff_until = 0.0
        self._paused = False

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """Begin to stop, for example after a reload, so that the new process reports from now on.

        Gunicorn calls this method on SIGTERM.
        """
        was_alive = self.alive
        super().handle_exit(sig, frame)
        if (
            was_alive
        ):  # a second signal may interrupt this call, and would wait for its lock forever
            self.stopping.set()

    def accept(self, listener: Any) -> None:
        """Accept one connection, then pause so that other workers can accept the next one."""
        super().accept(listener)
        if self.cfg.workers > 1:
            self._backoff_until = time.monotonic() + ACCEPT_BACKOFF_SECONDS
            self.set_accept_enabled(False)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's
        """Start or stop accepting connections, but do not start during a pause.

        Gunicorn calls this method.
        """
        self._paused = enabled and self._backoff_remaining() > 0
        super().set_accept_enabled(enabled and not self._paused)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events until the timeout, or until a pause in accepting connections ends."""
        super().wait_for_and_dispatch_events(self._backoff_remaining() if self._paused else timeout)

    def _backoff_remaining(self) -> float:
        return max(0.0, self._backoff_until - time.monotonic())

    def enqueue_req(self, conn: Any) -> None:
        """Start reading a request from a connection, without using a thread."""
        if _unread_bytes(conn.sock) > MAX_UNREAD_BYTES:
            self._process(conn, Discarded(0))
            return
        request = RequestBuffer(self.max_body_bytes)
        self._read_or_wait(conn, request, READ_SECONDS, getattr(conn, "rest", b""))

    def finish_request(self, conn: Any, future: Any) -> None:
        """Keep a connection open for its next request, or close it without blocking."""
        is_kept = not future.cancelled() and not future.exception() and future.result()
        if is_kept and not conn.rest:
            super().finish_request(conn, future)
            return
        try:
            conn.sock.setblocking(False)  # noqa: FBT003 - socket's
            if is_kept:
                self.enqueue_req(conn)
                return
            conn.sock.shutdown(socket.SHUT_WR)
            self._read_or_wait(conn, Discarded(RECEIVE_BYTES), LINGER_SECONDS)
        except (OSError, ValueError):  # the connection is already closed
            self._process(conn, Discarded(0))

    def _read_or_wait(
        self, conn: Any, request: RequestBuffer | Discarded, seconds: float, rest: bytes = b""
    ) -> None:
        if (rest and request.feed(rest)) or self._receive(conn, request):
            self._process(conn, request)
            return
        self._waiting[conn] = request, time.monotonic() + seconds
        ready = functools.partial(self._on_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, ready)
        if len(self._waiting) > MAX_WAITING:
            self._give_up(next(iter(self._waiting)))

    def _on_readable(self, conn: Any, _sock: Any) -> None:
        # The connection may have been dropped after the poller returned it.
        request, _ = self._waiting.get(conn, (None, 0.0))
        if request is not None and self._receive(conn, request):
            self._stop_waiting(conn)
            self._process(conn, request)

    def _receive(self, conn: Any, request: RequestBuffer | Discarded) -> bool:
        """Read available bytes. Return True if the request is complete or the sender is gone."""
        try:
            data = conn.sock.recv(RECEIVE_BYTES)
            is_done = not data or request.feed(data)
            if request.awaits_continue and not is_done:
                request.awaits_continue = False
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        except BlockingIOError:
            return False
        except OSError:
            return True
        return is_done

    def _process(self, conn: Any, request: RequestBuffer | Discarded) -> None:
        """Pass the request to a thread, or close the connection if nothing was received."""
        if isinstance(request, Discarded) or not request.data:
            self.nr_conns -= 1
            conn.close()
            return
        data, conn.rest = request.take()
        conn.is_whole = request.is_whole
        # Do not read from the socket, so that a thread never waits for a sender.
        source = _parts(data, is_head_too_long=request.is_head_too_long)
        conn.parser = http.get_parser(self.cfg, source, conn.client)
        conn.initialized = True
        super().enqueue_req(conn)

    def _stop_waiting(self, conn: Any) -> RequestBuffer | Discarded:
        self.poller.unregister(conn.sock)
        return self._waiting.pop(conn)[0]

    def _give_up(self, conn: Any) -> None:
        request = self._stop_waiting(conn)
        if request.data:
            log.warning("request_cut_off")
        self._process(conn, request)

    def murder_pending(self) -> None:
        """Close connections that are too slow or use too much memory. Gunicorn calls this often."""
        now = time.monotonic()
        if now < self._swept_at + _SWEEP_SECONDS:
            return
        self._swept_at = now
        limit = now if self.alive else now + READ_SECONDS - LINGER_SECONDS
        total = sum(len(request.data) for request, _ in self._waiting.values())
        for conn, (request, deadline) in list(self._waiting.items()):
            if deadline < limit or total > MAX_WAITING_BYTES:
                total -= len(request.data)
                self._give_up(conn)

    def handle(self, conn: Any) -> Any:
        """Handle one request in a thread, tracking when it started."""
        self._began[conn] = time.monotonic()
        try:
            # Bytes that the parser did not read would be treated as the next request.
            return super().handle(conn) and not conn.parser.unreader.read()
        finally:
            self._began.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Handle a parsed request. If it is incomplete, close its connection afterward."""
        req._expected_100_continue = False  # noqa: SLF001 - `100 Continue` was already sent
        if not conn.is_whole:
            req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: Exception) -> None:
        """Respond to a request that is not valid HTTP, and count it as rejected."""
        status, error = _PARSE_ERRORS.get(type(exc), (400, "bad request"))
        if isinstance(exc, ParseException):
            reason = error.replace(" ", "_")
            log.warning("webhook_rejected", extra={"source": None, "reason": reason})
            self.wsgi.extensions["pipeline"].receiver.background_writer.count("", reason)
        else:
            log.error("unexpected_error", exc_info=exc)
            status, error = 503, "cannot answer now"
        body = json.dumps({"error": error})
        head = f"HTTP/1.1 {status} {error.title()}\r\nContent-Type: application/json\r\n"
        text = f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        with contextlib.suppress(OSError):
            client.sendall(text.encode())

    def notify(self) -> None:
        """Send gunicorn's heartbeat, and disconnect requests that take too long."""
        super().notify()
        for conn, began in self._began.copy().items():
            if time.monotonic() - began > ANSWER_SECONDS:
                self._began.pop(conn, None)
                log.warning("request_cut_off")
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


def _unread_bytes(sock: socket.socket) -> int:
    """Return the number of sent bytes that the client has not acknowledged yet."""
    try:
        count = fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4)
    except OSError:
        return 0
    return int.from_bytes(count, sys.byteorder)


def _parts(data: bytes, *, is_head_too_long: bool) -> Iterator[bytes]:
    """Yield a request in small chunks, because gunicorn's parser copies each chunk repeatedly."""
    yield from (data[at : at + _PARSED_BYTES] for at in range(0, len(data), _PARSED_BYTES))
    if is_head_too_long:
        raise LimitRequestHeaders("")
