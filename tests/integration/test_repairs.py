"""What people do with leads that wait, on real parts."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import commands
from adapter.exceptions import NotPossible
from adapter.mapping.registry import load
from adapter.models import BookingState, EventState
from adapter.operations.release import Repairs
from adapter.operations.replay import Replays
from tests.harness import House, sample, settle
from tests.leads import lead, same_person
from tests.paths import MAPPINGS
from tests.sandbox_client import Upstream

PENDING, HELD, BOOKED = BookingState.PENDING, BookingState.HELD, BookingState.BOOKED


def repairs(house: House) -> Repairs:
    return Repairs(house.settings, house.pipeline.store, house.pipeline.sources, house.clock)


def replays(house: House) -> Replays:
    return Replays(house.settings, house.pipeline.store, house.pipeline.sources, house.clock)


def held_for_its_time(house: House) -> int:
    (booking,) = house.mapped("rentfeed", lead(1, time="2:30 AM"))
    assert booking.state is HELD
    return booking.id


def test_a_held_lead_is_mended_released_and_booked(house: House, upstream: Upstream) -> None:
    booking_id = held_for_its_time(house)
    repairs(house).release(booking_id, {"starts_at": "2026-03-14T14:30"}, by="ana")
    settle(house)

    booked = house.booking(booking_id)
    assert booked.state is BOOKED
    assert booked.starts_at == dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)
    (posted,) = upstream.posts()
    assert (posted["appointment_date"], posted["appointment_time"]) == ("2026-03-14", "20:30:00")
    released = [line for line in house.story(booking_id).history if line.why == "released"]
    assert [line.by for line in released] == ["ana"]


def test_a_lead_for_an_unknown_community_is_given_one(house: House, upstream: Upstream) -> None:
    payload = lead(1)
    payload["listing"] |= {"propertyId": "99999", "propertyName": "Elm Row"}
    (booking,) = house.mapped("rentfeed", payload)
    assert booking.state is HELD
    repairs(house).release(
        booking.id, {"community": "harbor-flats", "starts_at": "2026-03-14T14:30"}, by="ana"
    )
    settle(house)

    (posted,) = upstream.posts()
    assert posted["community_id"] == "com_harbor"
    assert posted["attribution_id"] == "att_rentfeed_h"
    assert posted["appointment_time"] == "21:30:00"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "starts_at: not known"),
        ({"starts_at": "tomorrow"}, "write it as 2026-03-14T14:30"),
        ({"starts_at": "2026-03-08T02:30"}, "does not exist in America/Denver"),
        ({"starts_at": "2026-03-01T10:00"}, "has passed"),
        ({"starts_at": "2026-03-14T14:30", "phone_1": "call me"}, "phone_1: "),
        ({"starts_at": "2026-03-14T14:30", "lease_term_in_months": 40}, "lease_term_in_months: "),
        ({"starts_at": "2026-03-14T14:30", "email_1": ""}, "e-mail"),
        ({"colour": "red"}, "unknown field colour"),
        ({"community": "elm-row"}, "there is no community elm-row; there is harbor-flats"),
    ],
    ids=str,
)
def test_what_cannot_be_released_says_why_and_changes_nothing(
    house: House, changes: dict[str, Any], text: str
) -> None:
    payload = lead(1)
    payload["tour"] = {}
    (booking,) = house.mapped("rentfeed", payload)
    with pytest.raises(NotPossible) as caught:
        repairs(house).release(booking.id, changes, by="ana")

    assert text in str(caught.value)
    assert house.booking(booking.id) == booking


def test_an_unknown_booking_is_released_only_by_whoever_looked(
    house: House, upstream: Upstream
) -> None:
    upstream.fault({"drop": "before"})
    (booking,) = house.mapped("rentfeed", lead(1))
    house.send()
    with pytest.raises(NotPossible, match="it may stand in Knock"):
        repairs(house).release(booking.id, {}, by="ana")

    repairs(house).release(booking.id, {}, by="ana", is_not_in_knock=True)
    settle(house)
    assert house.state(booking.id) is BOOKED
    assert len(upstream.posts()) == 2
    assert len(upstream.appointments()) == 1


def test_what_is_booked_is_not_released(house: House) -> None:
    (booking,) = house.mapped("rentfeed", lead(1))
    settle(house)
    with pytest.raises(NotPossible, match="is booked: there is nothing to release"):
        repairs(house).release(booking.id, {}, by="ana")


def test_a_release_does_not_book_a_tour_twice(house: House) -> None:
    (first,) = house.mapped("rentfeed", same_person(1))
    (second,) = house.mapped("rentfeed", same_person(2, time="2:30 AM"))
    with pytest.raises(NotPossible, match=f"already has this tour: booking {first.id}"):
        repairs(house).release(second.id, {"starts_at": "2026-03-14T14:30"}, by="ana")

    repairs(house).release(second.id, {"starts_at": "2026-03-14T16:30"}, by="ana")
    assert house.state(first.id) is BookingState.SUPERSEDED


def test_a_lead_is_put_aside_with_a_reason(house: House) -> None:
    booking_id = held_for_its_time(house)
    repairs(house).discard(booking_id, "called her", by="ana")
    assert house.booking(booking_id).state is BookingState.DISCARDED
    assert house.booking(booking_id).reason == "called her"

    event = house.receive("rentfeed", b"{not json")
    house.pipeline.mapper.map_event(event.event_id)
    repairs(house).discard(event.event_id, "a test", by="ana")
    assert house.story(event.event_id).event.state is EventState.DISCARDED
    with pytest.raises(NotPossible, match="no event that is held"):
        repairs(house).discard(event.event_id, "again", by="ana")


def mend(house: House, folder: Path, old: str, new: str) -> None:
    """The mappings with one text replaced, as the sources of now."""
    mended = folder / "mappings"
    mended.mkdir()
    for file in MAPPINGS.glob("*.yaml"):
        (mended / file.name).write_text(file.read_text().replace(old, new))
    (mended / "samples").symlink_to(MAPPINGS / "samples")
    house.pipeline.sources = load(mended, house.settings.policy)


def test_after_a_mapping_is_mended_a_group_is_replayed(
    house: House, upstream: Upstream, tmp_path: Path
) -> None:
    events = []
    for number in range(3):
        payload = lead(number)
        payload["listing"] |= {"propertyId": "777", "propertyName": "Maple Ct"}
        events.append(house.mapped("rentfeed", payload)[0].event_id)
    mend(house, tmp_path, "[20417, Maple Court]", "[20417, Maple Court, 777]")

    planned = [replays(house).replay(event, by="ana", dry_run=True) for event in events]
    assert {one.outcome for one in planned} == {"book"}
    assert planned[0].fields["0.community_id"] == (None, "com_maple")
    assert {house.story(event).bookings[0].state for event in events} == {HELD}

    for event in events:
        replays(house).replay(event, by="ana", dry_run=False)
    settle(house)
    for event in events:
        assert [booking.state for booking in house.story(event).bookings] == [
            BookingState.SUPERSEDED,
            BOOKED,
        ]
    assert len(upstream.posts()) == 3
    again = replays(house).replay(events[0], by="ana", dry_run=False)
    assert again.refusal is not None
    assert "is booked" in again.refusal


def test_a_held_event_is_replayed(house: House) -> None:
    event = house.receive("rentfeed", lead(1))
    sources, house.pipeline.sources = house.pipeline.sources, {}
    house.clock.advance(3600)
    house.pipeline.mapper.map_event(event.event_id)
    assert house.story(event.event_id).event.state is EventState.HELD
    house.pipeline.sources = sources
    replays(house).replay(event.event_id, by="ana", dry_run=False)

    (booking,) = house.story(event.event_id).bookings
    assert booking.state is PENDING


def test_what_was_put_aside_is_not_replayed(house: House) -> None:
    booking_id = held_for_its_time(house)
    repairs(house).discard(booking_id, "booked by hand", by="ana")
    event_id = house.story(booking_id).event.id

    replayed = replays(house).replay(event_id, by="ana", dry_run=False)
    assert replayed.refusal == f"booking {booking_id} of it is discarded"
    assert len(house.story(booking_id).bookings) == 1


def test_an_older_lead_is_not_released_over_a_newer_one(house: House) -> None:
    (older,) = house.mapped("rentfeed", same_person(1, time="2:30 AM"))
    house.clock.advance(3600)
    (newer,) = house.mapped("rentfeed", same_person(2, time="4:00 PM"))
    change = {"starts_at": "2026-03-14T14:30"}
    with pytest.raises(NotPossible, match=f"booking {newer.id}. If this one is right, say so"):
        repairs(house).release(older.id, change, by="ana")

    repairs(house).release(older.id, change, by="ana", is_wanted_anyway=True)
    assert house.state(newer.id) is BookingState.SUPERSEDED


def test_replays_are_chosen_by_source_state_and_time(house: House) -> None:
    held = house.story(held_for_its_time(house)).event.id
    (waiting,) = house.mapped("rentfeed", lead(2))
    with house.pipeline.store.transaction() as tx:
        assert tx.events_to_replay(states=["held"]) == [held]
        assert tx.events_to_replay(ids=[waiting.id]) == [waiting.event_id]
        assert tx.events_to_replay(source="website") == []
        assert tx.events_to_replay(since=house.clock() + dt.timedelta(days=1)) == []
        assert len(tx.events_to_replay(source="rentfeed", limit=1)) == 1


def test_a_past_tour_is_replayed_only_by_force_and_then_waits_for_a_person(house: House) -> None:
    booking_id = held_for_its_time(house)
    event_id = house.story(booking_id).event.id
    house.clock.advance(30 * 86400)
    refused = replays(house).replay(event_id, by="ana", dry_run=False)
    assert refused.refusal == "its tour has passed"
    assert house.state(booking_id) is HELD

    forced = replays(house).replay(event_id, by="ana", dry_run=False, forced_because="asked again")
    assert forced.refusal is None
    _, again = house.story(event_id).bookings
    assert again.state is HELD
    assert any(reason.reason == "is in the past" for reason in again.reasons)


def test_a_forced_replay_books_again_past_every_protection_and_says_who_and_why(
    house: House, upstream: Upstream
) -> None:
    (first,) = house.mapped("rentfeed", same_person(1))
    settle(house)
    house.clock.advance(3600)
    assert replays(house).replay(first.event_id, by="ana", dry_run=False).refusal is not None

    reason = "deleted in Knock by mistake"
    planned = replays(house).replay(first.event_id, by="ana", dry_run=True, forced_because=reason)
    assert (planned.refusal, planned.fields) == (None, {})
    assert len(house.story(first.id).bookings) == 1
    replays(house).replay(first.event_id, by="ana", dry_run=False, forced_because=reason)
    settle(house)

    story = house.story(first.id)
    assert [booking.state for booking in story.bookings] == [BOOKED, BOOKED]
    assert len(upstream.posts()) == 2
    assert [line.by for line in story.history if line.why == reason] == ["ana"]
    # What comes now is judged beside the newer booking.
    (repeat,) = house.mapped("rentfeed", same_person(2))
    assert repeat.state is BookingState.DUPLICATE


def test_a_forced_replay_takes_the_place_of_what_waits_and_is_the_newest(
    house: House, upstream: Upstream
) -> None:
    (older,) = house.mapped("rentfeed", same_person(1))
    repairs(house).discard(older.id, "not ours", by="ana")
    house.clock.advance(3600)
    (newer,) = house.mapped("rentfeed", same_person(2, time="4:00 PM"))
    replays(house).replay(older.event_id, by="ana", dry_run=False, forced_because="it is ours")

    assert house.state(newer.id) is BookingState.SUPERSEDED
    settle(house)
    assert house.story(older.id).bookings[-1].state is BOOKED
    (posted,) = upstream.posts()
    assert posted["appointment_time"] == "20:30:00"


def test_a_forced_replay_that_is_put_off_does_not_give_way_to_what_was_booked_before(
    house: House, upstream: Upstream
) -> None:
    (older,) = house.mapped("rentfeed", same_person(1))
    house.clock.advance(3600)
    house.mapped("rentfeed", same_person(2, time="4:00 PM"))
    settle(house)
    replays(house).replay(older.event_id, by="ana", dry_run=False, forced_because="she rang")
    upstream.fault({"status": 429})
    house.send()
    house.clock.advance(600)
    settle(house)

    assert house.story(older.id).bookings[-1].state is BOOKED


def test_two_tours_here_in_a_forced_webhook_still_wait_for_a_person(house: House) -> None:
    payload = sample("leasebot-handoff.json")
    for tour in payload["handoff"]["tours"]:
        tour["property"] = "Maple Court"
    event_id = house.mapped("leasebot", payload)[0].event_id
    replays(house).replay(event_id, by="ana", dry_run=False, forced_because="both")

    assert [booking.state for booking in house.story(event_id).bookings[2:]] == [PENDING, HELD]
    assert house.story(event_id).bookings[3].reason == "two_tours_at_once"


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"job": "PENDING"}], ids=str)
def test_what_may_be_on_its_way_is_not_replayed_by_force(
    house: House, upstream: Upstream, fault: dict[str, str]
) -> None:
    upstream.fault(fault)
    (booking,) = house.mapped("rentfeed", lead(1))
    house.send()
    forced = replays(house).replay(
        booking.event_id, by="ana", dry_run=False, forced_because="now, please"
    )
    assert forced.refusal is not None
    assert f"booking {booking.id} of it is" in forced.refusal
    assert len(house.story(booking.id).bookings) == 1


def test_a_forced_replay_needs_a_reason() -> None:
    asked = CliRunner().invoke(commands, ["replay", "1001", "--force"])
    assert asked.exit_code == 2
    assert "--force needs --reason" in asked.output


def test_of_two_tours_in_one_webhook_the_one_that_waits_is_replayed(
    house: House, upstream: Upstream, tmp_path: Path
) -> None:
    payload = sample("leasebot-handoff.json")
    payload["handoff"]["tours"][1]["property"] = "Elm Row"
    booked, held = house.mapped("leasebot", payload)
    settle(house)
    assert [house.state(booked.id), house.state(held.id)] == [BOOKED, HELD]
    mend(house, tmp_path, "leasebot: [Harbor Flats]", "leasebot: [Harbor Flats, Elm Row]")

    planned = replays(house).replay(booked.event_id, by="ana", dry_run=True)
    assert planned.fields["0.outcome"] == ("held", "book")
    replays(house).replay(booked.event_id, by="ana", dry_run=False)
    settle(house)

    states = [booking.state for booking in house.story(booked.event_id).bookings]
    assert states == [BOOKED, BookingState.SUPERSEDED, BOOKED]
    assert len(upstream.posts()) == 2
