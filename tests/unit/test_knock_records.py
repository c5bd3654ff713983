"""Test that records of tours and guest cards are read, regardless of their field names."""

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest

from adapter.bookings import knock_facts, knock_records
from adapter.models import Booking, BookingState, KnockStatus
from adapter.propexo.crm_records import KnockRecord, Model, record_from
from tests.rows import NOW, REQUEST, attempt, other

STARTS_AT = dt.datetime(2030, 3, 14, 20, 30, tzinfo=dt.UTC)
START = "2030-03-14T20:30:00.000Z"
BOTH = {"email_1": "dana.okafor@example.com", "phone_1": "+13035550142"}
INTEGRATION = REQUEST["integration_id"]


def listed(record: dict[str, Any], model: Model = Model.EVENTS) -> KnockRecord:
    found = KnockRecord.listed(model, {"id": "r1", "integration_id": INTEGRATION} | record)
    assert found is not None
    return found


def card(**record: Any) -> KnockRecord:
    return listed(record, Model.PROSPECTS)


def sent(**changes: Any) -> Booking:
    known = dataclasses.replace(other(1, STARTS_AT, NOW), appointment=REQUEST | BOTH, posted_at=NOW)
    return dataclasses.replace(known, **changes)


def test_a_card_needs_each_contact_and_the_name() -> None:
    request = attempt(last_name="Quill", **BOTH).request
    whole = {"name": "Dana Quill", "email": BOTH["email_1"], "phone": "(303) 555-0142"}

    assert knock_records.is_complete_card(card(**whole), request)
    for change in ({"email": "room.mate@example.com"}, {"phone": ""}, {"name": "Dana Roe"}):
        assert not knock_records.is_complete_card(card(**whole | change), request)


def test_either_contact_makes_a_card_a_candidate() -> None:
    request = attempt(**BOTH).request
    assert knock_records.shares_contact(card(email="DANA.OKAFOR@example.com"), request)
    assert knock_records.shares_contact(card(phones=[{"number": "303-555-0142"}]), request)
    assert not knock_records.shares_contact(card(email="room.mate@example.com"), request)


@pytest.mark.parametrize(
    ("event", "is_it"),
    [
        ({"start": "2030-03-14T20:30:00Z"}, True),
        ({"data": {"startTime": START, "status": "confirmed"}}, True),
        ({"start": "2030-03-14T14:30:00-06:00", "is_cancelled": False}, True),
        ({"start": "2030-03-14T20:30:00Z", "is_cancelled": True}, False),
        ({"start": "2030-03-14T20:30:00Z", "status": "Canceled (Renter)"}, False),
        ({"start": "2030-03-14T20:31:00Z"}, False),
        ({"start": "2030-03-14T20:30:00"}, False),
    ],
)
def test_a_tour_is_recognized_by_its_exact_instant(event: dict[str, Any], is_it: bool) -> None:
    found = knock_records.standing_tour([listed(event)], other(1, STARTS_AT, NOW))
    assert (found is not None) is is_it


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ({"status": "Waiting"}, KnockStatus.WAITING),
        ({"status": "Booked"}, KnockStatus.BOOKED),
        ({"status": "CONFIRMED"}, KnockStatus.BOOKED),
        ({"appointment_status": "Visited"}, KnockStatus.VISITED),
        ({"status": "Canceled (Manager)"}, KnockStatus.CANCELED),
        ({"status": "cancelled_by_renter"}, KnockStatus.CANCELED),
        ({"status": "No Show"}, KnockStatus.NO_SHOW),
        ({"status": "NO_SHOW"}, KnockStatus.NO_SHOW),
        ({"is_cancelled": True, "status": "booked"}, KnockStatus.CANCELED),
        ({"cancelledAt": START}, KnockStatus.CANCELED),
        ({"cancelled_at": None, "isCanceled": False}, KnockStatus.BOOKED),
        ({"event_name": "APPOINTMENT_CANCELLED"}, KnockStatus.CANCELED),
        ({"status": "LEASED", "state": "CO"}, None),
        ({"notes": "canceled"}, None),
        ({"status": 7, "is_cancelled": "yes"}, None),
    ],
)
def test_a_status_is_read_in_any_spelling(
    record: dict[str, Any], status: KnockStatus | None
) -> None:
    assert knock_records.status_of(listed(record)) is status


