"""``communities``: the places we book for, and what Propexo knows of them."""

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from adapter.cli.formatting import table
from adapter.cli.leads import as_json, opened_store
from adapter.cli.mappings import mappings_option
from adapter.exceptions import ConfigurationError, UpstreamError
from adapter.mapping.communities_yaml import Communities, communities_from_folder
from adapter.mapping.engine import Community
from adapter.mapping.loader.yaml_document import text_from_data
from adapter.mapping.problems import MappingErrors
from adapter.models import utc_now
from adapter.operations.check_communities import problems_of
from adapter.propexo.directory import Directory, ListedCommunity, RateLimitedReads
from adapter.services import propexo_from
from adapter.settings import Settings, settings_from
from adapter.store import Database


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
        data = {"communities": communities_as_dicts(found)}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        click.echo(communities_table(found))


@communities.command()
@as_json
@click.pass_obj
def pull(folder: Path, as_json: bool) -> None:
    """Print Propexo's communities and attributions, to be pasted into communities.yaml.

    Of those that stand there already only the attributions are printed. Writes nothing.
    """
    with _asking(settings_from()) as directory:
        places = list(directory.all_communities())
    known = {one.community_id: key for key, one in _known(folder).items()}
    if as_json:
        found = [place_as_dict(place, known) for place in places]
        click.echo(json.dumps({"communities": found}, indent=2, ensure_ascii=False))
    elif places:
        click.echo(stubs_text(places, known))
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
        reads = RateLimitedReads(propexo, settings, store, utc_now, time.sleep)
        try:
            yield Directory(reads.page)
        except UpstreamError as exc:
            status = f" ({exc.status})" if exc.status else ""
            hint = "" if settings.propexo_token else "; start it with `adapter run`"
            raise ConfigurationError(f"{propexo.base_url}: {exc}{status}{hint}") from exc


def _store(settings: Settings, stack: contextlib.ExitStack) -> Database | None:
    """The store that holds the rate; None where there is none yet, and so nobody else calls."""
    try:
        store = stack.enter_context(opened_store(settings))
    except ConfigurationError:
        return None
    return None if store.lacks() else store


def communities_as_dicts(communities: Communities) -> list[dict[str, Any]]:
    """The communities of communities.yaml as plain data."""
    return [
        {
            "community": one.key,
            "integration_id": one.integration_id,
            "community_id": one.community_id,
            "timezone": one.timezone.key,
            "attributions": dict(one.attributions),
            "known_as": {source: list(names) for source, names in one.known_as.items()},
        }
        for one in communities.by_key.values()
    ]


def communities_table(communities: Communities) -> str:
    """The communities of communities.yaml, a line for each source that knows them."""
    rows = [
        (one.key, one.community_id, one.timezone.key, source, _credit(one.attributions.get(source)))
        for one in communities.by_key.values()
        for source in sorted({*one.known_as, *one.attributions}) or ["-"]
    ]
    return table(("community", "community_id", "time zone", "source", "attribution"), rows)


def _credit(said: str | Mapping[str, str] | None) -> str | None:
    if isinstance(said, Mapping):
        return ", ".join(f"{word}: {one}" for word, one in said.items())
    return said


def place_as_dict(place: ListedCommunity, known: Mapping[str, str]) -> dict[str, Any]:
    """A community as Propexo lists it, as plain data; ``known``: id → key in communities.yaml."""
    return {
        "integration_id": place.integration_id,
        "community_id": place.community_id,
        "name": place.name,
        "community": known.get(place.community_id),
        "attributions": [{"id": one, "name": name} for one, name in place.attributions.items()],
    }


def stubs_text(places: Iterable[ListedCommunity], known: Mapping[str, str]) -> str:
    """What can be pasted into communities.yaml; of those that stand there, only who gets credit."""
    taken = set(known.values())
    return "\n\n".join("\n".join(_stub_lines(place, known, taken)) for place in places)


def _stub_lines(place: ListedCommunity, known: Mapping[str, str], taken: set[str]) -> Iterator[str]:
    credits_ = [f"# SOURCE: {_scalar(one)}   # {name}" for one, name in place.attributions.items()]
    if place.community_id in known:
        yield f"# {known[place.community_id]} ({place.community_id}) is listed; its attributions:"
        yield from credits_
        return
    yield f"{_key(place, taken)}:   # {place.name}"
    yield f"  integration_id: {_scalar(place.integration_id)}"
    yield f"  community_id: {_scalar(place.community_id)}"
    yield "  timezone: TODO   # such as America/Denver: Propexo does not tell it"
    yield "  attributions:   # for each source the one that gets the credit"
    yield from (f"    {line}" for line in credits_)
    yield "  known_as:   # for each source what it calls this community"
    yield f"    # SOURCE: [{_scalar(place.name or place.community_id)}]"


def _scalar(text: str) -> str:
    """A text as YAML writes it."""
    return text_from_data([text]).removeprefix("- ").strip()


def _key(place: ListedCommunity, taken: set[str]) -> str:
    """A key for communities.yaml, out of the name; no two are the same."""
    plain = re.sub(r"[^a-z0-9]+", "-", (place.name or place.community_id).lower()).strip("-")
    base = key = plain or "community"
    number = 2
    while key in taken:
        key, number = f"{base}-{number}", number + 1
    taken.add(key)
    return key
