"""Run random sequences, and print the shortest one that violates each rule."""

import logging
import sys
import time

import click

from tools.people.promises import PROMISES
from tools.people.search import faults_of, play_random, shortest_story
from tools.people.sequences import NAMED
from tools.people.world import Ground, own_ground


@click.command(help=__doc__)
@click.option("--sequences", "count", type=click.IntRange(0), default=1000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--named", metavar="TEXT", help="Play the named sequences with this text instead.")
@click.option("--stories/--no-stories", default=True, help="Print the shortest failing sequences.")
def main(*, count: int, seed: int, named: str | None, stories: bool) -> None:
    logging.disable(logging.CRITICAL)  # rejections and timeouts are expected
    with own_ground() as ground:
        if named is not None:
            sys.exit(play_named(ground, named))
        began = time.monotonic()
        failing = play_random(ground, count, seed)
        rate = count / (time.monotonic() - began)
        click.echo(f"{count} sequences of seed {seed}, {rate:.1f} a second")
        for promise in PROMISES:
            click.echo(f"{promise:20} broken by {len(failing[promise])}")
        for promise, found in failing.items() if stories else ():
            if found:
                click.echo(f"\n=== {promise}\n" + shortest_story(ground, promise, found))
    sys.exit(any(failing.values()))


def play_named(ground: Ground, text: str) -> bool:
    """Run named sequences and print reports. Return True if any violated a rule."""
    failed = False
    for name, sequence in NAMED.items():
        if text in name:
            promises, told = faults_of(ground, sequence)
            click.echo(f"\n=== {name}\n{told}")
            failed = failed or bool(promises)
    return failed


if __name__ == "__main__":
    main()
