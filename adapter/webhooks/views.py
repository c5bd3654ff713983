"""Handle HTTP requests to ``/hooks/<source>``.

The cheapest check comes first: the rate limit per IP address, then the signature. A request over
that limit is accepted only if it can be verified cheaply; otherwise, nothing is stored. The rate
limit per source counts only verified requests, except for unsigned sources.
"""

import dataclasses
import io
import logging
import time
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import cast

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, ServiceUnavailable
from werkzeug.wrappers import Response

from adapter import tracing
from adapter.bookings.invitations import renter_links
from adapter.exceptions import LimitReached, VerificationError
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.signatures import handshakes, is_unguessable
from adapter.store import Database
from adapter.store.meter import ACKNOWLEDGE
from adapter.webhooks import trial
from adapter.webhooks.client_ip import rate_limit_key
from adapter.webhooks.dedupe import Receipt
from adapter.webhooks.endpoints import Endpoint
from adapter.webhooks.error_handlers import Answer, reason_of
from adapter.webhooks.http_request import client_ip_of_request, raw_target, read_body, read_request
from adapter.webhooks.limits import RequestLimit
from adapter.webhooks.outcome import render_response, wait_for_outcome
from adapter.webhooks.outcome_waiter import OutcomeWaiter
from adapter.webhooks.receive import Receiver, Verified

log = logging.getLogger(__name__)

bp = flask.Blueprint("webhooks", __name__)

#: For an unsigned source, this many bytes count as one more request from the IP address.
OPEN_BYTES_PER_TOKEN = 16 * 1024
#: If the IP address is over its limit, larger bodies are rejected without verification.
CHEAP_BODY_BYTES = 64 * 1024


class UnknownSource(NotFound):
    """Raised if no mapping exists for the source name in the URL."""

    name = "Unknown source"

    def __init__(self, similar: str | None) -> None:
        super().__init__()
        #: The source with the most similar name. The sender's own text is not logged.
        self.similar = similar


class DraftMapping(ServiceUnavailable):
    """Raised if the mapping is marked as a draft. The sender retries until the mapping is used."""

    name = "Mapping is draft"

    def __init__(self, source: str) -> None:
        super().__init__()
        self.similar = source


class WebhookServices:
    """The services that all webhook views of a Flask application share."""

    def __init__(
        self,
        receiver: Receiver,
        endpoints: Mapping[str, Endpoint],
        waiter: OutcomeWaiter,
        drafts: Collection[str] = (),
    ) -> None:
        """Create the services. ``drafts`` contains the names of the mappings that are not used."""
        self.receiver = receiver
        self.endpoints = endpoints
        self._sources: Mapping[str, Source] = {}
        self.waiter = waiter
        self._drafts = drafts
        self.address_limit = RequestLimit(receiver.settings.address_limit_per_minute)
        self.source_limit = RequestLimit(receiver.settings.source_limit_per_minute)

    def use(self, sources: Mapping[str, Source]) -> None:
        """Use new versions of the mappings. Their signature settings must not have changed."""
        if sources is self._sources:
            return
        self._sources = sources
        self.endpoints = {
            name: endpoint.with_source(sources[name]) for name, endpoint in self.endpoints.items()
        }

    def endpoint(self, source: str) -> Endpoint:
        """Return a source's endpoint. Raise UnknownSource or DraftMapping if there is none."""
        if source not in self.endpoints and source in self._drafts:
            raise DraftMapping(source)
        if source not in self.endpoints:
            raise UnknownSource(next(iter(get_close_matches(source[:60], self.endpoints, 1)), None))
        return self.endpoints[source]


