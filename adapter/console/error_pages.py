"""Render errors in the console as pages that tell users what to do."""

import logging
from typing import Any, Final

import flask
from werkzeug.exceptions import HTTPException

from adapter.console.context import bp
from adapter.console.wording import plain
from adapter.exceptions import KeyMissing, NotPossible, StoreUnavailable

#: The title of an HTTP error's page, by status.
TITLES: Final = {403: "You can't do this", 404: "Not found", 429: "Please wait"}

log = logging.getLogger(__name__)


@bp.errorhandler(HTTPException)
def http_error(error: HTTPException) -> tuple[str, int]:
    """Show an HTTP error such as 404 as a page, or 429 as a fragment for htmx."""
    if error.code == 429 and "HX-Request" in flask.request.headers:
        return flask.render_template("console/_busy.html", text=error.description), 429
    title = TITLES.get(error.code or 500, "That didn't work")
    return _page(title, error.description or "", error.code or 500)


@bp.errorhandler(NotPossible)
def not_possible(error: NotPossible) -> tuple[str, int]:
    """Respond with 409 and the reason that an action is not possible."""
    return _page("This action is not possible", plain(str(error)), 409)


@bp.errorhandler(StoreUnavailable)
def store_unavailable(_error: StoreUnavailable) -> tuple[str, int]:
    """Respond with 503 and a message that the database is down."""
    text = "The database is down. Senders will send their leads again once it is back."
    return _page("Temporarily unavailable", text, 503)


@bp.errorhandler(KeyMissing)
def key_missing(error: KeyMissing) -> tuple[str, int]:
    """Respond with 503 and the ID of the encryption key that is not set."""
    log.error("encryption_key_missing", extra={"reason": str(error)})
    return _page("This message can't be read", f"Tell an engineer: {error}.", 503)


@bp.errorhandler(Exception)
def unexpected_error(error: Exception) -> tuple[str, int]:
    """Log an unexpected exception, and respond with 503 without its details."""
    log.error("console_failed", exc_info=error)
    text = "This page could not be loaded. Tell an engineer. The log has the details."
    return _page("Temporarily unavailable", text, 503)


@bp.route("/<path:rest>", methods=["GET", "POST"])
def not_found(rest: str) -> Any:  # noqa: ARG001 - Flask's
    """Show the console's own 404 page for a path that has no route.

    If only a form submits to that path, redirect to the form's page instead. The browser's address
    bar may show such a path after an error.
    """
    page = _page_of_form() if flask.request.method == "GET" else None
    if page is None:
        flask.abort(404, "This page does not exist.")
    return flask.redirect(page)


def _page_of_form() -> str | None:
    """Return the path of the page whose form submits to the requested URL, or None."""
    path = flask.request.path
    page = path.rpartition("/")[0]
    page += "/" if page == bp.url_prefix else ""
    is_form = _endpoint(path, "POST") != "console.not_found"
    return page if is_form and _endpoint(page, "GET") != "console.not_found" else None


def _endpoint(path: str, method: str) -> str:
    adapter = flask.current_app.create_url_adapter(flask.request)
    assert adapter is not None  # noqa: S101 - there is a request
    return str(adapter.match(path, method=method)[0])


def _page(title: str, text: str, status: int) -> tuple[str, int]:
    # The database may be the cause of a 503, so this page must not need it.
    verdict = {"verdict": lambda: None} if status == 503 else {}
    return flask.render_template("console/error.html", title=title, text=text, **verdict), status
