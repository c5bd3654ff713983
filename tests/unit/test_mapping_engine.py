"""Test the mapping language with small mappings, edge cases and random input."""

import dataclasses
import datetime as dt
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.mapping.engine import Item, Mapped, Outcome
from adapter.mapping.engine.fields import Field
from adapter.mapping.engine.mail_readers import TextReader
from adapter.mapping.engine.scope import Scope
from adapter.mapping.loader.loader import load_files
from adapter.mapping.source import Source
from adapter.models import Kind, WebhookRequest
from adapter.parsing.paths import path_from_text
from adapter.propexo.appointment import problems
from adapter.settings import Policy
from tests.cpu_time import at_most
from tests.harness import load_cached
from tests.paths import MAPPINGS

POLICY = Policy()
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

COMMUNITIES = """
denver:
  integration_id: int_1
  community_id: com_denver
  timezone: America/Denver
  attributions: { feed: att_denver }
  known_as: { feed: [D, 7] }
york:
  integration_id: int_1
  community_id: com_york
  timezone: America/New_York
  attributions: { feed: { Zillow: att_zillow, "*": att_other } }
"""

#: A bookable lead, for mappings to vary.
LEAD: dict[str, Any] = {
    "id": "L1",
    "place": "D",
    "name": "Dana Okafor",
    "email": "dana.okafor@example.com",
    "at": "2026-03-14T14:30:00",
}

FIELDS = {"name": "name", "email_1": "email", "starts_at": "at"}


def source_of(folder: Path, lead: Any = None, fields: Any = None, **sections: Any) -> Source:
    """Return a source with a short mapping and a sample that contains its paths."""
    lead = LEAD if lead is None else lead
    mapping = {
        "signature": {"scheme": "none"},
        "dedupe": "id",
        "community": "place",
        "without_time": "hold",
        "appointment": FIELDS | (fields or {}),
        "tests": [{"name": "sample", "payload": lead, "held": {}}],
    } | sections
    (folder / "feed.yaml").write_text(json.dumps(mapping))
    (folder / "communities.yaml").write_text(COMMUNITIES)
    loaded = load_files(folder, [folder / "feed.yaml"], POLICY, strict=False)
    assert loaded.problems == ()
    return loaded.sources["feed"]


def map_json(source: Source, payload: Any, now: dt.datetime = NOW, **headers: str) -> Mapped:
    body = json.dumps(payload).encode()
    delivery = WebhookRequest.from_body(body, content_type="application/json", headers=headers)
    return source.map(delivery, now=now)


def only_item(mapped: Mapped) -> Item:
    assert len(mapped.items) == 1, mapped
    return mapped.items[0]


def reasons(mapped: Mapped) -> dict[str, str]:
    every = [*mapped.reasons, *(reason for item in mapped.items for reason in item.reasons)]
    return {reason.field: reason.reason for reason in every}


def test_a_lead_is_booked(tmp_path: Path) -> None:
    item = only_item(map_json(source_of(tmp_path), LEAD))
    assert item.outcome is Outcome.BOOK
    assert item.community is not None
    assert item.community.key == "denver"
    assert item.starts_at == dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)
    assert item.dedupe_key == "L1"
    assert item.appointment == {
        "integration_id": "int_1",
        "community_id": "com_denver",
        "attribution_id": "att_denver",
        "first_name": "Dana",
        "last_name": "Okafor",
        "email_1": "dana.okafor@example.com",
        "appointment_date": "2026-03-14",
        "appointment_time": "20:30:00",
    }


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"at": "2026-03-08T02:30:00"}, "starts_at", "does not exist in America/Denver"),
        ({"at": "2026-11-01T01:30:00"}, "starts_at", "twice"),
        ({"at": "2026-03-14"}, "starts_at", "a date without a time of day"),
        ({"at": "2026-03-14T06:59:00"}, "starts_at", "tours start between 07:00 and 21:00"),
        ({"at": "2026-03-14T21:01:00"}, "starts_at", "tours start between 07:00 and 21:00"),
        ({"at": "2026-02-28T14:30:00"}, "starts_at", "is in the past"),
        ({"at": "2027-03-14T14:30:00"}, "starts_at", "more than 366 days ahead"),
        ({"at": "next Tuesday"}, "starts_at", "not"),
        ({"at": None}, "starts_at", "at is empty"),
        ({"place": "Z"}, "community", "communities.yaml has no community with this name for feed"),
        ({"place": None}, "community", "place is empty"),
        ({"place": ["D", "E"]}, "community", "this list has several items: for_each makes"),
        ({"name": ""}, "name", "name is empty"),
        ({"name": "dana@example.com"}, "name", "name"),
        ({"email": ""}, "email_1", "neither an email address nor a phone number"),
        ({"email": ["a@example.com", "b@example.com"]}, "email_1", "neither"),
    ],
)
def test_an_uncertain_person_place_or_time_is_held(
    tmp_path: Path, change: dict[str, Any], field: str, words: str
) -> None:
    mapped = map_json(source_of(tmp_path), LEAD | change)
    assert mapped.outcome is Outcome.HELD
    assert words in reasons(mapped)[field], mapped


@pytest.mark.parametrize(
    "place", ["Maple & Oak", "Maple &amp; Oak", "Maple&#32;&amp;amp;&nbsp;Oak"]
)
def test_a_community_is_known_however_it_is_escaped(tmp_path: Path, place: str) -> None:
    source_of(tmp_path)
    known = COMMUNITIES.replace("[D, 7]", '[D, "Maple & Oak"]')
    (tmp_path / "communities.yaml").write_text(known)
    source = load_files(tmp_path, [tmp_path / "feed.yaml"], POLICY, strict=False).sources["feed"]
    assert map_json(source, LEAD | {"place": place}).outcome is Outcome.BOOK


def test_an_unknown_community_is_reported_once(tmp_path: Path) -> None:
    mapped = map_json(source_of(tmp_path), LEAD | {"place": "Z"})
    assert list(reasons(mapped)) == ["community"]


def test_all_reasons_are_reported(tmp_path: Path) -> None:
    mapped = map_json(source_of(tmp_path), LEAD | {"at": "soon", "name": None, "email": ""})
    assert list(reasons(mapped)) == ["name", "starts_at", "email_1"]


def test_a_renamed_key_is_named(tmp_path: Path) -> None:
    lead = {key: value for key, value in LEAD.items() if key != "name"} | {"nname": "x"}
    mapped = map_json(source_of(tmp_path), lead)
    assert reasons(mapped)["name"] == "name is not in the payload (there is 'nname')"


@pytest.mark.parametrize(
    ("accept", "payload", "outcome"),
    [
        ({"kind": "tour"}, {"kind": "tour"}, Outcome.BOOK),
        ({"kind": "tour"}, {"kind": " Tour "}, Outcome.BOOK),
        ({"kind": "tour"}, {"kind": "ping"}, Outcome.IGNORED),
        ({"kind": "tour"}, {}, Outcome.HELD),
        ({"kind": "tour"}, {"kind": None}, Outcome.HELD),
        ({"kind": ["tour", "visit"]}, {"kind": "visit"}, Outcome.BOOK),
        ({"kind": {"not": "ping"}}, {}, Outcome.BOOK),
        ({"kind": {"not": "ping"}}, {"kind": "ping"}, Outcome.IGNORED),
        ({"kind": {"not": ["a", "b"]}}, {"kind": "b"}, Outcome.IGNORED),
        ({"kind": True}, {"kind": True}, Outcome.BOOK),
        ({"kind": True}, {"kind": "true"}, Outcome.BOOK),
        ({"kind": True}, {"kind": False}, Outcome.IGNORED),
        ({"kind": 1}, {"kind": 1}, Outcome.BOOK),
        ({"kind": 1}, {"kind": True}, Outcome.IGNORED),
        ({"kind": {"empty": True}}, {}, Outcome.BOOK),
        ({"kind": {"empty": True}}, {"kind": "x"}, Outcome.IGNORED),
        ({"kind": {"empty": False}}, {"kind": 0}, Outcome.BOOK),
        ({"kind": {"empty": False}}, {"kind": " "}, Outcome.IGNORED),
        ({"kind": "tour", "id": "L1"}, {"id": "L2"}, Outcome.IGNORED),
    ],
)
def test_accept(
    tmp_path: Path, accept: dict[str, Any], payload: dict[str, Any], outcome: Outcome
) -> None:
    source = source_of(tmp_path, LEAD | {"kind": "tour"}, accept=accept)
    assert map_json(source, LEAD | payload).outcome is outcome


def test_ignore_comes_before_cancellation_and_both_before_accept(tmp_path: Path) -> None:
    lead = LEAD | {"kind": "tour", "test": True}
    source = source_of(
        tmp_path,
        lead,
        ignore={"test": True},
        cancellation={"kind": "canceled"},
        accept={"kind": "tour"},
    )
    assert map_json(source, LEAD | {"kind": "canceled", "test": True}).outcome is Outcome.IGNORED
    mapped = map_json(source, LEAD | {"kind": "canceled"})
    assert mapped.outcome is Outcome.CANCELLATION
    assert only_item(mapped).starts_at is not None, "so that the earlier booking can be found"
    assert map_json(source, LEAD | {"kind": "tour"}).outcome is Outcome.BOOK


