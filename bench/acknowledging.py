"""Section ``acknowledge``: verify, store with fsync, answer; beside the same server doing less."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapter import sources
from adapter.config import Policy, settings_from
from adapter.sources import Source
from bench import BenchError, leads, load, servers
from bench.load import Answers, Requests
from bench.rounds import Effort, turned
from bench.tables import Goal, Row

#: More than any server here answers in a second: a request that is sent twice would be a repeat.
MOST_PER_SECOND = 4000
RATE_GOALS = {8: Goal(bound=0.75, sense="≥"), 64: Goal(bound=0.85, sense="≥")}
P99_GOALS = {8: Goal(bound=1.5)}

Rounds = dict[str, list[Answers]]


class Bench:
    """Three servers over one database, and the requests for them."""

    def __init__(self, url: str, ports: dict[str, int], secret: str, folder: Path) -> None:
        self._url = url
        self._ports = ports
        self._secret = secret
        self._file = folder / "requests"
        self._requests: Requests | None = None
        mappings = servers.ROOT / "mappings"
        self._source: Source = sources.load(mappings, Policy())["rentfeed"]
        self._sample = (mappings / "samples" / "rentfeed-tour.json").read_bytes()

    def rounds(self, connections: int, effort: Effort) -> Rounds:
        """Each server once in each round, in turn, after one short turn that is not counted."""
        seen: Rounds = {name: [] for name in self._ports}
        for name in self._ports:
            self._loaded(name, connections, 1.0)
        for number in range(effort.rounds):
            for name in turned(list(self._ports), number):
                seen[name].append(self._loaded(name, connections, effort.load_seconds))
        return seen

    def _loaded(self, name: str, connections: int, seconds: float) -> Answers:
        if name == "ours" or self._requests is None:
            self._requests = self._signed(seconds)  # the others may take the same ones again
        requests = self._requests
        before = servers.stored(self._url)
        answers = load.run(self._ports[name], requests, connections=connections, seconds=seconds)
        if name == "ours":
            check(answers, requests, servers.stored(self._url) - before)
        return answers

    def _signed(self, seconds: float) -> Requests:
        count = round(max(1.0, seconds) * MOST_PER_SECOND)
        return leads.write(self._file, self._source, self._secret, self._sample, count)


def check(answers: Answers, requests: Requests, stored: int) -> None:
    """Raises BenchError unless each answer was to a new lead, and each of them is stored."""
    if answers.count > requests.count:
        raise BenchError(f"{answers.count} answers to {requests.count} requests: some repeated")
    if stored < answers.count:
        raise BenchError(f"{answers.count} were acknowledged and {stored} are stored")


def rows(effort: Effort) -> Iterator[Row]:
    """Rate, p50 and p99 for each number of connections."""
    folder = settings_from().data_dir / "bench"
    secret = servers.secret()
    with (
        servers.database(folder) as url,
        servers.running(url, secret, folder) as ports,
    ):
        bench = Bench(url, ports, secret, folder)
        for connections in effort.connections:
            yield from _rows(connections, bench.rounds(connections, effort))


def _rows(connections: int, seen: Rounds) -> Iterator[Row]:
    for name in ("one INSERT", "empty 204"):
        goals = RATE_GOALS if name == "one INSERT" else {}
        yield _row(f"{connections} conn., rate", "rate", "/s", seen, name, goals.get(connections))
    p99_goal = P99_GOALS.get(connections)
    yield _row(f"{connections} conn., p50", "p50_ms", "ms", seen, "one INSERT", None)
    yield _row(f"{connections} conn., p99", "p99_ms", "ms", seen, "one INSERT", p99_goal)


def _row(what: str, field: str, unit: str, seen: Rounds, beside: str, goal: Goal | None) -> Row:
    def median(answers: Sequence[Answers]) -> float:
        return float(statistics.median(getattr(answer, field) for answer in answers))

    return Row(
        section="acknowledge",
        what=what,
        figure=median(seen["ours"]),
        unit=unit,
        beside=beside,
        other=median(seen[beside]),
        goals=(goal,) if goal else (),
    )
