"""Test Propexo's rate limit with tables, and in every window of a long simulation."""

import dataclasses
import datetime as dt
import random

import pytest

from adapter.store import rate_limit
from adapter.store.rate_limit import RateState

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


OPEN = RateState(
    theoretical_arrival_at=EPOCH,
    paused_until=EPOCH,
    stopped_for=None,
    allowed=None,
    failures=0,
    retry_at=EPOCH,
    note_failures=0,
    note_retry_at=EPOCH,
    calls=0,
    reads=0,
    oldest_at=None,
    waiting=1,
)


@pytest.mark.parametrize(
    ("change", "is_read", "waits"),
    [
        ({}, False, 0),
        # At 120 per minute there is a call every 0.5 s. Three of them may come early: 1.5 s.
        ({"theoretical_arrival_at": NOW + seconds(1.5)}, False, 0),
        ({"theoretical_arrival_at": NOW + seconds(2.0)}, False, 0.5),
        ({"theoretical_arrival_at": NOW + seconds(60)}, False, 58.5),
        ({"paused_until": NOW + seconds(7)}, False, 7),
        ({"paused_until": NOW + seconds(7)}, True, 7),
        ({"calls": 119, "oldest_at": NOW - seconds(59)}, False, 0),
        ({"calls": 120, "oldest_at": NOW - seconds(59)}, False, 2),
        ({"calls": 120, "oldest_at": NOW - seconds(61)}, False, 0),
        ({"calls": 120, "oldest_at": NOW - seconds(20)}, False, 41),
        # Propexo allows 100: 80 of them are used.
        ({"allowed": 100, "calls": 80, "oldest_at": NOW - seconds(50)}, False, 11),
        ({"allowed": 100, "calls": 79, "oldest_at": NOW - seconds(50)}, False, 0),
        ({"allowed": 1, "calls": 1, "oldest_at": NOW - seconds(50)}, False, 11),
        # A time far in the future was written by a fast clock: at most 60 - 1.5 s.
        ({"theoretical_arrival_at": NOW + seconds(3600)}, False, 58.5),
        ({"paused_until": NOW + seconds(7200)}, False, 3600),
        ({"calls": 120, "oldest_at": NOW + seconds(3600)}, False, 61),
        # A tenth of the window is reserved for reads, which do not queue behind bookings.
        ({"theoretical_arrival_at": NOW + seconds(10), "reads": 11}, True, 0),
        ({"theoretical_arrival_at": NOW + seconds(10), "reads": 12}, True, 8.5),
        # While bookings are pending, reads use a quarter: 30 of 120. Then they wait for 4 · 0.5 s.
        ({"calls": 60, "reads": 29, "oldest_at": NOW - seconds(50)}, True, 0),
        ({"calls": 60, "reads": 30, "oldest_at": NOW - seconds(50)}, True, 2),
        ({"calls": 60, "reads": 30, "oldest_at": NOW, "waiting": 0}, True, 0),
        ({"calls": 60, "reads": 30, "oldest_at": NOW}, False, 0),
    ],
    ids=str,
)
def test_next_call(change: dict[str, object], is_read: bool, waits: float) -> None:
    rate_state = dataclasses.replace(OPEN, **change)  # type: ignore[arg-type]

    assert rate_limit.next_call(rate_state, NOW, 120, is_read=is_read) - NOW == seconds(waits)


@pytest.mark.parametrize(
    ("allowed", "left", "waits"),
    [(150, 30, 60 / 31), (150, 5, 10), (150, 0, 60)],
)
def test_pause_after(allowed: int, left: int, waits: float) -> None:
    until = rate_limit.pause_after(allowed, left, NOW)

    assert until is not None
    assert (until - NOW).total_seconds() == pytest.approx(waits, abs=1e-5)


@pytest.mark.parametrize("left", [150, 31])
def test_enough_calls_left_are_no_reason_to_pause(left: int) -> None:
    """Check that no pause is stored, because it would last long if the clock were set back."""
    assert rate_limit.pause_after(150, left, NOW) is None


@pytest.mark.parametrize("limit", [1, 7, 120, 1000])
def test_no_window_of_a_minute_holds_more_than_the_limit(limit: int) -> None:
    """Simulate ten minutes in which random callers use every call that is allowed."""
    chance, now, calls = random.Random(limit), NOW, list[dt.datetime]()
    rate_state = OPEN
    while now < NOW + seconds(600):
        window = [
            at for at in calls[-limit:] if at > now - rate_limit.WINDOW - rate_limit.CLOCK_LAG
        ]
        oldest = window[0] if window else None
        rate_state = dataclasses.replace(rate_state, calls=len(window), oldest_at=oldest)
        at = rate_limit.next_call(rate_state, now, limit, is_read=False)
        if at <= now:
            rate_state = dataclasses.replace(
                rate_state, theoretical_arrival_at=rate_limit.next_arrival(rate_state, now, limit)
            )
            calls.append(now)
        now = max(now + seconds(chance.expovariate(limit / 10)), min(at, now + seconds(30)))

    for number, at in enumerate(calls):
        until = at + rate_limit.WINDOW + rate_limit.CLOCK_LAG
        inside = [other for other in calls[number : number + limit + 1] if other < until]
        assert len(inside) <= limit
    used = len(calls) / (limit * 10)
    assert used >= 0.9, "what is allowed is used"
