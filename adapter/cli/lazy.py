"""Commands that are imported when they are called: listing them needs none of them.

Click's documentation imports a command in ``Group.get_command``, which ``--help`` calls for each.
Here it is ``resolve_command``, which is called for the one that runs.
"""

import importlib

import click


class LazyCommand(click.Command):
    """Stands in a group for a command that is not imported yet."""

    def __init__(self, name: str, place: str, summary: str) -> None:
        """For the command at ``place``: ``module:attribute`` within ``adapter.cli``.

        ``summary`` is the first sentence of its help, word for word.
        """
        super().__init__(name, help=summary)
        self._place = place

    def resolved(self) -> click.Command:
        """Return the command itself. Imports its module."""
        module, _, attribute = self._place.partition(":")
        command = getattr(importlib.import_module(f"adapter.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the tables are ours
        return command


class LazyGroup(click.Group):
    """A group of which only the command that runs is imported."""

    def add_lazy(self, name: str, place: str, summary: str) -> None:
        """Add the command at ``place`` (see :class:`LazyCommand`)."""
        self.add_command(LazyCommand(name, place, summary))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, LazyCommand):
            command = command.resolved()
        return name, command, rest
