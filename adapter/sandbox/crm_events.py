"""Implement Propexo's endpoint that adds events, such as notes, to guest cards."""

from flask import Blueprint, Response, g

from adapter.sandbox import propexo_responses
from adapter.sandbox.propexo_api import write
from adapter.sandbox.request_body import json_from
from adapter.sandbox.state import current_state
from adapter.sandbox.validation import issues_of

events = Blueprint("events", __name__)

CREATE_PATH = "/crm/v1/events/knock/"


@events.post(CREATE_PATH)
def create_event() -> Response:
    """Add a note to a guest card in the simulated Knock, and return the job."""
    state = current_state()
    body = json_from(g.body)
    with state.lock:
        is_valid = not any(issues_of(body, state.schemas["event"]))
        if is_valid and not state.knock.has_prospect(body):
            return propexo_responses.error(400, "no prospect has this ID", "invalid_request")
    return write("event")
