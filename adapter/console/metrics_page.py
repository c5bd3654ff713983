"""Serve metrics for Prometheus at ``GET /metrics``.

Each request reads the metrics from PostgreSQL, so that all web processes return the same values.
They contain no personal data.
"""

import collections
import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.registry import Collector
from werkzeug.wrappers import Response

from adapter.console.context import bp, services
from adapter.operations.health import Verdict
from adapter.operations.status import Overview, SourceState, overview_of
from adapter.pipeline import Pipeline
from adapter.store import meter
from adapter.webhooks.http_request import has_bearer_token

#: The counter of rejected requests, which has its own database table.
REJECTIONS: Final = meter.Metric(
    "rejections",
    "Number of rejected requests. The source is empty if the URL does not name one.",
    {"source": None, "reason": ()},
)
COUNTED: Final = (*meter.METRICS, REJECTIONS)
#: The meaning and the labels of each gauge.
GAUGES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "problem": ("1 for each problem that `adapter stats` shows.", ("code", "source")),
    "workers_alive": ("Number of workers with a heartbeat in the last 30 seconds.", ()),
    "oldest_unmapped_seconds": ("Age of the oldest unmapped webhook.", ()),
    "oldest_due_seconds": ("Time since the oldest due booking became due.", ()),
    "waiting": ("Number of leads that need review.", ()),
    "oldest_waiting_seconds": ("Age of the oldest lead that needs review.", ()),
    "pending": ("Number of bookings in the send queue.", ()),
    "sending_stopped": ("1 while sending is suspended.", ()),
    "oldest_pause_seconds": ("Age of the oldest pause by a user, or 0 if there is none.", ()),
    "calls": ("Number of calls to Propexo in the last 60 seconds.", ()),
    "calls_allowed": ("Maximum number of calls to Propexo in 60 seconds, from the settings.", ()),
    "events_24h": ("Number of webhooks in the last 24 hours.", ("source",)),
    "source_quiet": ("1 while a source has been silent for longer than usual.", ("source",)),
    "format_changes": (
        "Number of changes in a source's format. See `adapter sources`.",
        ("source",),
    ),
    "last_event_seconds": ("Time since the source's last webhook.", ("source",)),
    "refused": ("Number of rejected requests in the database.", ("source",)),
    "leads_24h": ("Number of leads in the last 24 hours, by state.", ("source", "state")),
}

#: The samples of a metric for one combination of labels.
Samples = Mapping[str, float]


def blueprint(pipeline: Pipeline) -> flask.Blueprint:
    """Return the blueprint of the metrics route. The route requires the metrics token."""
    routes = flask.Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        if not has_bearer_token(flask.request, pipeline.settings.metrics_token):
            flask.abort(401)
        return figures(pipeline)

    return routes


@bp.get("/metrics", endpoint="metrics")
def figures_for_users() -> Response:
    """Return the metrics to a signed-in user, who needs no token."""
    return figures(services.pipeline)


def figures(pipeline: Pipeline) -> Response:
    """Return the metrics in Prometheus text format."""
    overview = overview_of(pipeline.store, pipeline.sources, pipeline.settings, pipeline.clock())
    with pipeline.store.transaction() as tx:
        values = tx.metrics.all() | _rejected(tx.rejections.totals())
    registry = CollectorRegistry()
    registry.register(_OverviewCollector(overview, values))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_1_0_0)


def _rejected(totals: Mapping[tuple[str, str], int]) -> dict[meter.Key, float]:
    return {(REJECTIONS.name, labels, meter.TOTAL): count for labels, count in totals.items()}


