"""Test which values `adapter new` guesses, and which it leaves to the user."""

import json
import re
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from adapter import signatures
from adapter.cli.new_source import Sample, _most_different
from adapter.mapping.authoring.guess import event_paths
from adapter.mapping.authoring.observe import observe
from adapter.mapping.authoring.redact import fields_left, redacted, replaced_fields, replacements
from adapter.mapping.authoring.scaffold import draft_from_samples
from adapter.mapping.date_hints import format_from_text
from adapter.mapping.registry import check
from adapter.parsing.date_formats import compile_format
from adapter.parsing.paths import path_from_text
from adapter.settings import Policy


def mapping_from_sample(name: str, file: str, *samples: Any) -> str:
    return draft_from_samples(name, samples).text(file)


def guess_paths(*samples: Any) -> dict[str, str]:
    """Return the first path guessed for each target."""
    guesses = draft_from_samples("acme", samples).guesses
    return {target: paths[0] for target, paths in guesses.items()}


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"lead": {"id": "1"}}, "lead.id"),
        ({"a": {"submission_id": "1"}}, "a.submission_id"),
        ({"portalLeadId": "1"}, "portalLeadId"),
        ({"call": {"call_id": "1"}}, "call.call_id"),
        ({"calendar": {"appointmentId": "1"}}, "calendar.appointmentId"),
        ({"event": {"uuid": "1"}}, "event.uuid"),
        ({"bookings": {"0": 1}, "booking": [{"uid": "1"}]}, "booking.uid"),
        ({"location": {"id": "1"}}, None),
        ({"agentId": "1", "formId": "2", "pageId": "3", "accountId": "4", "propertyId": "5"}, None),
        ({"event": {"location": {"id": "1"}}, "eventTypeId": 7}, None),
        ({"id": "1"}, None),
    ],
)
def test_a_key_is_only_an_id_of_a_request(data: dict[str, Any], path: str | None) -> None:
    assert guess_paths(data).get("dedupe") == path


def test_an_id_that_is_not_known_is_only_named() -> None:
    text = mapping_from_sample("acme", "samples/acme.json", {"uid": "1", "formId": "2"})
    assert "dedupe: TODO   # an ID that is unique to each lead: uid?\n" in text


@pytest.mark.parametrize(
    ("contacts", "line"),
    [
        ([("a@example.com", "303-555-0142")] * 2, "dedupe: [email, property]   # there is no ID"),
        (
            [("a@example.com", ""), ("", "303-555-0142")],
            "dedupe: [[email, phone], property]   # there is no ID",
        ),
        ([("a@example.com", ""), ("", "")], "dedupe: TODO   # the path of the booking's ID"),
    ],
)
def test_without_an_id_each_lead_in_the_samples_has_a_contact_in_its_key(
    contacts: list[tuple[str, str]], line: str
) -> None:
    samples = [
        {"email": email, "phone": phone, "property": "Maple Court", "comments": str(number)}
        for number, (email, phone) in enumerate(contacts)
    ]
    assert line in mapping_from_sample("acme", "a.json", *samples)


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
    found = guess_paths(data)
    assert found["email_1"] == f"inner.{whose}.email"
    assert found["phone_1"] == f"inner.{whose}.phone"
    assert found["first_name"] == f"inner.{whose}.firstName"


@pytest.mark.parametrize("whose", ["recipient", "agent", "owner", "organizer", "location", "host"])
def test_staff_contacts_are_never_taken_as_the_renters(whose: str) -> None:
    data = {whose: {"email": "a@example.com", "name": "A", "phone": "1"}, f"{whose}Email": "b@c.d"}
    assert not {"email_1", "name", "phone_1"} & guess_paths(data).keys()


@pytest.mark.parametrize("thing", ["vehicle", "price", "attributes"])
def test_the_type_of_an_object_is_not_a_condition(thing: str) -> None:
    assert "accept" not in guess_paths({"lead": {thing: {"type": "asking"}}})
    assert (
        guess_paths({"lead": {thing: {"type": "x"}}, "event": "tour.booked"})["accept"] == "event"
    )


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"viewingTimes": [{"earliest": "2021-04-18T12:00:00Z"}]}, "viewingTimes.earliest"),
        ({"tour": {"window": {"from": "2021-04-18T12:00:00Z"}}}, "tour.window.from"),
        ({"tour": {"start": 1618747200}}, "tour.start"),
        ({"tour": {"when": "2021-04-18T12:00:00Z"}}, "tour.when"),
        ({"when": "2021-04-18T12:00:00Z"}, None),
        ({"message": {"from": "someone@example.com"}}, None),
    ],
)
def test_a_time_window_starts_at_its_beginning(data: dict[str, Any], path: str | None) -> None:
    assert guess_paths(data).get("starts_at") == path


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


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"bot": {"name": "Ava"}, "lead": {"name": "Dana Okafor"}}, "lead.name"),
        ({"bot": {"name": "Ava"}, "full_name": "Dana Okafor"}, "full_name"),
        ({"name": "Dana Okafor"}, "name"),
        ({"bot": {"name": "Ava"}}, None),
    ],
)
def test_a_name_is_only_guessed_for_people(data: dict[str, Any], path: str | None) -> None:
    assert guess_paths(data).get("name") == path


def test_a_property_is_preferred_to_a_form() -> None:
    data = {"form_id": "f1", "hidden": {"community": "maple"}}
    assert guess_paths(data)["community"] == "hidden.community"
    assert guess_paths({"form_id": "f1", "location": "Denver"})["community"] == "form_id"


@pytest.mark.parametrize("data", [{}, [], "text", 7, None, {"a": [[[]]]}, {"id": {"id": []}}])
def test_every_sample_gives_a_valid_draft(tmp_path: Path, data: Any) -> None:
    (tmp_path / "acme.yaml").write_text(mapping_from_sample("acme", "samples/acme.json", data))
    (tmp_path / "communities.yaml").write_text("{}\n")
    found = check([tmp_path], Policy())
    assert any("fill in this TODO" in problem.message for problem in found)
    assert not any("is not a path" in problem.message for problem in found)


