"""Format a comparison as CSV for the portal, or as JSON-compatible data."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from adapter.operations.csv_export import csv_line
from adapter.operations.ledger.compare import Ledger, Sum, is_late, sum_of
from adapter.operations.ledger.verdicts import CLAIMS, Judged, Verdict

COLUMNS: Final = (
    *("line", "lead_id", "date", "name", "email", "phone", "property", "amount"),
    *("reason", "details", "request_credit_by", "in_time"),
)
#: The name of each verdict in the CSV.
LABELS: Final = {
    Verdict.NOT_ARRIVED: "Never arrived",
    Verdict.CHARGED_TWICE: "Charged twice",
    Verdict.DUPLICATE: "Duplicate",
    Verdict.DOUBTFUL: "Doubtful",
    Verdict.NOT_IN_KNOCK: "Arrived, not in Knock",
    Verdict.TOURED: "Toured",
    Verdict.IN_KNOCK: "In Knock",
    Verdict.NOT_CHARGED: "Not charged",
    Verdict.CREDIT: "Credit",
    Verdict.CREDITED: "Already credited",
}
#: Verdicts that a user must check.
OF_INTEREST: Final = (*CLAIMS, Verdict.DOUBTFUL, Verdict.NOT_IN_KNOCK)


def claims_csv(ledger: Ledger, *, everything: bool = False) -> Iterator[str]:
    """Yield CSV lines: a header, and then the claims or all lines on the portal's list."""
    yield csv_line(COLUMNS)
    for one in ledger.lines if everything else ledger.claims:
        yield csv_line(_cells(one, ledger))


def _cells(one: Judged, ledger: Ledger) -> Iterable[object]:
    line, is_claim = one.line, one.verdict in CLAIMS
    return (
        *(line.number, line.lead_id, line.on, line.name, line.email, line.phone, line.community),
        "" if line.cents is None else dollars(line.cents, sign=""),
        *(LABELS[one.verdict], one.why, one.ask_by),
        ("no" if is_late(one, ledger.today) else "yes") if is_claim and one.ask_by else "",
    )


def dollars(cents: int, sign: str = "$") -> str:
    """Format cents as dollars, such as ``$1,234.50``. Put a negative amount in parentheses."""
    text = (
        f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
        if sign
        else (f"{abs(cents) // 100}.{abs(cents) % 100:02}")
    )
    return f"({text})" if cents < 0 else text


def ledger_as_dict(ledger: Ledger, *, everything: bool = False) -> dict[str, Any]:
    """Return a comparison as JSON-compatible data. Amounts are in cents."""
    wanted = tuple(Verdict) if everything else OF_INTEREST
    return {
        "source": ledger.source,
        "since": ledger.since.isoformat(),
        "until": ledger.until.isoformat(),
        "file": {
            "encoding": ledger.file.encoding,
            "separator": ledger.file.separator,
            "columns": dict(ledger.file.columns),
            "lines": len(ledger.lines),
            "skipped_lines": ledger.file.skipped,
            "skipped_cents": ledger.file.skipped_cents,
            "unknown_communities": dict(ledger.file.unknown_communities),
        },
        "totals": {str(verdict): _sum(found) for verdict, found in ledger.sums.items()},
        "claims": _sum(sum_of(ledger.claims)) | {"in_time": _in_time(ledger)},
        "arrived_not_listed": ledger.unlisted,
        "lines_not_compared_in_time": ledger.cut_short,
        "lines": [_line(one, ledger) for one in ledger.lines if one.verdict in wanted],
    }


def _sum(found: Sum) -> dict[str, int]:
    return {"lines": found.lines, "cents": found.cents}


def _in_time(ledger: Ledger) -> dict[str, int] | None:
    """Return the claims that the portal still accepts, or None if the deadline is not known."""
    return None if ledger.rules.credit_days is None else _sum(sum_of(ledger.open_claims))


def _line(one: Judged, ledger: Ledger) -> dict[str, Any]:
    line = one.line
    return {
        "line": line.number,
        "verdict": str(one.verdict),
        "why": one.why,
        "lead": one.lead,
        "lead_id": line.lead_id,
        "date": line.on.isoformat() if line.on else None,
        "name": line.name,
        "email": line.email,
        "phone": line.phone,
        "community": line.community_key or line.community,
        "cents": line.cents,
        "unreadable": list(line.unreadable),
        "request_credit_by": one.ask_by.isoformat() if one.ask_by else None,
        "in_time": not is_late(one, ledger.today) if one.ask_by is not None else None,
    }
