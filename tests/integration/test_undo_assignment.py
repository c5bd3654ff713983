"""Test what assigning a property changes and does not change, with real PostgreSQL."""

import datetime as dt

import pytest

from adapter.models import BookingState, EventState
from adapter.operations import aliases
from adapter.operations.aliases import Aliases
from adapter.operations.release import Repairs
from adapter.operations.take_back import TakeBacks
from tests.harness import Harness
from tests.integration.test_fetch import api, document, map_until, thin, webhook  # noqa: F401
from tests.integration.test_put_in_place import (
    alias,
    aliases_of,
    at_unknown,
    second_process,
    versioned,
)
from tests.json_api import JsonApi
from tests.leads import lead

HELD, PENDING, SUPERSEDED = BookingState.HELD, BookingState.PENDING, BookingState.SUPERSEDED


def test_an_assignment_keeps_what_users_edited_in_the_same_webhook(
    thin: Harness,  # noqa: F811
    api: JsonApi,  # noqa: F811
) -> None:
    renter = {"first": "Kim", "last": "Ito", "email": "kim@example.com"}
    api.documents["/v1/tours/100"] = document(at="2026-03-14T23:30")
    api.documents["/v1/tours/101"] = document(place="elm", renter=renter)
    event_id = thin.receive("thin", webhook(100, 101)).event_id
    map_until(thin)
    edited, waiting = thin.story(event_id).bookings
    assert (edited.state, waiting.state) == (HELD, HELD)
    pipeline, hold_for = thin.pipeline, dt.timedelta(seconds=10)
    parts = (thin.settings, pipeline.store, pipeline.sources, thin.clock)
    changes = {"starts_at": "2026-03-14T15:00", "phone_1": "303-555-0142"}
    Repairs(*parts, hold_for=hold_for).release(edited.id, changes, by="bob")

    assign = aliases_of(thin)
    assign.add(alias(thin, source="thin", key="elm", name="elm"))
    pipeline.refresh_sources()
    assert assign.book_waiting("thin", waiting.reasons[0].value or "") == (1, 0)
    kept, replaced, new = sorted(thin.story(event_id).bookings, key=lambda one: one.id)
    assert (kept.id, kept.state, kept.reason) == (edited.id, PENDING, "released")
    assert kept.appointment["phone_1"] == thin.booking(edited.id).appointment["phone_1"]
    assert (replaced.state, new.state, new.community) == (SUPERSEDED, PENDING, "maple-court")


def test_an_assigned_property_keeps_its_name(harness: Harness) -> None:
    """Book more leads for other properties of the community than the name is searched in."""
    (waiting,) = harness.mapped("rentfeed", at_unknown(1))
    assign, added = aliases_of(harness), alias(harness)
    assign.add(added)
    harness.pipeline.refresh_sources()
    assert assign.book_waiting("rentfeed", waiting.reasons[0].value or "") == (1, 0)
    for number in range(2, aliases.MOST_TITLED + 3):
        harness.mapped("rentfeed", lead(number))
    assert assign.title_of(added) == "The Residences at Cherry Creek"


def test_an_undone_assignment_holds_all_leads_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Use more leads than a single query for bookings returns."""
    monkeypatch.setattr(aliases, "MOST_LEADS", 2)
    waiting = [harness.mapped("rentfeed", at_unknown(number))[0] for number in range(5)]
    assign, value = aliases_of(harness), waiting[0].reasons[0].value or ""
    assign.add(alias(harness))
    harness.pipeline.refresh_sources()
    while assign.book_waiting("rentfeed", value)[1]:
        pass
    harness.mapped("rentfeed", lead(20))  # newer, at the same community by its own name
    harness.mapped("rentfeed", lead(21))
    assert assign.remove("rentfeed", "20999").leads == 5
    states = {harness.story(one.event_id).bookings[-1].state for one in waiting}
    assert states == {HELD}


def test_an_assignment_is_undone_if_a_mapping_version_reads_its_name(harness: Harness) -> None:
    text, paths = harness.pipeline.sources["rentfeed"].text, "[listing.propertyId, "
    versioned(harness, text.replace(paths, f"{paths}listing.unit, "), harness.pipeline.store)
    harness.pipeline.refresh_sources()
    payload = lead(1) | {"listing": {"unit": "bldg-x", "propertyName": "Some Old Name"}}
    [held] = harness.mapped("rentfeed", payload)
    value, assign = held.reasons[0].value or "", aliases_of(harness)
    name = assign.property_of("rentfeed", value)
    assert name is not None
    assert name.name == "bldg-x"
    assign.add(alias(harness, key=name.key, name=name.name))
    harness.pipeline.refresh_sources()
    assign.book_waiting("rentfeed", value)
    assert harness.story(held.event_id).bookings[-1].state is PENDING
    assert assign.remove("rentfeed", name.key).leads == 1
    assert harness.story(held.event_id).bookings[-1].state is HELD


def test_a_worker_does_not_use_an_assignment_that_was_just_undone(harness: Harness) -> None:
    aliases_of(harness).add(alias(harness))
    harness.pipeline.refresh_sources()
    web = second_process(harness)
    web.refresh_sources()
    Aliases(harness.settings, web.store, web.live, harness.clock, by="ana").remove(
        "rentfeed", "20999"
    )
    event_id = harness.receive("rentfeed", at_unknown(5)).event_id
    harness.map_event(event_id)
    story = harness.story(event_id)
    assert (story.event.state, story.bookings) == (EventState.RECEIVED, ())
    harness.pipeline.refresh_sources()
    harness.clock.advance(2)
    assert harness.pipeline.mapper.map_due()
    assert harness.story(event_id).bookings[0].state is HELD


def test_a_replayed_lead_keeps_its_user_and_its_snooze(harness: Harness) -> None:
    [held] = harness.mapped("rentfeed", at_unknown(1))
    plans = TakeBacks(harness.pipeline.store, harness.clock)
    plans.assign(held.id, "dana", by="ana")
    until = plans.snooze(held.id, by="dana")
    assign = aliases_of(harness)
    assign.add(alias(harness))
    harness.pipeline.refresh_sources()
    assign.book_waiting("rentfeed", held.reasons[0].value or "")
    assign.remove("rentfeed", "20999")
    new = harness.story(held.event_id).bookings[-1]
    assert (new.id != held.id, new.state) == (True, HELD)
    assert (new.assigned_to, new.snoozed_until) == ("dana", until)
