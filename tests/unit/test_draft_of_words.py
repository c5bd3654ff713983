"""Test the drafts of `adapter new` for questions, options, emails and ambiguous values."""

import datetime as dt
import json
import re
import unicodedata
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapter.cli import commands
from adapter.mapping.authoring.redact import fields_left, redacted, replaced_fields, replacements
from adapter.mapping.authoring.scaffold import draft_from_samples
from adapter.mapping.authoring.similar import similar_senders
from adapter.mapping.gallery import BUNDLED, FOLDER
from adapter.mapping.loader.loader import load_files
from adapter.mapping.registry import check
from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing.body import parse
from adapter.settings import Policy
from tests.unit.test_scaffold import guess_paths, mapping_from_sample

NOW = dt.datetime(2026, 3, 6, tzinfo=dt.UTC)

MAIL = """Hello,

you have a new lead.
Name: Rosa Vale
Email: rosa@example.net
Phone: 303-555-0188

Do you allow two cats?
They are small.

On Mar 2, 2026, Dana wrote:
> Could I come on Sunday at 4 PM?
"""


@pytest.mark.parametrize(
    ("question", "field", "answer"),
    [
        ("What is your full name?", "name", "Rosa Vale"),
        ("What's your name?", "name", "Rosa Vale"),
        ("Please enter your first name", "first_name", "Rosa"),
        ("Your last name *", "last_name", "Vale"),
        ("enter_email", "email_1", "rosa@example.net"),
        ("When would you like to visit?", "starts_at", "03/14/2026 2:30 PM"),
        ("Preferred tour date and time", "starts_at", "03/14/2026 2:30 PM"),
    ],
)
def test_a_question_is_the_field_for_which_it_asks(question: str, field: str, answer: str) -> None:
    data = {"answers": {question: answer} | ({"Surname": "Vale"} if "first" in question else {})}
    assert guess_paths(data)[field] == f"answers.{question}"
    if field != "starts_at":
        body = json.dumps({"rows": [{"question": question, "answer": answer}, {"question": "A"}]})
        assert answer not in redacted(body.encode(), json.loads(body), 0).decode()


@pytest.mark.parametrize(
    "form",
    [
        {"12": {"label": "Full name", "value": ["Rosa Vale"]}},
        {"section": {"rows": {"1": {"84": {"label": "Your last name", "value": "Vale"}}}}},
        {"answers": [{"question": "What is your name?", "answer": "Rosa Vale"}]},
    ],
)
def test_an_answer_is_made_up_wherever_it_is_beside_its_question(form: dict[str, Any]) -> None:
    assert "Vale" not in redacted(json.dumps(form).encode(), form, 0).decode()


@pytest.mark.parametrize("value", ["2026-03-14", "303-555-0188", "42"])
def test_a_value_without_letters_is_no_name(value: str) -> None:
    assert "name" not in guess_paths({"answers": {"name": value}})


NAME_LABELS = [
    ("Prénom", "Nom"),
    ("Votre prénom", "Votre nom"),
    ("Vorname", "Name"),
    ("Vorname", "Nachname"),
    ("Nombre(s)", "Apellidos"),
    ("primer nombre", "apellido_paterno"),
    ("Nome", "Sobrenome"),
    ("primeiro nome", "último nome"),
    ("Nome", "Cognome"),
    ("Voornaam", "Achternaam"),
    ("voornaam", "naam"),
]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("first", "last"), NAME_LABELS)
def test_first_and_last_names_in_other_languages(first: str, last: str, *, plain: bool) -> None:
    if plain:
        first, last = (unidecoded(one).lower() for one in (first, last))
    answers = {first: "Rosalba", last: "Petit", "E-mail": "rosalba@example.net"}
    rows = [{"frage": question, "antwort": one} for question, one in answers.items()]
    for data, parent in (
        (answers, ""),
        ({"client": answers}, "client."),
        ({"rows": rows}, "answers."),
    ):
        draft = draft_from_samples("acme", [data])
        assert draft.guesses["first_name"] == (f"{parent}{first}",)
        assert draft.guesses["last_name"] == (f"{parent}{last}",)
        made_up = redacted(json.dumps(data).encode(), data, 0, draft.people()).decode()
        assert "Dana" in made_up
        assert not re.search("Rosalba|Petit", made_up)


