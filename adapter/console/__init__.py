"""Serve the web console, where users review leads and see their history.

Each page and form corresponds to a command, and calls the same functions in
:mod:`adapter.operations`. Nothing in this package decides what happens to a lead.
"""

from collections.abc import Mapping

import flask

# Importing the modules registers their views on the blueprint.
from adapter.console import (  # noqa: F401
    access,
    actions,
    activity,
    community_pages,
    community_settings,
    decision_pages,
    error_pages,
    health_page,
    layout,
    lead_actions,
    ledger_pages,
    needs_you,
    people_pages,
    playground,
    read_again,
    rejection_pages,
    source_pages,
    undo,
    views,
)
from adapter.console.context import ConsoleServices, bp
from adapter.console.display import render_value
from adapter.pipeline import Pipeline
from adapter.signatures import Verifier

__all__ = ["add_console"]


def add_console(app: flask.Flask, pipeline: Pipeline, verifiers: Mapping[str, Verifier]) -> None:
    """Add the console to a Flask application, under ``/console``."""
    app.extensions["console"] = ConsoleServices(pipeline, verifiers)
    app.jinja_options = {**app.jinja_options, "finalize": render_value}
    access.init_access(app)
    app.register_blueprint(bp)
    app.add_url_rule("/", "home", lambda: flask.redirect(flask.url_for("console.overview")))
