"""Collect metrics in memory, and add them to the totals in the database.

A request or booking only updates counters in memory. Every few seconds, each process adds them to
the table in one statement, so that all web processes on all machines return the same metrics.
"""

import bisect
import dataclasses
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from adapter.store.queries import Statements
from adapter.store.rows import Row

#: A metric's name, the values of its labels, and, for a histogram, the bucket or ``sum``.
Key = tuple[str, tuple[str, ...], str]
#: The sample of a counter, and a histogram's samples for the sum and the unlimited bucket.
TOTAL, SUM, REST = "", "sum", "+Inf"

#: How often each process saves its metrics, in seconds.
SAVE_SECONDS: Final = 10.0
#: Maximum number of history entries to count in one statement.
MOST_COUNTED: Final = 10_000

#: Upper limits of the buckets, in seconds.
FAST: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
LEAD: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """A metric: a histogram if it has buckets, and otherwise a counter."""

    #: The name without the prefix and, for a counter, without ``_total``.
    name: str
    meaning: str
    #: The possible values of each label. None means the names of the sources.
    labels: Mapping[str, tuple[str, ...] | None] = dataclasses.field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    #: The names of the buckets, including the unlimited one.
    samples: tuple[str, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Format the bucket limits once, because every request needs them."""
        names = (*(f"{limit:g}" for limit in self.buckets), REST)
        object.__setattr__(self, "samples", names)


WEBHOOKS: Final = Metric(
    "webhooks",
    "Number of verified webhooks by response: `accepted` and `duplicate` (200), or `unavailable` "
    "(503).",
    {"source": None, "outcome": ("accepted", "duplicate", "unavailable")},
)
EVENTS: Final = Metric(
    "events",
    "Number of stored webhooks by result: mapped to bookings, held for review, ignored or "
    "discarded. "
    "A replayed webhook counts again.",
    {"source": None, "outcome": ("mapped", "held", "ignored", "discarded")},
)
BOOKINGS: Final = Metric(
    "bookings",
    "Number of bookings that changed to each state.",
    {
        "source": None,
        "state": (
            *("pending", "held", "sending", "submitted", "booked", "failed"),
            *("unknown", "superseded", "duplicate", "expired", "discarded"),
        ),
    },
)
_OPERATIONS: Final = (
    *("create_appointment", "create_prospect", "create_note"),
    *("read_status", "read_list", "read_availability", "check_token"),
)
REQUESTS: Final = Metric(
    "propexo_requests",
    "Number of requests to Propexo by result.",
    {
        "operation": _OPERATIONS,
        "result": (
            *("ok", "rate_limited", "not_authorized", "refused", "wrong_path", "unreachable"),
            "no_clear_answer",
        ),
    },
)
ACKNOWLEDGE: Final = Metric(
    "acknowledge_seconds",
    "Time from receiving a complete request to storing its webhook.",
    {},
    FAST,
)
TIME_TO_POST: Final = Metric(
    "time_to_post_seconds",
    "Time from a webhook to the start of its first POST to Propexo, for leads that needed no "
    "review.",
    {"source": None},
    LEAD,
)
TIME_TO_BOOKED: Final = Metric(
    "time_to_booked_seconds",
    "Time from a webhook to the booking of its tour, for leads that needed no review.",
    {"source": None},
    LEAD,
)
REQUEST_SECONDS: Final = Metric(
    "propexo_request_seconds",
    "Duration of requests to Propexo, including the time to connect.",
    {"operation": _OPERATIONS},
    REQUEST,
)
#: All metrics in the table ``metric_values``.
METRICS: Final = (
    *(WEBHOOKS, EVENTS, BOOKINGS, REQUESTS),
    *(ACKNOWLEDGE, TIME_TO_POST, TIME_TO_BOOKED, REQUEST_SECONDS),
)


class Meter:
    """Collects a process's metrics until they are saved. It is thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[Key, float] = defaultdict(float)

    def count(self, metric: Metric, *labels: str) -> None:
        """Increment a counter by one."""
        with self._lock:
            self._values[metric.name, labels, TOTAL] += 1

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Record a duration in seconds in a histogram."""
        bucket = metric.samples[bisect.bisect_left(metric.buckets, seconds)]
        with self._lock:
            self._values[metric.name, labels, bucket] += 1
            self._values[metric.name, labels, SUM] += seconds

    def take(self) -> Mapping[Key, float]:
        """Return the collected values and reset them to zero."""
        with self._lock:
            taken, self._values = self._values, defaultdict(float)
        return taken

    def put_back(self, values: Mapping[Key, float]) -> None:
        """Restore values that could not be saved."""
        with self._lock:
            for key, value in values.items():
                self._values[key] += value


class MetricValues(Statements):
    """Reads and updates the totals of all metrics within a transaction."""

    def add(self, values: Mapping[Key, float]) -> None:
        """Add the values collected by a process to the totals."""
        # Sorted, because two processes that lock the same rows in different orders may deadlock.
        keys = sorted(values)
        self._run(
            "add_metric_values",
            metrics=[name for name, _, _ in keys],
            labels=["\n".join(labels) for _, labels, _ in keys],
            samples=[sample for _, _, sample in keys],
            values=[values[key] for key in keys],
        )

    def count_history(self, until: int) -> bool:
        """Count the state changes in the history up to an ID. Return True if more remain.

        Do nothing if another worker is counting.
        """
        progress = self._one("lock_metric_progress")
        if progress is None or progress["position"] >= until:
            return False
        part = {"after": progress["position"], "until": until}
        row = self._one("history_part_end", **part, limit=MOST_COUNTED) or {}
        end = row["id"] or until
        self._run("count_history", **part | {"until": end}, buckets=list(LEAD))
        return bool(end < until)

    def all(self) -> dict[Key, float]:
        """Return the totals of all metrics."""
        rows = self._all("metric_values")
        return {(row["metric"], _labels(row), row["sample"]): row["value"] for row in rows}


def _labels(row: Row) -> tuple[str, ...]:
    return tuple(row["labels"].splitlines())
