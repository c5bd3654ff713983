"""Test the commands ``sources add`` and ``sources gallery``."""

import json
import shutil
from pathlib import Path

import click.testing
import pytest

from adapter.cli import commands
from adapter.exceptions import AdapterError
from adapter.mapping import registry
from adapter.settings import Policy
from tests.paths import ROOT

FILES = (ROOT / "mappings" / "gallery").glob("*.yaml")
SENDERS = sorted(file.stem for file in FILES if file.stem != "communities")
#: Senders whose leads without a tour time become guest cards.
CARD_MAKERS = [
    name
    for name in SENDERS
    if "\nwithout_time: prospect" in (ROOT / "mappings/gallery" / f"{name}.yaml").read_text()
]
KNOWN = """\
maple-court:
  integration_id: int_1
  community_id: com_1
  timezone: America/Denver
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a deployment's mappings without a gallery, so that the bundled one is used."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "communities.yaml").write_text(KNOWN)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(mappings))
    return mappings


def run(*arguments: str) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(commands, ["sources", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def problems(folder: Path) -> list[str]:
    return [str(problem) for problem in registry.check([folder], Policy())]


def paste(folder: Path, entry: str, **values: str) -> None:
    """Add the printed entry to communities.yaml, with its placeholders filled in."""
    placeholders = {
        "community-name": "elm-row",
        "INTEGRATION_ID": "int_1",
        "COMMUNITY_ID": "com_3",
        "TIME_ZONE": "America/Chicago",
        "ATTRIBUTION_ID": "att_8",
        "VALUE": "20999",
    }
    for placeholder, value in (placeholders | values).items():
        entry = entry.replace(placeholder, value)
    with (folder / "communities.yaml").open("a") as file:
        file.write(entry)


def test_the_remaining_steps_are_printed(folder: Path) -> None:
    output = run("add", "typeform").output

    assert f"wrote {folder / 'samples/typeform.communities.yaml'}\n" in output
    assert f"wrote {folder / 'typeform.yaml'}\n" in output
    assert f"Add each community that typeform serves to {folder / 'communities.yaml'}:\n" in output
    assert "known_as: { typeform: [VALUE] }   # as sent in form_response.hidden" in output
    assert "Set TYPEFORM_SECRET in the environment" in output
    assert "Give the sender this URL: http://127.0.0.1:8000/hooks/typeform (set ADAPTER_P" in output
    assert (folder / "communities.yaml").read_text() == KNOWN
    assert problems(folder) == []


def test_a_program_reads_it_as_json(folder: Path) -> None:
    result = json.loads(run("add", "typeform", "--as", "tours", "--json").output)

    entry = result.pop("communities_yaml")
    assert result | {"switch_on": ""} == {
        "source": "tours",
        "mapping": str(folder / "tours.yaml"),
        "beside": [
            str(folder / "samples/typeform-tour.json"),
            str(folder / "samples/typeform-no-time.json"),
            str(folder / "samples/tours.communities.yaml"),
        ],
        "variables": ["TYPEFORM_SECRET"],
        "address": "http://127.0.0.1:8000/hooks/tours",
        "without_time": "prospect",
        "switch_on": "",
    }
    paste(folder, entry)
    elm_row = registry.load(folder, Policy())["tours"].communities["elm-row"]
    assert elm_row.known_as["tours"] == ("20999",)
    assert elm_row.attributions["tours"] == "att_8"


def test_a_placeholder_that_was_forgotten_is_found(folder: Path) -> None:
    entry = json.loads(run("add", "typeform", "--json").output)["communities_yaml"]
    paste(folder, entry, TIME_ZONE="TIME_ZONE")

    assert any("elm-row.timezone: 'TIME_ZONE'" in line for line in problems(folder))


def test_secrets_in_urls_and_handshakes_are_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_PUBLIC_URL", "https://leads.example.com")
    output = run("add", "jotform").output
    assert "Give the sender this URL: https://leads.example.com/hooks/jotform?token=…\n" in output
    assert "Set JOTFORM_TOKEN in the environment" in output

    output = run("add", "facebook-leadgen", "--json").output
    assert json.loads(output)["variables"] == ["META_APP_SECRET", "META_VERIFY_TOKEN"]


def test_the_same_sender_twice_under_two_names(folder: Path) -> None:
    assert run("add", "typeform").exit_code == 0
    assert run("add", "typeform", "--as", "second").exit_code == 0

    assert sorted(registry.load(folder, Policy())) == ["second", "typeform"]


def test_the_tests_of_a_copy_find_a_mistake_made_in_it(folder: Path) -> None:
    run("add", "typeform")
    file = folder / "typeform.yaml"
    file.write_text(file.read_text().replace("h:mm A }", "H:mm }"))
    assert any("starts_at" in line for line in problems(folder))


def test_a_mistake_among_the_communities_of_the_samples_is_reported(folder: Path) -> None:
    run("add", "typeform")
    file = folder / "samples/typeform.communities.yaml"
    file.write_text(file.read_text().replace("America/Denver", "Denver"))
    (problem,) = problems(folder)
    assert problem.startswith(f"{file}:")
    assert "maple-court.timezone: 'Denver': not the name of a time zone" in problem


def test_a_real_body_may_be_a_test_of_the_copy_too(folder: Path) -> None:
    paste(folder, json.loads(run("add", "typeform", "--json").output)["communities_yaml"])
    file = folder / "typeform.yaml"
    file.write_text(
        file.read_text()
        + "\n  - name: one of ours\n    payload: samples/typeform-tour.json\n"
        + "    change: { form_response.hidden.community: 20999 }\n"
        + "    expect_some: { community_id: com_3, attribution_id: att_8 }\n"
    )
    assert problems(folder) == []


@pytest.mark.parametrize("sender", SENDERS)
def test_every_sender_of_the_gallery_can_be_added(sender: str, folder: Path) -> None:
    result = run("add", sender, "--as", f"our-{sender}", "--json")
    paste(folder, json.loads(result.output)["communities_yaml"])

    assert problems(folder) == []


@pytest.mark.parametrize("sender", [*CARD_MAKERS])
def test_leads_without_a_time_are_held_if_that_is_chosen(sender: str, folder: Path) -> None:
    """Check that the tests in the copy expect held leads too."""
    result = json.loads(run("add", sender, "--without-time", "hold", "--json").output)
    assert result["without_time"] == "hold"
    assert "without_time: hold\n" in (folder / f"{sender}.yaml").read_text()
    assert problems(folder) == []


def test_the_choice_is_a_step_and_is_refused_where_there_is_none() -> None:
    assert "Leads without a tour time: each becomes a guest card" in run("add", "typeform").output
    assert "Leads without" not in run("add", "calendly").output
    refused = run("add", "showmojo", "--without-time", "prospect")
    assert refused.exit_code == 2
    assert "leads without a tour time are held" in refused.output


REFUSED = [
    (["add"], 2, "Missing argument 'SENDER'"),
    (["add", "typefrom"], 1, "the gallery has no 'typefrom'; did you mean 'typeform'? `"),
    (["add", "zzzz"], 1, "no 'zzzz'; `adapter sources gallery` lists all senders"),
    (["add", "typeform", "--as", "Tours"], 2, "a to z"),
    (["add", "typeform", "--as", "communities"], 2, "a to z"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED, ids=lambda part: str(part)[:40])
def test_wrong_arguments_are_refused_and_nothing_is_written(
    arguments: list[str], code: int, message: str, folder: Path
) -> None:
    try:
        result = run(*arguments)
        outcome = (result.exit_code, result.output)
    except AdapterError as exc:
        outcome = (1, str(exc))

    assert outcome[0] == code
    assert message in outcome[1]
    assert [file.name for file in folder.rglob("*")] == ["communities.yaml"]


@pytest.mark.parametrize("name", ["typeform.yaml", "samples/typeform-tour.json"])
def test_nothing_is_overwritten(name: str, folder: Path) -> None:
    (folder / "samples").mkdir()
    (folder / name).write_text("mine")

    with pytest.raises(AdapterError, match="already exists"):
        run("add", "typeform")
    assert (folder / name).read_text() == "mine"
    assert len([file for file in folder.rglob("*") if file.is_file()]) == 2


def test_the_gallery_is_listed() -> None:
    output = run("gallery").output
    assert all(f"\n{sender} " in output for sender in SENDERS)
    senders = json.loads(run("gallery", "--json").output)["gallery"]
    assert sorted(sender["name"] for sender in senders) == SENDERS


def test_a_gallery_beside_the_mappings_comes_first(folder: Path) -> None:
    shutil.copytree(ROOT / "mappings" / "gallery", folder / "gallery")
    for sender in SENDERS:
        if sender != "typeform":
            (folder / "gallery" / f"{sender}.yaml").unlink()

    senders = json.loads(run("gallery", "--json").output)["gallery"]
    assert [sender["name"] for sender in senders] == ["typeform"]


def test_capitals_and_the_usual_choice_are_accepted(folder: Path) -> None:
    assert run("add", "Calendly", "--without-time", "hold").exit_code == 0
    assert problems(folder) == []
    assert (folder / "calendly.yaml").exists()


@pytest.mark.parametrize("sender", ["typeform", "manychat"])
def test_renters_can_be_invited_to_choose_a_time(folder: Path, sender: str) -> None:
    output = run("add", sender, "--without-time", "invite").output
    assert "the renter gets a link to choose a time. This needs ADAPTER_PUBLIC_URL, and" in output
    assert "tour_hours or check_availability for each community" in output
    assert "\nwithout_time: invite" in (folder / f"{sender}.yaml").read_text()
    assert problems(folder) == []
    _, _, entry = output.partition("communities.yaml:\n\n")
    paste(folder, entry.partition("\nFor a community")[0])
    elm_row = registry.load(folder, Policy())[sender].communities["elm-row"]
    assert elm_row.tour_hours


def test_only_what_is_missing_is_said_about_invitations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_PUBLIC_URL", "https://leads.example.com")
    output = run("add", "typeform", "--without-time", "invite").output
    assert "This needs tour_hours or check_availability for each community." in output
    refused = run("add", "showmojo", "--without-time", "invite")
    assert refused.exit_code == 2
    assert "this sender's leads without a tour time are held" in refused.output


def test_the_step_to_hold_leads_works_after_the_mapping_is_deleted(folder: Path) -> None:
    file = folder / "jotform.yaml"
    assert f"To hold them, delete {file} and repeat" in run("add", "jotform").output
    file.unlink()
    assert run("add", "jotform", "--without-time", "hold").exit_code == 0
    assert problems(folder) == []
