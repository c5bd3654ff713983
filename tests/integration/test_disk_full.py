"""Test that errors on PostgreSQL's machine count as outages, are retried, and lose no lead."""

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from adapter.exceptions import StoreUnavailable
from adapter.models import BookingState, EventState
from adapter.store import Database
from tests.databases import run_sql
from tests.harness import Harness
from tests.leads import lead, same_person
from tests.sandbox_client import SandboxClient

#: Disk full, out of memory, too many connections, administrator shutdown, I/O error, lost
#: connection, read-only after a failover.
FULL_DISK = "53100"
CODES = [FULL_DISK, "53200", "53300", "57P01", "58030", "08006", "25006"]
PENDING = BookingState.PENDING

FULL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '%s'; END $$;
CREATE CONSTRAINT TRIGGER fail AFTER %s ON %s %s FOR EACH ROW EXECUTE FUNCTION fail()
"""
AT_ONCE, AT_COMMIT = "NOT DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"

every_code = pytest.mark.parametrize("code", CODES)
each_time = pytest.mark.parametrize("when", [AT_ONCE, AT_COMMIT], ids=["statement", "commit"])


@pytest.fixture
def harness(opened_fresh: Database, upstream: SandboxClient) -> Harness:
    """Use a database whose schema may change."""
    return Harness(opened_fresh, upstream)


@contextlib.contextmanager
def failing(harness: Harness, code: str, when: str, event: str, table: str) -> Iterator[None]:
    """Make the given kind of change to a table fail."""
    url = harness.pipeline.store.url
    run_sql(url, FULL % (code, event, table, when))
    yield
    run_sql(url, "DROP FUNCTION fail CASCADE")


@every_code
@each_time
def test_a_booking_that_could_not_be_begun_is_sent_later(
    harness: Harness, upstream: SandboxClient, code: str, when: str
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    with failing(harness, code, when, "INSERT", "attempts"), pytest.raises(StoreUnavailable):
        harness.pipeline.sender.send_due()
    assert harness.state(booking.id) is PENDING
    assert upstream.posts() == []
    harness.send()
    assert harness.state(booking.id) is BookingState.SUBMITTED


@each_time
def test_an_event_that_could_not_be_mapped_is_mapped_later(harness: Harness, when: str) -> None:
    event_id = harness.receive("rentfeed", lead(1)).event_id
    with failing(harness, FULL_DISK, when, "INSERT", "bookings"), pytest.raises(StoreUnavailable):
        harness.pipeline.mapper.map_due()
    assert harness.story(event_id).event.state is EventState.RECEIVED
    harness.pipeline.mapper.map_due()
    assert harness.story(event_id).event.state is EventState.MAPPED


@each_time
def test_a_status_that_could_not_be_saved_is_read_again(harness: Harness, when: str) -> None:
    """Use a booking with and without a related one, because they need different transactions."""
    (first,) = harness.mapped("rentfeed", same_person(1))
    harness.send()
    harness.clock.advance(60)
    (second,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    harness.mapped("rentfeed", lead(3))
    harness.send()
    harness.clock.advance(10)
    with failing(harness, FULL_DISK, when, "INSERT", "history"):
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                harness.check()
    due_at = harness.booking(first.id).due_at
    assert due_at is not None
    assert (due_at - harness.clock()).total_seconds() <= 30
    harness.clock.advance(30)
    harness.check()
    assert harness.state(first.id) is BookingState.BOOKED
    assert harness.state(second.id) is PENDING


def test_a_webhook_that_cannot_be_stored_is_unavailable(harness: Harness) -> None:
    with failing(harness, FULL_DISK, AT_ONCE, "INSERT", "events"), pytest.raises(StoreUnavailable):
        harness.receive("rentfeed", lead(1))


def test_an_error_in_a_statement_is_no_outage(harness: Harness) -> None:
    """Check that the booking is held, because retries would fail forever."""
    (booking,) = harness.mapped("rentfeed", lead(1))
    with failing(harness, "22012", AT_ONCE, "INSERT", "attempts"):
        harness.pipeline.sender.send_due()
    assert (harness.state(booking.id)) is BookingState.HELD
    with pytest.raises(psycopg.errors.UndefinedTable), harness.pipeline.store.statement() as tx:
        tx.connection.execute("SELECT FROM nothing")
