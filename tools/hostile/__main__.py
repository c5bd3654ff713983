"""Send hostile requests, map hostile payloads, and check that every promise was kept."""

import json
import logging
import signal
import sys
import time
from typing import Any

import click

from tools.hostile.run import Fault, Plan, Result, run

_SHOWN = 40


class _Progress:
    """Prints the progress of a long run every few seconds."""

    def __init__(self) -> None:
        self._printed_at = time.monotonic()

    def __call__(self, what: str, count: int) -> None:
        if time.monotonic() > self._printed_at + 5.0:
            self._printed_at = time.monotonic()
            click.echo(f"{count} {what}", err=True)


def _as_text(result: Result) -> str:
    lines = [json.dumps(result.figures, indent=2), *map(_line, result.faults[:_SHOWN])]
    if len(result.faults) > _SHOWN:
        lines.append(f"and {len(result.faults) - _SHOWN} more")
    return "\n".join([*lines, f"{len(result.faults)} faults"])


def _line(fault: Fault) -> str:
    return f"{fault.kind}: {fault.text}" + (f" ({fault.repeat})" if fault.repeat else "")


def _as_data(result: Result) -> dict[str, Any]:
    faults = [
        {"kind": fault.kind, "text": fault.text, "repeat": fault.repeat} for fault in result.faults
    ]
    return {**result.figures, "faults": faults}


@click.command(help=__doc__)
@click.option("--requests", type=click.IntRange(0), default=300, show_default=True)
@click.option("--payloads", type=click.IntRange(0), default=3000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--first", type=click.IntRange(0), default=0, help="Number of the first request and payload."
)
@click.option("--rate", type=float, default=5.0, help="Leads per second of the genuine sender.")
@click.option("--jobs", type=click.IntRange(1), default=2, help="Processes that map payloads.")
@click.option("--busy", is_flag=True, help="Repeat slow requests, for a busy machine.")
@click.option("--json", "as_json", is_flag=True, help="Print only JSON, at the end.")
def main(
    *,
    requests: int,
    payloads: int,
    seed: int,
    first: int,
    rate: float,
    jobs: int,
    busy: bool,
    as_json: bool,
) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    plan = Plan(
        requests=requests,
        payloads=payloads,
        seed=seed,
        first=first,
        rate=rate,
        jobs=jobs,
        is_busy=busy,
    )
    result = run(plan, (lambda *_: None) if as_json else _Progress())
    click.echo(json.dumps(_as_data(result), indent=2) if as_json else _as_text(result))
    sys.exit(bool(result.faults))


if __name__ == "__main__":
    main()
