"""The console: what waits for a person, and one lead's whole story. Pages for people.

Every page shows what a command shows and every form does what a command does, by the same
functions. Nothing here decides anything about a lead.
"""

from collections.abc import Mapping

import flask

from adapter.console import acts, doors, pages, trying
from adapter.console.rooms import Rooms
from adapter.console.shown import finalize, typed
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
    doors.guard(app, routes, rooms)
    pages.add_to(routes, rooms)
    acts.add_to(routes, rooms)
    trying.add_to(routes, rooms)
    doors.answer_errors(routes, rooms)
    app.register_blueprint(routes)
    app.add_url_rule("/", "home", lambda: flask.redirect(flask.url_for("console.overview")))
