"""Test that a sender's new format is detected and reported, with a suggested mapping edit."""

import dataclasses
import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import ConfigurationError
from adapter.mapping.registry import load_text
from adapter.models import FormatChange, FormatKind
from adapter.operations import format_watch
from adapter.operations.format_proposals import (
    ExplainedChange,
    combined,
    explain,
    proposal_lines,
)
from adapter.operations.health import verdict_of
from tests.harness import Harness, settle
from tests.integration.test_metrics import client, values
from tests.integration.test_monitoring import rejected
from tests.leads import lead, surname
from tests.paths import MAPPINGS
from tests.shell import Shell


def renamed(number: int) -> Any:
    """Return a lead whose tour has a slot instead of a time."""
    body = lead(number)
    body["tour"]["slot"] = body["tour"].pop("time")
    return body


def received(harness: Harness, *bodies: Any) -> list[int]:
    """Receive webhooks a minute apart, and count their features. Return the IDs of the events."""
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
        ": tour.time is missing from 14 of 14 webhooks; new: tour.slot in 14 of 14."
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
    """Replace the mapping with an edited one."""
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
    assert (proposal["read_before"], proposal["read_after"]) == (0, 14)
    assert proposal["others"] == 20
    text = shell("sources", "rentfeed")
    assert "  FORMAT CHANGED since 2026-03-02T" in text
    assert ": tour.time is missing from 14 of 14 webhooks; new: tour.slot in 14 of 14" in text
    assert "  + time: [tour.time, tour.slot]" in text
    assert "FORMAT CHANGED" in shell("sources")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the mappings to a folder that the commands use, and in which a test may break them."""
    copied = shutil.copytree(MAPPINGS, tmp_path / "mappings")
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(copied))
    return copied


def broken(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_source_is_shown_although_another_mapping_is_invalid(
    harness: Harness, shell: Shell, changed: list[int], folder: Path
) -> None:
    broken(folder / "leasebot.yaml", "community: tour.property", "comunity: tour.property")
    text = shell("sources", "rentfeed")
    assert text.index("leasebot.yaml") < text.index("rentfeed  http")
    assert "  + time: [tour.time, tour.slot]" in text
    listed = shell("sources")
    assert "INVALID MAPPING: processes that are running still use the previous one" in listed
    assert "FORMAT CHANGED" in listed
    assert "mappings" in shell("backtest", "rentfeed", str(folder / "rentfeed.yaml"))
    assert "leasebot.yaml" in shell("mappings")
    assert "leasebot.yaml" in shell("communities", "aliases")


def test_an_invalid_mapping_is_still_explained_if_only_its_sample_fails(
    harness: Harness, shell: Shell, changed: list[int], folder: Path
) -> None:
    broken(folder / "rentfeed.yaml", "name: contact.name", "name: contact.nmae")
    text = shell("sources", "rentfeed")
    assert "INVALID MAPPING" in text
    assert "  + time: [tour.time, tour.slot]" in text
    broken(folder / "rentfeed.yaml", "appointment:", "appointmnt:")
    text = shell("sources", "rentfeed")
    assert "FORMAT CHANGED since" in text
    assert "proposed edit" not in text


def test_a_draft_has_no_activity_to_show(harness: Harness, shell: Shell, folder: Path) -> None:
    broken(folder / "website.yaml", "\nsignature:", "\ndraft: true\nsignature:")
    with pytest.raises(ConfigurationError, match="is a draft"):
        shell("sources", "website")


def test_three_leads_without_the_same_path_are_a_warning_for_commands_too(
    harness: Harness, shell: Shell
) -> None:
    received(harness, *map(lead, range(3)))
    without = [lead(number) for number in range(10, 13)]
    for body in without:
        del body["tour"]["date"]
    for event in received(harness, *without):
        harness.map_event(event)
    assert "rentfeed seems to have changed its format since" in shell("stats")
    # The check for monitoring reports only problems with alarms: no worker is running.
    assert "seems to have changed" not in shell("stats", "--check", exit_code=2)
    edited(harness, "date: tour.date", "date: [tour.date, tour.day]")
    assert "seems to have changed" not in shell("stats")


def test_a_rejected_request_that_may_be_a_lead_is_a_warning_for_commands_too(
    harness: Harness,
) -> None:
    rejected(harness, 1)
    verdict = verdict_of(harness.pipeline.store, ["rentfeed"], harness.settings, harness.clock.at)
    (problem,) = [one for one in verdict.problems if one.code == "leads_rejected"]
    assert problem.sentence.startswith(
        "1 request from rentfeed failed verification and may be leads, the latest 0 s ago"
    )


Change = Callable[[dict[str, Any], int], None]


def shown(harness: Harness, shell: Shell, change: Change) -> list[dict[str, Any]]:
    """Send 30 webhooks, then 12 in a changed format. Return the changes that are shown."""
    received(harness, *map(lead, range(30)))
    bodies = [*map(lead, range(100, 112))]
    for number, body in enumerate(bodies):
        change(body, number)
    received(harness, *bodies)
    found: list[dict[str, Any]] = shell.json("sources", "rentfeed")["format_changes"]
    return found


def test_a_contact_is_only_proposed_if_its_values_are_contacts(
    harness: Harness, shell: Shell
) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["contact"]["emailing_date"] = f"{number + 1:02}/01/2027"
        body["contact"]["correo"] = body["contact"].pop("email")
        body["contact"]["phone"] = f"(303) 555-01{number:02}"

    (one,) = shown(harness, shell, change)
    assert one["proposal"]["new"].strip() == "email_1: [contact.email, contact.correo]"
    assert (one["proposal"]["read_before"], one["proposal"]["read_after"]) == (0, 12)
    assert (one["proposal"]["sent_before"], one["proposal"]["sent_after"]) == (12, 12)
    assert one["sent_without"] == [], "they are not sent yet"
    text = shell("sources", "rentfeed")
    assert "with it, 12 of 12 affected webhooks have email_1, now 0; 12 of 12 would be sent" in text


def test_a_value_in_a_list_of_one_is_proposed(harness: Harness, shell: Shell) -> None:
    def change(body: dict[str, Any], _: int) -> None:
        body["contact"]["correo"] = [body["contact"].pop("email")]

    (one,) = shown(harness, shell, change)
    assert one["proposal"]["new"].strip() == "email_1: [contact.email, contact.correo]"


def test_the_reason_for_no_proposal_is_shown(harness: Harness, shell: Shell) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["contact"]["mail"] = f"writes {number}, later"
        del body["contact"]["email"]

    (one,) = shown(harness, shell, change)
    assert one["proposal"] is None
    assert (
        "no edit is suggested, because the field cannot read the values at any new path: compare "
        f"an event with the mapping (adapter show {one['events'][0]})"
    ) in shell("sources", "rentfeed")


def test_what_is_the_same_in_all_webhooks_or_the_agents_is_no_renter(
    harness: Harness, shell: Shell
) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["contact"]["full"] = body["contact"].pop("name")
        body["contact"]["name_of_caller"] = "Clara Bot"
        body["contact"]["agent_name"] = f"Clara {surname(number + 50)}"

    (one,) = shown(harness, shell, change)
    assert one["proposal"]["new"].strip().startswith("name: [contact.name, contact.full]")


def test_two_paths_that_fit_are_named_and_none_is_proposed(harness: Harness, shell: Shell) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["tour"] |= {"startTime": body["tour"].pop("time"), "endTime": "5:00 PM"}

    (one,) = shown(harness, shell, change)
    assert one["proposal"] is None
    assert sorted(one["fitting"]) == ["tour.endTime", "tour.startTime"]
    text = shell("sources", "rentfeed")
    assert "no edit is suggested, because several fit: tour.endTime, tour.startTime" in text


def test_a_path_that_came_before_is_not_the_new_one(harness: Harness, shell: Shell) -> None:
    received(harness, *(lead(number) for number in range(30)))

    def with_end(body: dict[str, Any]) -> dict[str, Any]:
        body["tour"]["endTime"] = "3:00 PM"
        return body

    received(harness, *(with_end(lead(number)) for number in range(30, 60)))
    bodies = [with_end(lead(number)) for number in range(100, 110)]
    for body in bodies:
        del body["tour"]["time"]
    received(harness, *bodies)
    (one,) = shell.json("sources", "rentfeed")["format_changes"]
    assert (one["name"], one["proposal"], one["fitting"]) == ("tour.time", None, [])


def test_two_renamed_fields_are_in_one_draft(
    harness: Harness, shell: Shell, tmp_path: Path
) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["contact"]["mail"] = body["contact"].pop("email")
        body["tour"]["slot"] = body["tour"].pop("time")

    found = shown(harness, shell, change)
    assert [one["proposal"] is not None for one in found] == [True, True]
    source = harness.pipeline.sources["rentfeed"]
    explained = [
        explain(harness.pipeline.store, source, one, harness.settings.policy)
        for one in changes(harness)
    ]
    text = combined(source, explained, harness.settings.policy) or ""
    assert "email_1: [contact.email, contact.mail]" in text
    assert "time: [tour.time, tour.slot]" in text


def test_a_mapping_that_reads_the_webhooks_gets_no_proposal(
    harness: Harness, changed: list[int]
) -> None:
    (one,) = changes(harness)
    edited(harness, "time: tour.time", "time: [tour.time, tour.slot]")
    source = harness.pipeline.sources["rentfeed"]
    found = explain(harness.pipeline.store, source, one, harness.settings.policy)
    assert (found.proposal, found.fitting) == (None, ())


def test_a_key_in_a_list_of_alternatives_ends_the_change(harness: Harness) -> None:
    received(harness, *map(lead, range(30)))
    bodies = [*map(lead, range(100, 114))]
    for body in bodies:
        body["leadKey"] = body.pop("leadId")
    received(harness, *bodies)
    assert [one.name for one in changes(harness)] == ["leadId"]
    edited(harness, "dedupe: leadId", "dedupe: [[leadId, leadKey]]")
    assert changes(harness) == ()


def test_a_renamed_id_is_proposed_for_the_key(harness: Harness, shell: Shell) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["leadKey"] = body.pop("leadId")
        body["batch"] = "RF-1"

    (one,) = shown(harness, shell, change)
    assert one["proposal"]["new"].startswith("dedupe: [[leadId, leadKey]]")


def test_a_time_stamp_is_not_proposed_for_the_key(harness: Harness, shell: Shell) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        del body["leadId"]
        body["deliveredAt"] = f"2026-03-02T18:{number:02}:00Z"

    (one,) = shown(harness, shell, change)
    assert (one["name"], one["proposal"]) == ("leadId", None)


def test_a_proposal_covers_the_key_and_the_notes(harness: Harness, shell: Shell) -> None:
    edited(harness, "dedupe: leadId", "dedupe: [contact.email, tour.date]")
    edited(harness, '- "{comments}"', '- "{comments}"\n    - "Wrote from {contact.email}"')

    def change(body: dict[str, Any], number: int) -> None:
        body["contact"]["mail"] = body["contact"].pop("email")

    received(harness, *map(lead, range(30)))
    bodies = [*map(lead, range(100, 112))]
    for number, body in enumerate(bodies):
        change(body, number)
    received(harness, *bodies)
    explained = explained_now(harness)
    (one,) = explained
    assert one.proposal is not None
    assert one.proposal.fields == ("email_1", "dedupe")
    new = one.proposal.new
    assert "dedupe: [[contact.email, contact.mail], tour.date]" in new
    assert "email_1: [contact.email, contact.mail]" in new
    assert '- "Wrote from {contact.mail}"' in new
    assert (one.proposal.read_before, one.proposal.read_after) == (0, 12)


def explained_now(harness: Harness) -> list[ExplainedChange]:
    source, policy = harness.pipeline.sources["rentfeed"], harness.settings.policy
    store = harness.pipeline.store
    return [explain(store, source, one, policy) for one in changes(harness)]


def test_a_key_that_an_edit_forgot_keeps_the_change_and_gets_a_proposal(harness: Harness) -> None:
    edited(harness, "dedupe: leadId", "dedupe: [contact.email, tour.date]")
    received(harness, *map(lead, range(30)))
    bodies = [*map(lead, range(100, 112))]
    for body in bodies:
        body["contact"]["mail"] = body["contact"].pop("email")
    received(harness, *bodies)
    edited(harness, "email_1: contact.email", "email_1: [contact.email, contact.mail]")
    (one,) = explained_now(harness)
    assert one.change.name == "contact.email"
    assert one.proposal is not None
    assert one.proposal.new.startswith("dedupe: [[contact.email, contact.mail], tour.date]")
    assert one.proposal.fields == ("email_1", "dedupe")


def test_a_condition_without_alternatives_is_named(harness: Harness) -> None:
    edited(harness, "accept:", "cancellation: { tour.time: canceled }\naccept:")
    received(harness, *map(lead, range(30)))
    received(harness, *map(renamed, range(100, 112)))
    (one,) = explained_now(harness)
    assert one.by_hand == ("cancellation",)
    assert "cancellation also reads tour.time and has no alternatives: change it by hand" in [
        *proposal_lines(one)
    ]


def test_a_proposal_uses_the_notation_of_the_mapping(harness: Harness) -> None:
    edited(harness, "time: tour.time", "time: tours.tour.time")
    edited(harness, "date: tour.date", "date: tours.tour.date")

    def listed(body: Any, key: str) -> Any:
        tour = body["tour"]
        tours = [{"tour": [{"date": tour["date"], key: tour["time"]}]}]
        return body | {"tour": {"type": tour["type"]}, "tours": tours}

    received(harness, *(listed(lead(number), "time") for number in range(30)))
    received(harness, *(listed(lead(number), "startAt") for number in range(100, 112)))
    (one,) = explained_now(harness)
    assert dict(one.change.new_paths) == {"tours.tour.startAt": 12}
    assert one.proposal is not None
    assert one.proposal.new.strip() == "time: [tours.tour.time, tours.tour.startAt]"


def test_guest_cards_do_not_count_as_tours(harness: Harness) -> None:
    edited(harness, "dedupe: leadId", "without_time: prospect\ndedupe: leadId")
    edited(harness, "    date: tour.date\n    time: tour.time\n", "    from: tour.at\n")

    def with_start(body: Any, key: str) -> Any:
        tour = body["tour"]
        return body | {"tour": {"type": tour["type"], key: f"{tour['date']} {tour['time']}"}}

    received(harness, *(with_start(lead(number), "at") for number in range(30)))
    received(harness, *(with_start(lead(number), "begins") for number in range(100, 112)))
    (one,) = explained_now(harness)
    assert one.proposal is not None
    assert (one.proposal.sent_before, one.proposal.sent_after) == (12, 12)
    assert (one.proposal.cards_before, one.proposal.cards_after) == (12, 0)
    line = "with it, 12 of 12 affected webhooks have starts_at, now 0; 12 of 12 would be sent, "
    assert [one for one in proposal_lines(one) if one.startswith(line)] == [
        f"{line}now 12 (0 as guest cards, now 12); none of 20 earlier ones would change"
    ]


def first_name_renamed(body: Any) -> Any:
    body["contact"]["given"] = body["contact"].pop("first")
    return body


def two_names(number: int) -> Any:
    body = lead(number)
    first, last = body["contact"].pop("name").split()
    body["contact"] |= {"first": first + surname(number).lower(), "last": last}
    return body


NAMES = (
    "  name: contact.name                   # fills first_name and last_name\n",
    "  first_name: contact.first\n  last_name: [contact.last, contact.first]\n",
)


def test_a_name_that_lost_a_part_is_noticed_after_four_webhooks_although_it_is_booked(
    harness: Harness,
) -> None:
    edited(harness, *NAMES)
    received(harness, *map(two_names, range(8)))
    sent = received(harness, *(first_name_renamed(two_names(n)) for n in range(100, 104)))
    for event in sent:
        harness.map_event(event)
    settle(harness)
    (one,) = explained_now(harness)
    assert (one.change.name, one.sent_without) == ("contact.first", tuple(sent))
    assert one.proposal is not None
    assert "first_name: [contact.first, contact.given]" in one.proposal.new
    assert "last_name: [contact.last, contact.first, contact.given]" in one.proposal.new


def test_the_time_of_a_lead_without_a_community_is_no_change_of_its_own(
    harness: Harness, shell: Shell
) -> None:
    edited(harness, "community: [listing.propertyId, listing.propertyName]", BY_ID)
    received(harness, *map(lead, range(30)))
    bodies = [lead(number) for number in range(100, 112)]
    for body in bodies:
        body["listing"]["propertyNumber"] = body["listing"].pop("propertyId")
    for event in received(harness, *bodies):
        harness.map_event(event)
    (one,) = changes(harness)
    assert (one.kind, one.name) == (FormatKind.PATH, "listing.propertyId")
    queue = shell("queue")
    assert "  rentfeed didn't say which property the renter wants.\n" in queue
    assert "  rentfeed has changed its format: adapter sources rentfeed" in queue
    sources = shell("sources")
    assert "  no community (listing.propertyId has no value): 12 held, last one " in sources
    assert "  fix the mapping, then: adapter replay --source rentfeed --state held" in sources
    harness.mapped("rentfeed", lead(200) | {"listing": {"propertyId": "99"}})
    assert "add them to communities.yaml under known_as, or fix the mapping, " in shell("sources")


BY_ID = "community: listing.propertyId"


def test_a_missing_path_comes_before_an_unreadable_field(harness: Harness) -> None:
    received(harness, *map(lead, range(30)))
    bodies = [lead(number) for number in range(100, 112)]
    for body in bodies:
        body["contact"]["fullName"] = body["contact"].pop("name")
        body["tour"]["date"] = "2026-03-14"
    received(harness, *bodies)
    assert [one.name for one in changes(harness)] == ["contact.name", "starts_at"]


def test_a_field_that_can_be_read_again_has_no_affected_events(
    harness: Harness, shell: Shell
) -> None:
    change = FormatChange(
        source="rentfeed",
        kind=FormatKind.FIELD,
        name="starts_at",
        since=harness.clock.at,
        first_event=received(harness, lead(1))[0],
        affected=1,
        of=1,
    )
    source = harness.pipeline.sources["rentfeed"]
    found = explain(harness.pipeline.store, source, change, harness.settings.policy)
    assert [*proposal_lines(found)] == [
        "affected events: none whose payload is stored",
        "no edit is suggested, because no stored payload shows the change",
    ]


def test_a_part_of_a_name_in_a_template_is_proposed(harness: Harness) -> None:
    edited(harness, NAMES[0], '  name: "{contact.first} {contact.last}"\n')
    received(harness, *map(two_names, range(30)))
    received(harness, *(first_name_renamed(two_names(n)) for n in range(100, 112)))
    (one,) = explained_now(harness)
    assert one.proposal is not None
    new = 'name: ["{contact.first} {contact.last}", "{contact.given} {contact.last}"]'
    assert one.proposal.new.strip() == new


def test_a_renamed_condition_is_explained_although_the_leads_are_held(harness: Harness) -> None:
    received(harness, *map(lead, range(30)))
    bodies = [lead(number) for number in range(100, 112)]
    for body in bodies:
        body["event"] = body.pop("eventType")
    ids = received(harness, *bodies)
    (one,) = explained_now(harness)
    assert one.events == tuple(ids)
    assert one.unmet == ("accept: eventType is missing",)


def test_a_note_whose_value_is_renamed_gets_no_proposal(harness: Harness, shell: Shell) -> None:
    edited(harness, '"Unit asked about: {listing.unit}"', '"Kind: {kind}"')
    received(harness, *(lead(number) | {"kind": "tour"} for number in range(30)))
    received(harness, *(lead(number) | {"agent_kind": "x"} for number in range(100, 110)))
    (one,) = changes(harness)
    source = harness.pipeline.sources["rentfeed"]
    found = explain(harness.pipeline.store, source, one, harness.settings.policy)
    assert (one.name, found.proposal) == ("kind", None)


def test_unmet_conditions_are_named_with_what_came_instead(harness: Harness, shell: Shell) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["eventType"] = "tour.requested"

    (one,) = shown(harness, shell, change)
    assert one["unmet"] == ['accept: eventType is "tour.requested"']
    assert len(one["events"]) == 12
    text = shell("sources", "rentfeed")
    assert 'not met: accept: eventType is "tour.requested"' in text
    assert "adapter replay --source rentfeed --state ignored" in text


def test_leads_that_are_in_knock_without_the_value_are_listed(
    harness: Harness, shell: Shell
) -> None:
    def change(body: dict[str, Any], number: int) -> None:
        body["contact"] |= {"mail": body["contact"].pop("email"), "phone": f"30355501{number:02}"}

    (one,) = shown(harness, shell, change)
    assert one["sent_without"] == []
    for event in one["events"][:2]:
        harness.map_event(event)
    settle(harness)
    assert shell.json("sources", "rentfeed")["format_changes"][0]["sent_without"] == [
        *one["events"][:2]
    ]
    text = shell("sources", "rentfeed")
    sent = ", ".join(map(str, one["events"][:2]))
    assert f"already sent to Knock without it, so add it there: {sent}" in text


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


def test_a_word_whose_meaning_is_unknown_gets_no_row(harness: Harness, shell: Shell) -> None:
    received(harness, *map(lead, range(60)))
    bodies = [*map(lead, range(100, 108))]
    for body in bodies:
        body["tour"]["type"] = "KIND_7"
    received(harness, *bodies)
    (one,) = shell.json("sources", "rentfeed")["format_changes"]
    assert (one["values"], one["proposal"]) == (["KIND_7"], None)


def test_a_date_in_two_possible_formats_is_not_guessed(harness: Harness, shell: Shell) -> None:
    received(harness, *map(lead, range(40)))
    bodies = [*map(lead, range(100, 110))]
    for number, body in enumerate(bodies):
        body["tour"]["date"] = f"{number % 3 + 4:02}-{number % 4 + 5:02}-2026"
    received(harness, *bodies)
    (one,) = shell.json("sources", "rentfeed")["format_changes"]
    assert one["proposal"] is None
    assert one["fitting"] == ["DD-MM-YYYY h:mm A", "MM-DD-YYYY h:mm A"]


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
