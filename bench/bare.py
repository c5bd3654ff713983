"""Serve two baselines for acknowledging webhooks: an empty 204 response, and a single INSERT."""

import flask

from adapter.settings import settings_from
from adapter.store import Database


def empty() -> flask.Flask:
    """Respond with 204 without reading the body, to measure the server and framework alone."""
    app = _app()

    @app.post("/hooks/<source>")
    def answer(source: str) -> tuple[str, int]:  # noqa: ARG001 - the route's
        return "", 204

    return app


def insert() -> flask.Flask:
    """Commit the body with one INSERT, the minimum work for storing it before responding."""
    app = _app()
    settings = settings_from()
    assert settings.database_url is not None
    store = Database(settings.database_url, size=settings.web_threads)
    store.open()

    @app.post("/hooks/<source>")
    def answer(source: str) -> tuple[dict[str, str], int]:
        body = flask.request.get_data(cache=False)
        with store.transaction() as tx:
            tx.connection.execute(
                "INSERT INTO bench_bodies (source, body) VALUES (%s, %s)", (source, body)
            )
        return {"status": "accepted"}, 200

    return app


def _app() -> flask.Flask:
    app = flask.Flask("bench", static_folder=None)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app
