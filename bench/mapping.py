"""Measure the time to map a webhook, compared with plain dictionary reads (section ``map``)."""

import contextlib
import dataclasses
import datetime as dt
import heapq
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from adapter.exceptions import PayloadError
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.parsing import body as parsing_body
from adapter.settings import Policy
from bench import floors, hostile
from bench.rounds import Effort, microseconds
from bench.tables import Goal, Row

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "tests" / "corpus"
PAYLOADS = ROOT / ".." / "shared" / "corpus" / "payloads"
#: The samples' tours are in March 2026.
NOW = dt.datetime(2026, 3, 2, 18, tzinfo=dt.UTC)

BUNDLED: Mapping[str, tuple[str, Callable[[bytes], object]]] = {
    "rentfeed": ("rentfeed-tour.json", floors.rentfeed),
    "leasebot": ("leasebot-handoff.json", floors.leasebot),
    "website": ("website-response.json", floors.website),
}
RATIO_GOAL = Goal(bound=60)
TIME_GOAL = Goal(bound=500, of="figure")
HOSTILE_GOAL = Goal(bound=200, of="figure")


@dataclasses.dataclass(frozen=True, slots=True)
class Bare:
    """A baseline to compare a mapping with."""

    name: str
    read: Callable[[], object]


def rows(effort: Effort) -> Iterator[Row]:
    """Measure the bundled mappings, the largest real body, and the slowest hostile bodies."""
    loaded = registry.load(ROOT / "mappings", Policy())
    samples = {
        name: (ROOT / "mappings" / "samples" / file).read_bytes()
        for name, (file, _) in BUNDLED.items()
    }
    for name, body in samples.items():
        bare = Bare("json.loads and field reads", partial(BUNDLED[name][1], body))
        yield _mapped(loaded[name], body, bare, (RATIO_GOAL, TIME_GOAL), effort)
    if PAYLOADS.is_dir():
        source, body = _largest()
        bare = Bare("json.loads only", partial(json.loads, body))
        # It contains several leads, but the goals are for bundled sources, which send one or two.
        yield _mapped(source, body, bare, (), effort)
    for name, body in samples.items():
        yield _slowest(loaded[name], json.loads(body), effort)


def _mapped(
    source: Source, body: bytes, bare: Bare, goals: tuple[Goal, ...], effort: Effort
) -> Row:
    delivery = WebhookRequest.from_body(body, content_type="application/json")
    ours = partial(source.map, delivery, now=NOW)
    taken = microseconds({"ours": ours, "bare": bare.read}, effort)
    return Row(
        section="map",
        what=f"{source.name}, {len(body):,} bytes",
        figure=taken["ours"],
        unit="µs",
        beside=bare.name,
        other=taken["bare"],
        goals=goals,
    )


def _largest() -> tuple[Source, bytes]:
    """Measure the largest real JSON body that has a mapping."""
    loaded = registry.load(CORPUS, Policy())
    files = {name: PAYLOADS / f"{name}.json" for name in loaded}
    bodies = {name: file.read_bytes() for name, file in files.items() if file.exists()}
    name = max(bodies, key=lambda name: len(bodies[name]))
    return loaded[name], bodies[name]


def _slowest(source: Source, sample: Any, effort: Effort) -> Row:
    name, delivery = _slowest_body(source, sample, effort)
    parse = partial(_parsed, delivery)
    taken = microseconds({"ours": partial(source.map, delivery, now=NOW), "parse": parse}, effort)
    return Row(
        section="map",
        what=f"{source.name}, slowest hostile body: {name}",
        figure=taken["ours"] / 1000,
        unit="ms",
        beside="parsing only",
        other=taken["parse"] / 1000,
        goals=(HOSTILE_GOAL,),
    )


def _slowest_body(source: Source, sample: Any, effort: Effort) -> tuple[str, WebhookRequest]:
    """Find the slowest bodies at a smaller size, then measure them at full size."""

    def slowness(pair: tuple[str, WebhookRequest]) -> float:
        return _seconds(source, pair[1])

    size = effort.hostile_bytes
    small = heapq.nlargest(
        effort.hostile_in_full, hostile.deliveries(sample, size // 8), key=slowness
    )
    names = {name for name, _ in small}
    return max(hostile.deliveries(sample, size, only=names), key=slowness)


def _seconds(source: Source, delivery: WebhookRequest) -> float:
    start = time.perf_counter()
    source.map(delivery, now=NOW)
    return time.perf_counter() - start


def _parsed(delivery: WebhookRequest) -> object:
    with contextlib.suppress(PayloadError):
        return parsing_body.parse(delivery.body, delivery.content_type)
    return None
