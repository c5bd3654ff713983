"""Keep the sandbox's state in memory, protected by one lock."""

import dataclasses
import datetime as dt
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from flask import current_app

from adapter.sandbox.catalog import Catalog
from adapter.sandbox.data_webhooks import Publisher
from adapter.sandbox.faults import NONE, Fault, Faults
from adapter.sandbox.knock import Knock
from adapter.sandbox.listed_records import model_of, record_of
from adapter.sandbox.validation import Schema


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A write job. Its status depends only on the current time."""

    id: str
    #: The kind of write: ``appointment``, ``prospect`` or ``event``.
    kind: str
    request: Mapping[str, Any]
    created_at: dt.datetime
    settles_at: dt.datetime
    #: SUCCESS, FAILURE or PARTIAL_SUCCESS, or PENDING if the job never ends.
    outcome: str
    errors: Sequence[str]
    #: The appointment or prospect that was created, if any.
    record_id: str | None

    def status(self, now: dt.datetime) -> str:
        """Return the job's status at the given time."""
        return self.outcome if now >= self.settles_at else "PENDING"

    def write_status(self, now: dt.datetime) -> dict[str, Any]:
        """Return the job's JSON for ``GET /v1/admin/write-status/{job_id}``."""
        status = self.status(now)
        is_settled = status != "PENDING"
        return {
            "write_status": status,
            "errors": list(self.errors) if is_settled else [],
            "created_record_id": self.record_id if is_settled else None,
        }

    def log(self) -> dict[str, Any]:
        """Return the job's JSON record for ``GET /v1/admin/logs/writes/``."""
        return {
            "id": f"log-{self.id}",
            "created_at": self.settles_at,
            "job_id": self.id,
            "job_log_id": f"log-{self.id}",
            "status": "SUCCESS" if self.outcome == "SUCCESS" else "FAILURE",
            "integration_id": self.request["integration_id"],
            "job_type": "WRITE",
            "parameters": self.request,
            "error": "; ".join(self.errors) or None,
            "name": f"create-{self.kind}",
            "vendor": "KNOCK",
        }


class MinuteLimit:
    """Counts the requests in each calendar minute. The caller must hold the lock."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._minute: dt.datetime | None = None
        self._used = 0

    def use(self, now: dt.datetime) -> int:
        """Count a request. Return the number of requests left (negative above the limit)."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return self.limit - self._used

    def is_slow(self, remaining: int) -> bool:
        """Return True if over 80% of the limit is used, so that Propexo slows down."""
        return (self.limit - remaining) * 5 > self.limit * 4


Clock = Callable[[], dt.datetime]


@dataclasses.dataclass(kw_only=True, slots=True)
class Call:
    """A request to the simulated API, with the status of its response."""

    number: int
    received_at: dt.datetime
    method: str
    path: str
    query: str
    fault: Fault
    #: Requests left in this minute. Negative if the limit is exceeded.
    remaining: int
    #: Parsed JSON, a string if it is not JSON, or None if there is no body.
    body: Any = None
    answered_at: dt.datetime | None = None
    #: The response's status, or None if there was no response or there is none yet.
    status: int | None = None


