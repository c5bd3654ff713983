"""Requests that were refused: ``rejections`` lists them, ``rejections retry`` lets them in."""

import dataclasses
import getpass
import json
import sys

import click

from adapter.cli import report_formatting
from adapter.cli.leads import as_json, limit_option, opened_store, source_option
from adapter.mapping.registry import load_one
from adapter.operations import readmit, report_serializers
from adapter.services import pipeline_from
from adapter.settings import settings_from
from adapter.webhooks.endpoints import build_endpoint


@click.group("rejections", invoke_without_command=True)
@source_option
@limit_option
@as_json
@click.pass_context
def listing(context: click.Context, source: str | None, limit: int, as_json: bool) -> None:
    """List refused requests, newest first; `retry` lets those in that are good now."""
    if context.invoked_subcommand is not None:
        return
    with opened_store(settings_from()) as store, store.transaction() as tx:
        found = tx.rejections.newest(source=source, limit=limit)
    if as_json:
        shown = [report_serializers.rejection_as_dict(rejection) for rejection in found]
        click.echo(json.dumps({"rejections": shown}, indent=2, ensure_ascii=False))
    else:
        click.echo(report_formatting.rejections_table(found))


@listing.command()
@click.argument("id", type=click.IntRange(min=1))
def show(id: int) -> None:
    """Print one refused request as JSON, with its body. It holds personal data."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        found = tx.rejections.get(id)
    if found is None:
        click.echo(f"adapter: there is no rejection {id}", err=True)
        sys.exit(1)
    shown = report_serializers.whole_rejection_as_dict(found)
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


@listing.command()
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only say what would be let in.")
@as_json
def retry(source: str, dry_run: bool, as_json: bool) -> None:
    """Verify the refused requests of SOURCE again, with the secrets of now; let the good ones in.

    The time of signing is judged by when the request came. A request that has come in meanwhile
    is counted as a repeat, not booked again.
    """
    settings = settings_from()
    known = load_one(settings.mappings_dir, source, settings.policy)
    verifier = build_endpoint(known, settings).verifier
    with opened_store(settings) as store:
        pipeline = pipeline_from(settings, store)
        by = getpass.getuser()
        retried = readmit.retry(pipeline.receiver, known, verifier, by=by, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(retried) | {"dry_run": dry_run}, indent=2))
        return
    click.echo(("would be accepted" if dry_run else "accepted") + f": {retried.accepted}")
    click.echo(f"repeated: {retried.repeated}")
    for reason, count in sorted(retried.refused.items()):
        click.echo(f"still refused, {reason}: {count}")
    if retried.not_verifiable:
        click.echo(f"cannot be verified again: {retried.not_verifiable}")
