"""Find the outcome of a stored webhook, and render the response to its sender."""

import dataclasses
import logging

from werkzeug.wrappers import Response

from adapter.bookings.invitations import link_texts
from adapter.bookings.reconcile import replacing_in_knock
from adapter.mapping.webhook_outcome import Outcome, WebhookOutcome, webhook_outcome_from
from adapter.models import Booking, BookingState, EventState, WebhookRequest
from adapter.signatures.renter_links import RenterLinks
from adapter.store import Database
from adapter.webhooks.dedupe import Receipt
from adapter.webhooks.endpoints import Endpoint
from adapter.webhooks.outcome_waiter import OutcomeWaiter

log = logging.getLogger(__name__)


def wait_for_outcome(
    receipt: Receipt,
    endpoint: Endpoint,
    database: Database,
    waiter: OutcomeWaiter,
    deadline: float,
) -> WebhookOutcome:
    """Return a webhook's final outcome, or its outcome so far if the deadline passes first.

    A duplicate whose changes have no effect gets the first webhook's outcome, but not if the source
    is unsigned, because a stranger could then learn what someone else has sent.
    """
    assert endpoint.respond is not None  # noqa: S101 - checked by the caller
    if endpoint.respond.wait_seconds == 0:
        return WebhookOutcome(event_id=receipt.answered_id, outcome=Outcome(receipt.status))

    def wait_for(event_id: int) -> WebhookOutcome:
        return waiter.wait(event_id, lambda: load_outcome(database, event_id), deadline)

    outcome = wait_for(receipt.changed_id or receipt.event_id)
    changes_nothing = receipt.changed_id is not None and outcome.outcome is Outcome.DUPLICATE
    if changes_nothing and not endpoint.verifier.is_open:
        outcome = wait_for(receipt.event_id)
    return mark_replaced(database, outcome)


def load_outcome(database: Database, event_id: int) -> WebhookOutcome:
    """Load the current outcome of a webhook event. Raise StoreUnavailable if that fails."""
    with database.transaction() as tx:
        known = tx.events.state_of(event_id)
        if known is None:
            return WebhookOutcome(event_id=event_id)
        state, reasons = known
        return webhook_outcome_from(event_id, state, tx.bookings.of_event(event_id), reasons)


def mark_replaced(database: Database, outcome: WebhookOutcome) -> WebhookOutcome:
    """Return the outcome, with tours that Knock has canceled marked as superseded or failed."""
    if all(booking.state is not BookingState.BOOKED for booking in outcome.bookings):
        return outcome
    with database.transaction() as tx:
        replaced = replacing_in_knock(tx, outcome.bookings)
    bookings = [
        dataclasses.replace(one, state=_state_for_sender(one, is_replaced=one.id in replaced))
        for one in outcome.bookings
    ]
    return webhook_outcome_from(outcome.event_id, EventState.MAPPED, bookings, outcome.reasons)


def _state_for_sender(booking: Booking, *, is_replaced: bool) -> BookingState:
    if is_replaced:
        return BookingState.SUPERSEDED
    is_canceled = booking.state is BookingState.BOOKED and booking.is_gone
    return BookingState.FAILED if is_canceled else booking.state


def render_response(
    endpoint: Endpoint,
    outcome: WebhookOutcome,
    request: WebhookRequest,
    links: RenterLinks | None = None,
) -> Response:
    """Render the response that the mapping defines for an outcome.

    The status is always 200, because bots treat anything else as a failure.
    """
    assert endpoint.respond is not None  # noqa: S101 - checked by the caller
    log.info("outcome_returned", extra={"event_id": outcome.event_id, "outcome": outcome.outcome})
    source = endpoint.source
    reply = endpoint.respond.reply(
        outcome,
        source.request_values(request),
        lambda booking, language: link_texts(booking, source, links, language),
    )
    response = Response(reply.body.encode("utf-8", "replace"), 200, mimetype=reply.mimetype)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
