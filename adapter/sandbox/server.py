"""Serve the sandbox over HTTP with Werkzeug's threaded server."""

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any, Self

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from adapter.exceptions import ConfigurationError

_STOPPING = {signal.SIGINT, signal.SIGTERM}


class _Connection(WSGIRequestHandler):
    """Handles one request per connection, because Werkzeug cannot keep connections open."""

    disable_nagle_algorithm = True
    #: Seconds after which a client that stops in the middle of a request is disconnected.
    timeout = 60

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:  # noqa: ARG002
        """Close the connection instead of waiting for another request."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Suppress Werkzeug's log, because ``/_sandbox/requests`` lists the requests."""


class Server:
    """Serves an app in a background thread while a ``with`` block runs.

    Port 0 means any free port. Raise :class:`ConfigurationError` if the port is not available.
    """

    def __init__(self, app: Flask, *, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Werkzeug ends the process if it cannot bind, so we bind the socket ourselves.
        try:
            with socket.create_server((host, port), family=family, backlog=128) as listening:
                self._server = make_server(
                    host, port, app, threaded=True, request_handler=_Connection,
                    fd=listening.fileno(),
                )  # fmt: skip
        except (OSError, OverflowError, UnicodeError) as exc:
            # Python adds the address in parentheses, but our message already has it.
            reason = str(getattr(exc, "strerror", None) or exc).partition(" (while")[0]
            raise ConfigurationError(
                f"the sandbox cannot listen on {host} port {port}: {reason}; "
                "choose another --host or --port"
            ) from None
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.port}"
        self._thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve(app: Flask, *, host: str, port: int, announce: Callable[[str], object]) -> None:
    """Serve the app until SIGINT or SIGTERM. When it is ready, call ``announce`` with the URL."""
    # Block the signals before threads start, so that only sigwait receives them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        with Server(app, host=host, port=port) as server:
            announce(server.url)
            signal.sigwait(_STOPPING)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