def test_each_group_of_a_cancellation_is_enough(tmp_path: Path) -> None:
    groups = [{"kind": "off"}, {"kind": "gone", "final": True}]
    source = source_of(tmp_path, LEAD | {"kind": "tour", "final": False}, cancellation=groups)
    outcomes = {
        kind: map_json(source, LEAD | {"kind": kind, "final": True}).outcome
        for kind in ("off", "gone", "tour")
    }

    assert outcomes == {
        "off": Outcome.CANCELLATION,
        "gone": Outcome.CANCELLATION,
        "tour": Outcome.BOOK,
    }
    only_half = map_json(source, LEAD | {"kind": "gone", "final": False})
    assert only_half.outcome is Outcome.BOOK


def test_a_cancellation_never_has_the_key_of_the_booking(tmp_path: Path) -> None:
    source = source_of(
        tmp_path, LEAD | {"kind": "tour"}, cancellation={"kind": "off"}, ignore={"kind": "ping"}
    )
    keys = {}
    for kind in ("tour", "off", "ping"):
        body = json.dumps(LEAD | {"kind": kind}).encode()
        keys[kind] = source.dedupe_key(
            WebhookRequest.from_body(body, content_type="application/json")
        )
        assert keys[kind] == source.map(WebhookRequest.from_body(body), now=NOW).dedupe_key
    assert keys == {"tour": "L1", "off": "cancellation L1", "ping": None}


@pytest.mark.parametrize("without_time", ["hold", "ignore"])
def test_a_time_that_can_be_fetched_is_not_missing(tmp_path: Path, without_time: str) -> None:
    start = {"starts_at": {"from": "at", "fetch_by": "event"}}
    source = source_of(tmp_path, fields=start, without_time=without_time)
    thin = {name: LEAD[name] for name in LEAD if name != "at"}

    mapped = map_json(source, thin | {"event": "https://api.example.com/e/1"})
    assert mapped.outcome is Outcome.HELD
    assert reasons(mapped)["starts_at"].startswith("needs_enrichment: ")
    assert mapped.items[0].reasons[0].path == "event"

    outcome = Outcome.HELD if without_time == "hold" else Outcome.IGNORED
    for lead in (thin, thin | {"event": ""}):
        mapped = map_json(source, lead)
        assert mapped.outcome is outcome
        assert "needs_enrichment" not in reasons(mapped)["starts_at"]
    assert map_json(source, LEAD | {"event": "e1"}).outcome is Outcome.BOOK


def test_a_lead_without_a_time_may_be_ignored(tmp_path: Path) -> None:
    source = source_of(tmp_path, without_time="ignore")
    assert map_json(source, LEAD | {"at": None}).outcome is Outcome.IGNORED
    assert map_json(source, LEAD | {"at": "soon"}).outcome is Outcome.HELD
    assert map_json(source, LEAD).outcome is Outcome.BOOK


def test_a_lead_without_a_time_may_become_a_prospect(tmp_path: Path) -> None:
    source = source_of(tmp_path, without_time="prospect")
    item = only_item(map_json(source, LEAD | {"at": None}))
    assert (item.outcome, item.kind, item.blocking_reasons) == (Outcome.PROSPECT, Kind.PROSPECT, ())
    assert [reason.field for reason in item.reasons] == ["starts_at"], "it is told all the same"
    assert not {"appointment_date", "appointment_time"} & item.appointment.keys()
    assert map_json(source, LEAD).outcome is Outcome.BOOK
    for change in ({"at": "soon"}, {"place": "X", "at": ""}, {"email": "", "at": ""}):
        held = map_json(source, LEAD | change)
        assert held.outcome is Outcome.HELD, change


def test_a_time_of_day_without_a_date_is_no_lead_without_a_time(tmp_path: Path) -> None:
    start = {"date": "day", "time": "hour", "format": "YYYY-MM-DD h:mm A"}
    whole = LEAD | {"day": "2026-03-14", "hour": "2:30 PM"}
    for word in ("prospect", "ignore"):
        source = source_of(tmp_path, whole, {"starts_at": start}, without_time=word)
        assert map_json(source, whole).outcome is Outcome.BOOK
        assert map_json(source, whole | {"day": ""}).outcome is Outcome.HELD
        neither = map_json(source, whole | {"day": "", "hour": ""})
        wanted = Outcome.PROSPECT if word == "prospect" else Outcome.IGNORED
        assert neither.outcome is wanted


def test_a_prospect_needs_no_name_and_loses_nothing_that_was_written(tmp_path: Path) -> None:
    source = source_of(tmp_path, without_time="prospect")
    item = only_item(map_json(source, LEAD | {"at": "", "name": "12 / 4"}))
    assert item.outcome is Outcome.PROSPECT
    assert item.appointment["notes"] == "Name: 12 / 4"
    assert "last_name" not in item.appointment
    held = only_item(map_json(source, LEAD | {"name": "12 / 4"}))
    assert held.outcome is Outcome.HELD, "a tour does"
    assert "notes" not in held.appointment


def test_a_sender_of_prospects_alone_may_have_no_names(tmp_path: Path) -> None:
    """Map a text message, which contains no name."""
    source_of(tmp_path, without_time="prospect")
    mapping = json.loads((tmp_path / "feed.yaml").read_text())
    mapping["appointment"] = {"email_1": "email"}
    for word, count in (("prospect", 0), ("hold", 1)):
        (tmp_path / "feed.yaml").write_text(json.dumps(mapping | {"without_time": word}))
        loaded = load_files(tmp_path, [tmp_path / "feed.yaml"], POLICY, strict=False)
        assert len(loaded.problems) == count, loaded.problems
    assert "last_name" in loaded.problems[0].message


@pytest.mark.parametrize(
    ("says", "outcome", "notes"),
    [
        ({}, Outcome.BOOK, "Move in date: ASAP"),
        ({"unreadable": "drop"}, Outcome.BOOK, None),
        ({"unreadable": "hold"}, Outcome.HELD, None),
    ],
)
def test_an_optional_value_that_cannot_be_read(
    tmp_path: Path, says: dict[str, Any], outcome: Outcome, notes: str | None
) -> None:
    fields = {"move_in_date": {"from": "move", **says}}
    source = source_of(tmp_path, LEAD | {"move": "2026-05-01"}, fields)
    item = only_item(map_json(source, LEAD | {"move": "ASAP"}))
    assert item.outcome is outcome
    assert item.appointment.get("notes") == notes
    assert "move_in_date" not in item.appointment
    assert item.reasons[0].value == '"ASAP"'


def test_fallbacks_blanks_and_defaults(tmp_path: Path) -> None:
    fields = {
        "first_contact_type": {"always": "chat"},
        "phone_1": ["mobile", "phone"],
        "number_of_occupants": {"from": "people", "default": 2},
        "notes": ["{comment}", "Unit: {unit}"],
    }
    lead = LEAD | {"mobile": "- / -", "phone": "(303) 555-0142", "people": None}
    lead |= {"comment": "(not provided)", "unit": 0}
    source = source_of(tmp_path, lead, fields, blank=["- / -", "(not provided)"])
    appointment = only_item(map_json(source, lead)).appointment
    assert appointment["phone_1"] == "+13035550142"
    assert appointment["number_of_occupants"] == 2
    assert appointment["notes"] == "Unit: 0", "zero is a value and a filler is none"


def test_tables(tmp_path: Path) -> None:
    table = {"Cat": "cat", "true": ["cat", "small_dog"], "1": "large_dog", "none": []}
    source = source_of(tmp_path, LEAD | {"pets": "cat"}, {"pets": {"from": "pets", "table": table}})

    def pets(value: Any) -> tuple[Any, Any]:
        appointment = only_item(map_json(source, LEAD | {"pets": value})).appointment
        return appointment.get("pets"), appointment.get("notes")

    assert pets(" CAT ") == (["cat"], None)
    assert pets(True) == (["cat", "small_dog"], None)
    assert pets([1, "cat", "Cat"]) == (["large_dog", "cat"], None)
    assert pets(["cat", "Parrot", "Boa"]) == (["cat"], "Pets: Parrot, Boa")
    assert pets("Parrot") == (None, "Pets: Parrot")
    assert pets("None") == (None, None)
    assert pets([]) == (None, None)


def test_a_list_may_be_gathered_from_several_places(tmp_path: Path) -> None:
    table = {"cat": "cat", "dog": "small_dog"}
    fields = {"pets": {"all": ["first", "second"], "table": table}}
    lead = LEAD | {"first": "cat", "second": "dog"}
    source = source_of(tmp_path, lead, fields)
    assert only_item(map_json(source, lead)).appointment["pets"] == ["cat", "small_dog"]
    item = only_item(map_json(source, lead | {"first": ""}))
    assert item.appointment["pets"] == ["small_dog"]


