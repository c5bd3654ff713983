"""Convert Propexo's responses to values or exceptions."""

import dataclasses
import enum
import http
import json
from collections.abc import Mapping
from typing import Any

from adapter.exceptions import (
    NotAuthorized,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamError,
    WrongPath,
)
from adapter.models import Reason
from adapter.propexo.http import Response

#: Statuses of another server, or for a wrong PROPEXO_BASE_URL: redirects and unknown paths.
WRONG_PATH_STATUSES = frozenset({301, 302, 303, 307, 308, 404, 405})

#: Calls allowed per minute and calls left, from the response headers.
Rate = tuple[int, int]


class WriteStatus(enum.StrEnum):
    """The status of a write job at Propexo."""

    #: The job is not finished.
    PENDING = "PENDING"
    #: The data has been written.
    SUCCESS = "SUCCESS"
    #: The write partly succeeded. The appointment may exist, so it is never resent.
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    #: The write failed completely.
    FAILURE = "FAILURE"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """Propexo's response to an accepted write, with the job's ID."""

    job_id: str
    status: int
    #: The response body.
    answer: str
    rate: Rate | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobReport:
    """The current status of a write job, and the error messages if it failed."""

    status: WriteStatus
    #: Up to ten of Propexo's error messages. They may quote the renter's data.
    errors: tuple[str, ...]
    rate: Rate | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A page of one of Propexo's lists."""

    records: list[Mapping[str, Any]]
    #: True if Propexo reports another page.
    has_more: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FreeTimesResponse:
    """Propexo's response about a community's available times, as parsed JSON."""

    data: Any
    rate: Rate | None = None


def free_times(response: Response) -> FreeTimesResponse:
    """Parse a response about available times.

    Raise :class:`UpstreamError` if it is not successful or not JSON.
    """
    if response.status != http.HTTPStatus.OK:
        raise error_from(response)
    rate, data = rate_of(response.headers), _json(response.text)
    if data is None:
        raise UpstreamError("Propexo's response is not JSON", status=200, rate=rate)
    return FreeTimesResponse(data=data, rate=rate)


def accepted(response: Response) -> Accepted:
    """Return the job from the response to an accepted write. Raise an error for other responses."""
    if not 200 <= response.status < 300:
        raise error_from(response)
    job_id = _job_id(_json(response.text))
    if job_id is None:
        raise OutcomeUnknown(
            "Propexo's response has no job ID", status=response.status, answer=response.text
        )
    return Accepted(
        job_id=job_id, status=response.status, answer=response.text, rate=rate_of(response.headers)
    )


def report(response: Response) -> JobReport:
    """Parse the status of a job. Raise :class:`UpstreamError` if the response contains none."""
    if response.status != http.HTTPStatus.OK:
        raise error_from(response)
    data, rate = _json(response.text), rate_of(response.headers)
    status = _member(data, "write_status")
    if not isinstance(status, str) or status not in list(WriteStatus):
        raise UpstreamError("Propexo's response has no write status", rate=rate)
    errors = _member(data, "errors")
    texts = [str(error)[:500] for error in errors[:10]] if isinstance(errors, list) else []
    return JobReport(status=WriteStatus(status), errors=tuple(texts), rate=rate)


def page(response: Response) -> Page:
    """Parse a page of a list. Raise :class:`UpstreamError` if the response contains none."""
    if response.status != http.HTTPStatus.OK:
        raise error_from(response)
    data = _json(response.text)
    results = _member(data, "results")
    records = _member(results, "logs") if isinstance(results, dict) else results
    if not isinstance(records, list):
        raise UpstreamError("Propexo's response has no list", rate=rate_of(response.headers))
    return Page(
        records=[record for record in records if isinstance(record, dict)],
        has_more=_member(_member(data, "meta"), "hasMore") is True,
    )


def error_from(response: Response) -> UpstreamError:
    """Return the exception for an unsuccessful response."""
    status = response.status
    retry_after = retry_after_seconds(response.headers.get("retry-after"))
    facts: dict[str, Any] = {
        "status": status,
        "answer": response.text,
        "retry_after_seconds": retry_after,
        "rate": rate_of(response.headers),
    }
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited("Propexo's rate limit is reached", **facts)
    is_explicit = retry_after is not None or _is_propexo_error(response.text)
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE and is_explicit:
        # Other 503s may come from a proxy that lost the response, but this one is from Propexo.
        return RateLimited("Propexo is not available", **facts)
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return NotAuthorized("Propexo rejects the token", **facts)
    if status == http.HTTPStatus.REQUEST_TIMEOUT or status >= 500:
        return OutcomeUnknown(f"Propexo failed with {status}", **facts)
    if status in WRONG_PATH_STATUSES:
        return WrongPath(f"Propexo answered {status}, as if the address were wrong", **facts)
    return Refused(f"Propexo rejected the booking with {status}", **facts)


def is_rejected(error: UpstreamError) -> bool:
    """Return True if Propexo rejected the request but accepted the token.

    Propexo does not document how it rejects a model that the customer has not enabled.
    """
    if isinstance(error, NotAuthorized):
        return error.status == http.HTTPStatus.FORBIDDEN
    return isinstance(error, Refused | WrongPath)


def reasons_from(answer: str | None) -> tuple[Reason, ...]:
    """Return a reason for each issue in Propexo's response, or a generic one if it lists none.

    The issues are in ``error.details.issues`` or ``error.details.details.issues``.
    """
    issues = _issues(_json(answer or ""))
    if not issues:
        return (Reason(field="propexo", reason="Propexo rejected the booking"),)
    return tuple(map(_reason, issues[:20]))


def _issues(data: object) -> list[object]:
    details = _member(_member(data, "error"), "details")
    for parent in (details, _member(details, "details")):
        issues = _member(parent, "issues")
        if isinstance(issues, list):
            return issues
    return []


def _member(data: object, name: str) -> object:
    return data.get(name) if isinstance(data, dict) else None


def _reason(issue: object) -> Reason:
    path = _member(issue, "path")
    names = [str(name) for name in path] if isinstance(path, list) else []
    return Reason(
        field=".".join(names)[:100] or "propexo",
        reason="Propexo says: " + str(_member(issue, "message") or _member(issue, "code"))[:300],
    )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_propexo_error(text: str) -> bool:
    """Return True if a string is an error body from Propexo: ``{"error": {"code": …}}``."""
    return isinstance(_member(_member(_json(text), "error"), "code"), str)


def _job_id(data: object) -> str | None:
    """Return the job ID from ``{meta: {job_id}}`` or ``{job_id}``, or None if it is invalid."""
    job_id = _member(_member(data, "meta"), "job_id") or _member(data, "job_id")
    if not isinstance(job_id, str) or not 0 < len(job_id) <= 200:
        return None
    return job_id if job_id.isascii() and job_id.isprintable() else None


def rate_of(headers: Mapping[str, str]) -> Rate | None:
    """Return the rate limit and the remaining calls from a response's headers, or None."""
    names = ("x-ratelimit-limit", "x-ratelimit-remaining")
    limit, remaining = (headers.get(name, "").strip() for name in names)
    if not all(text.isascii() and text.isdigit() and len(text) < 7 for text in (limit, remaining)):
        return None
    return (int(limit), int(remaining)) if int(limit) > 0 else None


def retry_after_seconds(header: str | None) -> float | None:
    """Parse a Retry-After header (up to an hour). Return None if it is not a number."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        return None
    return float(min(int(text), 3600))
