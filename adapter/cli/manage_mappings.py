"""Define ``adapter mappings``, which manages mappings that were edited in the console."""

import contextlib
import getpass
from collections.abc import Iterator
from typing import Any

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.cli.valid_mappings import valid_sources
from adapter.exceptions import NotPossible
from adapter.models import MappingVersion, utc_now
from adapter.operations import serializers
from adapter.operations.live_sources import LiveSources, live_sources
from adapter.operations.mapping_versions import MappingVersions
from adapter.settings import settings_from


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "adapter mappings",
        "adapter mappings show rentfeed",
        "adapter mappings pull rentfeed",
        "adapter mappings rollback rentfeed 0 --reason 'the sender changed it back'",
    ),
)
@as_json
@click.pass_context
def mappings(context: click.Context, as_json: bool) -> None:
    """List all mappings, and show whether the file or an edited version is in use."""
    if context.invoked_subcommand is not None:
        return
    with _opened(only_reads=True) as (live, operation):
        found = [
            {"source": name, "version": _number(live, name), "status": operation.status(name)}
            for name in sorted(live.files)
        ]
    rows = [tuple(one.values()) for one in found]
    table = formatting.table(("source", "version", "status"), rows)
    output.show({"mappings": found}, table, as_json=as_json)


@mappings.command(
    epilog=examples("adapter mappings show rentfeed", "adapter mappings show rentfeed --version 2")
)
@click.argument("source")
@click.option("--version", type=int, help="Print this version's mapping instead of the history.")
@as_json
def show(source: str, version: int | None, as_json: bool) -> None:
    """List the versions of a source's mapping, or print one of them."""
    with _opened(only_reads=True) as (_, operation):
        versions = operation.versions(source)
    if version is None:
        rows = [(one.number, serializers.utc(one.at), one.by, one.reason) for one in versions]
        table = formatting.table(("version", "published", "by", "why"), rows)
        output.show({"versions": [_as_dict(one) for one in versions]}, table, as_json=as_json)
        return
    found = _version(versions, source, version)
    output.show(_as_dict(found) | {"text": found.text}, found.text or "", as_json=as_json)


@mappings.command(epilog=examples("adapter mappings pull", "adapter mappings pull rentfeed"))
@click.argument("source", required=False)
@as_json
def pull(source: str | None, as_json: bool) -> None:
    """Write the mappings in use to their files, for example to commit them to git.

    For each source that uses an edited version, the command overwrites the file. The source then
    uses its file again.
    """
    with _opened() as (live, _):
        used = [one for one in live.sources.values() if one.version is not None]
    written = [one for one in used if source in (None, one.name)]
    if source is not None and not written:
        output.fail(f"{source} uses its file")
    for one in written:
        one.path.write_text(one.text, encoding="utf-8")
    files = [str(one.path) for one in written]
    text = "\n".join(f"wrote {file}" for file in files) or "all mappings in use are in their files"
    output.show({"files": files}, text, as_json=as_json)


@mappings.command(
    epilog=examples(
        "adapter mappings rollback rentfeed 2 --reason 'version 3 misses the phone number'",
        "adapter mappings rollback rentfeed 0 --reason 'use the file again'",
    )
)
@click.argument("source")
@click.argument("version", type=int)
@click.option("--reason", required=True, help="Record this reason in the history.")
@as_json
def rollback(source: str, version: int, reason: str, as_json: bool) -> None:
    """Go back to an earlier VERSION of a source's mapping, or to its file if VERSION is 0.

    The command checks the version first. All processes switch to it within seconds.
    """
    with _opened() as (live, operation):
        seen = _number(live, source)
        new = operation.roll_back(source, version, reason, seen=seen)
        status = operation.status(source)
    output.show(_as_dict(new), f"{source}: {status}", as_json=as_json)


@contextlib.contextmanager
def _opened(*, only_reads: bool = False) -> Iterator[tuple[LiveSources, MappingVersions]]:
    """Open the database, and yield the current sources and the operations on mapping versions."""
    settings = settings_from()
    files = valid_sources(settings) if only_reads else None
    with opened_store(settings) as store:
        live = live_sources(settings, store, files=files)
        yield live, MappingVersions(settings, store, live, utc_now, getpass.getuser())


def _number(live: LiveSources, name: str) -> int:
    """Return the number of a source's newest mapping version, or 0 if there is none."""
    version = live.overrides.versions.get(name)
    return version.number if version is not None else 0


def _version(versions: list[MappingVersion], source: str, number: int) -> MappingVersion:
    for one in versions:
        if one.number == number:
            return one
    raise NotPossible(f"there is no version {number} of {source}")


def _as_dict(version: MappingVersion) -> dict[str, Any]:
    return serializers.dump(version, "source number reason by at")
