"""Check that the documentation page about mappings and the JSON Schema match the code."""

import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import click.testing
import pytest

from adapter.cli import commands
from adapter.mapping import registry
from adapter.mapping.authoring import json_schema
from adapter.mapping.loader.schema import Sections
from adapter.mapping.loader.yaml_document import document_from_file
from adapter.mapping.transforms import TRANSFORMS
from adapter.propexo.appointment import TARGETS
from adapter.settings import Policy
from docs import generate
from tests.paths import ROOT
from tests.schemas import matches_schema

PAGE = generate.MAPPING.read_text()
STALE = "regenerate it: make docs"


def test_the_page_is_up_to_date() -> None:
    assert generate.regenerated(PAGE) == PAGE, STALE
    assert all(f"### `{name}`" in PAGE for name in TRANSFORMS), "each transform is described"
    assert all(f"| `{name}` |" in PAGE for name in TARGETS), "each field is described"


def test_the_schema_is_up_to_date() -> None:
    assert (ROOT / json_schema.FILE).read_text() == generate.schema_text(), STALE


def test_the_schema_knows_every_section() -> None:
    declared = {field.data_key or name for name, field in Sections().fields.items()}
    assert set(json_schema.mapping_schema()["properties"]) == declared


@pytest.mark.parametrize("name", ["rentfeed", "leasebot", "website"])
def test_the_bundled_mappings_name_the_schema(name: str) -> None:
    file = ROOT / "mappings" / f"{name}.yaml"
    first = file.read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema=../{json_schema.FILE}"


FILES = [*(ROOT / "mappings").rglob("*.yaml"), *(ROOT / "tests/corpus").glob("*.yaml")]
MAPPINGS = sorted(file for file in FILES if file.name != "communities.yaml")


@pytest.mark.parametrize("file", MAPPINGS, ids=lambda file: file.stem)
def test_the_schema_accepts_what_check_accepts(file: Path) -> None:
    assert matches_schema(document_from_file(file)[0].data, json_schema.mapping_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"acept": {}},
        {"appointment": {"phone_number": "x"}},
        {"appointment": {"tour_type": {"always": "self-guided"}}},
        {"without_time": "book"},
    ],
)
def test_the_schema_underlines_mistakes(change: dict[str, Any]) -> None:
    right = document_from_file(ROOT / "mappings/rentfeed.yaml")[0].data
    assert not matches_schema(right | change, json_schema.mapping_schema())


def test_the_mapping_on_the_page_passes_check(tmp_path: Path) -> None:
    text = PAGE.split("## A complete mapping")[1].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "acme.yaml").write_text(text)
    known = PAGE.split("## Communities")[1].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "communities.yaml").write_text(known)
    sample = {
        "type": "tour_booked",
        "lead": {
            "id": "L1",
            "property": 20417,
            "full_name": "Dana Okafor",
            "email": "dana.okafor@example.com",
            "mobile": "",
            "phone": "",
            "comment": "",
            "unit": "2B",
        },
        "tour": {"day": "03/14/2026", "hour": "2:30 PM"},
    }
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/acme.json").write_text(json.dumps(sample))
    assert [str(one) for one in registry.check([tmp_path], Policy())] == []


def test_the_first_mapping_works_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = PAGE.split("## Your first mapping")[1].split("## ")[0]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    Path("tour.json").write_text(steps.split("```json\n")[1].split("```")[0])

    def run(command: str) -> click.testing.Result:
        assert f"`adapter {command}`" in steps
        return click.testing.CliRunner().invoke(commands, command.split())

    assert run("new example tour.json").exit_code == 0
    known, new_lines = (
        Path("mappings/communities.yaml"),
        steps.split("```yaml\n")[1].split("```")[0],
    )
    text = known.read_text()
    for line in textwrap.dedent(new_lines).splitlines():
        old = re.search(rf"(?m)^  {line.split(':')[0]}:.*(?:\n    .*)*", text)
        assert old is not None
        text = text.replace(old[0], f"  {line}", 1)
    known.write_text(text)
    mapped = run("map example tour.json --now 2026-03-01T12:00:00Z")
    assert "starts at: 2026-03-14 14:30 America/Denver" in mapped.stdout
    draft = Path("mappings/example.yaml")
    lines = [line for line in draft.read_text().splitlines() if "TODO" in line][1:]
    assert [line.strip().partition(":")[0] for line in lines] == [
        "signature",
        "dedupe",
        "expect_some",
    ]
    fixed = draft.read_text().replace(lines[0], "signature: { scheme: none }")
    fixed = fixed.replace(lines[1], "dedupe: id").replace("last_name: TODO", "last_name: Okafor")
    draft.write_text(re.sub(r"(?m)^draft: true .*\n", "", fixed))
    checked = run("check example")
    assert (checked.exit_code, checked.output) == (0, "mappings/example.yaml: no errors\n")
