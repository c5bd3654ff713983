"""The client of Propexo's API: three calls, one border where its errors become ours.

``create_appointment`` is the only place that can book a tour. It takes an
:class:`~adapter.events.Attempt`, which only a committed row gives, and it says of every failure
whether the request left this machine. It can tell because it hands over the body itself: as long
as nobody has read that, no byte of it is on the wire, and a request without its body books nothing.
"""

import dataclasses
import enum
import io
import json
import time
from typing import Any
from urllib.parse import quote

import requests

from adapter.events import Attempt, Reason
from adapter.exceptions import (
    NotAuthorised,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamError,
)

#: Seconds to wait for a connection: DNS, TCP and TLS.
CONNECT_SECONDS = 10.0
#: Longest answer that is read, in bytes.
ANSWER_BYTES = 1024 * 1024

CREATE_PATH = "/crm/v1/appointments/knock"
STATUS_PATH = "/v1/admin/write-status/"


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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobReport:
    """What became of a job so far."""

    status: WriteStatus
    #: Propexo's own words, at most ten; may quote the renter's data.
    errors: tuple[str, ...]


class Propexo:
    """A client for one token. Safe to share between threads."""

    def __init__(self, base_url: str, token: str, *, timeout_seconds: float = 20.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self.timeout_seconds = timeout_seconds

    def create_appointment(self, attempt: Attempt) -> Accepted:
        """Posts one appointment, once.

        Raises :class:`NotSent`, :class:`RateLimited`, :class:`NotAuthorised` or :class:`Refused`
        when nothing was booked for certain, :class:`OutcomeUnknown` otherwise.
        """
        body = _Body(json.dumps(dict(attempt.request)).encode())
        try:
            response, text = self._exchange("POST", CREATE_PATH, body)
        except requests.RequestException as exc:
            if body.has_left:
                raise OutcomeUnknown("the request left and no answer came back") from exc
            raise NotSent("Propexo could not be reached") from exc
        return _accepted(response, text)

    def write_status(self, job_id: str) -> JobReport:
        """Asks what became of a job.

        Raises :class:`UpstreamError` when there is no usable answer; asking again is always safe.
        """
        try:
            response, text = self._exchange("GET", STATUS_PATH + quote(job_id, safe=""), None)
        except requests.RequestException as exc:
            raise NotSent("Propexo could not be reached") from exc
        if response.status_code != requests.codes.ok:
            raise _refusal(response, text)
        return _report(_json(text))

    def _exchange(
        self, method: str, path: str, body: "_Body | None"
    ) -> tuple[requests.Response, str]:
        """One request on a connection of its own, so that no stale one can swallow it.

        Redirects are not followed: a redirected POST would turn into a GET.
        """
        deadline = time.monotonic() + self.timeout_seconds
        headers = {"Connection": "close", "Content-Type": "application/json"}
        with requests.Session() as session:
            response = session.request(
                method,
                self.base_url + path,
                data=body,
                headers=headers,
                auth=self._authorise,
                timeout=(min(CONNECT_SECONDS, self.timeout_seconds), self.timeout_seconds),
                allow_redirects=False,
                stream=True,
            )
            return response, _read(response, deadline)

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Puts the token on; being an ``auth``, it also keeps a netrc file from replacing it."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


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


class _Body(io.BytesIO):
    """A request body that knows whether anybody has begun to send it."""

    has_left = False

    def __len__(self) -> int:
        return len(self.getvalue())

    def read(self, size: int | None = -1) -> bytes:
        self.has_left = True
        return super().read(size)


def _read(response: requests.Response, deadline: float) -> str:
    """The answer's text. A time-out of ``requests`` bounds each read; this bounds their sum."""
    chunks, total = [], 0
    for chunk in response.iter_content(16 * 1024):
        chunks.append(chunk)
        total += len(chunk)
        if total > ANSWER_BYTES or time.monotonic() > deadline:
            raise requests.exceptions.ChunkedEncodingError("the answer is too long or too slow")
    return b"".join(chunks).decode("utf-8", "replace")


def _accepted(response: requests.Response, text: str) -> Accepted:
    if not response.ok or response.status_code in range(300, 400):
        raise _refusal(response, text)
    job_id = _job_id(_json(text))
    if job_id is None:
        raise OutcomeUnknown(
            "Propexo's answer holds no job id", status=response.status_code, answer=text
        )
    return Accepted(job_id=job_id, status=response.status_code, answer=text)


def _refusal(response: requests.Response, text: str) -> UpstreamError:
    """The error that an answer other than success stands for."""
    status = response.status_code
    wait = _seconds(response.headers.get("Retry-After"))
    facts: dict[str, Any] = {"status": status, "answer": text, "retry_after_seconds": wait}
    if status == requests.codes.too_many_requests:
        return RateLimited("Propexo's rate limit is reached", **facts)
    if status == requests.codes.service_unavailable and (wait is not None or _is_error(text)):
        # A bare 503 may be a proxy's that lost the answer; one that says so is Propexo's no.
        return RateLimited("Propexo is not available", **facts)
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return NotAuthorised("Propexo does not accept the token", **facts)
    if status == requests.codes.request_timeout or status >= requests.codes.server_error:
        return OutcomeUnknown("Propexo answered with an error of its own", **facts)
    return Refused(f"Propexo refused the booking with {status}", **facts)


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
    return job_id if isinstance(job_id, str) and 0 < len(job_id) <= 200 else None


def _report(data: object) -> JobReport:
    status = _member(data, "write_status")
    if not isinstance(status, str) or status not in list(WriteStatus):
        raise UpstreamError("Propexo's answer holds no write status")
    errors = _member(data, "errors")
    texts = [str(error)[:500] for error in errors[:10]] if isinstance(errors, list) else []
    return JobReport(status=WriteStatus(status), errors=tuple(texts))


def _seconds(header: str | None) -> float | None:
    """``Retry-After`` in seconds, at most an hour; dates and junk are None."""
    text = (header or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 6:
        return None
    return float(min(int(text), 3600))
