"""The console: what waits for a person, and one lead's whole story. Pages for people.

Every page shows what a command shows and every form does what a command does, by the same
functions. Nothing here decides anything about a lead.
"""

from collections.abc import Mapping

import flask

from adapter.console import actions, auth, error_pages, playground, views
from adapter.console.context import ConsoleServices
from adapter.console.display import render_value, typed
from adapter.pipeline import Pipeline
from adapter.signatures import Verifier

__all__ = ["add_console"]


def add_console(app: flask.Flask, pipeline: Pipeline, verifiers: Mapping[str, Verifier]) -> None:
    """Puts the console under ``/console``. ``verifiers``: of each source, for its rejections."""
    services = ConsoleServices.of(pipeline, verifiers)
    app.jinja_options = {**app.jinja_options, "finalize": render_value}
    app.add_template_filter(typed)
    routes = flask.Blueprint(
        "console",
        __name__,
        url_prefix="/console",
        static_folder="static",
        template_folder="templates",
    )
    auth.init_auth(app, routes, services)
    views.add_to(routes, services)
    actions.add_to(routes, services)
    playground.add_to(routes, services)
    error_pages.register_error_pages(routes, services)
    app.register_blueprint(routes)
    app.add_url_rule("/", "home", lambda: flask.redirect(flask.url_for("console.overview")))
