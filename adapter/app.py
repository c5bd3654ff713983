"""The web process: ``adapter.app:create_app()`` for gunicorn."""

import logging
from collections.abc import Mapping
from typing import Any

import flask

from adapter import console, logs, metrics, notices, receiver, signatures, sources
from adapter.answers import Respond
from adapter.config import SANDBOX_TOKEN, Settings, settings_from
from adapter.embedded import EmbeddedServer
from adapter.events import Clock, utc_now
from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.lobby import Lobby
from adapter.pipeline import Pipeline
from adapter.propexo import Propexo
from adapter.signatures import handshakes
from adapter.sources import Source
from adapter.store import Store, settlements

log = logging.getLogger(__name__)

#: A sender is told 503 when a statement takes longer: most give up after ten seconds.
PATIENCE_SECONDS = 5.0


def create_app(
    settings: Settings | None = None,
    clock: Clock = utc_now,
    all_sources: Mapping[str, Source] | None = None,
) -> flask.Flask:
    """The WSGI application. Refuses to start (ConfigurationError) on a wrong mapping or secret.

    Without ``all_sources`` they are loaded from the mappings folder.
    """
    if settings is None:
        settings = settings_from()
        logs.configure(settings.log_level)
    app = flask.Flask("adapter", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    # A connection for each thread that answers, one for the journal and one for the herald.
    store = Store(
        database_url(settings), size=settings.web_threads + 2, statement_seconds=PATIENCE_SECONDS
    )
    pipeline = pipeline_from(settings, store, clock, all_sources)
    entrances = entrances_from(pipeline.sources, settings)
    pipeline.store.open()
    app.extensions["pipeline"] = pipeline
    receiver.answer_errors(app)
    app.register_blueprint(receiver.blueprint(pipeline, entrances, lobby_for(store, settings)))
    if settings.propexo_webhook_secret is not None:
        app.register_blueprint(notices.blueprint(pipeline, settings.propexo_webhook_secret))
    for name in open_sources(pipeline.sources):
        log.warning("source_is_open", extra={"source": name})
    _add_health(app, pipeline.store)
    verifiers = {name: entrance.verifier for name, entrance in entrances.items()}
    console.add_console(app, pipeline, verifiers)
    app.register_blueprint(metrics.blueprint(pipeline))
    return app


def lobby_for(store: Store, settings: Settings) -> Lobby:
    """Half of the threads may wait; the others take webhooks in all the same."""
    return Lobby(lambda: settlements(store.url), seats=max(1, settings.web_threads // 2))


def check(settings: Settings) -> None:
    """Raises ConfigurationError for a wrong mapping or a missing secret. Starts nothing."""
    entrances_from(sources.load(settings.mappings_dir, settings.policy), settings)


def pipeline_from(
    settings: Settings,
    store: Store,
    clock: Clock = utc_now,
    all_sources: Mapping[str, Source] | None = None,
) -> Pipeline:
    """The pipeline that these settings describe, over ``store``."""
    if all_sources is None:
        all_sources = sources.load(settings.mappings_dir, settings.policy)
    return Pipeline(
        settings,
        store,
        all_sources,
        propexo_from(settings),
        clock,
    )


def propexo_from(settings: Settings) -> Propexo:
    """The client; without a token, the sandbox's."""
    if settings.propexo_token is None:
        url, token = f"http://127.0.0.1:{settings.sandbox_port}", SANDBOX_TOKEN
    else:
        url, token = settings.propexo_base_url, settings.propexo_token
    return Propexo(url, token, timeout_seconds=settings.propexo_timeout_seconds)


def database_url(settings: Settings) -> str:
    """Where PostgreSQL is: DATABASE_URL, else the embedded server's socket."""
    return settings.database_url or EmbeddedServer(settings.data_dir).url


def open_sources(all_sources: Mapping[str, Source]) -> list[str]:
    """Names of the sources that prove nothing: anybody who knows their address may send."""
    return [
        source.name
        for source in all_sources.values()
        if signatures.scheme_of(source.signature) == "none"
    ]


def entrances_from(
    all_sources: Mapping[str, Source], settings: Settings
) -> dict[str, receiver.Entrance]:
    """What each source comes in by. Raises ConfigurationError that names all that is missing."""
    faults, entrances = [], {}
    for source in all_sources.values():
        try:
            entrances[source.name] = entrance_of(source, settings)
        except ConfigurationError as exc:
            faults.append(str(exc))
    if faults:
        raise ConfigurationError("\n".join(faults))
    return entrances


def entrance_of(source: Source, settings: Settings) -> receiver.Entrance:
    """What one source comes in by: its verifier and its handshake, with their secrets."""
    handshake = _handshake_of(source)
    variable = handshake.variable if handshake else None
    secrets = [*source.secrets, *([variable] if variable else [])]
    missing = [name for name in secrets if not settings.environ.get(name, "").strip()]
    if missing:
        raise ConfigurationError(
            "\n".join(f"{source.path}: {name} is not set; it holds a secret" for name in missing)
        )
    verifier = verifier_of(source, settings)
    if verifier.signs_url and settings.public_url is None:
        raise ConfigurationError(
            f"{source.path}: its signature covers the address that the sender calls: "
            "set ADAPTER_PUBLIC_URL to its beginning, such as https://leads.example.com"
        )
    return receiver.Entrance(
        source=source,
        verifier=verifier,
        handshake=handshake.kind if handshake else None,
        verify_token=settings.environ[variable] if variable else "",
        respond=Respond.from_section(source.respond) if source.respond is not None else None,
    )


def verifier_of(source: Source, settings: Settings) -> signatures.Verifier:
    """The verifier of one source, with its secrets out of the environment."""
    secrets = [settings.environ.get(name, "") for name in source.secrets]
    try:
        return signatures.verifier(source.signature, secrets)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{source.path}: signature: {exc}") from exc


def _handshake_of(source: Source) -> handshakes.Handshake | None:
    try:
        return handshakes.handshake_from(source.handshake)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{source.path}: {exc}") from exc


def _add_health(app: flask.Flask, store: Store) -> None:
    @app.get("/healthz")
    def alive() -> dict[str, Any]:
        return {"status": "alive"}

    @app.get("/readyz")
    def ready() -> tuple[dict[str, Any], int]:
        try:
            lacks = store.lacks()
        except StoreUnavailable:
            return {"status": "not ready", "reason": "PostgreSQL cannot be reached"}, 503
        if lacks:
            return {"status": "not ready", "reason": "run adapter migrate"}, 503
        return {"status": "ready"}, 200
