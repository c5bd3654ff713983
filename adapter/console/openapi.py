"""Describe the HTTP API's query parameters and responses, and generate its OpenAPI document.

The query schemas validate requests. A test compares the response schemas with what views return.
"""

import functools
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import RAISE, Schema, fields, validate

import adapter
from adapter.models import (
    AttemptOutcome,
    BookingState,
    EventState,
    Kind,
    KnockStatus,
    MessageState,
)

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 200

_KEY: Final = validate.Regexp(r"^[a-z][a-z0-9_-]{0,62}\Z", error="is not a key")


def _about(text: str) -> dict[str, str]:
    return {"description": text}


def _text(about: str = "", **options: Any) -> fields.String:
    return fields.String(metadata=_about(about) if about else {}, **options)


def _enum(
    kind: type[BookingState | EventState | Kind | KnockStatus | AttemptOutcome | MessageState],
) -> validate.OneOf:
    return validate.OneOf([str(value) for value in kind])


class LeadQuery(Schema):
    """The query parameters for listing leads."""

    class Meta:
        """Reject unknown parameters, because a misspelled filter would return all leads."""

        unknown = RAISE

    state = fields.List(
        fields.String(validate=_enum(BookingState)),
        metadata=_about("Only leads in this state. May be repeated."),
    )
    source = _text("Only leads from this source.", validate=_KEY)
    community = _text("Only leads for this community (its key in communities.yaml).", validate=_KEY)
    since = fields.AwareDateTime(
        metadata=_about("Only leads received at or after this time (with offset).")
    )
    until = fields.AwareDateTime(
        metadata=_about("Only leads received before this time (with offset).")
    )
    search = _text(
        "The start of an email address or of words in a name, a phone number or its last digits, "
        "an ID, or Propexo's job ID.",
        validate=validate.Length(1, 200),
    )
    cursor = _text(
        "`next_cursor` from the previous page.", validate=validate.Regexp(r"^[1-9][0-9]{0,17}\Z")
    )
    limit = fields.Integer(
        load_default=PAGE_SIZE,
        validate=validate.Range(1, MAX_PAGE_SIZE),
        metadata=_about("Leads per page."),
    )


class Reason(Schema):
    """The reason that a field could not be used as received."""

    field = _text("The field, or `event` for the whole webhook.", required=True)
    reason = _text("A sentence that states the reason.", required=True)
    at = _text("The line in the mapping.", required=True, allow_none=True)
    path = _text("The path of the value in the webhook.", required=True, allow_none=True)
    value = _text("The value, shortened.", allow_none=True)


class Lead(Schema):
    """A booking: an appointment or guest card to be created in Knock."""

    id = fields.Integer(required=True, metadata=_about("The booking's ID."))
    event = fields.Integer(required=True, metadata=_about("The webhook's ID."))
    source = _text(required=True)
    kind = _text("`prospect` is a guest card.", required=True, validate=_enum(Kind))
    state = _text(required=True, validate=_enum(BookingState))
    reason = _text("A code, or the reason that a user entered.", required=True, allow_none=True)
    community = _text(required=True, allow_none=True)
    starts_at = fields.DateTime(required=True, allow_none=True)
    timezone = _text("The community's time zone.", required=True, allow_none=True)
    starts_at_local = _text("The local start time, for display.", required=True, allow_none=True)
    appointment = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata=_about("Propexo's fields, including the renter's name and contact details."),
    )
    free_times = fields.List(
        fields.DateTime(),
        required=True,
        metadata=_about(
            "Available times in Knock to offer, if the lead's own time is not available."
        ),
    )
    reasons = fields.List(fields.Nested(Reason), required=True)
    because_of = fields.Integer(
        required=True,
        allow_none=True,
        metadata=_about("The ID of the other lead that caused the state."),
    )
    job_id = _text("Propexo's job ID.", required=True, allow_none=True)
    due_at = fields.DateTime(required=True, allow_none=True)
    created_at = fields.DateTime(required=True)
    updated_at = fields.DateTime(required=True)
    prospect_id = _text("Propexo's ID for the guest card.", required=True, allow_none=True)
    tour_id = _text("Propexo's ID for the tour's event.", required=True, allow_none=True)
    confirmed_at = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=_about("When Knock's own records confirmed the booking."),
    )
    knock_status = _text(
        "The tour's status in Knock, if it is known. A canceled tour keeps the state `booked`.",
        required=True,
        allow_none=True,
        validate=_enum(KnockStatus),
    )
    knock_status_at = fields.DateTime(required=True, allow_none=True)
    moved_to = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=_about("The tour's start in Knock, if Knock has moved the tour."),
    )
    moved_at = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=_about("When Knock's record of the tour first had this start."),
    )
    gone_at = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=_about("When a user reported that the booking is no longer in Knock."),
    )


class LeadPage(Schema):
    """A page of leads, newest first."""

    leads = fields.List(fields.Nested(Lead), required=True)
    next_cursor = _text("Null on the last page.", required=True, allow_none=True)


class Event(Schema):
    """A webhook that was received and stored."""

    id = fields.Integer(required=True)
    source = _text(required=True)
    state = _text(required=True, validate=_enum(EventState))
    received_at = fields.DateTime(required=True)
    content_type = _text(required=True)
    bytes = fields.Integer(required=True)
    mapping_hash = _text(required=True, allow_none=True)
    kept = _text("How much of the webhook is still stored.", required=True)
    reasons = fields.List(fields.Nested(Reason), required=True)
    body = fields.Raw(required=True, metadata=_about("JSON if the webhook is JSON, else text."))


