"""Test that files from spreadsheet programs are read, and that doubtful values are not."""

import datetime as dt
import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import PayloadError, Unreadable
from adapter.mapping.portal_yaml import PortalRules, rules_for
from adapter.mapping.problems import MappingErrors
from adapter.mapping.registry import check
from adapter.operations.ledger.claims_csv import dollars
from adapter.operations.ledger.match_lines import FoundLead, name_key
from adapter.operations.ledger.portal_lines import PortalList, cents_from, date_from, read_list
from adapter.operations.ledger.verdicts import (
    NOT_IN_TIME,
    Known,
    Verdict,
    judge,
    months_before,
)
from adapter.settings import Policy
from tests.cpu_time import at_most

TEXT = """Lead Date,Renter Name,E-mail,Phone #,Amount
3/2/2026,José Núñez,j@example.com,303.555.0142,$35
"""


def read(data: bytes | str, **rules: object) -> PortalList:
    raw = data.encode() if isinstance(data, str) else data
    return read_list(raw, PortalRules(**rules), Policy(), {"maple court": "maple-court"})  # type: ignore[arg-type]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "windows-1252"]
)
def test_every_usual_encoding_and_separator_is_read(encoding: str, separator: str) -> None:
    file = read(TEXT.replace(",", separator).encode(encoding))
    (line,) = file.lines
    assert (line.name, line.email, line.phone) == ("José Núñez", "j@example.com", "+13035550142")
    assert (line.on, line.cents, line.number) == (dt.date(2026, 3, 2), 3500, 2)


def test_an_address_above_the_table_and_totals_below_are_skipped() -> None:
    file = read(f'"Portal, Inc."\nInvoice 7;March\n\n{TEXT}\nTotal,,,,"$1,035.00"\n')
    assert [line.number for line in file.lines] == [5]
    assert (file.skipped, file.skipped_cents) == (1, 103500)


def test_a_line_with_a_total_in_any_column_is_skipped() -> None:
    head = "Date,Lead ID,Name,Email,Amount\n3/2/2026,RF-1,Dana Okafor,d@example.com,$35\n"
    for total in ("Total,,,,$35", ",Grand Total:,,,$35", ",,TOTAL,,$35", ",,Subtotal,,$35"):
        file = read(head + total)
        assert [line.number for line in file.lines] == [2]
        assert file.skipped_cents == 3500
    renters = "3/3/2026,RF-2,Ana Total,,$35\n,RF-3,Ana Total,,$35\n,,Bo Li,t@example.com,$35"
    assert [line.number for line in read(head + renters).lines] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "total",
    [
        "3/31/2026,Total,,,$35",
        "3/31/2026,,Total,,$35",
        "3/31/2026,INV-7,Total due:,,$35",
        "Total for March,,,,$35",
        "Total (1 lead),,,,$35",
        ",,Amount due: $35,,$35",
        "3/31/2026,,Balance due,,$35",
        "Total,,,billing@example.com,$35",
        ",,Net total,,$35",
    ],
)
def test_a_total_is_skipped_whatever_else_its_line_contains(total: str) -> None:
    head = "Date,Lead ID,Name,Email,Amount\n3/2/2026,RF-1,Dana Okafor,d@example.com,$35\n"
    file = read(head + total)
    assert [line.number for line in file.lines] == [2]
    assert file.skipped_cents == 3500


@pytest.mark.parametrize(
    "lead",
    [
        "3/3/2026,RF-2,Ana Lee,,$35,Total",
        ",,Ana Lee,a@example.com,$35,total",
        "3/3/2026,,,a@example.com,$35,Total budget $1500",
        "3/3/2026,RF-2,,,$35,Totally charmed",
    ],
)
def test_a_lead_is_kept_although_another_cell_has_the_word(lead: str) -> None:
    file = read("Date,Lead ID,Name,Email,Amount,Comment\n" + lead)
    assert [line.number for line in file.lines] == [2]


