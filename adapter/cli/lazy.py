"""Import commands only when they are called, so that the command line starts quickly.

Click's documentation suggests importing commands in ``Group.get_command``, but ``--help`` calls
it for every command. ``resolve_command`` is called only for the command that runs.
"""

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click


class LazyCommand(click.Command):
    """A placeholder for a command whose module has not been imported yet.

    The command is an attribute with the same name in ``module``, a module of this package.
    """

    def __init__(self, name: str, module: str) -> None:
        super().__init__(name)
        self._module = module

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the command's docstring without importing its module."""
        tree = ast.parse(Path(__file__).with_name(f"{self._module}.py").read_text("utf-8"))
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.help = next(ast.get_docstring(one) for one in functions if one.name == self.name)
        return super().get_short_help_str(limit)

    def resolved(self) -> click.Command:
        """Import the module, and return the actual command."""
        command = getattr(importlib.import_module(f"adapter.cli.{self._module}"), str(self.name))
        assert isinstance(command, click.Command)  # noqa: S101 - we wrote the table of commands
        return command


class LazyGroup(click.Group):
    """A group of commands that imports only the command that runs."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        for module, names in lazy.items():
            for name in names.split():
                self.add_command(LazyCommand(name, module))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import and return the command named in the arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, LazyCommand):
            command = command.resolved()
        return name, command, rest