class Attempt(Schema):
    """A POST request to Propexo, with its response."""

    id = fields.Integer(required=True)
    booking = fields.Integer(required=True)
    kind = _text(required=True, validate=_enum(Kind))
    started_at = fields.DateTime(required=True)
    finished_at = fields.DateTime(required=True, allow_none=True)
    outcome = _text(required=True, allow_none=True)
    status = fields.Integer(required=True, allow_none=True)
    request = fields.Dict(keys=fields.String(), required=True)
    answer = _text("Propexo's response.", required=True, allow_none=True)


#: A state change of the webhook, or of one of its bookings. `from` cannot be an attribute.
Change = Schema.from_dict(
    {
        "at": fields.DateTime(required=True),
        "booking": fields.Integer(required=True, allow_none=True),
        "from": _text(required=True, allow_none=True),
        "to": _text(required=True),
        "why": _text(required=True),
        "because_of": fields.Integer(required=True, allow_none=True),
        "by": _text(required=True),
    },
    name="Change",
)


class Link(Schema):
    """A link to a related lead."""

    id = fields.Integer(required=True)
    event = fields.Integer(required=True)
    source = _text(required=True)
    state = _text(required=True, validate=_enum(BookingState))
    reason = _text(required=True, allow_none=True)
    because_of = fields.Integer(required=True, allow_none=True)
    person = _text(required=True)


class Act(Schema):
    """A user's action, from the audit log."""

    id = fields.Integer(required=True)
    at = fields.DateTime(required=True)
    by = _text(required=True)
    action = _text(required=True)
    lead_id = fields.Integer(required=True, allow_none=True)
    detail = _text(required=True)


class Note(Schema):
    """A renter's later message, which is added to the guest card in Knock."""

    id = fields.Integer(required=True)
    booking = fields.Integer(required=True)
    state = fields.String(required=True, validate=_enum(MessageState))
    reason = _text(required=True, allow_none=True)
    asked_at = fields.DateTime(required=True, metadata=_about("When the renter wrote it."))
    text = _text(
        "The new text, or null if it has not been determined yet or has been erased.",
        required=True,
        allow_none=True,
    )
    prospect_id = _text("Propexo's ID for the guest card.", required=True, allow_none=True)
    job_id = _text(required=True, allow_none=True)
    posted_at = fields.DateTime(required=True, allow_none=True)
    updated_at = fields.DateTime(required=True)


class Email(Schema):
    """An email with a link to choose a tour time."""

    booking = fields.Integer(required=True)
    outcome = _text(
        "`sent`, `not_needed`, `restored`, or the problem in the last attempt.",
        required=True,
        allow_none=True,
    )
    attempts = fields.Integer(required=True)
    created_at = fields.DateTime(required=True)
    due_at = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=_about("When it will be sent, or null if it will not be sent again."),
    )
    tried_at = fields.DateTime(required=True, allow_none=True)


class LeadHistory(Schema):
    """A webhook with its bookings and their history, as in `adapter show ID --json`."""

    event = fields.Nested(Event, required=True)
    repeats = fields.Integer(required=True, metadata=_about("Number of times it was sent again."))
    bookings = fields.List(fields.Nested(Lead), required=True)
    attempts = fields.List(fields.Nested(Attempt), required=True)
    history = fields.List(fields.Nested(Change), required=True)
    messages = fields.List(fields.Nested(Note), required=True)
    emails = fields.List(fields.Nested(Email), required=True)
    because_of = fields.List(fields.Nested(Link), required=True)
    related = fields.List(fields.Nested(Link), required=True)
    replaced_in_knock = fields.Dict(keys=fields.String(), values=fields.Nested(Link), required=True)
    acts = fields.List(fields.Nested(Act), required=True)
    why_unsent = _text(
        "Why pending bookings are not sent, or null if they are.", required=True, allow_none=True
    )


class Error(Schema):
    """An error response with the reason that the request failed."""

    error = _text(required=True)
    faults = fields.Dict(keys=fields.String(), metadata=_about("Error messages by parameter."))


def _response(about: str, schema: type[Schema] = Error) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


_ERRORS: Final = {
    "401": ("The token is missing or wrong, or ADAPTER_API_TOKEN is not set."),
    "503": ("PostgreSQL cannot be reached, or an encryption key is missing. Try again later."),
}

#: The API's operations, by path.
OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    "/api/leads": {
        "operationId": "listLeads",
        "summary": "List leads, newest first",
        "parameters": [{"in": "query", "schema": LeadQuery}],
        "responses": {
            "200": _response("A page of leads.", LeadPage),
            "400": _response("A parameter is invalid."),
        },
    },
    "/api/leads/{id}": {
        "operationId": "getLead",
        "summary": "Return the history of one lead",
        "parameters": [
            {
                "in": "path",
                "name": "id",
                "required": True,
                "schema": {"type": "string"},
                "description": "A booking's ID, a webhook's ID, or Propexo's job ID.",
            }
        ],
        "responses": {
            "200": _response("The lead.", LeadHistory),
            "404": _response("There is no such lead."),
        },
    },
    "/api/openapi.json": {
        "operationId": "getDocument",
        "summary": "Return this document",
        "responses": {
            "200": {
                "description": "OpenAPI 3.1",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    },
}


@functools.cache
def document() -> dict[str, Any]:
    """Return the HTTP API's OpenAPI document."""
    spec = APISpec(
        title="knock-lead-adapter",
        version=adapter.__version__,
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin()],
        info={"description": "Read-only access to leads and their outcomes."},
        security=[{"bearer": []}],
    )
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    for path, operation in OPERATIONS.items():
        errors = {status: _response(about) for status, about in _ERRORS.items()}
        spec.path(
            path, operations={"get": {**operation, "responses": operation["responses"] | errors}}
        )
    return dict(spec.to_dict())
