"""Convert rejections, groups and the status to plain data."""

import dataclasses
import json
from typing import Any

from adapter.operations import serializers
from adapter.operations.advice import advice_for
from adapter.operations.serializers import utc
from adapter.operations.status import Overview
from adapter.store import Group, Rejection, UnknownCommunity


def rejection_as_dict(rejection: Rejection) -> dict[str, Any]:
    """A refused request as plain data, without what was sent."""
    return {
        "id": rejection.id,
        "source": rejection.source,
        "received_at": utc(rejection.received_at),
        "reason": rejection.reason,
        "sender": rejection.sender,
        "bytes": rejection.size,
        "can_retry": rejection.can_retry,
    }


def whole_rejection_as_dict(rejection: Rejection) -> dict[str, Any]:
    """The same with what was sent; a body that is no text is shown as far as it is one."""
    body = rejection.body
    return rejection_as_dict(rejection) | {
        "method": rejection.method,
        "url": rejection.url,
        "headers": dict(rejection.headers),
        "body": None if body is None else body.decode("utf-8", "replace"),
    }


def unknown_community_as_dict(one: UnknownCommunity) -> dict[str, Any]:
    """One line of the routing report as plain data, the sender's value as it came where it fits."""
    try:
        value = json.loads(one.value or "null")
    except ValueError:  # it was shortened
        value = one.value
    return {
        "value": value,
        "path": one.path,
        "waiting": one.waiting,
        "last_at": utc(one.last_at),
    }


def overview_as_dict(overview: Overview) -> dict[str, Any]:
    """The overview as plain data."""
    sending = overview.sending
    return {
        "at": utc(overview.at),
        "is_sandbox": overview.is_sandbox,
        "waiting": overview.waiting,
        "oldest_waiting_at": utc(overview.oldest_waiting_at),
        "soonest_waiting_at": utc(overview.soonest_waiting_at),
        "sending": {
            "is_paused": overview.is_paused,
            "stopped_for": sending.stopped_for,
            "paused_until": utc(sending.paused_until) if overview.is_paused else None,
            "calls_in_60_seconds": sending.calls,
            "limit": overview.rate_per_minute,
            "pending": sending.pending,
        },
        "sources": [
            {
                "source": one.name,
                "last_event_at": utc(one.last_event_at),
                "events_in_24_hours": one.events,
                "usual": one.usual,
                "is_quiet": one.is_quiet,
                "states": dict(one.states),
                "rejections": one.rejections,
                "booked_within_seconds": {"p50": one.p50_seconds, "p95": one.p95_seconds},
            }
            for one in overview.sources
        ],
    }


def group_as_dict(group: Group) -> dict[str, Any]:
    """A group as plain data."""
    return {
        "group": group.issue.key,
        **dataclasses.asdict(group.issue),
        "leads": group.leads,
        "soonest_tour_at": serializers.utc(group.soonest_at),
        "oldest_at": serializers.utc(group.oldest_at),
        **dataclasses.asdict(advice_for(group.issue)),
    }
