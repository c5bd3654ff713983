"""Measure each candidate once per round, so that all of them run under the same conditions."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name")

Candidate = Callable[[], object]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How long and how often to measure. Durations are in seconds."""

    rounds: int
    #: Duration for one function in one round.
    call_seconds: float
    #: Duration for one server in one round. There are more rounds, because rates vary by a third.
    load_seconds: float
    load_rounds: int
    #: Warm-up of each server before the rounds, which is not counted.
    warm_seconds: float
    connections: tuple[int, ...]
    hostile_bytes: int
    #: Number of the slowest hostile bodies, measured at an eighth of the size, to measure at full
    #: size.
    hostile_in_full: int
    #: Numbers of webhooks to follow to their POST, of tours that start soon, and of pending
    #: bookings.
    webhooks: int
    soon: int
    backlog: int
    #: Number of webhooks that are drained in one round.
    drained: int
    #: How long to measure sending with the rate limit, which applies to 60-second windows.
    limit_seconds: float
    #: Numbers of stored events in the compared databases, smallest first.
    sizes: tuple[int, ...]
    #: Numbers of stored leads for the console's pages.
    console_sizes: tuple[int, int]
    #: How many times to fetch each page and run each statement in one round.
    page_times: int
    console_times: int
    statement_times: int
    #: Number of events between two measurements of memory.
    remembered: int
    #: Number of starts that are not counted, because the first one creates the cluster and compiles
    #: the code.
    starts_before: int
    mappings: int
    #: URL of a running PostgreSQL server, or None to start one with a new cluster for each section.
    server: str | None = None


FULL = Effort(
    rounds=5,
    call_seconds=0.1,
    load_seconds=1.0,
    load_rounds=7,
    warm_seconds=1.0,
    connections=(1, 8, 64),
    hostile_bytes=1024 * 1024,
    hostile_in_full=25,
    webhooks=150,
    soon=5,
    backlog=10_000,
    drained=150,
    limit_seconds=66.0,
    sizes=(1_000, 100_000, 1_000_000),
    console_sizes=(5_000, 50_000),
    page_times=20,
    console_times=5,
    statement_times=60,
    remembered=20_000,
    starts_before=1,
    mappings=40,
)
#: One short round of everything, to test the benchmarks themselves.
TINY = Effort(
    rounds=1,
    call_seconds=0.002,
    load_seconds=0.2,
    load_rounds=1,
    warm_seconds=0.05,
    connections=(2,),
    hostile_bytes=8 * 1024,
    hostile_in_full=3,
    webhooks=4,
    soon=1,
    backlog=50,
    drained=4,
    limit_seconds=1.0,
    sizes=(100, 300),
    console_sizes=(2_100, 2_200),
    page_times=2,
    console_times=2,
    statement_times=2,
    remembered=40,
    starts_before=0,
    mappings=3,
)


def microseconds(candidates: Mapping[str, Candidate], effort: Effort) -> dict[str, float]:
    """Return the median time of a call to each function, in µs."""
    counts = {name: _calls_in(call, effort.call_seconds) for name, call in candidates.items()}
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(effort.rounds):
        for name in turned(list(candidates), number):
            taken[name].append(_seconds(candidates[name], counts[name]) / counts[name] * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}


def turned(names: Sequence[Name], number: int) -> list[Name]:
    """Yield the names, starting with a different one in each round so that none is always first."""
    start = number % len(names)
    return [*names[start:], *names[:start]]


def _calls_in(call: Candidate, seconds: float) -> int:
    """Return how many calls fit into the given time. The calls made here also warm up caches."""
    count = 1
    while (taken := _seconds(call, count)) < seconds / 4:
        count *= 2
    return max(1, round(count * seconds / taken))


def _seconds(call: Candidate, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start
