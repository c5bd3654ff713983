# ruff: noqa: DTZ001, DTZ901 - local times are naive here, by intent
"""Test formats, time zones, and conversion from local time to UTC."""

import contextlib
import datetime as dt
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tzlocal.windows_tz import win_tz

from adapter.exceptions import Unreadable
from adapter.parsing.date_formats import TOKENS, compile_format
from adapter.parsing.date_parts import PARTS, iso_from_parts
from adapter.parsing.local_time import (
    read_absolute_instant,
    read_date,
    read_instant,
    utc_from_local,
)
from adapter.parsing.zone_names import RAILS, zone_from_name
from tests.paths import ROOT
from tests.short_ids import shown

DENVER = zone_from_name("America/Denver")
LOS_ANGELES = zone_from_name("America/Los_Angeles")


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


def reading(text: object, *formats: str, **options: Any) -> dt.datetime:
    compiled = [compile_format(form) for form in formats]
    return read_instant(text, formats=compiled, **{"zone": DENVER, **options}).at


# Formats


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("MM/DD/YYYY h:mm A", "03/14/2026 2:30 PM", (2026, 3, 14, 14, 30)),
        ("MM/DD/YYYY h:mm A", "3/4/2026 2:30 pm", (2026, 3, 4, 14, 30)),
        ("MM/DD/YYYY h:mm A", "03/14/2026  02:30  PM", (2026, 3, 14, 14, 30)),
        ("MM/DD/YYYY h:mm A", "03/14/2026 12:42 AM", (2026, 3, 14, 0, 42)),
        ("MM/DD/YYYY h:mm A", "03/14/2026 12:00 PM", (2026, 3, 14, 12, 0)),
        ("MM/DD/YYYY h:mmA", "03/14/2026 2:30PM", (2026, 3, 14, 14, 30)),
        ("M/D/YY H:mm", "3/4/26 9:05", (2026, 3, 4, 9, 5)),
        ("DD.MM.YYYY HH:mm:ss", "14.03.2026 09:05:59", (2026, 3, 14, 9, 5, 59)),
        ("YYYYMMDD", "20160926", (2016, 9, 26)),
        ("YYYYMMDDHHmmss", "20260314143059", (2026, 3, 14, 14, 30, 59)),
        ("YYYYMMDDHHmmss", "20260314143059.123", (2026, 3, 14, 14, 30, 59)),
        ("HH.mm.ss DD.MM.YYYY", "10.30.45 14.03.2026", (2026, 3, 14, 10, 30, 45)),
        ("MMM D YYYY", "may 1 2026", (2026, 5, 1)),
        ("MMMM D, YYYY", "May 1, 2026", (2026, 5, 1)),
        ("h:mmA - dddd, MMMM D, YYYY", "12:00pm - Wednesday, March 14, 2018", (2018, 3, 14, 12)),
        ("ddd D MMM YYYY hh A", "Sat 14 Mar 2026 02 PM", (2026, 3, 14, 14)),
        ("DD % MM % YYYY", "01 % 05 % 2026", (2026, 5, 1)),
        # A.M. and P.M. as people and Intl.DateTimeFormat write them.
        ("MM/DD/YYYY h:mm A", "03/14/2026 2:30PM", (2026, 3, 14, 14, 30)),
        ("MM/DD/YYYY h:mm A", "03/14/2026 2:30 p.m.", (2026, 3, 14, 14, 30)),
        ("MM/DD/YYYY h:mm A", "03/14/2026 2:30\u202fPM", (2026, 3, 14, 14, 30)),
        ("MM/DD/YYYY h:mmA", "03/14/2026 11:30 a. m.", (2026, 3, 14, 11, 30)),
        ("h A MM/DD/YYYY", "12am 03/14/2026", (2026, 3, 14)),
        # Parts of the day.
        ("MM/DD/YYYY h A", "03/14/2026 3 de la tarde", (2026, 3, 14, 15)),
        ("MM/DD/YYYY h A", "03/14/2026 8 de la Ma\u00f1ana", (2026, 3, 14, 8)),
        ("MM/DD/YYYY h A", "03/14/2026 12 de la tarde", (2026, 3, 14, 12)),
        ("MM/DD/YYYY h:mm A", "03/14/2026 7:30 in the evening", (2026, 3, 14, 19, 30)),
        ("MM/DD/YYYY h A", "03/14/2026 2 de l\u2019apr\u00e8s-midi", (2026, 3, 14, 14)),
        # Ordinals, and names of months and weekdays in any length.
        ("MMMM D, YYYY h:mm A", "March 1st, 2026 2:30 PM", (2026, 3, 1, 14, 30)),
        ("dddd D MMMM YYYY", "Saturday 14TH March 2026", (2026, 3, 14)),
        ("MMM D YYYY", "March 1 2026", (2026, 3, 1)),
        ("ddd, MMM D YYYY", "Tues., Sept. 22nd 2026", (2026, 9, 22)),
        # Words.
        ("MMMM D, YYYY [at] h:mm A", "March 14, 2026 at 2:30 PM", (2026, 3, 14, 14, 30)),
        ("MMMM D, YYYY at h:mm A", "March 14, 2026 at 2:30 PM", (2026, 3, 14, 14, 30)),
        (
            "on D of MMMM YYYY, [around the] h A",
            "On 14th of March 2026, around the 2 PM",
            (2026, 3, 14, 14),
        ),
        ("dddd, MMMM D, YYYY", "Saturday, March 14th, 2026", (2026, 3, 14)),
        ("YYYY-MM-DD[T]HH:mm:ss", "2026-03-14T14:30:00.000", (2026, 3, 14, 14, 30)),
        ("D [de] MMMM [de] YYYY", "14 de marzo de 2026", (2026, 3, 14)),
        (
            "dddd D [de] MMMM [de] YYYY, h:mm A",
            "sábado 12 de diciembre de 2026, 2:30 p. m.",
            (2026, 12, 12, 14, 30),
        ),
        ("dddd D MMMM YYYY", "Samedi 1 août 2026", (2026, 8, 1)),
        ("D MMM YYYY", "12 dic. 2026", (2026, 12, 12)),
        ("D MMM YYYY", "12 déc. 2026", (2026, 12, 12)),
        ("ddd D-MMM-YY h:mmA", "Sat 12-Dec-26 2:30P", (2026, 12, 12, 14, 30)),
        ("[Tour: ]MM/DD/YYYY H[h]mm", "tour: 03/14/2026 14h30", (2026, 3, 14, 14, 30)),
    ],
    ids=shown,
)
def test_a_format_reads(form: str, text: str, said: tuple[int, ...]) -> None:
    assert compile_format(form).parse(text) == dt.datetime(*said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("h:mm A MM/DD/YYYY", "14:30 PM 03/14/2026"),
        ("h:mm A MM/DD/YYYY", "0:30 AM 03/14/2026"),
        ("h:mm A MM/DD/YYYY", "2:5 PM 03/14/2026"),
        ("h:mm A MM/DD/YYYY", "2:30 03/14/2026"),
        ("h:mm A MM/DD/YYYY", "2:30 XM 03/14/2026"),
        ("MM/DD/YYYY h A", "03/14/2026 12 de la mañana"),  # noon or midnight
        ("MM/DD/YYYY h A", "03/14/2026 1 de la noche"),
        ("MM/DD/YYYY h A", "03/14/2026 8 mañana"),  # or tomorrow
        ("MMM D YYYY", "Ma 1 2026"),
        ("MMM D YYYY", "Marches 1 2026"),
        ("MMMM D, YYYY [at] h:mm A", "March 14, 2026 or 2:30 PM"),
        ("D MMM YYYY", "1 jui 2026"),  # juin or juillet
        ("D MMM YYYY", "1 xyz 2026"),
        ("MM/DD/YYYY HH:mm", "03/14/2026 ١٤:30"),
        ("MM/DD/YYYY", "14/03/2026"),
        ("MM/DD/YYYY", "03/14/26"),
        ("MM/DD/YYYY", "02/30/2026"),
        ("MM/DD/YYYY", "03/14/2026 2:30 PM"),
        ("MM/DD/YYYY", "ASAP"),
        ("MM/DD/YYYY", ""),
        ("YYYYMMDD", "2026111"),  # January 11, or November 1
        ("YYYY-MM-DD HH:mm", "2026-03-14 24:00"),
        ("YYYY-MM-DD HH:mm:ss", "2026-03-14 10:30:60"),
        ("YYYY-MM-DD HH:mm", "2026-03-14 10:30.5"),
        ("epoch", "1.7e9"),
        ("epoch", "now"),
        ("epoch", "999999999999999"),
        ("epoch_ms", "1773520200000000"),
    ],
    ids=shown,
)
def test_a_format_does_not_guess(form: str, text: str) -> None:
    with pytest.raises(Unreadable, match=f"^not written as {re.escape(form)}$"):
        compile_format(form).parse(text)


