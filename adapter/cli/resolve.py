"""Define ``adapter release``, ``confirm``, ``discard`` and ``replay``, which resolve leads."""

import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import (
    as_json,
    by_option,
    clock_of,
    opened_store,
    since_option,
    source_option,
    states_option,
    until_option,
)
from adapter.models import BookingState, EventState
from adapter.operations import serializers
from adapter.operations.live_sources import live_sources
from adapter.operations.release import Repairs
from adapter.operations.replay import Difference, Replays
from adapter.propexo.appointment import value_from_text
from adapter.settings import settings_from
from adapter.store import Database

Operation = TypeVar("Operation", Repairs, Replays)


def _build(operation: type[Operation], store: Database) -> Operation:
    """Create an instance of ``operation`` for this database and the current mappings."""
    settings = settings_from()
    return operation(settings, store, live_sources(settings, store).sources, clock_of(store))


def _changes(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Parse ``FIELD=VALUE`` options into a dictionary of field values."""
    changes = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter("must be FIELD=VALUE", param_hint="--set")
        changes[name] = value_from_text(name, text)
    return changes


@click.command(
    epilog=examples(
        "adapter release 1010",
        "adapter release 1010 --set starts_at=2026-03-14T14:30 --set community=maple-court",
        "adapter release 1010 --another-person",
    )
)
@click.argument("id", type=int)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Change this field before releasing the lead. May be repeated.",
)
@click.option(
    "--not-in-knock",
    "is_not_in_knock",
    is_flag=True,
    help="Confirm that you have checked Knock and the booking is not there.",
)
@click.option(
    "--anyway",
    "is_wanted_anyway",
    is_flag=True,
    help="Release the booking even if another request has replaced or canceled it.",
)
@click.option(
    "--another-person",
    "is_another_person",
    is_flag=True,
    help="Treat the renter as a different person, and move shared contact details to the notes.",
)
@click.option(
    "--any-hour",
    "is_any_hour",
    is_flag=True,
    help="Release the booking even if the tour is outside tour hours or far in the future.",
)
@by_option
def release(id: int, pairs: tuple[str, ...], by: str, **confirmed: bool) -> None:
    """Release a held, failed, expired or unknown booking.

    A released booking is sent to Propexo. Use --set to change fields first. To turn a lead without
    a tour time into a tour, set starts_at. If a guest card already exists, it is kept.
    """
    with opened_store(settings_from()) as store:
        booking = _build(Repairs, store).release(id, _changes(pairs), by=by, **confirmed)
    click.echo(f"Released booking {booking.id}; `adapter show {booking.id}` shows its progress.")


@click.command(epilog=examples('adapter discard 1010 --reason "booked by phone"'))
@click.argument("id", type=int)
@click.option("--reason", required=True, help="Record this reason in the history.")
@by_option
def discard(id: int, reason: str, by: str) -> None:
    """Discard a booking or a held webhook.

    Use this command for tests, for leads that were handled manually, and for webhooks that are not
    leads.
    """
    with opened_store(settings_from()) as store:
        _build(Repairs, store).discard(id, reason, by=by)
    click.echo(f"Discarded {id}.")


@click.command(epilog=examples("adapter confirm 1010"))
@click.argument("id", type=int)
@by_option
def confirm(id: int, by: str) -> None:
    """Mark a tour as booked after finding it in Knock.

    Use this command if you saw the tour in Knock or booked it there manually. If another source
    sends the same tour later, that lead becomes a duplicate.
    """
    with opened_store(settings_from()) as store:
        _build(Repairs, store).confirm(id, by=by)
    click.echo(f"Marked {id} as booked.")


@click.command(
    epilog=examples(
        "adapter replay --source rentfeed --state held --dry-run",
        "adapter replay 1008 1009",
        'adapter replay 1010 --force --reason "booked at the wrong community"',
    )
)
@click.argument("ids", nargs=-1, type=int, metavar="[ID]…")
@source_option
@states_option(BookingState, EventState)
@since_option
@until_option
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=1000,
    help="Replay at most this many webhooks.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option(
    "--force",
    is_flag=True,
    help="Also replay booked, discarded and past leads. Renters may get a second email.",
)
@click.option("--reason", help="Record this reason in the history. Required with --force.")
@by_option
@as_json
def replay(
    dry_run: bool, force: bool, reason: str | None, by: str, as_json: bool, **selection: Any
) -> None:
    """Map stored webhooks again after you fix a mapping.

    Leads that are booked, discarded, in the past or being sent are skipped. With --force and
    --reason, booked leads are booked again, and tours in the past are held so that an agent can
    choose another time. Leads that are being sent or unknown are always skipped.
    """
    if not any(selection[name] for name in ("ids", "source", "states", "since")):
        raise click.UsageError("specify IDs, or select leads with --source, --state or --since")
    if force and not reason:
        raise click.UsageError("--force requires --reason, which is recorded in the history")
    with opened_store(settings_from()) as store:
        with store.transaction() as tx:
            event_ids = tx.events.ids_to_replay(**selection)
        replays = _build(Replays, store)
        results = [
            replays.replay(
                event_id, by=by, dry_run=dry_run, forced_because=reason if force else None
            )
            for event_id in event_ids
        ]
    fields = "event=event_id source outcome not_booked refusal changes=fields"
    data = {"events": [serializers.dump(one, fields) for one in results]}
    output.show(data, "\n".join(_lines(results, dry_run=dry_run)), as_json=as_json)
    sys.exit(not results)


def _lines(results: list[Difference], *, dry_run: bool) -> Iterator[str]:
    for one in results:
        yield f"event {one.event_id} ({one.source}): {_outcome(one)}"
        yield from formatting.change_lines(one.fields)
    count = sum(one.refusal is None for one in results)
    verb = "would be replayed" if dry_run else "replayed"
    held = sum(one.refusal is None and one.outcome == "held" for one in results)
    yield f"{count} of {len(results)} events {verb}{f', {held} of them still held' if held else ''}"
    if dry_run and count > 1:
        yield (
            "Each event was judged by itself. If several are from one renter, the replay may merge "
            "or replace them."
        )


def _outcome(one: Difference) -> str:
    """Return an event's outcome, with the reason if it is skipped or its lead is not booked."""
    if one.refusal is not None:
        return f"skipped, {one.refusal}"
    still = "still " if one.not_booked and one.outcome == "held" else ""
    return ": ".join([f"{still}{one.outcome}", *one.not_booked])