@pytest.mark.parametrize("at", ["2026-03-14T20:30:00Z", "2026-03-14T20:30:00+00:00"])
def test_a_time_in_utc_gets_a_comment(at: str) -> None:
    asked = "confirm that it is UTC (add offset: trust), not local time (add ignore_offset: true)"
    assert asked in mapping_from_sample("acme", "acme.json", {"startTime": at})
    local = mapping_from_sample("acme", "acme.json", {"startTime": at[:19]})
    assert "startTime" in local
    assert "offset" not in local


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("2026-03-14", "YYYY-MM-DD"),
        ("03/14/2026", "MM/DD/YYYY"),
        ("14/03/2026", "DD/MM/YYYY"),
        ("03/14/2026 2:30 PM", "MM/DD/YYYY h:mm A"),
        ("03/14/2026 2:30pm", "MM/DD/YYYY h:mm A"),
        ("03/14/2026 2:30 p.m.", "MM/DD/YYYY h:mm A"),
        ("March 14th, 2026 at 2:30 PM", "MMMM D, YYYY at h:mm A"),
        ("Saturday, March 14, 2026, at 2:30 PM", "dddd, MMMM D, YYYY, at h:mm A"),
        (
            "Sat Mar 14 2026 14:30:00 GMT-0600 (Mountain Daylight Time)",
            "ddd MMM DD YYYY HH:mm:ss Z",
        ),
        ("Sat Mar 14 14:30:00 MDT 2026", "ddd MMM DD HH:mm:ss z YYYY"),
        ("Sat, 14 Mar 2026 14:30:00 -0600", "ddd, D MMM YYYY HH:mm:ss Z"),
        ("/Date(1773520200000)/", "epoch_ms"),
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


def test_a_guess_for_a_label_with_odd_whitespace_finds_it() -> None:
    data = {"Full\nName ": "Dana Okafor", " Email\u00a0address": "dana@example.com"}
    found = guess_paths(data)
    assert found["name"] == "Full Name"
    assert path_from_text(found["name"]).read(data) == "Dana Okafor"
    assert path_from_text(found["email_1"]).read(data) == "dana@example.com"


def lead(**changes: Any) -> dict[str, Any]:
    """Return the body of a made-up sender's webhook, with some values changed."""
    tour = {"at": "03/04/2026 2:30 PM", "type": "onsite"} | changes.pop("tour", {})
    contact = {"name": "Rosa Vale", "mobile": "", "phone": "(720) 555-0188"}
    contact |= {"email": "rosa@example.net"} | changes.pop("contact", {})
    return {
        "event": "tour.booked",
        "is_test": False,
        "created_at": "2026-03-01T10:00:00Z",
        "lead": {"id": "A1"},
        "property": "Maple Court",
        "token": "t0p-s3cret",
        "contact": contact,
        "tour": {"start": tour["at"], "type": tour["type"]},
        **changes,
    }


def test_several_samples_give_fallbacks_tables_formats_and_conditions() -> None:
    text = mapping_from_sample(
        *("acme", "samples/acme.json", lead(), lead(lead={"id": "A2"}, event="tour.canceled")),
        lead(lead={"id": "A3"}, contact={"mobile": "(720) 555-0101", "phone": ""}),
        lead(lead={"id": "A4"}, tour={"type": "Self guided", "at": "15/04/2026 9:00 AM"}),
    )
    assert '  event: "tour.canceled"   ' in text.partition("cancellation:")[2]
    assert '  event: "tour.booked"   ' in text.partition("accept:")[2]
    assert "ignore:\n  is_test: true   " in text
    assert "dedupe: lead.id   " in text
    assert "sent_at: created_at   " in text
    assert "  phone_1: [contact.mobile, contact.phone]   " in text
    assert "{ from: tour.type, table: { onsite: in_person, Self guided: self_guided } }" in text
    assert "{ from: tour.start, format: DD/MM/YYYY h:mm A }" in text, "the one that fits both"
    assert "token:" not in text


def test_the_tests_of_a_draft_expect_cancellations_and_test_webhooks() -> None:
    samples = [lead(), lead(lead={"id": "A2"}, event="tour.canceled"), lead(is_test=True)]
    text = draft_from_samples("acme", samples).text("a.json", "b.json", "c.json", payloads=samples)
    tests = text.partition("\ntests:\n")[2]
    assert "payload: a.json\n    expect_some: { last_name: TODO }" in tests
    assert "payload: b.json\n    cancellation: true\n" in tests
    assert "payload: c.json\n    ignored: true\n" in tests


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        (["canceled", "new"], "expect_some: { last_name: TODO }   #"),
        (["new", "canceled", "new"], "expect_some: [{ last_name: TODO }, { last_name: TODO }]   #"),
        (["canceled", "canceled"], "cancellation: true"),
    ],
)
def test_the_test_of_several_leads_expects_those_that_book(statuses: list[str], line: str) -> None:
    leads = [
        {
            "id": f"A{n}",
            "email": f"rosa{n}@example.net",
            "start_time": "2026-03-14T14:30",
            "status": s,
        }
        for n, s in enumerate(statuses)
    ]
    one, several = {"leads": leads[:1]}, {"leads": leads}
    draft = draft_from_samples("acme", [several, one])
    tests = draft.text("a.json", "b.json", payloads=[several, one]).partition("\ntests:\n")[2]
    assert f"payload: a.json\n    {line}" in tests
    first = "cancellation: true" if statuses[0] == "canceled" else "expect_some: { last_name: TODO"
    assert f"payload: b.json\n    {first}" in tests


