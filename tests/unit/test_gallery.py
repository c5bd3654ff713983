"""Check that every mapping in the gallery is complete and passes its tests."""

import datetime as dt
import re
import shutil
from pathlib import Path

import pytest

from adapter.mapping import registry
from adapter.mapping.gallery import entries
from adapter.mapping.loader.schema import AboutSection
from adapter.mapping.loader.yaml_document import document_from_file
from adapter.mapping.samples import content_type_of
from adapter.models import WebhookRequest
from adapter.settings import Policy
from tests.paths import GALLERY

FILES = sorted(file for file in GALLERY.glob("*.yaml") if file.name != "communities.yaml")


def test_every_mapping_passes_its_tests() -> None:
    assert [str(problem) for problem in registry.check([GALLERY], Policy())] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_mapping_has_all_facts_about_its_sender(file: Path) -> None:
    data = document_from_file(file)[0].data
    first = file.read_text().splitlines()[0]

    assert first == "# yaml-language-server: $schema=../../docs/mapping.schema.json"
    assert data["about"].keys() == AboutSection().fields.keys()
    assert data["description"].endswith(".")
    assert data["docs"].startswith("https://")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_mapping_finds_its_community_in_the_webhook(file: Path) -> None:
    """Check that no mapping has a fixed community, so that one URL can serve many communities."""
    said = document_from_file(file)[0].data["community"]

    assert "always" not in said


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_mapping_has_two_samples(file: Path) -> None:
    payloads = [test["payload"] for test in document_from_file(file)[0].data["tests"]]
    files = {one for one in payloads if isinstance(one, str)}
    bodies = {(GALLERY / one).read_bytes() for one in files}

    assert len(bodies) >= 2


def test_every_sample_belongs_to_a_mapping() -> None:
    said = "".join(file.read_text() for file in FILES)

    assert [one.name for one in (GALLERY / "samples").iterdir() if one.name not in said] == []


def test_the_content_of_a_sender_is_shown() -> None:
    holds = {entry.name: entry.holds for entry in entries(GALLERY, Policy())}

    assert {name for name in holds if holds[name] == "ids only"} == {"acuity", "facebook-leadgen"}
    assert (holds["google-ads"], holds["calendly"]) == ("lead only", "bookable")


def test_a_lead_without_a_time_is_held_only_if_a_guest_card_would_be_wrong() -> None:
    becomes = {entry.name: entry.without_time for entry in entries(GALLERY, Policy())}

    ids_only = {"acuity", "facebook-leadgen"}
    a_tour_stands_there = {"cal-com", "calendly", "calendly-v1", "showmojo", "zoom-scheduler"}
    may_be_no_renter = {"elevenlabs", "intercom", "retell-calls", "twilio-sms"}
    held = ids_only | a_tour_stands_there | may_be_no_renter
    assert {name for name in becomes if becomes[name] != "guest card"} == held
    assert {becomes[name] for name in held} == {"held"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_mapping_for_guest_cards_tests_one(file: Path) -> None:
    data = document_from_file(file)[0].data
    shows_one = any({"prospect", "prospect_some"} & test.keys() for test in data["tests"])

    assert shows_one is (data.get("without_time") == "prospect")


@pytest.mark.parametrize("kind", ["lead-mail", "renter-mail"])
def test_all_inbound_services_read_the_same_labels(kind: str) -> None:
    labels = []
    for file in (one for one in FILES if one.stem.startswith(kind)):
        read = document_from_file(file)[0].data["read"]
        words = [one.get("line") or one.get("after") or one.get("before") for one in read.values()]
        headers = ("Message-ID:", "Reply-To:", "Auto-Submitted:", "<", "@")
        labels.append([one for one in words if one and one not in headers])

    assert len(labels) == 4
    assert labels == labels[:1] * 4


@pytest.mark.parametrize(
    ("name", "sample", "sender"),
    [
        ("lead-mail-mailgun", "lead-mail-mailgun.form", "lead@portal.example.com"),
        ("renter-mail-postmark", "renter-mail-postmark-zillow.json", "convo.zillow.example.com"),
    ],
)
def test_each_sender_of_emails_can_have_its_own_attribution(
    tmp_path: Path, name: str, sample: str, sender: str
) -> None:
    folder = shutil.copytree(GALLERY, tmp_path / "mappings")
    file = folder / "communities.yaml"
    table = f"    {name}: {{ {sender}: att_sender, '*': att_other }}"
    file.write_text(re.sub(rf"(?m)^    {name}: att_\w+$", table, file.read_text()))
    source = registry.load_one(folder, name, Policy(), strict=False)

    body = (GALLERY / "samples" / sample).read_bytes()
    kind = content_type_of(Path(sample), body)
    mapped = source.map(
        WebhookRequest.from_body(body, content_type=kind),
        now=dt.datetime(2026, 3, 2, tzinfo=dt.UTC),
    )
    assert [item.appointment["attribution_id"] for item in mapped.items] == ["att_sender"]


def test_the_gallery_is_not_in_use() -> None:
    in_use = registry.load(GALLERY.parent, Policy())

    assert {entry.name for entry in entries(GALLERY, Policy())}.isdisjoint(in_use)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_mapping_that_knows_cancellations_tests_one(file: Path) -> None:
    data = document_from_file(file)[0].data
    assert any("cancellation" in test for test in data["tests"]) is ("cancellation" in data)
