"""The web process under gunicorn, and how it reloads mappings.

Gunicorn's main process loads the sources before it forks its workers. A worker that is restarted
therefore serves the last valid set, whatever is on disk by then. SIGHUP to the main process reloads
the set. A valid one goes to new workers while the old ones finish their requests; an invalid one is
logged and changes nothing.

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
from adapter.store import map_task  # noqa: F401 - imported before the fork, not by the first webhook
from adapter.webhooks import endpoints

log = logging.getLogger(__name__)

_sources: Mapping[str, Source] | None = None


def create_app() -> flask.Flask:
    """Return a worker's WSGI application, with the sources of the main process."""
    settings = settings_from()
    logs.configure(settings.log_level)
    return app.create_app(settings, all_sources=_sources)


def on_starting(server: Any) -> None:
    """Load the sources in the main process. Gunicorn calls this first."""
    settings = settings_from()
    logs.configure(settings.log_level)
    _set_sources(_load(settings))
    # Gunicorn's own SIGHUP handler ends everything if the new workers do not start.
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
    global _sources  # noqa: PLW0603 - one main process, and forks of it
    _sources = sources
