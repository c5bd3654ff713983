"""Test that a portal's list is compared with the leads, and that no doubtful line is claimed."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapter.exceptions import NotPossible, PayloadError
from adapter.mapping.portal_yaml import PortalRules
from adapter.mapping.problems import MappingErrors
from adapter.operations.contact_matcher import Contact
from adapter.operations.ledger import compare as compare_module
from adapter.operations.ledger.claims_csv import claims_csv, ledger_as_dict
from adapter.operations.ledger.compare import Comparison, Ledger
from adapter.operations.ledger.verdicts import NOT_IN_TIME, Verdict
from tests.harness import Harness, settle
from tests.integration.test_erasure import erasure, everything, find, refuse
from tests.leads import lead
from tests.shell import Shell

HEAD = "Lead Date,Renter Name,Email,Phone,Property,Amount"
TODAY = dt.date(2026, 3, 10)


def compare(
    harness: Harness,
    *lines: str,
    head: str = HEAD,
    seconds: float = 60,
    progress: Callable[[str], object] = lambda _: None,
    **rules: Any,
) -> Ledger:
    """Compare lines of a CSV file with RentFeed's leads."""
    comparison = Comparison(
        harness.pipeline.store,
        harness.settings.policy,
        "rentfeed",
        harness.pipeline.sources,
        PortalRules(**rules),
        today=TODAY,
        seconds=seconds,
        progress=progress,
    )
    return comparison.run("\n".join([head, *lines]).encode())


def line(number: int, day: int = 2, **more: str) -> str:
    """Return a line of a portal's list for one of the numbered leads."""
    cells: Mapping[str, str] = {
        "date": f"03/{day:02}/2026",
        "name": "",
        "email": f"person{number}@example.com",
        "phone": "",
        "place": "Maple Court",
        "amount": "$35.00",
    } | more
    return ",".join(cells.values())


def verdicts(ledger: Ledger) -> list[str]:
    return [str(one.verdict) for one in ledger.lines]


def test_charges_are_compared_with_what_arrived_and_what_is_in_knock(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    settle(harness)
    harness.mapped("rentfeed", lead(2, time="2:30 AM"))  # held
    (toured,) = harness.mapped("rentfeed", lead(3))
    settle(harness)
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET knock_status = 'visited' WHERE id = %(id)s", {"id": toured.id}
        )
    harness.mapped("rentfeed", lead(9))
    ledger = compare(
        harness,
        line(1),
        line(1, day=3),
        line(2),
        line(3),
        line(4),
        line(5, amount="$0.00"),
        'Total,,,,,"$1,234.50"',
    )
    assert verdicts(ledger) == [
        *("in_knock", "charged_twice", "not_in_knock", "toured", "not_arrived", "not_charged")
    ]
    assert ledger.unlisted == 1
    assert (ledger.file.skipped, ledger.file.skipped_cents) == (1, 123450)
    assert ledger.sums[Verdict.NOT_ARRIVED].cents == 3500
    assert [one.line.number for one in ledger.claims] == [3, 6]
    assert ledger.claims[0].why == "Line 2 of Mar 2, 2026 charges the same renter and community."
    assert ledger.lines[2].why == "Arrived on Mar 2, 2026, but it needs review and is not in Knock."
    assert ledger.claims[1].ask_by is None


