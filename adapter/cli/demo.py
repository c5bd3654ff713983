"""``adapter demo``: the whole job, shown in half a minute."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from adapter.cli import formatting
from adapter.models import Booking, BookingState
from adapter.operations import serializers
from adapter.server import demo_scenario as job
from adapter.server.demo_scenario import Shown
from adapter.server.supervisor import ended_by_signals


def as_text(shown: Shown) -> str:
    """The tables at the end."""
    by_job = {booking.job_id: booking for booking in shown.bookings if booking.job_id}
    standing = [one for one in shown.appointments if one["status"] == "booked"]
    standing.sort(key=lambda one: one["starts_at"])
    held = [one for one in shown.bookings if one.state is BookingState.HELD]
    repeats = sum(sent.status == 200 and sent.sentence is None for sent in shown.sent)
    lines = ["", "In Knock (the sandbox) now stand:", "", _standing_table(standing, by_job), ""]
    lines += ["Held for a person:", ""]
    for booking in held:
        who = serializers.person(booking.appointment)
        lines += [f"  booking {booking.id} from {booking.source}: {who}"]
        said = (formatting.reason_line(reason) for reason in booking.reasons)
        lines += ["    " + line.replace(f"{shown.folder}/", "") for line in said]
    lines += ["", f"{repeats} webhook came twice: it was stored once and booked once."]
    lines += ["1 forged webhook was refused.", "", "Next: `make run`, and README.md."]
    return "\n".join(lines)


def _standing_table(standing: Sequence[Mapping[str, Any]], by_job: Mapping[str, Booking]) -> str:
    rows = []
    for one in standing:
        booking = by_job.get(one["job_id"])
        rows.append(
            (
                serializers.local(booking.starts_at, booking.timezone) if booking else None,
                one["starts_at"],
                booking.community if booking else one["community_id"],
                serializers.person(one["person"]),
                booking.source if booking else None,
                one["job_id"],
            )
        )
    return formatting.table(("local time", "UTC", "community", "person", "source", "job"), rows)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print events, bookings and appointments.")
def demo(as_json: bool) -> None:
    """Show the whole job: signed webhooks go in, tours stand in the sandbox's Knock.

    Starts its own PostgreSQL, web, worker and sandbox on free ports, with made-up secrets, and
    stops them at the end. Nothing leaves this machine.
    """
    with ended_by_signals():
        shown = job.show(say=lambda text: click.echo(text, err=as_json))
    if as_json:
        click.echo(json.dumps(shown.as_dict(), indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(shown))
    faults = shown.faults()
    for fault in faults:
        click.echo(f"adapter: {fault}", err=True)
    if faults:
        sys.exit(1)
