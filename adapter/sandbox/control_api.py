"""Serve the control endpoints, which show data, queue faults and reset the sandbox."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Blueprint, Response, abort, jsonify, render_template, request

from adapter.sandbox import propexo_responses
from adapter.sandbox.faults import faults_from
from adapter.sandbox.knock import Appointment, Prospect, Status
from adapter.sandbox.listed_records import MODELS
from adapter.sandbox.request_body import InvalidBody, body_of, json_from
from adapter.sandbox.state import Call, current_state

control = Blueprint("control", __name__)

#: Who cancels the tour, by action.
_CANCELED_BY: Final = {"cancel": "person", "renter-cancel": "renter"}
#: The status that an action sets.
_NEW_STATUS: Final = {
    "accept": Status.BOOKED,
    "wait": Status.WAITING,
    "visit": Status.VISITED,
    "miss": Status.NO_SHOW,
}


@control.get("/")
def show_page() -> Response:
    """Render a web page with all appointments and guest cards."""
    state = current_state()
    with state.lock:
        # JSON can contain half of a surrogate pair, but UTF-8 cannot.
        text = render_template(
            "knock.html",
            appointments=state.knock.appointments,
            prospects=state.knock.prospects,
            notes=state.knock.notes,
        )
    return Response(text.encode("utf-8", "replace"), mimetype="text/html")


@control.get("/_sandbox/appointments")
def list_appointments() -> Response:
    """List all appointments, including canceled ones, in the order of booking."""
    state = current_state()
    with state.lock:
        return jsonify({"appointments": [_appointment(one) for one in state.knock.appointments]})


@control.post("/_sandbox/appointments/<appointment_id>/<action>")
def change_appointment(appointment_id: str, action: str) -> Response:
    """Change a tour as a leasing agent would in Knock, or as the renter would.

    The renter's action is ``renter-cancel``. The agent's are ``cancel``, ``accept``, ``wait``,
    ``visit``, ``miss`` and ``move?to=TIME``.
    """
    state, to = current_state(), _instant(request.args.get("to", ""))
    if action not in {*_CANCELED_BY, *_NEW_STATUS, "move"}:
        abort(404)
    if action == "move" and to is None:
        abort(400)
    with state.lock:
        for one in state.knock.appointments:
            if one.id == appointment_id:
                if to is not None:
                    one.move(to, state.clock())
                elif action in _CANCELED_BY:
                    one.cancel(_CANCELED_BY[action], state.clock())
                else:
                    one.change(_NEW_STATUS[action], state.clock())
                state.knock.touched.append(one)
                state.publish()
                return jsonify(_appointment(one))
    return propexo_responses.error(404, "no appointment has this ID")


def _instant(text: str) -> dt.datetime | None:
    """Parse an ISO 8601 time with an offset. Return None for any other text."""
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(dt.UTC) if at.tzinfo else None


@control.get("/_sandbox/prospects")
def list_prospects() -> Response:
    """List all guest cards with their inquiries."""
    state = current_state()
    with state.lock:
        return jsonify({"prospects": [_prospect(one) for one in state.knock.prospects]})


@control.get("/_sandbox/notes")
def list_notes() -> Response:
    """List all notes on guest cards in the order they were added."""
    state = current_state()
    with state.lock:
        return jsonify({"notes": [dataclasses.asdict(one) for one in state.knock.notes]})


@control.get("/_sandbox/requests")
def list_requests() -> Response:
    """List all requests to Propexo's simulated API, oldest first."""
    state = current_state()
    with state.lock:
        return jsonify({"requests": [_call(call) for call in state.calls]})


@control.get("/_sandbox/faults")
def list_faults() -> Response:
    """List the faults to apply to upcoming requests."""
    state = current_state()
    with state.lock:
        return jsonify({"next": [fault.posted for fault in state.faults.queue]})


@control.post("/_sandbox/faults")
def add_faults() -> Response:
    """Queue the posted faults, or none of them if any is invalid."""
    faults = faults_from(json_from(body_of(request)))
    state = current_state()
    with state.lock:
        state.faults.queue += faults
    return list_faults()


@control.delete("/_sandbox/faults")
def clear_faults() -> Response:
    """Delete all queued faults."""
    state = current_state()
    with state.lock:
        state.faults.queue.clear()
    return list_faults()


@control.post("/_sandbox/reset")
def reset() -> Response:
    """Delete all data in the sandbox."""
    current_state().reset()
    return jsonify({"status": "empty"})


@control.get("/_sandbox/sync")
def show_sync() -> Response:
    """Return the settings of the simulated sync, and all webhooks with their responses."""
    publisher = current_state().publisher
    sync = publisher.sync
    names = ("delay", "stage", "url", "retry_seconds")
    sent = [{"body": one.body, "statuses": one.statuses} for one in publisher.deliveries]
    return jsonify(_values(sync, *names) | {"off": sorted(sync.off), "webhooks": sent})


@control.post("/_sandbox/sync")
def change_sync() -> Response:
    """Change the settings of the simulated sync. Omitted settings stay unchanged."""
    changes = _sync_changes(json_from(body_of(request)))
    publisher = current_state().publisher
    publisher.sync = dataclasses.replace(publisher.sync, **changes)
    return show_sync()


def _sync_changes(body: Any) -> dict[str, Any]:
    """Validate changes to the sync. Raise InvalidBody that names the first invalid setting."""
    given: dict[str, Any] = dict(body if isinstance(body, dict) else {"body": None})
    for name, value in given.items():
        if name not in _SYNC_KEYS:
            raise InvalidBody(f"unknown key {name!r}; the keys are {', '.join(_SYNC_KEYS)}")
        if not _SYNC_KEYS[name](value):
            raise InvalidBody(f"{name!r} has an invalid value")
    return given | ({"off": frozenset(given["off"])} if "off" in given else {})


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 86_400


_SYNC_KEYS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "off": lambda value: isinstance(value, list) and {*map(str, value)} <= {*MODELS},
    "delay": _is_seconds,
    "stage": _is_seconds,
    "url": lambda value: value is None or isinstance(value, str),
    "secret": lambda value: isinstance(value, str),
    "retry_seconds": _is_seconds,
}


def _appointment(one: Appointment) -> dict[str, Any]:
    names = ("first_name", "last_name", "email_1", "phone_1")
    return {
        "id": one.id,
        "job_id": one.job_id,
        "prospect_id": one.prospect_id,
        "integration_id": one.request["integration_id"],
        "community_id": one.request["community_id"],
        "attribution_id": one.request["attribution_id"],
        "person": {name: one.person.get(name) for name in names},
        "starts_at": one.starts_at,
        "status": one.status,
        "canceled_by": one.canceled_by,
        "confirmations": one.confirmations,
        "request": one.request,
        "created_at": one.created_at,
    }


def _prospect(one: Prospect) -> dict[str, Any]:
    names = ("id", "integration_id", "community_id", "attribution_id", "card", "inquiries")
    tours = [tour.id for tour in one.appointments]
    return _values(one, *names, "created_at") | {"appointments": tours}


def _call(call: Call) -> dict[str, Any]:
    names = ("number", "received_at", "answered_at", "method", "path", "query", "body", "status")
    return _values(call, *names) | {"fault": call.fault.posted or None}


def _values(one: object, *names: str) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names}