def test_the_row_for_everything_else(tmp_path: Path) -> None:
    fields = {"tour_type": {"from": "mode", "table": {"video": "video", "*": "in_person"}}}
    source = source_of(tmp_path, LEAD | {"mode": "x"}, fields)
    item = only_item(map_json(source, LEAD | {"mode": "hologram"}))
    assert item.appointment["tour_type"] == "in_person"
    assert "tour_type" not in only_item(map_json(source, LEAD)).appointment


@pytest.mark.parametrize(
    ("start", "lead", "utc"),
    [
        ({"from": "at"}, {"at": "2026-03-14T14:30:00-04:00"}, "2026-03-14 18:30:00"),
        ({"from": "at", "timezone": "America/New_York"}, {}, "2026-03-14 18:30:00"),
        ({"from": "at", "timezone": {"from": "zone"}}, {}, "2026-03-14 19:30:00"),
        ({"from": "at", "ignore_offset": True}, {"at": "2026-03-14T14:30Z"}, "2026-03-14 20:30:00"),
        ({"from": "at", "format": "epoch"}, {"at": 1773520200}, "2026-03-14 20:30:00"),
        ({"from": "at", "format": "epoch_ms"}, {"at": "1773520200000"}, "2026-03-14 20:30:00"),
        ({"date": "day", "time": "hour", "format": "MM/DD/YYYY h:mm A"}, {}, "2026-03-14 20:30:00"),
    ],
)
def test_local_times_are_converted_to_utc(
    tmp_path: Path, start: dict[str, Any], lead: dict[str, Any], utc: str
) -> None:
    lead = (
        LEAD | {"zone": "Central Time (US & Canada)", "day": "03/14/2026", "hour": "2:30 pm"} | lead
    )
    item = only_item(map_json(source_of(tmp_path, lead, {"starts_at": start}), lead))
    assert f"{item.starts_at:%Y-%m-%d %H:%M:%S}" == utc
    assert item.outcome is Outcome.BOOK
    date_and_time = item.appointment["appointment_date"], item.appointment["appointment_time"]
    assert " ".join(date_and_time) == utc


@pytest.mark.parametrize(
    ("lead", "words"),
    [
        ({"hour": ""}, "there is a date but no time of day"),
        ({"zone": "../../etc/passwd"}, "time zone"),
        ({"zone": ["America/Denver", "America/Chicago"]}, "this list has several items"),
        ({"zone": {"a": 1}}, "got an object"),
        ({"zone": None}, "there is no time zone: zone is empty"),
    ],
)
def test_a_start_that_cannot_be_known_is_held(
    tmp_path: Path, lead: dict[str, Any], words: str
) -> None:
    start = {"date": "day", "time": "hour", "timezone": {"from": "zone"}}
    start["format"] = "MM/DD/YYYY h:mm A"
    base = LEAD | {"zone": "America/Chicago", "day": "03/14/2026", "hour": "2:30 pm"}
    source = source_of(tmp_path, base, {"starts_at": start})
    mapped = map_json(source, base | lead)
    assert mapped.outcome is Outcome.HELD
    assert words in reasons(mapped)["starts_at"]


@pytest.mark.parametrize(
    ("offset", "outcome"), [("trust", Outcome.BOOK), ("must_agree", Outcome.HELD)]
)
def test_an_offset_that_is_not_the_communitys(
    tmp_path: Path, offset: str, outcome: Outcome
) -> None:
    source = source_of(tmp_path, fields={"starts_at": {"from": "at", "offset": offset}})
    mapped = map_json(source, LEAD | {"at": "2026-03-14T14:30:00-04:00"})
    assert mapped.outcome is outcome
    assert "the offset does not match America/Denver" in reasons(mapped)["starts_at"]
    assert reasons(map_json(source, LEAD | {"at": "2026-03-14T14:30:00-06:00"})) == {}
    assert reasons(map_json(source, LEAD | {"at": "2026-03-14T20:30:00Z"})) == {}


def test_a_z_is_held_where_a_model_may_have_put_it_on_local_time(tmp_path: Path) -> None:
    source = source_of(tmp_path, fields={"starts_at": {"from": "at", "offset": "own_clock"}})
    for at in ("2026-03-14T14:30:00Z", "2026-03-14T20:30:00Z", "2026-03-14T14:30:00-04:00"):
        mapped = map_json(source, LEAD | {"at": at})
        assert mapped.outcome is Outcome.HELD
        assert "the offset does not match America/Denver" in reasons(mapped)["starts_at"]
    for at in ("2026-03-14T14:30:00", "2026-03-14T14:30:00-06:00"):
        assert map_json(source, LEAD | {"at": at}).outcome is Outcome.BOOK


ZERO_OFFSETS = ["Z", "z", "+00:00", "+0000", " UTC"]


@pytest.mark.parametrize("offset", ["", "must_agree", "own_clock", "trust"])
@pytest.mark.parametrize("written", ZERO_OFFSETS)
def test_a_time_of_day_in_utc_beside_a_date_is_held_unless_trusted(
    tmp_path: Path, offset: str, written: str
) -> None:
    """Hold such times, because Salesforce, JavaScript and Rails add Z to local times."""
    lead = LEAD | {"day": "2026-03-14", "hour": "14:30:00"}
    start = {"date": "day", "time": "hour"} | ({"offset": offset} if offset else {})
    source = source_of(tmp_path, lead, {"starts_at": start})
    item = only_item(map_json(source, lead | {"hour": f"14:30:00.000{written}"}))
    if offset == "trust":
        assert f"{item.starts_at:%H:%M}" == "14:30"
    else:
        assert item.outcome is Outcome.HELD
    assert only_item(map_json(source, lead)).outcome is Outcome.BOOK


def test_a_time_of_day_in_utc_is_local_if_the_mapping_says_so(tmp_path: Path) -> None:
    lead = LEAD | {"day": "2026-03-14", "hour": "14:30:00.000Z"}
    start = {"date": "day", "time": "hour", "ignore_offset": True}
    item = only_item(map_json(source_of(tmp_path, lead, {"starts_at": start}), lead))
    assert (item.outcome, f"{item.starts_at:%H:%M}") == (Outcome.BOOK, "20:30")


@pytest.mark.parametrize(
    ("midnight", "form"),
    [
        *[(f"2026-03-15T00:00:00.000{written}", None) for written in ZERO_OFFSETS],
        ("2026-03-15T00:00Z", None),
        ("20260315T000000Z", None),
        (1773532800000, "epoch_ms"),
        ("1773532800", "epoch"),
        ("/Date(1773532800000)/", "epoch_ms"),
        ("03/15/2026 12:00 AM GMT", "MM/DD/YYYY h:mm A Z"),
        ({"year": 2026, "month": 3, "day": 15, "hours": 0, "utcOffset": "0s"}, None),
    ],
    ids=ascii,
)
def test_midnight_in_utc_is_a_date_picker_or_six_in_the_evening(
    tmp_path: Path, midnight: object, form: str | None
) -> None:
    start = {"from": "at"} | ({"format": form} if form else {})
    lead = LEAD | {"at": midnight}
    item = only_item(map_json(source_of(tmp_path, lead, {"starts_at": start}), lead))
    assert (item.outcome, item.starts_at) == (Outcome.HELD, None)
    assert "which may be a date without a time of day" in item.reasons[0].reason

    source = source_of(tmp_path, lead, {"starts_at": start | {"offset": "trust"}})
    item = only_item(map_json(source, lead))
    assert f"{item.starts_at:%Y-%m-%d %H:%M}" == "2026-03-15 00:00"
    assert item.outcome is Outcome.BOOK


