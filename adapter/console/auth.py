"""Who comes in: sessions, forms that are ours, roles, and what a browser may do with a page."""

import functools
import logging
import secrets
from typing import Any, Final

import flask
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.wrappers import Response

from adapter.console.context import ConsoleServices
from adapter.console.form_input import sanitize_form
from adapter.exceptions import SignInRefused, StoreUnavailable
from adapter.operations.sign_in import LOCAL
from adapter.store import User
from adapter.webhooks.client_ip import client_ip, host_of, is_loopback, is_private
from adapter.webhooks.local_request import is_local_request, is_proxied

log = logging.getLogger(__name__)

#: A session ends so long after signing in, however much is done in it.
SESSION_HOURS: Final = 12

#: Pages that need nobody.
OPEN: Final = frozenset({"console.static", "console.sign_in"})

#: Forms that change nothing: whoever may read may send them.
READING: Final = frozenset(
    {"console.sign_in", "console.sign_out", "console.tried", "console.backtested", "console.file"}
)

#: What the log says of a proxy that nobody told us of.
HINT: Final = {"todo": "set ADAPTER_TRUSTED_PROXIES: sign-ins are counted by name only"}

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookies, for the console only: no webhook pays for them."""

    def __init__(self, services: ConsoleServices) -> None:
        self._services = services

    def open_session(  # type: ignore[override]
        self, app: flask.Flask, request: flask.Request
    ) -> SessionMixin | None:
        """The session; an empty one that cannot be kept while PostgreSQL is away."""
        if not request.path.startswith("/console"):
            return self.make_null_session(app)
        try:
            app.secret_key = app.secret_key or self._services.sign_in.session_key()
        except StoreUnavailable:
            return self.make_null_session(app)
        return super().open_session(app, request)

    def get_cookie_secure(self, app: flask.Flask) -> bool:  # noqa: ARG002 - Flask's
        """Over TLS only, but on this machine, where there is none."""
        return not is_loopback(host_of(flask.request.host))


def init_auth(app: flask.Flask, routes: flask.Blueprint, services: ConsoleServices) -> None:
    """Puts the doors before every page of ``routes``."""
    app.session_interface = Sessions(services)
    app.config.update(
        SESSION_COOKIE_NAME="console",
        SESSION_COOKIE_PATH="/console",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_HOURS * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
    )

    @routes.before_request
    def look() -> Response | None:
        request, session = flask.request, flask.session
        if request.endpoint == "console.static":
            return None
        sanitize_form(request)
        users = services.sign_in.users()
        flask.g.user = _user_of(session, users, services)
        if flask.g.user is None and not users:
            if not is_local_request(request, services.pipeline.settings):
                raise Forbidden(
                    "Nobody may sign in yet, so the console answers on its own machine only. "
                    "Add somebody there: adapter users add NAME"
                )
            flask.g.user = LOCAL
        if request.method == "POST":
            _check_form(request, session)
        if flask.g.user is None and request.endpoint not in OPEN:
            return to_sign_in()
        if request.method == "POST" and request.endpoint not in READING:
            require_operate()
        return None

    @routes.after_request
    def seal(response: Response) -> Response:
        response.headers.update(HEADERS)
        is_static = flask.request.endpoint == "console.static"
        response.headers["Cache-Control"] = "private, max-age=3600" if is_static else "no-store"
        return response

    @routes.app_context_processor
    def known() -> dict[str, Any]:
        return {"user": flask.g.get("user"), "csrf": form_token, "local": LOCAL}

    _add_sign_in(routes, services)


def _add_sign_in(routes: flask.Blueprint, services: ConsoleServices) -> None:
    tell_of_proxy = functools.cache(functools.partial(log.warning, "proxy_not_trusted", extra=HINT))

    def client_from(request: flask.Request) -> str | None:
        """The reader's address; None where a proxy hides it, and all readers would share one."""
        proxies = services.pipeline.settings.trusted_proxies
        if not proxies and is_proxied(request) and is_private(request.remote_addr or ""):
            tell_of_proxy()
            return None
        return client_ip(request.remote_addr, request.headers.get("X-Forwarded-For", ""), proxies)

    @routes.route("/sign-in", methods=["GET", "POST"])
    def sign_in() -> Any:
        """Asks who it is; a wrong answer is told and counted."""
        if flask.request.method == "GET":
            return flask.render_template("console/sign_in.html", fault=None)
        request = flask.request
        try:
            user = services.sign_in.sign_in(
                request.form.get("name", "").strip(),
                request.form.get("password", ""),
                client_from(request),
            )
        except SignInRefused as exc:
            log.warning("sign_in_refused")
            return flask.render_template("console/sign_in.html", fault=str(exc)), 401
        flask.session.clear()  # what was known before signing in opens nothing after it
        flask.session.permanent = True
        now = int(services.pipeline.clock().timestamp())
        flask.session.update(user=user.name, mark=services.sign_in.mark_of(user), signed_in_at=now)
        return flask.redirect(flask.url_for("console.overview"))

    @routes.post("/sign-out")
    def sign_out() -> Any:
        """Forgets the session."""
        flask.session.clear()
        return flask.redirect(flask.url_for("console.sign_in"))


def require_operate() -> None:
    """Raises Forbidden for whoever may only read."""
    if flask.g.user is None or flask.g.user.role != "operate":
        raise Forbidden("Your role may look, and not change. Ask for the role operate.")


def to_sign_in() -> Response:
    """Sends the reader to sign in; a part of a page is told to send the whole one there."""
    address = flask.url_for("console.sign_in")
    if "HX-Request" in flask.request.headers:
        error = Unauthorized("Sign in again.").get_response()
        error.headers["HX-Redirect"] = address
        return Response(error.get_data(), 401, headers={"HX-Redirect": address})
    return flask.redirect(address)


def form_token() -> str:
    """What every form of ours carries."""
    if "form" not in flask.session:
        flask.session["form"] = secrets.token_urlsafe(24)
    return str(flask.session["form"])


def _check_form(request: flask.Request, session: SessionMixin) -> None:
    sent = request.form.get("csrf") or request.headers.get("X-CSRF", "")
    known = session.get("form", "")
    if not known and _is_in_the_clear(request):
        raise Forbidden(
            "Signing in needs TLS: by http:// a browser keeps no session for this name. Open the "
            "console by https://, or on its own machine by http://127.0.0.1."
        )
    if not known or not secrets.compare_digest(sent.encode(), str(known).encode()):
        raise Forbidden("This form is too old, or not ours. Load the page anew and try again.")


def _is_in_the_clear(request: flask.Request) -> bool:
    """Whether the browser came by http and from elsewhere; it says so itself, in Origin."""
    is_http = request.headers.get("Origin", request.url_root).startswith("http://")
    return is_http and not is_loopback(host_of(request.host))


def _user_of(
    session: SessionMixin, users: dict[str, User], services: ConsoleServices
) -> User | None:
    user = users.get(str(session.get("user", "")))
    age = services.pipeline.clock().timestamp() - session.get("signed_in_at", 0)
    if user is None or age >= SESSION_HOURS * 3600:
        return None
    is_same = secrets.compare_digest(str(session.get("mark", "")), services.sign_in.mark_of(user))
    return user if is_same else None
