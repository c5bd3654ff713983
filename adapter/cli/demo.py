"""``adapter demo``: show the whole adapter in half a minute."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.models import Booking, BookingState
from adapter.operations import serializers
from adapter.server import demo_scenario
from adapter.server.demo_scenario import Result
from adapter.server.signals import exit_on_signals


def as_text(result: Result) -> str:
    """Return the tables at the end."""
    by_job = {booking.job_id: booking for booking in result.bookings if booking.job_id}
    booked = [one for one in result.appointments if one["status"] == "booked"]
    booked.sort(key=lambda one: one["starts_at"])
    held = [one for one in result.bookings if one.state is BookingState.HELD]
    repeats = sum(sent.status == 200 and sent.sentence is None for sent in result.sent)
    lines = ["", "Booked in Knock (the sandbox):", "", _booked_table(booked, by_job), ""]
    lines += ["Needs review:", ""]
    for booking in held:
        who = serializers.person(booking.appointment)
        lines += [f"  booking {booking.id} from {booking.source}: {who}"]
        reasons = (formatting.reason_line(reason) for reason in booking.reasons)
        lines += ["    " + line.replace(f"{result.folder}/", "") for line in reasons]
    lines += ["", f"{repeats} webhook was sent twice: it was stored once and booked once."]
    lines += ["1 forged webhook was rejected.", "", "Next: `make run`, and README.md."]
    return "\n".join(lines)


def _booked_table(booked: Sequence[Mapping[str, Any]], by_job: Mapping[str, Booking]) -> str:
    rows = []
    for one in booked:
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


@click.command(epilog=examples("adapter demo"))
@click.option("--json", "as_json", is_flag=True, help="Print events, bookings and appointments.")
def demo(as_json: bool) -> None:
    """Book tours in a sandbox from signed sample webhooks.

    Starts its own PostgreSQL, web, worker and sandbox on free ports, with random secrets, and
    stops them at the end. Nothing leaves this machine.
    """
    with exit_on_signals():
        result = demo_scenario.run(lambda text: click.echo(text, err=as_json))
    data = serializers.dump(result, "sent events bookings appointments")
    output.show(data, as_text(result), as_json=as_json)
    if faults := result.faults():
        output.fail("; ".join(faults))
