"""Compute the tour times that a renter may choose from."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from adapter.exceptions import Unreadable
from adapter.mapping.engine import Community
from adapter.mapping.engine.tour_time import plausibility_problems
from adapter.parsing.local_time import utc_from_local
from adapter.settings import Settings

#: The number of days, including today, on which tours are offered.
DAYS: Final = 14
#: Interval between offered tours within a community's tour hours. The last tour of the day starts
#: this long before closing.
STEP: Final = dt.timedelta(minutes=30)
#: A tour is offered if it starts at least this far ahead, so that the community can prepare.
AHEAD: Final = dt.timedelta(hours=1)


def tour_choices(
    community: Community,
    settings: Settings,
    now: dt.datetime,
    free: Sequence[dt.datetime] | None = None,
) -> tuple[dt.datetime, ...]:
    """Return the times to offer (aware, UTC), earliest first.

    ``free`` contains the times that Knock reports as available. If it is None, the community's tour
    hours are used. If those are unknown too, no times are offered.
    """
    times = _from_hours(community, now) if free is None else free
    first = now + max(AHEAD, dt.timedelta(minutes=settings.notice_minutes))
    last = now + dt.timedelta(days=DAYS)
    return tuple(
        at
        for at in sorted(set(times))
        if first <= at <= last
        and not any(plausibility_problems(at, community.timezone, settings.policy, now))
    )


def _from_hours(community: Community, now: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the start times within a community's tour hours, except times skipped by DST."""
    today = now.astimezone(community.timezone).date()
    for number in range(DAYS + 1):
        day = today + dt.timedelta(days=number)
        opens, closes = community.tour_hours.get(day.weekday(), (dt.time.min, dt.time.min))
        at, end = dt.datetime.combine(day, opens), dt.datetime.combine(day, closes)
        while at + STEP <= end:
            with contextlib.suppress(Unreadable):
                yield utc_from_local(at, community.timezone)
            at += STEP
