"""Define the reporting commands, such as ``queue``, ``decisions``, ``stats`` and ``audit``."""

import datetime as dt
import getpass
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from adapter.cli import formatting, output, report_formatting
from adapter.cli.help import examples
from adapter.cli.leads import (
    as_json,
    clock_of,
    filter_options,
    limit_option,
    opened_store,
    read_period,
    source_option,
)
from adapter.cli.valid_mappings import valid_sources
from adapter.exceptions import StoreUnavailable
from adapter.mapping import overlay, registry
from adapter.models import utc_now
from adapter.operations import csv_export, report_serializers
from adapter.operations.backtest import MOST_EVENTS, Compared, compare_mappings, recent
from adapter.operations.decision_report import decision_report
from adapter.operations.health import Verdict, unreachable, verdict_of
from adapter.operations.live_sources import live_sources
from adapter.operations.report_serializers import group_as_dict, verdict_as_dict
from adapter.operations.status import overview_of
from adapter.settings import Settings, settings_from
from adapter.store import Filter, ReviewQueue


@click.command(epilog=examples("adapter queue", "adapter queue 3f9a1c02 --limit 10"))
@click.argument("group", required=False)
@limit_option
@as_json
def queue(group: str | None, limit: int, as_json: bool) -> None:
    """List leads that need review, grouped by problem.

    Each group shows the problem and how to fix it. With GROUP, the command lists the leads in that
    group. After fixing a mapping, run `adapter replay`. For a single lead, use `adapter release`,
    `confirm` or `discard`.
    """
    settings = settings_from()
    with opened_store(settings) as store, store.transaction() as tx:
        if group is not None:
            _show_group(tx.review_queue, group, limit, as_json=as_json)
            return
        names = registry.names_in(settings.mappings_dir)
        verdict = verdict_of(store, names, settings, utc_now())
        groups, pauses = tx.review_queue.groups(utc_now()), tx.send_queue.pauses()
        changed = {one.source for one in tx.formats.changes(names)}
    texts = [report_formatting.group_text(one, changed) for one in groups]
    texts = texts or ["Nothing needs review."]
    head = "\n".join((verdict.headline, *verdict.notes, *report_formatting.pause_lines(pauses)))
    data = {"groups": [group_as_dict(one) for one in groups], "pauses": pauses}
    output.show(verdict_as_dict(verdict) | data, "\n\n".join([head, *texts]), as_json=as_json)


def _show_group(review_queue: ReviewQueue, key: str, limit: int, *, as_json: bool) -> None:
    group = review_queue.group(key, utc_now())
    if group is None:
        output.fail(f"there is no group {key}; `adapter queue` lists the groups")
    leads: Any = review_queue.leads(group.issue, limit=limit)
    is_event = group.issue.kind == "event"
    table = formatting.events_table if is_event else formatting.bookings_table
    text = f"{report_formatting.group_text(group)}\n\n{table(leads)}"
    output.show(group_as_dict(group) | {"waiting": leads}, text, as_json=as_json)


@click.command(epilog=examples("adapter decisions", "adapter decisions --since 7d --json"))
@click.option(
    "--since",
    "period",
    default="1d",
    callback=read_period,
    metavar="PERIOD",
    help="Report on this period, such as 12h or 7d.",
)
@source_option
@as_json
def decisions(period: dt.timedelta, source: str | None, as_json: bool) -> None:
    """Report the leads that the adapter handled automatically.

    The report contains leads that were merged, replaced, discarded or ignored automatically, and
    email addresses and phone numbers that several people share. To undo a decision, run `adapter
    release ID` with --anyway or --another-person.
    """
    settings = settings_from()
    with opened_store(settings) as store:
        report = decision_report(store, settings.policy, utc_now(), period, source)
    data = report_serializers.decisions_as_dict(report)
    output.show(data, report_formatting.decisions_text(report), as_json=as_json)


@click.command(epilog=examples("adapter stats", "adapter stats --check || mail -s adapter ops"))
@click.option(
    "--check",
    "is_check",
    is_flag=True,
    help="Print only problems, and exit with code 1 for warnings or 2 if something is broken.",
)
@as_json
def stats(is_check: bool, as_json: bool) -> None:
    """Show problems, sources, the send queue and recent outcomes."""
    settings = settings_from()
    names = registry.names_in(settings.mappings_dir)
    if is_check:
        verdict = _verdict(settings, names)
        text = report_formatting.verdict_text(verdict)
        output.show(verdict_as_dict(verdict), text, as_json=as_json)
        sys.exit(verdict.exit_code)
    with opened_store(settings) as store:
        overview = overview_of(store, names, settings, utc_now())
    data = report_serializers.overview_as_dict(overview)
    output.show(data, report_formatting.overview_text(overview), as_json=as_json)


