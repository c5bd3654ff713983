"""Test how an unknown booking's job is recognized in Propexo's write log."""

import datetime as dt
from typing import Any

import pytest

from adapter.bookings.matching import job_in
from tests.rows import NOW, REQUEST, attempt


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
    """Search for a renter's job when the same renter has another booking for the same tour."""
    assert job_in([logged("job_1"), logged("job_2")], attempt(), known=["job_1"]) == (
        "job_2",
        NOW,
    )
    assert job_in([logged("job_1")], attempt(), known=["job_1"]) is None


@pytest.mark.parametrize(("seconds", "found"), [(-31, None), (-29, "job_1"), (60, "job_1")])
def test_a_job_from_before_the_attempt_is_not_its_own(seconds: float, found: str | None) -> None:
    job = job_in([logged(seconds=seconds)], attempt(), known=[])
    assert (job and job[0]) == found
