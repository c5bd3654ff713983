"""``adapter demo``: the whole job, shown in half a minute."""

import json
import sys

import click

from adapter import demo as job
from adapter.processes import ended_by_signals


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
        click.echo(job.as_text(shown))
    faults = shown.faults()
    for fault in faults:
        click.echo(f"adapter: {fault}", err=True)
    if faults:
        sys.exit(1)