def unidecoded(text: str) -> str:
    """Return the text without accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


@pytest.mark.parametrize(
    "label",
    ["Nom", "Nom et prénom", "Vor- und Nachname", "Nombre y apellidos", "Nome e cognome", "Naam"],
)
def test_full_names_in_other_languages(label: str) -> None:
    data = {"rows": [{"label": label, "value": "Rosalba Petit"}, {"label": "Ort", "value": "X"}]}
    assert guess_paths(data)["name"] == f"answers.{label}"
    assert not re.search("Rosalba|Petit", redacted(json.dumps(data).encode(), data, 0).decode())


def test_a_full_name_beside_a_first_name_is_no_last_name() -> None:
    guesses = guess_paths({"Vorname": "Rosa", "Name": "Rosa Vale", "email": "rosa@example.net"})
    assert (guesses["name"], "last_name" in guesses) == ("Name", False)
    guesses = guess_paths({"firstName": "Rosa", "name": "Form 12", "email": "rosa@example.net"})
    assert (guesses["first_name"], "last_name" in guesses) == ("firstName", False)


def test_a_first_name_alone_is_no_last_name() -> None:
    text = mapping_from_sample("acme", "a.json", {"answers": {"Prénom": "Rosa"}})
    assert "first_name: answers.Prénom" in text
    assert "last_name: { always: Unknown }   # only a first name was found: confirm" in text
    assert guess_paths({"nombre": "Rosa Vale"})["name"] == "nombre"


@pytest.mark.parametrize(
    ("question", "answer"),
    [("q", "a"), ("question", "answer"), ("pregunta", "respuesta"), ("libellé", "réponse")],
)
def test_answers_are_found_beside_questions_in_any_language(question: str, answer: str) -> None:
    texts = {"Email": "rosa@example.net", "When would you like to visit?": "2026-03-14T14:30"}
    data = {"rows": [{question: one, answer: text} for one, text in texts.items()]}
    guesses = guess_paths(data)
    assert guesses["email_1"] == "answers.Email"
    assert guesses["starts_at"] == "answers.When would you like to visit?"


def test_chosen_options_are_read_by_their_labels() -> None:
    options = [{"id": "o1", "text": "Virtual"}, {"id": "o2", "text": "In person"}]
    rows: list[dict[str, Any]] = [
        {"label": "Name", "value": "Rosa Vale"},
        {"label": "Tour type", "value": ["o1"], "options": options},
        {"label": "Pets", "value": "o2", "options": [{"id": "o2", "text": "Cat"}]},
    ]
    text = mapping_from_sample("acme", "a.json", {"rows": rows})
    assert "value: [value], labels: { list: options, by: id, value: text } }" in text
    assert "table: { Virtual: video } }" in text
    assert "table: { Cat: cat } }" in text
    rows[1]["value"] = rows[2]["value"] = "Virtual"
    assert "labels" not in mapping_from_sample("acme", "a.json", {"rows": rows})


def test_a_calculated_list_is_no_list_of_answers() -> None:
    variables = [{"key": "name", "text": "Form A"}, {"key": "score", "number": 3}]
    assert "read:" not in mapping_from_sample("acme", "a.json", {"variables": variables})


def _drafted(text: str, folder: Path) -> Source:
    """Load a draft after filling in the lines that every user must fill in."""
    text = text.replace("scheme: TODO, secrets: [ACME_SECRET]", "scheme: none")
    file = folder / "acme.yaml"
    file.write_text(text)
    (folder / "communities.yaml").write_text(
        "maple:\n  integration_id: int_1\n  community_id: com_1\n  timezone: America/Denver\n"
        "  attributions: { acme: att_1 }\n  known_as: { acme: [maple@example.net] }\n"
    )
    found = load_files(folder, [file], Policy(), strict=False)
    errors = [str(one) for one in found.problems if "tests" not in one.field]
    assert errors == [], text
    return found.sources["acme"]


@pytest.mark.parametrize(
    ("said", "starts_at"),
    [
        ("They are small.", "change, asked is empty"),
        ("Could I come on Saturday at 2 PM?", "Could I come on Saturday at 2 PM?"),
        ("I cannot make it tomorrow at 2 PM.", "I cannot make it tomorrow at 2 PM."),
    ],
)
def test_the_draft_for_an_email_reads_what_has_no_label(
    said: str, starts_at: str, tmp_path: Path
) -> None:
    """Check that quoted emails are left out, and that a mentioned time holds the lead."""
    mail = {"to": "maple@example.net", "Subject": "Lead", "MessageID": "m1", "plain": MAIL}
    text = draft_from_samples("acme", [mail]).text("a.json")
    assert "  message: { text: plain, without: quotes, subject: Subject }\n" in text
    source = _drafted(text.replace("dedupe: TODO", "dedupe: MessageID"), tmp_path)
    body = json.dumps(mail | {"plain": MAIL.replace("They are small.", said)})
    [item] = source.map(WebhookRequest.from_body(body.encode()), now=NOW).items
    assert item.appointment["last_name"] == "Vale"
    assert "Do you allow two cats? " + said in " ".join(item.appointment["notes"].split())
    assert "Sunday" not in item.appointment["notes"]
    assert starts_at in " ".join(str(reason) for reason in item.reasons)


def test_the_labeled_time_of_an_email_comes_after_a_change_and_before_a_sentence() -> None:
    labels = "Name: Rosa Vale\nTour Date: 03/14/2026\nTour Time: 2:30 PM\n"
    text = mapping_from_sample("acme", "a.json", {"plain": labels, "html": f"<p>{labels}</p>"})
    assert "  message: { text: [plain, html], without: quotes }\n" in text
    both = '[change, "{tour_date} {tour_time}", asked], format: MM/DD/YYYY h:mm A }'
    assert f"  starts_at: {{ from: {both}   # a sentence about a time" in text


def test_the_envelope_of_an_email_is_not_the_renter() -> None:
    """Use an email from a portal with the renter's address in a labeled line."""
    envelope = json.dumps({"from": "leads@portal.example.com", "to": ["maple@example.net"]})
    mail = {
        "text": MAIL,
        "subject": "Lead",
        "Subject": "Lead",
        "envelope": envelope,
        "charsets": json.dumps({"text": "UTF-8", "subject": "UTF-8"}),
    }
    text = mapping_from_sample("acme", "a.json", mail)
    assert "  email_1: email   " in text
    assert "{ always: email }" in text
    notes = text[text.index("  notes:") : text.index("\ntests:")]
    assert notes.split() == ["notes:", "-", '"Subject:', '{subject}"', "-", '"{message}"']