def test_a_weekday_must_fit_the_date() -> None:
    form = compile_format("dddd MM/DD/YYYY")
    assert form.parse("Saturday 03/14/2026").day == 14
    with pytest.raises(Unreadable, match="the weekday does not match the date"):
        form.parse("Friday 03/14/2026")


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (
            "mm-dd-yy",
            f"'dd' in 'mm-dd-yy' is not one of {' '.join(TOKENS)}; write words in brackets",
        ),
        ("MM/DD/YYYYY", "'YYYYY' in"),
        ("YYYY-MM-DDTHH:mm", "'T' in"),
        ("YYYY-MM-DD é", "'é' in"),
        ("%Y-%m-%d", "'Y' in"),
        ("MMMM D, YYYY a h:mm A", "'a' in"),
        ("MMMM D [of the year YYYY", "'t' in"),
        ("MM/DD/yyyy", "'yyyy' in"),
        ("YYYY-MM-DD HH:mm:ss.SSS", "'SSS' in"),
        ("yyyyMMdd", "'yyyy' in"),
        ("2026-MM-DD", "'2' in"),
        ("MM/DD\x00", "is not one of"),
        ("", "is not a date format"),
        ("//", "is not a date format"),
        ("h:mm", "h, which needs A"),
        ("HH:mm A", "A, which needs h instead of H"),
        ("MM/DD/YYYY H [de la tarde]", "a part of the day in place of A"),
        ("MM/DD/YYYY h [in the morning]", "a part of the day in place of A"),
        ("mm/DD/YYYY", "(minutes) without an hour"),
        ("HH ss", "ss without mm"),
        ("YYYY YY", "contains the year twice"),
        ("HH h A", "contains the hour twice"),
        ("YYYYMD", "need a fixed width"),
    ],
    ids=shown,
)
def test_a_wrong_format_is_refused_when_the_mapping_loads(form: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        compile_format(form)


def test_a_format_knows_its_parts() -> None:
    for whole in ("MM/DD/YYYY h:mm A", "epoch"):
        form = compile_format(whole)
        assert (form.has_date, form.has_time) == (True, True)
    assert not compile_format("MM/YYYY").has_date
    assert not compile_format("MM/DD/YYYY").has_time


def test_the_page_describes_each_token_and_its_examples_are_right() -> None:
    page = (ROOT / "docs/mapping.md").read_text().split("### Formats")[1].split("\n### ")[0]
    last = page.split("|---|---|")[-1]
    described = {token for row in page.splitlines() for token in re.findall("`(.*?)`", row)}
    assert set(TOKENS) <= described
    examples = re.findall(r"^\| `(.*?)` \| `(.*?)` \|$", last, re.MULTILINE)
    assert len(examples) == 7
    for value, form in examples:
        assert reading(value, form) == utc(2026, 12, 12, 21, 30), form


# Instants


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-14T14:30:00", utc(2026, 3, 14, 20, 30)),  # MDT is UTC-6
        ("2026-01-14T14:30:00", utc(2026, 1, 14, 21, 30)),  # MST is UTC-7
        ("2026-03-14T14:30:00Z", utc(2026, 3, 14, 14, 30)),
        ("2026-03-14T14:30:00-07:00", utc(2026, 3, 14, 21, 30)),
        ("2026-03-14T14:30:00+0530", utc(2026, 3, 14, 9, 0)),
        ("2026-03-14T14:30-07", utc(2026, 3, 14, 21, 30)),
        ("2026-03-14 14:30:00 -0700", utc(2026, 3, 14, 21, 30)),
        ("2026-03-14 14:30:00 UTC", utc(2026, 3, 14, 14, 30)),
        ("20260314T143000Z", utc(2026, 3, 14, 14, 30)),
        ("2026-03-14T14:30", utc(2026, 3, 14, 20, 30)),
        *[
            (f"2026-03-14T14:30:00.{'123456789'[:digits]}Z", utc(2026, 3, 14, 14, 30))
            for digits in range(1, 10)
        ],
        (" 2026-03-14T14:30:00.0 ", utc(2026, 3, 14, 20, 30)),
        ("2026-03-14t14:30:00z", utc(2026, 3, 14, 14, 30)),
    ],
    ids=shown,
)
def test_iso_8601_is_read(text: str, at: dt.datetime) -> None:
    assert reading(text) == at


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-03-14", "a date without a time of day"),
        ("20260314", "a date without a time of day"),
        (20260314, "a date without a time of day"),
        ("2026-03-14T", "not a date and time in ISO 8601"),
        ("2026-03-14T14", "not a date and time in ISO 8601"),
        ("2026-03-14x14:30", "not a date and time in ISO 8601"),
        ("2026-W11-6T14:30", "not a date and time in ISO 8601"),
        ("2026-03-14T14:30.5", "not a date and time in ISO 8601"),
        ("2026-03-14T14:30:00.1234567890", "not a date and time in ISO 8601"),
        ("2:30 PM", "not a date and time in ISO 8601"),
        ("May", "not a date and time in ISO 8601"),
        ("10", "not a date and time in ISO 8601"),
        ("٢٠٢٦-03-14T14:30", "not a date and time in ISO 8601"),
        ("2026-02-30T14:30", "no such date or time"),
        ("2026-03-14T24:00:00", "no such date or time"),
        ("2026-03-14T14:30:60Z", "no such date or time"),
        ("0001-01-01T00:00:00", "the year is not between 2000 and 2100"),
        ("0001-01-01T00:00:00+14:00", "the year is not between 2000 and 2100"),
        ("9999-12-31T23:59:59-10:00", "the year is not between 2000 and 2100"),
        ("1999-12-31T23:59:59", "the year is not between 2000 and 2100"),
        ("2026-03-14T14:30+23:59", "the offset from UTC is more than 14 hours"),
        (True, "expected text, but got true or false"),
        (["2026-03-14T14:30"], "expected text, but got a list"),
        (None, "expected text"),
        (float("inf"), "not a number"),
        ("2" * 1_000_000, "longer than 100 characters"),
    ],
    ids=shown,
)
def test_other_values_are_not_instants(text: object, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        reading(text)


def test_a_date_without_a_time_is_never_midnight_by_a_format_either() -> None:
    with pytest.raises(Unreadable, match="not written as MM/DD/YYYY h:mm A"):
        reading("03/14/2026", "MM/DD/YYYY h:mm A")


@pytest.mark.parametrize("form", ["MM/DD/YYYY", "YYYY-MM-DD", "HH:mm"])
def test_a_format_needs_a_date_and_a_time_for_an_instant(form: str) -> None:
    with pytest.raises(Unreadable, match="does not have both a date and a time"):
        reading("03/14/2026", form)


def test_the_gap_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"does not exist in America/Denver \(the clocks change\)"):
        reading("03/08/2026 2:30 AM", "MM/DD/YYYY h:mm A")