def _verdict(settings: Settings, names: Sequence[str]) -> Verdict:
    """Return the verdict for a monitoring check, which a stranger's requests must not change."""
    try:
        with opened_store(settings) as store:
            now = clock_of(store)()
            return verdict_of(store, names, settings, now, includes_suspicions=False)
    except StoreUnavailable as exc:
        return unreachable(str(exc), utc_now())


@click.command(
    epilog=examples(
        "adapter export --source rentfeed > bookings.csv",
        "adapter export --since 2026-03-01 --until 2026-04-01 --sums > march.csv",
    )
)
@filter_options
@click.option(
    "--sums", is_flag=True, help="Print counts for each source and community instead of bookings."
)
@as_json
def export(sums: bool, as_json: bool, **options: Any) -> None:
    """Export bookings as CSV.

    With --sums, the output contains only counts, which you can compare with a portal's invoice.
    """
    if as_json and not sums:
        raise click.UsageError(
            "--json requires --sums; for bookings as JSON, use `adapter bookings --json`"
        )
    selection = Filter(**options)
    with opened_store(settings_from()) as store:
        with store.transaction() as tx:
            detail = csv_export.filter_text(selection)
            tx.audit.record("exported", by=getpass.getuser(), at=utc_now(), detail=detail)
        if sums:
            with store.transaction() as tx:
                rows = tx.search.lead_totals(selection)
            if as_json:
                output.print_json({"sums": rows})
            else:
                click.echo(csv_export.sums_csv(rows), nl=False)
            return
        for chunk in csv_export.bookings_csv(store, selection):
            click.echo(chunk, nl=False)


@click.command(epilog=examples("adapter backtest rentfeed rentfeed-edited.yaml --last 500"))
@click.argument("name", metavar="SOURCE")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--last",
    type=click.IntRange(1, MOST_EVENTS),
    default=100,
    help="Compare this many of the latest stored webhooks.",
)
@as_json
def backtest(name: str, file: Path, last: int, as_json: bool) -> None:
    """Compare an edited mapping with the current one.

    FILE is the edited mapping. The command applies both mappings to the latest stored webhooks from
    SOURCE and prints the differences. Nothing is sent or changed. The exit code is 1 if there are
    differences.
    """
    settings = settings_from()
    edited = registry.load_text(
        settings.mappings_dir, name, file.read_text("utf-8"), settings.policy
    )
    files = valid_sources(settings)
    with opened_store(settings) as store:
        live = live_sources(settings, store, files=files)
        current, edited = live.sources.get(name), overlay.with_communities(edited, live.overrides)
        with store.transaction() as tx:
            tx.audit.record("backtested", by=getpass.getuser(), at=utc_now(), detail=name)
        compared = list(compare_mappings(current, edited, recent(store, name, last)))
    output.show({"events": compared}, "\n".join(_compared_lines(compared)), as_json=as_json)
    sys.exit(any(one.fields for one in compared))


def _compared_lines(compared: list[Compared]) -> Iterator[str]:
    changed = [one for one in compared if one.fields]
    for one in changed:
        yield f"event {one.event_id}: {one.before or '-'} → {one.after}"
        yield from formatting.change_lines(one.fields)
        yield from (f"  {reason}" for reason in one.reasons)
    yield f"{len(changed)} of {len(compared)} webhooks would change"


@click.command(epilog=examples("adapter audit --by ana", "adapter audit --lead 1010"))
@click.option("--by", help="Show only actions by this user.")
@click.option("--lead", type=int, help="Show only actions on this event or booking.")
@limit_option
@as_json
def audit(by: str | None, lead: int | None, limit: int, as_json: bool) -> None:
    """List users' actions, such as views, releases and discards."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        acts = tx.audit.entries(by=by, lead_id=lead, limit=limit)
    rows = ((act.at, act.by, act.action, act.lead_id, act.detail) for act in acts)
    text = formatting.table(("at", "user", "action", "lead", "detail"), rows)
    output.show({"acts": acts}, text, as_json=as_json)