@pytest.mark.parametrize("frame", ["documented", "flat"])
def test_an_update_contains_the_new_values_only(frame: str) -> None:
    diff = {"new": {"status": "Canceled"}, "previous": {"status": "Booked", "start": START}}
    data = {
        "event": "DATA_UPDATE",
        "object": "crm-events",
        "record_id": "evt_1",
        "integration_id": INTEGRATION,
        "diff": diff,
        "context": {"community_id": "com_maple"},
    }
    body = {"trigger": "DATA_UPDATE", "data": data, "meta": {}} if frame == "documented" else data
    record = record_from(json.dumps(body).encode())

    assert record is not None
    assert (record.id, record.model) == ("evt_1", Model.EVENTS)
    assert knock_records.status_of(record) is KnockStatus.CANCELED
    assert not knock_records.instants_of(record)
    assert record.id_of("communityid") == "com_maple"


def test_a_change_of_a_single_field_is_read_by_its_name() -> None:
    record = listed({"status": {"previous": "Booked", "new": "No Show"}})
    assert knock_records.status_of(record) is KnockStatus.NO_SHOW


@pytest.mark.parametrize(
    ("record", "is_theirs"),
    [
        ({"email": BOTH["email_1"], "mobile_phone": "+1 (303) 555-0142"}, True),
        ({"email": BOTH["email_1"]}, False),
        ({"email": BOTH["email_1"], "last_name": REQUEST["last_name"]}, True),
        ({"mobile_phone": "+1 (303) 555-0142", "name": f"Dana {REQUEST['last_name']}"}, True),
        ({"email": BOTH["email_1"], "phone": "720-555-0111"}, False),
        ({"email": "room.mate@example.com", "phone": BOTH["phone_1"]}, False),
        ({"emails": [BOTH["email_1"], "work@example.com"], "cell": BOTH["phone_1"]}, True),
        ({"email": BOTH["email_1"], "last_name": "Quill"}, False),
        ({"email": BOTH["email_1"], "community_id": "com_other"}, False),
        ({"email": BOTH["email_1"], "integration_id": "int_other"}, False),
        ({"first_name": "Dana"}, False),
    ],
)
def test_a_card_belongs_to_a_renter_if_no_contact_differs(
    record: dict[str, Any], is_theirs: bool
) -> None:
    assert knock_records.is_theirs(card(**record), sent()) is is_theirs


@pytest.mark.parametrize("name", ["agent", "leasing_agent", "created_by", "assignedTo", "owners"])
def test_an_agents_contacts_are_not_the_renters(name: str) -> None:
    agent = {"email": BOTH["email_1"], "phone": "720-555-0111", "last_name": "Quill"}
    for value in (agent, [agent], {"user": agent}):
        assert not knock_records.is_theirs(listed({name: value}), sent())
        renters = {"prospect": {"email": BOTH["email_1"], "phone": BOTH["phone_1"]}, name: value}
        assert knock_records.is_theirs(listed(renters), sent())


@pytest.mark.parametrize(
    ("record", "status"),
    [
        ({"prospect": {"status": "Canceled"}}, None),
        ({"status": "Booked", "prospect": {"status": "Canceled", "deleted_at": START}}, "booked"),
        ({"property": {"data": {"is_deleted": False}}}, None),
        ({"agent": {"status": "Canceled"}, "tour": {"status": "Booked"}}, "booked"),
        ({"opportunity": {"appointment": {"status": "Canceled"}}}, "canceled"),
        ({"prospect": {"tour": {"status": "Canceled"}}}, None),
        ({"status": {"previous": "Booked", "new": "Canceled"}, "lead": {"type": "x"}}, "canceled"),
    ],
)
def test_a_status_is_that_of_the_record_itself(record: dict[str, Any], status: str | None) -> None:
    assert knock_records.status_of(listed(record)) == status


def test_a_card_without_a_contact_may_be_anyones() -> None:
    request = REQUEST | BOTH
    assert knock_records.is_incomplete(card(name=f"Dana {REQUEST['last_name']}"), request)
    assert knock_records.is_incomplete(card(), request)
    assert not knock_records.is_incomplete(card(name="Kim Quill"), request)
    assert not knock_records.is_incomplete(card(phone="720-555-0111"), request)


def test_of_two_equal_tours_the_canceled_record_is_the_first() -> None:
    first, second = sent(), sent(id=2, posted_at=NOW + dt.timedelta(minutes=1))
    canceled = listed({"start": START, "status": "Canceled"})
    booked = listed({"start": START, "status": "Booked"})

    assert knock_records.tour_of(canceled, [second, first]) is first
    assert knock_records.tour_of(booked, [first, second]) is second
    gone = dataclasses.replace(first, gone_at=NOW)
    assert knock_records.tour_of(canceled, [second, gone]) is second, "the other one is gone"
    assert knock_records.tour_of(canceled, [sent(tour_id="r1"), second]) is not second
    assert knock_records.tour_of(canceled, [sent(tour_id="evt_other")]) is None
    assert knock_records.tour_of(booked, [sent(state=BookingState.HELD)]) is None


