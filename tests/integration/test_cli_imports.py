"""Check which modules each command imports, and that the lists of commands are correct."""

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import adapter.cli
from adapter.cli import commands
from adapter.cli.lazy import LazyCommand

ROOT = Path(adapter.cli.__file__).parent.parent.parent

#: A program that runs one command like the console script, then prints the imported modules.
CHILD = """
import json, sys
from adapter.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)))
"""

DATABASE = {"psycopg", "psycopg_pool"}
MAPPING = {"marshmallow", "nameparser", "phonenumbers", "yaml"}
WEB = {"flask", "gunicorn", "jinja2", "prometheus_client", "adapter.app", "adapter.console"}
CALLS = {"requests", "urllib3"}
ALL = {*DATABASE, *MAPPING, *WEB, *CALLS, "werkzeug"}


def imported_by(*arguments: str) -> set[str]:
    """Return the modules imported after running a command in a separate process."""
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        ("--version", ALL),
        ("--help", ALL),
        (
            "map rentfeed mappings/samples/rentfeed-tour.json --now 2026-03-02T18:00:00Z",
            {*DATABASE, *WEB, *CALLS},
        ),
        ("check mappings/rentfeed.yaml", {*DATABASE, *WEB, *CALLS}),
        ("send --help", {*DATABASE, *WEB, *CALLS}),
        ("bookings --help", {*MAPPING, *WEB, *CALLS, "werkzeug"}),
        ("users --help", {*MAPPING, *WEB, *CALLS}),
        ("rejections --help", WEB),
        ("worker --help", WEB),
    ],
)
def test_a_command_imports_only_what_it_needs(arguments: str, heavy: set[str]) -> None:
    assert imported_by(*arguments.split()) & heavy == set()


def members(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command in a group, with its full name on the command line."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        real = resolved(command)
        if isinstance(real, click.Group):
            yield from members(real, (*path, name))


def resolved(command: click.Command) -> click.Command:
    return command.resolved() if isinstance(command, LazyCommand) else command


def test_every_command_resolves_and_has_help() -> None:
    runs = {
        name: CliRunner().invoke(commands, [*name.split(), "--help"])
        for name, _ in members(commands)
    }
    wrong = {
        name: run.output or repr(run.exception)
        for name, run in runs.items()
        if run.exit_code != 0 or not run.output.startswith(f"Usage: commands {name} ")
    }

    assert wrong == {}
    assert {"map", "sources add", "rejections retry", "users remove"} <= set(runs)


def test_help_shows_an_example_of_each_command() -> None:
    lacking = {
        name
        for name, command in members(commands)
        if not isinstance(resolved(command), click.Group)
        and f"adapter {name}" not in (resolved(command).epilog or "")
    }

    assert lacking == set()


def test_the_list_shows_each_commands_own_summary() -> None:
    lazy = {name: one for name, one in members(commands) if isinstance(one, LazyCommand)}
    listed = {name: (one.name, one.get_short_help_str(1000)) for name, one in lazy.items()}
    real = {name: one.resolved() for name, one in lazy.items()}

    assert listed == {name: (one.name, one.get_short_help_str(1000)) for name, one in real.items()}
    assert not any(one.hidden or one.deprecated for one in real.values())


def test_no_command_is_left_out() -> None:
    reached = {id(resolved(command)) for _, command in members(commands)} | {id(commands)}
    left_out = [
        f"{module.name}:{name}"
        for module in pkgutil.iter_modules(adapter.cli.__path__, "adapter.cli.")
        for name, value in vars(importlib.import_module(module.name)).items()
        if isinstance(value, click.Command) and id(value) not in reached
    ]

    assert left_out == []


def test_a_mistyped_command_gets_suggestions() -> None:
    run = CliRunner().invoke(commands, ["bokings"])

    assert run.exit_code == 2
    assert "No such command 'bokings'" in run.output
    assert "'bookings'" in run.output
