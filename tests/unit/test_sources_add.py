"""A sender out of the gallery into the mappings, as a shell sees it."""

import difflib
import json
import shutil
from pathlib import Path
from typing import Any

import click.testing
import pytest

import adapter
from adapter.cli import commands
from adapter.exceptions import AdapterError
from adapter.mapping import registry
from adapter.mapping.authoring.yaml_edit import appended, inserted, replaced
from adapter.mapping.loader.yaml_document import document_from_file
from adapter.settings import Policy
from tests.paths import ROOT

FILES = (ROOT / "mappings" / "gallery").glob("*.yaml")
SENDERS = sorted(file.stem for file in FILES if file.stem != "communities")
KNOWN = """\
# Our communities. Ask Noor before you change one.

maple-court:               # the old mill
  integration_id: int_1
  community_id: com_1
  timezone: America/Denver
  attributions: { rentfeed: att_1 }   # one each
  known_as:
    rentfeed: [20417, Maple Court]    # the long name too

  # closed in 2027
harbor-flats:
  integration_id: int_1
  community_id: com_2
  timezone: America/Los_Angeles
"""
MAPLE = "maple-court known_as=maple known_as='Maple, Court' attribution_id=att_7"
ELM = (
    "elm-row known_as=20999 attribution_id=att_8 "
    "integration_id=int_1 community_id=com_3 timezone=America/Chicago"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mappings of a deployment: no gallery beside them, so the project's own is used."""
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "communities.yaml").write_text(KNOWN)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(mappings))
    return mappings


def run(*arguments: str, answers: str | None = None) -> click.testing.Result:
    result = click.testing.CliRunner().invoke(commands, ["sources", *arguments], input=answers)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def added(folder: Path) -> list[str]:
    """The lines that communities.yaml has gained; every other line stands as it was."""
    now = (folder / "communities.yaml").read_text().splitlines()
    changes = list(difflib.ndiff(KNOWN.splitlines(), now))
    assert [line for line in changes if line.startswith("-")] == []
    return [line[2:] for line in changes if line.startswith("+")]


def problems(folder: Path) -> list[str]:
    return [str(problem) for problem in registry.check([folder], Policy())]


def test_a_person_is_asked_for_what_only_they_know(folder: Path) -> None:
    answers = [
        "harbor-flats, elm-row",
        "harbor",
        "att_7",
        "int_1",
        "com_3",
        "Elm Street",  # no time zone: asked again
        "America/Chicago",
        "elm, Elm Row",
        "att_8",
        "hunter2",  # no variable: asked again
        "TOUR_FORM_SECRET",
    ]
    result = run("add", "typeform", answers="\n".join(answers) + "\n")

    assert result.exit_code == 0, result.output
    assert "communities so far: maple-court, harbor-flats" in result.output
    assert "harbor-flats: what typeform calls it, in form_response.hidden.community" in (
        result.output
    )
    assert "'Elm Street': not the name of a time zone" in result.output
    assert "Give the sender this address: http://127.0.0.1:8000/hooks/typeform" in result.output
    assert "ADAPTER_PUBLIC_URL is not set" in result.output
    assert "Fill TOUR_FORM_SECRET in the environment" in result.output
    assert added(folder) == [
        "  attributions: { typeform: att_7 }",
        "  known_as: { typeform: [harbor] }",
        "",
        "elm-row:",
        "  integration_id: int_1",
        "  community_id: com_3",
        "  timezone: America/Chicago",
        "  attributions: { typeform: att_8 }",
        "  known_as: { typeform: [elm, Elm Row] }",
    ]
    source = registry.load(folder, Policy())["typeform"]
    assert source.secrets == ("TOUR_FORM_SECRET",)
    assert problems(folder) == []


def test_a_script_says_it_by_options(folder: Path) -> None:
    result = run(
        *("add", "typeform", "--as", "tours", "--secret", "TOURS", "--json"),
        *("--community", MAPLE, "--community", ELM),
    )

    told: dict[str, Any] = json.loads(result.output)
    assert told | {"switch_on": ""} == {
        "source": "tours",
        "mapping": str(folder / "tours.yaml"),
        "beside": [
            str(folder / "samples/typeform-tour.json"),
            str(folder / "samples/tours.communities.yaml"),
        ],
        "communities": ["maple-court", "elm-row"],
        "variables": ["TOURS"],
        "address": "http://127.0.0.1:8000/hooks/tours",
        "switch_on": "",
    }
    data = document_from_file(folder / "communities.yaml")[0].data
    assert data["maple-court"]["attributions"] == {"rentfeed": "att_1", "tours": "att_7"}
    assert data["maple-court"]["known_as"]["tours"] == ["maple", "Maple, Court"]
    assert data["elm-row"]["known_as"] == {"tours": ["20999"]}
    assert "{ rentfeed: att_1, tours: att_7 }   # one each" in (
        (folder / "communities.yaml").read_text()
    )
    assert problems(folder) == []


