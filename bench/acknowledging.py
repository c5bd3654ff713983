"""Measure how fast webhooks are verified, stored and acknowledged (section ``acknowledge``)."""

import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.settings import Policy
from bench import BenchError, leads, load, peers, servers
from bench.load import Answers, Requests
from bench.rounds import Effort, turned
from bench.servers import Target
from bench.tables import Goal, Row

#: Number of requests. It must exceed what the adapter can handle, because a resent request would
#: count as a repeat.
MOST_PER_SECOND = 2500
#: Peers get fewer, separate rounds, because one of them takes long to become idle.
PEER_ROUNDS = 5
RATE_GOALS = {8: Goal(bound=0.75, sense="≥"), 64: Goal(bound=0.9, sense="≥")}
P99_GOALS = {8: Goal(bound=1.35)}
PEER_GOALS = {"rate": Goal(bound=3, sense="≥"), "p99_ms": Goal(bound=0.25)}

Rounds = dict[str, list[Answers]]


class Bench:
    """Servers to load in turn, and the requests to send to them."""

    def __init__(self, targets: Mapping[str, Target], secret: str, folder: Path) -> None:
        self._targets = targets
        self._secret = secret
        self._file = folder / "requests"
        self._requests: Requests | None = None
        mappings = servers.ROOT / "mappings"
        self._source: Source = registry.load(mappings, Policy())["rentfeed"]
        self._sample = (mappings / "samples" / "rentfeed-tour.json").read_bytes()

    def rounds(self, connections: int, effort: Effort) -> Rounds:
        """Load each server once per round, after a short warm-up that is not counted."""
        names = list(self._targets)
        seen: Rounds = {name: [] for name in names}
        for name in names:
            self.loaded(name, connections, effort.warm_seconds)
        for number in range(effort.load_rounds):
            for name in turned(names, number):
                seen[name].append(self.loaded(name, connections, effort.load_seconds))
        return seen

    def loaded(self, name: str, connections: int, seconds: float) -> Answers:
        """Load one server once. Raise BenchError unless it stored everything it accepted."""
        target = self._targets[name]
        if target.url is not None or self._requests is None:
            self._requests = self._signed(seconds)  # other servers may get the same requests
        requests = self._requests
        before = servers.stored(target.url) if target.url else 0
        answers = load.run(target.port, requests, connections=connections, seconds=seconds)
        servers.wait_until_idle(target.pid)  # otherwise, it would slow down the next server
        if target.url is not None:
            check(answers, requests, servers.stored(target.url) - before)
        return answers

    def _signed(self, seconds: float) -> Requests:
        count = round(load.duration(seconds) * MOST_PER_SECOND)
        return leads.write(self._file, self._source, self._secret, self._sample, count)


def check(answers: Answers, requests: Requests, stored: int) -> None:
    """Raise BenchError unless each response was for a new lead and each lead is stored."""
    if answers.count > requests.count:
        raise BenchError(f"{answers.count} answers to {requests.count} requests: some repeated")
    if stored < answers.count:
        raise BenchError(f"{answers.count} were acknowledged and {stored} are stored")


def rows(effort: Effort) -> Iterator[Row]:
    """Yield rows with rate, p50 and p99 per number of connections (for peers, only one number)."""
    folder, secret = servers.folder(), servers.secret()
    with (
        servers.database(folder, effort.server) as url,
        servers.running(url, secret, folder) as ours,
    ):
        bench = Bench(ours, secret, folder)
        for connections in effort.connections:
            yield from _rows(connections, bench.rounds(connections, effort))
        connections = 8 if 8 in effort.connections else effort.connections[0]
        short = dataclasses.replace(effort, load_rounds=min(effort.load_rounds, PEER_ROUNDS))
        with peers.running(secret, folder) as others:
            if not others:
                return
            bench = Bench({"ours": ours["ours"], **others}, secret, folder)
            yield from _peer_rows(connections, bench.rounds(connections, short))


def _rows(connections: int, seen: Rounds) -> Iterator[Row]:
    for name in ("one INSERT", "empty 204"):
        goals = RATE_GOALS if name == "one INSERT" else {}
        yield _row(f"{connections} conn., rate", "rate", "/s", seen, name, goals.get(connections))
    p99_goal = P99_GOALS.get(connections)
    yield _row(f"{connections} conn., p50", "p50_ms", "ms", seen, "one INSERT", None)
    yield _row(f"{connections} conn., p99", "p99_ms", "ms", seen, "one INSERT", p99_goal)


def _peer_rows(connections: int, seen: Rounds) -> Iterator[Row]:
    for name in filter(seen.__contains__, peers.NAMES):
        goals = PEER_GOALS if name == peers.NODE_RED else {}
        for field, unit in (("rate", "/s"), ("p99_ms", "ms")):
            what = f"{connections} conn., {field.removesuffix('_ms')}"
            yield _row(what, field, unit, seen, name, goals.get(field))


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
