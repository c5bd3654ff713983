"""Find the outcome of a stored webhook, and render the response for it."""

import dataclasses
import logging

from werkzeug.wrappers import Response

from adapter.bookings import precedence
from adapter.mapping.engine import Delivery
from adapter.mapping.webhook_outcome import Outcome, WebhookOutcome, webhook_outcome_from
from adapter.models import Booking, BookingState, EventState
from adapter.store import Database, Transaction
from adapter.webhooks.endpoints import Endpoint
from adapter.webhooks.outcome_waiter import OutcomeWaiter
from adapter.webhooks.receive import Receipt

log = logging.getLogger(__name__)


def wait_for_outcome(
    receipt: Receipt, endpoint: Endpoint, store: Database, waiter: OutcomeWaiter, deadline: float
) -> WebhookOutcome:
    """What became of a stored webhook by ``deadline`` (monotonic), where its source waits for it.

    What came again with other bytes and turns out to be nothing new is answered as the first was;
    not to somebody who proved nothing, who would read of it what another one had sent.
    """
    assert endpoint.respond is not None  # noqa: S101 - the caller looked
    if endpoint.respond.wait_seconds == 0:
        word = Outcome.DUPLICATE if receipt.is_repeat else Outcome.ACCEPTED
        return WebhookOutcome(event_id=receipt.event_id, outcome=word)

    def wait_for(event_id: int) -> WebhookOutcome:
        return waiter.wait(event_id, lambda: load_outcome(store, event_id), deadline)

    if receipt.changed_id is None:
        return wait_for(receipt.event_id)
    found = wait_for(receipt.changed_id)
    is_known = found.outcome is Outcome.DUPLICATE and not endpoint.verifier.is_open
    return wait_for(receipt.event_id) if is_known else found


def load_outcome(store: Database, event_id: int) -> WebhookOutcome:
    """What is known of an event now. Raises StoreUnavailable."""
    with store.transaction() as tx:
        known = tx.events.state_of(event_id)
        if known is None:
            return WebhookOutcome(event_id=event_id)
        state, reasons = known
        return webhook_outcome_from(event_id, state, tx.bookings.of_event(event_id), reasons)


def mark_replaced(store: Database, found: WebhookOutcome) -> WebhookOutcome:
    """What is told now: a tour that Knock has cancelled for a later one counts as superseded."""
    if all(booking.state is not BookingState.BOOKED for booking in found.bookings):
        return found
    with store.transaction() as tx:
        bookings = [_mark_if_replaced(tx, booking) for booking in found.bookings]
    return webhook_outcome_from(found.event_id, EventState.MAPPED, bookings, found.reasons)


def _mark_if_replaced(tx: Transaction, booking: Booking) -> Booking:
    others = tx.bookings.of_people(booking.person_keys, [BookingState.BOOKED], except_id=booking.id)
    if not any(precedence.replaced_in_knock(other, booking) for other in others):
        return booking
    return dataclasses.replace(booking, state=BookingState.SUPERSEDED)


def render_response(endpoint: Endpoint, found: WebhookOutcome, delivery: Delivery) -> Response:
    """The answer in the words of the source's mapping: 200, as bots take all else for a fault."""
    assert endpoint.respond is not None  # noqa: S101 - the caller looked
    log.info("outcome_answered", extra={"event_id": found.event_id, "outcome": found.outcome})
    reply = endpoint.respond.reply(found, endpoint.source.asked(delivery))
    response = Response(reply.body.encode("utf-8", "replace"), 200, mimetype=reply.mimetype)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
