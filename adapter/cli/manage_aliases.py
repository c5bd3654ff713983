"""Define ``adapter communities aliases``, which manages the sources' names for communities."""

import contextlib
import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.cli.valid_mappings import valid_sources
from adapter.mapping.engine.tables import key_from_value
from adapter.models import Alias, utc_now
from adapter.operations import serializers
from adapter.operations.aliases import Aliases, yaml_of
from adapter.operations.live_sources import LiveSources, live_sources
from adapter.settings import settings_from


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "adapter communities aliases",
        "adapter communities aliases --yaml",
        "adapter communities aliases add rentfeed 20999 maple-court --book",
        "adapter communities aliases remove rentfeed 20999",
    ),
)
@as_json
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the lines to add to communities.yaml.")
@click.pass_context
def aliases(context: click.Context, as_json: bool, as_yaml: bool) -> None:
    """List or change the community names that users added.

    These names are stored in the database, and are used in addition to the names in
    communities.yaml. All processes apply a change within seconds. --yaml also prints the
    communities that users added, with their options.
    """
    if context.invoked_subcommand is not None:
        return
    with _live(context.obj, only_reads=True) as (live, _):
        found = live.overrides.aliases
        text = yaml_of(found, live.added) if as_yaml else _table(live)
    output.show({"aliases": [_as_dict(one) for one in found]}, text.rstrip(), as_json=as_json)


@aliases.command(epilog=examples("adapter communities aliases add rentfeed 20999 maple-court"))
@click.argument("source")
@click.argument("name")
@click.argument("community")
@click.option(
    "--attribution", help="Use this attribution ID for SOURCE if communities.yaml has none."
)
@click.option(
    "--book", is_flag=True, help="Also book the leads that are held because NAME was unknown."
)
@as_json
@click.pass_obj
def add(
    folder: Path,
    source: str,
    name: str,
    community: str,
    attribution: str | None,
    book: bool,
    as_json: bool,
) -> None:
    """Assign leads from SOURCE with the property NAME to COMMUNITY."""
    alias = Alias(
        source=source,
        key=key_from_value(name) or "",
        name=name,
        community=community,
        attribution_id=attribution,
        by=getpass.getuser(),
        at=utc_now(),
    )
    with _live(folder) as (_, operation):
        operation.add(alias)
        changed = operation.book_all_waiting(alias) if book else 0
    text = f"{name} from {source} is now assigned to {community}"
    data = {"alias": _as_dict(alias), "leads": changed}
    output.show(data, f"{text}; leads changed: {changed}" if book else text, as_json=as_json)


@aliases.command(epilog=examples("adapter communities aliases remove rentfeed 20999"))
@click.argument("source")
@click.argument("name")
@as_json
@click.pass_obj
def remove(folder: Path, source: str, name: str, as_json: bool) -> None:
    """Remove NAME, and hold unsent leads with this name again.

    Tours that may already be in Knock are listed.
    """
    with _live(folder) as (_, operation):
        taken = operation.remove(source, key_from_value(name) or "")
    sent = [booking.id for booking in taken.sent]
    text = f"removed; leads held again: {taken.leads}"
    if sent:
        text += f"; check in Knock: {', '.join(map(str, sent))}"
    data = {"alias": _as_dict(taken.alias), "leads": taken.leads, "sent": sent}
    output.show(data, text, as_json=as_json)


@contextlib.contextmanager
def _live(folder: Path, *, only_reads: bool = False) -> Iterator[tuple[LiveSources, Aliases]]:
    """Yield the current sources, and the operations on community aliases."""
    settings = settings_from()
    files = valid_sources(settings, folder) if only_reads else None
    with opened_store(settings) as store:
        live = live_sources(settings, store, folder, files)
        yield live, Aliases(settings, store, live, utc_now, getpass.getuser())


def _as_dict(alias: Alias) -> dict[str, Any]:
    return serializers.dump(alias, "source name community attribution_id by at")


def _table(live: LiveSources) -> str:
    rows = [
        (one.source, one.name, one.community, one.by, serializers.utc(one.at), live.status_of(one))
        for one in live.overrides.aliases
    ]
    return formatting.table(("source", "name", "community", "by", "since", "status"), rows)
