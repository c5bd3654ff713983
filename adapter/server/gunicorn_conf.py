"""Configure gunicorn for the web process, including reloading mappings.

Gunicorn's main process loads the settings and sources before it forks its workers, so a restarted
worker uses the last valid set even if the files have changed. SIGHUP to the main process reloads
the set, including secrets in files. New workers use a valid set while the old ones finish their
requests. An invalid set is logged and ignored.

Gunicorn also reads this module as its configuration: it calls :func:`on_starting`.
"""

import fcntl
import functools
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

import flask

from adapter import app, logs
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.operations.alarm_watch import WATCH_SECONDS, Watch
from adapter.pipeline import Pipeline
from adapter.server import hot_reload
from adapter.server.heartbeat import HEARTBEAT_SECONDS, Heart
from adapter.server.repeat import repeat
from adapter.server.web_worker import SEND_BUFFER_BYTES, Worker
from adapter.settings import Settings, settings_from
from adapter.webhooks import endpoints

log = logging.getLogger(__name__)

#: A file that forks inherit. The worker that has locked it reports for the main process, which has
#: no threads, because a fork while another thread holds a lock could hang.
_reporter = tempfile.TemporaryFile()  # noqa: SIM115 - it is never closed
#: The settings and sources of the main process, which forks inherit.
_loaded: tuple[Settings, Mapping[str, Source]] | None = None


def create_app() -> flask.Flask:
    """Return a worker's WSGI application, using what the main process has loaded."""
    settings, sources = _loaded or (settings_from(), None)
    logs.configure(settings.log_level)
    created = app.create_app(settings, all_sources=sources)
    pipeline = created.extensions["pipeline"]
    threading.Thread(target=_report, args=[pipeline], name="heartbeat", daemon=True).start()
    return created


def _report(pipeline: Pipeline) -> None:
    """Send the main process's heartbeats and the alarms, once the former reporter has ended."""
    fcntl.lockf(_reporter, fcntl.LOCK_EX)
    heart = Heart(pipeline, "web", os.getppid())
    watch = Watch(
        pipeline.settings,
        pipeline.store,
        lambda: pipeline.sources,
        pipeline.clock,
        tells_outages=True,
    )
    never = threading.Event()
    alarms = ("alarms", watch.step, WATCH_SECONDS, never)
    threading.Thread(target=repeat, args=alarms, name="alarms", daemon=True).start()
    repeat("heartbeat", heart.beat, HEARTBEAT_SECONDS, never)


def on_starting(server: Any) -> None:
    """Load the sources in the main process. Gunicorn calls this first."""
    settings = settings_from()
    logs.configure(settings.log_level)
    _load(settings)
    # Gunicorn's own SIGHUP handler shuts everything down if the new workers do not start.
    server.handle_hup = functools.partial(_reload, server)


def when_ready(server: Any) -> None:
    """Let the system buffer responses for senders that do not read them (see `web_worker`).

    Accepted sockets inherit the option. Gunicorn calls this when its sockets listen.
    """
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def _reload(server: Any) -> None:
    former = _loaded[0] if _loaded else settings_from()
    if hot_reload.reload_or_keep(lambda: _load(former.reread())):
        server.reload()


def _load(settings: Settings) -> bool:
    """Load all sources. Raise ConfigurationError for an invalid one or a missing secret."""
    global _loaded  # noqa: PLW0603 - set in the main process only
    sources = registry.load(settings.mappings_dir, settings.policy)
    endpoints.build_endpoints(sources, settings)
    for name in endpoints.untrimmed_secrets(sources, settings):
        log.warning("secret_not_trimmed", extra={"variable": name})
    hot_reload.log_problems(settings)
    _loaded = settings, sources
    Worker.max_body_bytes = settings.max_body_bytes
    return True