def test_the_name_of_a_header_is_not_a_persons() -> None:
    headers = {"Headers": [{"Name": "X-Spam-Status", "Value": "No"}]}
    assert b"X-Spam-Status" in redacted(json.dumps(headers).encode(), headers, 0)


def test_all_messages_of_a_conversation_are_searched() -> None:
    items = [{"body": "Hello,\nis anybody there?"}, {"body": "Could I come on Saturday at 2 PM?"}]
    text = mapping_from_sample("acme", "a.json", {"items": items, "email": "rosa@example.net"})
    assert '  message: { text: "items.*.body", without: quotes }\n' in text
    assert text.count("items.") == 1


@pytest.mark.parametrize(
    ("when", "key"),
    [
        ({"start_time": "2026-03-14T14:30:00-06:00"}, "[email, start_time]"),
        ({"tour_date": "03/14/2026", "tour_time": "2 PM"}, "[email, tour_date, tour_time]"),
        ({"tour_date": "03/14/2026"}, "[email, updated_at]"),
    ],
)
def test_without_an_id_the_start_is_the_key_because_a_cancellation_has_it_too(
    when: dict[str, str], key: str
) -> None:
    lead = {"email": "rosa@example.net", "updated_at": "2026-03-01T10:00:00Z"} | when
    assert f"dedupe: {key}   # there is no ID" in mapping_from_sample("acme", "a.json", lead)


