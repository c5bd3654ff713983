"""Find sequences that violate a rule, and shorten them."""

import collections
import dataclasses
from collections.abc import Callable, Iterator

from tools.people.promises import broken
from tools.people.sequences import Draw
from tools.people.steps import MAPLE, Ask, Cancel, Meanwhile, Play, Step
from tools.people.story import story
from tools.people.world import Ground, World


def faults_of(ground: Ground, sequence: Play) -> tuple[set[str], str]:
    """Run a sequence. Return the rules that it violates, and its report."""
    world = World(ground)
    record = world.play(sequence)
    faults = broken(record)
    return {fault.promise for fault in faults}, story(sequence, world, record, faults)


def shortest(sequence: Play, fails: Callable[[Play], bool]) -> Play:
    """Remove and simplify steps as long as the sequence still violates the rule."""
    position = 0
    while position < len(sequence):
        before, step, after = sequence[:position], sequence[position], sequence[position + 1 :]
        plainer = [before + after, *((*before, one, *after) for one in _plainer(step))]
        shorter = next((one for one in plainer if one and fails(one)), None)
        position = position + 1 if shorter is None else 0
        sequence = shorter or sequence
    return sequence


def _plainer(step: Step) -> Iterator[Step]:
    if isinstance(step, Meanwhile):
        yield step.step
    elif isinstance(step, Ask | Cancel) and step.late:
        yield dataclasses.replace(step, late=0.0)
    elif isinstance(step, Ask) and step.key != "same":
        yield dataclasses.replace(step, key="same")
    elif isinstance(step, Ask) and step.contact != "all":
        yield dataclasses.replace(step, contact="all")
    elif isinstance(step, Ask) and step.place != MAPLE:
        yield dataclasses.replace(step, place=MAPLE)


def play_random(ground: Ground, count: int, seed: int) -> dict[str, list[Play]]:
    """Run ``count`` sequences. Return the sequences that violated a rule, keyed by rule."""
    failing: dict[str, list[Play]] = collections.defaultdict(list)
    draw = Draw(seed)
    for _ in range(count):
        sequence = draw.sequence()
        for promise in faults_of(ground, sequence)[0]:
            failing[promise].append(sequence)
    return failing


def shortest_story(ground: Ground, promise: str, found: list[Play]) -> str:
    """Return the report for the shortest sequence that violates a rule."""
    first = min(found, key=len)
    least = shortest(first, lambda one: promise in faults_of(ground, one)[0])
    return faults_of(ground, least)[1]
