"""Test requests that wait for their outcome, with real PostgreSQL and gunicorn."""

import concurrent.futures
import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from adapter.exceptions import StoreUnavailable
from adapter.mapping.webhook_outcome import Outcome, WebhookOutcome
from adapter.models import BookingState
from adapter.store import listen_for_settled_events
from adapter.webhooks.outcome import load_outcome
from adapter.webhooks.outcome_waiter import OutcomeWaiter
from tests.databases import listeners
from tests.harness import Harness, tour
from tests.wait import wait_until

LONG = 20.0


@pytest.fixture
def waiter(database: str) -> Iterator[OutcomeWaiter]:
    made = OutcomeWaiter(lambda: listen_for_settled_events(database), 4)
    yield made
    made.close()


@dataclasses.dataclass
class Waiting:
    """A request that waits in a separate thread, with the number of checks so far."""

    found: "concurrent.futures.Future[WebhookOutcome]"
    looks: list[WebhookOutcome]


@contextlib.contextmanager
def waiting(harness: Harness, waiter: OutcomeWaiter, event_id: int) -> Iterator[Waiting]:
    """Return a waiting request that has checked its event, with the listener running."""
    looks: list[WebhookOutcome] = []

    def noted() -> WebhookOutcome:
        looks.append(load_outcome(harness.pipeline.store, event_id))
        return looks[-1]

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        deadline = time.monotonic() + LONG
        found = threads.submit(waiter.wait, event_id, noted, deadline)
        # The second check is triggered when the listener starts.
        wait_until(lambda: len(looks) >= 2, "it has looked and is heard")
        yield Waiting(found, looks)


def test_a_settled_booking_wakes_the_waiters_of_its_event(
    harness: Harness, waiter: OutcomeWaiter
) -> None:
    event_id = harness.receive("rentfeed", tour()).event_id
    with waiting(harness, waiter, event_id) as one:
        harness.map_event(event_id)
        harness.send()
        harness.clock.advance(5)
        (booking,) = harness.story(event_id).bookings
        assert booking.state is BookingState.SUBMITTED
        harness.check()

        found = one.found.result(LONG)
    assert found.outcome is Outcome.BOOKED
    assert found.booking is not None
    assert found.booking.id == booking.id
    assert len(one.looks) <= 5, "it looks when it is told to, and does not poll"


def test_a_held_event_wakes_at_once(harness: Harness, waiter: OutcomeWaiter) -> None:
    event_id = harness.receive("rentfeed", tour(contact={"name": "Dana Okafor"})).event_id
    with waiting(harness, waiter, event_id) as one:
        harness.map_event(event_id)

        assert one.found.result(LONG).outcome is Outcome.HELD


def test_a_rollback_wakes_no_waiter(harness: Harness, database: str) -> None:
    heard = listen_for_settled_events(database)
    assert next(heard) is None
    event_id = harness.receive("rentfeed", tour()).event_id
    (booking,) = harness.mapped("rentfeed", tour(leadId="RF-2"))
    with contextlib.suppress(ZeroDivisionError), harness.pipeline.store.transaction() as tx:
        assert tx.bookings.move(
            booking.id, BookingState.SUPERSEDED, why="newer", now=harness.clock()
        )()
        raise ZeroDivisionError
    harness.map_event(event_id)

    assert [next(heard), next(heard)] == [booking.event_id, event_id]


def test_a_known_outcome_is_returned_without_waiting(
    harness: Harness, waiter: OutcomeWaiter
) -> None:
    (booking,) = harness.mapped("rentfeed", tour(contact={"name": "Dana Okafor"}))
    found = waiter.wait(
        booking.event_id,
        lambda: load_outcome(harness.pipeline.store, booking.event_id),
        time.monotonic(),
    )

    assert found.outcome is Outcome.HELD


def test_a_disconnected_listener_reconnects_and_misses_nothing(
    harness: Harness, database: str
) -> None:
    event_id = harness.receive("rentfeed", tour(contact={"name": "Dana Okafor"})).event_id
    may_reconnect = threading.Event()
    cut = threading.Event()

    def listen() -> Iterator[int | None]:
        if cut.is_set():
            may_reconnect.wait(LONG)
        try:
            yield from listen_for_settled_events(database)
        finally:
            cut.set()

    waiter = OutcomeWaiter(listen, 4)
    with contextlib.closing(waiter), waiting(harness, waiter, event_id) as one:
        (pid,) = listeners(database)
        with psycopg.connect(database) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        assert cut.wait(LONG), "the listener noticed"
        harness.map_event(event_id)  # settled while there is no listener
        assert not one.found.done()
        may_reconnect.set()

        assert one.found.result(LONG).outcome is Outcome.HELD


@pytest.mark.timed
def test_without_postgresql_the_outcome_is_accepted_at_the_deadline() -> None:
    def away() -> Any:
        raise StoreUnavailable("away")

    began = time.monotonic()
    with contextlib.closing(OutcomeWaiter(away, 1)) as waiter:
        found = waiter.wait(5, away, began + 0.3)

    assert found == WebhookOutcome(event_id=5)
    assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.timed
def test_more_requests_than_allowed_do_not_wait() -> None:
    waiter = OutcomeWaiter(lambda: iter(()), 1)
    may_return = threading.Event()
    registered = threading.Event()

    def look_slowly() -> WebhookOutcome:
        registered.set()
        may_return.wait(LONG)
        return WebhookOutcome(event_id=1, outcome=Outcome.BOOKED)

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        first = threads.submit(waiter.wait, 1, look_slowly, time.monotonic() + LONG)
        assert registered.wait(LONG)
        began = time.monotonic()
        second = waiter.wait(2, lambda: WebhookOutcome(event_id=2), began + LONG)
        took = time.monotonic() - began
        may_return.set()
        assert first.result(LONG).outcome is Outcome.BOOKED
    assert second.outcome is Outcome.ACCEPTED
    assert took < LONG / 4
    # The first waiter is unregistered.
    third = WebhookOutcome(event_id=3, outcome=Outcome.HELD)
    assert waiter.wait(3, lambda: third, time.monotonic()) == third
    waiter.close()


# --- over HTTP -------------------------------------------------------------------------------
