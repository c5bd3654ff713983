"""Answer the console's errors as pages."""

import logging
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

from adapter.console.context import ConsoleServices
from adapter.exceptions import NotPossible, StoreUnavailable

log = logging.getLogger(__name__)


def register_error_pages(routes: flask.Blueprint, services: ConsoleServices) -> None:  # noqa: ARG001 - as the others
    """Every error of the console as a page that says what to do."""

    @routes.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[str, int]:
        return _page(error.name or "Error", error.description or "", error.code or 500)

    @routes.errorhandler(NotPossible)
    def not_possible(error: NotPossible) -> tuple[str, int]:
        return _page("That cannot be done", str(error), 409)

    @routes.errorhandler(StoreUnavailable)
    def store_unavailable(error: StoreUnavailable) -> tuple[str, int]:
        log.error("store_unavailable", extra={"reason": str(error)})
        text = "The database cannot be reached. Webhooks are answered with 503 and come again."
        return _page("Not now", text, 503)

    @routes.errorhandler(Exception)
    def unforeseen(error: Exception) -> tuple[str, int]:
        log.error("console_failed", exc_info=error)
        text = "The page could not be made. The engineer finds the reason in the log."
        return _page("Not now", text, 503)

    @routes.route("/<path:rest>", methods=["GET", "POST"])
    def nowhere(rest: str) -> Any:  # noqa: ARG001 - Flask's
        """Whatever is under /console and is no page."""
        flask.abort(404, "There is no such page.")


def _page(title: str, text: str, status: int) -> tuple[str, int]:
    return flask.render_template("console/error.html", title=title, text=text), status
