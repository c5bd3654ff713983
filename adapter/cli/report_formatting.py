"""Format rejected requests, sources, review groups and the status for the terminal."""

import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from adapter.cli.formatting import table
from adapter.models import utc_now
from adapter.operations.advice import DECISIONS, advice_for
from adapter.operations.decision_report import DecisionReport
from adapter.operations.health import Level, Verdict
from adapter.operations.report_serializers import rejection_as_dict
from adapter.operations.serializers import ago, utc
from adapter.operations.status import OUTCOMES, Overview, SourceState
from adapter.operations.todo import may_be_format_change
from adapter.store import DecisionCount, Group, Pause, RejectionSummary

#: Maximum number of names to list for a shared contact.
MOST_NAMES = 5


def rejections_table(rejections: Iterable[RejectionSummary]) -> str:
    """Format rejected requests as a table with one line each."""
    return table(
        ("id", "source", "received", "reason", "sender", "bytes", "can be retried"),
        ([*rejection_as_dict(rejection).values()] for rejection in rejections),
    )


def sources_text(sources: Iterable[Mapping[str, Any]]) -> str:
    """Format the list of sources, with several lines for each."""
    return "\n\n".join("\n".join(_source_lines(source)) for source in sources)


def _source_lines(source: Mapping[str, Any]) -> list[str]:
    scheme = source["preset"] or source["scheme"]
    counts = ", ".join(f"{state} {count}" for state, count in sorted(source["events"].items()))
    last = f"; last one {utc(source['last_event_at'])}" if source["last_event_at"] else ""
    signature = f"  signature: {scheme}"
    if source["is_open"]:
        signature = "  UNSIGNED: anyone who knows the URL can send webhooks (scheme: none)"
    if not source["is_valid"]:
        signature = "  INVALID MAPPING: processes that are running still use the previous one"
    lines = [f"{source['source']}  {source['address']}", signature]
    secrets = source["secrets"]
    lines += [
        f"  secret {secret['name']}: last used {utc(secret['last_used_at']) or 'never'}"
        for secret in secrets
    ]
    if used := [secret for secret in secrets if secret["last_used_at"]]:
        latest = max(used, key=lambda secret: secret["last_used_at"])
        lines.append(f"  verified last: {_place_of(latest, secrets)}")
    lines += [f"  events: {counts or 'none'}{last}", f"  rejections: {source['rejections']}"]
    lines += [
        f"  FORMAT CHANGED since {utc(one['since'])}: {one['text']}"
        for one in source["format_changes"]
    ]
    return lines + _unknown_lines(source["source"], source["unknown_communities"])


