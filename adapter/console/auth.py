"""Decide who may use the console: sessions, CSRF tokens, roles and security headers."""

import functools
import logging
import secrets
from typing import Any, Final

import flask
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from adapter.console.context import bp, services
from adapter.console.form_input import sanitize_form
from adapter.exceptions import SignInRefused, StoreUnavailable
from adapter.operations.sign_in import LOCAL
from adapter.store import User
from adapter.webhooks.client_ip import client_ip, host_of, is_loopback, is_private
from adapter.webhooks.local_request import is_local_request, is_proxied

log = logging.getLogger(__name__)

#: A session ends this long after signing in, active or not.
SESSION_HOURS: Final = 12

#: Pages that anyone may load.
PUBLIC_ENDPOINTS: Final = frozenset({"console.static", "console.sign_in"})

#: Forms that change nothing, so that the role ``read`` may send them.
READ_ONLY_FORMS: Final = frozenset(
    {
        "console.sign_in",
        "console.sign_out",
        "console.playground_result",
        "console.playground_backtest",
        "console.download_mapping",
    }
)

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookies, for the console only: webhooks need no session."""

    def open_session(  # type: ignore[override]
        self, app: flask.Flask, request: flask.Request
    ) -> SessionMixin | None:
        """Open the session. Use a null session outside the console or if PostgreSQL is down."""
        if not request.path.startswith("/console"):
            return self.make_null_session(app)
        try:
            app.secret_key = app.secret_key or services.sign_in.session_key()
        except StoreUnavailable:
            return self.make_null_session(app)
        return super().open_session(app, request)

    def get_cookie_secure(self, app: flask.Flask) -> bool:  # noqa: ARG002 - Flask's
        """Require TLS except on this machine, which has none."""
        return not is_loopback(host_of(flask.request.host))


def init_auth(app: flask.Flask) -> None:
    """Configure the console's sessions."""
    app.session_interface = Sessions()
    app.config.update(
        SESSION_COOKIE_NAME="console",
        SESSION_COOKIE_PATH="/console",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_HOURS * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
    )


@bp.before_request
def check_access() -> Response | None:
    """Find the user and reject requests that the user may not make."""
    request = flask.request
    if request.endpoint == "console.static":
        return None
    sanitize_form(request)
    flask.g.user = _current_user(request)
    if request.method == "POST":
        _check_csrf(request)
    if flask.g.user is None and request.endpoint not in PUBLIC_ENDPOINTS:
        return _redirect_to_sign_in()
    if request.method == "POST" and request.endpoint not in READ_ONLY_FORMS:
        _require_operate()
    return None


@bp.after_request
def add_security_headers(response: Response) -> Response:
    """Add the headers that keep a page from being framed, cached or scripted."""
    response.headers.update(SECURITY_HEADERS)
    is_static = flask.request.endpoint == "console.static"
    response.headers["Cache-Control"] = "private, max-age=3600" if is_static else "no-store"
    return response


@bp.app_context_processor
def auth_helpers() -> dict[str, Any]:
    """Return the user's details for the templates."""
    user = flask.g.get("user")
    return {"user": user, "is_signed_in": user not in (None, LOCAL), "csrf": csrf_token}


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Ask for a name and password, and show and count failures."""
    request = flask.request
    if request.method == "GET":
        return flask.render_template("console/sign_in.html", fault=None)
    try:
        user = services.sign_in.sign_in(
            request.form.get("name", "").strip(),
            request.form.get("password", ""),
            _client_address(request),
        )
    except SignInRefused as exc:
        log.warning("sign_in_refused")
        return flask.render_template("console/sign_in.html", fault=str(exc)), 401
    flask.session.clear()  # a CSRF token from before signing in must not stay valid
    flask.session.permanent = True
    now = int(services.now().timestamp())
    flask.session.update(user=user.name, mark=services.sign_in.mark_of(user), signed_in_at=now)
    return flask.redirect(flask.url_for("console.overview"))


@bp.post("/sign-out")
def sign_out() -> Any:
    """End the session."""
    flask.session.clear()
    return flask.redirect(flask.url_for("console.sign_in"))


def csrf_token() -> str:
    """Return the session's CSRF token, which every form carries."""
    if "form" not in flask.session:
        flask.session["form"] = secrets.token_urlsafe(24)
    return str(flask.session["form"])


def _current_user(request: flask.Request) -> User | None:
    """Return the signed-in user. Without any user, requests from this machine are LOCAL's."""
    users = services.sign_in.users()
    if users:
        return _session_user(flask.session, users)
    if is_local_request(request, services.settings):
        return LOCAL
    raise Forbidden(
        "Nobody may sign in yet, so the console answers on its own machine only. "
        "Add somebody there: adapter users add NAME"
    )


def _session_user(session: SessionMixin, users: dict[str, User]) -> User | None:
    user = users.get(str(session.get("user", "")))
    age = services.now().timestamp() - session.get("signed_in_at", 0)
    if user is None or age >= SESSION_HOURS * 3600:
        return None
    is_same = secrets.compare_digest(str(session.get("mark", "")), services.sign_in.mark_of(user))
    return user if is_same else None


def _require_operate() -> None:
    if flask.g.user is None or flask.g.user.role != "operate":
        raise Forbidden("Your role may look, and not change. Ask for the role operate.")


def _redirect_to_sign_in() -> Response:
    address = flask.url_for("console.sign_in")
    if "HX-Request" in flask.request.headers:
        # htmx replaces a part of the page; this header makes it load the whole page.
        return Response("Sign in again.", 401, headers={"HX-Redirect": address})
    return flask.redirect(address)


def _check_csrf(request: flask.Request) -> None:
    sent = request.form.get("csrf") or request.headers.get("X-CSRF", "")
    expected = str(flask.session.get("form", ""))
    if not expected and _is_remote_http(request):
        raise Forbidden(
            "Signing in needs TLS: by http:// a browser keeps no session for this name. Open the "
            "console by https://, or on its own machine by http://127.0.0.1."
        )
    if not expected or not secrets.compare_digest(sent.encode(), expected.encode()):
        raise Forbidden("This form is too old, or not ours. Load the page anew and try again.")


def _is_remote_http(request: flask.Request) -> bool:
    """Return True if the browser's Origin header shows plain HTTP from another machine."""
    is_http = request.headers.get("Origin", request.url_root).startswith("http://")
    return is_http and not is_loopback(host_of(request.host))


def _client_address(request: flask.Request) -> str | None:
    """Return the client's IP address, or None if an untrusted proxy hides it.

    All users would share the proxy's IP address, and one of them could lock out the others.
    """
    proxies = services.settings.trusted_proxies
    if not proxies and is_proxied(request) and is_private(request.remote_addr or ""):
        warn_of_untrusted_proxy()
        return None
    return client_ip(request.remote_addr, request.headers.get("X-Forwarded-For", ""), proxies)


@functools.cache
def warn_of_untrusted_proxy() -> None:
    """Log once per process that a proxy hides the users' IP addresses."""
    todo = "set ADAPTER_TRUSTED_PROXIES: sign-ins are counted by name only"
    log.warning("proxy_not_trusted", extra={"todo": todo})