def test_the_overlap_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"happens twice in America/Denver \(the clocks change\)"):
        reading("2026-11-01T01:30:00")


@pytest.mark.parametrize(
    ("local", "dst", "at"),
    [
        # Twice: 01:30 MDT (-6) is 07:30 UTC, 01:30 MST (-7) is 08:30 UTC.
        ((2026, 11, 1, 1, 30), "earlier", utc(2026, 11, 1, 7, 30)),
        ((2026, 11, 1, 1, 30), "later", utc(2026, 11, 1, 8, 30)),
        # Never: 02:30 with -6 is 08:30 UTC (01:30 MST), with -7 it is 09:30 UTC (03:30 MDT).
        ((2026, 3, 8, 2, 30), "earlier", utc(2026, 3, 8, 8, 30)),
        ((2026, 3, 8, 2, 30), "later", utc(2026, 3, 8, 9, 30)),
        # Ordinary hours are not touched.
        ((2026, 3, 8, 3, 0), "earlier", utc(2026, 3, 8, 9, 0)),
        ((2026, 11, 1, 2, 0), "later", utc(2026, 11, 1, 9, 0)),
    ],
    ids=shown,
)
def test_dst_opts_out(local: tuple[int, ...], dst: str, at: dt.datetime) -> None:
    naive = dt.datetime(*local)  # type: ignore[arg-type]
    assert utc_from_local(naive, DENVER, dst=dst) == at