def test_cells_may_contain_line_breaks_and_separators() -> None:
    file = read(
        'Date,Name,Email\n3/2/2026,"Okafor,\nDana",d@example.com\n3/3/2026,A B,a@example.com'
    )
    assert [line.number for line in file.lines] == [2, 4]
    assert name_key(file.lines[0].name) == name_key("Dana Okafor")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04", "is an Excel workbook: save it as CSV"),
        (b"%PDF-1.4", "is a PDF document"),
        (b"Wer,Wann\nAna,heute\n", "the columns found are: Wer, Wann. Name them in"),
        (b'Email,Date\n"x@example.com,3/2/2026\n', "line 2 cannot be read: a quotation mark"),
        (b"Email,Date\nx@example.com,25/03/2026\n", "write 'date_format: DD/MM/YYYY'"),
    ],
)
def test_a_file_that_cannot_be_read_is_explained(data: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=r".*") as raised:
        read(data)
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("$1,234.50", 123450),
        ("35", 3500),
        ("USD 12.5", 1250),
        ("(12.00)", -1200),
        ("$ (12.00)", -1200),
        ("-$12.00", -1200),
        ("12.00-", -1200),
        ("\u221212.00", -1200),
        ("1.234,50", 123450),
        ("12,50", 1250),
        (".50", 50),
        ("0", 0),
    ],
)
def test_amounts_are_read_in_cents(text: str, cents: int) -> None:
    assert cents_from(text) == cents


@pytest.mark.parametrize("text", ["free", "1.234", "1,2", "$", "1 for 2", "12.345", "1,2345"])
def test_doubtful_amounts_are_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        cents_from(text)


@pytest.mark.parametrize(
    "text",
    [
        *("3/2/2026", "03/02/26", "2026-03-02", "20260302", "3-2-2026", "2026/03/02"),
        *("Mar 2, 2026", "Monday, March 2, 2026", "2-Mar-26", "2 March 2026", "Mar 2nd 2026"),
        *("3/2/2026 2:30 PM", "03/02/2026 14:30:05", "2026-03-02T14:30:00Z", "3/2/26, 2:30pm MST"),
        *("2026-03-02 14:30:00.123 UTC", "Mar 2, 2026 at 2:30 PM", "2026-03-02T14:30:00-07:00"),
    ],
)
def test_dates_are_read_as_they_are_usual_in_the_us(text: str) -> None:
    assert date_from(text) == dt.date(2026, 3, 2)


@pytest.mark.parametrize(
    "text", ["soon", "2/30/2026", "3/2", "13", "3/2/2026 or later", "Ma 2, 2026"]
)
def test_other_texts_are_no_dates(text: str) -> None:
    with pytest.raises(Unreadable):
        date_from(text)


def test_unreadable_values_are_noted_and_the_line_is_kept() -> None:
    text = (
        "Date,Email,Phone,Amount\nsoon,d***@example.com,xxx-0142,free\n1/1/0001,a@example.com,,\n"
    )
    line, ancient = read(text).lines
    assert line.unreadable == ("email", "phone", "date", "amount")
    assert (ancient.unreadable, ancient.on) == (("date",), None)


def test_known_and_unknown_communities_are_told_apart() -> None:
    file = read(
        "Date,Email,Property\n3/2/2026,a@example.com,MAPLE  COURT\n3/2/2026,b@example.com,Elm"
    )
    assert [line.community_key for line in file.lines] == ["maple-court", ""]
    assert file.unknown_communities == {"Elm": 1}


def test_a_portals_file_names_columns_and_rules(tmp_path: Path) -> None:
    (tmp_path / "portals").mkdir()
    file = tmp_path / "portals" / "zillow.yaml"
    file.write_text("columns: { email: Mail to }\nprice: $35.00\ndate_format: DD.MM.YYYY\n")
    rules = rules_for("zillow", tmp_path)
    assert (rules.price, rules.credit_days, rules.columns) == (3500, None, {"email": ["Mail to"]})
    assert rules_for("other", tmp_path) == PortalRules()
    data = b"Date;Mail to\n02.03.2026;a@example.com\n"
    (line,) = read_list(data, rules, Policy(), {}).lines
    assert (line.on, line.cents) == (dt.date(2026, 3, 2), 3500)
    file.write_text("columns: { mail: x }\ndate_format: today\nmatch_days: 99\nprice: free\n")
    with pytest.raises(MappingErrors) as raised:
        rules_for("zillow", tmp_path)
    assert len(raised.value.problems) == 4


def test_a_portals_file_with_errors_is_reported_by_check(tmp_path: Path) -> None:
    (tmp_path / "portals").mkdir()
    (tmp_path / "portals" / "zillow.yaml").write_text("credit_days: soon\n")
    problems = [str(one) for one in check([tmp_path], Policy())]
    assert [one for one in problems if "zillow.yaml:1:1: credit_days: must be" in one]


