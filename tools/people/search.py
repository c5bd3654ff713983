"""Find sequences that break a promise, and the shortest form of each."""

import collections
from collections.abc import Callable

from tools.people.promises import broken
from tools.people.sequences import Draw
from tools.people.steps import Play
from tools.people.story import story
from tools.people.world import Ground, World


def faults_of(ground: Ground, sequence: Play) -> tuple[set[str], str]:
    """Play a sequence; return the promises that it broke, and its story."""
    world = World(ground)
    record = world.play(sequence)
    faults = broken(record)
    return {fault.promise for fault in faults}, story(sequence, world, record, faults)


def shortest(sequence: Play, fails: Callable[[Play], bool]) -> Play:
    """Leave out steps as long as it still fails."""
    position = 0
    while position < len(sequence):
        shorter = sequence[:position] + sequence[position + 1 :]
        if shorter and fails(shorter):
            sequence, position = shorter, 0
        else:
            position += 1
    return sequence


def play_random(ground: Ground, count: int, seed: int) -> dict[str, list[Play]]:
    """Play ``count`` sequences; return those that broke a promise, by promise."""
    failing: dict[str, list[Play]] = collections.defaultdict(list)
    draw = Draw(seed)
    for _ in range(count):
        sequence = draw.sequence()
        for promise in faults_of(ground, sequence)[0]:
            failing[promise].append(sequence)
    return failing


def shortest_story(ground: Ground, promise: str, found: list[Play]) -> str:
    """Return the story of the shortest sequence that breaks a promise."""
    first = min(found, key=len)
    least = shortest(first, lambda one: promise in faults_of(ground, one)[0])
    return faults_of(ground, least)[1]
