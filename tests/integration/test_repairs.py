"""Test user actions on leads that need review, with real services."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import commands
from adapter.exceptions import NotPossible
from adapter.mapping.registry import load
from adapter.models import BookingState, EventState
from tests.harness import Harness, sample, settle
from tests.leads import lead, same_person
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient

PHONE = "303-555-0142"
PENDING, HELD, BOOKED = BookingState.PENDING, BookingState.HELD, BookingState.BOOKED


def held_for_its_time(harness: Harness) -> int:
    (booking,) = harness.mapped("rentfeed", lead(1, time="2:30 AM"))
    assert booking.state is HELD
    return booking.id


def test_a_held_lead_is_fixed_released_and_booked(
    harness: Harness, upstream: SandboxClient
) -> None:
    booking_id = held_for_its_time(harness)
    harness.repairs.release(booking_id, {"starts_at": "2026-03-14T14:30"}, by="ana")
    settle(harness)

    booked = harness.booking(booking_id)
    assert booked.state is BOOKED
    assert booked.starts_at == dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)
    (posted,) = upstream.posts()
    assert (posted["appointment_date"], posted["appointment_time"]) == ("2026-03-14", "20:30:00")
    released = [line for line in harness.story(booking_id).history if line.why == "released"]
    assert [line.by for line in released] == ["ana"]


def test_a_lead_for_an_unknown_community_is_given_one(
    harness: Harness, upstream: SandboxClient
) -> None:
    payload = lead(1)
    payload["listing"] |= {"propertyId": "99999", "propertyName": "Elm Row"}
    (booking,) = harness.mapped("rentfeed", payload)
    assert booking.state is HELD
    harness.repairs.release(
        booking.id, {"community": "harbor-flats", "starts_at": "2026-03-14T14:30"}, by="ana"
    )
    settle(harness)

    (posted,) = upstream.posts()
    assert posted["community_id"] == "com_harbor"
    assert posted["attribution_id"] == "att_rentfeed_h"
    assert posted["appointment_time"] == "21:30:00"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "starts_at: is missing"),
        ({"starts_at": "tomorrow"}, "write it as 2026-03-14T14:30"),
        ({"starts_at": "2026-03-08T02:30"}, "does not exist in America/Denver"),
        ({"starts_at": "2026-03-01T10:00"}, "has passed"),
        ({"starts_at": "2026-03-14T14:30", "phone_1": "call me"}, "phone_1: "),
        ({"starts_at": "2026-03-14T14:30", "lease_term_in_months": 40}, "lease_term_in_months: "),
        ({"starts_at": "2026-03-14T14:30", "email_1": ""}, "email address"),
        ({"colour": "red"}, "unknown field colour"),
        (
            {"community": "elm-row"},
            "there is no community elm-row; the communities are: harbor-flats",
        ),
    ],
    ids=str,
)
def test_a_rejected_release_explains_why_and_changes_nothing(
    harness: Harness, changes: dict[str, Any], text: str
) -> None:
    payload = lead(1)
    payload["tour"] = {}
    (booking,) = harness.mapped("rentfeed", payload)
    with pytest.raises(NotPossible) as caught:
        harness.repairs.release(booking.id, changes, by="ana")

    assert text in str(caught.value)
    assert harness.booking(booking.id) == booking


def test_an_unknown_booking_is_released_only_after_checking_knock(
    harness: Harness, upstream: SandboxClient
) -> None:
    upstream.fault({"drop": "before"})
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    with pytest.raises(NotPossible, match="it may exist in Knock"):
        harness.repairs.release(booking.id, {}, by="ana")

    harness.repairs.release(booking.id, {}, by="ana", is_not_in_knock=True)
    settle(harness)
    assert harness.state(booking.id) is BOOKED
    assert len(upstream.posts()) == 2
    assert len(upstream.appointments()) == 1


def test_a_booked_lead_is_not_released(harness: Harness) -> None:
    (booking,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    with pytest.raises(NotPossible, match="is booked: there is nothing to release"):
        harness.repairs.release(booking.id, {}, by="ana")


def test_a_release_does_not_book_a_tour_twice(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    (second,) = harness.mapped("rentfeed", same_person(2, time="2:30 AM"))
    with pytest.raises(NotPossible, match=f"already requested this tour: booking {first.id}"):
        harness.repairs.release(second.id, {"starts_at": "2026-03-14T14:30"}, by="ana")

    harness.repairs.release(second.id, {"starts_at": "2026-03-14T16:30"}, by="ana")
    assert harness.state(first.id) is BookingState.SUPERSEDED


def test_a_lead_is_discarded_with_a_reason(harness: Harness) -> None:
    booking_id = held_for_its_time(harness)
    harness.repairs.discard(booking_id, "called her", by="ana")
    assert harness.booking(booking_id).state is BookingState.DISCARDED
    assert harness.booking(booking_id).reason == "called her"

    event = harness.receive("rentfeed", b"{not json")
    harness.map_event(event.event_id)
    harness.repairs.discard(event.event_id, "a test", by="ana")
    assert harness.story(event.event_id).event.state is EventState.DISCARDED
    with pytest.raises(NotPossible, match="neither a booking nor a held webhook"):
        harness.repairs.discard(event.event_id, "again", by="ana")


def replace_in_mappings(harness: Harness, folder: Path, old: str, new: str) -> None:
    """Load the mappings after replacing a text in them."""
    edited = folder / "mappings"
    edited.mkdir()
    for file in MAPPINGS.glob("*.yaml"):
        (edited / file.name).write_text(file.read_text().replace(old, new))
    (edited / "samples").symlink_to(MAPPINGS / "samples")
    harness.pipeline.sources = load(edited, harness.settings.policy)


def test_after_a_mapping_is_fixed_a_group_is_replayed(
    harness: Harness, upstream: SandboxClient, tmp_path: Path
) -> None:
    events = []
    for number in range(3):
        payload = lead(number)
        payload["listing"] |= {"propertyId": "777", "propertyName": "Maple Ct"}
        events.append(harness.mapped("rentfeed", payload)[0].event_id)
    replace_in_mappings(harness, tmp_path, "[20417, Maple Court]", "[20417, Maple Court, 777]")

    planned = [harness.replays.replay(event, by="ana", dry_run=True) for event in events]
    assert {one.outcome for one in planned} == {"book"}
    assert planned[0].fields["0.community_id"] == (None, "com_maple")
    assert {harness.story(event).bookings[0].state for event in events} == {HELD}

    for event in events:
        harness.replays.replay(event, by="ana", dry_run=False)
    settle(harness)
    for event in events:
        assert [booking.state for booking in harness.story(event).bookings] == [
            BookingState.SUPERSEDED,
            BOOKED,
        ]
    assert len(upstream.posts()) == 3
    again = harness.replays.replay(events[0], by="ana", dry_run=False)
    assert again.refusal is not None
    assert "is booked" in again.refusal


def test_a_held_event_is_replayed(harness: Harness) -> None:
    event = harness.receive("rentfeed", lead(1))
    sources, harness.pipeline.sources = harness.pipeline.sources, {}
    harness.clock.advance(3600)
    harness.map_event(event.event_id)
    assert harness.story(event.event_id).event.state is EventState.HELD
    harness.pipeline.sources = sources
    harness.replays.replay(event.event_id, by="ana", dry_run=False)

    (booking,) = harness.story(event.event_id).bookings
    assert booking.state is PENDING


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_replay_says_if_a_lead_stays_held(harness: Harness, *, dry_run: bool) -> None:
    shared: Any = {"email": "family@example.com"}
    harness.mapped("rentfeed", lead(1, name="Liam Ortiz", **shared))
    (second,) = harness.mapped("rentfeed", lead(2, day=15, name="Lara Ortiz", **shared))
    assert second.reason == "another_person"
    replays = harness.replays
    found = replays.replay(second.event_id, by="ana", dry_run=dry_run)
    assert (found.outcome, len(found.not_booked), found.fields) == ("held", 1, {})
    current = harness.story(second.event_id).current
    assert [(one.state, one.id == second.id) for one in current] == [(HELD, dry_run)]


def test_a_discarded_lead_is_not_replayed(harness: Harness) -> None:
    booking_id = held_for_its_time(harness)
    harness.repairs.discard(booking_id, "booked by hand", by="ana")
    event_id = harness.story(booking_id).event.id

    replayed = harness.replays.replay(event_id, by="ana", dry_run=False)
    assert replayed.refusal == f"its booking {booking_id} is discarded"
    assert len(harness.story(booking_id).bookings) == 1


def test_an_older_lead_is_not_released_over_a_newer_one(harness: Harness) -> None:
    (older,) = harness.mapped("rentfeed", same_person(1, time="2:30 AM"))
    harness.clock.advance(3600)
    (newer,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    change = {"starts_at": "2026-03-14T14:30"}
    with pytest.raises(NotPossible, match=f"booking {newer.id}, which would be replaced"):
        harness.repairs.release(older.id, change, by="ana")

    harness.repairs.release(older.id, change, by="ana", is_wanted_anyway=True)
    assert harness.state(newer.id) is BookingState.SUPERSEDED


def merged_by_phone(harness: Harness, **contact: str) -> tuple[int, int]:
    """Return a tour in Knock, and a later one that was merged with it because of a shared phone."""
    (first,) = harness.mapped("rentfeed", lead(1, name="J. Okafor", phone=PHONE))
    settle(harness)
    harness.clock.advance(60)
    other: Any = {"name": "June Okafor", "phone": PHONE, **contact}
    (second,) = harness.mapped("rentfeed", lead(2, **other))
    assert (second.state, second.because_of) == (BookingState.DUPLICATE, first.id)
    return first.id, second.id


def test_another_person_is_booked_without_the_shared_contact(
    harness: Harness, upstream: SandboxClient
) -> None:
    first, second = merged_by_phone(harness)
    with pytest.raises(NotPossible, match=f"because of booking {first}. To book it anyway"):
        harness.repairs.release(second, {}, by="ana")
    with pytest.raises(NotPossible, match=f"booking {first}. Booking it again would"):
        harness.repairs.release(second, {}, by="ana", is_wanted_anyway=True)

    harness.repairs.release(second, {}, by="ana", is_another_person=True)
    settle(harness)
    assert [harness.state(first), harness.state(second)] == [BOOKED, BOOKED]
    assert len([one for one in upstream.appointments() if not one["canceled_by"]]) == 2
    posted = upstream.posts()[-1]
    assert (posted["email_1"], posted.get("phone_1")) == ("person2@example.com", None)
    assert "Phone shared with someone else: +13035550142" in posted["notes"]
    with harness.pipeline.store.transaction() as tx:
        (entry,) = tx.audit.entries(lead_id=second)
    assert entry.action == "edited_and_released"
    assert entry.detail == "another_person, notes, phone_1"
    # A later request from the first person is not mistaken for the second person's.
    (again,) = harness.mapped("rentfeed", lead(3, time="4:00 PM", name="J Okafor", phone=PHONE))
    assert harness.state(second) is BOOKED
    assert again.state is PENDING


def test_a_person_with_only_the_shared_contact_cannot_be_separated(harness: Harness) -> None:
    first, second = merged_by_phone(harness, email="")
    with pytest.raises(NotPossible, match=f"no other email or phone than booking {first}"):
        harness.repairs.release(second, {}, by="ana", is_another_person=True)

    harness.repairs.release(
        second, {"email_1": "june@example.com"}, by="ana", is_another_person=True
    )
    settle(harness)
    assert harness.state(second) is BOOKED
    assert "phone_1" not in harness.booking(second).appointment


def test_a_new_contact_of_another_person_may_replace_the_shared_one(
    harness: Harness, upstream: SandboxClient
) -> None:
    shared: Any = {"name": "J. Okafor", "email": "fam@example.com"}
    (first,) = harness.mapped("rentfeed", lead(1, **shared))
    settle(harness)
    (second,) = harness.mapped("rentfeed", lead(2, **shared | {"name": "June Okafor"}))
    assert second.because_of == first.id
    harness.repairs.release(
        second.id, {"email_1": "june@example.com"}, by="ana", is_another_person=True
    )
    settle(harness)
    assert [harness.state(first.id), harness.state(second.id)] == [BOOKED, BOOKED]
    posted = upstream.posts()[-1]
    assert posted["email_1"] == "june@example.com"
    assert "Email shared with someone else: fam@example.com" in posted["notes"]


def test_a_tour_that_was_canceled_in_knock_is_booked_again_as_the_refusal_says(
    harness: Harness, upstream: SandboxClient
) -> None:
    _, second = merged_by_phone(harness)
    with pytest.raises(NotPossible) as caught:
        harness.repairs.release(second, {}, by="ana", is_wanted_anyway=True)
    command = re.search(
        r"If Knock no longer has it, run: adapter replay (\d+) --force", str(caught.value)
    )
    assert command is not None
    harness.replays.replay(
        int(command[1]), by="ana", dry_run=False, forced_because="canceled in Knock"
    )
    settle(harness)
    assert harness.story(second).bookings[-1].state is BOOKED
    assert len(upstream.posts()) == 2


def test_a_held_lead_of_another_person_is_released_the_same_way(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1, name="Dana Okafor", phone=PHONE))
    (held,) = harness.mapped("rentfeed", lead(2, name="Ben Roe", phone=PHONE))
    assert (held.state, held.reason) == (HELD, "another_person")
    harness.repairs.release(held.id, {}, by="ana", is_another_person=True)
    assert harness.state(held.id) is PENDING

    (alone,) = harness.mapped("rentfeed", lead(3, time="2:30 AM"))
    with pytest.raises(NotPossible, match="was not matched to another person"):
        harness.repairs.release(alone.id, {}, by="ana", is_another_person=True)


def test_replays_are_chosen_by_source_state_and_time(harness: Harness) -> None:
    held = harness.story(held_for_its_time(harness)).event.id
    (waiting,) = harness.mapped("rentfeed", lead(2))
    with harness.pipeline.store.transaction() as tx:
        assert tx.events.ids_to_replay(states=["held"]) == [held]
        assert tx.events.ids_to_replay(ids=[waiting.id]) == [waiting.event_id]
        assert tx.events.ids_to_replay(source="website") == []
        assert tx.events.ids_to_replay(since=harness.clock() + dt.timedelta(days=1)) == []
        assert len(tx.events.ids_to_replay(source="rentfeed", limit=1)) == 1


def test_a_past_tour_is_replayed_only_by_force_and_then_held(
    harness: Harness,
) -> None:
    booking_id = held_for_its_time(harness)
    event_id = harness.story(booking_id).event.id
    harness.clock.advance(30 * 86400)
    refused = harness.replays.replay(event_id, by="ana", dry_run=False)
    assert refused.refusal == "its tour has passed"
    assert harness.state(booking_id) is HELD

    forced = harness.replays.replay(event_id, by="ana", dry_run=False, forced_because="asked again")
    assert forced.refusal is None
    _, again = harness.story(event_id).bookings
    assert again.state is HELD
    assert any(reason.reason == "is in the past" for reason in again.reasons)


def test_a_forced_replay_books_again_and_is_audited(
    harness: Harness, upstream: SandboxClient
) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    settle(harness)
    harness.clock.advance(3600)
    assert harness.replays.replay(first.event_id, by="ana", dry_run=False).refusal is not None

    reason = "deleted in Knock by mistake"
    planned = harness.replays.replay(first.event_id, by="ana", dry_run=True, forced_because=reason)
    assert (planned.refusal, planned.fields) == (None, {})
    assert len(harness.story(first.id).bookings) == 1
    harness.replays.replay(first.event_id, by="ana", dry_run=False, forced_because=reason)
    settle(harness)

    story = harness.story(first.id)
    assert [booking.state for booking in story.bookings] == [BOOKED, BOOKED]
    assert len(upstream.posts()) == 2
    assert [line.by for line in story.history if line.why == reason] == ["ana"]
    # New requests are compared with the newer booking.
    (repeat,) = harness.mapped("rentfeed", same_person(2))
    assert repeat.state is BookingState.DUPLICATE


def test_a_forced_replay_replaces_pending_requests_as_the_newest(
    harness: Harness, upstream: SandboxClient
) -> None:
    (older,) = harness.mapped("rentfeed", same_person(1))
    harness.repairs.discard(older.id, "not ours", by="ana")
    harness.clock.advance(3600)
    (newer,) = harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    harness.replays.replay(older.event_id, by="ana", dry_run=False, forced_because="it is ours")

    assert harness.state(newer.id) is BookingState.SUPERSEDED
    settle(harness)
    assert harness.story(older.id).bookings[-1].state is BOOKED
    (posted,) = upstream.posts()
    assert posted["appointment_time"] == "20:30:00"


def test_a_duplicate_follows_its_original_into_a_replay(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", same_person(1))
    form = sample("website-response.json")
    answers = {answer["field"]["ref"]: answer for answer in form["form_response"]["answers"]}
    answers["email"]["email"] = "dana@example.com"
    answers["last_name"]["text"] = "Roe"
    (duplicate,) = harness.mapped("website", form)
    assert duplicate.because_of == first.id
    harness.replays.replay(first.event_id, by="ana", dry_run=False)

    original = harness.story(first.event_id).bookings[-1]
    assert harness.booking(duplicate.id).because_of == original.id != first.id
    harness.repairs.discard(original.id, "called her", by="ana")
    held = harness.booking(duplicate.id)
    assert (held.state, held.reason) == (BookingState.HELD, "original_dismissed")


def test_a_postponed_forced_replay_is_not_replaced_by_an_older_booking(
    harness: Harness, upstream: SandboxClient
) -> None:
    (older,) = harness.mapped("rentfeed", same_person(1))
    harness.clock.advance(3600)
    harness.mapped("rentfeed", same_person(2, time="4:00 PM"))
    settle(harness)
    harness.replays.replay(older.event_id, by="ana", dry_run=False, forced_because="she rang")
    upstream.fault({"status": 429})
    harness.send()
    harness.clock.advance(600)
    settle(harness)

    assert harness.story(older.id).bookings[-1].state is BOOKED


def test_two_tours_at_one_community_in_a_forced_replay_need_review(harness: Harness) -> None:
    payload = sample("leasebot-handoff.json")
    for tour in payload["handoff"]["tours"]:
        tour["property"] = "Maple Court"
    event_id = harness.mapped("leasebot", payload)[0].event_id
    harness.replays.replay(event_id, by="ana", dry_run=False, forced_because="both")

    assert [booking.state for booking in harness.story(event_id).bookings[2:]] == [PENDING, HELD]
    assert harness.story(event_id).bookings[3].reason == "two_tours_at_once"


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"job": "PENDING"}], ids=str)
def test_a_booking_in_flight_is_not_replayed_even_by_force(
    harness: Harness, upstream: SandboxClient, fault: dict[str, str]
) -> None:
    upstream.fault(fault)
    (booking,) = harness.mapped("rentfeed", lead(1))
    harness.send()
    forced = harness.replays.replay(
        booking.event_id, by="ana", dry_run=False, forced_because="now, please"
    )
    assert forced.refusal is not None
    assert f"its booking {booking.id} is" in forced.refusal
    assert len(harness.story(booking.id).bookings) == 1


def test_a_forced_replay_needs_a_reason() -> None:
    asked = CliRunner().invoke(commands, ["replay", "1001", "--force"])
    assert asked.exit_code == 2
    assert "--force requires --reason" in asked.output


def test_of_two_tours_in_one_webhook_the_held_one_is_replayed(
    harness: Harness, upstream: SandboxClient, tmp_path: Path
) -> None:
    payload = sample("leasebot-handoff.json")
    payload["handoff"]["tours"][1]["property"] = "Elm Row"
    booked, held = harness.mapped("leasebot", payload)
    settle(harness)
    assert [harness.state(booked.id), harness.state(held.id)] == [BOOKED, HELD]
    replace_in_mappings(
        harness, tmp_path, "leasebot: [Harbor Flats]", "leasebot: [Harbor Flats, Elm Row]"
    )

    planned = harness.replays.replay(booked.event_id, by="ana", dry_run=True)
    assert planned.fields["0.outcome"] == ("held", "book")
    harness.replays.replay(booked.event_id, by="ana", dry_run=False)
    settle(harness)

    states = [booking.state for booking in harness.story(booked.event_id).bookings]
    assert states == [BOOKED, BookingState.SUPERSEDED, BOOKED]
    assert len(upstream.posts()) == 2


def test_a_replay_of_a_held_tour_leaves_a_merged_one_of_its_webhook_alone(
    harness: Harness, tmp_path: Path
) -> None:
    payload = sample("leasebot-handoff.json")
    first, second = payload["handoff"]["tours"]
    harness.mapped("leasebot", payload | {"handoff": payload["handoff"] | {"tours": [first]}})
    payload["handoff"]["tours"] = [first | {"id": "t-9"}, second | {"property": "Elm Row"}]
    payload["conversation"]["id"] = "c-9"
    merged, held = harness.mapped("leasebot", payload)
    assert [merged.state, held.state] == [BookingState.DUPLICATE, HELD]
    replace_in_mappings(
        harness, tmp_path, "leasebot: [Harbor Flats]", "leasebot: [Harbor Flats, Elm Row]"
    )

    harness.replays.replay(merged.event_id, by="ana", dry_run=False)
    states = [booking.state for booking in harness.story(merged.event_id).bookings]
    assert states == [BookingState.DUPLICATE, BookingState.SUPERSEDED, PENDING]
