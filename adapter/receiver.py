"""The front door: ``POST /hooks/<source>``. Each failure becomes the answer that senders act on."""

import logging
from collections.abc import Mapping
from typing import Any

import flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from adapter import signatures
from adapter.config import Settings
from adapter.exceptions import StoreUnavailable, VerificationError
from adapter.pipeline import Pipeline

log = logging.getLogger(__name__)

#: Seconds after which a sender may try again when we cannot store.
RETRY_AFTER_SECONDS = 30

Answer = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def blueprint(pipeline: Pipeline, verifiers: Mapping[str, signatures.Verifier]) -> flask.Blueprint:
    """The routes for senders, over one pipeline and a verifier for each of its sources."""
    routes = flask.Blueprint("receiver", __name__)

    @routes.post("/hooks/<source>")
    def receive(source: str) -> Answer:
        """202 when stored, 200 when it had come before; 401, 404, 413 and 503 as they say."""
        if source not in verifiers:
            log.warning("webhook_to_unknown_source")
            return {"error": "unknown source"}, 404
        request = signed_request(flask.request, pipeline.settings)
        receipt = pipeline.receive(pipeline.sources[source], verifiers[source], request)
        status, word = (200, "duplicate") if receipt.is_repeat else (202, "accepted")
        return {"event": receipt.event_id, "status": word}, status

    @routes.errorhandler(VerificationError)
    def not_verified(error: VerificationError) -> Answer:
        """One opaque body, whatever was wrong: nothing to learn for whoever tries."""
        log.warning(
            "webhook_rejected",
            extra={"source": (flask.request.view_args or {}).get("source"), "reason": error.reason},
        )
        return {"error": "signature not accepted"}, 401

    return routes


def answer_errors(app: flask.Flask) -> None:
    """Every error of the web process as JSON; an unforeseen one is a 503, so that senders retry."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Answer:
        return {"error": (error.name or "error").lower()}, error.code or 500

    @app.errorhandler(StoreUnavailable)
    def store_unavailable(error: StoreUnavailable) -> Answer:
        log.error("store_unavailable", extra={"reason": str(error)})
        return _try_later("cannot store now")

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Answer:
        log.error("unforeseen_error", exc_info=error)
        return _try_later("cannot answer now")


def _try_later(text: str) -> Answer:
    return {"error": text}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)}


def signed_request(request: flask.Request, settings: Settings) -> signatures.Request:
    """What a signature covers: the method, the address as the sender wrote it, headers, raw bytes.

    The address is the public one of the settings where there is one, with the raw path and query:
    what a proxy or a decoder made of them is not what was signed.
    """
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or request.full_path
    target = raw if raw.startswith("/") else "/" + raw.partition("://")[2].partition("/")[2]
    return signatures.Request(
        method=request.method,
        url=(settings.public_url or request.host_url.rstrip("/")) + target.rstrip("?"),
        headers=dict(request.headers.items()),
        body=_body(request, settings.max_body_bytes),
        client=request.remote_addr,
    )


def _body(request: flask.Request, limit: int) -> bytes:
    """The raw bytes; 413 when they are more than ``limit``.

    Werkzeug cuts a chunked body silently at its own limit, which is therefore set one byte
    higher: whoever reaches that one has sent too much.
    """
    body = request.get_data(cache=False)
    if len(body) > limit:
        raise RequestEntityTooLarge
    return body
