"""Call Propexo's API, and convert its errors to our exceptions.

:meth:`Propexo.create` is the only call that books a tour or creates a guest card. It takes an
:class:`~adapter.models.Attempt`, which exists only as a committed row. Each error that it raises
tells whether the request may have been sent. The request body shows this: until ``requests`` reads
the body, none of it has been sent, and a request without its body books nothing.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from adapter.exceptions import OutcomeUnknown, Unreachable
from adapter.models import Attempt, Kind
from adapter.propexo import responses
from adapter.propexo.http import Body, Response, exchange, failure_text
from adapter.propexo.responses import Accepted, JobReport, Page

CREATE_PATHS: Mapping[Kind, str] = {
    Kind.APPOINTMENT: "/crm/v1/appointments/knock",
    Kind.PROSPECT: "/crm/v1/prospects/knock",
}

STATUS_PATH = "/v1/admin/write-status/"

INTEGRATIONS_PATH = "/v1/admin/integrations/"


class Propexo:
    """A thread-safe client for Propexo's API, with one API token."""

    def __init__(self, base_url: str, token: str, *, timeout_seconds: float = 20.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        #: Maximum time for one request, up to the last byte of the response.
        self.timeout_seconds = timeout_seconds

    def create(self, attempt: Attempt) -> Accepted:
        """Post one appointment or guest card to Propexo. Never retry.

        Raise :class:`NotSent`, :class:`RateLimited`, :class:`NotAuthorized` or :class:`Refused`
        if it is certain that nothing was booked, else :class:`OutcomeUnknown`.
        """
        body = Body(json.dumps(dict(attempt.request)).encode())
        try:
            response = exchange(
                "POST",
                self.base_url + CREATE_PATHS[attempt.kind],
                headers=self._headers,
                body=body,
                timeout_seconds=self.timeout_seconds,
            )
        except Exception as exc:
            # The exception type does not matter, only whether any byte was sent.
            why = failure_text(exc, self.base_url)
            if body.has_started:
                raise OutcomeUnknown(f"there was no response: {why}") from exc
            raise Unreachable(f"Propexo could not be reached: {why}", answer=why) from exc
        return responses.accepted(response)

    def write_status(self, job_id: str) -> JobReport:
        """Return the status of a job at Propexo.

        Raise :class:`UpstreamError` if there is no usable response. Retrying is always safe.
        """
        return responses.report(self._get(STATUS_PATH + quote(job_id, safe="")))

    def records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return the records on one page of a list. Raise the same errors as :meth:`page`."""
        return self.page(path, query).records

    def page(self, path: str, query: Mapping[str, str]) -> Page:
        """Return one page of a list from Propexo.

        Raise :class:`UpstreamError` if there is no usable response.
        """
        return responses.page(self._get(f"{path}?{urlencode(query)}"))

    def integrations(self) -> Response:
        """Return Propexo's response to a request for the list of integrations.

        Raise :class:`NotSent` if there is none. Its cause says why.
        """
        return self._get(INTEGRATIONS_PATH)

    def check_token(self) -> None:
        """Check the API token with a cheap call. Raise :class:`UpstreamError` if that fails."""
        self.records(INTEGRATIONS_PATH, {"limit": "1"})

    def _get(self, path: str) -> Response:
        try:
            return exchange(
                "GET",
                self.base_url + path,
                headers=self._headers,
                body=None,
                timeout_seconds=self.timeout_seconds,
            )
        except Exception as exc:
            why = failure_text(exc, self.base_url)
            raise Unreachable(f"Propexo could not be reached: {why}", answer=why) from exc
