"""Load the mappings for commands that only read, even if some mappings are invalid."""

from collections.abc import Mapping
from pathlib import Path

import click

from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.settings import Settings


def valid_sources(settings: Settings, folder: Path | None = None) -> Mapping[str, Source]:
    """Load the valid mappings for a read-only command, after printing the errors in the others."""
    loaded = registry.load_valid(folder or settings.mappings_dir, settings.policy)
    for problem in loaded.problems:
        if not problem.warning:
            click.echo(f"adapter: {problem}", err=True)
    return loaded.sources
