"""Define ``adapter sources show``, which shows a source and the changes in its format."""

import contextlib
import getpass
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from adapter.cli import output, report_formatting
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.cli.sources import describe_sources
from adapter.cli.valid_mappings import valid_sources
from adapter.exceptions import ConfigurationError
from adapter.mapping import registry
from adapter.mapping.problems import MappingErrors
from adapter.mapping.source import Source
from adapter.models import utc_now
from adapter.operations.format_proposals import (
    ExplainedChange,
    combined,
    explain,
    explained_as_dict,
    proposal_lines,
)
from adapter.operations.live_sources import live_sources
from adapter.operations.serializers import utc
from adapter.settings import Policy, Settings, settings_from
from adapter.store import Database


@click.command(
    epilog=examples("adapter sources show rentfeed", "adapter sources rentfeed --write-draft")
)
@click.argument("name", metavar="SOURCE")
@click.option(
    "--write-draft",
    is_flag=True,
    help="Write the mapping with the proposed edits to SOURCE.yaml.draft.",
)
@as_json
def show(name: str, write_draft: bool, as_json: bool) -> None:
    """Show a source, changes in its format, and a suggested mapping edit for each change.

    Each edit is tested on the affected webhooks and on earlier webhooks. Nothing is sent or
    changed.
    """
    settings = settings_from()
    file = registry.mapping_file(settings.mappings_dir, name)
    if registry.is_draft(file):
        raise ConfigurationError(f"{file} is a draft: remove 'draft: true' when it is finished")
    files = valid_sources(settings)
    with opened_store(settings) as store:
        (described,) = [
            one for one in describe_sources(settings, store, files) if one["source"] == name
        ]
        source = _source(settings, store, name, files)
        with store.transaction() as tx:
            changes = tx.formats.changes([name]) if source is not None else ()
            if changes:
                tx.audit.record("backtested", by=getpass.getuser(), at=utc_now(), detail=name)
        explained = [
            explain(store, source, one, settings.policy) for one in changes if source is not None
        ]
    lines = [report_formatting.sources_text([described]), *_change_lines(explained)]
    if write_draft and source is not None:
        lines.append(_write_draft(file, source, explained, settings.policy))
    if source is not None:
        described["format_changes"] = [explained_as_dict(one) for one in explained]
    output.show(described, "\n".join(lines), as_json=as_json)


def _source(
    settings: Settings, store: Database, name: str, files: Mapping[str, Source]
) -> Source | None:
    """Return a mapping for explaining changes, even if its samples or tests fail.

    Return None if it cannot be read at all.
    """
    if name in files:
        return live_sources(settings, store, files=files).sources[name]
    with contextlib.suppress(MappingErrors):
        return registry.load_one(settings.mappings_dir, name, settings.policy, strict=False)
    return None


def _change_lines(explained: Sequence[ExplainedChange]) -> Iterator[str]:
    for one in explained:
        yield ""
        yield f"since {utc(one.change.since)}: {one.change.text}"
        yield from (f"  {line}" for line in proposal_lines(one))


def _write_draft(
    file: Path, source: Source, explained: Sequence[ExplainedChange], policy: Policy
) -> str:
    """Write the proposed edits to a draft file. Return a hint about the next step."""
    text = combined(source, explained, policy)
    if text is None:
        raise ConfigurationError("there is no proposed edit")
    draft = registry.free_file(file.parent, file.stem, ".yaml.draft")
    draft.write_text(text, encoding="utf-8")
    without = [one.change.text for one in explained if one.proposal is None]
    missing = "".join(f"\nnot in the draft, because no edit is suggested: {one}" for one in without)
    return f"wrote {draft}; check it: adapter backtest {file.stem} {draft}{missing}"
