"""Build leads in the bundled portal's format, each for a different person."""

from typing import Any

from tests.harness import Harness, tour


def surname(number: int) -> str:
    """Return a made-up surname without digits. It is different for each number."""
    return "Roe" + chr(ord("a") + number // 26) + chr(ord("a") + number % 26)


def lead(number: int, day: int = 14, time: str = "2:30 PM", **contact: Any) -> Any:
    """Return a portal's lead for a day in March 2026. Each number stands for a different person."""
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
    return lead(number, day, time, email="dana@example.com", name="Dana Roe")


def reconcile_when_due(harness: Harness, booking_id: int) -> None:
    due_at = harness.booking(booking_id).due_at
    assert due_at is not None
    harness.clock.at = due_at
    harness.check()
