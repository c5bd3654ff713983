"""Run one round after another, all with the same processes."""

import dataclasses
import datetime as dt
import random
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from adapter.store import Database
from tools.chaos.audit import Findings, findings_from
from tools.chaos.faults import Storm
from tools.chaos.leads import Journey, journeys
from tools.chaos.record import read
from tools.chaos.senders import Senders
from tools.chaos.stage import Stage
from tools.chaos.watch import LOOK_SECONDS, Watch

#: A round is settled if nothing changes for this long, which is longer than any request.
STILL_SECONDS = 2.5
#: Every tenth round is a flood with this many times more people than usual.
FLOOD_EVERY, FLOOD = 10, 6


#: Seconds until a record in Knock reaches Propexo, and until a guest card's contacts do.
DELAYS = (0.0, 0.0, 1.0, 3.0)
#: How long to wait at the end for Propexo's webhooks, and for notes on guest cards.
NOTES_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The options of a chaos run."""

    rounds: int
    #: Round n of a seed is round 1 of the seed n - 1 higher (a flood, with more people).
    seed: int
    people: int = 8
    #: How long to wait for a round after its last fault.
    patience_seconds: float = 150.0
    #: Audits, faults and kinds of sender behavior to omit.
    without: frozenset[str] = frozenset()
    #: How all people change their requests, or None if each person does so in a different way.
    change: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """The result of one round."""

    number: int
    seed: int
    injected: tuple[str, ...]
    findings: Findings
    seconds: float
    folder: Path


def run(plan: Plan) -> Generator[Round, None, None]:
    """Run all rounds. If a round violates a rule, keep its logs and data in its ``folder``."""
    folder = Path(tempfile.mkdtemp(prefix="adapter-chaos-"))
    has_fault = False
    try:
        with (
            Stage(folder) as stage,
            # PostgreSQL comes back after each fault. Until then, waits are short, because the same
            # thread restarts the second worker.
            Database(stage.database_url, size=2, wait_seconds=LOOK_SECONDS) as store,
            Watch(stage, store) as watch,
        ):
            for number in range(1, plan.rounds + 1):
                one = play(stage, store, watch, plan, number)
                has_fault = has_fault or bool(one.findings.faults)
                yield one
    finally:
        if not has_fault:
            shutil.rmtree(folder)


def play(stage: Stage, store: Database, watch: Watch, plan: Plan, number: int) -> Round:
    """Run one round: inject leads and faults, wait until nothing changes, and audit the result."""
    seed, size = plan.seed + number - 1, size_of(number)
    rng = random.Random(seed)
    began, began_at = time.monotonic(), dt.datetime.now(dt.UTC)
    plans = _plans(plan, number, rng)
    watch.begin()
    stage.upstream.tell(stage.web_url, delay=rng.choice(DELAYS), stage=rng.choice(DELAYS))
    storm = Storm(stage, rng, plan.without)
    senders = Senders(stage, storm.inject)
    try:
        with storm:
            senders.start(plans)
            storm.rage()
        rest = _settle(watch, senders, plan.patience_seconds * size)
        if "search" not in plan.without and watch.wait_for_searches():
            rest = _settle(watch, senders, plan.patience_seconds * size)
        _wait_for_notes(stage, watch)
    finally:
        senders.stop()
    record = read(
        stage,
        store,
        leads={lead.id: lead for journey in plans for step in journey for lead in step.leads},
        senders=senders,
        began_at=began_at,
        moving=rest,
        worst=(watch.worst_seconds, watch.worst_row),
    )
    return Round(
        number=number,
        seed=seed,
        injected=tuple(storm.injected),
        findings=findings_from(record, plan.without),
        seconds=time.monotonic() - began,
        folder=stage.folder,
    )


def size_of(number: int) -> int:
    """Return the factor by which to multiply the number of people in this round."""
    return FLOOD if number % FLOOD_EVERY == 0 else 1


def _plans(plan: Plan, number: int, rng: random.Random) -> list[Journey]:
    return journeys(
        rng,
        name=f"r{number}",
        people=plan.people * size_of(number),
        first_number=plan.people * sum(map(size_of, range(1, number))),
        without=plan.without,
        change=plan.change,
    )


def _wait_for_notes(stage: Stage, watch: Watch) -> None:
    """Wait until each webhook has been accepted or abandoned, and no note is in flight."""
    deadline = time.monotonic() + NOTES_SECONDS
    while time.monotonic() < deadline and (stage.upstream.undelivered() or watch.has_notes()):
        time.sleep(LOOK_SECONDS)


def _settle(watch: Watch, senders: Senders, seconds: float) -> list[str]:
    """Wait until nothing changes. Return the rows that are not in a final state at the timeout."""
    deadline = time.monotonic() + seconds
    still_since: float | None = None
    rest: list[str] | None = None
    senders.wait(seconds)
    while time.monotonic() < deadline:
        rest = watch.moving()
        now = time.monotonic()
        if rest != []:
            still_since = None
        elif still_since is None:
            still_since = now
        elif now - still_since > STILL_SECONDS:
            return []
        time.sleep(0.25)
    return ["PostgreSQL does not respond"] if rest is None else rest