@pytest.mark.parametrize(("hour", "minute"), [(1, 59), (3, 0)])
def test_the_hours_around_the_gap_are_fine(hour: int, minute: int) -> None:
    naive = dt.datetime(2026, 3, 8, hour, minute)
    assert utc_from_local(naive, DENVER) == naive.replace(tzinfo=DENVER)


@pytest.mark.parametrize(
    ("edge", "zone"), [(dt.datetime.min, "Asia/Tokyo"), (dt.datetime.max, "America/Denver")]
)
def test_the_edges_of_the_calendar_do_not_overflow(edge: dt.datetime, zone: str) -> None:
    with pytest.raises(Unreadable, match="the year is not between 2000 and 2100"):
        utc_from_local(edge, zone_from_name(zone))


def test_an_evening_in_los_angeles_is_the_next_day_in_utc() -> None:
    at = reading("06/15/2026 5:30 PM", "MM/DD/YYYY h:mm A", zone=LOS_ANGELES)
    assert at == utc(2026, 6, 16, 0, 30)


def test_an_offset_is_returned_and_can_be_ignored() -> None:
    trusted = read_instant("2026-03-14T14:30:00Z", zone=DENVER)
    assert trusted.at == utc(2026, 3, 14, 14, 30)
    assert trusted.offset == dt.timedelta(0)
    assert trusted.local == dt.datetime(2026, 3, 14, 14, 30)
    ignored = read_instant("2026-03-14T14:30:00Z", zone=DENVER, ignore_offset=True)
    assert ignored.at == utc(2026, 3, 14, 20, 30)
    assert ignored.offset is None


