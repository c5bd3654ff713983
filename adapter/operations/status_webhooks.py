"""Report the status of leads to another system with signed webhooks (Standard Webhooks).

Webhooks are queued from the history, so bookings neither wait for them nor write extra rows. Each
webhook is delivered at least once, and those for the same lead in order. They contain no personal
data.
"""

import dataclasses
import datetime as dt
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from adapter import signatures
from adapter.bookings import backoff
from adapter.models import RENTER, Clock, WebhookRequest
from adapter.operations.serializers import utc
from adapter.propexo.http import Body, exchange
from adapter.settings import Settings
from adapter.store import Database, HistoryEnd, StatusWebhook

log = logging.getLogger(__name__)

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
#: Timeout for one delivery, in seconds.
TIMEOUT_SECONDS: Final = 10.0
#: How long a claim lasts. After that, another worker may deliver the webhook.
LEASE: Final = dt.timedelta(seconds=60)
#: How long the delivery of a webhook is retried.
GIVE_UP_AFTER: Final = dt.timedelta(days=3)
#: Pause before the first retry. It doubles with each further retry, up to a maximum.
FIRST_PAUSE: Final = dt.timedelta(seconds=5)
MAX_PAUSE: Final = dt.timedelta(hours=3)
#: Maximum pause of all webhooks while the receiver fails, in seconds.
MAX_OUTAGE_PAUSE: Final = 300.0
#: Number of deliveries in one run. Even if all of them time out, the worker does not look stuck.
BATCH: Final = 10


class StatusNotifier:
    """Queues status webhooks and delivers them."""

    def __init__(self, settings: Settings, store: Database, clock: Clock) -> None:
        assert settings.status_webhook_url is not None  # noqa: S101 - the caller checks it
        self._url = settings.status_webhook_url
        self._secrets = settings.status_webhook_secrets
        self._store = store
        self._clock = clock
        self._history_end = HistoryEnd()
        #: Set at shutdown, so that the run stops after the current delivery.
        self.stopping = threading.Event()

    def run(self) -> None:
        """Queue webhooks for new changes, and deliver up to :data:`BATCH` webhooks."""
        self.queue()
        for _ in range(BATCH):
            if self.stopping.is_set() or not self.deliver():
                return

    def queue(self) -> None:
        """Queue webhooks for all changes in the complete part of the history."""
        with self._store.statement() as tx:
            until = self._history_end.complete_until(tx.outbox.horizon())
        has_more = until is not None
        while until is not None and has_more and not self.stopping.is_set():
            with self._store.transaction() as tx:
                has_more = tx.outbox.queue(until, self._clock() - GIVE_UP_AFTER)

    def deliver(self) -> bool:
        """Deliver the next webhook. Return False if none is due."""
        now = self._clock()
        with self._store.statement() as tx:
            webhook = tx.outbox.claim(now, now + LEASE)
        if webhook is None:
            return False
        error = self._post(webhook, now)
        if error is None:
            with self._store.transaction() as tx:
                if failures := tx.outbox.delivered(webhook):
                    log.info("status_webhooks_recovered", extra={"failures": failures})
            return True
        self._record_failure(webhook, error)
        return True

    def _record_failure(self, webhook: StatusWebhook, error: str) -> None:
        now = self._clock()
        with self._store.transaction() as tx:
            failures = tx.outbox.failed(
                webhook,
                error,
                now=now,
                due_at=now + backoff.doubling_pause(webhook.attempts, FIRST_PAUSE, MAX_PAUSE),
                max_pause=MAX_OUTAGE_PAUSE,
            )
            given_up = tx.outbox.give_up(now - GIVE_UP_AFTER, now)
        if failures == 1:
            log.warning("status_webhook_failed", extra={"reason": error})
        if given_up:
            log.error("status_webhooks_given_up", extra={"count": given_up})

    def _post(self, webhook: StatusWebhook, now: dt.datetime) -> str | None:
        """Post a webhook once. Return the reason for a failure, or None on success."""
        request = signed_request(webhook, self._url, self._secrets, now)
        try:
            response = exchange(
                "POST",
                self._url,
                headers=request.headers,
                body=Body(request.body),
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except Exception as exc:  # noqa: BLE001 - after any error, the webhook was not delivered
            return f"no response ({type(exc).__name__})"
        if 300 <= response.status < 400:
            return f"HTTP {response.status}, and redirects are not followed"
        return None if 200 <= response.status < 300 else f"HTTP {response.status}"


def signed_request(
    webhook: StatusWebhook, url: str, secrets: tuple[str, ...], now: dt.datetime
) -> WebhookRequest:
    """Return the HTTP request for a webhook, signed with each configured secret."""
    request = WebhookRequest(
        method="POST",
        url=url,
        headers={"Content-Type": "application/json", "webhook-id": webhook_id(webhook)},
        body=json.dumps(payload_of(webhook)).encode(),
    )
    block = {"preset": "standard-webhooks"}
    signed = [signatures.sign(block, one, request, now.timestamp()) for one in secrets]
    every = " ".join(one.lowercase_headers["webhook-signature"] for one in signed)
    headers = {**signed[0].lowercase_headers, "webhook-signature": every}
    return dataclasses.replace(request, headers=headers)


def webhook_id(webhook: StatusWebhook) -> str:
    """Return a webhook's ID, which is unique and the same for all attempts."""
    microseconds = (webhook.at - EPOCH) // dt.timedelta(microseconds=1)
    return f"msg_{webhook.history_id}_{webhook.booking_id or 0}_{microseconds}"


def payload_of(webhook: StatusWebhook) -> Mapping[str, Any]:
    """Return a webhook's JSON payload, without personal data or text from users."""
    state = webhook.to_state
    reason = webhook.why if webhook.by in ("web", "worker", RENTER) else "by_user"
    if webhook.is_gone:
        state, reason = "booked", "canceled_in_knock"
    return {
        "type": f"lead.{webhook.status}",
        "timestamp": utc(webhook.at),
        "data": {
            "event": webhook.event_id,
            "booking": webhook.booking_id,
            "status": webhook.status,
            "state": state,
            "reason": reason,
            "kind": webhook.kind,
            "source": webhook.source,
            "community": webhook.community,
            "starts_at": utc(webhook.starts_at),
            "timezone": webhook.timezone,
            "job_id": webhook.job_id,
        },
    }
