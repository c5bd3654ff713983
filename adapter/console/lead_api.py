"""Serve ``/api``, a read-only HTTP API for leads."""

from typing import Any, Final

import flask
from marshmallow import ValidationError
from werkzeug.exceptions import NotFound, Unauthorized
from werkzeug.wrappers import Response

from adapter.bookings.reconcile import replacing_in_knock
from adapter.console.openapi import LeadQuery, document
from adapter.exceptions import KeyMissing
from adapter.operations import csv_export, serializers
from adapter.operations.health import verdict_of
from adapter.pipeline import Pipeline
from adapter.store import Filter
from adapter.webhooks.http_request import has_bearer_token

#: Name in the audit log. No user can have it.
USER: Final = "(api)"


def blueprint(pipeline: Pipeline) -> flask.Blueprint:
    """Return the blueprint of the HTTP API. All routes require the API token."""
    routes = flask.Blueprint("api", __name__, url_prefix="/api")

    @routes.get("/leads", provide_automatic_options=False)
    def leads() -> Response:
        return list_leads(pipeline)

    @routes.get("/leads/<id>", provide_automatic_options=False)
    def one_lead(id: str) -> Response:  # noqa: A002 - as in the document
        return get_lead(pipeline, id)

    @routes.get("/openapi.json", provide_automatic_options=False)
    def openapi() -> Response:
        return _json(document())

    @routes.before_request
    def check_token() -> None:
        if not has_bearer_token(flask.request, pipeline.settings.api_token):
            raise Unauthorized

    @routes.after_request
    def forbid_caching(response: flask.Response) -> flask.Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if response.status_code == Unauthorized.code:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @routes.errorhandler(ValidationError)
    def invalid(error: ValidationError) -> tuple[dict[str, Any], int]:
        return {"error": "bad request", "faults": error.messages_dict}, 400

    @routes.errorhandler(KeyMissing)
    def key_missing(error: KeyMissing) -> tuple[dict[str, Any], int]:
        return {"error": str(error)}, 503

    return routes


def list_leads(pipeline: Pipeline) -> Response:
    """Return a JSON page of the bookings that match the query parameters."""
    sent = flask.request.args.to_dict(flat=False)
    query = LeadQuery().load(
        {name: texts if name == "state" else texts[-1] for name, texts in sent.items()}
    )
    which = Filter(
        states=query.get("state", ()),
        text=query.get("search", ""),
        **{name: query.get(name) for name in ("source", "community", "since", "until")},
    )
    before, limit = int(query["cursor"]) if "cursor" in query else None, query["limit"]
    with pipeline.store.transaction() as tx:
        found = tx.search.bookings(which, before=before, limit=limit + 1)
        detail = csv_export.filter_text(which)
        tx.audit.record("exported", by=USER, at=pipeline.clock(), detail=detail)
    leads, more = found[:limit], found[limit:]
    return _json({"leads": leads, "next_cursor": str(leads[-1].id) if more else None})


def get_lead(pipeline: Pipeline, key: str) -> Response:
    """Return the history of an event, booking or Propexo job as JSON."""
    now = pipeline.clock()
    why_unsent = verdict_of(pipeline.store, (), pipeline.settings, now).why_unsent
    with pipeline.store.transaction() as tx:
        story = tx.events.history(key)
        if story is None:
            raise NotFound
        acts, replaced = tx.audit.of_lead(story), replacing_in_knock(tx, story.bookings)
        tx.audit.record("looked", by=USER, at=now, lead_id=story.event.id)
    return _json(
        serializers.story_as_dict(story, replaced) | {"acts": acts, "why_unsent": why_unsent}
    )


def _json(data: Any) -> Response:
    return Response(serializers.to_json(data), mimetype="application/json")
