"""Create the sandbox's Flask app, which checks tokens, limits requests and injects faults."""

import hmac
import ipaddress
import urllib.parse
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from adapter.models import utc_now
from adapter.sandbox import propexo_responses
from adapter.sandbox.catalog import NOTHING, Catalog
from adapter.sandbox.control_api import control
from adapter.sandbox.crm_events import CREATE_PATH, events
from adapter.sandbox.data_webhooks import DEFAULT_SYNC, Sync
from adapter.sandbox.knock_calendar import PATH as AVAILABILITY
from adapter.sandbox.knock_calendar import availability
from adapter.sandbox.propexo_api import api
from adapter.sandbox.request_body import InvalidBody, body_of, json_from
from adapter.sandbox.state import Clock, State, current_state
from adapter.sandbox.validation import schemas_with


def create_app(
    *,
    token: str = "sandbox",  # noqa: S107 - not a real secret
    clock: Clock = utc_now,
    job_seconds: float = 0.5,
    limit_per_minute: int = 150,
    slowdown_seconds: float = 0.0,
    enums: Mapping[str, Collection[str]] = MappingProxyType({}),
    catalog: Catalog = NOTHING,
    sync: Sync = DEFAULT_SYNC,
) -> Flask:
    """Create the sandbox app. Its state is in memory, so serve it from only one process.

    ``job_seconds`` is how long a job stays PENDING. ``slowdown_seconds`` delays responses after
    80% of a minute's requests are used up (Propexo: 2 seconds). ``enums`` lists the accepted values
    of ``pets``, ``first_contact_type`` and ``tour_type``. By default, all values are rejected.
    ``catalog`` contains the integrations, communities and attributions to list. ``sync`` says which
    records Propexo reads from Knock, and where it sends webhooks about them.
    Raise :class:`~adapter.exceptions.ConfigurationError` for any other name in ``enums``.
    """
    app = Flask(__name__, static_folder=None)
    app.json = propexo_responses.Json(app)
    app.config["SLOWDOWN_SECONDS"] = slowdown_seconds
    app.config["TOKEN"] = token
    app.extensions["sandbox"] = State(
        clock=clock,
        job_seconds=job_seconds,
        limit=limit_per_minute,
        schemas=schemas_with(enums),
        catalog=catalog,
    )
    app.extensions["sandbox"].publisher.sync = sync
    app.register_blueprint(api)
    app.register_blueprint(availability)
    app.register_blueprint(control)
    app.register_blueprint(events)
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InvalidBody, _invalid_body)
    return app


def _begin() -> Response | None:
    """Record a request to the API. Reject it if the token is invalid or the limit is exceeded."""
    if _is_from_website(request):
        message = "call it by an IP address or a name without a dot, and not from another website"
        return propexo_responses.error(403, message)
    current_state().carry_out_late()
    if not request.path.startswith(("/crm/", "/v1/")):
        return None
    state = current_state()
    query = request.query_string.decode("utf-8", "replace")
    call = g.call = state.receive(_kind(), method=request.method, path=request.path, query=query)
    g.body = body_of(request)
    call.body = _json_or_text(g.body)
    state.wait(call.fault.delay_before)
    if not call.fault.is_booking and (call.fault.status or call.fault.drop == "before"):
        return (
            propexo_responses.faulty(call.fault)
            if call.fault.status
            else propexo_responses.hung_up()
        )
    return _rejection(call.remaining)


def _rejection(remaining: int) -> Response | None:
    # Compared as bytes, because hmac accepts only ASCII strings.
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    expected = f"Bearer {current_app.config['TOKEN']}".encode()
    if not hmac.compare_digest(given, expected):
        return propexo_responses.error(401, "the bearer token is missing or wrong")
    if remaining < 0:
        return propexo_responses.error(429, "the rate limit for this minute has been exceeded")
    return None


def _is_from_website(request: Request) -> bool:
    """Return True if a page of another website sent the request, even by DNS rebinding."""
    origin = request.headers.get("Origin")
    is_other = origin is not None and urllib.parse.urlsplit(origin).netloc != request.host
    return is_other or not _is_local_name(urllib.parse.urlsplit(f"//{request.host}").hostname or "")


def _is_local_name(host: str) -> bool:
    """Return True for an IP address, or for a host name without a dot such as ``localhost``."""
    try:
        return "." not in host or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _end(response: Response) -> Response:
    """Add rate limit headers to the response, apply the fault, and record the status."""
    call = g.get("call")
    if call is None:
        return response
    state, fault = current_state(), call.fault
    if fault.status:
        response = propexo_responses.faulty(fault)
    response.headers["x-ratelimit-limit"] = str(state.rate.limit)
    response.headers["x-ratelimit-remaining"] = str(max(call.remaining, 0))
    if state.rate.is_slow(call.remaining):
        state.wait(current_app.config["SLOWDOWN_SECONDS"])
    state.wait(fault.delay)
    if fault.drop:
        return propexo_responses.hung_up(response if fault.drop == "during" else None)
    state.record_response(call, response.status_code)
    return response


def _http_error(exc: HTTPException) -> Response:
    """Convert an HTTP error from Flask, such as 404, to Propexo's error format."""
    return propexo_responses.error(exc.code or 500, exc.description)


def _invalid_body(exc: InvalidBody) -> Response:
    return propexo_responses.error(400, str(exc), exc.code)


def _kind() -> str:
    """Return the kind of the request, such as create or status, to select its fault."""
    if request.path == AVAILABILITY:
        return "availability"
    if request.path == CREATE_PATH:
        return "event"
    if request.method == "POST":
        return "create"
    return "status" if request.path.startswith("/v1/admin/write-status/") else "list"


def _json_or_text(body: bytes) -> Any:
    """Parse a request body as JSON, or return invalid JSON as text."""
    try:
        return json_from(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")
