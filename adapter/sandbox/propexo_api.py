"""Implement the endpoints of Propexo's API that the adapter calls."""

import datetime as dt
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify, request

from adapter.sandbox import propexo_responses
from adapter.sandbox.catalog import ATTRIBUTIONS, COMMUNITIES, INTEGRATIONS
from adapter.sandbox.knock import Appointment, Note
from adapter.sandbox.listed_records import (
    EVENTS,
    PROSPECTS,
    core_record,
    first_stage,
    record_of,
)
from adapter.sandbox.request_body import InvalidBody, json_from
from adapter.sandbox.state import current_state
from adapter.sandbox.validation import issues_of

api = Blueprint("api", __name__)

_RANGES = {
    "hour": dt.timedelta(hours=1),
    "day": dt.timedelta(days=1),
    "week": dt.timedelta(weeks=1),
    "month": dt.timedelta(days=30),
}


@api.post("/crm/v1/appointments/knock")
def create_appointment() -> Response:
    """Book a tour in the simulated Knock, and return the job."""
    return write("appointment")


@api.post("/crm/v1/prospects/knock")
def create_prospect() -> Response:
    """Create or update a guest card in the simulated Knock, and return the job."""
    return write("prospect")


def write(kind: str, more: Mapping[str, Any] = MappingProxyType({})) -> Response:
    """Validate the request body, execute the write, and return a response with its job."""
    state = current_state()
    if not request.is_json:
        raise InvalidBody("Content-Type must be application/json")
    body = json_from(g.body)
    issues = list(issues_of(body, state.schemas[kind]))
    if issues:
        return propexo_responses.invalid(issues)
    job = state.write(kind, {**body, **more}, g.call.fault)
    return propexo_responses.accepted(job, g.call.fault.shape)


@api.get("/v1/admin/write-status/<job_id>")
def show_write_status(job_id: str) -> Response:
    """Return the status of a write job."""
    state = current_state()
    job = state.jobs.get(job_id)
    if job is None:
        return propexo_responses.error(400, "no write has this job ID", "invalid_request")
    return jsonify(job.write_status(state.clock()))


@api.get("/v1/admin/logs/writes/")
def list_write_logs() -> Response:
    """List finished write jobs, newest first."""
    state, query = current_state(), _query("writes")
    now = state.clock()
    with state.lock:
        jobs = [job for job in state.jobs.values() if job.status(now) != "PENDING"]
    since = now - _RANGES[query["time_range"]] if "time_range" in query else None
    logs = [job.log() for job in reversed(jobs) if since is None or job.settles_at >= since]
    offset, limit = query.get("offset", 0), query.get("limit", 100)
    found = _matching(logs, "integration_id", "status")
    return jsonify({"results": {"logs": found[offset : offset + limit]}})


@api.put("/crm/v1/prospects/knock/<prospect_id>")
def update_prospect(prospect_id: str) -> Response:
    """Overwrite fields of a guest card in the simulated Knock, and return the job."""
    state = current_state()
    with state.lock:
        is_known = any(one.id == prospect_id for one in state.knock.prospects)
    if not is_known:
        return propexo_responses.error(400, "no prospect has this ID", "invalid_request")
    return write("prospect_update", {"prospect_id": prospect_id})


@api.get("/crm/v1/prospects/")
def list_prospects() -> Response:
    """List guest cards. The details of a new card are missing at first."""
    state = current_state()
    sync, now = state.publisher.sync, state.clock()
    with state.lock:
        found = [
            record_of(one) if sync.is_complete(one.created_at, now) else first_stage(record_of(one))
            for one in state.knock.prospects
            if sync.is_listed(one.created_at, now)
        ]
    return _list_of(PROSPECTS, _matching(found, "integration_id", "community_id"))


@api.get("/crm/v1/events/")
def list_events() -> Response:
    """List tours and notes."""
    state = current_state()
    sync, now = state.publisher.sync, state.clock()
    with state.lock:
        known: list[Appointment | Note] = [*state.knock.appointments, *state.knock.notes]
        found = [record_of(one) for one in known if sync.is_listed(one.created_at, now)]
    return _list_of(EVENTS, _matching(found, "integration_id", "community_id", "prospect_id"))


def _list_of(model: str, records: Iterable[Mapping[str, Any]]) -> Response:
    """Return a page of a model's records, or an error if the model is not enabled."""
    if model in current_state().publisher.sync.off:
        message = f"the model {model} is not enabled for this integration"
        return propexo_responses.error(400, message, "model_not_enabled")
    return _page(records)


@api.get(INTEGRATIONS)
@api.get(COMMUNITIES)
@api.get(ATTRIBUTIONS)
def list_catalog() -> Response:
    """List the integrations, communities or attributions in the catalog."""
    state = current_state()
    records = [
        {**core_record(one["id"], one["integration_id"], state.began_at, state.began_at), **one}
        for one in state.catalog[request.path]
    ]
    return _page(_matching(records, "integration_id", "community_id"))


def _page(records: Iterable[Mapping[str, Any]]) -> Response:
    query = _query("list")
    order = query.get("order-by", "created_at:desc")
    since = _instant(query["updated_at_gte"]) if "updated_at_gte" in query else None
    field, _, direction = order.partition(":")
    selected = [record for record in records if since is None or record["updated_at"] >= since]
    if direction == "desc":  # if records have the same time, the last one added is the newest
        selected.reverse()
    selected.sort(key=lambda record: record[field], reverse=direction == "desc")
    offset, limit = query.get("offset", 0), query.get("limit", 100)
    return propexo_responses.page(selected, offset=offset, limit=limit, order=order)


def _query(kind: str) -> dict[str, Any]:
    """Return the validated query parameters. Abort with 400 if one of them is invalid."""
    values = {
        name: int(text) if name in ("limit", "offset") and _is_number(text) else text
        for name, text in request.args.items()
    }
    issues = list(issues_of(values, current_state().schemas[kind]))
    if issues:
        abort(propexo_responses.invalid(issues))
    return values


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _instant(text: str) -> dt.datetime:
    instant = dt.datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)


def _matching(records: Iterable[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the records that match the request's query parameters."""
    filters = {name: request.args[name] for name in names if name in request.args}
    return [
        record
        for record in records
        if all(record.get(name, value) == value for name, value in filters.items())
    ]
