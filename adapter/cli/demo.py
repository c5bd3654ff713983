"""Define ``adapter demo``, which demonstrates the whole adapter in 30 seconds."""

from collections.abc import Sequence
from operator import attrgetter

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.models import Booking, BookingState
from adapter.operations import serializers
from adapter.server import demo_scenario
from adapter.server.demo_scenario import Result
from adapter.server.signals import exit_on_signals


def as_text(result: Result) -> str:
    """Summarize the demo's results as text."""
    booked = [one for one in result.bookings if one.state is BookingState.BOOKED]
    held = [one for one in result.bookings if one.state is BookingState.HELD]
    repeats = sum(
        isinstance(sent.answer, dict) and sent.answer.get("status") == "duplicate"
        for sent in result.sent
    )
    lines = ["", "Booked in Knock (the sandbox):", "", _booked_table(booked), ""]
    lines += ["Needs review:", ""]
    for booking in held:
        who = serializers.person(booking.appointment)
        lines += [f"  booking {booking.id} from {booking.source}: {who}"]
        reasons = (formatting.reason_line(reason) for reason in booking.reasons)
        lines += ["    " + line.replace(f"{result.folder}/", "") for line in reasons]
    lines += ["", f"{repeats} webhook was sent twice, stored once and booked once."]
    lines += [
        "1 forged webhook was rejected.",
        "",
        "Next: run `adapter init leads` to create a folder for running the adapter.",
    ]
    return "\n".join(lines)


def _booked_table(booked: Sequence[Booking]) -> str:
    rows = [
        (
            serializers.local(one.starts_at, one.timezone),
            one.starts_at,
            one.community,
            serializers.person(one.appointment),
            one.source,
            one.job_id,
        )
        for one in sorted(booked, key=attrgetter("starts_at"))
    ]
    return formatting.table(("local time", "UTC", "community", "person", "source", "job"), rows)


@click.command(epilog=examples("adapter demo"))
@click.option(
    "--json", "as_json", is_flag=True, help="Print the events, bookings and appointments as JSON."
)
def demo(as_json: bool) -> None:
    """Book tours in a sandbox from signed sample webhooks.

    The demo starts its own PostgreSQL, web, worker and sandbox on free ports with random secrets,
    and stops them at the end. The demo sends nothing to other machines.
    """
    with exit_on_signals():
        result = demo_scenario.run(lambda text: click.echo(text, err=as_json))
    data = serializers.dump(result, "sent events bookings appointments")
    output.show(data, as_text(result), as_json=as_json)
    if faults := result.faults():
        output.fail("; ".join(faults))
