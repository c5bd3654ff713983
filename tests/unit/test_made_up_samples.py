"""Test that the samples from `adapter new` contain no real people, and keep people distinct."""

import json
import re
from pathlib import Path
from typing import Any

import click.testing
import phonenumbers
import pytest

from adapter.cli import commands
from adapter.mapping.authoring.made_up import MadeUpPeople
from adapter.mapping.authoring.redact import (
    partly_replaced,
    possible_names,
    redacted,
    replaced_fields,
    replacements,
)

BATCH = {
    "export": {
        "leads": [
            {"ref": "1", "prospect": "OKONKWO, ADAEZE", "contact": "ada@uni.example 720 555 0188"},
            {"ref": "2", "prospect": "FLINT, WILMA", "contact": "720 555 0199"},
            {"ref": "3", "prospect": "THI NGUYEN", "contact": "thi@uni.example"},
        ]
    }
}


def made_up(data: Any) -> Any:
    return json.loads(redacted(json.dumps(data).encode(), data, 0))


def new(folder: Path, *bodies: Any, suffix: str = "json") -> tuple[str, list[str]]:
    """Run `adapter new` on the given bodies. Return its output and the samples' texts."""
    files = [folder / f"{number}.{suffix}" for number in range(len(bodies))]
    for file, body in zip(files, bodies, strict=True):
        file.write_text(body if isinstance(body, str) else json.dumps(body))
    arguments = ["new", "acme", *map(str, files), "--mappings", str(folder / "mappings")]
    (folder / "mappings").mkdir()
    result = click.testing.CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    samples = sorted((folder / "mappings/samples").iterdir(), key=lambda one: (len(one.name), one))
    return result.output, [one.read_text() for one in samples]


def test_each_original_gets_its_own_value_in_all_samples(tmp_path: Path) -> None:
    def mail(renter: str, name: str, **more: str) -> dict[str, Any]:
        headers = {
            "Reply-To": f"{renter.split('@')[0]}@relay.example",
            "From": "info@flats.example",
        }
        return {
            "headers": headers,
            "email": renter,
            "name": name,
            "phone": more.pop("phone"),
        } | more

    first = mail("ana@uni.example", "Ana Kos", phone="720 555 0111", one="x")
    second = mail("ben@uni.example", "Ben Kos", phone="720 555 0122", two="x")
    again = mail(
        "ana@uni.example", "Ana Kos", phone="(720) 555-0111", three="x", note="Ask Ben Kos"
    )
    _, samples = new(tmp_path, first, second, again)
    parsed = [json.loads(one) for one in samples]
    got = [one for key in ("one", "two", "three") for one in parsed if key in one]
    for key in ("email", "name"):
        assert got[0][key] == got[2][key] != got[1][key]
    assert got[0]["phone"] == "303 555 0142" != got[1]["phone"]
    assert got[2]["phone"] == "(303) 555-0142"
    assert got[2]["note"] == f"Ask {got[1]['name']}"
    relays = {one["headers"]["Reply-To"] for one in got}
    assert len({*relays, got[0]["email"], got[1]["email"], got[0]["headers"]["From"]}) == 5
    assert got[0]["headers"] == got[2]["headers"]
    assert got[0]["email"] == "dana.okafor@example.com"
    assert not re.search("ana@uni|ben@|Kos|720|0111|0122", "".join(samples))


def test_names_in_capitals_and_under_any_word_for_a_person_are_made_up() -> None:
    leads = made_up(BATCH)["export"]["leads"]
    names = [one["prospect"] for one in leads]
    assert len({*names}) == 3
    assert all(re.fullmatch(r"[A-Z]+, [A-Z]+", one) for one in names[:2])
    assert re.fullmatch("[A-Z]+ [A-Z]+", names[2])
    assert not re.search(
        "okonkwo|adaeze|flint|wilma|thi|nguyen|0188|0199", json.dumps(leads).lower()
    )


