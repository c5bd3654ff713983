"""Send DATA_NEW and DATA_UPDATE webhooks about records in the simulated Knock.

A webhook that gets no 2xx is sent again every 15 minutes, at most ten times. The interval can be
shortened for tests.
"""

import dataclasses
import datetime as dt
import hashlib
import heapq
import hmac
import http.client
import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Set
from typing import Any, Final

from adapter.sandbox.listed_records import PROSPECTS, first_stage

#: Seconds until a webhook that was not accepted is sent again, and the maximum number of repeats.
RETRY_SECONDS: Final = 900.0
MAX_RETRIES: Final = 10
TIMEOUT_SECONDS: Final = 30.0
#: Maximum number of deliveries to remember.
MAX_DELIVERIES: Final = 10_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """The settings of the simulated sync from Knock to Propexo."""

    #: The models that the customer has not enabled.
    off: Set[str] = frozenset()
    #: Seconds until a new or changed record reaches Propexo.
    delay: float = 0.0
    #: Further seconds until the details of a new guest card reach Propexo.
    stage: float = 0.0
    #: Where to send webhooks, or None to send none.
    url: str | None = None
    secret: str = ""
    retry_seconds: float = RETRY_SECONDS

    def is_listed(self, created_at: dt.datetime, now: dt.datetime) -> bool:
        """Return True if Propexo lists a record created at this time."""
        return now >= created_at + dt.timedelta(seconds=self.delay)

    def is_complete(self, created_at: dt.datetime, now: dt.datetime) -> bool:
        """Return True if Propexo knows all details of a guest card created at this time."""
        return now >= created_at + dt.timedelta(seconds=self.delay + self.stage)


DEFAULT_SYNC: Final = Sync()


@dataclasses.dataclass(kw_only=True, slots=True)
class Delivery:
    """A webhook with the statuses of all responses to it so far."""

    body: Mapping[str, Any]
    #: One for each attempt: an HTTP status, or None if there was no response.
    statuses: list[int | None] = dataclasses.field(default_factory=list)


class Publisher:
    """Sends webhooks about new and changed records in a background thread."""

    def __init__(self) -> None:
        self.sync = DEFAULT_SYNC
        self.deliveries: list[Delivery] = []
        self._known: dict[str, dict[str, Any]] = {}
        self._queue: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def reset(self) -> None:
        """Discard all known records and queued webhooks."""
        with self._changed:
            self._known, self._queue, self.deliveries = {}, [], []

    def publish(self, model: str, record: dict[str, Any]) -> None:
        """Schedule the webhooks about a record if it is new or has changed."""
        before, self._known[record["id"]] = self._known.get(record["id"]), record
        if self.sync.url is None or model in self.sync.off or record == before:
            return
        if before is not None:
            self._schedule(model, record["id"], _update(before, record), self.sync.delay)
            return
        is_staged = model == PROSPECTS and self.sync.stage > 0
        first = first_stage(record) if is_staged else record
        self._schedule(model, record["id"], _new(first), self.sync.delay)
        if is_staged:
            seconds = self.sync.delay + self.sync.stage
            self._schedule(model, record["id"], _update(first, record), seconds)

    def _schedule(self, model: str, id_: str, change: Mapping[str, Any], seconds: float) -> None:
        integration_id = self._known[id_]["integration_id"]
        data = {
            "object": model,
            "record_id": id_,
            "integration_id": integration_id,
            "vendor": "KNOCK",
            "job_type": f"READ_{model.upper()}",
            "job_id": f"read-{id_}",
            "root_job_id": f"read-{id_}",
            "context": {},
            **change,
        }
        meta = {"object": model, "integration_id": integration_id}
        body = {"trigger": data["event"], "data": data, "meta": meta}
        with self._changed:
            delivery = Delivery(body=body)
            self.deliveries = [*self.deliveries[-MAX_DELIVERIES:], delivery]
            self._push(delivery, seconds)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
                self._thread.start()

    def _push(self, delivery: Delivery, seconds: float) -> None:
        heapq.heappush(self._queue, (time.monotonic() + seconds, next(self._order), delivery))
        self._changed.notify()

    def _run(self) -> None:
        while True:
            delivery = self._next()
            delivery.statuses.append(status := self._send(delivery))
            is_accepted = status is not None and 200 <= status < 300
            if not is_accepted and len(delivery.statuses) <= MAX_RETRIES:
                with self._changed:
                    self._push(delivery, self.sync.retry_seconds)

    def _next(self) -> Delivery:
        """Wait until a webhook is due, and return it."""
        with self._changed:
            while not self._queue or self._queue[0][0] > time.monotonic():
                due = self._queue[0][0] - time.monotonic() if self._queue else None
                self._changed.wait(due)
            return heapq.heappop(self._queue)[2]

    def _send(self, delivery: Delivery) -> int | None:
        """Send a webhook once. Return the response's status, or None if there was no response."""
        sync = self.sync
        if sync.url is None:
            return None
        body = json.dumps(delivery.body, default=_time_text).encode()
        signature = hmac.new(sync.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "propexo-signature": signature}
        try:
            request = urllib.request.Request(sync.url, body, headers)  # noqa: S310 - a user's URL
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
                return int(response.status)
        except urllib.error.HTTPError as exc:
            return exc.code
        except (OSError, ValueError, http.client.HTTPException):
            return None


def _new(record: Mapping[str, Any]) -> dict[str, Any]:
    payload = {name: value for name, value in record.items() if name != "id"}
    return {"event": "DATA_NEW", "payload": payload}


def _update(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name, value in after.items() if before.get(name) != value]
    new = {name: after[name] for name in names}
    previous = {name: before.get(name) for name in names}
    return {"event": "DATA_UPDATE", "diff": {"new": new, "previous": previous}}


def _time_text(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} has no JSON")
