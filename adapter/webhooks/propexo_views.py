"""Receive Propexo's own webhooks at ``POST /propexo/webhooks``.

WRITE_OPERATION_FAILURE settles a booking before the next check of its job. DATA_NEW and DATA_UPDATE
report tours and guest cards in Knock. Losing a webhook is harmless, because every job is checked
anyway. Propexo repeats a webhook every 15 minutes, at most ten times, until it gets a 2xx.
Source: docs.propexo.com, webhooks and signed payloads.
"""

import json
import logging
from typing import Any

import flask

from adapter import signatures
from adapter.bookings.follow_up import Follower
from adapter.exceptions import VerificationError
from adapter.propexo.crm_records import record_from
from adapter.webhooks.http_request import read_body, read_request

log = logging.getLogger(__name__)

TRIGGER = "WRITE_OPERATION_FAILURE"


def blueprint(follower: Follower, secret: str) -> flask.Blueprint:
    """Return the blueprint that receives Propexo's webhooks, signed with ``secret``."""
    routes = flask.Blueprint("propexo", __name__)
    verifier = signatures.verifier({"preset": "propexo"}, [secret])

    @routes.post("/propexo/webhooks")
    def receive() -> tuple[dict[str, Any], int]:
        """Process a webhook from Propexo. Return 200, or 401 if its signature is not valid.

        409 asks Propexo to send the webhook again later.
        """
        body = read_body(flask.request, follower.settings.max_body_bytes)
        request = read_request(flask.request, follower.settings, body)
        try:
            verifier.verify(request, follower.clock().timestamp())
        except VerificationError as exc:
            log.warning("propexo_webhook_rejected", extra={"reason": exc.reason})
            return {"error": "signature not accepted"}, 401
        job_id, status, errors = _failure_in(request.body)
        if job_id is not None:
            follower.handle_failure_notice(job_id, status, errors)
        elif (record := record_from(request.body)) and not follower.confirmer.handle(record):
            log.info("propexo_webhook_early")
            return {"status": "send it again"}, 409
        return {"status": "received"}, 200

    return routes


def _failure_in(body: bytes) -> tuple[str | None, str, tuple[str, ...]]:
    """Return the job ID, write status and errors in a failure webhook from Propexo."""
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