@pytest.mark.parametrize(
    ("value", "form", "at"),
    [
        (1773520200, "epoch", utc(2026, 3, 14, 20, 30)),
        ("1773520200", "epoch", utc(2026, 3, 14, 20, 30)),
        ("1773520200.937", "epoch", utc(2026, 3, 14, 20, 30)),
        (1773520200.5, "epoch", utc(2026, 3, 14, 20, 30)),
        (1773520200123, "epoch_ms", utc(2026, 3, 14, 20, 30)),
        ("1773520200123", "epoch_ms", utc(2026, 3, 14, 20, 30)),
        # As .NET writes them; the offset there changes nothing.
        ("/Date(1773520200000)/", "epoch_ms", utc(2026, 3, 14, 20, 30)),
        ("/Date(1773520200000-0600)/", "epoch_ms", utc(2026, 3, 14, 20, 30)),
    ],
    ids=shown,
)
def test_epochs_are_read(value: object, form: str, at: dt.datetime) -> None:
    assert reading(value, form) == at


@pytest.mark.parametrize(
    ("value", "form"),
    [(1773520200123, "epoch"), (1773520200, "epoch_ms"), (0, "epoch"), (-5, "epoch")],
)
def test_epochs_in_the_wrong_unit_are_refused(value: object, form: str) -> None:
    with pytest.raises(Unreadable, match=f"not written as {form}|the year is not between"):
        reading(value, form)


