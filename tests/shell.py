"""Run the adapter's commands in this process."""

import json
from typing import Any

import click.testing

from adapter.cli import commands


class Shell:
    """Runs commands that use the test's database."""

    def __call__(self, *arguments: str, exit_code: int = 0, stdin: str | None = None) -> str:
        ended = click.testing.CliRunner().invoke(commands, arguments, input=stdin)
        if ended.exception and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        assert ended.exit_code == exit_code, ended.output
        return str(ended.output)

    def json(self, *arguments: str, exit_code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", exit_code=exit_code))
