"""Propexo's jobs: a write is taken at once and ends a little later, seen by looking."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One write. Nothing runs: its status follows from the clock."""

    id: str
    #: What is written: ``appointment`` or ``prospect``.
    kind: str
    request: Mapping[str, Any]
    created_at: dt.datetime
    settles_at: dt.datetime
    #: SUCCESS, FAILURE or PARTIAL_SUCCESS; PENDING: it never ends.
    outcome: str
    errors: Sequence[str]
    #: The appointment or the prospect that was made, if any.
    record_id: str | None

    def status(self, now: dt.datetime) -> str:
        """The status that Propexo gives at this instant."""
        return self.outcome if now >= self.settles_at else "PENDING"

    def write_status(self, now: dt.datetime) -> dict[str, Any]:
        """The answer of ``GET /v1/admin/write-status/{job_id}``."""
        status = self.status(now)
        is_settled = status != "PENDING"
        return {
            "write_status": status,
            "errors": list(self.errors) if is_settled else [],
            "created_record_id": self.record_id if is_settled else None,
        }

    def log(self) -> dict[str, Any]:
        """One line of ``GET /v1/admin/logs/writes/``, which knows only success and failure."""
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
