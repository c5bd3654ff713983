"""Find the outcome of a stored webhook, and render the response for it."""

import dataclasses
import logging

from werkzeug.wrappers import Response

from adapter.bookings import precedence
from adapter.mapping.engine import Delivery
from adapter.mapping.webhook_outcome import Finding, Outcome, finding_from
from adapter.models import Booking, BookingState, EventState
from adapter.store import Leads, Store
from adapter.webhooks.endpoints import Entrance
from adapter.webhooks.outcome_waiter import Lobby
from adapter.webhooks.receive import Receipt

log = logging.getLogger(__name__)


def outcome_of(
    receipt: Receipt, entrance: Entrance, store: Store, lobby: Lobby, deadline: float
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
        return lobby.wait(event_id, lambda: look(store, event_id), deadline)

    if receipt.changed_id is None:
        return wait_for(receipt.event_id)
    found = wait_for(receipt.changed_id)
    is_known = found.outcome is Outcome.DUPLICATE and not entrance.verifier.is_open
    return wait_for(receipt.event_id) if is_known else found


def look(store: Store, event_id: int) -> Finding:
    """What is known of an event now. Raises StoreUnavailable."""
    with store.transaction() as leads:
        known = leads.state_of(event_id)
        if known is None:
            return Finding(event_id=event_id)
        state, reasons = known
        return finding_from(event_id, state, leads.bookings_of(event_id), reasons)


def as_it_stands(store: Store, found: Finding) -> Finding:
    """What is told now: a tour that Knock has cancelled for a later one counts as superseded."""
    if all(booking.state is not BookingState.BOOKED for booking in found.bookings):
        return found
    with store.transaction() as leads:
        bookings = [_as_it_stands(leads, booking) for booking in found.bookings]
    return finding_from(found.event_id, EventState.MAPPED, bookings, found.reasons)


def _as_it_stands(leads: Leads, booking: Booking) -> Booking:
    others = leads.live_bookings_of(
        booking.person_keys, [BookingState.BOOKED], except_id=booking.id
    )
    if not any(precedence.took_the_place_of(other, booking) for other in others):
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
