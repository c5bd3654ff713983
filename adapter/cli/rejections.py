"""``rejections``: list rejected requests, show one, and retry those of a source."""

import dataclasses
import getpass
import sys

import click

from adapter.cli import report_formatting
from adapter.cli.help import examples
from adapter.cli.leads import as_json, limit_option, opened_store, print_json, source_option
from adapter.mapping.registry import load_one
from adapter.operations import readmit, report_serializers
from adapter.services import pipeline_from
from adapter.settings import settings_from
from adapter.webhooks.endpoints import build_endpoint


@click.group(
    "rejections",
    invoke_without_command=True,
    epilog=examples(
        "adapter rejections --source rentfeed",
        "adapter rejections show 12",
        "adapter rejections retry rentfeed --dry-run",
    ),
)
@source_option
@limit_option
@as_json
@click.pass_context
def listing(context: click.Context, source: str | None, limit: int, as_json: bool) -> None:
    """List rejected requests, newest first.

    `retry` verifies them again and accepts those that pass.
    """
    if context.invoked_subcommand is not None:
        return
    with opened_store(settings_from()) as store, store.transaction() as tx:
        rejections = tx.rejections.newest(source=source, limit=limit)
    if as_json:
        data = [report_serializers.rejection_as_dict(rejection) for rejection in rejections]
        print_json({"rejections": data})
    else:
        click.echo(report_formatting.rejections_table(rejections))


@listing.command(epilog=examples("adapter rejections show 12"))
@click.argument("id", type=click.IntRange(min=1))
def show(id: int) -> None:
    """Print one rejected request as JSON, with its body. It contains personal data."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        rejection = tx.rejections.get(id)
    if rejection is None:
        click.echo(
            f"adapter: there is no rejected request {id}; `adapter rejections` lists them", err=True
        )
        sys.exit(1)
    print_json(report_serializers.whole_rejection_as_dict(rejection))


@listing.command(
    epilog=examples(
        "adapter rejections retry rentfeed --dry-run", "adapter rejections retry rentfeed"
    )
)
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only count what would be accepted.")
@as_json
def retry(source: str, dry_run: bool, as_json: bool) -> None:
    """Verify SOURCE's rejected requests with the current secrets and accept those that pass.

    A signed timestamp is compared with the time the request was received. A request that was
    accepted in the meantime counts as a repeat and is not booked again.
    """
    settings = settings_from()
    known = load_one(settings.mappings_dir, source, settings.policy)
    verifier = build_endpoint(known, settings).verifier
    with opened_store(settings) as store:
        pipeline = pipeline_from(settings, store)
        by = getpass.getuser()
        retried = readmit.retry(pipeline.receiver, known, verifier, by=by, dry_run=dry_run)
    if as_json:
        print_json(dataclasses.asdict(retried) | {"dry_run": dry_run})
        return
    click.echo(("would be accepted" if dry_run else "accepted") + f": {retried.accepted}")
    click.echo(f"repeated: {retried.repeated}")
    for reason, count in sorted(retried.refused.items()):
        click.echo(f"still rejected, {reason}: {count}")
    if retried.not_verifiable:
        click.echo(f"cannot be verified again: {retried.not_verifiable}")