OFFSET = "ddd MMM D YYYY HH:mm:ss Z"
ABBREVIATION = "ddd MMM DD HH:mm:ss z YYYY"


@pytest.mark.parametrize(
    ("text", "form", "at"),
    [
        # What JavaScript's Date, Java's Date, Ruby's Time and mail headers become as text.
        ("Sat Mar 14 2026 14:30:00 GMT-0700 (Mountain Standard Time)", OFFSET, 21),
        ("Sat Mar 14 2026 14:30:00 GMT+0000 (Coordinated Universal Time)", OFFSET, 14),
        ("Sat Mar 14 2026 14:30:00 UTC-05:00", OFFSET, 19),
        ("Sat Mar 14 14:30:00 MDT 2026", ABBREVIATION, 20),
        ("Sat Mar 14 14:30:00 UTC 2026", ABBREVIATION, 14),
        ("2026-03-14 14:30:00 -0500", "YYYY-MM-DD HH:mm:ss Z", 19),
        ("Sat, 14 Mar 2026 14:30:00 GMT", "ddd, D MMM YYYY HH:mm:ss Z", 14),
        ("Sat, 14 Mar 2026 14:30:00 -0330", "ddd, D MMM YYYY HH:mm:ss Z", 18),
        # MT is both MST and MDT.
        ("03/14/2026 2:30 PM MT", "MM/DD/YYYY h:mm A z", 20),
        ("03/14/2026 2:30 PM mdt", "MM/DD/YYYY h:mm A z", 20),
    ],
    ids=shown,
)
def test_an_offset_or_an_abbreviation_is_read(text: str, form: str, at: int) -> None:
    minute = 0 if "-0330" in text else 30
    assert reading(text, form) == utc(2026, 3, 14, at, minute)


@pytest.mark.parametrize(
    "text",
    [
        "03/14/2026 2:30 PM MST",  # used all year, or meant literally?
        "03/14/2026 2:30 PM EDT",
        "03/14/2026 2:30 PM ET",
        "01/14/2026 2:30 PM MDT",
        "03/14/2026 2:30 PM local",
    ],
)
def test_an_abbreviation_that_the_zone_does_not_use_then_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match=r"its time zone abbreviation is wrong: .* uses M[DS]T"):
        reading(text, "MM/DD/YYYY h:mm A z")
    local = reading(text, "MM/DD/YYYY h:mm A z", ignore_offset=True)
    assert local.astimezone(DENVER).hour == 14


def test_a_date_that_two_formats_read_differently_is_refused() -> None:
    forms = ("MM/DD/YYYY HH:mm", "DD/MM/YYYY HH:mm")
    assert reading("03/14/2026 14:30", *forms) == utc(2026, 3, 14, 20, 30)
    assert reading("14/03/2026 14:30", *forms) == utc(2026, 3, 14, 20, 30)
    assert reading("03/03/2026 14:30", *forms) == utc(2026, 3, 3, 21, 30)
    with pytest.raises(Unreadable, match="it matches two formats that give different times"):
        reading("03/04/2026 14:30", *forms)
    with pytest.raises(Unreadable, match="it matches two formats"):
        read_date("03/04/26", [compile_format(form) for form in ("D/M/YY", "M/D/YY", "YYYY")])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-14T14:30:05.100Z", utc(2026, 3, 14, 14, 30, 5, 100_000)),
        ("2026-03-14T14:30:05,9-06:00", utc(2026, 3, 14, 20, 30, 5, 900_000)),
        ("2026-03-14T14:30:05.1234567Z", utc(2026, 3, 14, 14, 30, 5, 123_456)),
        (1773520205.1, utc(2026, 3, 14, 20, 30, 5, 100_000)),
        ("1773520205.000123", utc(2026, 3, 14, 20, 30, 5, 123)),
        (1773520205900, utc(2026, 3, 14, 20, 30, 5, 900_000)),
        ("1773520205", utc(2026, 3, 14, 20, 30, 5)),
    ],
    ids=shown,
)
def test_the_instant_of_a_request_keeps_its_fraction(text: object, at: dt.datetime) -> None:
    assert read_absolute_instant(text) == at