def test_a_doubtful_time_is_doubtful_at_an_unknown_community_too(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    item = only_item(map_json(source, LEAD | {"place": "?", "at": "2026-03-15T00:00:00Z"}))
    assert (item.starts_at, {reason.field for reason in item.blocking_reasons}) == (
        None,
        {"community", "starts_at"},
    )
    item = only_item(map_json(source, LEAD | {"place": "?", "at": "2026-03-14T20:30:00Z"}))
    assert item.starts_at == dt.datetime(2026, 3, 14, 20, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "at", ["2026-03-14T23:59:59Z", "2026-03-14T23:59:59.999Z", "2026-03-15T00:00:00+01:00"]
)
def test_other_edges_of_a_day_are_dates_too(tmp_path: Path, at: str) -> None:
    item = only_item(map_json(source_of(tmp_path), LEAD | {"at": at}))
    assert (item.outcome, item.starts_at) == (Outcome.HELD, None)
    assert "which may be a date without a time of day" in item.reasons[0].reason


def test_where_utc_is_local_time_its_midnight_is_no_doubt(tmp_path: Path) -> None:
    london = COMMUNITIES.replace("America/Denver", "Europe/London")
    source_of(tmp_path)
    (tmp_path / "communities.yaml").write_text(london)
    policy = Policy(earliest_tour=dt.time(0))
    source = load_files(tmp_path, [tmp_path / "feed.yaml"], policy, strict=False).sources["feed"]
    item = only_item(map_json(source, LEAD | {"at": "2026-03-15T00:00:00Z"}))
    assert item.outcome is Outcome.BOOK


@pytest.mark.parametrize(
    ("day", "hour", "date_format", "form"),
    [
        ("2026-03-14T00:00:00.000Z", "14:30", None, None),
        ("2026-03-14T00:00:00-06:00", "14:30", None, None),
        ("2026-03-14T00:00:00.000Z", "2:30 p.m.", None, "h:mm A"),
        ("2026-03-14", "2:30PM", None, ["HH:mm", "h:mm A"]),
        (1773446400000, "14:30", "epoch_ms", None),
        ("1773446400", "2:30 PM", "epoch", "h:mm A"),
        ("Saturday, March 14th", "14:30", None, None),
        ("Sat 3/14/26", "1430", "ddd M/D/YY", "HHmm"),
        ({"year": 2026, "month": 3, "day": 14}, "2:30 PM", None, "h:mm A"),
    ],
    ids=ascii,
)
def test_a_date_of_its_own_is_a_date(
    tmp_path: Path, day: object, hour: str, date_format: str | None, form: Any
) -> None:
    lead = LEAD | {"day": day, "hour": hour}
    start: dict[str, Any] = {"date": {"from": "day"}, "time": "hour"}
    start["date"] |= {"format": date_format} if date_format else {}
    start |= {"format": form} if form else {}
    item = only_item(map_json(source_of(tmp_path, lead, {"starts_at": start}), lead))
    if day == "Saturday, March 14th":
        assert item.outcome is Outcome.HELD
        assert item.reasons[0].reason == "not a date in ISO 8601"
    else:
        assert f"{item.starts_at:%Y-%m-%d %H:%M}" == "2026-03-14 20:30"


def test_a_date_of_its_own_that_is_an_instant_is_held(tmp_path: Path) -> None:
    lead = LEAD | {"day": "2026-03-14T22:00:00Z", "hour": "14:30"}
    source = source_of(tmp_path, lead, {"starts_at": {"date": "day", "time": "hour"}})
    mapped = map_json(source, lead)
    assert mapped.outcome is Outcome.HELD
    assert "a time in UTC, whose date depends on the time zone" in reasons(mapped)["starts_at"]


@pytest.mark.parametrize(
    ("at", "form"),
    [
        ("03/14/2026 12:30 AM", "MM/DD/YYYY h:mm A"),  # for half past noon
        ("2026-03-14T24:00:00", None),
        ("2026-03-14T24:00:00Z", None),
        ("03/14/2026 24:00", "MM/DD/YYYY HH:mm"),
        ("2026-03-14T10:00:00+00:00", None),  # 10 a.m. as written; 4 a.m. in Denver
        (1773520200, "epoch_ms"),
        (1773520200000, "epoch"),
        (1773520200000000, "epoch_ms"),
        ("14/03/2026 14:30", "MM/DD/YYYY HH:mm"),
        ({"hour": 24, "minute": 0, "year": 2026, "month": 3, "day": 14}, None),
        ({"hour": 12, "minute": 30, "ampm": "AM", "year": 2026, "month": 3, "day": 14}, None),
    ],
    ids=ascii,
)
def test_a_time_that_cannot_be_meant_is_held(tmp_path: Path, at: object, form: str | None) -> None:
    start = {"from": "at"} | ({"format": form} if form else {})
    lead = LEAD | {"at": at}
    mapped = map_json(source_of(tmp_path, lead, {"starts_at": start}), lead)
    assert mapped.outcome is Outcome.HELD


def test_the_second_request_within_a_second_is_the_later_one(tmp_path: Path) -> None:
    source = source_of(tmp_path, LEAD | {"made": "2026-03-01T10:00:05.100Z"}, sent_at="made")
    first, second = (
        only_item(map_json(source, LEAD | {"made": f"2026-03-01T10:00:05.{part}Z"})).sent_at
        for part in (100, 900)
    )
    assert first is not None
    assert second is not None
    assert second - first == dt.timedelta(milliseconds=800)


def test_answers_by_key_with_option_labels(tmp_path: Path) -> None:
    answers = [
        {"key": {"ref": "who"}, "value": "Dana Okafor"},
        {"key": {"ref": "size"}, "value": ["b"], "options": [{"id": "b", "text": "2 BR"}]},
        {"key": {"ref": "size"}, "value": ["a"], "options": [{"id": "a", "text": "1 BR"}]},
        {"value": "nobody"},
        "stray",
    ]
    lead = LEAD | {"answers": answers}
    read = {
        "list": "answers",
        "by": "key.ref",
        "value": ["nothing", "value"],
        "labels": {"list": "options", "by": "id", "value": "text"},
    }
    fields = {"name": "given.who", "desired_num_bedrooms": "given.size"}
    item = only_item(map_json(source_of(tmp_path, lead, fields, read={"given": read}), lead))
    assert item.appointment["desired_num_bedrooms"] == [2], "the first of a repeated key wins"
    assert item.notes_added == ("Given: size: 1 BR",)
    assert item.reasons[0].reason.startswith("this answer is repeated")


@pytest.mark.parametrize(
    ("text", "beds", "notes"),
    [
        ('{"beds": "Studio"}', [0], None),
        ({"beds": 2}, [2], None),
        ("{beds", None, "Slots: {beds"),
        ("", None, None),
        ("[" * 5000, None, "Slots: " + "[" * 200 + "…"),
    ],
)
def test_json_inside_a_text(tmp_path: Path, text: Any, beds: Any, notes: str | None) -> None:
    lead = LEAD | {"slots": '{"beds": 1}'}
    fields = {"desired_num_bedrooms": "slots.beds"}
    source = source_of(tmp_path, lead, fields, read={"slots": {"json": "slots"}})
    item = only_item(map_json(source, LEAD | {"slots": text}))
    assert item.outcome is Outcome.BOOK, "details that cannot be read never cost the lead"
    assert item.appointment.get("desired_num_bedrooms") == beds
    assert item.appointment.get("notes") == notes


@pytest.mark.parametrize(
    "mail",
    [
        "Hello\r\nName: Dana Okafor\r\nE-mail: dana.okafor@example.com\r\n",
        "<p><b>Name:</b> Dana&nbsp;Okafor<br>E-mail: <a href='x'>dana.okafor@example.com</a>",
        (
            "<table><tr><td>name:</td><td>Dana Okafor</td></tr><tr><td>E-Mail:"
            "</td><td>dana.okafor@example.com</td></tr></table><style>Name: x</style>"
        ),
        "From: <a@example.com>\nName: Dana Okafor\nE-mail: dana.okafor@example.com\nA < B",
        # Bold, quoted, listed, in a table, with the links of Outlook
        "*Name:* Dana Okafor\n*E-mail:* dana.okafor@example.com",
        "**Name**: Dana Okafor\n__E-mail__: dana.okafor@example.com",
        "*Name: Dana Okafor*\n*E-mail: dana.okafor@example.com*",
        "> Name: Dana Okafor\n>> E-mail: dana.okafor@example.com",
        "> *Name:* Dana Okafor\n> > *E-mail*: dana.okafor@example.com",
        "Na\u00adme\u200b: Dana Okafor\n\ufeffE-mail: dana.okafor@example.com",
        "- Name : Dana Okafor\n• E-mail : dana.okafor@example.com",
        "| Name: | Dana Okafor |\n| E-mail: | dana.okafor@example.com |",
        "Name:\u00a0Dana Okafor\nE-mail\uff1a dana.okafor@example.com",
        "Name: Dana Okafor\nE-mail: dana.okafor@example.com <mailto:dana.okafor@example.com>",
        "Name: ***\nName: Dana Okafor\nE-mail:\nE-mail: <mailto:dana.okafor@example.com>",
        "<blockquote><p>Name: Dana&#32;Okafor</p><p>E-mail: dana.okafor&#64;example.com</p>",
        "<!--Name: x--><script>Name: y</script>Name: Dana Okafor<p>E-mail: dana.okafor@example.com",
        "<p>Name: Dana Okafor</p>E-mail: <dana.okafor@example.com><br>A < B &lt;p&gt;",
    ],
)
def test_what_follows_a_label_in_a_mail(tmp_path: Path, mail: str) -> None:
    read = {"who": {"text": "body", "line": "Name:"}, "mail": {"text": "body", "line": "E-mail:"}}
    lead = LEAD | {"body": mail}
    source = source_of(tmp_path, lead, {"name": "who", "email_1": "mail"}, read=read)
    appointment = only_item(map_json(source, lead)).appointment
    assert appointment["last_name"] == "Okafor"
    assert appointment["email_1"] == "dana.okafor@example.com"


def test_a_mail_is_parsed_once_for_all_its_labels() -> None:
    scope = Scope(payload={"body": "<p>Name: Dana</p>"})
    reader = TextReader(path=path_from_text("body"), line=("Name:",))
    assert reader.read(scope).value == "Dana"
    scope.mails["<p>Name: Dana</p>"] = "Name: parsed before"
    assert reader.read(scope.with_names({"x": 1})).value == "parsed before"


def test_html_in_a_comment_is_text_in_the_notes(tmp_path: Path) -> None:
    lead = LEAD | {"comment": "<p>Cats &amp; <b>dogs</b>?</p><br />3 < 4 &lt;b&gt;"}
    source = source_of(tmp_path, lead, {"notes": "{comment}"})
    item = only_item(map_json(source, lead))
    assert item.appointment["notes"] == "Cats & dogs? 3 < 4 <b>"


@pytest.mark.parametrize(
    "leads",
    [
        {"0": {**LEAD, "id": "A"}, "2": {**LEAD, "id": "B"}},
        {"1": {**LEAD, "id": "A"}, "2": {**LEAD, "id": "B"}},
        [{**LEAD, "id": "A"}, None, {**LEAD, "id": "B"}],
        [[{**LEAD, "id": "A"}], [{**LEAD, "id": "B"}]],
    ],
    ids=["gap", "from one", "null", "nested"],
)
def test_a_list_with_a_gap_has_its_items(tmp_path: Path, leads: Any) -> None:
    fields = {key: f"lead.{path}" for key, path in FIELDS.items()}
    sections = {"dedupe": "lead.id", "community": "lead.place", "for_each": {"lead": "leads"}}
    source = source_of(tmp_path, {"leads": [LEAD]}, fields, **sections)
    mapped = map_json(source, {"leads": leads})
    assert [item.dedupe_key for item in mapped.items] == ["A", "B"]
    assert mapped.outcome is Outcome.BOOK


def test_a_list_of_answers_may_have_gaps(tmp_path: Path) -> None:
    answers = {"1": {"q": "who ", "a": "Dana Okafor"}, "4": {"q": "beds", "a": "2"}}
    read = {"given": {"list": "answers", "by": "q", "value": "a"}}
    lead = LEAD | {"answers": answers}
    source = source_of(tmp_path, lead, {"name": "given.who"}, read=read)
    assert only_item(map_json(source, lead)).appointment["last_name"] == "Okafor"


def test_json_inside_a_text_is_corrected_and_reported(tmp_path: Path) -> None:
    source = source_of(
        tmp_path,
        LEAD | {"slots": '{"beds": 1}'},
        {"desired_num_bedrooms": "slots.beds"},
        read={"slots": {"json": "slots"}},
    )
    mapped = map_json(source, LEAD | {"slots": '{"beds": 2, "note": "a\nb"}'})
    assert only_item(mapped).appointment["desired_num_bedrooms"] == [2]
    assert "corrected" in reasons(mapped)["slots"]


BATCH = {
    "place": "D",
    "leads": [
        {**LEAD, "id": "A", "state": "new"},
        {**LEAD, "id": "B", "state": "new", "at": "soon"},
        {**LEAD, "id": "C", "state": "old"},
        {**LEAD, "id": "D", "state": "off"},
    ],
}


def batch_source(folder: Path) -> Source:
    return source_of(
        folder,
        BATCH | {"leads": BATCH["leads"][:2]},
        {"name": "lead.name", "email_1": "lead.email", "starts_at": "lead.at"},
        for_each={"lead": "leads"},
        dedupe="lead.id",
        accept={"lead.state": "new"},
        cancellation={"lead.state": "off"},
    )


def test_a_batch_is_judged_item_by_item(tmp_path: Path) -> None:
    mapped = map_json(batch_source(tmp_path), BATCH)
    assert mapped.outcome is Outcome.BOOK
    assert [item.outcome for item in mapped.items] == ["book", "held", "ignored", "cancellation"]
    assert [item.dedupe_key for item in mapped.items] == ["A", "B", "C", "D"]
    assert mapped.dedupe_key == '[["A"], ["B"], ["C"], ["D"]]'


@pytest.mark.parametrize("name", ["Dana", None])
def test_what_no_item_changes_is_the_same_for_each(name: str | None) -> None:
    visitor = {"firstName": name, "phone": "303-555-0142 x12"}
    lead = {**SAMPLES["leasebot"], "visitor": visitor, "transcript": []}
    lead["handoff"] = lead["handoff"] | {"slots": '{"move in": "soon", "pets": ["cat", "emu"]}'}
    bare = {"id": "t8", "property": "Maple Court"}
    tours = [*lead["handoff"]["tours"], bare, bare | {"property": "nowhere", "startsAt": "soon"}]
    items = map_json(bundled["leasebot"], _with_tours(lead, tours)).items
    alone = [map_json(bundled["leasebot"], _with_tours(lead, [tour])).items[0] for tour in tours]
    assert list(items) == alone, "an item is what it would be by itself"
    assert {item.outcome for item in items} == ({"book", "held"} if name else {"held"})
    assert items[0].notes_added == ("Phone extension: 12", "Move in date: soon", "Pets: emu")


def _with_tours(lead: Any, tours: list[Any]) -> Any:
    return lead | {"handoff": lead["handoff"] | {"tours": tours}}


def test_a_field_outside_the_items_is_read_once(tmp_path: Path) -> None:
    source = batch_source(tmp_path)
    read: list[object] = []
    (field,) = (fill for fill in source.compiled.fillers if getattr(fill, "name", "") == "email_1")
    assert isinstance(field, Field)
    lookup = dataclasses.replace(field.lookup, places=(path_from_text("place"),))
    field = dataclasses.replace(field, lookup=lookup, read=read.append)
    compiled = dataclasses.replace(source.compiled, fillers=[field])
    compiled.apply(source.scope_from_payload(BATCH), NOW)
    assert read == ["D"], "four items, read once"


@pytest.mark.parametrize("section", ["accept", "ignore", "cancellation"])
def test_a_condition_on_too_many_values_is_not_judged(tmp_path: Path, section: str) -> None:
    source = source_of(tmp_path, LEAD | {"kind": ["x"]}, **{section: {"kind": "new"}})
    mapped = map_json(source, LEAD | {"kind": ["new"] * 10_001})
    if section == "accept":
        assert mapped.outcome is Outcome.HELD
        assert reasons(mapped) == {"accept": "more than 10,000 items"}
    else:
        assert mapped.outcome is Outcome.BOOK, "what cannot be judged sets nothing aside"


def test_a_list_of_too_many_answers_is_not_read(tmp_path: Path) -> None:
    lead = LEAD | {"answers": [{"q": "unit", "a": "2B"}]}
    source = source_of(
        tmp_path,
        lead,
        {"notes": "Unit: {answers.unit}"},
        read={"answers": {"list": "answers", "by": "q", "value": "a"}},
    )
    answers = source.compiled.readers[0].name
    mapped = map_json(source, lead | {"answers": lead["answers"] * 10_001})
    assert reasons(mapped)[answers] == "more than 10,000 items"
    assert only_item(map_json(source, lead)).appointment["notes"] == "Unit: 2B"


@pytest.mark.parametrize(
    ("leads", "words"),
    [
        ([], "there are no items"),
        (None, "there are no items"),
        ([LEAD] * 51, "there are 51 items, more than 50"),
    ],
)
def test_missing_items_are_always_reported(tmp_path: Path, leads: Any, words: str) -> None:
    mapped = map_json(batch_source(tmp_path), {"place": "D", "leads": leads})
    assert mapped.outcome is Outcome.HELD
    assert words in reasons(mapped)["for_each"]


def test_a_single_item_needs_no_list(tmp_path: Path) -> None:
    mapped = map_json(batch_source(tmp_path), {"place": "D", "leads": BATCH["leads"][0]})
    assert [item.outcome for item in mapped.items] == [Outcome.BOOK]
    assert mapped.dedupe_key == "A"


def test_headers_and_query_can_be_read_and_the_body_is_preferred(tmp_path: Path) -> None:
    lead = LEAD | {"headers": {"X-Place": "D"}}
    source = source_of(tmp_path, lead, {"notes": "{query.unit}"}, community="headers.X-Place")
    body = json.dumps(LEAD).encode()
    delivery = WebhookRequest.from_body(body, headers={"x-place": "D"}, query="unit=2B&x=1")
    assert only_item(source.map(delivery, now=NOW)).appointment["notes"] == "2B"
    spoofed = WebhookRequest.from_body(json.dumps(lead).encode(), headers={"x-place": "Z"})
    assert source.map(spoofed, now=NOW).outcome is Outcome.BOOK


def test_one_community_for_all_and_attribution_by_value(tmp_path: Path) -> None:
    lead = LEAD | {"at": "2026-03-14T14:30:00-04:00", "via": "zillow"}
    source = source_of(tmp_path, lead, community={"always": "york"}, attribution="via")
    assert only_item(map_json(source, lead)).appointment["attribution_id"] == "att_zillow"
    item = only_item(map_json(source, LEAD | {"at": lead["at"], "via": "flyer"}))
    assert item.appointment["attribution_id"] == "att_other"


def test_ids_only_need_enrichment(tmp_path: Path) -> None:
    mapped = map_json(source_of(tmp_path), {"id": "L1", "place": "D"})
    assert mapped.outcome is Outcome.HELD
    assert reasons(mapped)["event"].startswith("needs_enrichment")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"a": Dana}', "application/json"),
        (b"\xff\xfe\xff", "application/json"),
        (b"<a", "text/xml"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "text/xml"),
        (b"--x", "multipart/form-data"),
    ],
)
def test_bytes_that_cannot_be_read(tmp_path: Path, body: bytes, content_type: str) -> None:
    source = source_of(tmp_path)
    mapped = source.map(WebhookRequest.from_body(body, content_type=content_type), now=NOW)
    assert mapped.outcome is Outcome.UNREADABLE
    assert mapped.reasons[0].field == "event"
    assert source.dedupe_key(WebhookRequest.from_body(body, content_type=content_type)) is None


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (json.dumps(LEAD).replace("Hi", "H\ni").encode(), "", None),
        (json.dumps(LEAD | {"comment": "a\n"}).replace("\\n", "\n").encode(), "", "corrected"),
        (json.dumps(LEAD)[:-1].encode() + b', "rent": NaN}', "", "read as null"),
        (json.dumps(LEAD | {"comment": "é"}, ensure_ascii=False).encode("latin-1"), "", "1252"),
        (json.dumps(json.dumps(LEAD)).encode(), "", "JSON in a JSON string"),
    ],
    ids=["clean", "newline", "nan", "latin1", "twice"],
)
def test_what_was_corrected_to_read_a_body_is_reported(
    tmp_path: Path, body: bytes, content_type: str, said: str | None
) -> None:
    source = source_of(tmp_path, fields={"notes": "{comment}"}, lead=LEAD | {"comment": "Hi"})
    request = WebhookRequest.from_body(body, content_type=content_type)
    mapped = source.map(request, now=NOW)
    assert mapped.outcome is Outcome.BOOK
    assert only_item(mapped).blocking_reasons == ()
    assert source.dedupe_key(request) == "L1", "the key is read as leniently as the lead"
    assert (said is None) == (reasons(mapped) == {})
    assert said is None or said in reasons(mapped)["event"]


