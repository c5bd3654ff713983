"""Return every error of the web process as JSON."""

import logging
import math
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

from adapter.exceptions import LimitReached, StoreUnavailable, VerificationError

log = logging.getLogger(__name__)

#: Seconds after which a sender may retry when we cannot store.
RETRY_AFTER_SECONDS = 30

Answer = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def register_error_handlers(app: flask.Flask) -> None:
    """Register the handlers. An unexpected error returns 503, so that senders retry."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Answer:
        allowed = getattr(error, "valid_methods", None)
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        return {"error": (error.name or "error").lower()}, error.code or 500, headers

    @app.errorhandler(VerificationError)
    def not_verified(error: VerificationError) -> Answer:
        """Return one body for every reason, so that an attacker learns nothing."""
        log.warning("webhook_rejected", extra={"source": _source(), "reason": error.reason})
        return {"error": "signature not accepted"}, 401

    @app.errorhandler(LimitReached)
    def limit_reached(error: LimitReached) -> Answer:
        log.warning("rate_limited", extra={"source": _source()})
        after = {"Retry-After": str(math.ceil(error.retry_after_seconds))}
        return {"error": "too many requests"}, 429, after

    @app.errorhandler(StoreUnavailable)
    def store_unavailable(error: StoreUnavailable) -> Answer:
        log.error("store_unavailable", extra={"reason": str(error)})
        return _retry_later("cannot store now")

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Answer:
        log.error("unexpected_error", exc_info=error)
        return _retry_later("cannot answer now")


def _source() -> str | None:
    return (flask.request.view_args or {}).get("source")


def _retry_later(text: str) -> Answer:
    return {"error": text}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}
