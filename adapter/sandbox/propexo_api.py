"""The endpoints of Propexo's API that the adapter uses."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from adapter.sandbox import propexo_responses
from adapter.sandbox.knock import Appointment, Prospect, Status
from adapter.sandbox.request_body import json_from
from adapter.sandbox.state import current_state
from adapter.sandbox.validation import Issue, issues_of

api = Blueprint("api", __name__)

_RANGES = {
    "hour": dt.timedelta(hours=1),
    "day": dt.timedelta(days=1),
    "week": dt.timedelta(weeks=1),
    "month": dt.timedelta(days=30),
}
_ORDERS = ("created_at:desc", "created_at:asc", "updated_at:desc", "updated_at:asc")


@api.post("/crm/v1/appointments/knock")
def create_appointment() -> Response:
    """Book a tour."""
    return _write("appointment")


@api.post("/crm/v1/prospects/knock")
def create_prospect() -> Response:
    """Create or update a guest card without a tour."""
    return _write("prospect")


def _write(kind: str) -> Response:
    state = current_state()
    if not request.is_json:
        return propexo_responses.error(
            400, "Content-Type must be application/json", "invalid_request"
        )
    try:
        body = json_from(g.body)
    except ValueError as exc:
        return propexo_responses.error(400, str(exc), "invalid_request")
    issues = list(issues_of(body, state.schemas[kind]))
    if issues:
        return propexo_responses.invalid(issues)
    job = state.write(kind, body, g.call.fault)
    return propexo_responses.accepted(job, g.call.fault.shape)


@api.get("/v1/admin/write-status/<job_id>")
def show_write_status(job_id: str) -> Response:
    """Return a write's status."""
    state = current_state()
    job = state.jobs.get(job_id)
    if job is None:
        return propexo_responses.error(400, "no write has this job id", "invalid_request")
    return jsonify(job.write_status(state.clock()))


@api.post("/v1/admin/retry-write/<job_id>")
def retry_write(job_id: str) -> Response:
    """Repeat a failed write under a new job ID."""
    state = current_state()
    job = state.jobs.get(job_id)
    if job is None or job.status(state.clock()) != "FAILURE":
        return propexo_responses.error(400, "only failed writes can be retried", "invalid_request")
    return jsonify({"success": True, "job_id": state.write(job.kind, job.request).id})


@api.get("/v1/admin/logs/writes/")
def list_write_logs() -> Response:
    """List finished writes, newest first."""
    state, issues = current_state(), list[Issue]()
    limit = _integer_argument("limit", 100, least=1, most=100, issues=issues)
    offset = _integer_argument("offset", 0, issues=issues)
    span = _enum_argument("time_range", _RANGES, issues)
    status = _enum_argument("status", ("SUCCESS", "FAILURE"), issues)
    if issues:
        return propexo_responses.invalid(issues)
    now = state.clock()
    with state.lock:
        jobs = [job for job in state.jobs.values() if job.status(now) != "PENDING"]
    since = now - _RANGES[span] if span else None
    logs = [job.log() for job in reversed(jobs) if since is None or job.settles_at >= since]
    logs = [log for log in _matching(logs, "integration_id") if status in (None, log["status"])]
    return jsonify({"results": {"logs": logs[offset : offset + limit]}})


@api.get("/crm/v1/prospects/")
def list_prospects() -> Response:
    """List guest cards. Only a record's core fields are documented. The rest is our guess."""
    state = current_state()
    with state.lock:
        records = [_prospect_record(prospect) for prospect in state.knock.prospects]
    return _page(_matching(records, "integration_id", "community_id"))


@api.get("/crm/v1/events/")
def list_events() -> Response:
    """List tours as events. As with prospects, most field names are our guess."""
    state = current_state()
    with state.lock:
        records = [_event_record(appointment) for appointment in state.knock.appointments]
    return _page(_matching(records, "integration_id", "community_id", "prospect_id"))


