"""Whether all is well, in a handful of figures: each source, the queue, sending, the last day."""

import collections
import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

from adapter.settings import Settings
from adapter.store import Database, Group, Sending

#: What people call the states, in the order of a chart.
OUTCOMES: Final[Mapping[str, frozenset[str]]] = {
    "booked": frozenset({"booked"}),
    "on its way": frozenset({"received", "pending", "sending", "submitted"}),
    "waits": frozenset({"held", "failed", "unknown", "expired"}),
    "put aside": frozenset({"superseded", "duplicate", "discarded"}),
    "ignored": frozenset({"ignored"}),
}
_OUTCOME_OF: Final = {state: name for name, states in OUTCOMES.items() for state in states}

DAY: Final = dt.timedelta(hours=24)
#: A source that usually sends so many a day, and now a quarter of that, is called quiet.
USUAL_ENOUGH: Final = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceState:
    """One source in the last 24 hours."""

    name: str
    last_event_at: dt.datetime | None
    #: Events, and how many there are on average in the same hours of the weeks before.
    events: int
    usual: float | None
    #: Leads by what became of them: the keys of :data:`OUTCOMES`, and each state.
    outcomes: Mapping[str, int]
    states: Mapping[str, int]
    rejections: int
    #: Seconds from a webhook to its tour's standing in Knock; None where nothing was booked.
    p50_seconds: float | None
    p95_seconds: float | None

    @property
    def is_quiet(self) -> bool:
        """Whether it sends far less than usual: silence looks like health."""
        return (
            self.usual is not None and self.usual >= USUAL_ENOUGH and self.events < self.usual / 4
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The whole, at one moment."""

    at: dt.datetime
    sources: tuple[SourceState, ...]
    sending: Sending
    rate_per_minute: int
    #: Leads that wait for a person, and since when the oldest one does.
    waiting: int
    oldest_waiting_at: dt.datetime | None
    soonest_waiting_at: dt.datetime | None
    #: The 24 hours, oldest first: the hour, and leads by outcome.
    hours: tuple[tuple[dt.datetime, Mapping[str, int]], ...]
    #: Whether tours are booked in the sandbox, not in Knock.
    is_sandbox: bool

    @property
    def is_paused(self) -> bool:
        """Whether no booking goes out now."""
        return self.sending.stopped_for is not None or self.sending.paused_until > self.at


def overview_of(
    store: Database, names: Iterable[str], settings: Settings, now: dt.datetime
) -> Overview:
    """How things stand at ``now``. ``names`` are the sources that there are."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    begin = hour - DAY + dt.timedelta(hours=1)
    with store.transaction() as tx:
        rows = tx.stats.outcomes(begin)
        groups = tx.review_queue.groups(now)
        facts = _Facts(
            arrivals=tx.stats.arrivals(now - DAY),
            usual=tx.stats.usual_arrivals(now - DAY, now),
            last=tx.stats.last_arrivals(names),
            within={row["source"]: row for row in tx.stats.booking_latency(now - DAY)},
            rejections=tx.rejections.counts(),
        )
        sending = tx.stats.sending(now)
    return Overview(
        at=now,
        sources=tuple(_source_state(name, rows, facts) for name in sorted(names)),
        sending=sending,
        rate_per_minute=settings.rate_per_minute,
        waiting=sum(group.leads for group in groups),
        oldest_waiting_at=min((group.oldest_at for group in groups), default=None),
        soonest_waiting_at=_soonest(groups),
        hours=tuple(_hours(rows, begin)),
        is_sandbox=settings.is_sandbox,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What is known of all sources, by their names."""

    arrivals: Mapping[str, int]
    usual: Mapping[str, float]
    last: Mapping[str, dt.datetime]
    within: Mapping[str, Mapping[str, Any]]
    rejections: Mapping[str, int]


def _source_state(name: str, rows: Iterable[Mapping[str, Any]], facts: _Facts) -> SourceState:
    states: collections.Counter[str] = collections.Counter()
    outcomes: collections.Counter[str] = collections.Counter()
    for row in rows:
        if row["source"] == name:
            states[row["state"]] += row["leads"]
            outcomes[_OUTCOME_OF[row["state"]]] += row["leads"]
    within = facts.within.get(name, {})
    return SourceState(
        name=name,
        last_event_at=facts.last.get(name),
        events=facts.arrivals.get(name, 0),
        usual=facts.usual.get(name, 0.0) if facts.usual else None,
        outcomes=dict(outcomes),
        states=dict(states),
        rejections=facts.rejections.get(name, 0),
        p50_seconds=within.get("p50"),
        p95_seconds=within.get("p95"),
    )


def _hours(
    rows: Iterable[Mapping[str, Any]], begin: dt.datetime
) -> Iterable[tuple[dt.datetime, Mapping[str, int]]]:
    by_hour: dict[dt.datetime, collections.Counter[str]] = collections.defaultdict(
        collections.Counter
    )
    for row in rows:
        by_hour[row["hour"]][_OUTCOME_OF[row["state"]]] += row["leads"]
    for number in range(24):
        hour = begin + dt.timedelta(hours=number)
        yield hour, {name: by_hour[hour][name] for name in OUTCOMES}


def _soonest(groups: Iterable[Group]) -> dt.datetime | None:
    return min((group.soonest_at for group in groups if group.soonest_at), default=None)
