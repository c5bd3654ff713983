"""Leads in the shape of the bundled portal, each with a person of its own."""

from typing import Any

from tests.harness import Harness, tour


def surname(number: int) -> str:
    """A made-up surname for each number; a digit is in no name."""
    return "Roe" + chr(ord("a") + number // 26) + chr(ord("a") + number % 26)


def lead(number: int, day: int = 14, time: str = "2:30 PM", **contact: Any) -> Any:
    """A portal's lead with a number, a day in March 2026 and a person of its own."""
    person = {
        "name": f"Dana {surname(number)}",
        "email": f"person{number}@example.com",
        "mobile": "",
        "phone": "",
    }
    return tour(
        leadId=f"RF-{number}",
        contact=person | contact,
        tour={"date": f"03/{day:02}/2026", "time": time, "type": "IN_PERSON"},
    )


def same_person(number: int, day: int = 14, time: str = "2:30 PM") -> Any:
    return lead(number, day, time, email="dana@example.com")


def look(harness: Harness, booking_id: int) -> None:
    due_at = harness.booking(booking_id).due_at
    assert due_at is not None
    harness.clock.at = due_at
    harness.pipeline.follower.reconcile(booking_id)