def test_a_webhook_that_is_not_finished_is_ignored() -> None:
    lead = {"responder_uuid": "r1", "finalized": False, "answers": {"email": "rosa@example.net"}}
    both = [lead | {"finalized": True}, lead]
    text = draft_from_samples("acme", both).text("a.json", "b.json", payloads=both)
    assert "accept:\n  finalized: true   # guessed from the name: confirm; false is ignored" in text
    assert "dedupe: responder_uuid " in text
    assert text.rstrip().endswith("payload: b.json\n    ignored: true")


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ({"cancellation_requested": False}, "# cancellation_requested is false in a sample; does"),
        ({"intent": "Scheduling"}, '# intent is "Scheduling" in a sample; do other values need'),
        ({"email": "rosa@example.net"}, "community: TODO   # a path, such as a property's name or"),
        ({"email": "rosa@example.net"}, "dedupe: TODO   # the path of the booking's ID, several"),
        ({"email": "rosa@example.net"}, "name: TODO   # or 'last_name: { always: Unknown }' if"),
        ({"lead_id": "1", "form_id": "2"}, "If the webhooks contain only IDs, add\n  # 'fetch'"),
        ({"from_number": "+13035550188"}, "in a call that you made, this is your number"),
        ({"to_number": "+13035550188"}, "community: to_number "),
        ({"tracking_phone_number": "+13035550188"}, "community: tracking_phone_number "),
        ({"Which property?": "Maple Court"}, 'community: "Which property?" '),
        ({"property": {"data": {"id": "p1"}}}, "community: property.data.id "),
        (
            {"2": "rosa@example.net", "3": "sam@example.net"},
            'email_1: TODO   # or phone_1, perhaps from "2" or "3"',
        ),
        ({"2": "rosa@example.net"}, 'email_1: "2" '),
        ({"email-yui_3": "rosa@example.net", "2": "720-555-0188"}, "email_1: email-yui_3 "),
        ({"email-yui_3": "rosa@example.net", "2": "720-555-0188"}, 'phone_1: "2" '),
        ({"event": "booking.created"}, "ignored; is there another one for a rescheduled tour?"),
        (
            {"call": {"function": {"name": "check_availability"}}},
            '# call.function.name is "check_availability" in a sample; do other values need',
        ),
        ({}, "or { scheme: none }, without secrets"),
        ({"tour_slot": "Sat Mar 14 2026 2:30 PM"}, "{ from: tour_slot, format: TODO }"),
        ({"Do you have pets?": "1 cat"}, "table: { "),
        ({"property_street_address": "1 Elm St"}, "community: property_street_address "),
    ],
)
def test_a_draft_says_what_to_decide(data: dict[str, Any], hint: str) -> None:
    assert hint in mapping_from_sample("acme", "a.json", data)


def test_a_status_is_preferred_to_a_history_as_the_sign_of_a_cancellation() -> None:
    """Prefer the status, because a later event in the history may book the tour again."""
    events = [
        {"EventType": "Appointment", "EventDate": "2026-03-05"},
        {"EventType": "Cancel", "EventDate": "2026-03-05"},
    ]
    text = mapping_from_sample("acme", "a.json", {"Events": events, "Type": "canceled"})
    assert 'cancellation:\n  Type: "canceled"   # ' in text
    both = ({"Events": events, "status": one, "id": one} for one in ("canceled", "resident"))
    text = mapping_from_sample("acme", "a.json", *both)
    assert (
        '  status: "canceled"   # guessed from the name: confirm; the others are resident' in text
    )


def test_an_object_that_is_a_list_in_another_sample_has_one_path() -> None:
    """Check that the path has an index. Otherwise, the lead with two people would be held."""
    one, two = {"name": "Rosa Vale", "tel": "303-555-0188"}, {"name": "Lee Vale"}
    samples = ({"id": 1, "guests": {"guest": guest}} for guest in (one, [one, two], [one]))
    text = mapping_from_sample("acme", "a.json", *samples)
    assert "  name: guests.guest.0.name   " in text


def test_the_start_of_a_call_is_not_the_start_of_a_tour() -> None:
    start = {"start_time": "2026-03-14T14:30:00-06:00"}
    assert guess_paths(start)["starts_at"] == "start_time"
    assert "starts_at" not in guess_paths(start | {"duration": 65})


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"emails": [{"address": "rosa@example.net"}]}, "email_1: emails.address "),
        ({"guest": {"phones": [{"number": "7205550188"}]}}, "phone_1: guest.phones.number "),
        (
            {"max_price_cents": 185000},
            "rent_maximum_in_cents: { from: max_price_cents, as: cents }",
        ),
        ({"rent": {"low": 1400}}, "rent_minimum_in_cents: { from: rent.low, as: dollars }"),
        ({"tour": {"uuid": "t1"}}, "dedupe: tour.uuid "),
        ({"user": {"type": "lead", "email": "rosa@example.net"}}, "email_1: user.email "),
        (
            {"NumBedrooms": {"@attributes": {"Exact": "2"}}},
            'desired_num_bedrooms: "NumBedrooms.@attributes.Exact" ',
        ),
        ({"occurred_at": "2026-03-01T17:00:00Z"}, "sent_at: occurred_at "),
        ({"recipient": {"phoneNumber": "+13035550188"}}, "community: recipient.phoneNumber "),
        ({"propertyMarketingName": "Maple Court"}, "community: propertyMarketingName "),
        ({"body": {"text": "Can I see it?"}}, '- "Text: {body.text}"'),
        ({"sender": {"displayName": "Rosa Vale"}}, "name: sender.displayName "),
        (
            {"apptDate": "2026-03-14T00:00:00", "apptTime": "14:30:00"},
            "starts_at: { date: apptDate, time: apptTime, format: H:mm:ss }",
        ),
    ],
)
def test_other_words_for_a_field_are_known(data: dict[str, Any], line: str) -> None:
    assert line in mapping_from_sample("acme", "a.json", data)