def test_everything_that_must_be_filled_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTER_PUBLIC_URL", "https://leads.example.com")
    told = run("add", "jotform", "--community", MAPLE).output
    assert "Give the sender this address: https://leads.example.com/hooks/jotform?token=…\n" in told
    assert "Fill JOTFORM_TOKEN in the environment" in told

    told = run("add", "facebook-leadgen", "--community", MAPLE, "--json").output
    assert json.loads(told)["variables"] == ["META_APP_SECRET", "META_VERIFY_TOKEN"]


def test_the_same_sender_twice_under_two_names(folder: Path) -> None:
    assert run("add", "typeform", "--community", MAPLE).exit_code == 0
    assert run("add", "typeform", "--as", "second", "--community", MAPLE).exit_code == 0

    loaded = registry.load(folder, Policy())
    assert sorted(loaded) == ["second", "typeform"]
    maple = loaded["second"].communities["maple-court"]
    assert maple.known_as["second"] == maple.known_as["typeform"]


def test_the_first_source_of_a_deployment_makes_the_file(folder: Path) -> None:
    (folder / "communities.yaml").write_text("# nothing yet\n")
    assert run("add", "typeform", "--community", ELM).exit_code == 0
    assert (folder / "communities.yaml").read_text().startswith("# nothing yet\nelm-row:\n")

    (folder / "communities.yaml").unlink()
    assert run("add", "typeform", "--as", "second", "--community", ELM).exit_code == 0
    assert run("add", "typeform", "--as", "third", "--community", ELM).exit_code == 2
    known = "elm-row known_as=1 attribution_id=att_8"
    assert run("add", "typeform", "--as", "third", "--community", known).exit_code == 0


def test_the_tests_of_a_copy_find_a_mistake_made_in_it(folder: Path) -> None:
    run("add", "typeform", "--community", MAPLE)
    file = folder / "typeform.yaml"
    file.write_text(file.read_text().replace("h:mm A }", "H:mm }"))
    assert any("starts_at" in line for line in problems(folder))


def test_a_mistake_among_the_communities_of_the_samples_is_told(folder: Path) -> None:
    run("add", "typeform", "--community", MAPLE)
    file = folder / "samples/typeform.communities.yaml"
    file.write_text(file.read_text().replace("America/Denver", "Denver"))
    (told,) = problems(folder)
    assert told.startswith(f"{file}:")
    assert "maple-court.timezone: 'Denver': not the name of a time zone" in told


def test_a_real_body_may_be_a_test_of_the_copy_too(folder: Path) -> None:
    run("add", "typeform", "--community", MAPLE)
    file = folder / "typeform.yaml"
    file.write_text(
        file.read_text()
        + "\n  - name: one of ours\n    payload: samples/typeform-tour.json\n"
        + "    change: { form_response.hidden.community: maple }\n"
        + "    expect_some: { community_id: com_1, attribution_id: att_7 }\n"
    )
    assert problems(folder) == []


@pytest.mark.parametrize("sender", SENDERS)
def test_every_sender_of_the_gallery_can_be_added(sender: str, folder: Path) -> None:
    result = run("add", sender, "--as", f"our-{sender}", "--community", MAPLE)

    assert result.exit_code == 0, result.output
    assert problems(folder) == []


