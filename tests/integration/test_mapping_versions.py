"""Test activating edited mappings from the console, with real PostgreSQL."""

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import NotPossible
from adapter.mapping.problems import MappingErrors
from adapter.mapping.registry import check_text, load
from adapter.models import BookingState
from adapter.operations.mapping_versions import MappingVersions, patch_of
from adapter.settings import Policy
from adapter.store import Database
from tests.harness import Harness, tour
from tests.integration.test_community_pages import Visit, visit  # noqa: F401 - a fixture
from tests.paths import MAPPINGS
from tests.sandbox_client import SandboxClient
from tests.shell import Shell

HELD, PENDING = BookingState.HELD, BookingState.PENDING
FILE = (MAPPINGS / "rentfeed.yaml").read_text()
#: The sender has renamed tour.date to tour.day.
RENAMED = tour(tour={"day": "03/14/2026", "time": "2:30 PM", "type": "IN_PERSON"})
DAY = "    date: [tour.date, tour.day]\n"
WITH_DAY = FILE.replace("    date: tour.date\n", DAY)


@pytest.fixture
def versions(harness: Harness) -> MappingVersions:
    return versions_of(harness)


def versions_of(harness: Harness, **changes: Any) -> MappingVersions:
    live = harness.pipeline.live
    return MappingVersions(
        harness.settings, harness.pipeline.store, live, harness.clock, by="ana", **changes
    )


def anonymous_test(visitor: Any, event_id: int, mapping: str) -> str:
    """Return the mapping with the event added as a test, as the page shows it."""
    page = visitor.post(
        "/try/sample", source="rentfeed", mapping=mapping, event=str(event_id)
    ).get_data(as_text=True)
    area = page.partition('<textarea id="mapping"')[2].partition(">\n")[2].partition("</textarea>")
    return html.unescape(area[0])


def test_a_message_that_is_nested_too_deeply_is_no_sample(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    deep: Any = "end"
    for _ in range(900):
        deep = {"a": deep}
    (booking,) = harness.mapped("rentfeed", tour() | {"extra": deep})
    page = visit().post("/try/sample", source="rentfeed", mapping=FILE, event=str(booking.event_id))
    assert page.status_code == 200


def test_a_unit_number_in_the_notes_stays_a_unit_number_in_a_sample(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    listing = tour()["listing"] | {"unit": "3C"}
    (booking,) = harness.mapped("rentfeed", tour(listing=listing, comments="Call Bob"))
    sample = anonymous_test(visit(), booking.event_id, FILE).removeprefix(FILE)
    assert "unit: 2B" in sample
    assert "3C" not in sample
    assert "Bob" not in sample


def test_a_mapping_that_reads_what_no_sample_has_is_refused(versions: MappingVersions) -> None:
    text = FILE.replace("    date: tour.date\n", "    date: tour.day\n")
    with pytest.raises(MappingErrors, match=r"'tour\.day' is not in any sample"):
        versions.publish("rentfeed", text, "renamed", seen=0)
    as_fallback = versions.check("rentfeed", WITH_DAY)
    assert not as_fallback.errors
    assert ["tour.day" in one.message for one in as_fallback.problems] == [True]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dedupe: leadId", "dedupe: leadID"),
        ("IN_PERSON: in_person", "IN_PERSON: person"),
        ("secrets: [RENTFEED_SECRET]", "secrets: [real-secret-value]"),
        ("rent_minimum_in_cents", "rent_minimum"),
    ],
)
def test_the_checks_are_those_of_adapter_check(
    versions: MappingVersions, old: str, new: str
) -> None:
    assert old in FILE
    text = FILE.replace(old, new)
    expected = check_text(MAPPINGS, "rentfeed", text, Policy())
    assert expected
    assert list(versions.check("rentfeed", text).problems) == expected


