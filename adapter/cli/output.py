"""Print results as text or JSON, and print errors."""

import sys
from typing import Any, NoReturn

import click

from adapter.operations.serializers import to_json


def show(data: Any, text: str, *, as_json: bool) -> None:
    """Print ``data`` as JSON if ``as_json`` is True, otherwise print ``text``."""
    if as_json:
        print_json(data)
    else:
        click.echo(text)


def print_json(data: Any) -> None:
    """Print data as JSON."""
    click.echo(to_json(data, ensure_ascii=False))


def fail(message: str) -> NoReturn:
    """Print an error message and exit with code 1."""
    click.echo(f"adapter: {message}", err=True)
    sys.exit(1)
