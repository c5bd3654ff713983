"""Configure gunicorn for the web process, and make it reload mappings without downtime.

Gunicorn's main process loads the settings and sources before it forks its workers, so a restarted
worker uses the last valid sources even if the files have changed. SIGHUP makes the main process
reload them, including secrets in files. If they are valid, new workers use them while the old
workers finish their requests. If they are invalid, the problems are logged, and nothing changes.

Gunicorn also reads this module as its configuration: it calls :func:`on_starting`.
"""

import contextlib
import fcntl
import functools
import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

import flask

import adapter
from adapter import app, logs, services, tracing
from adapter.exceptions import StoreUnavailable, WrongSchema
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.operations.alarm_watch import WATCH_SECONDS, Watch
from adapter.operations.live_sources import REFRESH_SECONDS
from adapter.pipeline import Pipeline
from adapter.server import hot_reload
from adapter.server.heartbeat import HEARTBEAT_SECONDS, Heart
from adapter.server.repeat import repeat
from adapter.server.web_worker import SEND_BUFFER_BYTES, Worker
from adapter.settings import Settings, name_connections, settings_from
from adapter.store import DatabaseClock
from adapter.store.meter import SAVE_SECONDS
from adapter.webhooks import endpoints

log = logging.getLogger(__name__)

#: How often each process compares its clock with PostgreSQL's.
CLOCK_SECONDS = 30.0
#: Gunicorn ends if a worker exits with this code, because the next one would fail too.
BOOT_ERROR = 3
#: A file that forks inherit. The worker that has locked it reports for the main process, which runs
#: no threads of its own, because a fork could hang if another thread held a lock.
_reporter = tempfile.TemporaryFile()  # noqa: SIM115 - it is never closed
#: The settings and sources of the main process, which forks inherit.
_loaded: tuple[Settings, Mapping[str, Source]] | None = None


def create_app() -> flask.Flask:
    """Create a gunicorn worker's WSGI application, and log an error if that fails."""
    try:
        return _create_app()
    except Exception:
        log.critical("process_crashed", exc_info=True)
        sys.exit(BOOT_ERROR)


def _create_app() -> flask.Flask:
    settings, sources = _loaded or (settings_from(), None)
    logs.configure(settings.log_level)
    logs.log_crashes()
    tracing.configure(settings.traces_url, adapter.__version__)
    created = app.create_app(settings, DatabaseClock(), sources)
    pipeline = created.extensions["pipeline"]
    refresh = functools.partial(_if_migrated, pipeline, created.extensions["refresh_sources"])
    save = functools.partial(_if_migrated, pipeline, pipeline.store.save_metrics)
    for name, step, seconds in (
        ("clock", pipeline.sync_clock, CLOCK_SECONDS),
        ("metrics", save, SAVE_SECONDS),
        ("sources", refresh, REFRESH_SECONDS),
    ):
        arguments = (name, step, seconds, threading.Event())
        threading.Thread(target=repeat, args=arguments, name=name, daemon=True).start()
    threading.Thread(target=_report, args=[pipeline], name="heartbeat", daemon=True).start()
    return created


def worker_exit(_server: Any, worker: Any) -> None:
    """Save a gunicorn worker's metrics and send its traces before it exits."""
    pipeline = worker.wsgi.extensions["pipeline"] if worker.wsgi is not None else None
    if pipeline is not None and not pipeline.store.is_away:
        with contextlib.suppress(StoreUnavailable):
            pipeline.store.save_metrics()
    tracing.shut_down()


def _report(pipeline: Pipeline) -> None:
    """Store heartbeats and send alarms for gunicorn's main process from a single worker."""
    fcntl.lockf(_reporter, fcntl.LOCK_EX)
    heart = Heart(pipeline, "web", os.getppid())
    watch = Watch(
        pipeline.settings,
        pipeline.store,
        lambda: pipeline.sources,
        pipeline.clock,
        reports_outages=True,
    )
    look = functools.partial(_if_migrated, pipeline, watch.step)
    alarms = ("alarms", look, WATCH_SECONDS, Worker.stopping)
    threading.Thread(target=repeat, args=alarms, name="alarms", daemon=True).start()
    beat = functools.partial(_if_migrated, pipeline, heart.beat)
    repeat("heartbeat", beat, HEARTBEAT_SECONDS, Worker.stopping)
    fcntl.lockf(_reporter, fcntl.LOCK_UN)  # after a reload, a new worker reports


def _if_migrated(pipeline: Pipeline, step: Callable[[], object]) -> None:
    """Call ``step`` if PostgreSQL is available and the database's schema is usable."""
    with contextlib.suppress(StoreUnavailable):
        try:
            pipeline.store.check_schema()
        except WrongSchema:
            return
    step()


def on_starting(server: Any) -> None:
    """Load all sources in gunicorn's main process. Gunicorn calls this function first."""
    name_connections("web")
    settings = settings_from()
    logs.configure(settings.log_level)
    logs.log_crashes()
    services.log_service_links(settings)
    _load(settings)
    # Gunicorn's own SIGHUP handler shuts down everything if the new workers do not start.
    server.handle_hup = functools.partial(_reload, server)


def when_ready(server: Any) -> None:
    """Enlarge the send buffers, so that a sender that does not read cannot block a thread.

    Accepted sockets inherit the option. Gunicorn calls this once its sockets are listening.
    """
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if _loaded is not None:
        facts = services.start_facts(*_loaded)
        log.info("web_started", extra={**facts, "address": ", ".join(map(str, server.LISTENERS))})


def _reload(server: Any) -> None:
    former = _loaded[0] if _loaded else settings_from()
    if hot_reload.reload_or_keep(lambda: _load(former.reread())):
        server.reload()


def _load(settings: Settings) -> bool:
    """Load all sources. Raise ConfigurationError if one is invalid or a secret is missing."""
    global _loaded  # noqa: PLW0603 - set in the main process only
    sources = registry.load(settings.mappings_dir, settings.policy)
    endpoints.build_endpoints(sources, settings)
    for name in endpoints.untrimmed_secrets(sources, settings):
        log.warning("secret_not_trimmed", extra={"variable": name})
    hot_reload.log_problems(settings)
    _loaded = settings, sources
    Worker.max_body_bytes = settings.max_body_bytes
    return True
