"""Check that available times are read from every plausible format of Propexo's response."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.bookings.free_times import nearest
from adapter.propexo.availability import MAX_SHAPE, Calendar, calendar_from, shape_of

DENVER = ZoneInfo("America/Denver")
#: 10:00 and 10:30 on March 14, 2026 in Denver.
TEN = dt.datetime(2026, 3, 14, 16, 0, tzinfo=dt.UTC)
HALF_PAST = dt.datetime(2026, 3, 14, 16, 30, tzinfo=dt.UTC)

SHAPES: list[Any] = [
    ["2026-03-14T16:00:00Z", "2026-03-14T10:30:00-06:00"],
    ["2026-03-14T10:00", "2026-03-14 10:30:00"],
    [1773504000, 1773505800],
    [1773504000000, 1773505800000],
    [{"start": "2026-03-14T16:00:00Z", "end": "2026-03-14T16:30:00Z"}, {"start": 1773505800}],
    [{"startTime": "2026-03-14T10:00:00-06:00"}, {"start_time": "2026-03-14T16:30:00.000Z"}],
    [{"datetime": "2026-03-14T16:00:00Z"}, {"datetime": "2026-03-14T16:30:00Z", "id": 7}],
    [{"date": "2026-03-14", "time": "10:00"}, {"date": "2026-03-14", "time": "10:30 AM"}],
    [{"date": "2026-03-14T00:00:00Z", "times": ["10:00:00", "10:30am"]}],
    [{"date": "2026-03-14", "slots": [{"from": "10:00", "to": "10:30"}, {"from": "10:30"}]}],
    [{"day": "2026-03-14", "timezone": "America/New_York", "times": ["12:00", "12:30 p.m."]}],
    [{"startDate": "2026-03-14", "times": ["10:00", "10:30"], "booked": ["11:00"]}],
    {"available": ["2026-03-14T10:00", "2026-03-14T10:30"], "unavailable": ["2026-03-14T11:00"]},
    [
        {"start": {"dateTime": "2026-03-14T10:00", "timeZone": "America/Denver"}},
        {"start": {"dateTime": "2026-03-14T10:30:00-06:00"}, "end": {"dateTime": "2026-03-14"}},
    ],
    [{"date": "2026-03-14T16:00:00Z"}, {"date": "2026-03-14T16:30:00Z"}],
    {"2026-03-14": ["10:00", "10:30"], "2026-03-15": []},
    {"availability": {"2026-03-14": [{"start": "10:00"}, {"start": "10:30"}]}},
    {"days": [{"date": "2026-03-14", "windows": [{"start": "10:00 AM"}, {"start": "10:30 AM"}]}]},
    [
        {"start": "2026-03-14T16:00:00Z", "available": True, "status": "AVAILABLE"},
        {"start": "2026-03-14T16:30:00Z", "remaining": 2, "status": "ACTIVE"},
        {"start": "2026-03-14T17:00:00Z", "available": False},
        {"start": "2026-03-14T17:30:00Z", "remaining": 0},
        {"start": "2026-03-14T18:00:00Z", "status": "BOOKED"},
        {"start": "2026-03-14T18:30:00Z", "isBooked": True},
    ],
]


@pytest.mark.parametrize("result", SHAPES, ids=range(len(SHAPES)))
def test_free_times_are_read_from_every_shape(result: Any) -> None:
    for data in ({"meta": {"job_id": "j"}, "result": result}, {"job_id": "j", "data": result}):
        assert calendar_from(data, DENVER) == Calendar(times=(TEN, HALF_PAST), is_complete=True)


def test_a_long_window_has_a_start_every_quarter_of_an_hour() -> None:
    window = {"start": "2026-03-14T10:00:00-06:00", "end": "2026-03-14T12:00:00-06:00"}
    calendar = calendar_from([window], DENVER)
    assert len(calendar.times) == 8
    assert calendar.is_free(HALF_PAST) is True
    assert calendar.is_free(TEN + dt.timedelta(minutes=20)) is False
    assert calendar.is_free(TEN + dt.timedelta(hours=2)) is None


@pytest.mark.parametrize(
    "part",
    [
        "soon",
        {"start": "soon"},
        {"label": "Saturday"},
        {"start": "2026-03-14T19:00:00Z", "end": "later"},
        {"date": "2026-03-14", "times": ["noon"]},
        True,
        {"start": 30},
        float("nan"),
        "2026-11-01T01:30",
    ],
)
def test_a_part_that_cannot_be_read_may_hide_a_free_time(part: Any) -> None:
    """Check that the listed times count as available, and all other times as unknown."""
    calendar = calendar_from(
        {"result": ["2026-03-14T16:00:00Z", "2026-12-01T16:00:00Z", part]}, DENVER
    )
    assert calendar.is_free(TEN) is True
    assert calendar.is_free(HALF_PAST) is None


def test_only_a_time_between_now_and_the_last_free_time_can_be_taken() -> None:
    calendar = calendar_from({"result": ["2026-03-14T16:00:00Z", "2026-03-14T17:00:00Z"]}, DENVER)
    assert calendar.is_free(HALF_PAST) is False
    assert calendar.is_free(TEN + dt.timedelta(days=30)) is None


@pytest.mark.parametrize(
    "data", [{}, [], None, "x", 7, {"result": []}, {"result": {}}, {"busy": [1]}]
)
def test_an_answer_without_free_times_tells_nothing(data: Any) -> None:
    calendar = calendar_from(data, DENVER)
    assert calendar == Calendar()
    assert calendar.is_free(TEN) is None


def test_a_deep_or_endless_answer_ends() -> None:
    deep: Any = ["2026-03-14T16:00:00Z"]
    for _ in range(200):
        deep = [deep]
    assert calendar_from(deep, DENVER) == Calendar()
    years = {"start": "2026-03-14T16:00:00Z", "end": "2099-03-14T16:00:00Z"}
    assert len(calendar_from([years] * 3, DENVER).times) == 96
    many = [1773504000 + 60 * number for number in range(20_000)]
    assert not calendar_from(many, DENVER).is_complete


def test_a_shape_has_keys_and_types_and_no_values() -> None:
    data = {
        "meta": {"job_id": "4c1f"},
        "result": [
            {"start": "2026-03-14T16:00:00Z", "agent": "Dana Okafor", "open": True, "id": 5},
            {"start": "2026-03-15T09:00:00Z", "agent": "Lee Park", "open": False, "id": 6},
        ],
        "dana@example.com": {"2026-03-14": ["10:00 AM"]},
    }
    assert shape_of(data) == (
        "{meta: {job_id: text}, result: [{start: 0000-00-00T00:00:00Z, agent: text, "
        "open: true/false, id: number}], …: {0000-00-00: [00:00 AM]}}"
    )
    assert (
        len(shape_of({"a" * 9 + "bcdefghij"[n % 9] * (n % 20): ["x"] for n in range(900)}))
        <= MAX_SHAPE
    )


def test_the_nearest_times_are_offered_in_order() -> None:
    times = [TEN + dt.timedelta(minutes=30 * number) for number in range(10)]
    assert nearest(times, TEN + dt.timedelta(minutes=95)) == (times[2], times[3], times[4])
    assert nearest(times[:1], TEN) == (TEN,)
    assert nearest((), TEN) == ()