def _place_of(secret: Mapping[str, Any], secrets: Sequence[Mapping[str, Any]]) -> str:
    """Describe a secret by its name, its position in the list, and when it was last used."""
    number = secrets.index(secret) + 1
    ordinal = {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
    age = ago(secret["last_used_at"], utc_now())
    return f"{secret['name']} ({ordinal} of {len(secrets)}), {age}"


def _unknown_lines(source: str, unknown: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines that list a source's unknown community names and explain how to fix them."""
    lines = [_unknown_line(one) for one in unknown]
    names = [one["value"] for one in unknown if one["value"] is not None]
    todo = "add them to communities.yaml under known_as" if names else "fix the mapping"
    if names and len(names) < len(lines):
        todo += ", or fix the mapping"
    hint = f"  {todo}, then: adapter replay --source {source} --state held"
    return [*lines, hint] if lines else []


def _unknown_line(one: Mapping[str, Any]) -> str:
    at = one["path"] or "no path"
    what = f"unknown community {json.dumps(one['value'], ensure_ascii=False)} ({at})"
    if one["value"] is None:
        what = f"no community ({at} has no value)"
    return f"  {what}: {one['waiting']} held, last one {utc(one['last_at'])}"


def group_text(group: Group, changed: Collection[str] = ()) -> str:
    """Format a group of leads that need review because of the same problem.

    ``changed`` contains the sources whose format has changed.
    """
    issue, advice = group.issue, advice_for(group.issue)
    count = "1 lead" if group.leads == 1 else f"{group.leads} leads"
    soonest = f", soonest tour {utc(group.soonest_at)}" if group.soonest_at else ""
    state = f"{issue.state} ({issue.code})" if issue.code else issue.state
    lines = [
        f"{issue.key}  {count} from {issue.source}: {state}{soonest}",
        f"  {advice.wrong}",
        f"  {advice.todo}",
    ]
    if issue.source in changed and may_be_format_change(issue):
        lines.append(f"  {issue.source} has changed its format: adapter sources {issue.source}")
    return "\n".join([*lines, f"  see {group.at}"] if group.at else lines)


def decisions_text(report: DecisionReport) -> str:
    """Format a report on automatic decisions about leads, by rule and source."""
    lines = [f"{report.title} since {utc(report.since)}"]
    for rule, counts in itertools.groupby(report.decisions, key=lambda one: one.rule):
        lines += ["", DECISIONS.get(rule, rule), *map(_decision_line, counts)]
    for one in report.shared:
        names = ", ".join(one.names[:MOST_NAMES]) + (", …" if one.names[MOST_NAMES:] else "")
        lines += ["", f"{one.contact} is in {one.leads} leads from several people: {names}"]
    if report.shared:
        hint = "If these belong to an office or a portal, not to a person, set:"
        lines += ["", hint, f"  {report.setting}"]
    return "\n".join(lines)


def _decision_line(one: DecisionCount) -> str:
    examples = ", ".join(f"{lead['id']} {lead['person']}".strip() for lead in one.examples)
    at = f" ({one.at})" if one.at else ""
    more = ", …" if one.leads > len(one.examples) else ""
    return f"  {one.leads} from {one.source}{at}: {examples}{more}"


def verdict_text(verdict: Verdict) -> str:
    """Format the adapter's health as text, with the next step for each problem."""
    lines = [verdict.headline, *verdict.notes]
    for one in verdict.problems:
        if one.level is not Level.NOTE:
            lines += [f"  {one.code}: {one.sentence}", f"    {one.next_step}"]
    return "\n".join(lines)


def overview_text(overview: Overview) -> str:
    """Format an overview of the sources, the review queue and sending."""
    sending = overview.sending
    lines = [verdict_text(overview.verdict), ""]
    since = f", oldest since {utc(overview.oldest_waiting_at)}"
    calls = f"{sending.calls} of {overview.rate_per_minute} requests in the last minute"
    verb = "needs" if overview.waiting == 1 else "need"
    lines += [
        f"{overview.waiting} {verb} review" + (since if overview.waiting else ""),
        f"sending: {_sending_state(overview)}; {sending.pending} in the send queue, {calls}",
        *pause_lines(overview.pauses),
    ]
    titles = ("source", "last event", "24 h", "normal", *OUTCOMES, "rejected", "p50", "p95")
    return "\n".join([*lines, "", table(titles, map(_source_row, overview.sources))])


def pause_lines(pauses: Iterable[Pause]) -> list[str]:
    """Format users' pauses, one per line."""
    return [
        f"paused: {pause.scope}, since {utc(pause.since)} by {pause.by}: {pause.reason}"
        for pause in pauses
    ]


def _sending_state(overview: Overview) -> str:
    if overview.stopped_text is not None:
        at = overview.sending.stopped_at
        return f"stopped{f' since {utc(at)}' if at else ''}: {overview.stopped_text}"
    if overview.total_pause is not None:
        return f"paused by {overview.total_pause.by}; `adapter resume` ends it"
    if overview.is_paused:
        return f"paused until {utc(overview.sending.paused_until)}"
    return "on"


def _source_row(one: SourceState) -> Sequence[object]:
    return (
        one.name,
        one.last_event_at,
        f"{one.events} QUIET" if one.is_quiet else one.events,
        None if one.usual is None else round(one.usual),
        *(one.outcomes.get(name, 0) for name in OUTCOMES),
        one.rejections,
        *(
            None if value is None else f"{value:.1f} s"
            for value in (one.p50_seconds, one.p95_seconds)
        ),
    )
