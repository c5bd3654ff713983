"""Inject faults of all kinds at the same time, then check that no lead was lost or booked twice."""

import contextlib
import json
import logging
import signal
import sys

import click

from tools.chaos import report
from tools.chaos.leads import WAVERINGS
from tools.chaos.rounds import Plan, Round, run


def _words(_context: click.Context, _option: click.Parameter, text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(1, 1000), default=2, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--people", type=click.IntRange(1, 100), default=8, show_default=True)
@click.option(
    "--without",
    callback=_words,
    default="",
    metavar="WORD,…",
    help="Skip these audits (order, rate …), faults (401 …) or sender behaviors (twins …).",
)
@click.option(
    "--change", type=click.Choice(WAVERINGS), help="Have all people change their requests this way."
)
@click.option(
    "--patience",
    type=float,
    default=150.0,
    help="Maximum seconds to wait until a round is settled.",
)
@click.option("--fail-fast", is_flag=True, help="Stop after the first round with a fault.")
@click.option("--json", "as_json", is_flag=True, help="Print only JSON, at the end.")
def main(
    *,
    rounds: int,
    seed: int,
    people: int,
    without: frozenset[str],
    change: str | None,
    patience: float,
    fail_fast: bool,
    as_json: bool,
) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # it reports each injected fault
    done: list[Round] = []
    plan = Plan(
        rounds=rounds,
        seed=seed,
        people=people,
        without=without,
        change=change,
        patience_seconds=patience,
    )
    with contextlib.closing(run(plan)) as running:
        for one in running:
            done.append(one)
            if not as_json:
                click.echo(report.line(one))
            if fail_fast and one.findings.faults:
                break
    click.echo(json.dumps(report.as_data(done), indent=2) if as_json else report.as_text(done))
    sys.exit(any(one.findings.faults for one in done))


if __name__ == "__main__":
    main()