@api.get("/v1/admin/integrations/")
def list_integrations() -> Response:
    """List the integrations of the catalog."""
    return _page(_with_core_fields(current_state().catalog.integration_records()))


@api.get("/crm/v1/communities/")
def list_communities() -> Response:
    """List the communities of the catalog."""
    return _page(
        _matching(_with_core_fields(current_state().catalog.community_records()), "integration_id")
    )


@api.get("/crm/v1/attributions/")
def list_attributions() -> Response:
    """List the attributions of the catalog, each with its community."""
    records = _with_core_fields(current_state().catalog.attribution_records())
    return _page(_matching(records, "integration_id", "community_id"))


def _page(records: Iterable[Mapping[str, Any]]) -> Response:
    issues: list[Issue] = []
    limit = _integer_argument("limit", 100, most=250, issues=issues)
    offset = _integer_argument("offset", 0, issues=issues)
    order = _enum_argument("order-by", _ORDERS, issues) or _ORDERS[0]
    since = _instant_argument("updated_at_gte", issues)
    if issues:
        return propexo_responses.invalid(issues)
    field, _, direction = order.partition(":")
    selected = [record for record in records if since is None or record["updated_at"] >= since]
    if direction == "desc":  # of two records with the same time, the later one is newer
        selected.reverse()
    selected.sort(key=lambda record: record[field], reverse=direction == "desc")
    return propexo_responses.page(selected, offset=offset, limit=limit, order=order)


def _matching(records: Iterable[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the records that have the values given in the query."""
    filters = {name: request.args[name] for name in names if name in request.args}
    return [
        record
        for record in records
        if all(record[name] == value for name, value in filters.items())
    ]


def _integer_argument(
    name: str, default: int, *, least: int = 0, most: int = 10**9, issues: list[Issue]
) -> int:
    text = request.args.get(name, "") or str(default)
    if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
        return int(text)
    message = f"Number must be from {least} to {most}"
    issues.append({"code": "custom", "path": [name], "message": message})
    return default


def _enum_argument(name: str, options: Iterable[str], issues: list[Issue]) -> str | None:
    word = request.args.get(name)
    if word is not None and word not in options:
        message = "Invalid enum value. Expected " + " | ".join(map(repr, options))
        issues.append({"code": "invalid_enum_value", "path": [name], "message": message})
    return word


def _instant_argument(name: str, issues: list[Issue]) -> dt.datetime | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        instant = dt.datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        issues.append({"code": "invalid_string", "path": [name], "message": "Invalid datetime"})
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)


def _record(
    id_: str, integration_id: str, created_at: dt.datetime, updated_at: dt.datetime
) -> dict[str, Any]:
    return {
        "id": id_,
        "created_at": created_at,
        "updated_at": updated_at,
        "last_seen": updated_at,
        "integration_id": integration_id,
        "integration_vendor": "KNOCK",
    }


def _prospect_record(prospect: Prospect) -> dict[str, Any]:
    return {
        **_record(prospect.id, prospect.integration_id, prospect.created_at, prospect.updated_at),
        "community_id": prospect.community_id,
        "attribution_id": prospect.attribution_id,
        **prospect.card,
    }


def _event_record(appointment: Appointment) -> dict[str, Any]:
    integration_id = appointment.request["integration_id"]
    core = _record(appointment.id, integration_id, appointment.created_at, appointment.updated_at)
    return {
        **core,
        "community_id": appointment.request["community_id"],
        "prospect_id": appointment.prospect_id,
        "event_name": "ACTIVITY",
        "event_datetime": appointment.starts_at,
        "is_cancelled": appointment.status is Status.CANCELLED,
        "notes": appointment.request.get("notes"),
    }


def _with_core_fields(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add the fields that every record has to records of the catalog, which never change."""
    at = current_state().began_at
    return [{**_record(one["id"], one["integration_id"], at, at), **one} for one in records]