@bp.route("/hooks/<source>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def receive(source: str) -> Answer | Response:
    """Receive a webhook. Return 200 once it is stored, even if it is a duplicate.

    A source with ``respond`` gets its own response. A GET is Meta's verification request.
    """
    started_at, services = time.monotonic(), _services()
    address = _count_request(source, services)
    endpoint = services.endpoint(source)
    if flask.request.method == "GET" and endpoint.expects_get:
        query = raw_target(flask.request).partition("?")[2]
        return text_response(source, handshakes.meta_answer(query, endpoint.verify_token))
    request = _read_post(endpoint, services.receiver)
    verified = services.receiver.verify(endpoint, request)
    if address and endpoint.verifier.is_open:  # the sender is not verified
        services.address_limit.take(address, len(request.body) / OPEN_BYTES_PER_TOKEN)
    elif address:
        services.address_limit.give_back(address)
    services.source_limit.take(source)
    if answer := handshake_answer(endpoint, verified):
        return text_response(source, answer)
    receipt = services.receiver.store(verified)
    _record(services.receiver.database, source, receipt, time.monotonic() - started_at)
    if endpoint.respond is None:
        return acknowledgement(receipt)
    deadline = started_at + endpoint.respond.wait_seconds
    database = services.receiver.database
    outcome = wait_for_outcome(receipt, endpoint, database, services.waiter, deadline)
    links = renter_links(services.receiver.settings, database, services.receiver.clock)
    return render_response(endpoint, outcome, verified.request, links)


@bp.post("/hooks/<source>/test")
def receive_trial(source: str) -> Answer:
    """Verify a test message from the console like a webhook, without storing it.

    Without the console's token, respond with 404, so that no sender mistakes this URL for its own.
    """
    services, token = _services(), flask.request.headers.get(trial.HEADER, "")
    _count_request(source, services)
    endpoint, receiver = services.endpoint(source), services.receiver
    now = receiver.clock()
    body = read_body(flask.request, receiver.settings.max_body_bytes)
    request = read_request(flask.request, receiver.settings, body)
    if not trial.is_trial(receiver.database, source, request, token, now):
        raise NotFound
    # The console's own address is not on the sender's list.
    verifier = dataclasses.replace(endpoint.verifier, networks=())
    verifier.verify(request, now.timestamp())
    return {"status": "test accepted"}, 200


def _record(database: Database, source: str, receipt: Receipt, seconds: float) -> None:
    """Record a stored webhook in the metrics and traces."""
    database.meter.observe(ACKNOWLEDGE, seconds)
    tracing.received(
        database.hash_key(),
        receipt.event_id,
        seconds,
        is_first=not receipt.is_duplicate,
        source=source,
        outcome=receipt.status,
    )


def handshake_answer(endpoint: Endpoint, verified: Verified) -> handshakes.Answer | None:
    """Return the response to a platform's signed verification request, or None for a webhook."""
    if endpoint.handshake is None:
        return None
    index = verified.key_index
    key = None if index is None else endpoint.verifier.keys[index]
    return handshakes.signed_answer(endpoint.handshake, verified.request.body, key)


def text_response(source: str, answer: handshakes.Answer) -> Response:
    """Build the response to a verification request, as text that browsers do not render."""
    log.info("handshake_answered", extra={"source": source, "status": answer.status})
    response = Response(answer.text, answer.status, mimetype=answer.media_type)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def acknowledgement(receipt: Receipt) -> Answer:
    """Return the default response, with the event's ID and the duplicate status.

    The status is always 200, because some senders treat any other status, even 202, as a failure.
    """
    return {"event": receipt.answered_id, "status": receipt.status}, 200


def _read_post(endpoint: Endpoint, receiver: Receiver) -> WebhookRequest:
    """Read a POST request. Store other methods and unreadable requests as rejected requests."""
    settings, body = receiver.settings, b""
    try:
        body = read_body(flask.request, settings.max_body_bytes)
        if flask.request.method != "POST":
            raise MethodNotAllowed(["POST"])
    except HTTPException as error:
        request = read_request(flask.request, settings, body)
        receiver.save_rejection(endpoint, request, reason_of(error))
        raise
    return read_request(flask.request, settings, body)


def _count_request(source: str, services: WebhookServices) -> str | None:
    """Count a request. Return its rate limit key, or None for an authentic request over the limit.

    Authentic requests pass, because senders may share an address with strangers. Raise
    LimitReached for other requests over the limit.
    """
    address = rate_limit_key(client_ip_of_request(flask.request, services.receiver.settings))
    try:
        services.address_limit.take(address)
    except LimitReached:
        if not _is_genuine(services.endpoints.get(source), services.receiver):
            raise
        return None
    return address


def _is_genuine(endpoint: Endpoint | None, receiver: Receiver) -> bool:
    """Return True if a cheap check of a strong secret proves that the request is authentic."""
    if endpoint is None or not endpoint.verifier.keys or flask.request.method != "POST":
        return False
    if not endpoint.verifier.is_cheap or not all(map(is_unguessable, endpoint.verifier.keys)):
        return False
    try:
        body = read_body(flask.request, CHEAP_BODY_BYTES)
        request = read_request(flask.request, receiver.settings, body)
        endpoint.verifier.verify(request, receiver.clock().timestamp())
    except (HTTPException, VerificationError):
        return False
    flask.request.environ["wsgi.input"] = io.BytesIO(body)  # so that it can be read again
    return True


def _services() -> WebhookServices:
    return cast("WebhookServices", flask.current_app.extensions["webhooks"])
