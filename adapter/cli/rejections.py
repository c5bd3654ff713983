"""Define ``adapter rejections``, which lists, shows and retries rejected requests."""

import dataclasses
import getpass
import sys

import click

from adapter.cli import formatting, output, report_formatting
from adapter.cli.help import examples
from adapter.cli.leads import as_json, limit_option, opened_store, source_option
from adapter.mapping.registry import load_one
from adapter.operations import readmit, report_serializers
from adapter.services import pipeline_from
from adapter.settings import settings_from
from adapter.store import Undecryptable
from adapter.webhooks.endpoints import build_endpoint


@click.group(
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
def rejections(context: click.Context, source: str | None, limit: int, as_json: bool) -> None:
    """List rejected requests, newest first.

    Use `retry` to verify these requests again and accept those that are valid now.
    """
    if context.invoked_subcommand is not None:
        return
    with opened_store(settings_from()) as store, store.transaction() as tx:
        newest = tx.rejections.newest(source=source, limit=limit)
    data = {"rejections": [report_serializers.rejection_as_dict(one) for one in newest]}
    output.show(data, report_formatting.rejections_table(newest), as_json=as_json)


@rejections.command(epilog=examples("adapter rejections show 12"))
@click.argument("id", type=click.IntRange(min=1))
def show(id: int) -> None:
    """Print a rejected request as JSON. The request's body contains personal data."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        rejection = tx.rejections.get(id)
    if rejection is None:
        output.fail(f"there is no rejected request {id}; `adapter rejections` lists them")
    output.print_json(report_serializers.whole_rejection_as_dict(rejection))


@rejections.command(
    epilog=examples(
        "adapter rejections retry rentfeed --dry-run", "adapter rejections retry rentfeed"
    )
)
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Only count the requests that would be accepted.")
@as_json
def retry(source: str, dry_run: bool, as_json: bool) -> None:
    """Verify a source's rejected requests again, and accept the valid ones.

    Signed timestamps are compared with the time when the request was received. A request that was
    accepted in the meantime counts as a repeat and is not booked again. If a request's encryption
    key is not set, the request is skipped and listed, and the exit code is 1.
    """
    settings = settings_from()
    known = load_one(settings.mappings_dir, source, settings.policy)
    verifier = build_endpoint(known, settings).verifier
    with opened_store(settings) as store:
        pipeline = pipeline_from(settings, store)
        by = getpass.getuser()
        retried = readmit.retry(pipeline.receiver, known, verifier, by=by, dry_run=dry_run)
    counts = {"would be accepted" if dry_run else "accepted": retried.accepted}
    counts |= {"repeated": retried.repeated}
    counts |= {f"still rejected, {why}": count for why, count in sorted(retried.refused.items())}
    if retried.not_verifiable:
        counts["cannot be verified again"] = retried.not_verifiable
    lines = [f"{title}: {count}" for title, count in counts.items()]
    lines += formatting.undecryptable_lines(Undecryptable(rejections=retried.undecryptable))
    data = dataclasses.asdict(retried) | {"dry_run": dry_run}
    output.show(data, "\n".join(lines), as_json=as_json)
    sys.exit(bool(retried.undecryptable))
