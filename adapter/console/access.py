"""Control access to the console, with sessions, CSRF tokens, roles and security headers."""

import functools
import logging
import re
import secrets
from typing import Any, Final

import flask
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from werkzeug.exceptions import Forbidden, MethodNotAllowed
from werkzeug.wrappers import Response

from adapter.console.context import bp, services
from adapter.console.form_input import sanitize_form
from adapter.console.wording import VIEW_ONLY
from adapter.exceptions import SignInRefused, StoreUnavailable
from adapter.models import LOCAL_USER, shown_user
from adapter.store import User
from adapter.webhooks.client_ip import client_ip, host_of, is_loopback, is_private
from adapter.webhooks.local_request import is_local_request, is_proxied

log = logging.getLogger(__name__)

#: A session ends this many hours after sign-in, even if it is in use.
SESSION_HOURS: Final = 12

#: The cookie that marks a browser after a user has signed in with it, and its lifetime.
BROWSER_COOKIE: Final = "console_browser"
BROWSER_DAYS: Final = 365

#: Maximum form size before sign-in. The sign-in form is much smaller.
MAX_STRANGERS_FORM_BYTES: Final = 8 * 1024

#: A page of this console: an absolute or relative URL, with its path and query as a group.
_PAGE_URL: Final = re.compile(r"(?:https?://[^/\\\s]*)?(/console/[\w./~%?=&+:@,;-]*)(?:#.*)?")

#: Pages that anyone may load.
PUBLIC_ENDPOINTS: Final = frozenset({"console.static", "console.sign_in", "console.open_link"})

