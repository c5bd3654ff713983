"""Import commands when they are called, so that listing them imports none.

Click's documentation imports a command in ``Group.get_command``, which ``--help`` calls for each.
``resolve_command`` is called only for the one that runs.
"""

import importlib

import click


class LazyCommand(click.Command):
    """Placeholder in a group for a command that is not imported yet.

    ``target`` is its ``module:attribute`` within ``adapter.cli``, ``summary`` the first sentence of
    its help.
    """

    def __init__(self, name: str, target: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self._target = target

    def resolved(self) -> click.Command:
        """Import and return the command."""
        module, _, attribute = self._target.partition(":")
        command = getattr(importlib.import_module(f"adapter.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the tables are ours
        return command


class LazyGroup(click.Group):
    """A group that imports only the command that runs."""

    def add_lazy(self, name: str, target: str, summary: str) -> None:
        """Add a command by its target (see :class:`LazyCommand`)."""
        self.add_command(LazyCommand(name, target, summary))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, imported."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, LazyCommand):
            command = command.resolved()
        return name, command, rest
