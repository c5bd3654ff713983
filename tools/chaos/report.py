"""Format the results of the rounds as text or as JSON-compatible data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tools.chaos.rounds import Round


def line(one: Round) -> str:
    """Format a round's result as one line, followed by a line for each fault."""
    findings = one.findings
    counts = ", ".join(f"{number} {word}" for word, number in findings.counts.items() if number)
    facts = (
        f"recovery {findings.recovery_seconds:.1f} s ({findings.slowest}), "
        f"{findings.most_calls} calls in 60 s"
    )
    lines = [f"round {one.number} (seed {one.seed}, {one.seconds:.0f} s): {counts}; {facts}"]
    lines += [f"  injected: {', '.join(one.injected)}"]
    lines += [f"  {fault.kind}: {fault.text}" for fault in findings.faults]
    if findings.faults:
        lines += [f"  logs and data: {one.folder}"]
    return "\n".join(lines)


def totals(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the totals of all rounds as JSON-compatible data."""
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for one in rounds:
        counts.update(one.findings.counts)
        faults.update(one.findings.faults_by_kind())
    return {
        "rounds": len(rounds),
        "counts": dict(counts),
        "must_be_zero": dict(faults),
        "worst_recovery_seconds": round(max(one.findings.recovery_seconds for one in rounds), 1),
        "most_calls_in_60_seconds": max(one.findings.most_calls for one in rounds),
    }


def as_data(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return all rounds and their totals as JSON-compatible data."""
    return totals(rounds) | {
        "each": [
            {
                "round": one.number,
                "seed": one.seed,
                "injected": one.injected,
                "counts": dict(one.findings.counts),
                "faults": [f"{fault.kind}: {fault.text}" for fault in one.findings.faults],
                "recovery_seconds": round(one.findings.recovery_seconds, 1),
                "slowest": one.findings.slowest,
                "most_calls_in_60_seconds": one.findings.most_calls,
                "seconds": round(one.seconds, 1),
            }
            for one in rounds
        ]
    }


def as_text(rounds: Sequence[Round]) -> str:
    """Format the totals as a table with two columns."""
    data = totals(rounds)
    rows = [("rounds", data["rounds"]), *data["counts"].items()]
    rows += [("worst recovery, seconds", data["worst_recovery_seconds"])]
    rows += [("most calls in any 60 s", data["most_calls_in_60_seconds"])]
    rows += [(f"must be 0: {kind}", number) for kind, number in data["must_be_zero"].items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value:>6}" for name, value in rows)