@pytest.mark.parametrize(
    "key",
    ["prospect", "resident", "occupant", "who", "resident_name", "primaryContact", "referred_by"],
)
@pytest.mark.parametrize("name", ["Tor Vale", "TOR VALE", "vale, tor", "Vale, Tor", "Tor de Vale"])
def test_the_name_under_a_word_for_a_person_is_made_up(key: str, name: str) -> None:
    written = made_up({"unit": "2B", key: name})
    assert written["unit"] == "2B"
    assert not re.search(r"\btor\b|vale", written[key].lower())
    assert len(written[key].split()) == len(name.split())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("age", 44),
        ("credit_score", "750 to 799"),
        ("creditScore", 702),
        ("annual_income", "$85,000"),
        ("school", "Boulder High"),
        ("employer", {"name": "Acme Mills", "since": 2019}),
        ("work", "Nurse"),
        ("property_value", "450000"),
        ("call_recording_url", "https://rec.example/7f3a"),
        ("is_student", "yes"),
        ("gender", "F"),
    ],
)
def test_sensitive_values_are_removed_or_named(key: str, value: Any) -> None:
    """Check that a short value is not replaced in other fields, such as the tour's time."""
    data: dict[str, Any] = {"tour": "2026-12-12 14:44", "unit": "702 F", "lead": {key: value}}
    written = made_up(data)
    assert (written["tour"], written["unit"]) == (data["tour"], data["unit"])
    changes = replacements(data, 0)
    fields = replaced_fields(data, changes)
    named = possible_names(data, written, fields, ())
    if written["lead"] == data["lead"]:
        assert named == [f"lead.{key}"]
    else:
        assert fields
        before, after = (
            {*re.findall(r"\w\w+", json.dumps(one["lead"][key]))} for one in (data, written)
        )
        assert not before & after - {"name", "since"}


def test_the_history_of_a_private_value_is_kept_as_it_is() -> None:
    version = {"value": "Architect", "source-type": "CRM_UI", "timestamp": 1680448099688}
    data = {
        "jobtitle": {"value": "Architect", "versions": [version]},
        "origin": {"value": "CRM_UI", "createdate": "1680448099688"},
    }
    kept = {"value": "REMOVED", "source-type": "CRM_UI", "timestamp": 1680448099688}
    assert made_up(data)["jobtitle"] == {"value": "REMOVED", "versions": [kept]}
    assert made_up(data)["origin"] == data["origin"]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"consumerPostcode": "NW3 3DN"}, True),
        ({"post_code": 80202}, True),
        ({"city": "Denver"}, True),
        ({"listing": {"city": "Denver"}}, False),
        ({"rows": [{"domanda": "Cognome", "risposta": "12"}]}, False),
        ({"state": "closed"}, False),
        ({"imie": "Rosalba"}, True),
        ({"leadSource": "Website"}, False),
        ({"visitor": {"operatingSystem": "Macintosh"}}, False),
        ({"sentiment": "Positive", "outcome": "Booked"}, False),
        ({"headers": {"Received": "from mx by mail with ESMTPS for us"}}, False),
        ({"consumerSituation": "FIRST_TIME_BUYER"}, True),
        ({"leadSource": "LEAD_SOURCE_OF_WEBSITE"}, False),
        ({"eventId": "ce9f355d-2fc8-4f16-b56f-db656ef57f4a"}, False),
        ({"facebook_lead_id": "3960271960"}, False),
        ({"is_contact": "true"}, False),
        ({"url": "https://example.com/one-two-three/four"}, False),
        ({"raw": json.dumps({"home": {"city": "Denver"}, "n": 1})}, True),
    ],
)
def test_only_what_may_be_personal_is_named(data: dict[str, Any], *, named: bool) -> None:
    found = possible_names(data, made_up(data), (), ())
    assert bool(found) is named
    if "raw" in data:
        assert found == ["raw.home.city"]


@pytest.mark.parametrize("key", ["relationship_status", "military_status", "familyStatus"])
def test_the_status_of_a_person_is_removed(key: str) -> None:
    assert made_up({key: "married"}) == {key: "REMOVED"}


@pytest.mark.parametrize(
    ("phone", "region"),
    [
        *(("+910123456789", ""), ("+44 20 7946 0958", ""), ("07911 123456", "GB")),
        *(("98765 43210", "IN"), ("447911123456", "GB"), ("+4915112345678", "US")),
        *(("(720) 555-9999", ""), ("+17205559999", "IN")),
    ],
)
def test_a_made_up_phone_number_is_valid_in_its_country(phone: str, region: str) -> None:
    people = MadeUpPeople(region)
    numbers = {people.phone(phone[:-2] + f"{n:02d}", 0) for n in range(5)}
    assert len(numbers) == 5
    for one in numbers:
        parsed = phonenumbers.parse(one, region or "US")
        assert phonenumbers.is_valid_number(parsed)
        if phone.startswith("+"):
            assert one.startswith(phone[:2])


def test_sensitive_values_in_forms_xml_and_answers_are_removed() -> None:
    form = redacted(b"age=44&time=14:44&n=44", {"age": "44", "time": "14:44", "n": "44"}, 0)
    assert form == b"age=REMOVED&time=14:44&n=44"
    xml = b"<lead><age>44</age><beds>44</beds><at>14:44</at></lead>"
    data = {"lead": {"age": "44", "beds": "44", "at": "14:44"}}
    assert redacted(xml, data, 0) == xml.replace(b"<age>44<", b"<age>REMOVED<")
    answers = {"fields": [{"label": "Age", "value": "44"}, {"label": "Beds", "value": "44"}]}
    assert [one["value"] for one in made_up(answers)["fields"]] == ["REMOVED", "44"]