@pytest.mark.parametrize(
    "text", ["2026-03-14T14:30:05", "2026-03-14", "12", "1.5", "99999999999999", "now", True]
)
def test_an_instant_of_a_request_is_certain_or_unreadable(text: object) -> None:
    with pytest.raises(Unreadable):
        read_absolute_instant(text)


def test_formats_that_agree_are_no_doubt() -> None:
    forms = ("MM/DD/YYYY h:mm A", "MM/DD/YYYY h:mmA")
    assert reading("03/14/2026 2:30PM", *forms) == utc(2026, 3, 14, 20, 30)
    with pytest.raises(Unreadable, match="not written as MM/DD/YYYY h:mm A or MM/DD/YYYY h:mmA"):
        reading("soon", *forms)


@settings(deadline=None)  # a busy machine is not a failure
@given(
    st.datetimes(dt.datetime(2000, 1, 2), dt.datetime(2100, 12, 30)),
    st.sampled_from(["America/Denver", "America/New_York", "Europe/London", "Australia/Lord_Howe"]),
)
def test_a_local_time_comes_back_from_utc(local: dt.datetime, name: str) -> None:
    zone = zone_from_name(name)
    try:
        at = utc_from_local(local, zone)
    except Unreadable:
        early, late = (utc_from_local(local, zone, dst=dst) for dst in ("earlier", "later"))
        assert dt.timedelta(0) < late - early <= dt.timedelta(hours=1)
    else:
        assert at.astimezone(zone).replace(tzinfo=None) == local


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text(max_size=40), st.sampled_from(["MM/DD/YYYY h:mm A", "epoch", "epoch_ms", ""]))
def test_any_text_is_an_instant_or_unreadable(text: str, form: str) -> None:
    try:
        at = reading(text, *filter(None, [form]))
    except Unreadable:
        return
    assert at.tzinfo is dt.UTC


@settings(deadline=None)  # a busy machine is not a failure
@given(st.text(alphabet="YMDdHhmsAZz/:-. %T1é[]", max_size=20))
def test_any_text_is_a_format_or_a_value_error(text: str) -> None:
    try:
        form = compile_format(text)
    except ValueError:
        return
    with contextlib.suppress(Unreadable):
        form.parse("03/14/2026 2:30 PM")


@settings(deadline=None)  # a busy machine is not a failure
@given(
    st.dictionaries(
        st.sampled_from([*PARTS, "isPM", "AM_PM", "x"]),
        st.integers(-1, 2100)
        | st.sampled_from(["12", "PM", "--5s", "-07:00", "", "0s", {"id": 1}])
        | st.none()
        | st.booleans()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers()),
    )
)
def test_any_parts_are_a_text_or_unreadable(parts: dict[str, Any]) -> None:
    try:
        text = iso_from_parts(parts)
    except Unreadable:
        return
    assert text is None or isinstance(text, str) or parts == {}


# Dates