@pytest.mark.parametrize(
    ("booked", "canceled", "line"),
    [
        ({"status": "booked"}, {"status": "cancelled"}, 'status: "cancelled"'),
        ({"appointment_status": "new"}, {"appointment_status": "No Show"}, '"No Show"'),
        ({"tour": {"state": "ok"}}, {"tour": {"state": "declined"}}, 'tour.state: "declined"'),
        ({"isCanceled": False}, {"isCanceled": True}, "isCanceled: true"),
        ({"canceled_at": None}, {"canceled_at": "2026-03-01"}, 'canceled_at: {"empty": false}'),
    ],
)
def test_a_cancellation_is_recognized_by_any_value(
    booked: dict[str, Any], canceled: dict[str, Any], line: str
) -> None:
    same = {"id": "A7", "email": "rosa@example.net", "createdAt": "2026-03-01T10:00:00Z"}
    samples = [same | booked, same | canceled]
    text = draft_from_samples("acme", samples).text("a.json", "b.json", payloads=samples)
    assert line in text.partition("cancellation:\n")[2].partition("\ndedupe")[0]
    assert "dedupe: id   " in text, "a cancellation has the ID of the booking"
    tests = text.partition("\ntests:\n")[2]
    assert "payload: a.json\n    prospect_some:" in tests, "no sample has a tour time"
    assert "payload: b.json\n    cancellation: true\n" in tests
    files = [Sample(b"", "", "", one) for one in samples]
    assert len(list(_most_different(files, draft_from_samples("acme", samples)))) == 2


def test_an_event_named_cancel_is_a_cancellation() -> None:
    events = [{"EventType": "Show", "EventDate": "2026-03-01"}, {"EventType": "Other"}]
    canceled = [*events, {"EventType": "Cancel", "EventDate": "2026-02-28"}]
    text = mapping_from_sample("acme", "a.json", {"Events": events}, {"Events": canceled})
    assert 'cancellation:\n  answers.Cancel: {"empty": false}' in text


@pytest.mark.parametrize(
    "data",
    [{"cancel_url": "https://example.com/cancel"}, {"message": "No cancel"}, {"canceled": "false"}],
)
def test_a_link_or_a_message_does_not_cancel(data: dict[str, Any]) -> None:
    assert "cancellation:" not in mapping_from_sample("acme", "a.json", data)


def test_a_value_that_no_table_covers_is_named() -> None:
    text = mapping_from_sample("acme", "a.json", lead(tour={"type": "open house"}))
    assert "table: { TODO: in_person } }" in text
    assert "add 'open house' or leave it to the notes" in text


def test_several_people_in_a_list_are_several_leads() -> None:
    people = [{"full_name": f"Renter {n}", "email": f"r{n}@example.net"} for n in range(2)]
    text = mapping_from_sample("acme", "a.json", {"lot": {"people": people}, "site": {"id": "M"}})
    assert "for_each: { lead: lot.people }" in text
    assert "  email_1: lead.email   " in text
    assert ".0" not in text


def test_lists_that_are_no_leads_need_no_for_each() -> None:
    staff = [{"agent": {"email": "a@example.net"}}, {"agent": {"email": "b@example.net"}}]
    text = mapping_from_sample("acme", "a.json", {"history": staff, "email": "r@example.net"})
    assert "for_each" not in text


def test_lines_of_an_email_and_json_in_text_are_read() -> None:
    mail = {"plain": "Name: Rosa Vale\nEmail: rosa@example.net\nMove Date: 05/01/2026\n"}
    text = mapping_from_sample("acme", "a.json", mail)
    assert '  email: { text: message, line: "Email:" }' in text
    assert "  move_in_date: { from: move_date, format: MM/DD/YYYY }" in text
    inner = {"arguments": '{"email": "rosa@example.net", "name": "Rosa Vale"}'}
    assert "  given: { json: arguments }" in mapping_from_sample("acme", "a.json", inner)


@pytest.mark.parametrize("key", ["token", "api_key", "Password", "x.secret", "HandshakeKey"])
def test_a_secret_is_never_proposed_as_the_key(key: str) -> None:
    samples = [{key: f"s{n}", "email": f"r{n}@example.net"} for n in range(2)]
    text = mapping_from_sample("acme", "a.json", *samples)
    assert key not in text.partition("dedupe:")[2]


def test_the_token_of_a_response_is_an_id() -> None:
    assert guess_paths({"form_response": {"token": "r1"}})["dedupe"] == "form_response.token"


ROSA = {"name": "Rosa Vale", "email": "rosa@example.net"}
PERSON = ("Rosa", "Vale", "rosa", "720) 555-0188", "t0p-s3cret")


@pytest.mark.parametrize("number", [0, 1, 9])
def test_samples_contain_no_real_people_and_no_secrets(number: int) -> None:
    body = json.dumps(lead(comments="Rosa here, call (720) 555-0188 or rosa@example.net")).encode()
    made_up = redacted(body, json.loads(body), number).decode()
    assert not [text for text in PERSON if text in made_up]
    data = json.loads(made_up)
    assert data["property"] == "Maple Court"
    assert data["contact"]["name"].split()[0] in data["comments"]
    assert data["contact"]["email"] in data["comments"]
    assert data["token"] == "REMOVED"
    assert data["contact"]["phone"].startswith("(303) 555-01")


def test_a_form_is_rewritten_without_breaking_it() -> None:
    body = b"name=Rosa+Vale&email=rosa%40example.net&phone=%28720%29+555-0188&unit=Vale+Street"
    pairs = {"name": "Rosa Vale", "email": "rosa@example.net", "phone": "(720) 555-0188"}
    made_up = redacted(body, pairs | {"unit": "Vale Street"}, 0)
    assert made_up.startswith(b"name=Dana+Okafor&email=dana.okafor%40example.com&phone=%28303%29+")
    assert b"Rosa" not in made_up


def test_answers_and_json_in_text_are_made_up_too() -> None:
    data = {
        "answers": [
            {"field": {"ref": "first_name"}, "text": "Rosa"},
            {"field": {"ref": "mail"}, "email": "rosa@example.net"},
        ],
        "raw": '{"last_name": "Vale", "phone": "7205550188"}',
    }
    made_up = redacted(json.dumps(data).encode(), data, 0).decode()
    assert not [text for text in ("Rosa", "Vale", "rosa@", "7205550188") if text in made_up]
    assert json.loads(json.loads(made_up)["raw"])["last_name"] == "Okafor"