#: Forms that change nothing, so users with the role ``read`` may submit them.
READ_ONLY_FORMS: Final = frozenset(
    {
        "console.sign_in",
        "console.sign_out",
        "console.playground_result",
        "console.playground_backtest",
        "console.download_mapping",
        "console.check_mapping",
        "console.save_sample",
        "console.change_own_password",
        "console.compare_invoice",
        "console.claims_file",
        "console.choose_times",
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


_CLOSED: Final = (
    "Open the link that `adapter run` prints when it starts, or add a user: adapter users add NAME"
)


class Sessions(SecureCookieSessionInterface):
    """A Flask session interface that uses signed cookies for the console only."""

    def open_session(  # type: ignore[override]
        self, app: flask.Flask, request: flask.Request
    ) -> SessionMixin | None:
        """Open a session. Return a null session outside the console, or if PostgreSQL is down."""
        if not request.path.startswith("/console"):
            return self.make_null_session(app)
        try:
            app.secret_key = app.secret_key or services.sign_in.session_key()
        except StoreUnavailable:
            return self.make_null_session(app)
        return super().open_session(app, request)

    def get_cookie_secure(self, app: flask.Flask) -> bool:  # noqa: ARG002 - Flask's
        """Return True if the session cookie must be sent over TLS only."""
        return _needs_tls()


def init_access(app: flask.Flask) -> None:
    """Configure the console's session cookies in a Flask application."""
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
    """Identify the user, and reject requests that the user may not make.

    Until a user has signed in, only a short sign-in form is read.
    """
    request = flask.request
    if request.endpoint == "console.static":
        return None
    flask.g.user = _current_user(request)
    if flask.g.user is None:
        if request.endpoint not in PUBLIC_ENDPOINTS:
            return _redirect_to_sign_in(request)
        request.max_content_length = MAX_STRANGERS_FORM_BYTES
    sanitize_form(request)
    if request.method == "POST":
        _check_csrf(request)
    if request.method == "POST" and request.endpoint not in READ_ONLY_FORMS:
        _require_operate()
    flask.current_app.extensions["refresh_sources"]()
    return None


@bp.after_request
def add_security_headers(response: Response) -> Response:
    """Add HTTP headers that prevent framing, caching and third-party scripts."""
    response.headers.update(SECURITY_HEADERS)
    if _is_public_https():
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    is_static = flask.request.endpoint == "console.static"
    response.headers["Cache-Control"] = "private, max-age=3600" if is_static else "no-store"
    return response


@bp.app_context_processor
def auth_helpers() -> dict[str, Any]:
    """Return the template variables about the signed-in user."""
    return {"user": flask.g.get("user"), "csrf": csrf_token, "shown_user": shown_user}


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Any:
    """Show the sign-in form, or sign the user in if the form was submitted."""
    request = flask.request
    if request.method != "POST":  # HEAD does not count as an attempt
        return flask.render_template("console/sign_in.html", fault=None, next=_next_page(request))
    try:
        user = services.sign_in.sign_in(
            request.form.get("name", "").strip(),
            request.form.get("password", ""),
            _client_address(request),
            request.cookies.get(BROWSER_COOKIE, ""),
        )
    except SignInRefused as exc:
        log.warning("sign_in_refused")
        page = flask.render_template("console/sign_in.html", fault=exc, next=_next_page(request))
        return page, 401
    return _remember_browser(_begin_session(user, _next_page(request)), user)


@bp.get("/open")
def open_link() -> Any:
    """Sign the user in with the one-time link from `adapter run`, but only on this machine."""
    if flask.request.method == "HEAD":  # a link preview must not use up the link
        raise MethodNotAllowed(["GET"])
    if not is_local_request(flask.request):
        raise Forbidden("This link works only on the machine where the adapter runs.")
    try:
        return _begin_session(services.sign_in.open_link(flask.request.args.get("key", "")))
    except SignInRefused as exc:
        raise Forbidden(f"{exc} {_CLOSED}") from exc


def _remember_browser(response: Response, user: User) -> Response:
    """Set a cookie that keeps other clients' failed sign-ins from locking out this browser."""
    response.set_cookie(
        BROWSER_COOKIE,
        services.sign_in.browser_mark(user),
        max_age=BROWSER_DAYS * 86400,
        path=flask.url_for("console.sign_in"),
        secure=_needs_tls(),
        httponly=True,
        samesite="Lax",
    )
    return response


def _needs_tls() -> bool:
    """Return True if cookies require TLS. Only local requests may be exempt.

    A local host name does not prove that a request is local, because nginx may have set it.
    """
    return _is_public_https() or not is_local_request(flask.request)


def _is_public_https() -> bool:
    return (services.settings.public_url or "").startswith("https://")


def _begin_session(user: User, next_page: str = "") -> Response:
    flask.session.clear()  # a CSRF token from before sign-in must not stay valid
    flask.session.permanent = True
    now = int(services.now().timestamp())
    flask.session.update(user=user.name, mark=services.sign_in.mark_of(user), signed_in_at=now)
    return flask.redirect(next_page or flask.url_for("console.queue"))


@bp.post("/sign-out")
def sign_out() -> Any:
    """Sign the user out, and redirect to the sign-in page."""
    flask.session.clear()
    return flask.redirect(flask.url_for("console.sign_in"))


def csrf_token() -> str:
    """Return the CSRF token that every form must contain. Create it if necessary."""
    if "form" not in flask.session:
        flask.session["form"] = secrets.token_urlsafe(24)
    return str(flask.session["form"])


def _current_user(request: flask.Request) -> User | None:
    """Return the signed-in user, or None. Raise Forbidden if no user can sign in."""
    users = services.sign_in.users()
    user = _session_user(flask.session, users)
    can_sign_in = users.keys() - {LOCAL_USER} or request.endpoint == "console.open_link"
    if user is None and not can_sign_in:
        raise Forbidden(f"The console has no users yet. {_CLOSED}")
    return user


def _session_user(session: SessionMixin, users: dict[str, User]) -> User | None:
    user = users.get(str(session.get("user", "")))
    age = services.now().timestamp() - session.get("signed_in_at", 0)
    if user is None or age >= SESSION_HOURS * 3600:
        return None
    is_same = secrets.compare_digest(str(session.get("mark", "")), services.sign_in.mark_of(user))
    return user if is_same else None


def _require_operate() -> None:
    if flask.g.user is None or flask.g.user.role != "operate":
        raise Forbidden(VIEW_ONLY)


def _redirect_to_sign_in(request: flask.Request) -> Response:
    """Redirect to the sign-in page. After signing in, the user returns to the requested page."""
    if "HX-Request" in request.headers:
        # Replace only the status line, so that nothing on the page is lost.
        page = _console_path(request.headers.get("HX-Current-URL", ""))
        line = flask.render_template("console/_signed_out.html", next=page)
        retarget = {"HX-Retarget": "#status", "HX-Reswap": "outerHTML"}
        return Response(line, 401, headers=retarget, mimetype="text/html")
    url = request.full_path.rstrip("?") if request.method == "GET" else request.referrer or ""
    start = flask.url_for("console.overview")
    page = _console_path(url) if url != start else ""
    query: dict[str, Any] = {"next": page} if page else {}
    if "user" in flask.session or request.method == "POST":
        query["ended"] = 1
    return flask.redirect(flask.url_for("console.sign_in", **query))


def _next_page(request: flask.Request) -> str:
    """Return the console page to open after sign-in, or "" for the default page."""
    return _console_path(request.form.get("next", "") or request.args.get("next", ""))


def _console_path(url: str) -> str:
    """Return the path and query of a console URL, or "" for any other URL.

    The host is dropped, so that a link cannot lead to another site after sign-in.
    """
    match = _PAGE_URL.fullmatch(url)
    return match.group(1) if match else ""


def _check_csrf(request: flask.Request) -> None:
    sent = request.form.get("csrf") or request.headers.get("X-CSRF", "")
    expected = str(flask.session.get("form", ""))
    if not expected and _is_remote_http(request):
        raise Forbidden(
            "Signing in requires HTTPS: browsers do not keep a session over plain HTTP. Open the "
            "console at https://, or at http://127.0.0.1 on the machine where it runs."
        )
    if not expected or not secrets.compare_digest(sent.encode(), expected.encode()):
        raise Forbidden(
            "You signed in again after this page was opened. Go back, reload it and try again."
        )


def _is_remote_http(request: flask.Request) -> bool:
    """Return True if the browser is on another machine and uses unencrypted HTTP."""
    is_http = request.headers.get("Origin", request.url_root).startswith("http://")
    return is_http and not is_loopback(host_of(request.host))


def _client_address(request: flask.Request) -> str | None:
    """Return the client's IP address, or None if an untrusted proxy hides it.

    If the proxy's address were used, one user could lock out all others.
    """
    proxies = services.settings.trusted_proxies
    if not proxies and is_proxied(request) and is_private(request.remote_addr or ""):
        warn_of_untrusted_proxy()
        return None
    return client_ip(request.remote_addr, request.headers.get("X-Forwarded-For", ""), proxies)


@functools.cache
def warn_of_untrusted_proxy() -> None:
    """Log a warning that a proxy hides users' IP addresses, once per process."""
    todo = "set ADAPTER_TRUSTED_PROXIES: sign-ins are counted only by name"
    log.warning("proxy_not_trusted", extra={"todo": todo})
