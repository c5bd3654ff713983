"""Map the payloads, then send the requests next to a genuine sender, then run the audit."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adapter.store.child_processes import popen
from tests.paths import ROOT
from tools.hostile import audit, in_process, strangers
from tools.hostile.slow import SlowSenders
from tools.hostile.stage import Stage
from tools.hostile.watch import Watch

Progress = Callable[[str, int], object]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The options of a hostile run."""

    requests: int
    payloads: int
    seed: int
    #: The number of the first request and payload.
    first: int = 0
    #: Leads per second from the genuine sender.
    rate: float = 5.0
    #: Processes that map payloads.
    jobs: int = 2
    #: True to repeat slow requests, because the machine is busy with other work.
    is_busy: bool = False
    #: How long to wait for the next lead to be booked.
    patience_seconds: float = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A broken promise, and how to reproduce it."""

    kind: str
    text: str
    repeat: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The measurements and faults of a run."""

    figures: dict[str, Any]
    faults: tuple[Fault, ...]


def run(plan: Plan, progress: Progress) -> Result:
    """Run the whole test. Keep logs and data if there is a fault."""
    figures: dict[str, Any] = {"seed": plan.seed}
    faults: list[Fault] = []
    if plan.payloads:
        faults += _payloads(plan, progress, figures)
    if plan.requests:
        folder = Path(tempfile.mkdtemp(prefix="adapter-hostile-"))
        found = list(_requests(plan, folder, progress, figures))
        faults += found
        if found:
            figures["logs and data"] = str(folder)
        else:
            shutil.rmtree(folder)
    return Result(figures=figures, faults=tuple(faults))


def _payloads(plan: Plan, progress: Progress, figures: dict[str, Any]) -> Iterator[Fault]:
    began, numbers = time.monotonic(), range(plan.first, plan.first + plan.payloads)
    done = in_process.map_all(plan.seed, numbers, plan.jobs, lambda n: progress("payloads", n))
    figures["payloads"] = {
        "count": done.count,
        "outcomes": done.outcomes,
        "slowest_seconds": round(done.slowest_seconds, 3),
        "took_seconds": round(time.monotonic() - began),
    }
    for number, source, text in done.faults:
        yield Fault(
            kind=f"payload of {source}", text=text, repeat=_repeat(plan, "PAYLOADS", number)
        )


def _repeat(plan: Plan, what: str, number: int) -> str:
    counts = {"REQUESTS": 0, "PAYLOADS": 0} | {what: 1}
    words = " ".join(f"{name}={count}" for name, count in counts.items())
    return f"make hostile SEED={plan.seed} FIRST={number} {words}"


def _requests(
    plan: Plan, folder: Path, progress: Progress, figures: dict[str, Any]
) -> Iterator[Fault]:
    with Stage(folder) as stage, Watch(stage) as watch:
        began, numbers = time.monotonic(), range(plan.first, plan.first + plan.requests)
        with SlowSenders(stage.port, plan.seed) as slow, _genuine(stage, plan.rate) as answers:
            sent = strangers.send_all(
                stage.target, plan.seed, numbers, stage.forbidden, lambda n: progress("requests", n)
            )
        took = time.monotonic() - began
        if plan.is_busy:
            strangers.forgive_busy_machine(sent, stage.target, plan.seed)
        genuine = audit.Genuine(answers=answers)
        _wait_until_settled(stage, genuine, plan.patience_seconds)
        for number, kind, text in sent.faults:
            yield Fault(kind=f"request {kind}", text=text, repeat=_repeat(plan, "REQUESTS", number))
        for kind, texts in (
            ("genuine sender", audit.faults_of_genuine(stage, genuine)),
            ("events", audit.faults_of_events(stage, sent)),
            ("output", audit.faults_of_output(stage)),
            ("processes", audit.faults_of_processes(watch)),
        ):
            yield from (Fault(kind=kind, text=text) for text in texts)
        figures |= {"requests": _figures(sent, took) | {"slow_connections": slow.opened}}
        figures["genuine"] = _genuine_figures(genuine)
        figures["peak_memory_mb"] = {
            name: round(size / 1024**2) for name, size in sorted(watch.peak_bytes.items())
        }


def _figures(sent: strangers.Sent, took: float) -> dict[str, Any]:
    statuses: dict[str, dict[str, int]] = {}
    for (kind, status), count in sorted(sent.statuses.items(), key=str):
        statuses.setdefault(kind, {})[str(status or "closed")] = count
    return {
        "count": len(sent.seconds),
        "took_seconds": round(took),
        "p50_seconds": round(audit.percentile(sent.seconds, 0.5), 3),
        "p99_seconds": round(audit.percentile(sent.seconds, 0.99), 3),
        "slowest_seconds": {kind: round(each, 2) for kind, each in sorted(sent.slowest.items())},
        "stored_events": len(sent.events),
        "statuses": statuses,
    }


def _genuine_figures(genuine: audit.Genuine) -> dict[str, Any]:
    return {
        "leads": len(genuine.answers),
        "acknowledged": sum(answer["status"] == 200 for answer in genuine.answers),
        "p50_seconds": round(genuine.percentile(0.5), 3),
        "p99_seconds": round(genuine.percentile(0.99), 3),
        "slowest_seconds": round(genuine.percentile(1.0), 3),
    }


@contextlib.contextmanager
def _genuine(stage: Stage, rate: float) -> Iterator[list[dict[str, Any]]]:
    """Run the genuine sender during the block. Afterward, the yielded list has the responses."""
    answers: list[dict[str, Any]] = []
    with (stage.folder / "genuine.jsonl").open("w+") as output:
        process = popen(
            [sys.executable, "-m", "tools.hostile.genuine", stage.target.url, str(rate)],
            cwd=ROOT,
            env=stage.environ,
            stdin=subprocess.PIPE,
            stdout=output,
        )
        try:
            yield answers
        finally:
            process.communicate(timeout=60)
            output.seek(0)
            answers += map(json.loads, output)


def _wait_until_settled(stage: Stage, genuine: audit.Genuine, seconds: float) -> None:
    """Wait until all leads are booked, or until nothing has changed for this long."""
    left, deadline = None, time.monotonic() + seconds
    while left != (0, 0) and time.monotonic() < deadline:
        now = audit.unmapped(stage), len(audit.booked_once(stage, genuine.leads)[0])
        if now != left:
            left, deadline = now, time.monotonic() + seconds
        time.sleep(0.5)