@pytest.mark.parametrize("key", ["displayName", "profileName"])
def test_the_name_that_a_person_shows_is_made_up(key: str) -> None:
    sender = {"sender": {key: "Rosa Vale"}}
    assert b"Vale" not in redacted(json.dumps(sender).encode(), sender, 0)


@pytest.mark.parametrize("key", ["Prénom", "q4_firstName", "firstName.val"])
def test_a_draft_and_a_made_up_sample_recognize_the_same_keys(key: str) -> None:
    data: dict[str, Any] = {key: "Rosa", "email": "rosa@example.net"}
    if key.endswith(".val"):
        data = {"firstName": {"val": "Rosa"}, "email": "rosa@example.net"}
    assert guess_paths(data)["first_name"] == key
    assert b"Rosa" not in redacted(json.dumps(data).encode(), data, 0)


@pytest.mark.parametrize("fields", ["form_fields[{}]", "fields[{}]", "lead[contact][{}]"])
def test_the_fields_of_a_form_may_have_brackets(fields: str) -> None:
    data = {fields.format("name"): "Rosa Vale", fields.format("email"): "rosa@example.net"}
    assert guess_paths(data)["name"] == fields.format("name")
    assert guess_paths(data)["email_1"] == fields.format("email")
    body = urllib.parse.urlencode(data).encode()
    assert b"Vale" not in redacted(body, data, 0)


def test_the_name_of_a_field_is_not_a_persons() -> None:
    fields = {"fields": [{"name": "unit", "type": "text"}]}
    assert b'"unit"' in redacted(json.dumps(fields).encode(), fields, 0)


def test_a_chat_is_searched_like_an_email() -> None:
    chat = {"messages": [{"text": "hello"}, {"text": "Could I come on Saturday at 2 PM?"}]}
    text = mapping_from_sample("acme", "a.json", chat)
    assert '  message: { text: "messages.*.text", without: quotes }\n' in text
    assert "  starts_at: [change, asked]   #" in text
    options = {"options": [{"text": "one"}, {"text": "two"}]}
    assert "read:" not in mapping_from_sample("acme", "a.json", options)


@pytest.mark.parametrize("kinds", [["Offline"], ["ToVisitor", "ToOperator"]])
def test_the_kind_of_a_message_is_no_condition_for_the_chat(kinds: list[str]) -> None:
    chats = [
        {"id": "C1", "visitor": {"email": "rosa@example.net"}, "items": items}
        for items in ([{"kind": "Left"}], [{"kind": kind} for kind in kinds])
    ]
    assert "accept" not in draft_from_samples("acme", chats).guesses
    flags = [{"items": [{"isTest": False, "finished": True}] * len(kinds)}]
    assert not {"test", "finished"} & draft_from_samples("acme", flags).guesses.keys()
    whole = [{"data": [{"kind": kind, "email": "rosa@example.net"}]} for kind in ("new", "old")]
    assert draft_from_samples("acme", whole).guesses["accept"] == ("data.kind",)


AGENT = {"name": "Ingrid Falk", "email": "ingrid@example.com", "phone": "303-555-0111"}


@pytest.mark.parametrize("who", ["submitted_by", "booked_by", "person"])
def test_a_name_and_a_contact_are_never_drafted_from_two_people(who: str) -> None:
    people = [{"first_name": "Theo", "last_name": "Lund"}, {"first_name": "A", "last_name": "B"}]
    text = mapping_from_sample("acme", "a.json", {who: AGENT, "applicants": people})
    assert "  first_name: applicants.0.first_name   " in text
    assert "confirm; this is the first of several people\n" in text
    assert f"  email_1: TODO   # or phone_1, perhaps from {who}.email or {who}.phone\n" in text
    assert "phone_1:" not in text
    guests = [{"name": "Theo Lund", "email": "theo@example.com"}, {"name": "Ana Bo"}]
    text = mapping_from_sample("acme", "a.json", {who: AGENT, "attendees": guests})
    assert "  email_1: attendees.0.email   " in text
    assert "phone_1" not in text


def test_the_contact_beside_another_form_of_the_same_name_is_drafted() -> None:
    data = {"lead": {"first_name": "Ingrid", "last_name": "Falk"}, "profile": AGENT}
    assert "  email_1: profile.email   " in mapping_from_sample("acme", "a.json", data)