class State:
    """The sandbox's jobs, faults and requests, and its simulated Knock. It is thread-safe."""

    def __init__(
        self,
        *,
        clock: Clock,
        job_seconds: float,
        limit: int,
        schemas: Mapping[str, Schema],
        catalog: Catalog,
    ) -> None:
        self.clock = clock
        self.catalog = catalog
        self.began_at = clock()
        #: Schemas by kind of write.
        self.schemas = schemas
        self.lock = threading.RLock()
        self._job_seconds = job_seconds
        self._limit = limit
        self._woken = threading.Event()
        self.publisher = Publisher()
        self._empty()

    def _empty(self) -> None:
        self.knock = Knock()
        self.faults = Faults()
        self.jobs: dict[str, Job] = {}
        #: Delayed writes: the time to execute each, and its job ID.
        self._late: list[tuple[dt.datetime, str]] = []
        self.calls: list[Call] = []
        #: The available times that were set, by community.
        self.chosen_times: dict[str, list[dt.datetime]] = {}
        self.rate = MinuteLimit(self._limit)

    def reset(self) -> None:
        """Delete all data, and end all delays in progress."""
        with self.lock:
            self._empty()
            self.publisher.reset()
            self._woken.set()
            self._woken = threading.Event()

    def wait(self, seconds: float) -> None:
        """Sleep for the given number of seconds, or until the sandbox is reset."""
        if seconds > 0:
            self._woken.wait(seconds)

    def receive(self, kind: str, *, method: str, path: str, query: str) -> Call:
        """Record and count a request, and choose the fault to apply to it."""
        with self.lock:
            now = self.clock()
            call = Call(
                number=len(self.calls) + 1,
                received_at=now,
                method=method,
                path=path,
                query=query,
                fault=self.faults.take(kind),
                remaining=self.rate.use(now),
            )
            self.calls.append(call)
            return call

    def record_response(self, call: Call, status: int) -> None:
        """Record the status of a request's response."""
        with self.lock:
            call.status, call.answered_at = status, self.clock()

    def write(self, kind: str, request: Mapping[str, Any], fault: Fault = NONE) -> Job:
        """Execute a valid write request, unless a fault prevents it. Return its job.

        The appointment then exists in Knock, even before the job reports it. Propexo works the same
        way: if a response is lost or a job never ends, the tour may still have been booked.
        """
        with self.lock:
            self.carry_out_late()
            now, job_id = self.clock(), str(uuid.uuid4())
            is_now = fault.is_booking and not fault.book_after
            record_id = self._execute(kind, request, job_id, now) if is_now else None
            seconds = self._job_seconds if fault.job_seconds is None else fault.job_seconds
            seconds = max(seconds, fault.book_after)
            job = Job(
                id=job_id,
                kind=kind,
                request=request,
                created_at=now,
                settles_at=now + dt.timedelta(seconds=seconds),
                outcome=fault.job or "SUCCESS",
                errors=_errors(fault),
                record_id=record_id,
            )
            self.jobs[job_id] = job
            if fault.is_booking and not is_now:
                self._late.append((job.created_at + dt.timedelta(seconds=fault.book_after), job_id))
            return job

    def new_id(self) -> str:
        """Return a new ID for a job or record."""
        return str(uuid.uuid4())

    def carry_out_late(self) -> None:
        """Execute the delayed writes that are due, oldest first."""
        with self.lock:
            now = self.clock()
            due = sorted(one for one in self._late if one[0] <= now)
            self._late = [one for one in self._late if one[0] > now]
            for at, job_id in due:
                job = self.jobs[job_id]
                record_id = self._execute(job.kind, job.request, job_id, at)
                self.jobs[job_id] = dataclasses.replace(job, record_id=record_id)

    def _execute(self, kind: str, request: Mapping[str, Any], job_id: str, now: dt.datetime) -> str:
        try:
            if kind == "appointment":
                return self.knock.book(request, job_id=job_id, now=now).id
            if kind == "event":
                return self.knock.add_note(request, job_id=job_id, now=now).id
            if kind == "prospect_update":
                return self.knock.update(request, now).id
            return self.knock.inquire(request, job_id=job_id, now=now).id
        finally:
            self.publish()

    def publish(self) -> None:
        """Send webhooks about all new and changed records. The caller must hold the lock."""
        for one in self.knock.touched:
            self.publisher.publish(model_of(one), record_of(one))
        self.knock.touched.clear()


def current_state() -> State:
    """Return the current Flask app's state."""
    return cast("State", current_app.extensions["sandbox"])


def _errors(fault: Fault) -> Sequence[str]:
    if fault.errors is not None:
        return fault.errors
    return (
        ("Knock did not accept the request",) if fault.job in ("FAILURE", "PARTIAL_SUCCESS") else ()
    )
