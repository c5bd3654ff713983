"""Test undoing, snoozing and assigning, and the order of bookings, with real PostgreSQL."""

import datetime as dt

import pytest

from adapter.exceptions import NotPossible
from adapter.models import Booking, BookingState
from adapter.operations.release import Repairs
from adapter.operations.take_back import UNDO_SECONDS, TakeBacks, snooze_until
from tests.harness import Harness, settle
from tests.leads import lead
from tests.sandbox_client import SandboxClient

HELD, PENDING, BOOKED = BookingState.HELD, BookingState.PENDING, BookingState.BOOKED


def take_backs(harness: Harness) -> TakeBacks:
    return TakeBacks(harness.pipeline.store, harness.clock)


def repairs(harness: Harness) -> Repairs:
    return Repairs(
        harness.pipeline.settings,
        harness.pipeline.store,
        harness.pipeline.sources,
        harness.clock,
        hold_for=dt.timedelta(seconds=UNDO_SECONDS),
    )


def release(harness: Harness, booking: Booking) -> None:
    repairs(harness).release(booking.id, {}, by="ana", is_any_hour=True)


def at_night(harness: Harness, number: int) -> Booking:
    (booking,) = harness.mapped("rentfeed", lead(number, time="9:30 PM"))
    assert booking.state is HELD
    return booking


def test_a_release_waits_ten_seconds_and_is_undone(harness: Harness) -> None:
    booking = at_night(harness, 1)
    release(harness, booking)
    harness.send()
    assert harness.state(booking.id) is PENDING, "it is still waiting"
    take_backs(harness).undo_release(booking.id, by="ana")
    undone = harness.booking(booking.id)
    assert (undone.state, undone.reason) == (HELD, "held_by_mapping")
    assert undone.reasons == booking.reasons
    harness.clock.advance(UNDO_SECONDS)
    settle(harness)
    assert harness.state(booking.id) is HELD


def test_a_release_that_is_going_out_is_not_undone(harness: Harness) -> None:
    booking = at_night(harness, 1)
    release(harness, booking)
    harness.clock.advance(UNDO_SECONDS)
    with pytest.raises(NotPossible, match="too late"):
        take_backs(harness).undo_release(booking.id, by="ana")
    settle(harness)
    assert harness.state(booking.id) is BOOKED


def test_a_failed_booking_has_failed_again_after_an_undo(
    harness: Harness, upstream: SandboxClient
) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    upstream.fault({"job": "FAILURE"})
    settle(harness)
    assert harness.state(booking.id) is BookingState.FAILED
    release(harness, booking)
    take_backs(harness).undo_release(booking.id, by="ana")
    undone = harness.booking(booking.id)
    assert (undone.state, undone.reason) == (BookingState.FAILED, "job_failed")


def test_what_a_user_releases_goes_before_an_import(
    harness: Harness, upstream: SandboxClient
) -> None:
    for number in range(2, 6):
        harness.mapped("rentfeed", lead(number))
    booking = at_night(harness, 1)
    release(harness, booking)
    harness.clock.advance(UNDO_SECONDS)
    settle(harness)
    assert next(post["email_1"] for post in upstream.posts()) == "person1@example.com"


def test_a_dismissed_lead_is_brought_back_as_it_was(harness: Harness) -> None:
    booking = at_night(harness, 1)
    repairs(harness).discard(booking.id, "a test", by="ana")
    take_backs(harness).bring_back(booking.id, by="ana")
    back = harness.booking(booking.id)
    assert (back.state, back.reason, back.reasons) == (HELD, "held_by_mapping", booking.reasons)
    with pytest.raises(NotPossible):
        take_backs(harness).bring_back(booking.id, by="ana")

    event_id = harness.receive("rentfeed", b"{").event_id
    harness.map_event(event_id)
    repairs(harness).discard(event_id, "a test", by="ana")
    take_backs(harness).bring_back(event_id, by="ana")
    assert harness.story(event_id).event.state == "held"


def test_a_snoozed_lead_is_back_an_hour_before_its_tour(harness: Harness) -> None:
    booking = at_night(harness, 1)
    until = take_backs(harness).snooze(booking.id, by="ana")
    assert booking.starts_at is not None
    assert until == booking.starts_at - dt.timedelta(hours=1)
    assert _snoozed(harness) == [True]
    harness.clock.at = until
    assert _snoozed(harness) == [False]
    soon = snooze_until(booking, booking.starts_at - dt.timedelta(minutes=30))
    assert soon == booking.starts_at - dt.timedelta(minutes=15)


def _snoozed(harness: Harness) -> list[bool]:
    with harness.pipeline.store.transaction() as tx:
        (group,) = tx.review_queue.groups(harness.clock())
    return list(group.snoozed)


def test_a_lead_is_assigned_and_given_back(harness: Harness) -> None:
    booking = at_night(harness, 1)
    take_backs(harness).assign(booking.id, "ana", by="ana")
    assert harness.booking(booking.id).assigned_to == "ana"
    take_backs(harness).assign(booking.id, None, by="ana")
    assert harness.booking(booking.id).assigned_to is None


def test_the_wall_time_of_an_unknown_property_is_kept(harness: Harness) -> None:
    elm = lead(1)
    elm["listing"] |= {"propertyId": "30999", "propertyName": "Elm Row"}
    (booking,) = harness.mapped("rentfeed", elm)
    assert booking.starts_at is None
    assert harness.booking(booking.id).wall_time == dt.datetime.fromisoformat("2026-03-14T14:30")
    with harness.pipeline.store.transaction() as tx:
        (group,) = tx.review_queue.groups(harness.clock())
    # In the easternmost zone, because the tour cannot start earlier than that.
    assert group.soonest_at == dt.datetime(2026, 3, 14, 18, 30, tzinfo=dt.UTC)


def test_a_snoozed_lead_of_an_unknown_property_is_back_before_its_earliest_time(
    harness: Harness,
) -> None:
    elm = lead(1)
    elm["listing"] |= {"propertyId": "30999", "propertyName": "Elm Row"}
    (booking,) = harness.mapped("rentfeed", elm)
    booking = harness.booking(booking.id)
    now = dt.datetime(2026, 3, 14, 12, 0, tzinfo=dt.UTC)
    assert snooze_until(booking, now) == dt.datetime(2026, 3, 14, 17, 30, tzinfo=dt.UTC)


def test_a_change_of_state_ends_the_snooze(harness: Harness) -> None:
    booking = at_night(harness, 1)
    take_backs(harness).snooze(booking.id, by="ana")
    release(harness, booking)
    with harness.pipeline.store.transaction() as tx:
        tx.bookings.move(booking.id, BookingState.FAILED, why="refused", now=harness.clock())
    assert _snoozed(harness) == [False], "a new failure is not hidden"
