"""What Propexo's answers say. Pure: text and headers in, our words or our errors out."""

import dataclasses
import enum
import http
import json
from collections.abc import Mapping
from typing import Any

from adapter.exceptions import (
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamError,
)
from adapter.models import Reason
from adapter.propexo.http import Answer

#: What the headers of an answer say: calls allowed in a minute, and calls left of them.
Rate = tuple[int, int]


class WriteStatus(enum.StrEnum):
    """What Propexo says of a job."""

    #: Not finished.
    PENDING = "PENDING"
    #: The data has been written.
    SUCCESS = "SUCCESS"
    #: A portion succeeded: the appointment may stand. Never sent again.
    PARTIAL_SUCCESS = "PARTIAL_SUCCESS"
    #: Propexo calls it completely failed.
    FAILURE = "FAILURE"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """Propexo took the booking."""

    job_id: str
    status: int
    #: The answer as text.
    answer: str
    rate: Rate | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobReport:
    """What became of a job so far."""

    status: WriteStatus
    #: Propexo's own words, at most ten; may quote the renter's data.
    errors: tuple[str, ...]
    rate: Rate | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of a list."""

    records: list[Mapping[str, Any]]
    #: Whether another page follows, as far as the answer says so.
    has_more: bool


def accepted(answer: Answer) -> Accepted:
    """The job of a write that was taken. Raises what any other answer stands for."""
    if not 200 <= answer.status < 300:
        raise refusal(answer)
    job_id = _job_id(_json(answer.text))
    if job_id is None:
        raise OutcomeUnknown(
            "Propexo's answer holds no job id", status=answer.status, answer=answer.text
        )
    return Accepted(
        job_id=job_id, status=answer.status, answer=answer.text, rate=rate_of(answer.headers)
    )


def report(answer: Answer) -> JobReport:
    """How a job stands. Raises :class:`UpstreamError` when it does not say so."""
    if answer.status != http.HTTPStatus.OK:
        raise refusal(answer)
    data, rate = _json(answer.text), rate_of(answer.headers)
    status = _member(data, "write_status")
    if not isinstance(status, str) or status not in list(WriteStatus):
        raise UpstreamError("Propexo's answer holds no write status", rate=rate)
    errors = _member(data, "errors")
    texts = [str(error)[:500] for error in errors[:10]] if isinstance(errors, list) else []
    return JobReport(status=WriteStatus(status), errors=tuple(texts), rate=rate)


def page(answer: Answer) -> Page:
    """One page of a list. Raises :class:`UpstreamError` when there is no list."""
    if answer.status != http.HTTPStatus.OK:
        raise refusal(answer)
    data = _json(answer.text)
    results = _member(data, "results")
    found = _member(results, "logs") if isinstance(results, dict) else results
    if not isinstance(found, list):
        raise UpstreamError("Propexo's answer holds no list", rate=rate_of(answer.headers))
    return Page(
        records=[record for record in found if isinstance(record, dict)],
        has_more=_member(_member(data, "meta"), "hasMore") is True,
    )


def refusal(answer: Answer) -> UpstreamError:
    """The error that an answer other than success stands for."""
    status = answer.status
    wait = _seconds(answer.headers.get("retry-after"))
    facts: dict[str, Any] = {
        "status": status,
        "answer": answer.text,
        "retry_after_seconds": wait,
        "rate": rate_of(answer.headers),
    }
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited("Propexo's rate limit is reached", **facts)
    says_so = wait is not None or _is_error(answer.text)
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE and says_so:
        # A bare 503 may be a proxy's that lost the answer; one that says so is Propexo's no.
        return RateLimited("Propexo is not available", **facts)
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return NotAuthorised("Propexo does not accept the token", **facts)
    if status == http.HTTPStatus.REQUEST_TIMEOUT or status >= 500:
        return OutcomeUnknown("Propexo answered with an error of its own", **facts)
    return Refused(f"Propexo refused the booking with {status}", **facts)


def reasons_from(answer: str | None) -> tuple[Reason, ...]:
    """Propexo's issues per field, out of a 400's body; one for the whole where it names none.

    They lie at ``error.details.issues`` or ``error.details.details.issues``.
    """
    issues = _issues(_json(answer or ""))
    if not issues:
        return (Reason(field="propexo", reason="Propexo refused the booking"),)
    return tuple(map(_reason, issues[:20]))


def _issues(data: object) -> list[object]:
    details = _member(_member(data, "error"), "details")
    for place in (details, _member(details, "details")):
        issues = _member(place, "issues")
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


def _is_error(text: str) -> bool:
    """Whether it is Propexo's own error body: ``{"error": {"code": …}}``."""
    return isinstance(_member(_member(_json(text), "error"), "code"), str)


def _job_id(data: object) -> str | None:
    """The job's id in either documented shape: ``{meta: {job_id}}`` or ``{job_id}``."""
    job_id = _member(_member(data, "meta"), "job_id") or _member(data, "job_id")
    if not isinstance(job_id, str) or not 0 < len(job_id) <= 200:
        return None
    return job_id if job_id.isascii() and job_id.isprintable() else None


def rate_of(headers: Mapping[str, str]) -> Rate | None:
    """What the answer says of the rate limit, where it says both numbers."""
    names = ("x-ratelimit-limit", "x-ratelimit-remaining")
    limit, remaining = (headers.get(name, "").strip() for name in names)
    if not all(text.isascii() and text.isdigit() and len(text) < 7 for text in (limit, remaining)):
        return None
    return (int(limit), int(remaining)) if int(limit) > 0 else None


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds, at most an hour; dates and junk are None."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        return None
    return float(min(int(text), 3600))
