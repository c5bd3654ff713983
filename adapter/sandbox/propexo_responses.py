"""Answers in Propexo's shapes: errors, jobs, pages; and the answers that never arrive."""

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
    """JSON with instants in ISO 8601 and keys in the order in which they were written."""

    sort_keys = False

    @staticmethod
    def default(value: Any) -> Any:
        """An instant as ``2026-11-24T00:30:00Z``; the rest as Flask does it."""
        if isinstance(value, dt.datetime):
            return value.isoformat().replace("+00:00", "Z")
        return DefaultJSONProvider.default(value)


def error(status: int, message: str | None = None, code: str | None = None) -> Response:
    """An error. For all but 400 the code is our own word: Propexo's pages show none."""
    phrase = _phrase(status)
    code = code or phrase.lower().replace(" ", "_").replace("-", "_")
    answer = jsonify({"error": {"code": code, "message": message or phrase}})
    answer.status_code = status
    return answer


def invalid(issues: Sequence[Issue]) -> Response:
    """400 with Zod's issues, nested as Propexo nests them."""
    details = {"details": {"issues": list(issues), "name": "ZodError"}}
    answer = jsonify(
        {"error": {"code": "invalid_request", "message": "invalid request", "details": details}}
    )
    answer.status_code = 400
    return answer


def accepted(job: Job, shape: str) -> Response:
    """The answer to a write that was taken, in Knock's shape or in the generic one."""
    if shape == "generic":
        return jsonify({"job_id": job.id, "data": {}})
    return jsonify({"meta": {"job_id": job.id}, "result": {}})


def page(records: Sequence[Any], *, offset: int, limit: int, order: str) -> Response:
    """One page of a list."""
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
    """What a fault with a status answers."""
    status = fault.status or 500
    if fault.body is None:
        answer = error(status)
    elif isinstance(fault.body, str):
        answer = Response(fault.body.encode("utf-8", "replace"), mimetype="text/html")
    else:
        answer = jsonify(fault.body)
    answer.status_code = status
    answer.headers.update(fault.headers)
    return answer


def hung_up(answer: Response | None = None) -> Response:
    """Closes the connection without an answer, or after the first half of one."""
    if answer is None:
        return Response(_closing(b""))
    data = answer.get_data()
    return Response(_closing(data[: len(data) // 2]), answer.status_code, answer.headers)


def _closing(data: bytes) -> Iterator[bytes]:
    # Servers take a ConnectionError of the application for a client that went away: they close.
    if data:
        yield data
    raise ConnectionAbortedError


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
