"""Print the table of each benchmark section (``python -m bench [SECTION…]``, default: all)."""

import dataclasses
import json
import os
import time
from pathlib import Path

import click

from adapter.exceptions import AdapterError
from bench import (
    BenchError,
    acknowledging,
    charts,
    console_pages,
    cpu,
    draining,
    growth,
    latency,
    mapping,
    pages,
    starting,
    verification,
)
from bench.machine import Machine
from bench.rounds import FULL, TINY, Effort
from bench.tables import Row, text_from_rows

SECTIONS = {
    "map": mapping.rows,
    "verify": verification.rows,
    "acknowledge": acknowledging.rows,
    "drain": draining.rows,
    "latency": latency.rows,
    "cpu": cpu.rows,
    "start": starting.rows,
    "console": console_pages.rows,
    "growth": growth.rows,
}
#: The whole run must end within ten minutes, so a section that would start later than this is
#: skipped.
LATEST_START_SECONDS = {"growth": 455.0, "console": 510.0}
LONGEST_SECONDS = 540.0
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--write", is_flag=True, help="Also write docs/benchmarks.md (all sections).")
@click.option("--tiny", is_flag=True, help="Run one short round to test the benchmarks themselves.")
@click.option(
    "--server", help="URL of a running PostgreSQL server in which to create the databases."
)
def main(
    *, sections: tuple[str, ...], as_json: bool, write: bool, tiny: bool, server: str | None
) -> None:
    """Measure the adapter's performance relative to baselines."""
    if write and (sections or tiny or server):
        raise click.UsageError("--write needs a full run; remove the sections, --tiny and --server")
    effort = dataclasses.replace(TINY if tiny else FULL, server=server)
    started, load_before = time.monotonic(), os.getloadavg()[0]
    rows = {}
    for name in sections or SECTIONS:
        if time.monotonic() - started > LATEST_START_SECONDS.get(name, LONGEST_SECONDS):
            click.echo(f"skipping {name}: it could not finish within ten minutes", err=True)
            continue
        rows[name] = measured(name, effort, silent=as_json)
    machine = Machine.seen(load_before=load_before, seconds=time.monotonic() - started)
    if as_json:
        tables = {name: [row.as_dict() for row in found] for name, found in rows.items()}
        click.echo(json.dumps({"machine": machine.as_dict(), "sections": tables}, indent=2))
    else:
        click.echo(machine.text())
    if write:
        made = charts.write(PAGE.parent, rows)
        PAGE.write_text(pages.page(machine, rows, made))


def measured(name: str, effort: Effort, *, silent: bool = False) -> list[Row]:
    """Return the rows of one section, and print them as soon as they are measured."""
    if not silent:
        click.echo(f"{name} …", err=True)
    began = time.monotonic()
    try:
        rows = list(SECTIONS[name](effort))
    except (AdapterError, BenchError, OSError) as exc:
        raise click.ClickException(f"{name}: {exc}") from exc
    if not silent:
        click.echo(f"  {time.monotonic() - began:.0f} s", err=True)
        click.echo(f"{name}\n{text_from_rows(rows)}\n")
    return rows


if __name__ == "__main__":
    main(prog_name="python -m bench")
