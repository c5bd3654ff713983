"""The console: what waits for a person, and one lead's whole story. Pages for people.

Every page shows what a command shows and every form does what a command does, by the same
functions. Nothing here decides anything about a lead.
"""

from collections.abc import Mapping

import flask

from adapter.console import actions, auth, error_pages, playground, views
from adapter.console.context import Rooms
from adapter.console.display import finalize, typed
from adapter.pipeline import Pipeline
from adapter.signatures import Verifier

__all__ = ["add_console"]


def add_console(app: flask.Flask, pipeline: Pipeline, verifiers: Mapping[str, Verifier]) -> None:
    """Puts the console under ``/console``. ``verifiers``: of each source, for its rejections."""
    rooms = Rooms.of(pipeline, verifiers)
    app.jinja_options = {**app.jinja_options, "finalize": finalize}
    app.add_template_filter(typed)
    routes = flask.Blueprint(
        "console",
        __name__,
        url_prefix="/console",
        static_folder="static",
        template_folder="templates",
    )
    auth.guard(app, routes, rooms)
    views.add_to(routes, rooms)
    actions.add_to(routes, rooms)
    playground.add_to(routes, rooms)
    error_pages.answer_errors(routes, rooms)
    app.register_blueprint(routes)
    app.add_url_rule("/", "home", lambda: flask.redirect(flask.url_for("console.overview")))