def test_months_and_dollars() -> None:
    assert months_before(dt.date(2026, 3, 31), 1) == dt.date(2026, 2, 28)
    assert months_before(dt.date(2026, 2, 10), 12) == dt.date(2025, 2, 10)
    assert (dollars(123450), dollars(-1205), dollars(5, sign="")) == (
        "$1,234.50",
        "($12.05)",
        "0.05",
    )


def known(**given: Any) -> Known:
    nothing: dict[str, Any] = {"found": {}, "crowded": (), "unreadable": (), "elsewhere": {}}
    return Known(**(nothing | {"first_on": dt.date(2026, 1, 1), "final": {}} | given))


def lead_of(day: int) -> FoundLead:
    """Return a lead in Knock that arrived on the given day in March."""
    return FoundLead(
        id=9,
        on=dt.date(2026, 3, day),
        by="email",
        community="",
        is_other_name=False,
        person=("j@example.com", ""),
        state="booked",
        because_of=None,
        is_gone=False,
        knock_status=None,
    )


def countdown(steps: int) -> Any:
    """Return a function that returns True after ``steps`` calls."""
    calls = itertools.count(1)
    return lambda: next(calls) > steps


def test_lines_that_are_not_read_in_time_are_doubtful() -> None:
    text = TEXT + "3/3/2026,,,(303) 555-0143,$35\nTotal,,,,$70\n"
    found = read_list(text.encode(), PortalRules(), Policy(), {}, countdown(1))
    assert [(one.is_in_time, one.phone) for one in found.lines] == [
        *((True, "+13035550142"), (False, None))
    ]
    assert found.skipped == 1
    judged = judge(found.lines, known(), PortalRules())
    assert [one.verdict for one in judged] == [Verdict.NOT_ARRIVED, Verdict.DOUBTFUL]
    assert judged[1].why == NOT_IN_TIME


def test_a_claimed_charge_is_not_the_first_one_of_later_charges() -> None:
    """Check that one of a renter's charges remains unclaimed if a lead arrived."""
    lines = read(TEXT + "3/20/2026,,j@example.com,,$35\n").lines
    assert [one.email for one in lines] == ["j@example.com"] * 2
    judged = judge(lines, known(found={lines[1].number: [lead_of(20)]}), PortalRules())
    assert [one.verdict for one in judged] == [Verdict.NOT_ARRIVED, Verdict.IN_KNOCK]


def test_a_reason_names_the_charge_that_is_not_claimed() -> None:
    head = "Date,Lead ID,Email,Amount\n"
    rows = ("RF-1", "RF-2", "RF-3")
    text = "\n".join(f"3/2/2026,{one},j@example.com,$35" for one in rows)
    judged = judge(read(head + text).lines, known(found={2: [lead_of(2)]}), PortalRules())
    assert [one.verdict for one in judged[1:]] == [Verdict.DUPLICATE] * 2
    assert {one.why for one in judged[1:]} == {
        "The same renter was charged on Mar 2, 2026 (line 2)."
    }


def test_lines_that_are_not_judged_in_time_are_doubtful() -> None:
    lines = read(TEXT + "3/3/2026,,k@example.com,,$35\n3/4/2026,,l@example.com,,$0\n").lines
    judged = judge(lines, known(), PortalRules(), countdown(1))
    assert [one.verdict for one in judged] == [
        *(Verdict.NOT_ARRIVED, Verdict.DOUBTFUL, Verdict.NOT_CHARGED)
    ]
    judged = judge(lines, known(has_all_leads=False), PortalRules())
    assert [one.why for one in judged[:2]] == [NOT_IN_TIME] * 2, "a later lead may be this one"


@pytest.mark.timed
def test_a_megabyte_of_empty_lines_takes_little_time() -> None:
    started_at = time.process_time()
    with pytest.raises(PayloadError):
        read(b"\r" * 1_000_000)
    assert time.process_time() - started_at < at_most(0.5)


@pytest.mark.timed
def test_many_lines_and_credits_of_one_renter_take_little_time() -> None:
    rows = (
        f"3/2/2026,Name{'abcdefghij'[n // 10 % 10]}{'abcdefghij'[n % 10]},j@example.com,,{amount}"
        for n in range(5000)
        for amount in ("$35", "($35)")
    )
    lines = read("\n".join(["Lead Date,Renter Name,E-mail,Phone #,Amount", *rows])).lines
    started_at = time.process_time()
    judged = judge(lines, known(), PortalRules())
    assert time.process_time() - started_at < at_most(1.5)
    assert {one.verdict for one in judged} == {Verdict.CREDITED, Verdict.CREDIT}
