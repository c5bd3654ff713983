"""Define ``adapter communities``, which compares communities with Propexo's lists."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from adapter.cli import output
from adapter.cli.formatting import table
from adapter.cli.help import examples
from adapter.cli.lazy import LazyGroup
from adapter.cli.leads import as_json, opened_store
from adapter.cli.mappings import mappings_option
from adapter.exceptions import ConfigurationError, UpstreamError, WrongSchema
from adapter.mapping.communities_yaml import Communities, communities_from_folder, communities_in
from adapter.mapping.loader.yaml_document import text_from_data
from adapter.models import utc_now
from adapter.operations.aliases import community_key
from adapter.operations.check_communities import problems_of
from adapter.operations.check_models import states_of
from adapter.operations.serializers import dump
from adapter.propexo.directory import Directory, ListedCommunity, RateLimitedReads
from adapter.services import propexo_from
from adapter.settings import Settings, settings_from
from adapter.store import Database
from adapter.store.crm_models import Reading


@click.group(
    cls=LazyGroup,
    lazy={"manage_aliases": "aliases"},
    invoke_without_command=True,
    epilog=examples("adapter communities", "adapter communities pull", "adapter communities check"),
)
@mappings_option
@as_json
@click.pass_context
def communities(context: click.Context, folder: Path | None, as_json: bool) -> None:
    """List communities, and compare them with Propexo's lists.

    The communities come from communities.yaml. `pull` and `check` also read Propexo's lists.
    """
    context.obj = folder or settings_from().mappings_dir
    if context.invoked_subcommand is not None:
        return
    listed = communities_from_folder(context.obj)
    data = {"communities": communities_as_dicts(listed)}
    output.show(data, communities_table(listed), as_json=as_json)


@communities.command(epilog=examples("adapter communities pull > pulled.yaml"))
@as_json
@click.pass_obj
def pull(folder: Path, as_json: bool) -> None:
    """Print Propexo's communities and attributions, ready to paste into communities.yaml.

    For a community that is already in communities.yaml, only the attributions are printed. The
    command does not change the file.
    """
    with _directory(settings_from()) as directory:
        places = list(directory.all_communities())
    known = {one.community_id: key for key, one in communities_in(folder).items()}
    if as_json or places:
        data = {"communities": [place_as_dict(place, known) for place in places]}
        output.show(data, stubs_text(places, known), as_json=as_json)
    if not places:
        output.fail("Propexo lists no communities for this token; check PROPEXO_TOKEN")


@communities.command("check", epilog=examples("adapter communities check"))
@as_json
@click.pass_obj
def check_listed(folder: Path, as_json: bool) -> None:
    """Check that Propexo lists every integration, community and attribution ID.

    Problems are printed as file:line:column: field: message. The command also reports whether
    Propexo lets the adapter read Knock's tours and guest cards. To find problems without Propexo,
    run `adapter check`.
    """
    settings, listed = settings_from(), communities_from_folder(folder)
    with _directory(settings) as directory:
        problems = problems_of(listed, directory)
        ids = {one.integration_id for one in listed.by_key.values()} & {*directory.integrations}
        models = list(states_of(ids, directory.read))
    lines = [*map(str, problems)] or [f"{listed.document.file}: Propexo lists all IDs"]
    # A new sandbox has no tours and guest cards, which is not worth mentioning.
    lines += [
        one.text()
        for one in models
        if one.state is Reading.OFF or (one.state is Reading.EMPTY and not settings.is_sandbox)
    ]
    states = [one._asdict() for one in models]
    output.show({"problems": problems, "models": states}, "\n".join(lines), as_json=as_json)
    sys.exit(bool(problems))


@contextlib.contextmanager
def _directory(settings: Settings) -> Iterator[Directory]:
    """Yield a reader for Propexo's lists that stays within the rate limit."""
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
    """Return the database with the shared rate limit, or None if there is no database yet."""
    try:
        store = stack.enter_context(opened_store(settings))
    except (ConfigurationError, WrongSchema):
        return None
    return store


def communities_as_dicts(communities: Communities) -> list[dict[str, Any]]:
    """Return the communities in communities.yaml as JSON-compatible data."""
    fields = "community=key integration_id community_id attributions known_as"
    return [
        dump(one, fields) | {"timezone": one.timezone.key} for one in communities.by_key.values()
    ]


def communities_table(communities: Communities) -> str:
    """Format the communities in communities.yaml as a table, with one line per source."""
    rows = [
        (
            one.key,
            one.community_id,
            one.timezone.key,
            source,
            _attribution(one.attributions.get(source)),
        )
        for one in communities.by_key.values()
        for source in sorted({*one.known_as, *one.attributions}) or ["-"]
    ]
    return table(("community", "community_id", "time zone", "source", "attribution"), rows)


def _attribution(value: str | Mapping[str, str] | None) -> str | None:
    if isinstance(value, Mapping):
        return ", ".join(f"{word}: {one}" for word, one in value.items())
    return value


def place_as_dict(place: ListedCommunity, known: Mapping[str, str]) -> dict[str, Any]:
    """Return a community from Propexo's list as JSON-compatible data.

    ``known`` maps community IDs to keys in communities.yaml.
    """
    return dump(place, "integration_id community_id name") | {
        "community": known.get(place.community_id),
        "attributions": [{"id": one, "name": name} for one, name in place.attributions.items()],
    }


def stubs_text(places: Iterable[ListedCommunity], known: Mapping[str, str]) -> str:
    """Format communities from Propexo's list as entries for communities.yaml."""
    taken = set(known.values())
    return "\n\n".join("\n".join(_stub_lines(place, known, taken)) for place in places)


def _stub_lines(place: ListedCommunity, known: Mapping[str, str], taken: set[str]) -> Iterator[str]:
    attributions = [
        f"# SOURCE: {_scalar(one)}   # {name}" for one, name in place.attributions.items()
    ]
    if place.community_id in known:
        yield f"# {known[place.community_id]} ({place.community_id}) is listed; its attributions:"
        yield from attributions
        return
    yield f"{_key(place, taken)}:   # {place.name}"
    yield f"  integration_id: {_scalar(place.integration_id)}"
    yield f"  community_id: {_scalar(place.community_id)}"
    yield "  timezone: TODO   # such as America/Denver; Propexo does not list it"
    yield "  attributions:   # one per source"
    yield from (f"    {line}" for line in attributions)
    yield "  known_as:   # this community's names, per source"
    yield f"    # SOURCE: [{_scalar(place.name or place.community_id)}]"


def _scalar(text: str) -> str:
    """Format a string as a YAML scalar."""
    return text_from_data([text]).removeprefix("- ").strip()


def _key(place: ListedCommunity, taken: set[str]) -> str:
    """Return a unique key for communities.yaml, based on the community's name."""
    key = community_key(place.name or place.community_id, taken)
    taken.add(key)
    return key