def test_what_was_corrected_is_reported_of_ignored_webhooks_too(tmp_path: Path) -> None:
    source = source_of(tmp_path, accept={"id": "L2"})
    body = json.dumps(LEAD)[:-1].encode() + b', "rent": NaN}'
    mapped = source.map(WebhookRequest.from_body(body, content_type=""), now=NOW)
    assert mapped.outcome is Outcome.IGNORED
    assert "NaN" in reasons(mapped)["event"]


def test_a_key_that_cannot_be_read_for_any_reason_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(tmp_path)
    monkeypatch.setattr(type(source), "scope", None)
    request = WebhookRequest.from_body(json.dumps(LEAD).encode(), content_type="")
    assert source.dedupe_key(request) is None
    assert caplog.messages == ["dedupe_key_failed"]


def test_long_values_are_bounded_in_notes_and_reasons(tmp_path: Path) -> None:
    fields = {"move_in_date": "move", "notes": "{comment}"}
    lead = LEAD | {"move": "x" * 100_000, "comment": "word " * 50_000}
    source = source_of(tmp_path, LEAD | {"move": "2026-05-01", "comment": "Hi"}, fields)
    item = only_item(map_json(source, lead))
    assert item.outcome is Outcome.BOOK
    assert len(item.appointment["notes"]) <= 1000
    assert item.appointment["notes"].split("\n")[0].endswith("word…")
    assert item.appointment["notes"].endswith("x…")
    assert all(len(reason.value or "") <= 60 for reason in item.reasons)


