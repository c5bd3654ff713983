"""The front door: ``/hooks/<source>``. Each failure becomes the answer that senders act on."""

import logging
import time
from collections.abc import Mapping

import flask
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.wrappers import Response

from adapter import signatures
from adapter.signatures import handshakes
from adapter.webhooks.client_ip import rate_limit_key
from adapter.webhooks.endpoints import Endpoint
from adapter.webhooks.error_handlers import Answer
from adapter.webhooks.http_request import client_ip_of_request, raw_target, signed_request
from adapter.webhooks.limits import RequestLimit
from adapter.webhooks.outcome import mark_replaced, render_response, wait_for_outcome
from adapter.webhooks.outcome_waiter import OutcomeWaiter
from adapter.webhooks.receive import Receiver

log = logging.getLogger(__name__)


def blueprint(
    receiver: Receiver, endpoints: Mapping[str, Endpoint], waiter: OutcomeWaiter
) -> flask.Blueprint:
    """The routes for senders, over one receiver.

    The order is that of what it costs and whom it may harm: the limit by address first, then the
    signature, and the limit by source only for those who proved to be that source.
    """
    routes = flask.Blueprint("receiver", __name__)
    settings = receiver.settings
    addresses = RequestLimit(settings.address_limit_per_minute)
    senders = RequestLimit(settings.source_limit_per_minute)

    @routes.post("/hooks/<name>")
    def receive(name: str) -> Answer | Response:
        """202 when stored, 200 when it had come before; 401, 404, 413, 429, 503 as they say.

        A source with ``respond`` gets its own answer, always with 200.
        """
        arrived_at = time.monotonic()
        client = client_ip_of_request(flask.request, settings)
        caller = rate_limit_key(client)
        addresses.take(caller)
        if name not in endpoints:
            return unknown_source()
        endpoint = endpoints[name]
        request = signed_request(flask.request, settings, client)
        verified = receiver.verify(endpoint.source, endpoint.verifier, request)
        if not endpoint.verifier.is_open:  # there, nothing was proved
            addresses.give_back(caller)
        senders.take(name)
        if asked := handshake_response(endpoint, request, receiver):
            return text_response(name, asked)
        receipt = receiver.receive(endpoint.source, verified)
        if endpoint.respond is not None:
            deadline = arrived_at + endpoint.respond.wait_seconds
            found = wait_for_outcome(receipt, endpoint, receiver.store, waiter, deadline)
            return render_response(
                endpoint, mark_replaced(receiver.store, found), verified.delivery
            )
        status, word = (200, "duplicate") if receipt.is_repeat else (202, "accepted")
        return {"event": receipt.event_id, "status": word}, status

    @routes.get("/hooks/<name>")
    def shake_hands(name: str) -> Answer | Response:
        """Meta's question whether this address is ours; 405 where a source asks none."""
        addresses.take(rate_limit_key(client_ip_of_request(flask.request, settings)))
        if name not in endpoints:
            return unknown_source()
        if endpoints[name].handshake != "meta":
            raise MethodNotAllowed(["POST", "OPTIONS"])
        query = raw_target(flask.request).partition("?")[2]
        return text_response(name, handshakes.meta_answer(query, endpoints[name].verify_token))

    return routes


def unknown_source() -> Answer:
    """No mapping has this name."""
    log.warning("webhook_to_unknown_source")
    return {"error": "unknown source"}, 404


def handshake_response(
    endpoint: Endpoint, request: signatures.Request, receiver: Receiver
) -> handshakes.Answer | None:
    """The answer to a signed question whether this address is ours; None: it is a webhook."""
    if endpoint.handshake == "slack":
        return handshakes.slack_answer(request.body)
    if endpoint.handshake == "zoom":
        verifier = endpoint.verifier
        used = verifier.verified_by(request, receiver.clock().timestamp())
        return None if used is None else handshakes.zoom_answer(request.body, verifier.keys[used])
    return None


def text_response(name: str, answer: handshakes.Answer) -> Response:
    """The answer to a handshake: no markup, whatever a browser would like to make of it."""
    log.info("handshake_answered", extra={"source": name, "status": answer.status})
    response = Response(answer.text, answer.status, mimetype=answer.media_type)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
