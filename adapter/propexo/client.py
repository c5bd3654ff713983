"""Call Propexo's API, and convert its errors to our exceptions.

:meth:`Propexo.create` is the only call that books a tour or creates a guest card. It takes an
:class:`~adapter.models.Attempt`, which exists only as a committed row. Each of its errors
shows whether the request may have been sent. The body object detects this: nothing of the body is
sent before ``requests`` reads it, and a request without its body books nothing.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from adapter import tracing
from adapter.exceptions import (
    NotAuthorized,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unreachable,
    UpstreamError,
    WrongPath,
)
from adapter.models import Attempt, Kind
from adapter.propexo import responses
from adapter.propexo.http import Body, Response, exchange, failure_text
from adapter.propexo.responses import Accepted, FreeTimesResponse, JobReport, Page
from adapter.store.meter import REQUEST_SECONDS, REQUESTS, Meter

CREATE_PATHS: Mapping[Kind, str] = {
    Kind.APPOINTMENT: "/crm/v1/appointments/knock",
    Kind.PROSPECT: "/crm/v1/prospects/knock",
}

#: The path of the endpoint that adds a note to a guest card.
NOTE_PATH = "/crm/v1/events/knock/"

STATUS_PATH = "/v1/admin/write-status/"

INTEGRATIONS_PATH = "/v1/admin/integrations/"

AVAILABILITY_PATH = "/crm/v1/appointment-availability/knock/"

#: Timeout for a response about available times, in seconds. A booking waits for it.
AVAILABILITY_SECONDS = 3.0

#: The result of a request in the metrics. All other errors are ``no_clear_answer``.
RESULTS: Mapping[type[UpstreamError], str] = {
    NotAuthorized: "not_authorized",
    RateLimited: "rate_limited",
    Refused: "refused",
    Unreachable: "unreachable",
    WrongPath: "wrong_path",
}


class Propexo:
    """A thread-safe client for Propexo's API that uses one API token."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = 20.0,
        meter: Meter | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._meter = meter or Meter()
        self._headers = {"Authorization": f"Bearer {token}"}
        #: Maximum time for one request, up to the last byte of the response.
        self.timeout_seconds = timeout_seconds

    def create(self, attempt: Attempt) -> Accepted:
        """Post an appointment or a guest card to Propexo. Never retry.

        Raise :class:`NotSent`, :class:`RateLimited`, :class:`NotAuthorized` or :class:`Refused` if
        it is certain that nothing was booked, else :class:`OutcomeUnknown`.
        """
        with self._measured(f"create_{attempt.kind}"):
            return responses.accepted(self._post(CREATE_PATHS[attempt.kind], attempt.request))

    def add_note(self, request: Mapping[str, Any]) -> Accepted:
        """Post a note for a guest card to Propexo. Never retry.

        Raise the same errors as :meth:`create`.
        """
        with self._measured("create_note"):
            return responses.accepted(self._post(NOTE_PATH, request))

    def _post(self, path: str, request: Mapping[str, Any]) -> Response:
        body = _body(request)
        try:
            return self._send("POST", path, body)
        except Unreachable as exc:
            # The type of the error does not matter, only whether any byte was sent.
            if body.has_started:
                raise OutcomeUnknown(f"there was no response: {exc.answer}") from exc.__cause__
            raise

    def free_times(
        self, integration_id: str, community_id: str, appointment_type: str
    ) -> FreeTimesResponse:
        """Return Propexo's response about a community's available tour times in Knock.

        ``appointment_type`` is ``APPOINTMENT`` or ``SELF_GUIDED_TOUR``. Raise
        :class:`UpstreamError` if there is no JSON within three seconds. The call changes nothing.
        """
        body = {
            "integration_id": integration_id,
            "community_id": community_id,
            "appointment_type": appointment_type,
        }
        seconds = min(AVAILABILITY_SECONDS, self.timeout_seconds)
        with self._measured("read_availability"):
            return responses.free_times(self._send("POST", AVAILABILITY_PATH, _body(body), seconds))

    def write_status(self, job_id: str) -> JobReport:
        """Return the status of a write job at Propexo.

        Raise :class:`UpstreamError` if there is no usable response. Retrying is always safe.
        """
        with self._measured("read_status"):
            return responses.report(self._send("GET", STATUS_PATH + quote(job_id, safe="")))

    def records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return the records on one page of a list in Propexo."""
        return self.page(path, query).records

    def page(self, path: str, query: Mapping[str, str]) -> Page:
        """Return a page of one of Propexo's lists.

        Raise :class:`UpstreamError` if there is no usable response.
        """
        with self._measured("read_list"):
            return self._page(path, query)

    def _page(self, path: str, query: Mapping[str, str]) -> Page:
        return responses.page(self._send("GET", f"{path}?{urlencode(query)}"))

    def integrations(self) -> Response:
        """Request the list of integrations from Propexo, and return the response.

        Raise :class:`NotSent`, with the reason as its cause, if there is no response.
        """
        return self._send("GET", INTEGRATIONS_PATH)

    def check_token(self) -> None:
        """Check the API token with a cheap call. Raise :class:`UpstreamError` on failure."""
        with self._measured("check_token"):
            self._page(INTEGRATIONS_PATH, {"limit": "1"})

    @contextlib.contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        """Measure the duration of a request, and count the request by its result."""
        started_at, result = time.monotonic(), "no_clear_answer"
        try:
            with tracing.call(f"propexo {operation}"):
                yield
            result = "ok"
        except UpstreamError as exc:
            result = RESULTS.get(type(exc), result)
            raise
        finally:
            self._meter.count(REQUESTS, operation, result)
            self._meter.observe(REQUEST_SECONDS, time.monotonic() - started_at, operation)

    def _send(
        self, method: str, path: str, body: Body | None = None, seconds: float | None = None
    ) -> Response:
        """Send a request, and return the response. Raise Unreachable if there is none."""
        try:
            return exchange(
                method,
                self.base_url + path,
                headers=self._headers,
                body=body,
                timeout_seconds=seconds or self.timeout_seconds,
            )
        except Exception as exc:
            why = failure_text(exc, self.base_url)
            raise Unreachable(f"Propexo could not be reached: {why}", answer=why) from exc


def _body(request: Mapping[str, Any]) -> Body:
    return Body(json.dumps(dict(request)).encode())
