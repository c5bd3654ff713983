"""Summarize each source's last 24 hours, the review queue and the state of sending."""

import collections
import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from adapter.operations.health import STOPPED, Verdict, verdict_of
from adapter.settings import Settings
from adapter.store import Database, Group, Pause, Sending

#: The states that each label for users covers, in the order of the charts.
OUTCOMES: Final[Mapping[str, frozenset[str]]] = {
    "booked": frozenset({"booked"}),
    "in progress": frozenset({"received", "pending", "sending", "submitted"}),
    "needs review": frozenset({"held", "failed", "unknown", "expired"}),
    "closed": frozenset({"superseded", "duplicate", "discarded"}),
    "ignored": frozenset({"ignored"}),
}
_OUTCOME_OF: Final = {state: name for name, states in OUTCOMES.items() for state in states}

DAY: Final = dt.timedelta(hours=24)


def outcome_of(state: str) -> str:
    """Return the outcome that users see for a state, such as "needs review"."""
    return _OUTCOME_OF[state]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceState:
    """A source's webhooks in the last 24 hours, and their outcomes."""

    name: str
    last_event_at: dt.datetime | None
    #: Number of events, and the average for the same hours in previous weeks.
    events: int
    usual: float | None
    #: Numbers of leads, by the keys of :data:`OUTCOMES` and by state.
    outcomes: Mapping[str, int]
    states: Mapping[str, int]
    rejections: int
    #: Seconds from a webhook to its booking in Knock, for leads that no person was involved in.
    #: None if there are none.
    p50_seconds: float | None
    p95_seconds: float | None
    #: True if the source has sent nothing for longer than usual.
    is_quiet: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """A snapshot of all sources, the review queue and the state of sending."""

    at: dt.datetime
    #: The verdict on the adapter's health.
    verdict: Verdict
    sources: tuple[SourceState, ...]
    sending: Sending
    #: The pauses that users have set.
    pauses: tuple[Pause, ...]
    rate_per_minute: int
    #: The leads that need review, by issue.
    groups: tuple[Group, ...]
    #: Number of leads that need review, when the oldest one arrived, and their soonest tour.
    waiting: int
    oldest_waiting_at: dt.datetime | None
    soonest_waiting_at: dt.datetime | None
    #: Numbers of leads by outcome for each of the 24 hours, oldest first.
    hours: tuple[tuple[dt.datetime, Mapping[str, int]], ...]
    #: True if tours are booked in the sandbox instead of Knock.
    is_sandbox: bool

    @property
    def is_paused(self) -> bool:
        """True if sending is stopped or paused for all bookings."""
        is_stopped = self.sending.stopped_for is not None or self.sending.paused_until > self.at
        return is_stopped or self.total_pause is not None

    @property
    def stopped_text(self) -> str | None:
        """The reason why sending is stopped, or None."""
        code = self.sending.stopped_for
        if code is None:
            return None
        why = f" ({self.sending.stopped_why})" if self.sending.stopped_why else ""
        return STOPPED.get(code, code) + why

    @property
    def total_pause(self) -> Pause | None:
        """A user's pause that applies to all bookings, or None."""
        return next((pause for pause in self.pauses if pause.is_total), None)


def overview_of(
    store: Database, names: Iterable[str], settings: Settings, now: dt.datetime
) -> Overview:
    """Return an overview at ``now`` that includes the named sources."""
    names = list(names)
    verdict = verdict_of(store, names, settings, now)
    quiet = {one.source for one in verdict.problems if one.code == "source_silent"}
    hour = now.replace(minute=0, second=0, microsecond=0)
    begin = hour - DAY + dt.timedelta(hours=1)
    with store.transaction() as tx:
        rows = tx.stats.outcomes(begin)
        groups = tx.review_queue.groups(now)
        rejections = tx.rejections.counts()
        activity = tx.stats.source_activity(names, now - DAY, now)
        sending = tx.stats.sending(now)
        pauses = tx.send_queue.pauses()
    return Overview(
        at=now,
        verdict=verdict,
        sources=tuple(_source_state(one, rows, rejections, quiet) for one in activity),
        sending=sending,
        pauses=tuple(pauses),
        rate_per_minute=settings.rate_per_minute,
        groups=tuple(groups),
        waiting=sum(group.leads for group in groups),
        oldest_waiting_at=min((group.oldest_at for group in groups), default=None),
        soonest_waiting_at=min(
            (group.soonest_at for group in groups if group.soonest_at), default=None
        ),
        hours=tuple(_hours(rows, begin)),
        is_sandbox=settings.is_sandbox,
    )


def _source_state(
    activity: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    rejections: Mapping[str, int],
    quiet: Collection[str],
) -> SourceState:
    states: collections.Counter[str] = collections.Counter()
    outcomes: collections.Counter[str] = collections.Counter()
    for row in rows:
        if row["source"] == activity["name"]:
            states[row["state"]] += row["leads"]
            outcomes[_OUTCOME_OF[row["state"]]] += row["leads"]
    return SourceState(
        **activity,
        outcomes=dict(outcomes),
        states=dict(states),
        rejections=rejections.get(activity["name"], 0),
        is_quiet=activity["name"] in quiet,
    )


def _hours(
    rows: Iterable[Mapping[str, Any]], begin: dt.datetime
) -> Iterable[tuple[dt.datetime, Mapping[str, int]]]:
    by_hour: collections.Counter[tuple[dt.datetime, str]] = collections.Counter()
    for row in rows:
        by_hour[row["hour"], _OUTCOME_OF[row["state"]]] += row["leads"]
    for number in range(24):
        hour = begin + dt.timedelta(hours=number)
        yield hour, {name: by_hour[hour, name] for name in OUTCOMES}
