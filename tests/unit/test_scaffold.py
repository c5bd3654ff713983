"""The guesses of `adapter new`: what it takes for what, and what it leaves to a person."""

from pathlib import Path
from typing import Any

import pytest

from adapter import signatures
from adapter.mapping.authoring.guess_fields import guesses_from
from adapter.mapping.authoring.scaffold import mapping_from_sample
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.registry import check
from adapter.parsing.date_formats import compile_format
from adapter.settings import Policy


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"lead": {"id": "1"}}, "lead.id"),
        ({"a": {"submission_id": "1"}}, "a.submission_id"),
        ({"portalLeadId": "1"}, "portalLeadId"),
        ({"call": {"call_id": "1"}}, "call.call_id"),
        ({"calendar": {"appointmentId": "1"}}, "calendar.appointmentId"),
        ({"event": {"uuid": "1"}}, "event.uuid"),
        ({"bookings": {"0": 1}, "booking": [{"uid": "1"}]}, "booking.0.uid"),
        ({"location": {"id": "1"}}, None),
        ({"agentId": "1", "formId": "2", "pageId": "3", "accountId": "4", "propertyId": "5"}, None),
        ({"event": {"location": {"id": "1"}}, "eventTypeId": 7}, None),
        ({"id": "1"}, None),
    ],
)
def test_a_key_is_only_an_id_of_a_request(data: dict[str, Any], path: str | None) -> None:
    assert guesses_from(data).get("dedupe") == path


def test_an_id_that_is_not_known_is_only_named() -> None:
    text = mapping_from_sample("acme", "samples/acme.json", {"uid": "1", "formId": "2"})
    assert "dedupe: TODO   # an id that each lead has of its own: uid?\n" in text


@pytest.mark.parametrize(
    "whose", ["contact", "customer", "visitor", "lead", "invitee", "attendees"]
)
def test_the_renter_is_asked_before_all_others(whose: str) -> None:
    person = {"email": "r@example.com", "phone": "1", "firstName": "R", "lastName": "S"}
    data = {
        "email": "shop@example.com",
        "recipientEmail": "staff@example.com",
        "phone": "2",
        "organizer": person,
        "inner": {whose: person},
    }
    found = guesses_from(data)
    assert found["email_1"] == f"inner.{whose}.email"
    assert found["phone_1"] == f"inner.{whose}.phone"
    assert found["first_name"] == f"inner.{whose}.firstName"


@pytest.mark.parametrize("whose", ["recipient", "agent", "owner", "organizer", "location", "host"])
def test_our_own_people_are_never_the_renter(whose: str) -> None:
    data = {whose: {"email": "a@example.com", "name": "A", "phone": "1"}, f"{whose}Email": "b@c.d"}
    assert not {"email_1", "name", "phone_1"} & guesses_from(data).keys()


@pytest.mark.parametrize("thing", ["vehicle", "price", "attributes"])
def test_a_type_of_a_thing_is_no_condition(thing: str) -> None:
    assert "accept" not in guesses_from({"lead": {thing: {"type": "asking"}}})
    assert guesses_from({"lead": {thing: {"type": "x"}}, "event": "tour"})["accept"] == "event"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"viewingTimes": [{"earliest": "2021-04-18T12:00:00Z"}]}, "viewingTimes.0.earliest"),
        ({"tour": {"window": {"from": "2021-04-18T12:00:00Z"}}}, "tour.window.from"),
        ({"tour": {"start": 1618747200}}, "tour.start"),
        ({"message": {"from": "someone@example.com"}}, None),
    ],
)
def test_a_window_starts_with_its_first_moment(data: dict[str, Any], path: str | None) -> None:
    assert guesses_from(data).get("starts_at") == path


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("zoopla", "{ preset: zoopla, secrets: [ZOOPLA_SECRET] }"),
        ("calcom-denver", "{ preset: cal-com, secrets: [CALCOM_DENVER_SECRET] }"),
        ("acme", "{ scheme: TODO, secrets: [ACME_SECRET] }"),
    ],
)
def test_a_source_named_after_a_preset_gets_it(name: str, line: str) -> None:
    assert f"signature: {line} " in mapping_from_sample(name, "samples/a.json", {})


@pytest.mark.parametrize("preset", signatures.PRESETS)
def test_every_proposed_preset_stands_by_itself(preset: str) -> None:
    signatures.check_block({"preset": preset, "secrets": ["A_SECRET"]})


def test_the_first_test_shows_what_the_guesses_give() -> None:
    lead = {
        "customer": {"name": "Dana Okafor", "email": "Dana@Example.com", "phone": "no"},
        "tour": {"start": "2026-03-14T14:30:00-06:00"},
        "occupants": "2",
    }
    assert mapping_from_sample("acme", "samples/acme.json", lead).endswith(
        """    expect_some:   # what the guesses give; adapter map --as-test shows the whole
      first_name: Dana
      last_name: Okafor
      email_1: dana@example.com
      number_of_occupants: 2
      appointment_date: 2026-03-14
      appointment_time: 20:30:00
"""
    )


@pytest.mark.parametrize("data", [{}, [], "text", 7, None, {"a": [[[]]]}, {"id": {"id": []}}])
def test_whatever_the_sample_is_a_draft_is_a_mapping_with_blanks(tmp_path: Path, data: Any) -> None:
    (tmp_path / "acme.yaml").write_text(mapping_from_sample("acme", "samples/acme.json", data))
    (tmp_path / "communities.yaml").write_text("{}\n")
    found = check([tmp_path], Policy())
    assert any("fill in this TODO" in problem.message for problem in found)
    assert not any("is not a path" in problem.message for problem in found)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("2026-03-14", "YYYY-MM-DD"),
        ("03/14/2026", "MM/DD/YYYY"),
        ("14/03/2026", "DD/MM/YYYY"),
        ("03/14/2026 2:30 PM", "MM/DD/YYYY h:mm A"),
        ("03/14/2026 2:30pm", "MM/DD/YYYY h:mmA"),
        ("Mar 14, 2026, 14:30", "MMM D, YYYY, H:mm"),
        ("March 14 2026", "MMMM D YYYY"),
        ("1773520200", "epoch"),
        ("1773520200000", "epoch_ms"),
        ("soon", ""),
        ("1" * 100, ""),
    ],
)
def test_a_format_is_guessed_from_how_a_date_looks(text: str, made: str) -> None:
    assert format_from_text(text) == made
    if made:
        compile_format(made).parse(text)
