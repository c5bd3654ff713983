"""Check that the documentation matches the program."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapter.cli import commands
from docs import generate, log_events
from tests.paths import ROOT
from tools import pictures

README = generate.README.read_text()
CONSOLE = (ROOT / "docs" / "console.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md")])


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_the_generated_parts_are_up_to_date(page: Path) -> None:
    assert generate.regenerated(page.read_text()) == page.read_text(), "run `make docs`"


def test_each_event_in_the_code_is_described_and_no_other() -> None:
    found = log_events.events_in_code()

    assert found.keys() == log_events.EVENTS.keys()
    assert [name for name in found if not re.fullmatch(r"[a-z]+(_[a-z]+)+|erased", name)] == []


def test_what_needs_nobody_is_not_an_error() -> None:
    for name, levels in log_events.events_in_code().items():
        needs_nobody = log_events.EVENTS[name][1] == log_events.NOTHING
        assert not (needs_nobody and levels & {"error", "critical"}), name


def test_no_page_has_an_unresolved_merge() -> None:
    found = [page.name for page in PAGES if re.search("(?m)^(<{7}|>{7}) ", page.read_text())]
    assert found == []


def test_the_readme_fits_on_a_few_screens() -> None:
    assert len(README.splitlines()) <= 150


def test_the_two_commands_stand_on_top() -> None:
    top = "\n".join(README.splitlines()[:20])

    assert "make demo" in top
    assert "make test" in top


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z]+)", page.read_text())}

    assert named <= targets
    assert {"demo", "run", "test", "check", "bench"} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?adapter ([a-z]+)", page.read_text()))

    assert named <= set(commands.commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_threat_names_tests_that_exist() -> None:
    rows = (ROOT / "docs" / "security.md").read_text().partition("## Threats")[2].splitlines()
    named = [
        re.findall(r"`(test_\w+)`", row) for row in rows if re.match(r"\| (?!threat|attack)", row)
    ]
    code = "".join(file.read_text() for file in ROOT.glob("tests/**/test_*.py"))

    assert named
    assert all(named)
    assert [one for row in named for one in row if f"def {one}(" not in code] == []


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub generates for a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_anchor_leads_to_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text())
    targets = [(page.parent / file if file else page, anchor) for file, anchor in links]

    assert [anchor for target, anchor in targets if anchor not in anchors_of(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`((?:\w+/)+[\w.-]+\.(?:py|sql))`", page.read_text()))
    folders = (ROOT, ROOT / "adapter")

    assert [path for path in named if not any((top / path).exists() for top in folders)] == []


def test_the_page_of_the_console_shows_every_picture_that_is_taken_and_no_other() -> None:
    taken = {f"console-{name}.png" for name in pictures.PAGES}
    shown = set(re.findall(r"\]\((console-[^)]+)\)", CONSOLE))

    assert shown == taken
    assert {file.name for file in ROOT.glob("docs/console-*.png")} == taken


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_every_command_has_help(name: str) -> None:
    shown = CliRunner().invoke(commands, [name, "--help"])

    assert shown.exit_code == 0
    assert commands.commands[name].get_short_help_str()


def test_the_procfile_names_commands_that_exist() -> None:
    text = (ROOT / "Procfile").read_text()

    assert [line.partition(":")[0] for line in text.splitlines()] == ["release", "web", "worker"]
    assert set(re.findall(r"adapter ([a-z]+)", text)) <= set(commands.commands)


def test_the_versions_that_are_named_agree() -> None:
    project = (ROOT / "pyproject.toml").read_text()

    assert 'requires-python = ">=3.11"' in project
    assert "Python 3.11 or newer" in README


def test_the_settings_table_has_the_range_of_each_number() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`.*\| (.*) \|$", generate.settings_table(), re.MULTILINE))
    assert rows["ADAPTER_WORKER_CONCURRENCY"].endswith(" From 8 to 64.")
    assert rows["ADAPTER_PROPEXO_TIMEOUT_SECONDS"].count(" From ") == 1
    assert " From " not in rows["ADAPTER_PUBLIC_URL"]
