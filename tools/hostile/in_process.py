"""Map hostile payloads. Check the time needed, and that the log contains no payload data."""

import concurrent.futures
import dataclasses
import datetime as dt
import functools
import logging
import multiprocessing
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from adapter.logs import JsonLines
from adapter.mapping import registry
from adapter.mapping.engine import Mapped
from adapter.mapping.source import Source
from adapter.settings import Policy
from tools.hostile.canaries import leaks
from tools.hostile.mappings import make_folder
from tools.hostile.payloads import Payload, Sample, hostile_payload, mapping_samples

#: Maximum CPU time for one payload: its dedupe key, its mapping and its response's values.
LIMIT_SECONDS = 1.0
#: A payload that takes longer is abandoned.
GIVE_UP_SECONDS = 30
NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
_CHUNK = 250


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mapping:
    """The results of mapping one chunk of payloads."""

    count: int = 0
    outcomes: dict[str, int] = dataclasses.field(default_factory=dict)
    slowest_seconds: float = 0.0
    #: The number of a payload, its mapping and the problem.
    faults: tuple[tuple[int, str, str], ...] = ()


class _Captured(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class _TooSlow(Exception):
    pass


@functools.cache
def _loaded() -> tuple[dict[str, Source], dict[str, list[Sample]], _Captured]:
    with tempfile.TemporaryDirectory(prefix="adapter-hostile-") as name:
        sources = dict(registry.load(make_folder(Path(name) / "mappings"), Policy()))
        samples = mapping_samples(sources)
    captured = _Captured()
    logging.basicConfig(level="INFO", handlers=[captured], force=True)
    signal.signal(signal.SIGALRM, _give_up)
    return sources, samples, captured


def _give_up(*_: object) -> None:
    raise _TooSlow


def payload_of(seed: int, number: int) -> tuple[Source, Payload]:
    """Return the payload with the given number, and its mapping."""
    sources, samples, _ = _loaded()
    name = sorted(sources)[number % len(sources)]
    rng = random.Random(f"{seed}:payload:{number}")
    return sources[name], hostile_payload(rng, samples[name])


def map_all(seed: int, numbers: range, jobs: int, progress: Callable[[int], object]) -> Mapping:
    """Map the payloads with the given numbers in several processes."""
    total = Mapping()
    chunks = [numbers[at : at + _CHUNK] for at in range(0, len(numbers), _CHUNK)]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for done in pool.map(map_chunk, [seed] * len(chunks), chunks):
            total = _added(total, done)
            progress(total.count)
    return total


def map_chunk(seed: int, numbers: range) -> Mapping:
    """Map the payloads with the given numbers in this process."""
    total = Mapping()
    for number in numbers:
        total = _added(total, _mapped(seed, number))
    return total


def _mapped(seed: int, number: int) -> Mapping:
    source, payload = payload_of(seed, number)
    began, outcome, faults = time.thread_time(), "none", []
    signal.alarm(GIVE_UP_SECONDS)
    try:
        outcome = _outcome(source, payload)
    except Exception as exc:  # noqa: BLE001 - any exception is a finding
        faults.append(_place(exc))
    finally:
        signal.alarm(0)
    took = time.thread_time() - began
    if took > LIMIT_SECONDS:
        faults.append(f"took {took:.1f} s")
    return Mapping(
        count=1,
        outcomes={outcome: 1},
        slowest_seconds=took,
        faults=tuple((number, source.name, fault) for fault in (*faults, *_logged())),
    )


def _outcome(source: Source, payload: Payload) -> str:
    request = payload.request(f"https://adapter.example.com/hooks/{source.name}")
    key = source.dedupe_key(request)
    mapped = source.map(request, now=NOW)
    if source.respond is not None:
        source.request_values(request)
    assert type(mapped) is Mapped
    assert key is None or (type(key) is str and key)
    return str(mapped.outcome)


def _logged() -> Iterator[str]:
    captured = _loaded()[2]
    for line in captured.lines:
        for kind in leaks(line, ()):
            yield f"the log has {kind}"
        if '"level": "error"' in line:
            yield "an error is in the log"
    captured.lines.clear()


def _place(exc: Exception) -> str:
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{type(exc).__name__} in {Path(frame.filename).name}:{frame.lineno}"


def _added(one: Mapping, other: Mapping) -> Mapping:
    outcomes = dict(one.outcomes)
    for name, count in other.outcomes.items():
        outcomes[name] = outcomes.get(name, 0) + count
    return Mapping(
        count=one.count + other.count,
        outcomes=outcomes,
        slowest_seconds=max(one.slowest_seconds, other.slowest_seconds),
        faults=one.faults + other.faults,
    )