def test_a_contact_in_a_message_is_also_read_from_its_own_field() -> None:
    message = "name: Rosa Vale\nemail: rosa@example.net\nmessage: hello"
    chat = {"items": [{"body": message}], "visitor": {"emailAddress": "Rosa@example.net"}}
    text = mapping_from_sample("acme", "a.json", chat)
    assert "  email_1: [email, visitor.emailAddress]   " in text
    other = chat | {"visitor": {"emailAddress": "office@example.com"}}
    assert "  email_1: email   " in mapping_from_sample("acme", "a.json", other)


def test_dates_and_times_of_a_form_with_other_names_are_drafted_if_they_are_in_parts() -> None:
    day = {"year": "2026", "month": "3", "day": "14"}
    data = {"q5_workshopDate": day, "q4_workshopTime": {"hour": "2", "minute": "30", "ampm": "PM"}}
    text = mapping_from_sample("acme", "a.json", data)
    assert "starts_at: { date: q5_workshopDate, time: q4_workshopTime }" in text
    assert "starts_at: TODO" in mapping_from_sample("acme", "a.json", {"birthDate": day})


def test_the_events_of_one_renter_are_those_of_one_made_up_person(tmp_path: Path) -> None:
    """Check that a cancellation gets the same made-up person as the booked tour."""
    events = ("tour.booked", "tour.canceled", "tour.booked")
    files = []
    for number, event in enumerate(events):
        who = {"name": "Rosa Vale", "email": "rosa@example.net"}
        other = {"name": "Lee Park", "email": "lee@example.net", "phone": "303-555-0188"}
        guest = other if number == 2 else who
        files.append(tmp_path / f"{number}.json")
        tour = {"id": number, f"new{number}": "so that each sample is kept"}
        files[-1].write_text(json.dumps({"event": event, "tour": tour, "guest": guest}))
    arguments = ["new", "acme", *map(str, files), "--mappings", str(tmp_path)]
    assert CliRunner().invoke(commands, arguments).exit_code == 0
    samples = [json.loads(one.read_text()) for one in (tmp_path / "samples").glob("acme*.json")]
    assert len(samples) == 3
    people = {one["tour"]["id"]: one["guest"]["email"] for one in samples}
    assert people[0] == people[1] != people[2]
    assert "example.net" not in str(samples)


def test_the_gallery_is_named_if_it_has_a_mapping_for_the_webhooks(tmp_path: Path) -> None:
    change = {"leadgen_id": "3", "form_id": "4", "created_time": 1772800000, "page_id": "9"}
    changes = [{"value": change, "field": "leadgen"}]
    entry = {"id": "9", "time": 1772800001, "changes": changes}
    file = tmp_path / "ids.json"
    file.write_text(json.dumps({"object": "page", "entry": [entry]}))
    result = CliRunner().invoke(commands, ["new", "acme", str(file), "--mappings", str(tmp_path)])
    assert result.exit_code == 0, result.output
    said = "The gallery has a mapping for this format: adapter sources add facebook-leadgen\n"
    assert said in result.output
    lead = {"name": "Rosa Vale", "email": "rosa@example.net", "phone": "303-555-0188"}
    assert similar_senders([lead], BUNDLED / FOLDER) == []


def test_the_gallery_is_named_if_one_of_its_mappings_reads_the_renter(tmp_path: Path) -> None:
    given = {"first_name": ["Rosa"], "last_name": ["Vale"], "email": ["rosa@example.net"]}
    file = tmp_path / "page.form"
    file.write_text(urllib.parse.urlencode({"data.json": json.dumps(given)}))
    result = CliRunner().invoke(commands, ["new", "acme", str(file), "--mappings", str(tmp_path)])
    said = "A mapping in the gallery reads the renter in this body: adapter sources add unbounce\n"
    assert said in result.output
    file.write_text(urllib.parse.urlencode({"data.json": "{}"}))
    result = CliRunner().invoke(commands, ["new", "other", str(file), "--mappings", str(tmp_path)])
    assert (result.exit_code, "A mapping in" in result.output) == (0, False)


RENTER = {"name": "Dana Okafor", "email": "dana@example.com"}
SAM = {"first_name": "Sam", "last_name": "Lee", "email": "sam@example.com", "phone": "303-555-0199"}


@pytest.mark.parametrize(
    "who",
    [
        *(
            "co_applicant",
            "roommate",
            "emergency_contact",
            "leasingConsultant",
            "referrer",
            "buddy",
        ),
        *("support_contact", "author", "createdBy", "property_contact"),
    ],
)
def test_a_name_is_never_that_of_another_person_in_the_webhook(who: str) -> None:
    guesses = guess_paths({**RENTER, who: SAM})
    assert guesses["name"] == "name"
    assert not {"first_name", "last_name"} & guesses.keys()
    assert guesses["email_1"] == "email"


