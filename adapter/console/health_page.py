"""Serve the health page, with charts of the last day, week or month."""

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import flask

from adapter.console.context import bp, services
from adapter.console.display import renter_name
from adapter.console.mapping_fix import fixes_of
from adapter.console.needs_you import changed_sources, format_troubles
from adapter.console.time_html import hour_text, reader_zone
from adapter.models import Booking
from adapter.operations.health import REFUSED_REASONS
from adapter.operations.status import DAY, OUTCOMES, Overview, outcome_of, overview_of
from adapter.operations.todo import Selection, entries
from adapter.operations.version_watch import MOST_MAPPED
from adapter.store import RejectionSummary, Transaction

#: The periods of the chart in days, with their names.
PERIODS: Final[Mapping[int, str]] = {1: "24 hours", 7: "7 days", 30: "30 days"}
WEEK: Final = 7
#: In the longest period, one in this many bars has a label.
EVERY: Final = 5
#: Maximum number of rejected messages to count, newest first.
MOST_REJECTED: Final = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A bar in the chart: the number of leads by outcome in an hour or a day."""

    #: The label below the bar, and the full name of its hour or day.
    label: str
    title: str
    counts: Mapping[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NeedsYou:
    """A summary of the leads that need review."""

    leads: int
    snoozed: int
    oldest_at: dt.datetime | None
    #: The lead with the soonest upcoming tour, or None, and the renter's name.
    soonest: Booking | None
    name: str


@bp.get("/")
def overview() -> str:
    """Show the health page: problems, sources, sending, and leads that need review."""
    now, days = services.now(), _days()
    found = overview_of(services.store, services.sources, services.settings, now)
    flask.g.review_groups = list(found.groups)
    with services.store.transaction() as tx:
        needs_you = _needs_you(tx, found)
        rejected = tx.rejections.newest(limit=MOST_REJECTED)
        columns = _hours(found) if days == 1 else _days_of(tx, now, days)
    return flask.render_template(
        "console/overview.html",
        overview=found,
        needs_you=needs_you,
        lost=_may_be_leads(rejected, now),
        rejected_today=sum(now - one.received_at < DAY for one in rejected),
        changed=format_troubles(),
        fixes=[fix for name in sorted(changed_sources()) for fix in fixes_of(name)],
        by_version=services.version_watch.lost(now),
        most_mapped=MOST_MAPPED,
        communities=services.communities(),
        outcomes=list(OUTCOMES),
        columns=columns,
        days=days,
        periods=PERIODS,
    )


def _days() -> int:
    days = flask.request.args.get("days", "")
    return int(days) if days in {str(one) for one in PERIODS} else 1


def _needs_you(tx: Transaction, overview: Overview) -> NeedsYou:
    now = overview.at.timestamp()
    rows = entries(overview.groups, Selection(), now)
    first = rows[0] if rows and rows[0].tour is not None and rows[0].tour > now else None
    soonest = tx.bookings.get(first.ids[0]) if first is not None else None
    snoozed = sum(sum(group.snoozed) for group in overview.groups)
    return NeedsYou(
        leads=overview.waiting - snoozed,
        snoozed=snoozed,
        oldest_at=overview.oldest_waiting_at,
        soonest=soonest,
        name=renter_name(soonest) if soonest is not None else "",
    )


def _may_be_leads(rejected: Iterable[RejectionSummary], now: dt.datetime) -> int:
    """Count recently rejected messages that may be leads signed with an incorrect secret.

    Strangers who find a URL do not sign their messages.
    """
    return sum(
        one.can_retry and one.reason in REFUSED_REASONS and now - one.received_at < DAY
        for one in rejected
    )


def _hours(overview: Overview) -> Sequence[Column]:
    return [
        Column(
            label=hour_text(hour) if number % 4 == 0 else "", title=hour_text(hour), counts=found
        )
        for number, (hour, found) in enumerate(overview.hours)
    ]


def _days_of(tx: Transaction, now: dt.datetime, days: int) -> Sequence[Column]:
    """Return a bar for each of the last ``days`` days in the user's time zone, oldest first."""
    zone = reader_zone()
    today = now.astimezone(zone).date()
    first = today - dt.timedelta(days=days - 1)
    by_day: Counter[tuple[dt.date, str]] = Counter()
    for row in tx.stats.daily_outcomes(_midnight(first, zone), now, zone.key):
        by_day[row["day"], outcome_of(row["state"])] += row["leads"]
    return [_day(first + dt.timedelta(days=n), n, days, by_day) for n in range(days)]


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _day(day: dt.date, number: int, days: int, by_day: Counter[tuple[dt.date, str]]) -> Column:
    name, is_week = f"{day:%b} {day.day}", days == WEEK
    label = f"{day:%a}" if is_week else name
    return Column(
        label=label if is_week or number % EVERY == 0 else "",
        title=f"{day:%a}, {name}",
        counts={outcome: by_day[day, outcome] for outcome in OUTCOMES},
    )