@pytest.mark.parametrize(
    ("text", "forms", "date"),
    [
        ("2026-05-01", [], (2026, 5, 1)),
        ("20260501", [], (2026, 5, 1)),
        (20260501, [], (2026, 5, 1)),
        ("2026-05-01T00:00:00.0", [], (2026, 5, 1)),
        ("2026-05-01T00:00:00.000Z", [], (2026, 5, 1)),
        ("2026-05-01T23:30:00-06:00", [], (2026, 5, 1)),
        ("5/1/2026", ["MM/DD/YYYY"], (2026, 5, 1)),
        ("May 1 2026", ["YYYY-MM-DD", "MMM D YYYY"], (2026, 5, 1)),
        (1777593600000, ["epoch_ms"], (2026, 5, 1)),
    ],
    ids=shown,
)
def test_a_date_is_used_as_written(
    text: object, forms: list[str], date: tuple[int, int, int]
) -> None:
    assert read_date(text, [compile_format(form) for form in forms]) == dt.date(*date)


@pytest.mark.parametrize(
    ("text", "forms", "reason"),
    [
        ("2026-05-01T17:30:00Z", [], "a time in UTC, whose date depends on the time zone"),
        (1777612345, ["epoch"], "a time in UTC, whose date depends on the time zone"),
        ("05/01/2026", [], "not a date in ISO 8601"),
        ("ASAP", [], "not a date in ISO 8601"),
        ("this Saturday", ["MM/DD/YYYY"], "not written as MM/DD/YYYY"),
        ("2026-02-29", [], "no such date or time"),
        ("0001-01-01", [], "the year is not between 2000 and 2100"),
        ("01/01/70", ["MM/DD/YY"], "the year is not between 2000 and 2100"),
    ],
    ids=shown,
)
def test_other_values_are_not_dates(text: object, forms: list[str], reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        read_date(text, [compile_format(form) for form in forms])


# Zones


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("America/Denver", "America/Denver"),
        (" America/Denver ", "America/Denver"),
        ("UTC", "UTC"),
        ("US/Eastern", "US/Eastern"),
        ("Central Time (US & Canada)", "America/Chicago"),
        ("Eastern Time (ET)", "America/New_York"),
        ("Arizona", "America/Phoenix"),
        ("Eastern Standard Time", "America/New_York"),
        ("US Mountain Standard Time", "America/Phoenix"),
    ],
    ids=shown,
)
def test_zones_have_several_names(name: str, key: str) -> None:
    assert zone_from_name(name).key == key


@pytest.mark.parametrize(
    ("name", "january", "july"),
    [
        ("Hawaiian", -10, -10),
        ("Alaskan", -9, -8),
        ("Pacific", -8, -7),
        ("US Mountain", -7, -7),
        ("Mountain", -7, -6),
        ("Canada Central", -6, -6),
        ("Central", -6, -5),
        ("Eastern", -5, -4),
        ("US Eastern", -5, -4),
        ("Atlantic", -4, -3),
    ],
)
def test_windows_names_keep_the_hours_of_their_place(name: str, january: int, july: int) -> None:
    zone = zone_from_name(f"{name} Standard Time")
    hours = [dt.datetime(2026, month, 1, 12, tzinfo=zone).utcoffset() for month in (1, 7)]

    assert hours == [dt.timedelta(hours=january), dt.timedelta(hours=july)]


@pytest.mark.parametrize(
    "name",
    [
        *["", "Denver", "america/denver", "MDT", "EST", "MST", "GMT-7", "-07:00", "-5", -5, 5.0],
        *["../..", "../../etc/passwd", "/etc/localtime", "America", "America/", "tzdata.zi"],
        *["America/Denver\x00/../x/y", "x" * 1_000_000, None, True, [], ["America/Denver"], {}],
    ],
    ids=shown,
)
def test_no_other_name_is_a_zone(name: object) -> None:
    with pytest.raises(Unreadable):
        zone_from_name(name)


@pytest.mark.parametrize("key", sorted({*win_tz.values(), *RAILS.values()}))
def test_the_tables_name_real_zones(key: str) -> None:
    assert zone_from_name(key).key == key


def test_a_zone_that_is_a_list_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="expected text, but got a list"):
        zone_from_name(["America/Denver"])
