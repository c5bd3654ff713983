"""Convert rejected requests, review groups and statistics to JSON-compatible data."""

import dataclasses
import json
from typing import Any

from adapter.operations.advice import DECISIONS, advice_for
from adapter.operations.decision_report import DecisionReport
from adapter.operations.health import Problem, Verdict
from adapter.operations.serializers import dump
from adapter.operations.status import Overview, SourceState
from adapter.store import Group, Rejection, RejectionSummary, UnknownCommunity


def rejection_as_dict(rejection: Rejection | RejectionSummary) -> dict[str, Any]:
    """Return a rejected request, without its headers or body, as JSON-compatible data."""
    return dump(rejection, "id source received_at reason sender bytes=size can_retry")


def whole_rejection_as_dict(rejection: Rejection) -> dict[str, Any]:
    """Return a rejected request with its headers and body as JSON-compatible data."""
    body = None if rejection.body is None else rejection.body.decode("utf-8", "replace")
    return rejection_as_dict(rejection) | dump(rejection, "method url headers") | {"body": body}


def unknown_community_as_dict(one: UnknownCommunity) -> dict[str, Any]:
    """Return an unknown community name as JSON-compatible data."""
    try:
        value = json.loads(one.value or "null")
    except ValueError:  # the value was truncated
        value = one.value
    return {"value": value} | dump(one, "path waiting last_at")


def overview_as_dict(overview: Overview) -> dict[str, Any]:
    """Return an overview of sources and sending as JSON-compatible data."""
    sending = dump(
        overview.sending,
        "stopped_for stopped_at stopped_why paused_until calls_in_60_seconds=calls pending",
    )
    if overview.sending.paused_until <= overview.at:
        sending["paused_until"] = None
    sending |= {"is_paused": overview.is_paused, "limit": overview.rate_per_minute}
    sending |= dump(overview, "pauses")
    sources = map(_source_as_dict, overview.sources)
    summary = dump(overview, "at is_sandbox waiting oldest_waiting_at soonest_waiting_at")
    return (
        verdict_as_dict(overview.verdict)
        | summary
        | {
            "sending": sending,
            "sources": list(sources),
        }
    )


def verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict on the adapter's health as JSON-compatible data."""
    problems = [problem_as_dict(problem) for problem in verdict.problems]
    return dump(verdict, "level headline") | {"problems": problems}


def problem_as_dict(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON-compatible data."""
    return dump(problem, "code level source since sentence next_step")


def _source_as_dict(source: SourceState) -> dict[str, Any]:
    within = dump(source, "p50=p50_seconds p95=p95_seconds")
    return dump(
        source,
        "source=name last_event_at events_in_24_hours=events usual is_quiet states rejections",
    ) | {"booked_within_seconds": within}


def decisions_as_dict(report: DecisionReport) -> dict[str, Any]:
    """Return a report on automatic decisions as JSON-compatible data."""
    decisions = [
        {"sentence": DECISIONS.get(one.rule, one.rule), **dataclasses.asdict(one)}
        for one in report.decisions
    ]
    return (
        dump(report, "since leads messages")
        | {"decisions": decisions}
        | dump(report, "shared setting")
    )


def group_as_dict(group: Group) -> dict[str, Any]:
    """Return a review group and its advice as JSON-compatible data."""
    return {
        "group": group.issue.key,
        **dataclasses.asdict(group.issue),
        "leads": group.leads,
        "soonest_tour_at": group.soonest_at,
        "oldest_at": group.oldest_at,
        **dataclasses.asdict(advice_for(group.issue)),
    }
