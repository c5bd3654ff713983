"""Print results as text or JSON, and print errors."""

import contextlib
import sys
from collections.abc import Callable, Iterator
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


@contextlib.contextmanager
def progress(*, is_logged: bool = True) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows progress messages on standard error.

    On a terminal, each message overwrites the previous one. Elsewhere, such as in a cron job's
    log, only the last one is printed, or none unless ``is_logged``.
    """
    is_terminal, last = sys.stderr.isatty(), ""

    def show_text(text: str) -> None:
        nonlocal last
        last = text
        if is_terminal:
            click.echo(f"\r{text:<60}", nl=False, err=True)

    try:
        yield show_text
    finally:
        if last and (is_terminal or is_logged):
            click.echo("" if is_terminal else last, err=True)


def fail(message: str) -> NoReturn:
    """Print an error message and exit with code 1."""
    click.echo(f"adapter: {message}", err=True)
    sys.exit(1)
