"""Export the metrics of ``adapter stats`` to Prometheus at ``GET /metrics``.

Each request reads them from PostgreSQL, so that all web processes return the same values. They
contain no personal data.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping

import flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.registry import Collector
from werkzeug.wrappers import Response

from adapter.console.context import bp, services
from adapter.operations.health import Verdict
from adapter.operations.status import Overview, SourceState, overview_of
from adapter.pipeline import Pipeline
from adapter.webhooks.http_request import has_bearer_token


def blueprint(pipeline: Pipeline) -> flask.Blueprint:
    """Return the blueprint of ``/metrics``, which requires a bearer token."""
    routes = flask.Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        if not has_bearer_token(flask.request, pipeline.settings.metrics_token):
            flask.abort(401)
        return figures(pipeline)

    return routes


@bp.get("/metrics", endpoint="metrics")
def figures_for_users() -> Response:
    """Return the metrics to a user who is signed in to the console."""
    return figures(services.pipeline)


def figures(pipeline: Pipeline) -> Response:
    """Return all metrics in the Prometheus text format."""
    overview = overview_of(pipeline.store, pipeline.sources, pipeline.settings, pipeline.clock())
    with pipeline.store.transaction() as tx:
        rejected = tx.rejections.totals()
    registry = CollectorRegistry()
    registry.register(_OverviewCollector(overview, rejected))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_1_0_0)


class _OverviewCollector(Collector):
    """Collects Prometheus gauges from the overview, and counters from the database."""

    def __init__(self, overview: Overview, rejected: Mapping[tuple[str, str], int]) -> None:
        self._overview = overview
        self._rejected = rejected

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of the adapter."""
        one = self._overview
        yield from _verdict_gauges(one.verdict)
        yield _gauge("waiting", "Leads that need review.", one.waiting)
        yield _gauge(
            "oldest_waiting_seconds",
            "Age of the oldest lead that needs review.",
            _seconds(one.oldest_waiting_at, one.at),
        )
        yield _gauge("pending", "Bookings in the send queue.", one.sending.pending)
        yield _gauge(
            "sending_stopped", "1 while sending is suspended.", bool(one.sending.stopped_for)
        )
        yield _gauge(
            "oldest_pause_seconds",
            "Age of the oldest pause by a user, or 0.",
            _seconds(min((pause.since for pause in one.pauses), default=None), one.at),
        )
        yield _gauge("calls", "Calls to Propexo in the last 60 seconds.", one.sending.calls)
        yield _gauge("calls_allowed", "Calls allowed by the setting.", one.rate_per_minute)
        yield from _source_gauges(one.sources, one.at)
        rejections = CounterMetricFamily(
            "adapter_rejections", "Rejected requests.", labels=["source", "reason"]
        )
        for labels, count in self._rejected.items():
            rejections.add_metric(labels, count)
        yield rejections


def _verdict_gauges(verdict: Verdict) -> Iterator[Metric]:
    """Yield the current problems as gauges, and the values that alert rules may need."""
    problems = _family("problem", "1 for each problem; see adapter stats.", ["code", "source"])
    for problem in verdict.problems:
        problems.add_metric([problem.code, problem.source], 1)
    yield problems
    if (facts := verdict.facts) is None:
        return
    yield _gauge("workers_alive", "Workers with a heartbeat in the last 30 s.", facts.workers)
    for name, meaning, since in (
        ("oldest_unmapped_seconds", "Age of the oldest unmapped webhook.", "oldest_unmapped_at"),
        ("oldest_due_seconds", "How long the oldest booking has been due.", "oldest_due_at"),
    ):
        yield _gauge(name, meaning, _seconds(getattr(facts.queue, since), verdict.at))


def _source_gauges(sources: Iterable[SourceState], now: dt.datetime) -> Iterator[Metric]:
    """Yield the gauges that have one value per source."""
    events = _family("events_24h", "Webhooks in the last 24 hours.", ["source"])
    quiet = _family("source_quiet", "1 while a source is silent for longer than usual.", ["source"])
    last = _family("last_event_seconds", "Time since the last webhook.", ["source"])
    refused = _family("refused", "Rejected requests in the database.", ["source"])
    leads = _family("leads_24h", "Leads in the last 24 hours by state.", ["source", "state"])
    for one in sources:
        events.add_metric([one.name], one.events)
        quiet.add_metric([one.name], one.is_quiet)
        refused.add_metric([one.name], one.rejections)
        if one.last_event_at is not None:
            last.add_metric([one.name], _seconds(one.last_event_at, now))
        for state, count in one.states.items():
            leads.add_metric([one.name, state], count)
    yield from (events, quiet, last, refused, leads)


def _family(name: str, meaning: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"adapter_{name}", meaning, labels=labels)


def _gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"adapter_{name}", meaning, value=value)


def _seconds(since: dt.datetime | None, now: dt.datetime) -> float:
    return (now - since).total_seconds() if since is not None else 0.0
