"""Measure how fast stored webhooks become booked tours (section ``drain``)."""

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence

from bench import servers
from bench.latency import put_backlog
from bench.rounds import Effort, turned
from bench.stage import Stage, seconds_of, wait_until
from bench.tables import Goal, Row

#: The default for ADAPTER_RATE_PER_MINUTE.
LIMIT = 120
WINDOW_SECONDS = 60.0


def rows(effort: Effort) -> Iterator[Row]:
    """Measure one worker and two workers alternately, then one worker with the rate limit."""
    folder = servers.folder()
    with servers.database(folder, effort.server) as url:
        yield _without_limit(Stage(url, folder), effort)
    with servers.database(folder, effort.server) as url:
        yield from _within_limit(Stage(url, folder, limit=LIMIT), effort)


def _without_limit(stage: Stage, effort: Effort) -> Row:
    rates: dict[int, list[float]] = {1: [], 2: []}
    with stage.running():
        for number in range(min(effort.rounds, 2)):
            for workers in turned((1, 2), number):
                rates[workers].append(
                    _drained(stage, workers, effort.drained, f"{number}{workers}")
                )
    return Row(
        section="drain",
        what="bookings by 2 workers, without a rate limit",
        figure=statistics.median(rates[2]),
        unit="/s",
        beside="1 worker",
        other=statistics.median(rates[1]),
    )


def _drained(stage: Stage, workers: int, count: int, prefix: str) -> float:
    """Return the bookings per second, from stored webhooks to the last `booked` tour."""
    with stage.another_worker() if workers == 2 else contextlib.nullcontext():
        before = stage.booked()
        began = time.monotonic()
        stage.fill(count, f"drain-{prefix}")
        wait_until(lambda: stage.booked() - before >= count, "all are booked")
        return count / (time.monotonic() - began)


def _within_limit(stage: Stage, effort: Effort) -> Iterator[Row]:
    """Measure sending with an endless backlog, for longer than one rate limit window."""
    put_backlog(stage.url, max(LIMIT * 3, effort.drained))
    with stage.running():
        wait_until(lambda: len(stage.sandbox.calls()) > 1, "the backlog is being sent")
        time.sleep(effort.limit_seconds)
        calls = stage.sandbox.calls()
    times = [seconds_of(call) for call in calls]
    refused = sum(call["status"] == 429 for call in calls)
    span = max(times[-1] - times[0], 1e-3)
    yield Row(
        section="drain",
        what="requests per minute, with a backlog",
        figure=(len(times) - 1) / span * WINDOW_SECONDS,
        unit="/min",
        beside="configured limit",
        other=LIMIT,
        goals=(Goal(bound=0.98, sense="≥"),),
    )
    yield Row(
        section="drain",
        what=f"requests in the busiest {WINDOW_SECONDS:g} of {span:.0f} seconds",
        figure=fullest(times),
        unit="requests",
        beside="configured limit",
        other=LIMIT,
        goals=(Goal(bound=1),),
    )
    yield Row(
        section="drain",
        what="responses with 429",
        figure=refused,
        unit="requests",
        beside="all requests",
        other=len(calls),
        goals=(Goal(bound=0),),
    )


def fullest(times: Sequence[float]) -> int:
    """Return the maximum number of requests in any 60-second window."""
    return max(
        sum(start <= later < start + WINDOW_SECONDS for later in times[number:])
        for number, start in enumerate(times)
    )
