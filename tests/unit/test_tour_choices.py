"""Test tour hours and the tour times offered to renters."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from marshmallow import ValidationError

from adapter.bookings.tour_choices import tour_choices
from adapter.mapping.engine import Community
from adapter.mapping.tour_hours import Hours, TourHours, texts_from_hours
from adapter.settings import Policy, Settings

NINE, SIX = dt.time(9), dt.time(18)


def hours(**days: object) -> Hours:
    loaded: Hours = TourHours().deserialize({key.replace("_", "-"): days[key] for key in days})
    return loaded


@pytest.mark.parametrize(
    "text", ["9:00 AM-6:00 PM", "9 AM - 6 PM", "09:00-18:00", "9:00 am \u2013 6 p.m.", "9am-6pm"]
)
def test_hours_may_be_written_in_several_ways(text: str) -> None:
    assert hours(mon=text) == {0: (NINE, SIX)}


def test_days_may_be_ranges_and_lists() -> None:
    assert sorted(hours(mon_fri="9 AM-6 PM")) == [0, 1, 2, 3, 4]
    assert sorted(hours(sat_mon="9 AM-6 PM")) == [0, 5, 6]
    assert sorted(hours(**{"tue, thu": "9 AM-6 PM", "sun": "closed"})) == [1, 3]


@pytest.mark.parametrize(
    ("days", "text"),
    [
        ("mon", "9-6"),
        ("mon", "6 PM-9 AM"),
        ("mon", "9 AM"),
        ("mon", "13 PM-14 PM"),
        ("mon", "25:00-26:00"),
        ("mon", ""),
        ("monday", "9 AM-6 PM"),
        ("", "9 AM-6 PM"),
        ("mon-", "closed "),
    ],
)
def test_what_is_not_certain_is_rejected(days: str, text: str) -> None:
    if days == "mon-":  # a range without an end is one day
        assert hours(**{days: text}) == {}
        return
    with pytest.raises(ValidationError) as refused:
        hours(**{days: text})
    assert list(refused.value.messages) == [days]


@pytest.mark.parametrize(
    ("days", "texts"),
    [
        (
            {"mon-fri": "9 AM-6 PM", "sat": "10:00-12:30"},
            {"mon-fri": "9:00 AM-6:00 PM", "sat": "10:00 AM-12:30 PM"},
        ),
        (
            {"mon, wed": "9 AM-6 PM", "tue": "9 AM-5 PM", "thu": "9 AM-5 PM"},
            {
                "mon": "9:00 AM-6:00 PM",
                "tue": "9:00 AM-5:00 PM",
                "wed": "9:00 AM-6:00 PM",
                "thu": "9:00 AM-5:00 PM",
            },
        ),
        (
            {"mon": "12 AM-12 PM", "wed": "12 AM-12 PM"},
            {"mon": "12:00 AM-12:00 PM", "wed": "12:00 AM-12:00 PM"},
        ),
    ],
)
def test_hours_are_written_as_they_are_read(days: dict[str, str], texts: dict[str, str]) -> None:
    loaded = hours(**days)
    assert texts_from_hours(loaded) == texts
    assert hours(**texts) == loaded


def offered(
    now: dt.datetime, days: Hours, free: list[dt.datetime] | None = None, **settings: Any
) -> list[str]:
    """Return the offered times as local times."""
    zone = ZoneInfo("America/Denver")
    community = Community(
        key="maple-court",
        integration_id="int_1",
        community_id="com_1",
        timezone=zone,
        attributions={},
        known_as={},
        tour_hours=days,
    )
    given = Settings(policy=Policy(earliest_tour=dt.time(1)), **settings)
    found = tour_choices(community, given, now, free)
    return [f"{at.astimezone(zone):%m-%d %H:%M}" for at in found]


def test_times_are_offered_every_half_hour_until_half_an_hour_before_closing() -> None:
    now = dt.datetime(2026, 3, 2, 23, 10, tzinfo=dt.UTC)  # Monday, 4:10 PM in Denver
    found = offered(now, hours(mon="9 AM-6 PM"))
    assert found[:2] == ["03-02 17:30", "03-09 09:00"], "an hour ahead"
    assert found[-1] == "03-16 17:00", "within two weeks, after the clocks change"
    assert "03-09 17:30" in found
    assert "03-09 18:00" not in found
    assert offered(now, hours(mon="9 AM-6 PM"), notice_minutes=120)[0] == "03-09 09:00"


def test_hours_that_daylight_saving_time_skips_or_repeats_are_not_offered() -> None:
    spring = offered(dt.datetime(2026, 3, 7, tzinfo=dt.UTC), hours(sun="1 AM-4 AM"))
    assert [one for one in spring if one.startswith("03-08")] == [
        "03-08 01:00",
        "03-08 01:30",
        "03-08 03:00",
        "03-08 03:30",
    ]
    autumn = offered(dt.datetime(2026, 10, 31, tzinfo=dt.UTC), hours(sun="1 AM-3 AM"))
    assert [one for one in autumn if one.startswith("11-01")] == ["11-01 02:00", "11-01 02:30"]


def test_free_times_replace_the_tour_hours() -> None:
    now = dt.datetime(2026, 3, 2, 18, 0, tzinfo=dt.UTC)
    free = [now + dt.timedelta(hours=number) for number in (30, 2, 0, 2, 24 * 20)]
    assert offered(now, hours(mon="9 AM-6 PM"), free) == ["03-02 13:00", "03-03 17:00"]
    assert offered(now, {}) == []
    assert offered(now, hours(mon="9 AM-6 PM"), []) == []
