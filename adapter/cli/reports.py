"""What people look at: ``queue``, ``stats``, ``export``, ``backtest``, ``audit``."""

import dataclasses
import getpass
import json
import sys
from pathlib import Path
from typing import Any

import click

from adapter.cli import formatting, report_formatting
from adapter.cli.leads import (
    as_json,
    filter_from,
    filter_options,
    limit_option,
    opened_store,
    print_json,
)
from adapter.mapping import registry
from adapter.models import Booking, Event, utc_now
from adapter.operations import csv_export, report_serializers, serializers
from adapter.operations.advice import advice_for
from adapter.operations.backtest import MOST_EVENTS, Compared, backtest, recent
from adapter.operations.report_serializers import group_as_dict
from adapter.operations.status import overview_of
from adapter.settings import settings_from
from adapter.store import Group, ReviewQueue


@click.command()
@click.argument("group", required=False)
@limit_option
@as_json
def queue(group: str | None, limit: int, as_json: bool) -> None:
    """List what waits for a person, by what is wrong; or the leads of one GROUP.

    Each group says what is wrong and what to do. A mended mapping is applied to a group by
    `adapter replay`, a lead goes on by `release`, `confirm` or `discard`.
    """
    with opened_store(settings_from()) as store, store.transaction() as tx:
        waiting = tx.review_queue
        groups = waiting.groups(utc_now())
        if group is not None:
            _print_group(_group_named(group, groups), waiting, limit, as_json=as_json)
            return
    if as_json:
        print_json({"groups": [group_as_dict(one) for one in groups]})
    elif groups:
        click.echo(
            "\n\n".join(report_formatting.group_text(one, advice_for(one.issue)) for one in groups)
        )
    else:
        click.echo("nothing waits")


def _group_named(key: str, groups: list[Group]) -> Group:
    for one in groups:
        if one.issue.key == key:
            return one
    click.echo(f"adapter: no group {key} waits any more; adapter queue lists them", err=True)
    sys.exit(1)


def _print_group(group: Group, waiting: ReviewQueue, limit: int, *, as_json: bool) -> None:
    found: list[Booking] | list[Event]
    if group.issue.kind == "event":
        found = waiting.events_of(group.issue, limit=limit)
        shown = [serializers.event_as_dict(one) for one in found]
        text = formatting.events_table(found)
    else:
        found = waiting.bookings_of(group.issue, limit=limit)
        shown = [serializers.booking_as_dict(one) for one in found]
        text = formatting.bookings_table(found)
    if as_json:
        print_json(group_as_dict(group) | {"waiting": shown})
    else:
        click.echo(report_formatting.group_text(group, advice_for(group.issue)) + "\n\n" + text)


@click.command()
@as_json
def stats(as_json: bool) -> None:
    """Tell whether all is well: sources against their usual, the queue, sending, speed."""
    settings = settings_from()
    known = registry.load(settings.mappings_dir, settings.policy)
    with opened_store(settings) as store:
        found = overview_of(store, known, settings, utc_now())
    if as_json:
        print_json(report_serializers.overview_as_dict(found))
    else:
        click.echo(report_formatting.overview_text(found))


@click.command()
@filter_options
@click.option("--sums", is_flag=True, help="Counts for each source and community instead.")
@as_json
def export(sums: bool, as_json: bool, **chosen: Any) -> None:
    """Print bookings as CSV, or with --sums what to compare a portal's invoice with.

    \b
    adapter export --since 2026-03-01 --until 2026-04-01 --sums > march.csv
    """  # noqa: D301 - click wants the character itself
    if as_json and not sums:
        raise click.UsageError(
            "--json goes with --sums; the bookings as JSON: adapter bookings --json"
        )
    which = filter_from(**chosen)
    with opened_store(settings_from()) as store:
        with store.transaction() as tx:
            detail = csv_export.filter_text(which)
            tx.audit.record("exported", by=getpass.getuser(), at=utc_now(), detail=detail)
        if sums:
            lines = csv_export.sums(store, which)
            click.echo(_sums_text(lines, as_json=as_json), nl=False)
            return
        for piece in csv_export.bookings_csv(store, which):
            click.echo(piece, nl=False)


def _sums_text(lines: list[dict[str, Any]], *, as_json: bool) -> str:
    return json.dumps({"sums": lines}, indent=2) + "\n" if as_json else csv_export.sums_csv(lines)


@click.command("backtest")
@click.argument("name", metavar="SOURCE")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--last", type=click.IntRange(1, MOST_EVENTS), default=100, show_default=True, help="Webhooks."
)
@as_json
def backtest_(name: str, file: Path, last: int, as_json: bool) -> None:
    """Show what an edited mapping would change over the last stored webhooks of SOURCE.

    FILE is the edited mapping. Nothing is sent and nothing is stored. The exit code is 1 where
    something would change.
    """
    settings = settings_from()
    edited = registry.load_text(
        settings.mappings_dir, name, file.read_text("utf-8"), settings.policy
    )
    present = registry.load(settings.mappings_dir, settings.policy).get(name)
    with opened_store(settings) as store:
        with store.transaction() as tx:
            tx.audit.record("backtested", by=getpass.getuser(), at=utc_now(), detail=name)
        found = list(backtest(present, edited, recent(store, name, last)))
    if as_json:
        print_json({"events": [_compared_as_dict(one) for one in found]})
    else:
        _print_compared(found)
    sys.exit(any(one.fields for one in found))


def _compared_as_dict(one: Compared) -> dict[str, Any]:
    return dataclasses.asdict(one) | {
        "received_at": serializers.utc(one.received_at),
        "fields": {name: list(pair) for name, pair in one.fields.items()},
    }


def _print_compared(found: list[Compared]) -> None:
    for one in found:
        if not one.fields:
            continue
        click.echo(f"event {one.event_id}: {one.before or '-'} → {one.after}")
        for name, (old, new) in one.fields.items():
            click.echo(f"  {name}: {json.dumps(old)} → {json.dumps(new)}")
        for reason in one.reasons:
            click.echo(f"  {reason}")
    changed = sum(bool(one.fields) for one in found)
    click.echo(f"{changed} of {len(found)} webhooks would change")


@click.command()
@click.option("--by", help="Only what this person did.")
@click.option("--lead", type=int, help="Only what was done with this event or booking.")
@limit_option
@as_json
def audit(by: str | None, lead: int | None, limit: int, as_json: bool) -> None:
    """List who looked at, released, edited, discarded, confirmed, replayed and exported what."""
    with opened_store(settings_from()) as store, store.transaction() as tx:
        found = tx.audit.entries(by=by, lead_id=lead, limit=limit)
    if as_json:
        shown = [dataclasses.asdict(act) | {"at": serializers.utc(act.at)} for act in found]
        print_json({"acts": shown})
        return
    rows = ((serializers.utc(act.at), act.by, act.action, act.lead_id, act.detail) for act in found)
    click.echo(formatting.table(("at", "by", "act", "lead", "detail"), rows))