def test_replaced_is_only_said_of_whole_values(tmp_path: Path) -> None:
    lead = {
        "email": "ana@uni.example",
        "emergencyContact": "Wilma Flint 303-555-0177",
        "said": "Ask Wilma Flint of Apt 7 at 303-555-0177",
        "addr": "12 Elm St, Boulder CO",
        "where": "99 Oak Ave, Denver",
        "who": "tor",
        "comments": "My sister Greta comes too",
    }
    output, (sample,) = new(tmp_path, lead)
    assert "Flint" not in sample
    assert "0177" not in sample
    assert "Elm" not in sample
    replaced = re.search(r"^Replaced in the samples: (.*)$", output, re.MULTILINE)
    partly = re.search(r"^Replaced only in part in \S+; .*: (.*)$", output, re.MULTILINE)
    left = re.search(r"^Not replaced in \S+; .*: (.*)$", output, re.MULTILINE)
    assert replaced is not None
    assert partly is not None
    assert left is not None
    assert replaced[1].split(", ") == ["email", "emergencyContact", "addr"]
    assert partly[1] == "said"
    assert left[1].split(", ") == ["where", "who", "comments"]


def test_a_full_name_is_replaced_by_a_full_name() -> None:
    body = "Nombre: Lupita Hernández\nTeléfono: 720 555 0188\n"
    mail = {"subject": "Nuevo contacto de Lupita Hernández", "text": body}
    written = made_up(mail)
    assert written["text"] == "Nombre: Dana Okafor\nTeléfono: 303 555 0142\n"
    assert written["subject"] == "Nuevo contacto de Dana Okafor"
    assert len(made_up({"name": "María José García López"})["name"].split()) == 4
    assert made_up({"nombre": "Lupita"}) == {"nombre": "Dana"}


def test_many_people_are_all_different() -> None:
    people = MadeUpPeople()
    words = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(2000)]
    names = {people.name(f"Ana{word} Kos{word}", 0, "name") for word in words}
    phones = {people.phone(f"720555{number:04d}", number % 3) for number in range(2000)}
    assert (len(names), len(phones)) == (2000, 2000)
    assert all(re.fullmatch(r"\d{3}55501\d\d", one) for one in phones)


def test_the_files_that_became_samples_are_named(tmp_path: Path) -> None:
    lead = {"id": "L1", "email": "ana@uni.example", "prop": "Maple Court", "at": "2026-12-12 14:30"}
    timeless = {key: value for key, value in lead.items() if key != "at"} | {"id": "L2"}
    output, samples = new(tmp_path, lead, lead | {"id": "L3"}, timeless)
    assert len(samples) == 2
    assert "Samples: 0.json is acme.json, 2.json is acme-2.json\n" in output
    assert "Not copied, because they add nothing new: 1.json\n" in output


def test_an_email_that_asks_for_a_change_or_names_no_time_is_a_sample(tmp_path: Path) -> None:
    start = "Name: Ana Kos\nEmail: ana@uni.example\nMessage: "
    texts = ("Can I come on Friday at 3 PM?", "Is it free?", "Please cancel my tour.")
    mails = [{"from": "ana@uni.example", "text": f"{start}{text}\n"} for text in texts]
    _, samples = new(tmp_path, *mails, mails[1])
    assert len(samples) == 3


def test_partly_replaced_values_are_found() -> None:
    data = {"name": "Ana Kos", "note": "Ana Kos, unit 7B", "cc": "Ana Kos"}
    assert partly_replaced(data, replacements(data, 0)) == ["note"]


def test_the_ids_of_an_email_are_kept() -> None:
    headers = "Message-ID: <ana.7@mail.example>\nFrom: Ana Kos <ana@uni.example>\n"
    written = made_up({"headers": headers, "text": "Name: Ana Kos\n"})["headers"]
    assert (
        written == "Message-ID: <ana.7@mail.example>\nFrom: Dana Okafor <dana.okafor@example.com>\n"
    )


def test_a_name_in_a_domain_is_kept_because_another_might_belong_to_a_stranger() -> None:
    text = "leasing@example.com https://example.com/a?vale=1 https://vale.example.net vale.com"
    data = {"last_name": "Example", "email": "rosa@vale.net", "other": {"last_name": "Vale"}}
    found = made_up({**data, "text": text})["text"]
    assert found.startswith("leasing@example.com https://example.com/a?"), found
    assert found.endswith(" vale.com")
    assert "vale.example.net" not in found
    assert "vale=1" not in found
