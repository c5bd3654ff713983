"""Configure gunicorn for the web process, including reloading mappings.

Gunicorn's main process loads the sources before it forks its workers, so a restarted worker uses
the last valid set even if the files have changed. SIGHUP to the main process reloads the set. New
workers use a valid set while the old ones finish their requests. An invalid set is logged and
ignored.

Gunicorn also reads this module as its configuration: it calls :func:`on_starting`.
"""

import contextlib
import functools
import logging
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import flask
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

from adapter import app, logs
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.server import hot_reload
from adapter.settings import Settings, settings_from
from adapter.store import map_task  # noqa: F401 - imported before the fork, not by the first webhook
from adapter.webhooks import endpoints

log = logging.getLogger(__name__)

#: A sender that is silent for this long in the middle of a request is disconnected.
SILENCE_SECONDS = 10

#: Time limit for reading and answering a request, because a slow sender could block a thread
#: forever. Senders may wait 25 seconds for an outcome, in addition to storing.
REQUEST_SECONDS = 40.0

#: Reasons for requests that gunicorn rejects, other than ``bad_request``.
_PARSE_REASONS = {
    LimitRequestLine: "request_uri_too_large",
    LimitRequestHeaders: "request_header_fields_too_large",
}

_sources: Mapping[str, Source] | None = None


#: Pause after accepting a connection, so that another worker gets the next one. Otherwise one
#: worker would accept a whole burst and keep all of its connections.
ACCEPT_BACKOFF_SECONDS = 0.001


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's threaded worker, with evenly spread connections and a request time limit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._began: dict[Any, float] = {}
        self._backoff_until = 0.0
        self._paused = False

    def accept(self, listener: Any) -> None:
        """Accept one connection, then let the other workers go first."""
        super().accept(listener)
        if self.cfg.workers > 1:
            self._backoff_until = time.monotonic() + ACCEPT_BACKOFF_SECONDS
            self.set_accept_enabled(False)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - gunicorn's
        """Refuse to accept while pausing. Gunicorn calls this in each loop."""
        self._paused = enabled and self._backoff_remaining() > 0
        super().set_accept_enabled(enabled and not self._paused)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, but no longer than the pause."""
        super().wait_for_and_dispatch_events(self._backoff_remaining() if self._paused else timeout)

    def _backoff_remaining(self) -> float:
        return max(0.0, self._backoff_until - time.monotonic())

    def handle(self, conn: Any) -> Any:
        """Handle one request in a thread and note when it began."""
        self._began[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._began.pop(conn, None)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer and count a request with invalid HTTP, which never reaches the application."""
        if isinstance(exc, ParseException):
            reason = _PARSE_REASONS.get(type(exc), "bad_request")
            log.warning("webhook_rejected", extra={"source": None, "reason": reason})
            self.wsgi.extensions["pipeline"].receiver.background_writer.count("", reason)
        super().handle_error(req, client, addr, exc)

    def notify(self) -> None:
        """Send gunicorn's heartbeat, about once a second, and disconnect overdue requests."""
        super().notify()
        for conn, began in self._began.copy().items():
            if time.monotonic() - began > REQUEST_SECONDS:
                self._began.pop(conn, None)
                log.warning("request_cut_off")
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


def create_app() -> flask.Flask:
    """Return a worker's WSGI application, with the sources from the main process."""
    settings = settings_from()
    logs.configure(settings.log_level)
    # Gunicorn would log the text of an invalid request and the sender's address.
    logging.getLogger("gunicorn.error").addFilter(_is_without_text)
    return app.create_app(settings, all_sources=_sources)


def _is_without_text(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Invalid request from")


def on_starting(server: Any) -> None:
    """Load the sources in the main process. Gunicorn calls this first."""
    settings = settings_from()
    logs.configure(settings.log_level)
    _set_sources(_load(settings))
    # Gunicorn's own SIGHUP handler shuts everything down if the new workers do not start.
    server.handle_hup = functools.partial(_reload, server)


def when_ready(server: Any) -> None:
    """Set a receive timeout on the listening sockets. Gunicorn calls this when they are open.

    Without it, a few connections that stop in the middle of a request would block all threads.
    Accepted sockets inherit the option (on Linux). It limits each pause, and :class:`Worker` limits
    the whole request. A buffering proxy in front is still recommended.
    """
    timeout = struct.pack("ll", SILENCE_SECONDS, 0)
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)


def _reload(server: Any) -> None:
    sources = hot_reload.reload_or_keep(lambda: _load(settings_from()))
    if sources is not None:
        _set_sources(sources)
        server.reload()


def _load(settings: Settings) -> Mapping[str, Source]:
    """Load all sources. Raise ConfigurationError for an invalid one or a missing secret."""
    sources = registry.load(settings.mappings_dir, settings.policy)
    endpoints.build_endpoints(sources, settings)
    for name in endpoints.untrimmed_secrets(sources, settings):
        log.warning("secret_not_trimmed", extra={"variable": name})
    return sources


def _set_sources(sources: Mapping[str, Source]) -> None:
    global _sources  # noqa: PLW0603 - set once in the main process and inherited by forks
    _sources = sources
