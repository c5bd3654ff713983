"""Test which lines of a renter's later message are new."""

import dataclasses
import datetime as dt
from typing import Any

import pytest

from adapter.bookings.later_words import new_lines, said_in, texts_of
from adapter.models import Booking, BookingState
from adapter.propexo.notes import LIMIT

START = dt.datetime(2026, 3, 2, 18, tzinfo=dt.UTC)


def request(minute: int, **appointment: Any) -> Booking:
    """Return a request made ``minute`` minutes after the start."""
    at = START + dt.timedelta(minutes=minute)
    return Booking(
        id=minute,
        event_id=minute,
        source="rentfeed",
        state=BookingState.DUPLICATE,
        community="maple-court",
        timezone="America/Denver",
        starts_at=None,
        appointment=appointment,
        reasons=(),
        job_id=None,
        due_at=None,
        created_at=at,
        updated_at=at,
        reason=None,
        asked_at=at,
    )


def new(later: Booking, *earlier: Booking) -> list[str]:
    return new_lines(said_in(later), [said_in(one) for one in earlier])


def test_each_field_becomes_a_sentence() -> None:
    everything = request(
        1,
        email_1="dana@example.com",
        phone_1="+13035550142",
        move_in_date="2026-05-01",
        number_of_occupants=2,
        lease_term_in_months=12,
        rent_minimum_in_cents=150000,
        rent_maximum_in_cents=215050,
        desired_num_bedrooms=[0, 3],
        pets=["small_dog"],
        tour_type="self_guided",
        notes="Is there parking?\n\n May I bring my cat? ",
        first_contact_type="internet",
    )
    assert new(everything) == [
        "Is there parking?",
        "May I bring my cat?",
        "Email: dana@example.com",
        "Phone: +13035550142",
        "Move-in date: May 1, 2026",
        "Occupants: 2",
        "Lease term in months: 12",
        "Rent from: $1,500",
        "Rent up to: $2,150.50",
        "Bedrooms: studio, 3 or more",
        "Pets: small dog",
        "Tour type: self guided",
    ]
    assert new(dataclasses.replace(everything, id=2), everything) == []


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ("Is there PARKING?", []),
        ("Is there  parking?  And a pool?", ["And a pool?"]),
        ("And a pool?\nIs there parking?", ["And a pool?"]),
        ("Is there parking nearby?", ["Is there parking nearby?"]),
    ],
)
def test_only_the_new_end_of_a_conversation_is_new(notes: str, expected: list[str]) -> None:
    first = request(1, notes="Is there parking?")
    assert new(request(2, notes=notes), first) == expected


def test_a_short_beginning_is_not_taken_for_a_repeat() -> None:
    assert new(request(2, notes="Yes I do"), request(1, notes="Yes I")) == ["Yes I do"]


def test_a_value_is_new_only_if_no_later_request_has_another() -> None:
    may, june = request(1, move_in_date="2026-05-01"), request(3, move_in_date="2026-06-01")
    assert new(june, may) == ["Move-in date: June 1, 2026"]
    assert new(may, june) == [], "it is older"
    back = request(4, move_in_date="2026-05-01")
    assert new(back, may, june) == ["Move-in date: May 1, 2026"], "the renter changed back"
    assert new(request(0, pets=["cat"]), june) == ["Pets: cat"], "nobody said anything else"


def test_a_second_contact_is_added_even_if_it_is_older() -> None:
    first, both = request(2, phone_1="+13035550142"), request(1, phone_1="+13035550143")
    assert new(both, first) == ["Phone: +13035550143"]


def test_lines_are_joined_as_far_as_they_fit() -> None:
    lines = ["a" * (LIMIT // 2), "b" * (LIMIT // 2 - 1), "c" * LIMIT, "d"]
    assert texts_of(lines) == [f"{lines[0]}\n{lines[1]}", lines[2], "d"]
    assert texts_of([]) == []
