"""The front door: ``/hooks/<source>``. Each failure becomes the answer that senders act on."""

import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import flask
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    MethodNotAllowed,
    RequestEntityTooLarge,
)
from werkzeug.wrappers import Response

from adapter import order, signatures
from adapter.answers import Finding, Outcome, finding_from
from adapter.clients import client_of, limited_as
from adapter.config import Settings
from adapter.entrances import Entrance
from adapter.events import Booking, BookingState, EventState
from adapter.exceptions import LimitReached, StoreUnavailable, VerificationError
from adapter.limits import Limit
from adapter.lobby import Lobby
from adapter.mapping import Delivery
from adapter.pipeline import Pipeline, Receipt
from adapter.signatures import handshakes
from adapter.store import Leads

log = logging.getLogger(__name__)

#: Seconds after which a sender may try again when we cannot store.
RETRY_AFTER_SECONDS = 30

Answer = tuple[dict[str, Any], int] | tuple[dict[str, Any], int, dict[str, str]]


def blueprint(
    pipeline: Pipeline, entrances: Mapping[str, Entrance], lobby: Lobby
) -> flask.Blueprint:
    """The routes for senders, over one pipeline.

    The order is that of what it costs and whom it may harm: the limit by address first, then the
    signature, and the limit by source only for those who proved to be that source.
    """
    routes = flask.Blueprint("receiver", __name__)
    settings = pipeline.settings
    addresses = Limit(settings.address_limit_per_minute)
    senders = Limit(settings.source_limit_per_minute)

    @routes.post("/hooks/<name>")
    def receive(name: str) -> Answer | Response:
        """202 when stored, 200 when it had come before; 401, 404, 413, 429, 503 as they say.

        A source with ``respond`` gets its own answer, always with 200.
        """
        arrived_at = time.monotonic()
        client = client_of_request(flask.request, settings)
        caller = limited_as(client)
        addresses.take(caller)
        if name not in entrances:
            return unknown_source()
        entrance = entrances[name]
        request = signed_request(flask.request, settings, client)
        verified = pipeline.verify(entrance.source, entrance.verifier, request)
        if not entrance.verifier.is_open:  # there, nothing was proved
            addresses.give_back(caller)
        senders.take(name)
        if asked := question_answered(entrance, request, pipeline):
            return answered(name, asked)
        receipt = pipeline.receive(entrance.source, verified)
        if entrance.respond is not None:
            deadline = arrived_at + entrance.respond.wait_seconds
            found = outcome_of(receipt, entrance, pipeline, lobby, deadline)
            return replied(entrance, as_it_stands(pipeline, found), verified.delivery)
        status, word = (200, "duplicate") if receipt.is_repeat else (202, "accepted")
        return {"event": receipt.event_id, "status": word}, status

    @routes.get("/hooks/<name>")
    def shake_hands(name: str) -> Answer | Response:
        """Meta's question whether this address is ours; 405 where a source asks none."""
        addresses.take(limited_as(client_of_request(flask.request, settings)))
        if name not in entrances:
            return unknown_source()
        if entrances[name].handshake != "meta":
            raise MethodNotAllowed(["POST", "OPTIONS"])
        query = raw_target(flask.request).partition("?")[2]
        return answered(name, handshakes.meta_answer(query, entrances[name].verify_token))

    return routes


def outcome_of(
    receipt: Receipt, entrance: Entrance, pipeline: Pipeline, lobby: Lobby, deadline: float
) -> Finding:
    """What became of a stored webhook by ``deadline`` (monotonic), where its source waits for it.

    What came again with other bytes and turns out to be nothing new is answered as the first was;
    not to somebody who proved nothing, who would read of it what another one had sent.
    """
    assert entrance.respond is not None  # noqa: S101 - the caller looked
    if entrance.respond.wait_seconds == 0:
        word = Outcome.DUPLICATE if receipt.is_repeat else Outcome.ACCEPTED
        return Finding(event_id=receipt.event_id, outcome=word)

    def wait_for(event_id: int) -> Finding:
        return lobby.wait(event_id, lambda: look(pipeline, event_id), deadline)

    if receipt.changed_id is None:
        return wait_for(receipt.event_id)
    found = wait_for(receipt.changed_id)
    is_known = found.outcome is Outcome.DUPLICATE and not entrance.verifier.is_open
    return wait_for(receipt.event_id) if is_known else found


def look(pipeline: Pipeline, event_id: int) -> Finding:
    """What is known of an event now. Raises StoreUnavailable."""
    with pipeline.store.transaction() as leads:
        known = leads.state_of(event_id)
        if known is None:
            return Finding(event_id=event_id)
        state, reasons = known
        return finding_from(event_id, state, leads.bookings_of(event_id), reasons)


