"""Define ``adapter sources``, which shows each lead source and its recent traffic."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import click

from adapter import signatures
from adapter.cli import output, report_formatting
from adapter.cli.help import examples
from adapter.cli.lazy import LazyGroup
from adapter.cli.leads import as_json, opened_store
from adapter.cli.valid_mappings import valid_sources
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.operations import report_serializers
from adapter.operations.format_watch import change_as_dict
from adapter.settings import Settings, settings_from
from adapter.store import Database, Traffic


class SourcesGroup(LazyGroup):
    """A command group that treats ``adapter sources NAME`` as ``adapter sources show NAME``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command for the arguments, or ``show`` if they begin with a source's name."""
        is_name = bool(args) and args[0] not in self.commands
        return super().resolve_command(ctx, ["show", *args] if is_name else args)


@click.group(
    cls=SourcesGroup,
    lazy={"sources_add": "add gallery", "sources_show": "show"},
    invoke_without_command=True,
    epilog=examples("adapter sources", "adapter sources rentfeed", "adapter sources add calendly"),
)
@as_json
@click.pass_context
def sources(context: click.Context, as_json: bool) -> None:
    """List the lead sources and their recent activity.

    The list includes URLs, signatures, events, rejected requests, and when each secret was last
    used. When a source no longer uses its oldest secret, you can remove that secret. For each
    unknown community, the list shows how many leads are held because of it. If a sender has changed
    its format, `adapter sources SOURCE` shows the changes and suggests a mapping edit.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_from()
    with opened_store(settings) as store:
        described = describe_sources(settings, store, valid_sources(settings))
    output.show({"sources": described}, report_formatting.sources_text(described), as_json=as_json)


def describe_sources(
    settings: Settings, store: Database, loaded: Mapping[str, Source]
) -> list[dict[str, Any]]:
    """Return each source's URL, signature and recent activity as dictionaries.

    ``loaded`` are the valid mappings. An invalid one has a URL and activity, but no signature.
    """
    folder = settings.mappings_dir
    names = sorted({*registry.names_in(folder), *loaded} - registry.drafts_in(folder))
    with store.transaction() as tx:
        traffic, uses = tx.stats.traffic(), tx.stats.secret_uses()
        unknown = tx.stats.unknown_communities()
        rejections = tx.rejections.counts()
        changes = tx.formats.changes(names)
    none = Traffic(events={}, last_event_at=None)
    return [
        {
            "source": name,
            "address": source_url(settings, name),
            "is_valid": name in loaded,
            **_signature(loaded.get(name), name, uses),
            "last_event_at": traffic.get(name, none).last_event_at,
            "events": dict(traffic.get(name, none).events),
            "rejections": rejections.get(name, 0),
            "unknown_communities": [
                report_serializers.unknown_community_as_dict(community)
                for community in unknown
                if community.source == name
            ],
            "format_changes": [change_as_dict(one) for one in changes if one.source == name],
        }
        for name in names
    ]


def source_url(settings: Settings, name: str) -> str:
    """Return the URL that a source sends its webhooks to."""
    start = settings.public_url or f"http://127.0.0.1:{settings.port}"
    return f"{start}/hooks/{name}"


def _signature(
    source: Source | None, name: str, uses: Mapping[tuple[str, str], dt.datetime]
) -> dict[str, Any]:
    if source is None:
        return {"preset": None, "scheme": None, "is_open": False, "secrets": []}
    return {
        "preset": source.signature.get("preset"),
        "scheme": signatures.scheme_of(source.signature),
        "is_open": source.is_open,
        "secrets": [
            {"name": secret, "last_used_at": uses.get((name, secret))} for secret in source.secrets
        ],
    }
