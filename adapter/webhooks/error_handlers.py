"""Convert every error in the web process to a JSON response."""

import logging
import math
from http import HTTPStatus
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

from adapter.exceptions import LimitReached, StoreUnavailable, VerificationError
from adapter.webhooks.local_request import is_proxied

log = logging.getLogger(__name__)

#: Seconds after which a sender may retry if its webhook could not be stored.
RETRY_AFTER_SECONDS = 30

Answer = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def register_error_handlers(app: flask.Flask) -> None:
    """Register JSON error handlers. Unexpected errors return 503, so that senders retry."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Answer:
        if flask.request.blueprint in (None, "webhooks", "propexo"):
            similar = getattr(error, "similar", None)
            _reject(reason_of(error), status=error.code, similar=similar)
        allowed = getattr(error, "valid_methods", None)
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return {"error": (error.name or "error").lower()}, error.code or 500, headers

    @app.errorhandler(VerificationError)
    def not_verified(error: VerificationError) -> Answer:
        """Return the same 401 response for every reason, so that attackers learn nothing."""
        _reject(error.reason, status=401)
        return {"error": "signature not accepted"}, 401

    @app.errorhandler(LimitReached)
    def limit_reached(error: LimitReached) -> Answer:
        settings = flask.current_app.extensions["pipeline"].settings
        is_hidden = is_proxied(flask.request) and not settings.trusted_proxies
        _reject("rate_limited", status=429, proxy_not_trusted=is_hidden)
        after = {"Retry-After": str(math.ceil(error.retry_after_seconds))}
        return {"error": "too many requests"}, 429, after

    @app.errorhandler(StoreUnavailable)
    def store_unavailable(_error: StoreUnavailable) -> Answer:
        return _retry_later("the webhook could not be stored")

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Answer:
        log.error("unexpected_error", exc_info=error)
        return _retry_later("temporarily unavailable")


def reason_of(error: HTTPException) -> str:
    """Return the reason code of an HTTP error, to be logged, counted and stored."""
    return error.name.lower().replace(" ", "_")


def _reject(reason: str, **more: object) -> None:
    """Log a rejected request and count it for its source, if the source is known."""
    pipeline = flask.current_app.extensions["pipeline"]
    name = (flask.request.view_args or {}).get("source")
    source = name if name in pipeline.sources else None
    log.warning("webhook_rejected", extra={"source": source, "reason": reason, **more})
    pipeline.receiver.background_writer.count(source or "", reason)


def _retry_later(text: str) -> Answer:
    return {"error": text}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}