def test_a_missing_contact_is_not_replaced_by_that_of_another_person() -> None:
    phone = {"name": "Eve Moss", "phone": "303-555-0142"}
    rows = [{"customer": one, "referrer": SAM} for one in (RENTER, phone)]
    guesses = draft_from_samples("acme", rows).guesses
    assert (guesses["email_1"], guesses["phone_1"]) == (("customer.email",), ("customer.phone",))
    place = {"property": {"phone": "303-555-0100", "manager_email": "ana@example.com"}}
    assert not {"email_1", "phone_1"} & guess_paths({"prospect": {"name": "Dana"}, **place}).keys()


TIME = "2026-03-14T14:30:00"
DAY_AND_TIME = {"date": "2026-03-14", "time": "14:30"}


@pytest.mark.parametrize(
    ("payload", "field", "path"),
    [
        ({"previous": {"start_time": TIME}, "tour": {"start_time": TIME}}, "starts_at", "tour"),
        ({"reminder": {"start_time": TIME}, "tour": {"start_time": TIME}}, "starts_at", "tour"),
        ({"office_hours": {"start_at": TIME}, "tour": {"start_at": TIME}}, "starts_at", "tour"),
        ({"second_choice": {"start_at": TIME}, "tour": {"start_at": TIME}}, "starts_at", "tour"),
        ({"alternate": DAY_AND_TIME, "preferred": DAY_AND_TIME}, "date", "preferred"),
        ({"old_start_time": TIME, "new_start_time": TIME}, "starts_at", "new_start_time"),
        ({"call": {"start_time": TIME}, "tour": DAY_AND_TIME}, "date", "tour"),
        ({"lease": {"start_date": "2026-06-01"}, "tour": DAY_AND_TIME}, "date", "tour"),
        ({"start": TIME, "tour": DAY_AND_TIME}, "date", "tour"),
        ({"building": "2", "community_name": "Maple"}, "community", "community_name"),
    ],
)
def test_a_similar_key_of_something_else_is_not_taken(
    payload: dict[str, Any], field: str, path: str
) -> None:
    guesses = guess_paths(payload)
    assert guesses[field].split(".")[0] == path
    assert field == "starts_at" or "starts_at" not in guesses


SAMPLES = sorted(
    file for file in (BUNDLED / FOLDER / "samples").iterdir() if file.suffix != ".yaml"
)


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.name)
def test_the_draft_for_each_sender_has_no_errors_but_todos(file: Path, tmp_path: Path) -> None:
    body = file.read_bytes()
    payload = parse(body, content_type_of(file, body))
    draft = draft_from_samples("acme", [payload])
    (tmp_path / "samples").mkdir()
    made_up = redacted(body, payload, 0, draft.people())
    (tmp_path / "samples" / file.name).write_bytes(made_up)
    (tmp_path / "communities.yaml").write_text("{}\n")
    (tmp_path / "acme.yaml").write_text(draft.text(f"samples/{file.name}", payloads=[payload]))
    expected = ("fill in this TODO", "communities", "no test covers a lead")
    found = [str(one) for one in check([tmp_path / "acme.yaml"], Policy()) if not one.warning]
    assert [one for one in found if not any(words in one for words in expected)] == []
    fields = replaced_fields(payload, replacements(payload, 0, draft.people()))
    assert fields_left(payload, parse(made_up, content_type_of(file, made_up)), fields) == []


@pytest.mark.parametrize("others", ["occupants", "co_applicants", "references"])
def test_people_in_a_list_beside_the_renter_are_not_leads(others: str) -> None:
    draft = draft_from_samples("acme", [{"lead": RENTER, others: [SAM, SAM | {"phone": ""}]}])
    assert draft.observed.each == ()
    assert (draft.guesses["name"], draft.guesses["email_1"]) == (("lead.name",), ("lead.email",))
    assert "phone_1" not in draft.guesses
    batch = draft_from_samples("acme", [{"lead": "new", "people": [SAM, SAM]}])
    assert batch.observed.each == (("item", "people"),)
    assert batch.guesses["email_1"] == ("item.email",)


SPANISH = {
    "id_solicitud": "S-1",
    "nombre_completo": "Lupita Vale",
    "correo": "lupita@example.com",
    "telefono": "(720) 555-0188",
    "desarrollo": "Maple Court",
    "fecha_visita": "12/13/2026",
    "hora_visita": "2:30 p. m.",
    "recamaras": "2",
    "presupuesto": "1500",
    "mascotas": "Gato",
    "fecha_mudanza": "01/15/2027",
    "comentarios": "¿Hay estacionamiento?",
    "enviado": "2026-12-01T10:00:00-07:00",
}