def test_the_signature_is_only_changed_in_the_file(versions: MappingVersions) -> None:
    text = FILE.replace("X-RentFeed-Signature", "X-Other")
    [problem] = versions.check("rentfeed", text).errors
    assert problem.field == "signature"
    assert "in the file" in problem.message


def test_a_renamed_field_is_fixed_with_its_sample_put_in_place_and_rolled_back(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    [held] = harness.mapped("rentfeed", RENAMED)
    assert held.state is HELD
    ana = visit()
    text = anonymous_test(ana, held.event_id, WITH_DAY)
    form = {"source": "rentfeed", "mapping": text, "reason": "RentFeed renamed the date"}
    assert "All checks passed" in ana.post("/try/check", **form).text
    assert ana.post("/try/put", seen="0", **form).status_code == 302
    assert "Version 1 is in use" in ana.page("/try?source=rentfeed")

    harness.pipeline.refresh_sources()  # the worker
    [booked] = harness.mapped("rentfeed", RENAMED | {"leadId": "RF-2"})
    assert booked.starts_at is not None

    # A user who began to edit earlier does not undo it by accident.
    late = ana.post("/try/put", seen="0", **form | {"mapping": text + "# late\n"})
    assert late.status_code == 409
    assert "Someone else just published version 1" in late.text

    assert ana.post("/try/roll-back", source="rentfeed", number="0", seen="1").status_code == 302
    page = ana.page("/try?source=rentfeed")
    assert "The file is in use" in page
    assert "2 of the latest 2 messages could be booked before and can't be now." in html.unescape(
        page
    )
    harness.pipeline.refresh_sources()
    assert harness.mapped("rentfeed", RENAMED | {"leadId": "RF-3"})[0].state is HELD
    assert ana.post("/try/roll-back", source="rentfeed", number="1", seen="2").status_code == 302
    assert "Version 3 is in use" in ana.page("/try?source=rentfeed")


def test_a_field_that_only_the_chosen_message_has_offers_to_save_it_as_a_sample(
    harness: Harness,
    visit: Visit,  # noqa: F811
) -> None:
    [held] = harness.mapped("rentfeed", RENAMED)
    [other] = harness.mapped("rentfeed", tour(leadId="RF-9"))
    ana = visit()
    offer = "This field is new. Save a message with this field as a sample."
    page = ana.page(f"/try?source=rentfeed&event={held.event_id}")
    assert re.search(r"Dana Okafor, just now, needs review</option>", page)
    form = {"source": "rentfeed", "mapping": WITH_DAY}
    for path in ("/try/check", "/try/result"):
        page = html.unescape(ana.post(path, event=str(held.event_id), **form).text)
        assert "is new: this message has it, but no sample does" in page
        assert offer in page
        assert "did you mean" not in page
    page = html.unescape(ana.post("/try/check", event=str(other.event_id), **form).text)
    assert "is not in any sample payload" in page
    assert offer not in page


def test_a_sample_contains_no_personal_data(harness: Harness, visit: Visit) -> None:  # noqa: F811
    person = {
        "name": "Wilhelmina Stone",
        "email": "wil@stone.example",
        "mobile": "720-555-0199",
        "phone": "",
        "ssn": "078-05-1120",
    }
    payload = tour(contact=person, comments="Wilhelmina here, call 720-555-0199", extra="at home")
    [booking] = harness.mapped("rentfeed", payload)
    text = anonymous_test(visit(), booking.event_id, FILE)
    added = text.removeprefix(FILE.rstrip("\n"))
    for personal in ("Wilhelmina", "Stone", "stone", "0199", "078-05", "at home"):
        assert personal not in added
    assert "dana.okafor@example.com" in added
    assert not [one for one in check_text(MAPPINGS, "rentfeed", text, Policy()) if not one.warning]


def test_a_reader_checks_but_does_not_publish(visit: Visit) -> None:  # noqa: F811
    rob = visit("rob")
    form = {"source": "rentfeed", "mapping": FILE + "# x\n", "reason": "x", "seen": "0"}
    assert "All checks passed" in rob.post("/try/check", **form).text
    assert rob.post("/try/put", **form).status_code == 403
    assert rob.post("/try/roll-back", source="rentfeed", number="0", seen="0").status_code == 403


def test_where_mappings_come_from_files_a_patch_is_offered(visit: Visit) -> None:  # noqa: F811
    ana = visit(mappings_from_files_only=True)
    edited = FILE.replace("comments", "remarks")
    form = {"source": "rentfeed", "mapping": edited, "reason": "x", "seen": "0"}
    answer = ana.post("/try/put", **form)
    assert answer.status_code == 409
    assert "Copy the patch" in answer.text
    assert "b/mappings/rentfeed.yaml" in ana.post("/try/result", **form).text


def test_the_patch_applies(tmp_path: Path) -> None:
    shutil.copytree(MAPPINGS, tmp_path / "mappings")
    patch = patch_of(FILE, WITH_DAY, "mappings/rentfeed.yaml")
    subprocess.run(["git", "apply", "-"], input=patch.encode(), cwd=tmp_path, check=True)
    assert (tmp_path / "mappings/rentfeed.yaml").read_text() == WITH_DAY
    assert patch_of(FILE, FILE, "x") == ""


def test_what_is_invalid_is_refused(versions: MappingVersions) -> None:
    with pytest.raises(NotPossible, match="Nothing has changed"):
        versions.publish("rentfeed", FILE, "x", seen=0)
    with pytest.raises(NotPossible, match="reason"):
        versions.publish("rentfeed", FILE + "# x\n", " ", seen=0)
    with pytest.raises(NotPossible, match="no version 7"):
        versions.roll_back("rentfeed", 7, "x", seen=0)
    with pytest.raises(NotPossible, match="no mapping"):
        versions.check("nobody", FILE)


def test_a_changed_file_is_used_and_said(
    database: str, upstream: SandboxClient, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(MAPPINGS, tmp_path / "mappings"))
    with Database(database, size=2) as store:
        harness = Harness(store, upstream, Policy(), folder)
        versions = versions_of(harness)
        versions.publish("rentfeed", FILE + "# version\n", "x", seen=0)
        assert versions.status("rentfeed") == "Version 1 is in use instead of the file."
        (folder / "rentfeed.yaml").write_text(FILE + "# deployed\n")
        harness.pipeline.sources = load(folder, Policy())
        assert harness.pipeline.sources["rentfeed"].text.endswith("# deployed\n")
        assert "so the file is in use" in versions.status("rentfeed")


def test_commands_list_show_roll_back_and_pull(
    shell: Shell, versions: MappingVersions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(MAPPINGS, tmp_path / "mappings"))
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(folder))
    versions.publish("rentfeed", FILE + "# one\n", "first", seen=0)
    versions.publish("rentfeed", FILE + "# two\n", "second", seen=1)
    listed = {one["source"]: one for one in shell.json("mappings")["mappings"]}
    assert listed["rentfeed"]["status"] == "Version 2 is in use instead of the file."
    assert listed["website"]["status"] == "The file is in use."
    shown = shell.json("mappings", "show", "rentfeed")["versions"]
    assert [(one["number"], one["reason"]) for one in shown] == [(2, "second"), (1, "first")]
    assert shell.json("mappings", "show", "rentfeed", "--version", "1")["text"] == FILE + "# one\n"

    assert shell.json("mappings", "rollback", "rentfeed", "1", "--reason", "x")["number"] == 3
    assert shell.json("mappings", "pull")["files"] == [str(folder / "rentfeed.yaml")]
    assert (folder / "rentfeed.yaml").read_text() == FILE + "# one\n"
    listed = {one["source"]: one for one in shell.json("mappings")["mappings"]}
    assert "so the file is in use" in listed["rentfeed"]["status"]
    assert shell.json("mappings", "pull")["files"] == []