@pytest.mark.parametrize("name", ["SMS", "Email", "CALL", "CHAT"])
def test_a_message_is_not_a_tour(name: str) -> None:
    assert knock_records.tour_of(listed({"event_name": name, "at": START}), [sent()]) is None


HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("known", "status", "at", "is_news"),
    [
        (None, KnockStatus.BOOKED, None, True),
        (KnockStatus.BOOKED, KnockStatus.CANCELED, NOW + HOUR, True),
        (KnockStatus.CANCELED, KnockStatus.BOOKED, NOW - HOUR, False),
        (KnockStatus.CANCELED, KnockStatus.BOOKED, NOW, False),
        (KnockStatus.CANCELED, KnockStatus.BOOKED, NOW + HOUR, True),
        (KnockStatus.CANCELED, KnockStatus.BOOKED, None, False),
        (KnockStatus.CANCELED, KnockStatus.CANCELED, NOW + HOUR, False),
        (KnockStatus.BOOKED, KnockStatus.VISITED, None, True),
        (KnockStatus.WAITING, KnockStatus.BOOKED, NOW + HOUR, True),
        (KnockStatus.BOOKED, KnockStatus.WAITING, NOW - HOUR, False),
    ],
)
def test_an_older_status_never_replaces_a_newer_one(
    known: KnockStatus | None, status: KnockStatus, at: dt.datetime | None, is_news: bool
) -> None:
    booking = sent(knock_status=known, knock_status_at=NOW if known else None)
    assert knock_facts.is_news(status, at, booking) is is_news


OTHER = "2030-03-15T21:00:00Z"


@pytest.mark.parametrize(
    ("diff", "is_moved"),
    [
        ({"new": {"start_time": OTHER}, "previous": {"start_time": START}}, True),
        ({"new": {"when": OTHER}, "previous": {"when": START}}, True),
        ({"start": {"new": OTHER, "previous": START}}, True),
        ({"new": {"appointment": {"startTime": OTHER}}}, True),
        ({"new": {"start": "2030-03-15T15:00:00-06:00", "startTime": OTHER}}, True),
        ({"new": {"start": OTHER, "end": "2030-03-15T21:30:00Z"}}, True),
        ({"new": {"when": OTHER}}, False),
        ({"new": {"start": OTHER, "startTime": START}}, False),
        ({"new": {"start": OTHER, "tour_time": "2030-03-15T22:00:00Z"}}, False),
        ({"new": {"tour_started_at": OTHER}}, False),
        (
            {"new": {"reminder_at": OTHER}, "previous": {"reminder_at": "2030-03-13T21:00:00Z"}},
            False,
        ),
        ({"new": {"start": OTHER, "status": "Visited"}}, False),
        ({"new": {"start": "March 15"}}, False),
        ({"new": {"scheduled_at": "2026-01-05T10:00:00Z"}}, False),
        ({"new": {"event_time": "2026-01-05T10:00:00Z", "status": "Confirmed"}}, False),
        ({"new": {"prospect": {"lease_start_date": "2030-06-01T00:00:00Z"}}}, False),
    ],
)
def test_a_moved_tour_is_recognized_by_its_start(diff: dict[str, Any], is_moved: bool) -> None:
    facts = {"event": "DATA_UPDATE", "object": "crm_events", "record_id": "r1", "diff": diff}
    body = json.dumps({"trigger": "DATA_UPDATE", "data": facts | {"integration_id": INTEGRATION}})
    record = record_from(body.encode())
    assert record is not None
    moved = knock_facts.of_move(record, sent(tour_id="r1"), NOW)
    assert (moved is not None) is is_moved
    if moved is not None:
        assert moved.moved_to == dt.datetime(2030, 3, 15, 21, tzinfo=dt.UTC)
    assert knock_facts.of_move(record, sent(tour_id="r2"), NOW) is None


def test_a_time_in_the_future_counts_as_now() -> None:
    record = listed({"updated_at": "2999-01-01T00:00:00Z", "last_seen": "x"})
    assert knock_records.changed_at(record, NOW) == NOW
    assert knock_records.changed_at(listed({}), NOW) is None