@pytest.mark.parametrize(
    "line",
    [
        "dedupe: id_solicitud ",
        "sent_at: enviado ",
        "community: desarrollo ",
        "  name: nombre_completo ",
        "  starts_at: { date: fecha_visita, time: hora_visita, format: MM/DD/YYYY h:mm A } ",
        "  move_in_date: { from: fecha_mudanza, format: MM/DD/YYYY } ",
        "  rent_maximum_in_cents: { from: presupuesto, as: dollars } ",
        "  desired_num_bedrooms: recamaras ",
        "  pets: { from: mascotas, table: { Gato: cat } } ",
        '    - "{comentarios}"',
    ],
)
def test_a_form_in_spanish_is_drafted(line: str) -> None:
    assert line in mapping_from_sample("acme", "a.json", SPANISH)


def test_the_labels_of_an_email_may_have_accents() -> None:
    body = "Nombre: Lupita Vale\nCorreo: lupita@example.net\nTeléfono: 720-555-0188\n"
    body += "Fecha de visita: 12/13/2026\nHora: 2:30 PM\nPropiedad: Maple Court\n"
    text = mapping_from_sample("acme", "a.json", {"plain": body})
    assert 'telefono: { text: message, line: "Teléfono:" }' in text
    assert "  phone_1: telefono " in text
    assert 'from: [change, "{fecha_de_visita} {hora}", asked]' in text
    assert "community: propiedad " in text


HOUR = {"date": "12/12/2026", "hour": "2", "minute": "30"}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"tour": {"start": HOUR | {"hour": "14"}}},
            'time: "{tour.start.hour}:{tour.start.minute}", format: MM/DD/YYYY H:mm }',
        ),
        (
            {"tour": HOUR | {"ampm": "PM"}},
            'time: "{tour.hour}:{tour.minute} {tour.ampm}", format: MM/DD/YYYY h:mm A }',
        ),
        (
            {"tour": {"day": "2027-03-04", "from": "14:30", "to": "15:00"}},
            "date: tour.day, time: tour.from, format: YYYY-MM-DD H:mm }",
        ),
        (
            {"tour": {"day": "2027-03-04", "from": "9:00 AM", "to": "5:00 PM"}},
            '# perhaps from tour.day "2027-03-04", tour.from "9:00 AM", tour.to "5:00 PM"; or',
        ),
        (
            {"tour_date": "03/04/2027", "tour_time": "2:30 PM - 3:00 PM"},
            "{ date: tour_date, time: tour_time, format: TODO }",
        ),
        ({"tour": "2026-12-12 14:30"}, "{ from: tour, format: YYYY-MM-DD H:mm }"),
        ({"tour": {"startsAtLocal": "2027-03-04T14:30"}}, "tour.startsAtLocal "),
        ({"when": "2026-12-12T14:30"}, 'TODO   # perhaps from when "2026-12-12T14:30"; or remove'),
        (
            {"requestedDate": "Thursday, March 4th", "requestedTime": "2:30pm"},
            'TODO   # perhaps from requestedDate "Thursday, March 4th", requestedTime "2:30pm"; or',
        ),
        (
            {"times": ["2027-03-04T14:30:00", "2027-03-05T14:30:00"]},
            'TODO   # perhaps from times "2027-03-04T14:30:00"; or remove this line',
        ),
        (
            {"created": "2026-12-12T14:30", "zip": "80203", "phone": "720-555-0188", "n": "1.5"},
            "TODO   # or remove this line",
        ),
    ],
)
def test_a_draft_reads_or_names_whatever_may_be_the_time_of_the_tour(
    data: dict[str, Any], line: str
) -> None:
    (start,) = re.findall(
        r"^  starts_at: .*", mapping_from_sample("acme", "a.json", data), re.MULTILINE
    )
    assert line in start


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"token": "abc123secret"}, "\nstrip: [token]   # secrets in the body"),
        ({"auth": {"apiKey": "k-4711-x9"}, "password": "hunter22"}, "strip: [password, apiKey] "),
        ({"token": "short", "key": "email", "secret": ""}, None),
        ({"form_response": {"token": "abc123def456"}}, None),
    ],
)
def test_secrets_in_the_body_are_stripped(data: dict[str, Any], line: str | None) -> None:
    text = mapping_from_sample("acme", "a.json", data)
    assert line in text if line else "strip" not in text
