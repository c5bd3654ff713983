"""Define the ``adapter`` command and its subcommands.

Exit codes: 0 success, 1 failure or a negative result, 2 invalid usage, 78 invalid configuration.
"""

import os
import sys
from pathlib import Path

import click

import adapter
from adapter.cli.help import examples
from adapter.cli.lazy import LazyGroup
from adapter.exceptions import AdapterError, exit_code
from adapter.settings import DEFAULT_ENV_FILE, ENV_FILE, EnvFile, name_connections, read_env_file

#: Commands that never use the settings of an installation.
WITHOUT_ENV_FILE = ("demo", "init")


@click.group(
    cls=LazyGroup,
    lazy={
        "communities": "communities",
        "demo": "demo",
        "doctor": "doctor",
        "enums": "enums",
        "find": "find",
        "init": "init",
        "leads": "bookings events show",
        "manage_alarms": "alarms",
        "manage_encryption": "encryption",
        "manage_mappings": "mappings",
        "manage_users": "users",
        "map": "map",
        "mappings": "check explain schema",
        "new_source": "new",
        "portal_ledger": "reconcile",
        "purge": "purge",
        "rejections": "rejections",
        "reports": "audit backtest decisions export queue stats",
        "restored": "restored",
        "resolve": "confirm discard release replay",
        "run": "migrate run web worker",
        "sandbox": "sandbox",
        "sending": "pause resume",
        "send": "send sign",
        "sources": "sources",
    },
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
    epilog=examples(
        "adapter demo             show what the adapter does, without sending anything",
        "adapter init DIR         create a folder with mappings, settings and deployment files",
        "adapter run              run everything on this machine",
        "adapter doctor           check an installation for problems",
        "adapter COMMAND --help   show what a command does, with examples",
    )
    + "\n\nExit codes: 0 success, 1 failure or a negative result, 2 invalid usage, 78 invalid "
    "configuration.",
)
@click.version_option(adapter.__version__, prog_name="adapter")
@click.option(
    "--env-file",
    envvar=ENV_FILE,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    show_default=f"{ENV_FILE}, or {DEFAULT_ENV_FILE} if it can be read",
    help="Read settings from this file, such as .env. Environment variables take precedence.",
)
@click.pass_context
def commands(context: click.Context, env_file: Path | None) -> None:
    """Turn signed lead webhooks into tour appointments in Knock."""
    command = context.invoked_subcommand or ""
    if (
        env_file is None
        and command not in WITHOUT_ENV_FILE
        and os.access(DEFAULT_ENV_FILE, os.R_OK)
    ):
        env_file = DEFAULT_ENV_FILE
    name_connections(command)
    former = dict(os.environ)
    if env_file is not None:
        read_env_file(env_file, os.environ)
    context.obj = EnvFile(env_file, frozenset(os.environ.keys() - former.keys()))


def main() -> None:
    """Run the command line, and print errors without a traceback."""
    try:
        commands(prog_name="adapter")
    except AdapterError as exc:
        for line in str(exc).splitlines():
            click.echo(f"adapter: {line}", err=True)
        sys.exit(exit_code(exc))