class _OverviewCollector(Collector):
    """Exports the overview's gauges, and the stored counters and histograms."""

    def __init__(self, overview: Overview, values: Mapping[meter.Key, float]) -> None:
        self._overview = overview
        self._values = values

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics for the Prometheus client."""
        one = self._overview
        yield from _verdict_gauges(one.verdict)
        pauses = [pause.since for pause in one.pauses]
        yield from (
            _gauge("waiting", one.waiting),
            _gauge("oldest_waiting_seconds", _seconds(one.oldest_waiting_at, one.at)),
            _gauge("pending", one.sending.pending),
            _gauge("sending_stopped", bool(one.sending.stopped_for)),
            _gauge("oldest_pause_seconds", _seconds(min(pauses, default=None), one.at)),
            _gauge("calls", one.sending.calls),
            _gauge("calls_allowed", one.rate_per_minute),
        )
        yield from _source_gauges(one.sources, one.at)
        names = [source.name for source in one.sources]
        for metric in COUNTED:
            yield _counted(metric, self._values, names)


def _counted(
    metric: meter.Metric, values: Mapping[meter.Key, float], sources: Iterable[str]
) -> Metric:
    """Return a counter or histogram that includes series with a value of zero.

    Prometheus would not notice the first event in a series that begins with 1.
    """
    known = [tuple(sources) if one is None else one for one in metric.labels.values()]
    samples: dict[tuple[str, ...], dict[str, float]] = collections.defaultdict(dict)
    samples |= {labels: {} for labels in itertools.product(*known)}
    for (name, labels, sample), value in values.items():
        if name == metric.name:
            samples[labels][sample] = value
    return (_histogram if metric.buckets else _counter)(metric, samples)


def _counter(metric: meter.Metric, samples: Mapping[tuple[str, ...], Samples]) -> Metric:
    family = CounterMetricFamily(
        f"adapter_{metric.name}", metric.meaning, labels=list(metric.labels)
    )
    for labels, values in samples.items():
        family.add_metric(labels, values.get(meter.TOTAL, 0))
    return family


def _histogram(metric: meter.Metric, samples: Mapping[tuple[str, ...], Samples]) -> Metric:
    family = HistogramMetricFamily(
        f"adapter_{metric.name}", metric.meaning, labels=list(metric.labels)
    )
    for labels, values in samples.items():
        family.add_metric(labels, _buckets(metric, values), values.get(meter.SUM, 0))
    return family


def _buckets(metric: meter.Metric, values: Samples) -> list[tuple[str, float]]:
    """Return the cumulative count of each histogram bucket, keyed by upper bound.

    Counts from an earlier version with other limits are in the next larger bucket.
    """
    stored = {float(limit): value for limit, value in values.items() if limit != meter.SUM}
    return [
        (limit, sum(value for upper, value in stored.items() if upper <= float(limit)))
        for limit in metric.samples
    ]


def _verdict_gauges(verdict: Verdict) -> Iterator[Metric]:
    """Yield gauges for the current problems and the values they depend on."""
    problems = _family("problem")
    for problem in verdict.problems:
        problems.add_metric([problem.code, problem.source], 1)
    yield problems
    if (facts := verdict.facts) is None:
        return
    yield _gauge("workers_alive", facts.workers)
    yield _gauge("oldest_unmapped_seconds", _seconds(facts.queue.oldest_unmapped_at, verdict.at))
    yield _gauge("oldest_due_seconds", _seconds(facts.queue.oldest_due_at, verdict.at))
    changes = _family("format_changes")
    for source, count in collections.Counter(one.source for one in facts.formats).items():
        changes.add_metric([source], count)
    yield changes


def _source_gauges(sources: Iterable[SourceState], now: dt.datetime) -> Iterator[Metric]:
    """Yield the gauges with one value per source."""
    events, quiet, last = (
        _family("events_24h"),
        _family("source_quiet"),
        _family("last_event_seconds"),
    )
    refused, leads = _family("refused"), _family("leads_24h")
    for one in sources:
        events.add_metric([one.name], one.events)
        quiet.add_metric([one.name], one.is_quiet)
        refused.add_metric([one.name], one.rejections)
        if one.last_event_at is not None:
            last.add_metric([one.name], _seconds(one.last_event_at, now))
        for state, count in one.states.items():
            leads.add_metric([one.name, state], count)
    yield from (events, quiet, last, refused, leads)


def _family(name: str) -> GaugeMetricFamily:
    meaning, labels = GAUGES[name]
    return GaugeMetricFamily(f"adapter_{name}", meaning, labels=labels)


def _gauge(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"adapter_{name}", GAUGES[name][0], value=value)


def _seconds(since: dt.datetime | None, now: dt.datetime) -> float:
    return (now - since).total_seconds() if since is not None else 0.0
