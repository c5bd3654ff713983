"""The command line: ``adapter …``.

Exit codes: 0 success, 1 failure or a negative result, 2 wrong usage.
"""

import os
import sys
from pathlib import Path

import click

import adapter
from adapter.cli.help import examples
from adapter.cli.lazy import LazyGroup
from adapter.exceptions import AdapterError
from adapter.settings import read_env_file


@click.group(
    cls=LazyGroup,
    lazy={
        "communities": "communities",
        "demo": "demo",
        "init": "init",
        "leads": "bookings events show",
        "manage_alarms": "alarms",
        "manage_encryption": "encryption",
        "manage_users": "users",
        "map": "map",
        "mappings": "check explain new schema",
        "purge": "purge",
        "rejections": "rejections",
        "reports": "audit backtest decisions export queue stats",
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
        "adapter demo             try it; nothing leaves this machine",
        "adapter init DIR         create a folder with your mappings, settings and deployment",
        "adapter run              run everything on this machine",
        "adapter COMMAND --help   what a command does, with examples",
    )
    + "\n\nExit codes: 0 success, 1 failure or a negative result, 2 wrong usage.",
)
@click.version_option(adapter.__version__, prog_name="adapter")
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with settings, such as .env. Variables that are set take precedence.",
)
def commands(env_file: Path | None) -> None:
    """Turn signed lead webhooks into tour appointments in Knock."""
    if env_file is not None:
        read_env_file(env_file, os.environ)


def main() -> None:
    """Run a command. Print an AdapterError without a traceback and exit with code 1."""
    try:
        commands(prog_name="adapter")
    except AdapterError as exc:
        for line in str(exc).splitlines():
            click.echo(f"adapter: {line}", err=True)
        sys.exit(1)
