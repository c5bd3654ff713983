"""Test how an unknown booking is recognized in Propexo's lists."""

import datetime as dt
from typing import Any

import pytest

from adapter.bookings.matching import has_prospect, has_tour, job_in, prospects_in
from tests.rows import NOW, REQUEST, attempt, other

STARTS_AT = dt.datetime(2030, 3, 14, 20, 30, tzinfo=dt.UTC)
BOTH = {"email_1": "dana.okafor@example.com", "phone_1": "+13035550142"}


def logged(job_id: str = "job_1", seconds: float = 0.0, **parameters: Any) -> dict[str, Any]:
    created_at = NOW + dt.timedelta(seconds=seconds)
    return {
        "job_id": job_id,
        "created_at": created_at.isoformat(),
        "parameters": REQUEST | parameters,
    }


def test_the_job_of_this_request_is_found_among_others() -> None:
    log = [logged("job_1", last_name="Roe"), logged("job_2"), logged("job_3")]

    assert job_in(log, attempt(), known=[]) == ("job_2", NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("community_id", "com_harbor"),
        ("appointment_date", "2030-03-15"),
        ("appointment_time", "22:00:00"),
        ("last_name", "Roe"),
        ("email_1", "room.mate@example.com"),
        ("phone_1", "+13035550142"),
    ],
)
def test_a_request_that_differs_is_another_one(field: str, value: str) -> None:
    parameters: dict[str, Any] = {field: value}
    assert job_in([logged(**parameters)], attempt(), known=[]) is None


def test_a_job_of_another_booking_is_not_taken() -> None:
    """The same renter may have requested the same tour before, in another booking."""
    assert job_in([logged("job_1"), logged("job_2")], attempt(), known=["job_1"]) == (
        "job_2",
        NOW,
    )
    assert job_in([logged("job_1")], attempt(), known=["job_1"]) is None


@pytest.mark.parametrize(("seconds", "found"), [(-31, None), (-29, "job_1"), (60, "job_1")])
def test_a_job_from_before_the_attempt_is_not_its_own(seconds: float, found: str | None) -> None:
    job = job_in([logged(seconds=seconds)], attempt(), known=[])
    assert (job and job[0]) == found


def test_a_card_needs_each_contact_and_the_name() -> None:
    sent = attempt(last_name="Quill", **BOTH)
    whole = {"id": "p1", "name": "Dana Quill", "email": BOTH["email_1"], "phone": "(303) 555-0142"}

    assert has_prospect([whole], sent)
    assert not has_prospect([whole | {"email": "room.mate@example.com"}], sent)
    assert not has_prospect([whole | {"phone": ""}], sent)
    assert not has_prospect([whole | {"name": "Dana Roe"}], sent)


def test_either_contact_makes_a_prospect_a_candidate() -> None:
    found = [
        {"id": "p1", "email": "DANA.OKAFOR@example.com"},
        {"id": "p2", "phone": "303-555-0142"},
        {"id": "p3", "email": "room.mate@example.com"},
    ]

    assert prospects_in(found, attempt(**BOTH)) == ["p1", "p2"]


@pytest.mark.parametrize(
    ("event", "is_it"),
    [
        ({"start": "2030-03-14T20:30:00Z"}, True),
        ({"start": "2030-03-14T14:30:00-06:00", "is_cancelled": False}, True),
        ({"start": "2030-03-14T20:30:00Z", "is_cancelled": True}, False),
        ({"start": "2030-03-14T20:31:00Z"}, False),
        ({"start": "2030-03-14T20:30:00"}, False),
    ],
)
def test_a_tour_is_recognized_by_its_exact_instant(event: dict[str, Any], is_it: bool) -> None:
    assert has_tour([event], other(1, STARTS_AT, NOW)) is is_it
