"""What Propexo tells by itself: ``POST /propexo/webhooks``, for a write that failed.

It settles a booking sooner than the next look at its job would. There is no such notice of a
success, and a lost notice changes nothing: jobs are followed all the same.
Source: docs.propexo.com, WRITE_OPERATION_FAILURE and signed payloads.
"""

import json
import logging
from typing import Any

import flask

from adapter import signatures
from adapter.bookings.follow_up import Follower
from adapter.exceptions import VerificationError
from adapter.webhooks.http_request import client_ip_of_request, signed_request

log = logging.getLogger(__name__)

TRIGGER = "WRITE_OPERATION_FAILURE"


def blueprint(follower: Follower, secret: str) -> flask.Blueprint:
    """The route for Propexo, whose webhooks are signed with ``secret``."""
    routes = flask.Blueprint("notices", __name__)
    verifier = signatures.verifier({"preset": "propexo"}, [secret])

    @routes.post("/propexo/webhooks")
    def told() -> tuple[dict[str, Any], int]:
        """200 for every notice that is Propexo's, also for those that are not about us."""
        client = client_ip_of_request(flask.request, follower.settings)
        request = signed_request(flask.request, follower.settings, client)
        try:
            verifier.verify(request, follower.clock().timestamp())
        except VerificationError as exc:
            log.warning("notice_rejected", extra={"reason": exc.reason})
            return {"error": "signature not accepted"}, 401
        job_id, status, errors = _failure_in(request.body)
        if job_id is not None:
            follower.handle_failure_notice(job_id, status, errors)
        return {"status": "received"}, 200

    return routes


def _failure_in(body: bytes) -> tuple[str | None, str, tuple[str, ...]]:
    """The job that a notice is about, how it ended, and Propexo's words; None: no such notice."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    facts = data.get("data") if isinstance(data, dict) and data.get("trigger") == TRIGGER else None
    if not isinstance(facts, dict):
        return None, "", ()
    job_id, status, errors = (facts.get(key) for key in ("root_job_id", "write_status", "errors"))
    if not isinstance(job_id, str) or status not in ("FAILURE", "PARTIAL_SUCCESS"):
        return None, "", ()
    texts = [str(error)[:500] for error in errors[:10]] if isinstance(errors, list) else []
    return job_id, status, tuple(texts)