def as_it_stands(pipeline: Pipeline, found: Finding) -> Finding:
    """What is told now: a tour that Knock has cancelled for a later one counts as superseded."""
    if all(booking.state is not BookingState.BOOKED for booking in found.bookings):
        return found
    with pipeline.store.transaction() as leads:
        bookings = [_as_it_stands(leads, booking) for booking in found.bookings]
    return finding_from(found.event_id, EventState.MAPPED, bookings, found.reasons)


def _as_it_stands(leads: Leads, booking: Booking) -> Booking:
    others = leads.live_bookings_of(
        booking.person_keys, [BookingState.BOOKED], except_id=booking.id
    )
    if not any(order.took_the_place_of(other, booking) for other in others):
        return booking
    return dataclasses.replace(booking, state=BookingState.SUPERSEDED)


def replied(entrance: Entrance, found: Finding, delivery: Delivery) -> Response:
    """The answer in the words of the source's mapping: 200, as bots take all else for a fault."""
    assert entrance.respond is not None  # noqa: S101 - the caller looked
    log.info("outcome_answered", extra={"event_id": found.event_id, "outcome": found.outcome})
    reply = entrance.respond.reply(found, entrance.source.asked(delivery))
    response = Response(reply.body.encode("utf-8", "replace"), 200, mimetype=reply.mimetype)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def unknown_source() -> Answer:
    """No mapping has this name."""
    log.warning("webhook_to_unknown_source")
    return {"error": "unknown source"}, 404


def question_answered(
    entrance: Entrance, request: signatures.Request, pipeline: Pipeline
) -> handshakes.Answer | None:
    """The answer to a signed question whether this address is ours; None: it is a webhook."""
    if entrance.handshake == "slack":
        return handshakes.slack_answer(request.body)
    if entrance.handshake == "zoom":
        verifier = entrance.verifier
        used = verifier.verified_by(request, pipeline.clock().timestamp())
        return None if used is None else handshakes.zoom_answer(request.body, verifier.keys[used])
    return None


def answered(name: str, answer: handshakes.Answer) -> Response:
    """The answer to a handshake: no markup, whatever a browser would like to make of it."""
    log.info("handshake_answered", extra={"source": name, "status": answer.status})
    response = Response(answer.text, answer.status, mimetype=answer.media_type)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def answer_errors(app: flask.Flask) -> None:
    """Every error of the web process as JSON; an unforeseen one is a 503, so that senders retry."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Answer:
        allowed = getattr(error, "valid_methods", None)
        headers = {"Allow": ", ".join(sorted(allowed))} if allowed else {}
        return {"error": (error.name or "error").lower()}, error.code or 500, headers

    @app.errorhandler(VerificationError)
    def not_verified(error: VerificationError) -> Answer:
        """One opaque body, whatever was wrong: nothing to learn for whoever tries."""
        name = (flask.request.view_args or {}).get("name")
        log.warning("webhook_rejected", extra={"source": name, "reason": error.reason})
        return {"error": "signature not accepted"}, 401

    @app.errorhandler(LimitReached)
    def limit_reached(error: LimitReached) -> Answer:
        log.warning("limit_reached", extra={"source": (flask.request.view_args or {}).get("name")})
        after = {"Retry-After": str(math.ceil(error.retry_after_seconds))}
        return {"error": "too many requests"}, 429, after

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


def client_of_request(request: flask.Request, settings: Settings) -> str | None:
    """The sender's address, as far as it can be trusted."""
    forwarded_for = request.headers.get("X-Forwarded-For", "")
    return client_of(request.remote_addr, forwarded_for, settings.trusted_proxies)


def raw_target(request: flask.Request) -> str:
    """Path and query as the sender wrote them: a decoder's version is not what was signed."""
    raw = request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI")
    target = raw or request.full_path.rstrip("?")
    return target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]


def signed_request(
    request: flask.Request, settings: Settings, client: str | None
) -> signatures.Request:
    """What a signature covers: the method, the address as the sender wrote it, headers, raw bytes.

    The address begins with the public one of the settings: a proxy in front of us may have changed
    scheme, host and port. Without it no signature covers the address, and path and query will do.
    """
    return signatures.Request(
        method=request.method,
        url=(settings.public_url or "") + raw_target(request),
        headers=dict(request.headers.items()),
        body=_body(request, settings.max_body_bytes),
        client=client,
    )


def _body(request: flask.Request, limit: int) -> bytes:
    """The raw bytes; 413 when they are more than ``limit``, 400 when they are not all of them.

    Read from the server itself: Werkzeug cuts a chunked body silently at its limit, and takes one
    that was cut off on the way for a whole one, which only a signature would tell.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return b""  # neither a length nor chunks: there is no body
    try:
        body = request.environ["wsgi.input"].read(limit + 1 if length is None else length)
    except Exception as exc:
        raise BadRequest from exc
    if len(body) > limit:
        raise RequestEntityTooLarge
    if length is not None and len(body) != length:
        raise BadRequest
    return bytes(body)
