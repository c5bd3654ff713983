"""Test that a sender's new format is detected and reported, with an edit to the mapping."""

import dataclasses
import datetime as dt
from typing import Any

import pytest

from adapter.mapping.registry import load_text
from adapter.models import FormatChange, FormatKind
from adapter.operations import format_watch
from adapter.operations.health import verdict_of
from tests.harness import Harness
from tests.integration.test_metrics import client, values
from tests.leads import lead
from tests.shell import Shell


def renamed(number: int) -> Any:
    """Return a lead whose tour has a slot instead of a time."""
    body = lead(number)
    body["tour"]["slot"] = body["tour"].pop("time")
    return body


def received(harness: Harness, *bodies: Any) -> list[int]:
    """Receive webhooks a minute apart, and count their formats. Return the IDs of the events."""
    ids = []
    for body in bodies:
        harness.clock.advance(60)
        ids.append(harness.receive("rentfeed", body).event_id)
    harness.pipeline.count_formats()
    return ids


def changes(harness: Harness) -> tuple[FormatChange, ...]:
    with harness.pipeline.store.transaction() as tx:
        return tx.formats.changes(["rentfeed"])


@pytest.fixture
def changed(harness: Harness) -> list[int]:
    """Receive 30 webhooks, then 14 in another format. Return the events of the 14."""
    received(harness, *map(lead, range(30)))
    assert changes(harness) == ()
    return received(harness, *map(renamed, range(100, 114)))


def test_a_renamed_field_becomes_a_problem_with_numbers(
    harness: Harness, changed: list[int]
) -> None:
    (one,) = changes(harness)
    assert (one.kind, one.name, one.first_event) == (FormatKind.PATH, "tour.time", changed[0])
    assert (one.affected, one.of, one.new_paths) == (14, 14, {"tour.slot": 14})
    assert one.since == harness.clock.at - dt.timedelta(minutes=13)
    verdict = verdict_of(harness.pipeline.store, ["rentfeed"], harness.settings, harness.clock.at)
    (problem,) = [one for one in verdict.problems if one.code == "format_changed"]
    assert problem.sentence.startswith("rentfeed has changed its format since ")
    assert problem.sentence.endswith(
        ": tour.time is missing in 14 of 14 webhooks; new: tour.slot in 14 of 14."
    )
    assert "adapter sources rentfeed" in problem.next_step


def test_webhooks_are_counted_once_and_in_a_few_statements(harness: Harness) -> None:
    received(harness, *map(lead, range(12)))
    harness.pipeline.count_formats()
    with harness.pipeline.store.transaction() as tx:
        (row,), features = tx.formats.counts(["rentfeed"])
    assert (row["events"], row["accepted"]) == (12, 12)
    assert {one["seen"] for one in features if one["name"] == "tour.time"} == {12}
    text = repr(features)
    assert not [word for word in ("person1@", "Roeb", "IN_PERSON") if word in text]


def test_a_change_is_over_when_the_sender_changes_it_back(
    harness: Harness, changed: list[int]
) -> None:
    received(harness, lead(200))
    assert changes(harness) == ()


def test_an_edited_mapping_ends_the_change_at_once(harness: Harness, changed: list[int]) -> None:
    source = harness.pipeline.sources["rentfeed"]
    text = source.text.replace("time: tour.time", "time: tour.slot")
    edited = load_text(source.path.parent, "rentfeed", text, harness.settings.policy)
    harness.pipeline.format_watch.run({"rentfeed": edited})
    assert changes(harness) == ()


def edited(harness: Harness, old: str, new: str) -> None:
    """Use an edited mapping from now on."""
    sources = harness.pipeline.sources
    source = sources["rentfeed"]
    assert old in source.text
    text = source.text.replace(old, new)
    draft = load_text(source.path.parent, "rentfeed", text, harness.settings.policy)
    signed = dataclasses.replace(draft, signature=source.signature, secrets=source.secrets)
    harness.pipeline.sources = dict(sources) | {"rentfeed": signed}
    harness.pipeline.count_formats()


def test_the_proposed_list_ends_the_change_and_the_old_mapping_brings_it_back(
    harness: Harness, changed: list[int]
) -> None:
    edited(harness, "time: tour.time", "time: [tour.time, tour.slot]")
    assert changes(harness) == ()
    received(harness, *map(renamed, range(200, 220)))
    assert changes(harness) == ()
    edited(harness, "time: [tour.time, tour.slot]", "time: tour.time")
    (one,) = changes(harness)
    assert (one.name, one.first_event, one.affected) == ("tour.time", changed[0], 34)


