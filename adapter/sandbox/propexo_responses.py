"""Build responses in Propexo's format, including faulty ones."""

import datetime as dt
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from flask.json.provider import DefaultJSONProvider

from adapter.sandbox.faults import Fault
from adapter.sandbox.state import Job
from adapter.sandbox.validation import Issue


class Json(DefaultJSONProvider):
    """A JSON encoder that keeps the order of keys and formats times like Propexo."""

    sort_keys = False

    @staticmethod
    def default(value: Any) -> Any:
        """Format a time as ``2026-11-24T00:30:00Z``. Leave other types to Flask."""
        if isinstance(value, dt.datetime):
            return value.isoformat().replace("+00:00", "Z")
        return DefaultJSONProvider.default(value)


def error(status: int, message: str | None = None, code: str | None = None) -> Response:
    """Return an error response. Propexo documents the error code only for status 400."""
    phrase = _phrase(status)
    code = code or phrase.lower().replace(" ", "_").replace("-", "_")
    response = jsonify({"error": {"code": code, "message": message or phrase}})
    response.status_code = status
    return response


def invalid(issues: Sequence[Issue]) -> Response:
    """Return a 400 response with validation issues, nested like Propexo's."""
    details = {"details": {"issues": list(issues), "name": "ZodError"}}
    response = jsonify(
        {"error": {"code": "invalid_request", "message": "invalid request", "details": details}}
    )
    response.status_code = 400
    return response


def accepted(job: Job, shape: str) -> Response:
    """Return the response to an accepted write in one of Propexo's two formats."""
    if shape == "generic":
        return jsonify({"job_id": job.id, "data": {}})
    return jsonify({"meta": {"job_id": job.id}, "result": {}})


def page(records: Sequence[Any], *, offset: int, limit: int, order: str) -> Response:
    """Return a page of a list in Propexo's format."""
    field, _, direction = order.partition(":")
    meta = {
        "orderBy": [{field: direction}],
        "limit": limit,
        "offset": offset,
        "hasMore": offset + limit < len(records),
        "total": len(records),
    }
    return jsonify({"meta": meta, "results": records[offset : offset + limit]})


def faulty(fault: Fault) -> Response:
    """Return the error response for a fault that has an HTTP status."""
    status = fault.status or 500
    if fault.body is None:
        response = error(status)
    elif isinstance(fault.body, str):
        response = Response(fault.body.encode("utf-8", "replace"), mimetype="text/html")
    else:
        response = jsonify(fault.body)
    response.status_code = status
    response.headers.update(fault.headers)
    return response


def hung_up(response: Response | None = None) -> Response:
    """Close the connection without a response, or after sending half of one."""
    if response is None:
        return Response(_closing(b""))
    data = response.get_data()
    return Response(_closing(data[: len(data) // 2]), response.status_code, response.headers)


def _closing(data: bytes) -> Iterator[bytes]:
    # On a ConnectionError, the server closes the connection, as if the client had disconnected.
    if data:
        yield data
    raise ConnectionAbortedError


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
