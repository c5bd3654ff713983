"""What people do with leads that wait: ``release``, ``confirm``, ``discard``, ``replay``."""

import datetime as dt
import json
import sys
from typing import Any, TypeVar

import click

from adapter.cli.leads import as_json, by_option, opened_store, source_option
from adapter.mapping import registry
from adapter.models import BookingState, EventState, utc_now
from adapter.operations.release import Repairs
from adapter.operations.replay import Difference, Replays
from adapter.propexo.appointment import value_from_text
from adapter.settings import settings_from
from adapter.store import Database

STATES = sorted({*map(str, BookingState), *map(str, EventState)})

Acts = TypeVar("Acts", Repairs, Replays)


def _acting(acts: type[Acts], store: Database) -> Acts:
    """Repairs or replays, over the store and the mappings of now."""
    settings = settings_from()
    known = registry.load(settings.mappings_dir, settings.policy)
    return acts(settings, store, known, utc_now)


def _changes(pairs: tuple[str, ...]) -> dict[str, Any]:
    """``("last_name=Roe", "desired_num_bedrooms=1, 2")`` → fields."""
    changes = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter("write --set field=value", param_hint="--set")
        changes[name] = value_from_text(name, text)
    return changes


@click.command()
@click.argument("id", type=int)
@click.option(
    "--set", "pairs", multiple=True, metavar="FIELD=VALUE", help="Change this first; many times."
)
@click.option(
    "--not-in-knock",
    is_flag=True,
    help="For an unknown booking: you have looked in Knock, and it is not there.",
)
@click.option("--anyway", is_flag=True, help="Although a newer request of the same person stands.")
@click.option("--any-hour", is_flag=True, help="Although it lies outside tour hours, or far ahead.")
@by_option
def release(
    id: int,
    pairs: tuple[str, ...],
    not_in_knock: bool,
    anyway: bool,
    any_hour: bool,
    by: str,
) -> None:
    """Send a held, failed, expired or unknown booking on its way, changed where need be.

    \b
    adapter release 1010 --set starts_at=2026-03-14T14:30 --set community=maple-court

    A lead without a time becomes a tour by starts_at. Where its guest card is made already, a tour
    is booked beside it.
    """  # noqa: D301 - click wants the character itself
    with opened_store(settings_from()) as store:
        booking = _acting(Repairs, store).release(
            id,
            _changes(pairs),
            by=by,
            is_not_in_knock=not_in_knock,
            is_wanted_anyway=anyway,
            is_any_hour=any_hour,
        )
    click.echo(f"booking {booking.id} is released: adapter show {booking.id}")


@click.command()
@click.argument("id", type=int)
@click.option("--reason", required=True, help="Why; it stays in the history.")
@by_option
def discard(id: int, reason: str, by: str) -> None:
    """Put a booking or a held event aside: done by hand, a test, not a lead."""
    with opened_store(settings_from()) as store:
        _acting(Repairs, store).discard(id, reason, by=by)
    click.echo(f"{id} is discarded")


@click.command()
@click.argument("id", type=int)
@by_option
def confirm(id: int, by: str) -> None:
    """Say that a tour stands in Knock: you have seen it there, or have booked it by hand.

    The booking counts as booked, so that the same tour from elsewhere is a duplicate.
    """
    with opened_store(settings_from()) as store:
        _acting(Repairs, store).confirm(id, by=by)
    click.echo(f"{id} is booked: you have seen it in Knock")


@click.command()
@click.argument("ids", nargs=-1, type=int, metavar="[ID]…")
@source_option
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="In this state.")
@click.option("--since", type=click.DateTime(), help="Received since then (UTC).")
@click.option("--until", type=click.DateTime(), help="Received before then (UTC).")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--force",
    is_flag=True,
    help="Also what is booked, put aside or past: a renter may get a second mail.",
)
@click.option("--reason", help="Why it is forced; it stays in the history.")
@by_option
@as_json
def replay(
    ids: tuple[int, ...],
    source: str | None,
    states: tuple[str, ...],
    since: dt.datetime | None,
    until: dt.datetime | None,
    limit: int,
    dry_run: bool,
    force: bool,
    reason: str | None,
    by: str,
    as_json: bool,
) -> None:
    """Map stored webhooks again, after a mapping was mended.

    What is on its way, booked, put aside or past is left alone. --force with a --reason books once
    more what was booked, whatever came before it, and holds a past tour for a person who picks
    another time; what is on its way or unknown is left alone even then.
    """
    if not (ids or source or states or since):
        raise click.UsageError("name IDs, or choose by --source, --state, --since")
    if force and not reason:
        raise click.UsageError("--force needs --reason: it stays in the history")
    with opened_store(settings_from()) as store:
        with store.transaction() as tx:
            chosen = tx.events.ids_to_replay(
                ids=ids,
                source=source,
                states=states,
                since=since.replace(tzinfo=dt.UTC) if since else None,
                until=until.replace(tzinfo=dt.UTC) if until else None,
                limit=limit,
            )
        replays = _acting(Replays, store)
        found = [
            replays.replay(
                event_id, by=by, dry_run=dry_run, forced_because=reason if force else None
            )
            for event_id in chosen
        ]
    if as_json:
        click.echo(json.dumps({"events": [_as_dict(one) for one in found]}, indent=2))
    else:
        _print(found, dry_run=dry_run)
    if not found:
        sys.exit(1)


def _as_dict(one: Difference) -> dict[str, Any]:
    return {
        "event": one.event_id,
        "source": one.source,
        "outcome": one.outcome,
        "refusal": one.refusal,
        "changes": {name: list(pair) for name, pair in one.fields.items()},
    }


def _print(found: list[Difference], *, dry_run: bool) -> None:
    for one in found:
        if one.refusal is not None:
            click.echo(f"event {one.event_id} ({one.source}) is left alone: {one.refusal}")
            continue
        click.echo(f"event {one.event_id} ({one.source}): {one.outcome}")
        for name, (old, new) in one.fields.items():
            click.echo(f"  {name}: {json.dumps(old)} → {json.dumps(new)}")
    count = sum(one.refusal is None for one in found)
    word = "would be replayed" if dry_run else "replayed"
    click.echo(f"{count} of {len(found)} events {word}")
