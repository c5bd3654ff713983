"""The client of Propexo's API: four calls, one border where its errors become ours.

``create`` is the only place that can book a tour or make a guest card. It takes an
:class:`~adapter.models.Attempt`, which only a committed row gives, and it says of every failure
whether the request left this machine. It can tell because it hands over the body itself: as long
as nobody has read that, no byte of it is on the wire, and a request without its body books nothing.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from adapter.exceptions import NotSent, OutcomeUnknown
from adapter.models import Attempt, Kind
from adapter.propexo import responses
from adapter.propexo.http import Answer, Body, exchange
from adapter.propexo.responses import Accepted, JobReport, Page

CREATE_PATHS: Mapping[Kind, str] = {
    Kind.APPOINTMENT: "/crm/v1/appointments/knock",
    Kind.PROSPECT: "/crm/v1/prospects/knock",
}

STATUS_PATH = "/v1/admin/write-status/"

INTEGRATIONS_PATH = "/v1/admin/integrations/"


class Propexo:
    """A client for one token. Safe to share between threads."""

    def __init__(self, base_url: str, token: str, *, timeout_seconds: float = 20.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        #: Longest time for one exchange, from its begin to the last byte of the answer.
        self.timeout_seconds = timeout_seconds

    def create(self, attempt: Attempt) -> Accepted:
        """Posts one appointment or one guest card, once.

        Raises :class:`NotSent`, :class:`RateLimited`, :class:`NotAuthorised` or :class:`Refused`
        when nothing was booked for certain, :class:`OutcomeUnknown` otherwise.
        """
        body = Body(json.dumps(dict(attempt.request)).encode())
        try:
            answer = exchange(
                "POST",
                self.base_url + CREATE_PATHS[attempt.kind],
                token=self._token,
                body=body,
                timeout_seconds=self.timeout_seconds,
            )
        except Exception as exc:
            # Of whatever type: what counts is whether anything was on the wire.
            if body.has_left:
                raise OutcomeUnknown("the request left and no answer came back") from exc
            raise NotSent("Propexo could not be reached") from exc
        return responses.accepted(answer)

    def write_status(self, job_id: str) -> JobReport:
        """Asks what became of a job.

        Raises :class:`UpstreamError` when there is no usable answer; asking again is always safe.
        """
        return responses.report(self._get(STATUS_PATH + quote(job_id, safe="")))

    def records(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """The records of one page of a list. Raises :class:`UpstreamError`, as :meth:`page`."""
        return self.page(path, query).records

    def page(self, path: str, query: Mapping[str, str]) -> Page:
        """One page of a list; whatever is no object in it is left out.

        Raises :class:`UpstreamError` when there is no usable answer.
        """
        return responses.page(self._get(f"{path}?{urlencode(query)}"))

    def check_token(self) -> None:
        """Makes a cheap call; raises :class:`UpstreamError` unless it is answered with success."""
        self.records(INTEGRATIONS_PATH, {"limit": "1"})

    def _get(self, path: str) -> Answer:
        try:
            return exchange(
                "GET",
                self.base_url + path,
                token=self._token,
                body=None,
                timeout_seconds=self.timeout_seconds,
            )
        except Exception as exc:
            raise NotSent("Propexo could not be reached") from exc
