"""Test mappings and community names that users save in the console, with real PostgreSQL."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import NotPossible
from adapter.mapping import overlay
from adapter.mapping.communities_yaml import communities_from_folder
from adapter.models import AddedCommunity, Alias, BookingState
from adapter.operations.aliases import Aliases, names_in, yaml_of
from adapter.operations.take_back import UNDO_SECONDS
from adapter.pipeline import Pipeline
from adapter.store import Database
from tests.harness import Harness, settle
from tests.leads import lead

HELD, PENDING, BOOKED = BookingState.HELD, BookingState.PENDING, BookingState.BOOKED
UNKNOWN_LISTING = {"propertyId": 20999, "propertyName": "The Residences at Cherry Creek"}


def at_unknown(number: int, **changes: Any) -> Any:
    """Return a lead for a property that matches no community."""
    return lead(number, **changes) | {"listing": UNKNOWN_LISTING}


def aliases_of(harness: Harness) -> Aliases:
    parts = (harness.settings, harness.pipeline.store, harness.pipeline.live, harness.clock)
    return Aliases(*parts, by="ana")


def alias(harness: Harness, community: str = "maple-court", **changes: Any) -> Alias:
    values: dict[str, Any] = {
        "source": "rentfeed",
        "key": "20999",
        "name": "20999",
        "community": community,
    }
    return Alias(**values | {"by": "ana", "at": harness.clock()} | changes)


def second_process(harness: Harness) -> Pipeline:
    """Return the pipeline of another process that uses the same database and files."""
    pipeline = harness.pipeline
    return Pipeline(
        harness.settings, pipeline.store, pipeline.live.files, pipeline.propexo, harness.clock
    )


def test_a_property_is_named_by_what_its_webhook_says(harness: Harness) -> None:
    [held] = harness.mapped("rentfeed", at_unknown(1))
    found = aliases_of(harness).property_of("rentfeed", held.reasons[0].value or "")
    assert found is not None
    assert (found.name, found.title) == ("20999", "The Residences at Cherry Creek")


def test_an_assigned_property_books_what_waits_and_what_follows(harness: Harness) -> None:
    waiting = [harness.mapped("rentfeed", at_unknown(number))[0] for number in range(3)]
    assert {booking.state for booking in waiting} == {HELD}
    value = waiting[0].reasons[0].value or ""
    aliases = aliases_of(harness)

    preview = aliases.preview("rentfeed", value, alias(harness))
    assert (preview.tours, preview.today, preview.others) == (3, 0, 0)
    assert {harness.state(booking.id) for booking in waiting} == {HELD}

    aliases.add(alias(harness))
    harness.pipeline.refresh_sources()
    assert aliases.book_waiting("rentfeed", value) == (3, 0)
    now = [harness.story(one.event_id).bookings[-1] for one in waiting]
    assert {(one.state, one.community) for one in now} == {(PENDING, "maple-court")}

    [following] = harness.mapped("rentfeed", at_unknown(9))
    assert (following.state, following.community) == (PENDING, "maple-court")


def test_bookings_wait_for_undo_before_they_are_sent(harness: Harness) -> None:
    [held] = harness.mapped("rentfeed", at_unknown(1))
    aliases = aliases_of(harness)
    aliases.add(alias(harness))
    harness.pipeline.refresh_sources()
    aliases.book_waiting("rentfeed", held.reasons[0].value or "")
    harness.send()
    assert harness.story(held.event_id).bookings[-1].state is PENDING
    harness.clock.advance(UNDO_SECONDS)
    settle(harness)
    assert harness.story(held.event_id).bookings[-1].state is BOOKED


def test_an_assignment_is_taken_back_with_what_was_not_sent(harness: Harness) -> None:
    waiting = [harness.mapped("rentfeed", at_unknown(number))[0] for number in range(3)]
    other = harness.mapped("rentfeed", lead(7))[0]
    value = waiting[0].reasons[0].value or ""
    aliases = aliases_of(harness)
    aliases.add(alias(harness))
    harness.pipeline.refresh_sources()
    aliases.book_waiting("rentfeed", value)
    # A lead with a different name for the same community is not affected.
    [sent] = harness.mapped("rentfeed", at_unknown(8))
    settle(harness)
    assert harness.state(sent.id) is BOOKED

    taken = aliases.remove("rentfeed", "20999")
    harness.pipeline.refresh_sources()
    assert (taken.leads, [one.id for one in taken.sent]) == (3, [sent.id])
    now = [harness.story(one.event_id).bookings[-1] for one in waiting]
    assert {(one.state, one.community) for one in now} == {(HELD, None)}
    assert harness.state(other.id) is BOOKED
    assert harness.mapped("rentfeed", at_unknown(9))[0].state is HELD
    with pytest.raises(NotPossible, match="already been undone"):
        aliases.remove("rentfeed", "20999")


def test_all_processes_use_an_assignment(harness: Harness) -> None:
    other = second_process(harness)
    assert not other.refresh_sources()
    aliases_of(harness).add(alias(harness))
    assert other.refresh_sources()
    assert not other.refresh_sources()
    assert other.sources["rentfeed"].community_lookup.known["20999"].key == "maple-court"
    assert other.sources["rentfeed"].hash != harness.pipeline.live.files["rentfeed"].hash
    assert other.sources["leasebot"].hash == harness.pipeline.live.files["leasebot"].hash


def test_reloaded_files_keep_an_assignment(harness: Harness) -> None:
    aliases_of(harness).add(alias(harness))
    harness.pipeline.sources = harness.pipeline.live.files
    assert "20999" in harness.pipeline.sources["rentfeed"].community_lookup.known


def test_an_assignment_that_cannot_work_is_refused(harness: Harness) -> None:
    aliases = aliases_of(harness)
    for wrong, why in (
        (alias(harness, "no-such-place"), "no community"),
        (alias(harness, source="nobody"), "no source"),
        (alias(harness, key="20417", name="20417"), "already uses this name for maple-court"),
        (alias(harness, "harbor-flats", source="website", key="x"), "has no attribution"),
    ):
        with pytest.raises(NotPossible, match=why):
            aliases.add(wrong)
    aliases.add(alias(harness))
    with pytest.raises(NotPossible, match="already uses this name"):
        aliases.add(alias(harness, "harbor-flats"))


def test_an_attribution_may_come_with_an_assignment(harness: Harness) -> None:
    website = alias(
        harness,
        "harbor-flats",
        source="website",
        key="harbor",
        name="Harbor",
        attribution_id="att_website_h",
    )
    aliases_of(harness).add(website)
    source = harness.pipeline.live.sources["website"]
    assert source.community_lookup.known["harbor"].attributions["website"] == "att_website_h"
    assert yaml_of([website], ()) == (
        "harbor-flats:\n  known_as:\n    website:\n      - Harbor\n"
        "  attributions:\n    website: att_website_h\n"
    )


def elm_row(harness: Harness, **changes: Any) -> AddedCommunity:
    """Return a community that communities.yaml does not list."""
    values: dict[str, Any] = {
        "key": "elm-row",
        "name": "Elm Row",
        "integration_id": "int_1",
        "community_id": "com_elm",
        "timezone": "America/Chicago",
    }
    return AddedCommunity(**values | {"by": "ana", "at": harness.clock()} | changes)


def test_the_hours_of_an_added_community_apply_in_all_processes_and_to_yaml(
    harness: Harness, tmp_path: Path
) -> None:
    other = second_process(harness)
    operation = aliases_of(harness)
    operation.add_community(elm_row(harness))
    changed = elm_row(
        harness,
        tour_hours={"mon-fri": "9:00 AM-6:00 PM", "sun": "1:00 PM-3:30 PM"},
        check_availability=True,
        pms="yardi",
    )
    operation.change_community(changed)
    operation.add(alias(harness, "elm-row", attribution_id="att_elm"))
    other.live.refresh()
    community = other.live.sources["rentfeed"].communities["elm-row"]
    assert community.tour_hours[4] == (dt.time(9), dt.time(18))
    assert community.tour_hours[6] == (dt.time(13), dt.time(15, 30))
    assert 5 not in community.tour_hours
    assert (community.check_availability, community.pms) == (True, "yardi")

    text = yaml_of(other.live.overrides.aliases, other.live.added)
    (tmp_path / "communities.yaml").write_text(text)
    copied = communities_from_folder(tmp_path).by_key["elm-row"]
    assert copied == community
    with pytest.raises(NotPossible, match="was not added in the console"):
        operation.change_community(dataclasses.replace(changed, key="maple-court"))


def test_a_name_in_the_file_takes_precedence(harness: Harness) -> None:
    known = alias(harness, "harbor-flats", key="20417", name="20417")
    overrides = dataclasses.replace(harness.pipeline.live.overrides, aliases=(known,))
    sources = overlay.apply(harness.pipeline.live.files, overrides, harness.settings.policy)
    assert sources["rentfeed"].community_lookup.known["20417"].key == "maple-court"


def test_names_of_an_unreadable_webhook_are_empty(harness: Harness) -> None:
    event_id = harness.receive("rentfeed", b"not JSON").event_id
    with harness.pipeline.store.transaction() as tx:
        event = tx.events.get(event_id)
    assert event is not None
    assert names_in(harness.pipeline.sources["rentfeed"], event) == []


def versioned(harness: Harness, text: str | None, store: Database) -> None:
    source = harness.pipeline.live.files["rentfeed"]
    with store.transaction() as tx:
        tx.overrides.add_version(
            "rentfeed",
            text,
            file_hash=source.file_hash,
            reason="test",
            by="ana",
            at=harness.clock() + dt.timedelta(0),
        )


def test_a_version_is_used_until_its_file_changes_or_it_is_rolled_back(harness: Harness) -> None:
    live, store = harness.pipeline.live, harness.pipeline.store
    source = live.files["rentfeed"]
    versioned(harness, source.text.replace("comments", "remarks"), store)
    harness.pipeline.refresh_sources()
    used = harness.pipeline.sources["rentfeed"]
    assert "remarks" in used.text
    assert used.version is not None
    assert used.secrets == source.secrets

    changed = dataclasses.replace(source, files=(source.files[0] + b"# new\n", source.files[1]))
    harness.pipeline.sources = {**live.files, "rentfeed": changed}
    assert harness.pipeline.sources["rentfeed"].version is None
    harness.pipeline.sources = {**live.files, "rentfeed": source}
    assert harness.pipeline.sources["rentfeed"].version is not None

    versioned(harness, None, store)
    harness.pipeline.refresh_sources()
    assert harness.pipeline.sources["rentfeed"].version is None


def test_a_version_that_no_longer_loads_is_not_used(harness: Harness) -> None:
    versioned(harness, "signature: nonsense\n", harness.pipeline.store)
    harness.pipeline.refresh_sources()
    used = harness.pipeline.sources["rentfeed"]
    assert used.version is None
    assert used.version_problems
    assert used.text == harness.pipeline.live.files["rentfeed"].text


def test_versions_are_ignored_where_mappings_come_only_from_files(harness: Harness) -> None:
    text = harness.pipeline.live.files["rentfeed"].text.replace("comments", "remarks")
    versioned(harness, text, harness.pipeline.store)
    settings = dataclasses.replace(harness.settings, mappings_from_files_only=True)
    pipeline = harness.pipeline
    other = Pipeline(settings, pipeline.store, pipeline.live.files, pipeline.propexo, harness.clock)
    other.refresh_sources()
    assert other.sources["rentfeed"].version is None