def made_up_sample(data: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the sample that `adapter new` writes, and the fields reported as replaced."""
    draft = draft_from_samples("acme", [data])
    kept = [str(one) for one in draft.communities()]
    changes = replacements(data, 0, draft.people(), kept)
    text = redacted(json.dumps(data).encode(), data, 0, draft.people(), kept).decode()
    return text, replaced_fields(data, changes)


@pytest.mark.parametrize(
    "data",
    [
        {"plain": "Name: Rosa Vale\nPhone Number: 7205550188\nMove in: May 1\nUnit: 4"},
        {"text": "Hello,\nName: Rosa Vale\n"},
        {"headers": {"from": "Rosa Vale <x@example.net>"}},
        {"lead": {"name": {"given": "Rosa", "family": "Vale"}}},
        {"form_fields": {"Your name": ["Rosa Vale"]}},
        {"fields": {"Your name": "Rosa Vale", "email": "x@example.net"}},
        {"lead": {"address": "12 Rosa Vale Street", "monthly_income": "4250"}},
        {"contact": {"fullName": "Rosa Vale", "mobile": "720-555-0188"}, "note": "I am Rosa"},
    ],
)
def test_whatever_a_draft_reads_about_a_renter_is_made_up(data: dict[str, Any]) -> None:
    text, fields = made_up_sample(data)
    assert not [one for one in (*PERSON, "7205550188", "4250") if one in text]
    assert fields


RENTER = {"firstName": "Rosa", "middleName": "Marie", "lastName": "Vale"} | {
    "email": "Rosa.Vale@example.net",
    "phone": "(720) 555-0188",
}


@pytest.mark.parametrize(
    ("text", "made_up"),
    [
        ("ROSA VALE asks; call Rosa. Ms. Vale", "DANA OKAFOR asks; call Dana. Ms. Okafor"),
        ("tour for rosa marie vale", "tour for dana alma okafor"),
        ("mail rosa.vale@example.net", "mail dana.okafor@example.com"),
        ("7205550188 or 720.555.0188", "3035550142 or 303.555.0142"),
        ("+1 720 555 0188, 1-720-555-0188", "+1 303 555 0142, 1-303-555-0142"),
        ("tel:+17205550188", "tel:+13035550142"),
        ("id 97205550188, Valery, Rosalind", "id 97205550188, Valery, Rosalind"),
        ("I live at 12 Elm Way now", "I live at REMOVED now"),
    ],
)
def test_a_renter_is_made_up_wherever_the_sample_mentions_them(text: str, made_up: str) -> None:
    data = {"contact": RENTER | {"address": {"line1": "12 Elm Way"}}, "comments": text}
    assert json.loads(made_up_sample(data)[0])["comments"] == made_up


@pytest.mark.parametrize(
    "key", ["address1", "addressLine1", "contact_address", "addr", "street1", "Street Address"]
)
def test_the_street_address_of_a_renter_is_removed_and_that_of_a_property_is_kept(key: str) -> None:
    text, _ = made_up_sample({"lead": {key: "12 Elm Way"}, "property": {key: "400 Maple Street"}})
    assert json.loads(text) == {
        "lead": {key: "REMOVED"},
        "property": {key: "400 Maple Street"},
    }


def test_names_that_are_also_words_are_only_replaced_as_they_are_written() -> None:
    data = {"name": "Hope Grant", "email": "x@example.net", "c": "I hope you grant it. Hope G."}
    assert json.loads(made_up_sample(data)[0])["c"] == "I hope you grant it. Dana G."


@pytest.mark.parametrize("name", ["VALE, ROSA", "Vale, Rosa"])
def test_a_last_name_before_a_comma_is_made_up(name: str) -> None:
    data = {"leads": [{"prospect": name, "contact": "x@example.net"}]}
    text, fields = made_up_sample(data)
    assert not [one for one in ("VALE", "Vale", "ROSA", "Rosa") if one in text]
    assert "leads.0.prospect" in fields


def test_a_name_beside_a_phone_number_is_made_up_too() -> None:
    data = {"lead": {"name": "Rosa Vale", "emergencyContact": "Wilma Flint 720-555-0177"}}
    text, _ = made_up_sample(data)
    assert "Wilma" not in text
    assert "Flint" not in text


def test_different_contacts_are_replaced_by_different_ones() -> None:
    data = {
        "email": "rosa@example.net",
        "phone": "720-555-0188",
        "reply_to": "relay-7@mail.example.net",
        "office": "info@example.org",
        "comments": "Or call 720-555-0199, mail vale@example.com",
    }
    made_up = json.loads(made_up_sample(data)[0])
    assert made_up["email"] == "dana.okafor@example.com"
    assert made_up["phone"] == "303-555-0142"
    assert made_up["office"] == "info@example.org"
    assert "relay" not in made_up["reply_to"]
    assert "0199" not in made_up["comments"]
    emails = {made_up["email"], made_up["reply_to"], made_up["comments"].split()[-1]}
    assert len(emails) == 3
    assert made_up["phone"] not in made_up["comments"]


def test_the_name_of_a_portal_is_not_made_up_as_the_renters() -> None:
    mail = {
        "from": "Casas y Depas <envios@example.org>",
        "plain": "Nombre: Lupita Vale\nCorreo: lupita@example.net\nTeléfono: 720-555-0188\n",
    }
    made_up = json.loads(made_up_sample(mail)[0])
    assert "Nombre: Dana Okafor\n" in made_up["plain"]
    assert "Dana" not in made_up["from"]


def test_addresses_of_a_community_and_of_a_sender_are_kept() -> None:
    mail = {
        "envelope": {"to": "rosa-court@leads.example.org", "from": "rosa@example.net"},
        "headers": {
            "message_id": "<rosa.7@mail.example.net>",
            "from": "Portal <no-reply@example.net>",
        },
        "plain": "Name: Rosa Vale\nEmail: rosa@example.net\nPhone: 720-555-0188\n",
    }
    text, fields = made_up_sample(mail)
    assert json.loads(text)["envelope"] == {
        "to": "rosa-court@leads.example.org",
        "from": "dana.okafor@example.com",
    }
    assert json.loads(text)["headers"] == mail["headers"]
    assert "Rosa" not in text
    assert fields == ["envelope.from", "plain"]


def test_a_list_with_one_item_gets_no_index_which_would_drop_the_others() -> None:
    person = {"email": "r@example.net", "name": "Rosa Vale"}
    text = mapping_from_sample("acme", "a.json", {"Prospects": {"Prospect": [person]}})
    assert "  email_1: Prospects.Prospect.email   " in text
    assert ".0" not in text
    several = mapping_from_sample(
        "acme", "a.json", *({"items": [{"contactEmail": "r@example.net"}] * n} for n in (1, 2))
    )
    assert "email_1: items.0.contactEmail" in several, "without an index, each is held"


@pytest.mark.parametrize(
    ("samples", "path"),
    [
        ([{"type": "WEB"}], None),
        ([{"kind": "Conversation"}], None),
        ([{"type": "WEB"}, {"type": "WEB"}], None),
        ([{"type": "WEB"}, {"type": "PHONE"}], "type"),
        ([{"event": "tour.booked"}], "event"),
        ([{"type": "BOOKING_CREATED"}], "type"),
        ([{"eventType": "tourScheduled"}], "eventType"),
        ([{"submission": [{"type": "number", "value": 4}]}], None),
        ([{"a": {"type": "short_text", "label": "Name", "value": "x"}}], None),
    ],
)
def test_one_value_is_a_condition_only_if_it_names_an_event(
    samples: list[Any], path: str | None
) -> None:
    assert guess_paths(*samples).get("accept") == path


def test_a_condition_says_that_other_values_are_ignored() -> None:
    text = mapping_from_sample("acme", "a.json", {"event": "tour.booked"})
    assert '  event: "tour.booked"   # guessed from the name: confirm; any other value is' in text


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"entry": [{"id": "9", "changes": [{"value": {"leadgen_id": "1"}}]}]}, "leadgen_id"),
        ({"entry": [{"id": "9", "changes": [{"messages": [{"id": "w1"}]}]}]}, "messages.id"),
        ({"entry": [{"id": "9"}]}, None),
        ({"entry": {"id": "9"}}, "entry.id"),
    ],
)
def test_the_id_of_a_page_is_not_the_id_of_a_lead(data: dict[str, Any], path: str | None) -> None:
    found = guess_paths(data).get("dedupe")
    assert found == path if path is None or found is None else found.endswith(path)


def test_the_phone_of_a_quoted_message_is_the_business() -> None:
    message = {"from": "15550100188", "context": {"from": "15550100001"}}
    value = {"metadata": {"display_phone_number": "15550100001"}, "messages": [message]}
    found = guess_paths({"entry": [{"changes": [{"value": value}]}]})
    assert found["phone_1"] == "entry.changes.value.messages.from"


DAY = {"year": "2026", "month": "3", "day": "14"}
HOUR = {"hourSelect": "2", "minuteSelect": "30", "ampm": "PM"}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"tourDate": DAY, "tourTime": HOUR}, "{ date: tourDate, time: tourTime }"),
        (
            {"tourDate": "03/14/2026", "tourTime": HOUR},
            "{ date: { from: tourDate, format: MM/DD/YYYY }, time: tourTime }",
        ),
        (
            {"tourDate": DAY, "tourTime": "2:30 PM"},
            "{ date: tourDate, time: tourTime, format: h:mm A }",
        ),
        ({"appointment": {**DAY, "hour": 14, "min": 30}}, "appointment"),
    ],
)
def test_a_date_in_parts_is_drafted(data: dict[str, Any], line: str) -> None:
    text = draft_from_samples("forms", [{"name": "Dana Okafor", **data}]).text("sample.json")
    assert f"  starts_at: {line}   " in text


@pytest.mark.parametrize("key", ["payload", "data.json"])
def test_json_in_a_form_is_made_up_too(key: str) -> None:
    inner = {"first_name": "Rosa", "email": "rosa@example.net", "note": "Hi,\nRosa here"}
    text = json.dumps(inner)
    body = urllib.parse.urlencode({"page": "7", key: text}).encode()
    made_up = redacted(body, {"page": "7", key: text}, 0).decode()
    assert not [one for one in ("Rosa", "rosa") if one in urllib.parse.unquote_plus(made_up)]
    written = dict(urllib.parse.parse_qsl(made_up))
    assert json.loads(written[key])["note"] == "Hi,\nDana here"
    assert written["page"] == "7"


def test_a_field_that_could_not_be_replaced_is_named() -> None:
    before, after = {"a": "Rosa", "b": ["Vale"]}, {"a": "Dana", "b": ["Vale"]}
    assert fields_left(before, after, ["a", "b.0"]) == ["b.0"]


def test_words_of_a_sentence_are_not_replaced_as_names() -> None:
    data = {
        "headers": {
            "From": "Rosa Vale via Portal <rosa@example.net>",
            "Received": "from mail.example.net by mx.example.org id 7 for <x@example.org>",
        },
        "last_name": "May",
        "name": "Tour request for Rosa Vale",
        "text": "An interested renter from Portal: Rosa would like to come for a tour on May 4",
    }
    made_up = json.loads(redacted(json.dumps(data).encode(), data, 0))
    assert made_up["headers"]["From"] == "Dana Okafor via Portal <dana.okafor@example.com>"
    assert made_up["last_name"] not in ("May", "Okafor"), "another name than Vale"
    assert made_up["text"] == (
        "An interested renter from Portal: Dana would like to come for a tour on May 4"
    )
    assert "Rosa" not in made_up["name"]


def test_the_key_of_a_field_is_not_a_secret() -> None:
    data = {"fields": [{"key": "question_OYq4Za", "value": "x"}], "key": "s3cret"}
    made_up = json.loads(redacted(json.dumps(data).encode(), data, 0))
    assert made_up == data | {"key": "REMOVED"}


def test_each_person_of_a_batch_is_another_one() -> None:
    people = [
        {"name": f"Rosa{n} Vale{n}", "email": f"r{n}@example.net", "phone": f"720-555-01{n:02d}"}
        for n in range(10, 20)
    ]
    data = {"lot": {"people": people}}
    draft = draft_from_samples("acme", [data])
    made_up = json.loads(redacted(json.dumps(data).encode(), data, 0, draft.people()))
    got = made_up["lot"]["people"]
    for key in ("email", "phone"):
        assert len({one[key] for one in got}) == 10
    assert got[1]["name"] == "Ines Duarte"
    assert got[1]["email"] == "ines.duarte@example.com"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"eventType": "FORM_RESPONSE", "data": {"formId": "XxA4WO"}}, "data.formId"),
        ({"event_type": "form_response"}, None),
        ({"eventType": "tourScheduled", "source": {"property": "M1"}}, "source.property"),
        ({"event_type": "https://api.example.com/event_types/1"}, "event_type"),
        ({"eventTypeId": 7, "location": "Maple Court"}, "location"),
        ({"eventTypeId": 7, "location": "integrations:video"}, "eventTypeId"),
        ({"prop": "MC", "agent": {"name": "Ann Agent"}}, "prop"),
        ({"agent": {"name": "Ann Agent"}}, None),
    ],
)
def test_a_kind_of_event_or_an_agent_is_no_community(
    data: dict[str, Any], path: str | None
) -> None:
    assert guess_paths(data).get("community") == path


@pytest.mark.parametrize("key", ["event", "action", "trigger", "webhook_event", "eventName"])
def test_a_title_beside_an_event_does_not_remove_the_condition(key: str) -> None:
    assert guess_paths({key: "tour_booked", "title": "x"})["accept"] == key
    assert "accept" not in guess_paths({"type": "date_requested", "title": "x"})


def test_events_of_one_booking_share_its_id_and_only_leads_are_accepted() -> None:
    same = {"id": 5, "webhook_id": 9, "createdAt": "2026-03-01T10:00:00Z", "title": "Tour"}
    same["attendees"] = [{"email": "rosa@example.net", "name": "Rosa Vale"}]
    names = ("BOOKING_CREATED", "BOOKING_CANCELLED", "MEETING_ENDED")
    samples = [{"triggerEvent": name, **same} for name in names]
    text = draft_from_samples("acme", samples).text("a", "b", "c", payloads=samples)
    assert "dedupe: id   " in text
    assert 'triggerEvent: "BOOKING_CREATED"   ' in text.partition("accept:")[2]
    assert "such as MEETING_ENDED, is ignored" in text
    assert 'triggerEvent: "BOOKING_CANCELLED"   ' in text
    assert "payload: c\n    ignored: true\n" in text
    files = [Sample(b"", "", "", one) for one in samples]
    assert len(list(_most_different(files, draft_from_samples("acme", samples)))) == 3
    other = {**samples[2], "attendees": [{"email": "ines@example.net"}]}
    assert "dedupe: id" not in mapping_from_sample("acme", "a", samples[0], other)


@pytest.mark.parametrize(
    "event",
    [
        *(
            "MEETING_ENDED",
            "BOOKING_NO_SHOW",
            "tour.completed",
            "RECORDING_READY",
            "payment_failed",
        ),
        *("appointment.reminder", "ping", "meeting_started", "visit-finished"),
    ],
)
def test_an_event_after_a_tour_is_ignored(event: str) -> None:
    lead = {"uid": "A7", "email": "rosa@example.net", "startTime": "2026-03-14T14:30"}
    sample = lead | {"triggerEvent": event}
    text = draft_from_samples("acme", [sample]).text("a.json", payloads=[sample])
    assert f'ignore:\n  triggerEvent: "{event}"   # this event books no tour' in text
    assert "accept:" not in text
    assert "payload: a.json\n    ignored: true" in text
    samples = [sample, lead | {"triggerEvent": "BOOKING_CREATED"}]
    text = draft_from_samples("acme", samples).text("a.json", "b.json", payloads=samples)
    assert 'accept:\n  triggerEvent: "BOOKING_CREATED"' in text
    assert "ignore:" not in text


@pytest.mark.parametrize("event", ["form_completed", "conversation.completed", "shopping_created"])
def test_other_finished_events_may_be_leads(event: str) -> None:
    text = mapping_from_sample("acme", "a.json", {"event": event, "email": "rosa@example.net"})
    assert f'accept:\n  event: "{event}"' in text


@pytest.mark.parametrize("name", ["reschedule_tour", "move_appointment", "changeBooking"])
def test_the_new_time_of_a_moved_tour_is_not_in_its_key(name: str) -> None:
    sample = {
        "tool": {"name": name},
        "args": {"appointmentId": "a1", "newTime": "2026-03-14T14:30", "email": "r@example.net"},
    }
    assert "dedupe: args.appointmentId   " in mapping_from_sample("acme", "a.json", sample)
    sample["tool"]["name"] = "book_appointment"
    booked = mapping_from_sample("acme", "a.json", sample)
    assert "dedupe: [args.appointmentId, args.newTime]   " in booked


def test_the_id_of_an_event_is_only_a_key_together_with_a_contact() -> None:
    sample = {"eventId": "e1", "data": {"responseId": "r1", "email": "rosa@example.net"}}
    assert "dedupe: data.responseId   " in mapping_from_sample("acme", "a.json", sample)
    del sample["data"]["responseId"]  # type: ignore[attr-defined]
    assert "dedupe: [eventId, data.email]   " in mapping_from_sample("acme", "a.json", sample)


def test_the_type_of_a_list_is_no_event() -> None:
    data = {"topic": "conversation.created", "tags": {"type": "tag.list"}, "id": "1"}
    assert event_paths(observe([data])) == ["topic"]


@pytest.mark.parametrize(("kind", "is_noted"), [("admin", False), ("bot", False), ("lead", True)])
def test_a_text_by_the_staff_is_no_note_of_the_renter(kind: str, *, is_noted: bool) -> None:
    message = {"body": "Which day suits you?", "author": {"type": kind, "id": "7"}}
    text = mapping_from_sample("acme", "a.json", {"email": "r@example.net", "message": message})
    assert ("{message.body}" in text) is is_noted


def test_only_the_last_turn_of_a_booking_intent_is_a_lead() -> None:
    def turn(intent: str, *, done: bool) -> dict[str, Any]:
        result = {"intent": {"displayName": intent}, "allRequiredParamsPresent": done}
        return {"responseId": intent + str(done), "queryResult": result}

    samples = [turn("Book a tour", done=True), turn("Book a tour", done=False)]
    samples += [turn("Opening hours", done=True)]
    files = ("a.json", "b.json", "c.json")
    text = draft_from_samples("acme", samples).text(*files, payloads=samples)
    accept = text.partition("accept:\n")[2].partition("\n\n")[0]
    assert '  queryResult.intent.displayName: "Book a tour"   ' in accept
    assert "  queryResult.allRequiredParamsPresent: true   " in accept
    assert [text.count(f"payload: {one}\n    ignored: true") for one in files] == [0, 1, 1]
    assert "accept:" not in mapping_from_sample("acme", "a.json", {"intent": "VISIT_INTENT"})


def test_the_test_of_a_draft_without_a_tour_time_expects_a_guest_card() -> None:
    lead = {"id": "A7", "email": "rosa@example.net"}
    text = draft_from_samples("acme", [lead]).text("a.json", payloads=[lead])
    assert "prospect_some: { last_name: TODO }" in text
    for more in {"startTime": "2026-03-14T14:30"}, {"when": "2026-03-14T14:30"}:
        text = draft_from_samples("acme", [lead | more]).text("a.json", payloads=[lead | more])
        assert "expect_some: { last_name: TODO }" in text.replace("prospect_some", "")


WISH = {
    "minPrice": 1500,
    "maxPrice": 2150,
    "minimumBedrooms": 1,
    "maximumBedrooms": 3,
}


@pytest.mark.parametrize(
    ("more", "is_rent"),
    [
        ({}, True),
        ({"currency": "USD", "priceFrequency": "PER_MONTH"}, True),
        ({"priceFrequency": "RENT_FREQUENCY_PER_WEEK"}, False),
        ({"currencyCode": "gbp"}, False),
        ({"countryCode": "GB"}, False),
        ({"intent": "APPLICANT_INTENT_BUY"}, False),
    ],
)
def test_only_a_monthly_rent_in_dollars_is_drafted(more: dict[str, str], *, is_rent: bool) -> None:
    text = mapping_from_sample("acme", "a.json", {"email": "rosa@example.net", **WISH, **more})
    assert ("rent_minimum_in_cents: { from: minPrice, as: dollars }" in text) is is_rent
    assert ('"Min price: {minPrice}"' in text) is not is_rent
    assert ("rent_maximum_in_cents" in text) is is_rent
    assert ("priceFrequency: " not in text) or not is_rent


@pytest.mark.parametrize(
    ("kind", "ours"),
    [("Self Tour", "self_guided"), ("Virtual tour", "video"), ("In-Person Visit", "in_person")],
)
def test_a_type_that_names_a_kind_of_tour_is_the_tours(kind: str, ours: str) -> None:
    data = {"event": {"type": kind, "date": "2026-03-14"}, "email": "rosa@example.net"}
    text = mapping_from_sample("acme", "a.json", data)
    assert f"tour_type: {{ from: event.type, table: {{ {kind}: {ours} }} }}" in text
    data["event"] = {"type": "Tour", "date": "2026-03-14"}
    assert "event.type, table" not in mapping_from_sample("acme", "a.json", data)


def test_both_ends_of_a_range_of_bedrooms_are_drafted(tmp_path: Path) -> None:
    text = mapping_from_sample("acme", "a.json", WISH)
    line = 'desired_num_bedrooms: ["{minimumBedrooms}-{maximumBedrooms}", minimumBedrooms]'
    assert line in text
    assert "desired_num_bedrooms: bedrooms " in mapping_from_sample("b", "a.json", {"bedrooms": 2})


@pytest.mark.parametrize(
    ("phone", "country", "option"),
    [
        ("020 7946 0958", "GB", "{ from: phone, region: GB }"),
        ("(303) 555-0142", "US", "phone "),
        ("+44 20 7946 0958", "GB", "phone "),
        ("303 555 0142", "nowhere", "phone "),
    ],
)
def test_the_region_of_phone_numbers_is_drafted(phone: str, country: str, option: str) -> None:
    data = {"phone": phone, "address": {"countryCode": country}}
    assert f"phone_1: {option}" in mapping_from_sample("acme", "a.json", data)


def test_the_draft_asks_about_those_who_want_to_buy() -> None:
    data = {"enquiryType": "ENQUIRY_TYPE_SALES", "salesRep": "x", "email": "rosa@example.net"}
    text = mapping_from_sample("acme", "a.json", data)
    assert text.count("someone who wants to buy is no renter") == 1
    assert '# enquiryType is "ENQUIRY_TYPE_SALES" in a sample; ' in text


def test_a_property_with_the_number_0_is_no_community() -> None:
    data = {"propertyId": 0, "listing": {"id": "L-7"}, "email": "rosa@example.net"}
    assert "community: listing.id " in mapping_from_sample("acme", "a.json", data)


def test_a_call_that_has_only_started_is_not_accepted() -> None:
    samples = [{"event": f"call_{one}", "call_id": "c1"} for one in ("analyzed", "started")]
    assert 'event: "call_analyzed"   ' in mapping_from_sample("acme", "a.json", *samples)


def test_a_cancellation_that_other_events_follow_is_not_a_condition() -> None:
    booked = {"EventType": "Appointment", "EventDate": "2026-03-05"}
    events = [booked, {"EventType": "Cancel", "EventDate": "2026-03-05"}]
    last = mapping_from_sample("acme", "a.json", {"Events": events})
    assert 'cancellation:\n  answers.Cancel: {"empty": false}' in last
    assert "also true if a later event books again" in last
    again = [*events, booked | {"EventDate": "2026-03-20"}]
    for samples in ([{"Events": again}], [{"Events": events}, {"Events": again}]):
        text = mapping_from_sample("acme", "a.json", *samples)
        assert "\ncancellation:" not in text
        assert "# TODO: answers.Cancel is in a list of events, and others follow it" in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("question", "answer"), ("question", "value"), ("title", "value"), ("title", "answer")),
        *(("key", "val"), ("field", "value")),
    ],
)
def test_lists_of_questions_and_answers_are_read(key: str, value: str) -> None:
    rows = [{key: "Full name", value: "Rosa Vale"}, {key: "Email", value: "rosa@example.net"}]
    text = mapping_from_sample("acme", "a.json", {"rows": rows})
    assert f"answers: {{ list: rows, by: {key}, value: [{value}] }}" in text
    assert "  name: answers.Full name   " in text
    assert "Rosa" not in redacted(json.dumps({"rows": rows}).encode(), {"rows": rows}, 0).decode()


def test_the_last_change_is_preferred_as_the_time_of_the_request() -> None:
    data = {"created_at": "2026-03-01T10:00:00Z", "updatedAt": "2026-03-02T10:00:00Z"}
    assert guess_paths(data)["sent_at"] == "updatedAt"
    assert guess_paths({"created_at": "2026-03-01T10:00:00Z"})["sent_at"] == "created_at"


def test_half_of_a_surrogate_pair_is_written_as_an_escape() -> None:
    body = rb'{"id": "\ud800", "name": "Ana Kos", "email": "ana@kos.example"}'
    written = json.loads(redacted(body, json.loads(body), 0))
    assert written == {
        "id": "\ud800",
        "name": "Dana Okafor",
        "email": "dana.okafor@example.com",
    }


def test_json_in_a_text_may_be_nested_too_deeply() -> None:
    payload = {"id": "1", "email": "ana@kos.example", "body": '{"a":' * 10_000}
    assert "email" in guess_paths(payload)["email_1"]
    body = json.dumps(payload).encode()
    assert b"ana@kos.example" not in redacted(body, payload, 0)


@pytest.mark.parametrize("line", [">\n", "\n", "- \n", "> * "])
def test_an_email_without_labels_takes_little_time(line: str) -> None:
    payload = {"id": "1", "email": "ana@kos.example", "body": f"a{line * 25_000}b"}
    started = time.thread_time()
    draft_from_samples("acme", [payload])
    replacements(payload, 0)
    assert time.thread_time() - started < 5.0


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("fname", "lname"),
        ("name-first", "name-last"),
        ("name_first", "name_last"),
        ("Name (First)", "Name (Last)"),
        ("input_1_3", "input_1_6"),
        ("1.3", "1.6"),
    ],
)
def test_the_name_keys_of_form_builders_are_drafted_and_made_up(first: str, last: str) -> None:
    data = {first: "Rosa", last: "Vale", "c": "I am Rosa Vale", "email": "x@example.net"}
    assert {"first_name", "last_name"} <= guess_paths(data).keys()
    text, _ = made_up_sample(data)
    assert json.loads(text)["c"] == "I am Dana Okafor"
    assert "Rosa" not in text


@pytest.mark.parametrize("key", ["guest", "invitee", "Visitor"])
def test_a_word_for_a_person_is_the_key_of_a_full_name(key: str) -> None:
    assert guess_paths({key: "Rosa Vale"})["name"] == key
    assert "name" not in guess_paths({key: "yes"})
    assert "Rosa" not in made_up_sample({key: "Rosa Vale"})[0]


def test_the_name_behind_a_label_in_lowercase_is_made_up() -> None:
    data = {"visitor": {"fullName": "Rosa"}, "body": "name: Rosa Vale\nMessage: Is it free?"}
    assert "Vale" not in made_up_sample(data)[0]


def test_the_lines_of_a_text_are_read_by_labels_in_lowercase() -> None:
    body = "name: Rosa Vale\nemail: rosa@example.net\nphone: 720-555-0188\nmessage: Hi"
    text = mapping_from_sample("acme", "a.json", {"body": body})
    assert '{ text: message, line: "phone:" }' in text
    assert "  phone_1: phone " in text


@pytest.mark.parametrize(
    "other",
    [
        {"intent": {"displayName": "Book tour"}},
        {"parameterInfo": [{"displayName": "count-sweets"}]},
        {"payload": {"name": "Contact Us Form"}},
        {"method": {"name": "sendLeads"}},
    ],
)
def test_the_name_of_an_intent_or_form_is_neither_drafted_nor_replaced(
    other: dict[str, Any],
) -> None:
    assert "name" not in guess_paths(other)
    assert json.loads(made_up_sample(other)[0]) == other
    data = other | {"parameters": {"person": {"name": "Rosa Vale"}}}
    assert guess_paths(data)["name"] == "parameters.person.name"


@pytest.mark.parametrize("end", ["latest", "until"])
def test_the_start_of_a_window_is_not_a_tour_time(end: str) -> None:
    window = {"earliest": "2026-12-14T12:00:00-07:00", end: "2026-12-14T17:00:00-07:00"}
    text = mapping_from_sample("acme", "a.json", {"viewingTimes": [window]})
    assert "starts_at: TODO   # viewingTimes.earliest is when the renter could come" in text
    assert '- "Earliest: {viewingTimes.earliest}"' in text


@pytest.mark.parametrize(
    "data",
    [
        {"user": {"name": "Sam Stone", "email": "sam@example.org"}, "attendees": [ROSA]},
        {"agent": {"name": "Sam Stone", "email": "sam@example.org"}, "customer": ROSA},
        {"owner": "Sam Stone", "owner_email": "sam@example.org", "guest": ROSA},
        {"attendees": [ROSA, {"name": "Sam Stone", "email": "sam@example.org"}]},
    ],
)
def test_each_person_in_a_sample_is_another_made_up_person(data: dict[str, Any]) -> None:
    texts = [made_up_sample(one)[0] for one in (data, data | {"note": "Sam Stone called"})]
    first, second = map(json.loads, texts)
    assert second.pop("note").removesuffix(" called") in texts[0]
    assert first == second
    names = re.findall(r'"(?:name|owner)": "([^"]*)"', texts[0])
    emails = re.findall(r'"(?:owner_)?email": "([^"]*)"', texts[0])
    assert len({*names}) == len({*emails}) == 2
    assert [f"{name.replace(' ', '.').lower()}@example.com" for name in names] == emails
    assert "Dana Okafor" in names
    assert not re.search("Sam|Stone|Rosa|Vale", texts[0])
