"""The web process: ``adapter.app:create_app()`` for gunicorn."""

from collections.abc import Mapping
from typing import Any

import flask

from adapter import logs, receiver, signatures, sources
from adapter.config import Settings, settings_from
from adapter.embedded import EmbeddedServer
from adapter.exceptions import ConfigurationError, StoreUnavailable
from adapter.pipeline import Pipeline
from adapter.propexo import Propexo
from adapter.sources import Source
from adapter.store import Store

#: The token that the sandbox takes when no other is set.
SANDBOX_TOKEN = "sandbox"  # noqa: S105 - it opens nothing


def create_app(settings: Settings | None = None) -> flask.Flask:
    """The WSGI application. Refuses to start (ConfigurationError) on a wrong mapping or secret."""
    if settings is None:
        settings = settings_from()
        logs.configure(settings.log_level)
    app = flask.Flask("adapter", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1  # receiver says why
    pipeline = pipeline_from(settings, Store(database_url(settings), size=settings.web_threads))
    pipeline.store.open()
    app.extensions["pipeline"] = pipeline
    receiver.answer_errors(app)
    app.register_blueprint(receiver.blueprint(pipeline, verifiers_from(pipeline.sources, settings)))
    _add_health(app, pipeline.store)
    return app


def check(settings: Settings) -> None:
    """Raises ConfigurationError for a wrong mapping or a missing secret. Starts nothing."""
    verifiers_from(sources.load(settings.mappings_dir, settings.policy), settings)


def pipeline_from(settings: Settings, store: Store) -> Pipeline:
    """The pipeline that these settings describe, over ``store``."""
    return Pipeline(
        settings,
        store,
        sources.load(settings.mappings_dir, settings.policy),
        propexo_from(settings),
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


def verifiers_from(
    all_sources: Mapping[str, Source], settings: Settings
) -> dict[str, signatures.Verifier]:
    """A verifier for each source. Raises ConfigurationError that names every missing secret."""
    faults, verifiers = [], {}
    for source in all_sources.values():
        missing = [name for name in source.secrets if not settings.environ.get(name)]
        faults += [f"{source.path}: {name} is not set; it holds a secret" for name in missing]
        if not missing:
            verifiers[source.name] = verifier_of(source, settings)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return verifiers


def verifier_of(source: Source, settings: Settings) -> signatures.Verifier:
    """The verifier of one source, with its secrets out of the environment."""
    secrets = [settings.environ.get(name, "") for name in source.secrets]
    try:
        return signatures.verifier(source.signature, secrets)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{source.path}: signature: {exc}") from exc


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
