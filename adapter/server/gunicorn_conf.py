"""Configure gunicorn for the web process, including reloading mappings.

Gunicorn's main process loads the sources before it forks its workers, so a restarted worker uses
the last valid set even if the files have changed. SIGHUP to the main process reloads the set. New
workers use a valid set while the old ones finish their requests. An invalid set is logged and
ignored.

Gunicorn also reads this module as its configuration: it calls :func:`on_starting`.
"""

import functools
import logging
import socket
from collections.abc import Mapping
from typing import Any

import flask

from adapter import app, logs
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.server import hot_reload
from adapter.server.web_worker import SEND_BUFFER_BYTES
from adapter.settings import Settings, settings_from
from adapter.webhooks import endpoints

log = logging.getLogger(__name__)

_sources: Mapping[str, Source] | None = None


def create_app() -> flask.Flask:
    """Return a worker's WSGI application, with the sources from the main process."""
    settings = settings_from()
    logs.configure(settings.log_level)
    return app.create_app(settings, all_sources=_sources)


def on_starting(server: Any) -> None:
    """Load the sources in the main process. Gunicorn calls this first."""
    settings = settings_from()
    logs.configure(settings.log_level)
    _set_sources(_load(settings))
    # Gunicorn's own SIGHUP handler shuts everything down if the new workers do not start.
    server.handle_hup = functools.partial(_reload, server)


def when_ready(server: Any) -> None:
    """Let the system keep the response of a sender that does not read it (see `web_worker`).

    Accepted sockets inherit the option. Gunicorn calls this when its sockets listen.
    """
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


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
