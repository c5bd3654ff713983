"""Define ``adapter reconcile``, which compares a portal's invoice with the stored leads."""

import datetime as dt
import getpass
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.cli.valid_mappings import valid_sources
from adapter.exceptions import NotPossible, PayloadError
from adapter.mapping.portal_yaml import PortalRules, rules_for, rules_from_file
from adapter.models import utc_now
from adapter.operations.ledger.claims_csv import (
    LABELS,
    OF_INTEREST,
    claims_csv,
    dollars,
    ledger_as_dict,
)
from adapter.operations.ledger.compare import Comparison, Ledger, Sum, sum_of
from adapter.operations.ledger.portal_lines import MAX_BYTES
from adapter.operations.ledger.verdicts import CLAIMS, Judged, Verdict, day_text
from adapter.operations.live_sources import live_sources
from adapter.settings import Settings, settings_from
from adapter.store import Database


@click.command(
    epilog=examples(
        "adapter reconcile march.csv --source zillow",
        "adapter reconcile march.csv --source zillow --csv claims.csv",
        "adapter reconcile list.csv --source zillow --columns zillow.yaml --json",
        "",
        "If the column names are unusual, pass a file such as this one with --columns (all "
        "options are optional):",
        "  columns: { date: Sent On, email: Contact, amount: Net, community: [Site, Unit] }",
        "  date_format: DD/MM/YYYY",
        "  price: $35.00           # per lead, if the list has no amounts",
        "  credit_days: 14         # days for requesting a credit from the portal",
        "  duplicate_months: 12    # months when a renter's second lead is a duplicate",
        "  match_days: 3           # maximum days between the portal's date and ours",
    )
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--source", required=True, help="Name of the portal's source, as shown by `adapter sources`."
)
@click.option(
    "--columns",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    show_default="portals/SOURCE.yaml in the mappings folder, if it exists",
    help="YAML file with the portal's column names and rules.",
)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day of the billing period.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the billing period.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write the claims to this CSV file, which you can send to the portal.",
)
@click.option("--all", "everything", is_flag=True, help="Include all lines in --csv and --json.")
@click.option(
    "--limit",
    type=click.IntRange(0, 10_000),
    default=20,
    help="Print at most this many lines for each result.",
)
@as_json
def reconcile(
    file: Path,
    source: str,
    columns: Path | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    csv_file: Path | None,
    everything: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Compare a portal's invoice or list of leads with the leads that arrived.

    FILE is a CSV file with a line for each lead that the portal charges for. Common column names,
    dates, amounts, encodings and separators are recognized. Each line is compared with the source's
    leads by date and by the portal's lead ID, email or phone, or else by name.

    The command reports leads that never arrived, were charged twice, were from a renter who was
    already a lead, or arrived but are not in Knock. Ambiguous lines are listed as doubtful and
    never claimed. Nothing from the file is stored. The exit code is 1 if there are claims or
    doubtful lines.
    """
    settings = settings_from()
    with opened_store(settings) as store:
        ledger = _compare(settings, store, file, source, columns, since, until)
        with store.transaction() as tx:
            detail = f"{source}, {len(ledger.lines)} lines"
            tx.audit.record("reconciled", by=getpass.getuser(), at=utc_now(), detail=detail)
    if csv_file is not None:
        # Spreadsheet programs recognize UTF-8 by its byte order mark.
        with csv_file.open("w", encoding="utf-8-sig", newline="") as out:
            out.writelines(claims_csv(ledger, everything=everything))
    data = ledger_as_dict(ledger, everything=everything) if as_json else None
    output.show(data, "\n".join(_lines(ledger, file.name, limit, csv_file)), as_json=as_json)
    sys.exit(bool(ledger.claims or ledger.sums[Verdict.DOUBTFUL].lines))


def _compare(
    settings: Settings,
    store: Database,
    file: Path,
    source: str,
    columns: Path | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
) -> Ledger:
    sources = live_sources(settings, store, files=valid_sources(settings)).sources
    rules = _rules(settings, source, columns)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise PayloadError(f"the file is larger than {MAX_BYTES // 1024**2} MB")
        with output.progress(is_logged=False) as show:
            parts = (store, settings.policy, source, sources, rules)
            comparison = Comparison(*parts, today=utc_now().date(), progress=show)
            return comparison.run(file.read_bytes(), since and since.date(), until and until.date())
    except (PayloadError, NotPossible) as exc:
        output.fail(f"{file}: {exc}")


def _rules(settings: Settings, source: str, columns: Path | None) -> PortalRules:
    return rules_from_file(columns) if columns else rules_for(source, settings.mappings_dir)


def _lines(ledger: Ledger, name: str, limit: int, csv_file: Path | None) -> Iterator[str]:
    yield f"{name}: {_count(len(ledger.lines))} from {_period(ledger)}, source {ledger.source}"
    yield from _reading_lines(ledger)
    yield ""
    yield formatting.table(("result", "lines", "amount", ""), _total_rows(ledger))
    for verdict in OF_INTEREST:
        yield from _section(verdict, ledger, limit)
    yield from _next_lines(ledger, csv_file)


def _period(ledger: Ledger) -> str:
    return f"{day_text(ledger.since)} to {day_text(ledger.until)}"


def _reading_lines(ledger: Ledger) -> Iterator[str]:
    """Yield lines that show how the file was read, to reveal misread columns."""
    file = ledger.file
    columns = ", ".join(f"{field} = {name}" for field, name in file.columns.items())
    yield f"  read as {file.encoding}, separator {file.separator}; {columns}"
    if file.skipped:
        text = "without a renter (such as totals), not compared"
        yield f"  {_count(file.skipped)} {text}: {dollars(file.skipped_cents)}"
    if file.unknown_communities:
        names = ", ".join([*file.unknown_communities][:5])
        yield f"  unknown communities, not compared: {names}"
    for field, count in ledger.unreadable_fields.items():
        yield f"  {field}: {_count(count)} with a value that cannot be read"
    if not file.has_amounts:
        yield "  no amounts: set 'price' in the portal's file (--columns) to see dollars"


def _total_rows(ledger: Ledger) -> Iterator[Sequence[str]]:
    hints = {
        Verdict.DUPLICATE: f"within {ledger.rules.duplicate_months} months",
        Verdict.DOUBTFUL: "check each line; not claimed",
        Verdict.NOT_IN_KNOCK: "not the portal's fault; see `adapter queue`",
    }
    for verdict, found in ledger.sums.items():
        if found.lines or verdict in OF_INTEREST:
            yield (LABELS[verdict], *_numbers(found), hints.get(verdict, ""))
    yield ("To claim", *_numbers(sum_of(ledger.claims)), "")
    if ledger.rules.credit_days is not None:
        days = f"requested within {ledger.rules.credit_days} days of the lead"
        yield ("  still in time", *_numbers(sum_of(ledger.open_claims)), days)
    if ledger.unlisted is None:
        yield ("Arrived, not listed", "unknown", "", "not everything was compared in time")
    else:
        hint = "leads that the portal does not charge for"
        yield ("Arrived, not listed", f"{ledger.unlisted:,}", "", hint)


def _numbers(found: Sum) -> tuple[str, str]:
    return f"{found.lines:,}", dollars(found.cents)


def _count(lines: int) -> str:
    return f"{lines:,} line" if lines == 1 else f"{lines:,} lines"


def _section(verdict: Verdict, ledger: Ledger, limit: int) -> Iterator[str]:
    found = ledger.of(verdict)
    if not found or not limit:
        return
    yield f"\n{LABELS[verdict]}"
    yield formatting.table(
        ("line", "date", "renter", "community", "amount", "why"), map(_row, found[:limit])
    )
    if len(found) > limit:
        yield f"… and {len(found) - limit:,} more; raise --limit, or use --csv or --json"


def _row(one: Judged) -> Sequence[object]:
    line = one.line
    renter = line.name or line.email or line.phone or line.lead_id
    amount = None if line.cents is None else dollars(line.cents)
    return (line.number, line.on, renter, line.community_key or line.community, amount, one.why)


def _next_lines(ledger: Ledger, csv_file: Path | None) -> Iterator[str]:
    yield ""
    if csv_file is not None:
        yield f"wrote {csv_file}"
    elif ledger.claims:
        yield "next: add --csv claims.csv, and send that file to the portal"
    if ledger.claims and ledger.rules.credit_days is None:
        yield (
            "Many portals accept a request for a credit only for a short time, often 14 days. Set "
            "'credit_days' from your contract in the portal's file (--columns)"
        )
    if ledger.cut_short:
        yield (
            f"Time ran out: {_count(ledger.cut_short)} not compared. Split the list, and "
            "check each part separately"
        )
    doubtful = ledger.of(Verdict.DOUBTFUL)
    if sum("the portal's date" in one.why for one in doubtful) * 2 > len(ledger.lines):
        yield (
            "Most leads arrived on different days than the portal's dates. If those are billing "
            "dates, set 'match_days: 31' in the portal's file (--columns)"
        )
    if not any(one.verdict in (*CLAIMS, Verdict.DOUBTFUL) for one in ledger.lines):
        yield "Each charged lead arrived, and was charged only once."
