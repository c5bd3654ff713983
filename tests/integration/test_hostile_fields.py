"""Send leads with hostile values in each field, from the webhook to the simulated Knock."""

import concurrent.futures
import copy
import itertools
import json
import logging
import tracemalloc
from typing import Any

import pytest

from adapter.models import EventState
from adapter.parsing.paths import path_from_text, set_value
from tests.harness import Harness, settle, tour
from tools.hostile.payloads import DATES, NUMBERS, TEXTS, VALUES

FIELDS = (
    *("leadId", "createdAt", "listing.propertyId", "contact.name", "contact.email"),
    *("contact.phone", "tour.date", "tour.time", "tour.type", "preferences.moveIn", "comments"),
)
HOSTILE = [*TEXTS, *DATES, *NUMBERS, *VALUES, ["a"] * 300, "a" * 60_000, {"a": {"b": [1, None]}}]


def lead_with(field: str, value: Any, number: int) -> bytes:
    lead = copy.deepcopy(tour(leadId=f"H-{number}"))
    lead["contact"]["email"] = f"renter{number}@example.com"
    set_value(lead, path_from_text(field), value)
    return json.dumps(lead).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("field", FIELDS)
def test_any_value_of_a_field_is_booked_or_held(
    harness: Harness, field: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Check that no value causes an unexpected error in receiving, mapping, storing or sending."""
    numbers = itertools.count(1)
    ids = [
        harness.receive("rentfeed", lead_with(field, value, next(numbers))).event_id
        for value in HOSTILE
    ]
    for event_id in ids:
        harness.map_event(event_id)
    settle(harness)
    stories = [harness.story(event_id) for event_id in ids]
    assert {story.event.state for story in stories} <= {EventState.MAPPED, EventState.HELD}
    reasons = [reason.reason for story in stories for reason in story.event.reasons]
    assert not [reason for reason in reasons if "unexpected" in reason]
    errors = [line.getMessage() for line in caplog.records if line.levelno >= logging.ERROR]
    assert [error for error in errors if error != "booking_refused"] == []


def test_large_bodies_are_not_parsed_at_the_same_time(harness: Harness) -> None:
    """Send several large bodies, because parsing one takes 50 times its size in memory."""
    lists = ",".join("[" * 90 + "]" * 90 for _ in range(1000))

    def receive(number: int) -> None:
        harness.receive("rentfeed", f"[{number}, {lists}]".encode())

    def peak_of(numbers: range) -> int:
        tracemalloc.start()
        with concurrent.futures.ThreadPoolExecutor(len(numbers)) as threads:
            list(threads.map(receive, numbers))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    one = peak_of(range(1))
    assert peak_of(range(1, 9)) < 2 * one