def test_a_second_lead_within_twelve_months_is_a_duplicate(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.clock.advance(20 * 86400)
    harness.mapped("rentfeed", lead(1, day=30) | {"leadId": "RF-later"})
    later = compare(harness, line(1, day=22))
    assert verdicts(later) == ["duplicate"]
    assert "was already a lead on Mar 2, 2026 (lead " in later.lines[0].why
    assert verdicts(compare(harness, line(1, day=22), duplicate_months=0)) == ["not_in_knock"]
    # The first charge does not count if it is claimed itself.
    assert verdicts(compare(harness, line(7, day=2), line(7, day=22))) == ["not_arrived"] * 2


def test_a_lead_with_another_id_is_not_the_same_lead(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    lines = (f"{line(1)},RF-1", f"{line(1)},RF-9", f"{line(1)},RF-9")
    ledger = compare(harness, *lines, head=f"{HEAD},Lead ID")
    assert verdicts(ledger)[1:] == ["duplicate", "charged_twice"]


def test_claims_end_with_the_portals_period_for_credits(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    ledger = compare(harness, line(5), line(6), credit_days=3)
    assert (len(ledger.claims), ledger.open_claims) == (2, [])
    assert len(compare(harness, line(5), line(6), credit_days=9).open_claims) == 2
    unknown = compare(harness, line(5))
    assert unknown.claims[0].ask_by is None, "we do not know the portal's rule"
    assert ledger_as_dict(unknown)["claims"]["in_time"] is None
    assert [*claims_csv(unknown)][1].rstrip().endswith(",,")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (line(1, day=12), "10 days before the portal's date"),
        (line(1, place="Harbor Flats"), "is for maple-court, not for this community"),
        (line(1, name="Mia Lee"), "has the same contact or ID, but a different name"),
        (line(8, name='"Roeab, Dana"'), "has the same name, but different contact details"),
        (line(8, date="2/27/2026"), "dated before the first message from this source"),
        (line(1, date="soon"), "the date on this line cannot be read"),
        (line(8, email="", name="Mia Lee"), "no email or phone to compare"),
    ],
)
def test_what_could_mean_two_things_is_in_doubt(harness: Harness, text: str, why: str) -> None:
    harness.mapped("rentfeed", lead(1))
    ledger = compare(harness, text, line(3))
    assert verdicts(ledger)[0] == "doubtful"
    assert why in ledger.lines[0].why


def test_a_name_and_a_day_are_enough_only_without_a_contact(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    named = line(1, email="", name='"Roeab, Dana"')
    assert verdicts(compare(harness, named)) == ["not_in_knock"]
    harness.mapped("rentfeed", lead(2, name="Dana Roeab"))
    assert verdicts(compare(harness, named)) == ["doubtful"]


@pytest.mark.parametrize("state", ["received", "ignored", "held", "rejected"])
def test_a_message_that_became_no_booking_has_arrived(harness: Harness, state: str) -> None:
    harness.mapped("rentfeed", lead(1))
    if state == "rejected":
        refuse(harness)
        text = line(7, email="dana.okafor@example.com")
    else:
        body = lead(7) | ({"isTest": True} if state == "ignored" else {})
        event = harness.receive(
            "rentfeed", body if state != "held" else b'{"e": "person7@example.com",'
        )
        text = line(7)
        if state != "received":
            harness.map_event(event.event_id)
    ledger = compare(harness, text)
    assert verdicts(ledger) == ["not_in_knock"]
    words = {"received": "not been read", "held": "could not be read"}.get(state, state)
    assert words in ledger.lines[0].why


def from_another_source(harness: Harness, booking_id: int) -> None:
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute(
            "UPDATE bookings SET source = 'website' WHERE id = %(id)s", {"id": booking_id}
        )


def test_a_renter_whom_another_source_sent_is_not_claimed(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    (booking,) = harness.mapped("rentfeed", lead(7))
    from_another_source(harness, booking.id)
    ledger = compare(harness, line(7))
    assert verdicts(ledger) == ["doubtful"]
    assert "came from website" in ledger.lines[0].why


def test_a_lead_that_was_merged_counts_as_the_one_in_knock(harness: Harness) -> None:
    (first,) = harness.mapped("rentfeed", lead(1))
    settle(harness)
    from_another_source(harness, first.id)
    (merged,) = harness.mapped("rentfeed", lead(1) | {"leadId": "RF-again"})
    assert (str(merged.state), merged.because_of) == ("duplicate", first.id)
    assert verdicts(compare(harness, line(1))) == ["in_knock"]


def test_an_erased_renter_is_recognized_by_a_keyed_hash(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    settle(harness)
    erasure(harness).erase(find(harness, Contact.from_email("person1@example.com")), by="ana")
    assert "person1@" not in everything(harness.pipeline.store)
    assert verdicts(compare(harness, line(1), line(7))) == ["in_knock", "not_arrived"]
    # Without a property, the line is compared with the leads of every community.
    assert verdicts(compare(harness, line(1, place=""))) == ["in_knock"]


def test_deleted_data_leaves_a_doubt(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.mapped("rentfeed", b'{"oops": ')
    with harness.pipeline.store.transaction() as tx:
        tx.connection.execute("UPDATE events SET kept = 'lead', body = '' WHERE state = 'held'")
    ledger = compare(harness, line(7), line(8, day=20))
    assert verdicts(ledger) == ["doubtful", "not_arrived"]
    assert "data from these days was deleted" in ledger.lines[0].why


def test_a_search_that_is_cut_short_leaves_a_doubt(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.mapped("rentfeed", b'{"oops": ')
    lines = [line(7), line(7), line(1), line(1, amount="$0.00"), "Total,,,,,$105.00"]
    ledger = compare(harness, *lines, seconds=-1)
    assert verdicts(ledger) == ["doubtful"] * 3 + ["not_charged"]
    assert {one.why for one in ledger.of(Verdict.DOUBTFUL)} == {NOT_IN_TIME}
    assert ledger.file.skipped_cents == 10500, "a total needs no comparison"
    assert ledger.unlisted is None, "a lead that was not compared may be on the list"
    assert ledger.cut_short == 3


def test_the_portals_id_is_enough(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    head = "Lead ID,Date,Cost"
    ledger = compare(harness, "RF-1,2026-03-02,35", "RF-2,2026-03-02,35", head=head)
    assert verdicts(ledger) == ["not_in_knock", "doubtful"]
    assert verdicts(compare(harness, *["RF-1,2026-03-02,35"] * 2, head=head)) == [
        *("not_in_knock", "charged_twice")
    ]


def test_an_id_that_several_renters_share_is_not_a_double_charge(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    harness.mapped("rentfeed", lead(2))
    head = "Reference," + HEAD
    ledger = compare(harness, "INV-7," + line(1), "INV-7," + line(2), head=head)
    assert verdicts(ledger) == ["not_in_knock", "not_in_knock"]


def test_a_credit_settles_a_claim(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    ledger = compare(harness, line(1), line(1), line(1, amount="($35.00)"))
    assert verdicts(ledger) == ["not_in_knock", "credited", "credit"]
    assert ledger.claims == []
    assert ledger.sums[Verdict.CREDIT].cents == -3500


def test_a_contact_on_many_lines_is_never_claimed(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    ledger = compare(harness, *[line(7)] * 60)
    assert {*verdicts(ledger)} == {"doubtful"}


def test_the_csv_has_only_claims_and_no_formulas(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    ledger = compare(harness, line(1), line(7, name="=HYPERLINK(1)"), credit_days=14)
    head, claim = "".join(claims_csv(ledger)).splitlines()
    assert head.startswith("line,lead_id,date,name,email")
    assert claim.startswith("3,,2026-03-02,'=HYPERLINK(1),person7@example.com,,Maple Court,35.00,")
    assert claim.endswith(",2026-03-16,yes")
    assert len([*claims_csv(ledger, everything=True)]) == 3


def test_a_file_without_dates_needs_a_period(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    with pytest.raises(NotPossible, match="--since and --until"):
        compare(harness, "person1@example.com", head="Email")


def test_a_source_without_webhooks_cannot_be_compared(harness: Harness) -> None:
    with pytest.raises(NotPossible, match="has ever arrived"):
        compare(harness, line(1))


def test_unknown_columns_are_listed(harness: Harness) -> None:
    with pytest.raises(PayloadError, match="the columns found are: Wer, Wann"):
        compare(harness, "Ana,heute", head="Wer,Wann")
    with pytest.raises(
        PayloadError, match="there is no column 'Mail to', which --columns sets for em"
    ):
        compare(harness, line(1), columns={"email": ["Mail to"]})


def test_nothing_from_the_file_is_stored(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    compare(harness, line(77, name="Zebulon Quist"))
    text = everything(harness.pipeline.store)
    assert "person77" not in text
    assert "quist" not in text


def test_the_command_shows_totals_and_writes_the_claims(
    harness: Harness, shell: Shell, tmp_path: Path
) -> None:
    harness.mapped("rentfeed", lead(1))
    settle(harness)
    file, claims = tmp_path / "march.csv", tmp_path / "claims.csv"
    file.write_bytes(
        "\n".join([HEAD, line(1), line(1), line(7)]).replace(",", ";").encode("utf-16")
    )
    arguments = ("reconcile", str(file), "--source", "rentfeed", "--csv", str(claims))
    shown = shell(*arguments, exit_code=1)
    assert "read as utf-16, separator semicolon; date = Lead Date, name = Renter Name" in shown
    for title, lines, amount in (
        ("Never arrived", 1, "$35.00"),
        ("Charged twice", 1, "$35.00"),
        ("In Knock", 1, "$35.00"),
        ("To claim", 2, "$70.00"),
    ):
        assert re.search(rf"{title} +{lines} +{re.escape(amount)}", shown), title
    assert f"wrote {claims}" in shown
    written = claims.read_text("utf-8-sig").splitlines()
    assert [one.split(",")[0] for one in written] == ["line", "3", "4"]
    data = shell.json(*arguments[:4], exit_code=1)
    assert data["claims"] == {"lines": 2, "cents": 7000, "in_time": None}
    assert [one["verdict"] for one in data["lines"]] == ["charged_twice", "not_arrived"]
    assert "reconciled" in shell("audit", "--json")
    assert "often 14 days. Set 'credit_days' from your contract" in shown
    assert "still in time" not in shown

    file.write_text("\n".join([HEAD, line(1)]))
    assert "Each charged lead arrived, and was charged only once." in shell(*arguments[:4])


def test_the_progress_of_a_long_list_is_shown(harness: Harness) -> None:
    harness.mapped("rentfeed", lead(1))
    shown: list[str] = []
    many = [line(number) for number in range(1, 2101)]
    compare(harness, *many, progress=shown.append)
    assert [*dict.fromkeys(shown)] == [
        *("lines read: 1,000", "lines read: 2,000"),
        "searching the webhooks that did not become leads",
        *(f"searching in other sources, lines: {count}" for count in ("1,000", "2,000", "2,099")),
    ]


def test_the_command_says_that_the_time_ran_out(
    harness: Harness, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.mapped("rentfeed", lead(1))
    file = tmp_path / "march.csv"
    file.write_text("\n".join([HEAD, *(line(number) for number in range(1, 1101))]))
    arguments = ("reconcile", str(file), "--source", "rentfeed", "--limit", "0")
    monkeypatch.setattr(compare_module, "READING", -1.0)
    shown = shell(*arguments, exit_code=1)
    assert re.search("Arrived, not listed +unknown[ -]+not everything was compared in time", shown)
    assert "Time ran out: 1,100 lines not compared. Split the list" in shown


def test_the_command_explains_what_it_cannot_read(
    harness: Harness, shell: Shell, tmp_path: Path
) -> None:
    harness.mapped("rentfeed", lead(1))
    file, columns = tmp_path / "list.csv", tmp_path / "columns.yaml"
    file.write_bytes(b"PK\x03\x04...")
    arguments = ("reconcile", str(file), "--source", "rentfeed")
    assert "is an Excel workbook: save it as CSV" in shell(*arguments, exit_code=1)
    file.write_text("Sent On,Contact,Net\n02.03.2026,person1@example.com,35\n")
    assert "the columns found are: Sent On, Contact, Net" in shell(*arguments, exit_code=1)
    columns.write_text(
        "columns: { date: Sent On, email: Contact, amount: Net }\ndate_format: DD.MM.YYYY\n"
    )
    named = (*arguments, "--columns", str(columns))
    data = shell.json(*named, "--all")
    assert [one["verdict"] for one in data["lines"]] == ["not_in_knock"]
    columns.write_text("column: { date: Sent On }\n")
    with pytest.raises(MappingErrors, match=r"columns.yaml:1:1: column: unknown option 'column'; "):
        shell(*named)
