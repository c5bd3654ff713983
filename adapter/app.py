"""Build the web process's WSGI application."""

import functools
import logging
import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import flask

from adapter import console
from adapter.bookings.invitations import renter_links
from adapter.bookings.renter_tours import RenterTours
from adapter.console import lead_api, metrics_page
from adapter.exceptions import StoreUnavailable, WrongSchema
from adapter.mapping.registry import drafts_in
from adapter.mapping.source import Source
from adapter.models import Clock, utc_now
from adapter.operations.start_checks import database_url
from adapter.pipeline import Pipeline
from adapter.services import pipeline_from
from adapter.settings import Settings
from adapter.store import Database, listen_for_settled_events
from adapter.webhooks import error_handlers, propexo_views, renter_pages, self_check, views
from adapter.webhooks.endpoints import Endpoint, build_endpoints, unsigned_sources
from adapter.webhooks.http_request import tolerate_paths
from adapter.webhooks.outcome_waiter import OutcomeWaiter

log = logging.getLogger(__name__)

#: If a statement takes longer, the sender gets 503, because most senders time out after ten
#: seconds.
STATEMENT_SECONDS = 5.0
#: How long /readyz relies on a successful check that the database can be written to.
ROOM_SECONDS = 5.0


def create_app(
    settings: Settings,
    clock: Clock = utc_now,
    all_sources: Mapping[str, Source] | None = None,
) -> flask.Flask:
    """Build the WSGI application. Raise ConfigurationError if a mapping or secret is invalid.

    Load the sources from the mappings folder unless ``all_sources`` is given.
    """
    pipeline = pipeline_from(settings, _database(settings), clock, all_sources)
    endpoints = build_endpoints(pipeline.sources, settings)
    pipeline.store.open()
    app = _empty_app(settings)
    app.extensions["pipeline"] = pipeline
    _add_webhooks(app, pipeline, endpoints)
    _add_renter_pages(app, pipeline)
    _add_health(app, pipeline)
    verifiers = {name: endpoint.verifier for name, endpoint in endpoints.items()}
    console.add_console(app, pipeline, verifiers)
    app.register_blueprint(metrics_page.blueprint(pipeline))
    app.register_blueprint(lead_api.blueprint(pipeline))
    return app


def _database(settings: Settings) -> Database:
    """Return the database, with connections for all threads of a web process."""
    return Database(
        database_url(settings),
        # One connection for each request thread, one for background writes, and one for the
        # notifier.
        size=settings.web_threads + 2,
        statement_seconds=STATEMENT_SECONDS,
        keys=settings.encryption_keys,
    )


def _empty_app(settings: Settings) -> flask.Flask:
    """Create the Flask application with error handlers, but without pages."""
    app = flask.Flask("adapter", static_folder=None)
    # A redirect to the path without the second slash would contain the request's Host header.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.wsgi_app = tolerate_paths(app.wsgi_app)  # type: ignore[method-assign] # as Flask documents
    error_handlers.register_error_handlers(app)
    return app


def _add_webhooks(app: flask.Flask, pipeline: Pipeline, endpoints: Mapping[str, Endpoint]) -> None:
    """Add the endpoints that receive webhooks from senders and from Propexo."""
    settings = pipeline.settings
    drafts = drafts_in(settings.mappings_dir)
    waiter = outcome_waiter(pipeline.store, settings)
    webhooks = views.WebhookServices(pipeline.receiver, endpoints, waiter, drafts)
    app.extensions["webhooks"] = webhooks
    app.extensions["refresh_sources"] = functools.partial(refresh_sources, pipeline, webhooks)
    app.register_blueprint(views.bp)
    if (secret := settings.propexo_webhook_secret) is not None:
        app.register_blueprint(propexo_views.blueprint(pipeline.follower, secret))
    for name in unsigned_sources(pipeline.sources):
        log.warning("source_is_open", extra={"source": name})


def _add_renter_pages(app: flask.Flask, pipeline: Pipeline) -> None:
    """Add the pages for renters if the adapter's public URL is set."""
    settings, store, clock = pipeline.settings, pipeline.store, pipeline.clock
    links = renter_links(settings, store, clock)
    if links is not None:
        free, sources = pipeline.free_times, lambda: pipeline.sources
        tours = RenterTours(settings, store, sources, free, clock)
        app.register_blueprint(renter_pages.blueprint(settings, tours, links, clock))


def refresh_sources(pipeline: Pipeline, webhooks: views.WebhookServices) -> None:
    """Load the changes that users made to mappings and communities in the console."""
    pipeline.refresh_sources()
    webhooks.use(pipeline.sources)


def outcome_waiter(store: Database, settings: Settings) -> OutcomeWaiter:
    """Create an OutcomeWaiter that lets at most half of the web threads wait at once."""
    return OutcomeWaiter(
        lambda: listen_for_settled_events(store.url), max_waiters=max(1, settings.web_threads // 2)
    )


class Readiness:
    """Tells ``/readyz`` whether webhooks can be stored."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._checked_at = -math.inf

    def problem(self) -> str | None:
        """Return the reason that webhooks cannot be stored now, or None if they can be stored."""
        try:
            # A newer version's schema is acceptable, because a release may be rolled back.
            self._store.check_schema()
        except WrongSchema as exc:
            return str(exc)
        except StoreUnavailable:
            return "PostgreSQL cannot be reached"
        try:
            self._check_room()
        except StoreUnavailable:
            return "PostgreSQL cannot write: its disk is full, or it is read-only"
        return None

    def _check_room(self) -> None:
        """Raise StoreUnavailable if PostgreSQL cannot write. Check only once every few seconds."""
        with self._lock:
            if time.monotonic() - self._checked_at > ROOM_SECONDS:
                self._store.check_room()
                self._checked_at = time.monotonic()


def _add_health(app: flask.Flask, pipeline: Pipeline) -> None:
    settings, store, clock = pipeline.settings, pipeline.store, pipeline.clock
    readiness = Readiness(store)

    @app.get("/healthz")
    def alive() -> dict[str, Any]:
        seen = self_check.arrival(flask.request, settings, store, clock().timestamp())
        return {"status": "alive"} | ({"seen": seen} if seen is not None else {})

    @app.get("/readyz")
    def ready() -> tuple[dict[str, Any], int]:
        if problem := readiness.problem():
            return {"status": "not ready", "reason": problem}, 503
        return {"status": "ready"}, 200
