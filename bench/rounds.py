"""Rounds: each candidate is measured once in each, in turn, so that all meet the same machine."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name")

Candidate = Callable[[], object]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How long and how often is measured. Times are in seconds."""

    rounds: int
    #: For one candidate in one round, of those that are called in this process.
    call_seconds: float
    #: For one server in one round, of which there are more: a server's rate wanders by a third.
    load_seconds: float
    load_rounds: int
    #: For one server before the rounds, of which nothing is counted.
    warm_seconds: float
    connections: tuple[int, ...]
    hostile_bytes: int
    #: So many of the slowest hostile bodies of an eighth of that size are tried in full size.
    hostile_in_full: int
    #: Webhooks that are followed to their POST, soon tours, and bookings that wait.
    webhooks: int
    soon: int
    backlog: int
    #: Webhooks that are drained in one round.
    drained: int
    #: How long sending under the limit is watched: its windows have 60 seconds.
    limit_seconds: float
    #: How many stored events the databases hold that are compared, the smallest first.
    sizes: tuple[int, ...]
    #: So often is each page fetched, and each statement run, in one round.
    page_times: int
    statement_times: int
    #: Events after which memory is looked at again.
    remembered: int
    #: Starts before those that count: the first one makes the cluster and compiles what it imports.
    starts_before: int
    mappings: int
    #: The URL of a PostgreSQL that runs; None: each section has one of its own, on a fresh cluster.
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
    page_times=20,
    statement_times=60,
    remembered=20_000,
    starts_before=1,
    mappings=40,
)
#: One short round of everything: shows that the bench works, and measures nothing.
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
    page_times=2,
    statement_times=2,
    remembered=40,
    starts_before=0,
    mappings=3,
)


def microseconds(candidates: Mapping[str, Candidate], effort: Effort) -> dict[str, float]:
    """The median time of one call of each, in µs."""
    counts = {name: _calls_in(call, effort.call_seconds) for name, call in candidates.items()}
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(effort.rounds):
        for name in turned(list(candidates), number):
            taken[name].append(_seconds(candidates[name], counts[name]) / counts[name] * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}


def turned(names: Sequence[Name], number: int) -> list[Name]:
    """The names, each time beginning with another one: nobody is always first."""
    start = number % len(names)
    return [*names[start:], *names[:start]]


def _calls_in(call: Candidate, seconds: float) -> int:
    """How many calls fill the time; the ones made here warm the caches."""
    count = 1
    while (taken := _seconds(call, count)) < seconds / 4:
        count *= 2
    return max(1, round(count * seconds / taken))


def _seconds(call: Candidate, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start