def test_a_later_change_is_noticed_although_a_mapping_was_edited(
    harness: Harness, changed: list[int]
) -> None:
    edited(harness, "time: tour.time", "time: [tour.time, tour.slot]")
    bodies = [*map(renamed, range(200, 220))]
    for body in bodies:
        body["tour"]["begin"] = body["tour"].pop("slot")
    received(harness, *bodies)
    assert {one.name for one in changes(harness)} >= {"tour.time"}


def test_an_edit_that_does_not_read_the_webhooks_does_not_end_the_change(
    harness: Harness, changed: list[int]
) -> None:
    edited(harness, "time: tour.time", "time: [tour.time, tour.hour]")
    assert [one.name for one in changes(harness)] == ["tour.time"]


def test_a_part_of_a_template_is_not_read_because_another_part_is(harness: Harness) -> None:
    edited(harness, "name: contact.name", 'name: "{contact.name} {contact.last}"')
    bodies = [lead(number, last=f"Roe{number}") for number in range(30)]
    received(harness, *bodies)
    without = [lead(number) for number in range(100, 110)]
    received(harness, *without)
    assert [one.name for one in changes(harness)] == ["contact.last"]


def test_the_source_shows_the_change_the_leads_and_an_edit_that_mends_them(
    harness: Harness, shell: Shell, changed: list[int]
) -> None:
    (one,) = shell.json("sources", "rentfeed")["format_changes"]
    assert one["events"] == changed
    proposal = one["proposal"]
    assert proposal["new"].strip() == "time: [tour.time, tour.slot]"
    assert (proposal["sent_before"], proposal["sent_after"], proposal["affected"]) == (0, 14, 14)
    assert (proposal["others_changed"], proposal["others"]) == (0, 20)
    text = shell("sources", "rentfeed")
    assert "  FORMAT CHANGED since 2026-03-02T" in text
    assert ": tour.time is missing in 14 of 14 webhooks; new: tour.slot in 14 of 14" in text
    assert "  + time: [tour.time, tour.slot]" in text
    assert "FORMAT CHANGED" in shell("sources")


def test_a_new_value_is_named_and_gets_a_row(harness: Harness, shell: Shell) -> None:
    received(harness, *map(lead, range(60)))
    bodies = [*map(lead, range(100, 108))]
    for body in bodies:
        body["tour"]["type"] = "VIRTUAL_LIVE"
    received(harness, *bodies)
    (one,) = shell.json("sources", "rentfeed")["format_changes"]
    assert (one["kind"], one["name"], one["values"]) == ("value", "tour.type", ["VIRTUAL_LIVE"])
    assert one["text"] == (
        "tour.type has a value in 8 of 8 webhooks that is not in the mapping's table"
    )
    assert '{ "VIRTUAL_LIVE": video, IN_PERSON: in_person' in one["proposal"]["new"]


def test_a_new_date_format_is_added(harness: Harness, shell: Shell) -> None:
    received(harness, *map(lead, range(40)))
    bodies = [*map(lead, range(100, 110))]
    for body in bodies:
        body["tour"]["date"] = "2026-03-14"
    received(harness, *bodies)
    (one,) = shell.json("sources", "rentfeed")["format_changes"]
    assert (one["kind"], one["name"]) == ("field", "starts_at")
    new = "format: [MM/DD/YYYY h:mm A, YYYY-MM-DD h:mm A]"
    assert one["proposal"]["new"].strip() == new
    assert (one["proposal"]["sent_after"], one["proposal"]["affected"]) == (10, 10)


def test_metrics_show_the_number_of_changes(harness: Harness, changed: list[int]) -> None:
    opened = client(harness, metrics_token="open sesame")
    with opened.application.extensions["pipeline"].store:
        assert values(opened)["adapter_format_changes", "rentfeed"] == 1.0


def test_a_webhook_that_cannot_be_described_does_not_stop_the_count(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails_once(*arguments: Any) -> Any:
        monkeypatch.undo()
        raise RecursionError

    monkeypatch.setattr(format_watch, "profile_of", fails_once)
    received(harness, *map(lead, range(3)))
    with harness.pipeline.store.transaction() as tx:
        (row,), _ = tx.formats.counts(["rentfeed"])
    assert row["events"] == 2
    assert "format_not_counted" in caplog.text