bundled = load_cached(MAPPINGS)
SAMPLES = {
    "rentfeed": json.loads((MAPPINGS / "samples/rentfeed-tour.json").read_text()),
    "leasebot": json.loads((MAPPINGS / "samples/leasebot-handoff.json").read_text()),
    "website": json.loads((MAPPINGS / "samples/website-response.json").read_text()),
}

SCALARS = [None, True, False, 0, -1, 2**65, 1e308, float("inf"), float("nan")]
TEXTS = ["", " ", "\x00", "\ud800", "x" * 5000, "{", "1e400", "../..", "٣"]
TIMES = ["9999-12-31T23:59:59", "0001-01-01T00:00:00", "2026-03-08 2:30 AM", "2026-03-14"]
SHAPES: list[Any] = [[], {}, [[]], [None], [{}], {"": ""}, ["a", "b"], [["a"]], {"a": {"b": 1}}]
NASTY = st.sampled_from([*SCALARS, *TEXTS, *TIMES, *SHAPES])
VALUES = st.recursive(
    NASTY | st.text(max_size=20) | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(data: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Yield every path in a sample, for replacing values."""
    found = [way] if way else []
    pairs = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in pairs:
        found += places(value, (*way, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Any]:
    """Generate a sample of a bundled source with hostile values at one to four paths."""
    name = draw(st.sampled_from(sorted(SAMPLES)))
    sample = json.loads(json.dumps(SAMPLES[name]))
    for way in draw(st.lists(st.sampled_from(places(sample)), min_size=1, max_size=4)):
        inner = sample
        for key in way[:-1]:
            inner = inner[key] if _has(inner, key) else {}
        if _has(inner, way[-1]):
            inner[way[-1]] = draw(VALUES)
    return name, sample


def _has(data: Any, key: Any) -> bool:
    return (
        key in data
        if isinstance(data, dict)
        else isinstance(data, list) and key in range(len(data))
    )


def check_mapped(mapped: Mapped) -> None:
    assert isinstance(mapped, Mapped)
    for item in mapped.items:
        json.dumps(item.appointment).encode()
        if item.outcome is Outcome.BOOK:
            assert problems(item.appointment) == {}, "only what Propexo takes is booked"
        else:
            assert item.reasons or item.outcome is not Outcome.HELD, "held says why"
    for reason in [*mapped.reasons, *(one for item in mapped.items for one in item.reasons)]:
        assert reason.value is None or (len(reason.value) <= 60 and reason.value.isascii())


class SlowReader:
    """A slow reader, which must not run before a webhook is stored."""

    path = path_from_text("data")

    def read(self, scope: Scope) -> Any:
        raise AssertionError("this reader ran before the webhook was stored")


def test_a_reader_that_the_key_does_not_need_runs_after_storing(tmp_path: Path) -> None:
    read = {
        "lead": {"json": "data"},
        "number": {"text": "lead.ref", "after": "no."},
        "words": {"text": "lead.said", "without": "quotes"},
        "kind": {"text": "lead.said", "after": "me:"},
    }
    lead = LEAD | {"data": json.dumps({"ref": "lead no. 7", "said": "tell me: tour"})}
    sections: dict[str, Any] = {"read": read, "dedupe": "number", "accept": {"kind": "tour"}}
    compiled = source_of(tmp_path, lead, {"notes": "words"}, **sections).compiled
    assert [one.name for one in compiled.key_readers] == ["lead", "number", "kind"]
    slow = [
        dataclasses.replace(one, reader=SlowReader()) if one.name == "words" else one
        for one in compiled.readers
    ]
    scope = Scope(payload=lead)
    assert dataclasses.replace(compiled, readers=slow).dedupe_key(scope) == "7"
    assert only_item(compiled.apply(scope, NOW)).dedupe_key == "7"
    assert compiled.dedupe_key(Scope(payload=lead | {"data": "{}"})) is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled())
def test_spoiled_samples_never_raise(case: tuple[str, Any]) -> None:
    name, sample = case
    source = bundled[name]
    for scope in (source.scope_from_payload(sample),):
        mapped = source.compiled.apply(scope, NOW)
        check_mapped(mapped)
        assert mapped.dedupe_key == source.compiled.dedupe_key(scope)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_any_json_value_never_raises(value: Any) -> None:
    for source in bundled.values():
        check_mapped(map_json(source, value))


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["", "application/json", "text/xml", "multipart/form-data; boundary=x"])
    | st.text(max_size=30),
    st.text(max_size=20),
)
def test_any_bytes_never_raise(body: bytes, content_type: str, query: str) -> None:
    for source in bundled.values():
        delivery = WebhookRequest.from_body(body, content_type=content_type, query=query)
        check_mapped(source.map(delivery, now=NOW))
        source.dedupe_key(delivery)


@pytest.mark.timed
@pytest.mark.parametrize(
    "payload",
    [
        {f"key{number}": "x" * 100 for number in range(5000)},
        {"contact": {f"emial{number}": "x" for number in range(20_000)}},
        SAMPLES["website"]
        | {
            "form_response": SAMPLES["website"]["form_response"]
            | {"answers": SAMPLES["website"]["form_response"]["answers"] * 1500}
        },
        SAMPLES["leasebot"] | {"transcript": [{"text": "x" * 100_000}] * 10},
        SAMPLES["leasebot"]
        | {"handoff": {"reason": "tour_booked", "tours": [{"id": "x", "mode": "y" * 20_000}] * 50}},
    ],
    ids=["keys", "near keys", "answers", "long texts", "many items"],
)
def test_a_large_payload_takes_bounded_time(payload: Any) -> None:
    for source in bundled.values():
        scope = source.scope_from_payload(payload)
        start = time.thread_time()
        check_mapped(source.compiled.apply(scope, NOW))
        assert time.thread_time() - start < at_most(1.0), source.name


def test_the_key_of_an_item_may_be_read_out_of_it(tmp_path: Path) -> None:
    leads = [LEAD | {"ids": [{"type": "lead", "value": name}]} for name in ("A", "B")]
    source = source_of(
        tmp_path,
        {"place": "D", "leads": leads},
        {"name": "lead.name", "email_1": "lead.email", "starts_at": "lead.at"},
        for_each={"lead": "leads"},
        read={"ids": {"list": "lead.ids", "by": "type", "value": "value"}},
        dedupe="ids.lead",
    )
    mapped = map_json(source, {"place": "D", "leads": leads})
    assert [item.dedupe_key for item in mapped.items] == ["A", "B"]
    assert mapped.dedupe_key == '[["A"], ["B"]]'


MARCH_14 = {"year": 2026, "month": 3, "day": 14}


@pytest.mark.parametrize(
    ("day", "hour", "utc"),
    [
        ({"year": "2026", "month": "3", "day": 14}, {"hour": 14, "minute": 30}, "20:30"),
        (
            {"year": 2026.0, "month": 3.0, "day": 14.0},
            {"hourSelect": "2", "minuteSelect": "30", "ampm": "pm"},
            "20:30",
        ),
        ({"year": 2026, "month": 3, "day": 14}, {"hourSelect": 12, "ampm": "PM"}, "18:00"),
        (MARCH_14, {"hour": "02", "min": "30", "meridian": "pm"}, "20:30"),
        (MARCH_14, {"Hour": 2, "Minute": 30, "AM_PM": "P.M."}, "20:30"),
        (MARCH_14, {"hours": 2, "mins": 30, "isPM": True}, "20:30"),
        (MARCH_14, {"hour": 10, "minute": 0, "is_pm": False}, "16:00"),
        (MARCH_14, {"hour": "14", "minute": "30", "meridiem": ""}, "20:30"),
        (MARCH_14, {"hour": 14, "minute": 30, "ampm": "pm"}, "20:30"),
        (MARCH_14, {"hour": 14, "minute": 30, "second": 59, "nano": 0}, "20:30"),
        (
            MARCH_14,
            {"hourSelect": "2", "minuteSelect": "30", "ampm": "PM", "timeInput": "02:30"},
            "20:30",
        ),
        (MARCH_14, {"hour": 14}, "20:00"),
        ({"year": 2026, "month": 3, "day": 14}, {"hourSelect": 12, "ampm": "AM"}, "06:00"),
    ],
)
def test_dates_and_times_in_parts(
    tmp_path: Path, day: dict[str, Any], hour: dict[str, Any], utc: str
) -> None:
    lead = LEAD | {"day": day, "hour": hour}
    source = source_of(tmp_path, lead, {"starts_at": {"date": "day", "time": "hour"}})
    item = only_item(map_json(source, lead))
    assert f"{item.starts_at:%Y-%m-%d %H:%M}" == f"2026-03-14 {utc}"


@pytest.mark.parametrize(
    "hour",
    [
        {"hour": "10", "minute": "3O"},
        {"hour": "10", "minute": ""},
        {"hour": "10", "minute": None},
        {"hour": "10", "minute": -5},
        {"hour": "10", "minute": 30.5},
        {"hour": "7", "minute": "30", "ampm": ""},
        {"hour": "7", "minute": "30", "isPM": None},
        {"hour": "7", "minute": "30", "meridian": "evening"},
        {"hour": "14", "minute": "30", "ampm": "AM"},
        {"hour": "7", "minute": "30", "dayPeriod": "PM"},
        {"hour": "7", "minute": "30", "period": {"name": "PM"}},
        {"hour": "7", "hours": "8", "minute": "30"},
        {"minute": "30", "ampm": "PM"},
        {"ampm": "PM"},
    ],
    ids=ascii,
)
def test_parts_of_a_time_that_are_unknown_or_unreadable_are_held(
    tmp_path: Path, hour: dict[str, Any]
) -> None:
    right = LEAD | {"day": MARCH_14, "hour": {"hour": 10, "minute": 30}}
    source = source_of(tmp_path, right, {"starts_at": {"date": "day", "time": "hour"}})
    assert map_json(source, right).outcome is Outcome.BOOK
    item = only_item(map_json(source, right | {"hour": hour}))
    assert (item.outcome, item.starts_at) == (Outcome.HELD, None)
    assert item.reasons[0].value, "the value is shown"


@pytest.mark.parametrize(
    ("more", "utc"),
    [
        ({"utcOffset": "0s"}, "14:30"),
        ({"utcOffset": "-25200s"}, "21:30"),
        ({"utcOffset": "19800s"}, "09:00"),
        ({"utc_offset": "-07:00"}, "21:30"),
        ({"timeZone": "America/New_York"}, "18:30"),
        ({"timeZone": {"id": "America/Los_Angeles", "version": ""}}, "21:30"),
        ({"timeZone": None, "utcOffset": None, "seconds": 0, "nanos": 0}, "20:30"),
        ({"utcOffset": -420}, None),
        ({"utcOffset": "-7"}, None),
        ({"timeZone": "MST"}, None),
        ({"timeZone": {"name": "Mountain"}}, None),
        ({"offsetMinutes": -420}, None),
    ],
    ids=ascii,
)
def test_parts_with_an_offset_or_a_time_zone(
    tmp_path: Path, more: dict[str, Any], utc: str | None
) -> None:
    lead = LEAD | {"at": MARCH_14 | {"hours": 14, "minutes": 30} | more}
    item = only_item(map_json(source_of(tmp_path, lead), lead))
    assert (item.starts_at and f"{item.starts_at:%H:%M}") == utc


def test_a_time_zone_of_a_date_without_an_hour_makes_no_midnight(tmp_path: Path) -> None:
    lead = LEAD | {"at": MARCH_14 | {"timeZone": "America/New_York"}}
    mapped = map_json(source_of(tmp_path, lead), lead)
    assert mapped.outcome is Outcome.HELD
    assert "a date without a time of day" in reasons(mapped)["starts_at"]


def test_an_untouched_picker_is_no_time(tmp_path: Path) -> None:
    lead = LEAD | {
        "day": {"month": "", "day": "", "year": ""},
        "hour": {"hourSelect": "", "minuteSelect": None, "ampm": ""},
    }
    start = {"date": "day", "time": "hour"}
    source = source_of(tmp_path, lead, {"starts_at": start}, without_time="prospect")
    assert map_json(source, lead).outcome is Outcome.PROSPECT
    assert map_json(source, lead | {"day": MARCH_14}).outcome is Outcome.HELD


@pytest.mark.parametrize(
    "day", [{"year": 2026, "month": 3}, {"year": 2026, "month": 13, "day": 1}, {"day": True}, {}]
)
def test_parts_that_make_no_date_are_held(tmp_path: Path, day: dict[str, Any]) -> None:
    right = LEAD | {"day": {"year": 2026, "month": 3, "day": 14}, "hour": "10:00"}
    source = source_of(tmp_path, right, {"starts_at": {"date": "day", "time": "hour"}})
    assert map_json(source, right | {"day": day}).outcome is Outcome.HELD


def test_a_missing_part_of_a_key_is_empty_and_an_unreadable_one_gives_no_key(
    tmp_path: Path,
) -> None:
    lead = LEAD | {"part": "P"}
    source = source_of(tmp_path, lead, dedupe=["id", "part"])
    assert map_json(source, lead).dedupe_key == '["L1", "P"]'
    for empty in ({}, {"part": " "}):
        assert map_json(source, LEAD | empty).dedupe_key == '["L1", ""]'
    assert map_json(source, {"part": ""} | LEAD | {"id": None}).dedupe_key is None
    for part in ({"part": ["a", "b"]}, {"part": {"a": 1}}):
        mapped = map_json(source, LEAD | part)
        assert mapped.dedupe_key is None
        assert only_item(mapped).dedupe_key is None
        assert mapped.outcome is Outcome.BOOK, "the caller takes the hash of the bytes"


def test_a_part_of_the_key_may_have_alternatives(tmp_path: Path) -> None:
    lead = LEAD | {"seat": "S1"}
    source = source_of(tmp_path, lead, dedupe=["id", ["seat", "email"]])
    assert map_json(source, lead).dedupe_key == '["L1", "S1"]'
    assert map_json(source, lead | {"seat": ""}).dedupe_key == '["L1", "dana.okafor@example.com"]'
    assert map_json(source, lead | {"seat": None, "email": " "}).dedupe_key == '["L1", ""]'
    assert map_json(source, lead | {"seat": ["a", "b"]}).dedupe_key is None


@pytest.mark.parametrize(
    ("dedupe", "naming"),
    [
        (["email", "place"], ["email"]),
        (["mobile", "place", "day"], ["mobile"]),
        ([["email", "mobile"], "place"], ["email", "mobile"]),
        (["called", "day"], ["called"]),
        (["property_id", "email"], ["email"]),
        (["lead.propertyId", "lead.leadId"], ["lead.leadId"]),
        (["form.Hash", "EntryId"], ["EntryId"]),
        ([["message_id", "place"], "day"], ["message_id"]),
        (["Headers.Message-ID", "day"], ["Headers.Message-ID"]),
        (["agent.email", "response.token"], ["response.token"]),
        (["event_name", "visitor.name.value"], ["visitor.name.value"]),
        # None of these is known to identify a lead, so any of them may.
        (["slug", "day"], ["slug", "day"]),
        (["place", "day"], ["place", "day"]),
    ],
)
def test_a_key_needs_a_value_that_identifies_a_lead(
    tmp_path: Path, dedupe: list[Any], naming: list[str]
) -> None:
    """Use leads without such a value, which would share a key with others on the same day."""
    paths = [*itertools.chain(*([one] if isinstance(one, str) else one for one in dedupe))]
    flat = {path: f"value of {path}" for path in paths}
    fields = {"name": "called", "phone_1": "mobile"}
    sample = LEAD | {"called": "Dana Okafor", "mobile": "303-555-0142"} | nested(flat)
    source = source_of(tmp_path, sample, fields, dedupe=dedupe)

    assert map_json(source, sample).dedupe_key is not None
    rest = {path: "" if path in naming else value for path, value in flat.items()}
    assert map_json(source, sample | nested(rest)).dedupe_key is None
    for path in naming:
        only = nested(rest | {path: "the one value"})
        assert "the one value" in str(map_json(source, sample | only).dedupe_key)


def nested(flat: dict[str, str]) -> dict[str, Any]:
    """Return a payload with each value at its path."""
    data: dict[str, Any] = {}
    for path, value in flat.items():
        *outer, last = path.split(".")
        inner = data
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return data


def test_each_guest_of_an_event_is_a_booking_and_read_as_the_one_who_booked() -> None:
    cal_com = load_cached(MAPPINGS / "gallery")["cal-com"]
    samples = MAPPINGS / "gallery/samples"
    first, second = (
        map_json(cal_com, json.loads((samples / f"cal-com-{name}.json").read_text()))
        for name in ("created", "seat")
    )
    assert first.dedupe_key != second.dedupe_key
    canceled = map_json(cal_com, json.loads((samples / "cal-com-cancelled.json").read_text()))
    assert only_item(canceled).dedupe_key == only_item(first).dedupe_key
    emails = [only_item(one).appointment["email_1"] for one in (first, second)]
    assert emails == ["dana.okafor@example.com", "pat.quinn@example.com"]


@pytest.mark.parametrize(
    ("second", "held"),
    [
        ({"at": "2026-03-15T14:30:00"}, True),
        ({"at": "2026-03-14T14:30:00", "by": "Pat"}, False),
        ({"at": "", "by": "Pat"}, False),
    ],
)
def test_different_tour_times_under_a_repeated_key_are_held(
    tmp_path: Path, second: dict[str, str], held: bool
) -> None:
    shows = [{"at": "2026-03-14T14:30:00"}, second]
    lead = LEAD | {"events": [{"kind": "Show", "inner": one} for one in shows]}
    read = {"event": {"list": "events", "by": "kind", "value": "inner"}}
    source = source_of(tmp_path, lead, {"starts_at": "event.Show.at"}, read=read)
    mapped = map_json(source, lead)
    assert mapped.outcome is (Outcome.HELD if held else Outcome.BOOK)
    if held:
        assert "repeated with different values" in reasons(mapped)["starts_at"]


def test_other_tour_times_are_held_in_answers_and_in_parts(tmp_path: Path) -> None:
    answers = [{"k": "day", "v": "2026-03-14"}, {"k": "hour", "v": "14:30"}]
    read = {"given": {"list": "answers", "by": "k", "value": "v"}}
    start = {"date": "given.day", "time": "given.hour"}
    lead = LEAD | {"answers": answers}
    source = source_of(tmp_path, lead, {"starts_at": start}, read=read)
    assert only_item(map_json(source, lead)).outcome is Outcome.BOOK
    for more in ({"k": "hour", "v": "15:30"}, {"k": "day", "v": "2026-03-15"}):
        item = only_item(map_json(source, lead | {"answers": [*answers, more]}))
        assert item.outcome is Outcome.HELD
        assert item.starts_at is None


@pytest.mark.parametrize(
    ("changes", "phone", "notes"),
    [
        ({"phones": "(303) 555-0142"}, "+13035550142", None),
        (
            {"phones": ["(303) 555-0142", "(303) 555-0143"]},
            "+17205550188",
            "Phone: (303) 555-0142, (303) 555-0143",
        ),
        (
            {"phones": [{"number": "(303) 555-0142"}, {"number": "(303) 555-0143"}]},
            "+17205550188",
            "Phone: (303) 555-0142, (303) 555-0143",
        ),
    ],
)
def test_after_a_list_of_several_items_the_next_path_is_tried(
    tmp_path: Path, changes: dict[str, Any], phone: str, notes: str | None
) -> None:
    lead = LEAD | {"phones": "x", "other": "(720) 555-0188"}
    path = "phones.0" if isinstance(changes["phones"], str) else "phones"
    path = "phones.number" if "number" in str(changes) else path
    shown = LEAD | changes | {"other": "(720) 555-0188"}
    source = source_of(tmp_path, shown, {"phone_1": [path, "other"]})
    item = only_item(map_json(source, lead | changes))
    assert item.outcome is Outcome.BOOK
    assert item.appointment["phone_1"] == phone
    assert item.appointment.get("notes") == notes


def test_two_renters_are_not_only_ids(tmp_path: Path) -> None:
    lead = LEAD | {"who": [{"name": "Dana Okafor"}]}
    fields = {"name": "who.name", "email_1": "who.email", "starts_at": "who.at"}
    source = source_of(tmp_path, lead | {"who": LEAD}, fields)
    mapped = map_json(source, lead | {"who": [LEAD, LEAD | {"name": "Pat Lee"}]})
    assert mapped.outcome is Outcome.HELD
    assert "event" not in reasons(mapped)


def test_a_required_value_is_never_replaced_by_the_next_path(tmp_path: Path) -> None:
    lead = LEAD | {"caller": "Dana Okafor"}
    source = source_of(tmp_path, lead, {"name": ["name", "caller"]})
    assert only_item(map_json(source, lead | {"name": "05/01/2026"})).outcome is Outcome.HELD


def test_a_repeated_answer_that_is_not_used_is_not_noted(tmp_path: Path) -> None:
    answers = [{"k": "who", "v": "Dana Okafor"}, {"k": "x", "v": "1"}, {"k": "x", "v": "2"}]
    lead = LEAD | {"answers": answers}
    read = {"given": {"list": "answers", "by": "k", "value": "v"}}
    item = only_item(map_json(source_of(tmp_path, lead, {"name": "given.who"}, read=read), lead))
    assert (item.reasons, item.notes_added) == ((), ())


def test_a_row_that_says_nothing_takes_no_default(tmp_path: Path) -> None:
    table = {"video": "video", "unsure": []}
    fields = {"tour_type": {"from": "mode", "table": table, "default": "in_person"}}
    source = source_of(tmp_path, LEAD | {"mode": "video"}, fields)
    item = only_item(map_json(source, LEAD | {"mode": "Unsure"}))
    assert "tour_type" not in item.appointment
    assert (item.outcome, item.reasons, item.notes_added) == (Outcome.BOOK, (), ())
    assert only_item(map_json(source, LEAD)).appointment["tour_type"] == "in_person"


def test_an_ignored_delivery_says_why(tmp_path: Path) -> None:
    source = source_of(tmp_path, LEAD | {"kind": "tour"}, accept={"kind": "tour"})
    (reason,) = map_json(source, LEAD | {"kind": "ping"}).reasons
    assert (reason.field, reason.path, reason.value) == ("accept", "kind", '"ping"')


def test_unreadable_notes_and_objects_in_templates_leave_the_line_out(tmp_path: Path) -> None:
    fields = {"notes": ["Asked: {questions.*.text}", "Unit: {unit}"]}
    lead = LEAD | {"questions": [{"text": "a"}, {"text": "b"}], "unit": "2B"}
    source = source_of(tmp_path, lead, fields)
    strange: Any
    for strange in ([{"text": {"x": 1}}], [{}], "x", None, []):
        item = only_item(map_json(source, lead | {"questions": strange}))
        assert item.appointment["notes"] == "Unit: 2B"
    assert only_item(map_json(source, lead)).appointment["notes"] == "Asked: a, b\nUnit: 2B"


def test_a_default_replaces_missing_values_but_not_unreadable_ones(tmp_path: Path) -> None:
    """Check that "a dozen" occupants does not become the default value 1."""
    field = {"from": ["people", "guests"], "default": 1}
    source = source_of(tmp_path, LEAD | {"people": 2, "guests": 2}, {"number_of_occupants": field})

    def occupants(**said: Any) -> Any:
        item = only_item(map_json(source, LEAD | said))
        return item.appointment.get("number_of_occupants"), bool(item.reasons)

    assert occupants() == (1, False)
    assert occupants(people=" ", guests=3) == (3, False)
    assert occupants(people="a dozen") == (None, True)
    assert occupants(people="a dozen", guests=3) == (None, True), "the first that says something"


def test_a_name_in_the_mapping_hides_the_same_key_in_the_payload() -> None:
    scope = Scope(payload={"item": {"id": "theirs"}, "other": 1}, names={"item": {"id": "ours"}})

    assert scope.read(path_from_text("item.id")) == "ours"
    assert scope.read(path_from_text("other")) == 1
