"""``python -m bench [map] [verify] [acknowledge]``: prints the table of each section."""

import json
import os
import time
from pathlib import Path

import click

from adapter.exceptions import AdapterError
from bench import BenchError, acknowledging, mapping, pages, verification
from bench.machine import Machine
from bench.rounds import FULL, TINY, Effort
from bench.tables import Row, text_from_rows

SECTIONS = {
    "map": mapping.rows,
    "verify": verification.rows,
    "acknowledge": acknowledging.rows,
}
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.option("--write", is_flag=True, help="Also write docs/benchmarks.md (all sections).")
@click.option("--tiny", is_flag=True, help="One short round: shows that it works, no more.")
def main(sections: tuple[str, ...], as_json: bool, write: bool, tiny: bool) -> None:  # noqa: FBT001
    """Measures, as ratios side by side."""
    if write and (sections or tiny):
        raise click.UsageError("--write is for a whole run: name no section, and not --tiny")
    started, load_before = time.monotonic(), os.getloadavg()[0]
    rows = {
        name: measured(name, TINY if tiny else FULL, silent=as_json)
        for name in sections or SECTIONS
    }
    machine = Machine.seen(load_before=load_before, seconds=time.monotonic() - started)
    if as_json:
        tables = {name: [row.as_dict() for row in found] for name, found in rows.items()}
        click.echo(json.dumps({"machine": machine.as_dict(), "sections": tables}, indent=2))
    else:
        click.echo(machine.text())
    if write:
        PAGE.write_text(pages.page(machine, rows))


def measured(name: str, effort: Effort, *, silent: bool = False) -> list[Row]:
    """The rows of one section, printed as soon as they are there."""
    if not silent:
        click.echo(f"{name} …", err=True)
    try:
        rows = list(SECTIONS[name](effort))
    except (AdapterError, BenchError) as exc:
        raise click.ClickException(str(exc)) from exc
    if not silent:
        click.echo(f"{name}\n{text_from_rows(rows)}\n")
    return rows


if __name__ == "__main__":
    main(prog_name="python -m bench")
