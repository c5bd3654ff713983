"""Test retry times with tables that show the calculations."""

import datetime as dt

import pytest

from adapter import exceptions
from adapter.bookings import backoff
from adapter.exceptions import (
    NotAuthorized,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamError,
)
from adapter.models import AttemptOutcome

NOW = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("error", "tries", "chance", "seconds"),
    [
        (NotSent("x"), 1, 0.0, 2),  # 2 · 2⁰
        (NotSent("x"), 1, 1.0, 2.5),  # 2 · 1.25
        (NotSent("x"), 2, 0.0, 4),  # 2 · 2¹
        (NotSent("x"), 5, 0.0, 32),  # 2 · 2⁴
        (NotSent("x"), 9, 0.0, 300),  # 2 · 2⁸ = 512, at most 300
        (NotSent("x"), 10_000, 1.0, 375),  # 300 · 1.25, no overflow
        (NotSent("x"), 0, 0.0, 2),  # as the first
        (RateLimited("x", status=429), 1, 0.0, 60),  # the minute's end
        (RateLimited("x", status=429, retry_after_seconds=7.0), 4, 0.0, 7),
        (RateLimited("x", status=503), 3, 0.0, 8),  # 2 · 2²
        (RateLimited("x", status=503, retry_after_seconds=0.0), 1, 1.0, 0),
        (NotAuthorized("x", status=401), 1, 0.0, 60),
        (NotAuthorized("x", status=403, retry_after_seconds=1.0), 1, 0.0, 60),
    ],
)
def test_next_try(error: UpstreamError, tries: int, chance: float, seconds: float) -> None:
    assert backoff.next_try(error, tries=tries, now=NOW, chance=chance) - NOW == dt.timedelta(
        seconds=seconds
    )


@pytest.mark.parametrize(
    ("waited", "chance", "seconds"),
    [
        (0, 0.0, 1),
        (1, 0.0, 1),
        (4, 0.0, 2),  # 4 / 2
        (4, 1.0, 2.5),
        (60, 0.0, 30),
        (3600, 0.0, 120),  # at most 120
        (-5, 0.0, 1),  # a clock that was set back
    ],
)
def test_next_status_check(waited: float, chance: float, seconds: float) -> None:
    submitted_at = NOW - dt.timedelta(seconds=waited)

    look = backoff.next_status_read(submitted_at, now=NOW, chance=chance)

    assert look - NOW == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("waited", "chance", "seconds"),
    [(0, 0.0, 60), (60, 1.0, 75), (600, 0.0, 600), (90_000, 0.0, 3600), (-5, 0.0, 60)],
)
def test_next_search(waited: float, chance: float, seconds: float) -> None:
    since = NOW - dt.timedelta(seconds=waited)

    assert backoff.next_search(since, now=NOW, chance=chance) - NOW == dt.timedelta(seconds=seconds)


def test_every_upstream_error_maps_to_an_outcome() -> None:
    types = [one for one in vars(exceptions).values() if isinstance(one, type)]
    known = {one for one in types if issubclass(one, UpstreamError)} - {UpstreamError}
    assert set(backoff.OUTCOMES) == known


def test_only_requests_that_certainly_booked_nothing_are_retried() -> None:
    safe = {outcome for outcome in AttemptOutcome if backoff.is_safe_to_repeat(outcome)}

    assert safe == {backoff.OUTCOMES[error] for error in (NotSent, RateLimited, NotAuthorized)}
    assert backoff.OUTCOMES[OutcomeUnknown] not in safe
    assert backoff.OUTCOMES[Refused] not in safe


@pytest.mark.parametrize(
    ("minutes", "waits"),
    [(None, 60), (3 * 24 * 60, 60), (120, 60), (90, 45), (40, 20), (1, 1), (-5, 1)],
)
def test_patience(minutes: int | None, waits: int) -> None:
    until = None if minutes is None else NOW + dt.timedelta(minutes=minutes)

    found = backoff.job_timeout(dt.timedelta(hours=1), submitted_at=NOW, sendable_until=until)

    assert found == dt.timedelta(minutes=waits)
