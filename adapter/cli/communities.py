"""``communities``: the places we book for, and what Propexo knows of them."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from adapter import stubs
from adapter.cli.leads import as_json, opened_store
from adapter.cli.mappings import mappings_option
from adapter.composition import propexo_from
from adapter.config import Settings, settings_from
from adapter.directory import Directory, PacedReads, problems_of
from adapter.events import utc_now
from adapter.exceptions import ConfigurationError, UpstreamError
from adapter.mapping import Community
from adapter.sources import MappingErrors
from adapter.sources.communities import communities_from_folder
from adapter.store import Store


@click.group(invoke_without_command=True)
@mappings_option
@as_json
@click.pass_context
def communities(context: click.Context, folder: Path | None, as_json: bool) -> None:
    """List the communities of communities.yaml; fill it from Propexo, and check it there."""
    context.obj = folder or settings_from().mappings_dir
    if context.invoked_subcommand is not None:
        return
    found = communities_from_folder(context.obj)
    if as_json:
        data = {"communities": stubs.communities_as_dicts(found)}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        click.echo(stubs.communities_table(found))


@communities.command()
@as_json
@click.pass_obj
def pull(folder: Path, as_json: bool) -> None:
    """Print Propexo's communities and attributions, to be pasted into communities.yaml.

    Of those that stand there already only the attributions are printed. Writes nothing.
    """
    with _asking(settings_from()) as directory:
        places = list(directory.places())
    known = {one.community_id: key for key, one in _known(folder).items()}
    if as_json:
        found = [stubs.place_as_dict(place, known) for place in places]
        click.echo(json.dumps({"communities": found}, indent=2, ensure_ascii=False))
    elif places:
        click.echo(stubs.stubs_text(places, known))
    if not places:
        click.echo("adapter: Propexo lists no community for this token", err=True)
        sys.exit(1)


def _known(folder: Path) -> Mapping[str, Community]:
    """Those of communities.yaml, as far as it can be read: it may be about to be written."""
    try:
        return communities_from_folder(folder).by_key
    except MappingErrors:
        return {}


@communities.command("check")
@as_json
@click.pass_obj
def check_listed(folder: Path, as_json: bool) -> None:
    """Test each integration, community and attribution against Propexo's lists.

    Mistakes are printed as file:line:column: field: message. `adapter check` finds what is wrong
    without Propexo; this finds what only Propexo knows.
    """
    found = communities_from_folder(folder)
    with _asking(settings_from()) as directory:
        problems = problems_of(found, directory)
    if as_json:
        click.echo(json.dumps({"problems": [one.as_dict() for one in problems]}, indent=2))
    for problem in () if as_json else problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    if not as_json:
        click.echo(f"{found.document.file}: Propexo knows all of it")


@contextlib.contextmanager
def _asking(settings: Settings) -> Iterator[Directory]:
    """Propexo's lists, read within the rate. Raises ConfigurationError where they cannot be."""
    propexo = propexo_from(settings)
    if settings.propexo_token is None:
        click.echo("PROPEXO_TOKEN is not set: these are the sandbox's lists", err=True)
    with contextlib.ExitStack() as stack:
        store = _store(settings, stack)
        reads = PacedReads(propexo, settings, store, utc_now, time.sleep)
        try:
            yield Directory(reads.page)
        except UpstreamError as exc:
            status = f" ({exc.status})" if exc.status else ""
            hint = "" if settings.propexo_token else "; start it with `adapter run`"
            raise ConfigurationError(f"{propexo.base_url}: {exc}{status}{hint}") from exc


def _store(settings: Settings, stack: contextlib.ExitStack) -> Store | None:
    """The store that holds the rate; None where there is none yet, and so nobody else calls."""
    try:
        store = stack.enter_context(opened_store(settings))
    except ConfigurationError:
        return None
    return None if store.lacks() else store
