"""The web process under gunicorn, and how it takes up new mappings.

Gunicorn's main process holds the sources, and its workers are forked with them: a worker that has
to be started again serves the last set that was right, whatever lies on the disk by then. SIGHUP to
the main process loads the set anew. A right one is given to new workers, and the old workers finish
what they have; a wrong one is told in the log and changes nothing.

Gunicorn reads this module as its configuration too: it calls :func:`on_starting`.
"""

import contextlib
import functools
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import flask
from gunicorn.workers.gthread import ThreadWorker

from adapter import app, logs
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.server import hot_reload
from adapter.settings import Settings, settings_from
from adapter.webhooks import endpoints

#: A sender that says nothing for so long in the middle of a request is hung up on.
SILENCE_SECONDS = 10

#: A request that is not read and answered in this time is hung up on: one that drips takes for
#: ever otherwise. Senders may wait 25 seconds for their outcome, and storing takes a few more.
REQUEST_SECONDS = 40.0

_held: Mapping[str, Source] | None = None


#: A worker that took a connection leaves the next one to the others for so long. Who is awake would
#: take a whole burst otherwise, and connections stay where they are: one worker would have them all
#: and the others none.
ACCEPT_BACKOFF_SECONDS = 0.001


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's worker with threads; connections are shared out, and every request has an end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._began: dict[Any, float] = {}
        self._backoff_until = 0.0
        self._paused = False

    def accept(self, listener: Any) -> None:
        """Takes one connection, and leaves the next one to the other workers first."""
        super().accept(listener)
        if self.cfg.workers > 1:
            self._backoff_until = time.monotonic() + ACCEPT_BACKOFF_SECONDS
            self.set_accept_enabled(False)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's
        """Gunicorn asks each time around; a worker that rests declines."""
        self._paused = enabled and self._backoff_remaining() > 0
        super().set_accept_enabled(enabled and not self._paused)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Waits for what is to be done, at most until the rest is over."""
        super().wait_for_and_dispatch_events(self._backoff_remaining() if self._paused else timeout)

    def _backoff_remaining(self) -> float:
        return max(0.0, self._backoff_until - time.monotonic())

    def handle(self, conn: Any) -> Any:
        """One request, in a thread."""
        self._began[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._began.pop(conn, None)

    def notify(self) -> None:
        """Gunicorn's sign of life, about once a second: whoever takes too long is cut off."""
        super().notify()
        for conn, began in self._began.copy().items():
            if time.monotonic() - began > REQUEST_SECONDS:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


def create_app() -> flask.Flask:
    """The WSGI application of a worker, over the sources that the main process holds."""
    settings = settings_from()
    logs.configure(settings.log_level)
    return app.create_app(settings, all_sources=_held)


def on_starting(server: Any) -> None:
    """Gunicorn's hook, in the main process before anything else."""
    settings = settings_from()
    logs.configure(settings.log_level)
    _hold(_loaded(settings))
    # Its own answer to SIGHUP ends everything when the new workers do not start.
    server.handle_hup = functools.partial(_renew, server)


def when_ready(server: Any) -> None:
    """Gunicorn's hook, when its sockets listen: what they accept may not fall silent for long.

    Without this a few connections that stop in the middle of a request hold all threads. Accepted
    sockets inherit the option (Linux). It bounds each silence; :class:`Worker` bounds the whole. A
    proxy that reads requests whole before it passes them on is still wanted in front.
    """
    silence = struct.pack("ll", SILENCE_SECONDS, 0)
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)


def _renew(server: Any) -> None:
    found = hot_reload.reload_or_keep(lambda: _loaded(settings_from()))
    if found is not None:
        _hold(found)
        server.reload()


def _loaded(settings: Settings) -> Mapping[str, Source]:
    """All sources, each with its secrets at hand. Raises ConfigurationError."""
    found = registry.load(settings.mappings_dir, settings.policy)
    endpoints.build_endpoints(found, settings)
    return found


def _hold(found: Mapping[str, Source]) -> None:
    global _held  # noqa: PLW0603 - one main process, and forks of it
    _held = found
