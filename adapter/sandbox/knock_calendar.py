"""Simulate Propexo's endpoint for the available tour times in Knock's calendar.

A community is open for two weeks. Each booked tour takes its time. Propexo does not document the
items of this response, so their shape is a guess.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, g, jsonify, request

from adapter.sandbox import propexo_responses
from adapter.sandbox.catalog import ZONES
from adapter.sandbox.knock import Status
from adapter.sandbox.request_body import body_of, json_from
from adapter.sandbox.state import State, current_state
from adapter.sandbox.validation import issues_of

availability = Blueprint("availability", __name__)

PATH = "/crm/v1/appointment-availability/knock/"
#: A tour may start every half hour, in these hours of local time.
STEP = dt.timedelta(minutes=30)
HOURS = range(9, 18)
DAYS = 14


@availability.post(PATH)
def query_availability() -> Response:
    """Return a community's available times in UTC."""
    state = current_state()
    body = json_from(g.body)
    issues = list(issues_of(body, state.schemas["availability"]))
    if issues:
        return propexo_responses.invalid(issues)
    with state.lock:
        free = free_times(state, body["community_id"])
    items = [{"start_time": at, "end_time": at + STEP} for at in free]
    return jsonify({"meta": {"job_id": state.new_id()}, "result": items})


@availability.put("/_sandbox/free-times")
def set_free_times() -> Response:
    """Replace a community's available times. ``null`` restores its opening hours."""
    try:
        body = json_from(body_of(request))
        times, community_id = body["times"], str(body["community_id"])
        chosen = None if times is None else [_instant(text) for text in times]
    except (KeyError, TypeError, ValueError):
        message = 'the body must be {"community_id": "…", "times": ["2026-03-14T16:00:00Z", …]}'
        return propexo_responses.error(400, message, "invalid_request")
    state = current_state()
    with state.lock:
        state.chosen_times.pop(community_id, None)
        if chosen is not None:
            state.chosen_times[community_id] = chosen
        return jsonify({"times": list(free_times(state, community_id))})


def _instant(text: str) -> dt.datetime:
    at = dt.datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("it has no offset")
    return at.astimezone(dt.UTC)


def free_times(state: State, community_id: str) -> list[dt.datetime]:
    """Return the possible start times of tours at a community. The caller must hold the lock."""
    taken = {
        one.starts_at
        for one in state.knock.appointments
        if one.status is Status.BOOKED and one.request["community_id"] == community_id
    }
    chosen = state.chosen_times.get(community_id)
    times = _opening_hours(state, community_id) if chosen is None else chosen
    return [one for one in times if one not in taken and one > state.clock()]


def _opening_hours(state: State, community_id: str) -> Iterator[dt.datetime]:
    """Yield every half hour of the opening hours, or of the day if the zone is unknown."""
    zone = _zone_of(state.catalog.get(ZONES, ()), community_id)
    day = state.clock().astimezone(zone or dt.UTC).date()
    hours = range(24) if zone is None else HOURS
    for number in range(DAYS):
        for hour in hours:
            for minute in (0, 30):
                local = dt.datetime.combine(day + dt.timedelta(days=number), dt.time(hour, minute))
                yield local.replace(tzinfo=zone or dt.UTC).astimezone(dt.UTC)


def _zone_of(zones: object, community_id: str) -> ZoneInfo | None:
    assert isinstance(zones, list | tuple)  # noqa: S101 - for mypy
    found: list[Mapping[str, str]] = [one for one in zones if one["id"] == community_id]
    return ZoneInfo(found[0]["timezone"]) if found else None