REFUSED = [
    (["add"], 2, "which sender?"),
    (["add", "typefrom"], 1, "has no mapping typefrom.yaml; use one of"),
    (["add", "typeform", "--json"], 2, "give each community by --community"),
    (["add", "typeform", "--as", "Tours"], 2, "a to z"),
    (["add", "typeform", "--as", "communities"], 2, "a to z"),
    (["add", "typeform", "--community", MAPLE, "--secret", "hunter2"], 2, "A to Z"),
    (["add", "typeform", "--community", "elm-row known_as=1"], 2, "elm-row lacks attribution_id"),
    (["add", "typeform", "--community", "maple-court known_as=1"], 2, "lacks attribution_id"),
    (["add", "typeform", "--community", f"{MAPLE} timezone=UTC"], 2, "takes no timezone"),
    (["add", "typeform", "--community", f"{MAPLE} attribution_id=b"], 2, "two of attribution_id"),
    (["add", "typeform", "--community", MAPLE, "--community", MAPLE], 2, "given twice"),
    (["add", "typeform", "--community", ELM.replace("America/Chicago", "Mars")], 2, "time zone"),
    (["add", "typeform", "--community", ELM.replace("elm-row", "Elm")], 2, "a to z"),
    (["add", "typeform", "--community", "'"], 2, "names no community"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED, ids=lambda said: str(said)[:40])
def test_what_is_wrong_is_refused_and_nothing_written(
    arguments: list[str], code: int, words: str, folder: Path
) -> None:
    try:
        result = run(*arguments)
        told = (result.exit_code, result.output)
    except AdapterError as exc:
        told = (1, str(exc))

    assert told[0] == code
    assert words in told[1]
    assert "hunter2" not in told[1]
    assert [file.name for file in folder.rglob("*")] == ["communities.yaml"]
    assert (folder / "communities.yaml").read_text() == KNOWN


@pytest.mark.parametrize("name", ["typeform.yaml", "samples/typeform-tour.json"])
def test_nothing_is_written_over(name: str, folder: Path) -> None:
    (folder / "samples").mkdir()
    (folder / name).write_text("mine")

    with pytest.raises(AdapterError, match="exists already"):
        run("add", "typeform", "--community", MAPLE)
    assert (folder / name).read_text() == "mine"
    assert (folder / "communities.yaml").read_text() == KNOWN


def test_a_broken_file_of_communities_is_mended_first(folder: Path) -> None:
    (folder / "communities.yaml").write_text(KNOWN.replace("America/Denver", "Denver"))

    with pytest.raises(AdapterError, match=r"communities\.yaml:6:3: maple-court\.timezone"):
        run("add", "typeform", "--community", MAPLE)


def test_a_name_that_belongs_to_another_community_is_refused(folder: Path) -> None:
    run("add", "typeform", "--community", MAPLE)
    (folder / "typeform.yaml").unlink()
    harbor = "harbor-flats known_as=maple attribution_id=att_9"

    with pytest.raises(AdapterError, match="'maple' is a name of maple-court already"):
        run("add", "typeform", "--community", harbor)
    assert not (folder / "typeform.yaml").exists()


def test_a_file_that_cannot_be_extended_is_left_alone(folder: Path) -> None:
    flow = '{"maple-court": {integration_id: a, community_id: b, timezone: America/Denver}}'
    (folder / "communities.yaml").write_text(flow)

    with pytest.raises(AdapterError, match="cannot be extended by a program: add elm-row by hand"):
        run("add", "typeform", "--community", ELM)
    assert (folder / "communities.yaml").read_text() == flow
    assert run("add", "typeform", "--community", MAPLE).exit_code == 0


def test_the_gallery_is_listed() -> None:
    for arguments in (["gallery"], ["add", "--list"]):
        shown = run(*arguments).output
        assert all(f"\n{sender} " in shown for sender in SENDERS)
    told = json.loads(run("gallery", "--json").output)["gallery"]
    assert sorted(one["name"] for one in told) == SENDERS


def test_a_gallery_beside_the_mappings_is_taken_first(folder: Path) -> None:
    shutil.copytree(ROOT / "mappings" / "gallery", folder / "gallery")
    for sender in SENDERS:
        if sender != "typeform":
            (folder / "gallery" / f"{sender}.yaml").unlink()

    told = json.loads(run("gallery", "--json").output)["gallery"]
    assert [one["name"] for one in told] == ["typeform"]


def test_a_missing_gallery_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "__file__", str(folder.parent / "site/adapter/__init__.py"))

    with pytest.raises(AdapterError, match="there is no gallery at"):
        run("gallery")


@pytest.mark.parametrize(
    ("text", "where", "made"),
    [
        ("a:\n    x: 1 # why\n\nb: 2", ("a", "t"), "a:\n    x: 1 # why\n    t: v\n\nb: 2"),
        ("a:\n  x: {}\n", ("a", "x", "t"), "a:\n  x: { t: v }\n"),
        ("a:\n  x: {y: 1}  # z\n", ("a", "x", "t"), "a:\n  x: {y: 1, t: v}  # z\n"),
        ("a: {x: [1,\n  2]}\n", ("a", "t"), "a: {x: [1,\n  2], t: v}\n"),
        ("a:\n  x:\n  - 1\n  - 2\n", ("a", "t"), "a:\n  x:\n  - 1\n  - 2\n  t: v\n"),
        ("a:\n  x: 1", ("a", "y", "t"), "a:\n  x: 1\n  y: { t: v }\n"),
        ("a:\r\n  x: 1\r\nb: 2\r\n", ("a", "t"), "a:\r\n  x: 1\r\n  t: v\r\nb: 2\r\n"),
    ],
)
def test_a_key_is_put_where_it_belongs(text: str, where: tuple[str, ...], made: str) -> None:
    assert inserted(text, where, "v") == made


def test_a_value_is_written_so_that_it_reads_back_as_the_same() -> None:
    assert appended("", "no", {"a": ["x, y", "12", "true", "it's"], "b": "#1"}) == (
        "no:\n  a: ['x, y', '12', 'true', it's]\n  b: '#1'\n"
    )
    assert replaced("a: {b: [one, two]}  # c\n", ("a", "b", "0"), "three") == (
        "a: {b: [three, two]}  # c\n"
    )
