"""Send a trace of each lead, from the webhook to the booking, to an OpenTelemetry collector.

This needs the extra ``otel`` and ADAPTER_TRACES_URL. Otherwise, nothing is imported or recorded.
All processes derive a lead's trace ID from the ID of its event, so nothing is stored for it. Spans
have IDs, sources and results as attributes, but never personal data or error messages.
"""

import contextlib
import contextvars
import hashlib
import importlib.util
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from adapter.exceptions import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import SpanContext

log = logging.getLogger(__name__)

#: Timeout for each request to the collector and when a process ends, in seconds.
EXPORT_SECONDS: Final = 5.0
FLUSH_SECONDS: Final = 2.0

Facts = Mapping[str, str | int]
_NOTHING: Final = contextlib.nullcontext()
#: The trace and span IDs of the next span in this thread.
_next_ids: contextvars.ContextVar[tuple[int, int] | None] = contextvars.ContextVar(
    "next_ids", default=None
)
_traces: "Traces | None" = None


def check(url: str | None) -> None:
    """Raise ConfigurationError if traces are enabled but OpenTelemetry is not installed."""
    if url is not None and importlib.util.find_spec("opentelemetry") is None:
        raise ConfigurationError(
            "ADAPTER_TRACES_URL is set, but OpenTelemetry is not installed: "
            "pip install 'knock-lead-adapter[otel]', or unset ADAPTER_TRACES_URL"
        )


def configure(url: str | None, version: str) -> None:
    """Start sending this process's traces to a collector, unless ``url`` is None.

    Call this after a fork. Raise ConfigurationError if OpenTelemetry is not installed.
    """
    global _traces  # noqa: PLW0603 - one for each process, like the log
    check(url)
    _traces = Traces(url, version) if url is not None else None


def shut_down() -> None:
    """Send the remaining traces. Give up after a few seconds."""
    if _traces is not None:
        _traces.provider.force_flush(round(FLUSH_SECONDS * 1000))


def received(key: bytes, event_id: int, seconds: float, *, is_first: bool, **facts: str) -> None:
    """Record the receipt of a webhook. The first webhook of an event starts the event's trace."""
    if _traces is not None:
        _traces.received(key, event_id, seconds, facts, is_first=is_first)


def step(name: str, key: bytes, event_id: int | None, **facts: int) -> AbstractContextManager[None]:
    """Return a context manager that records a code block as a step in an event's trace."""
    if _traces is None or event_id is None:
        return _NOTHING
    return _traces.step(name, key, event_id, {**facts, "event": event_id})


def call(name: str) -> AbstractContextManager[None]:
    """Return a context manager that records a call to another system during the current step."""
    return _NOTHING if _traces is None else _traces.call(name)


def ids_of(key: bytes, event_id: int) -> tuple[int, int]:
    """Derive the IDs of an event's trace and root span from the event's ID and the hash key."""
    digest = hashlib.blake2b(str(event_id).encode(), digest_size=24, key=key[:64], person=b"trace")
    return int.from_bytes(digest.digest()[:16]), int.from_bytes(digest.digest()[16:])


class Traces:
    """Records spans, and sends them to the collector in the background."""

    def __init__(self, url: str, version: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import Decision

        # OpenTelemetry logs each failed request. We log only the first one.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        named = Resource({"service.name": "knock-lead-adapter", "service.version": version})
        self._api = trace
        #: Sends the spans. Its sampler and resource follow the environment variables ``OTEL_…``.
        self.provider = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()),
            id_generator=_id_generator(),
            shutdown_on_exit=False,
        )
        self._dropped = Decision.DROP
        exporter = OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS)
        self.provider.add_span_processor(BatchSpanProcessor(_logged(exporter)))
        self._tracer = self.provider.get_tracer("adapter", version)

    def received(
        self, key: bytes, event_id: int, seconds: float, facts: Facts, *, is_first: bool
    ) -> None:
        """Record a webhook. Call this after storing the webhook, when it has an ID."""
        ids = ids_of(key, event_id)
        parent = None if is_first else self._api.NonRecordingSpan(self._root(ids))
        token = _next_ids.set(ids if is_first else None)
        try:
            span = self._tracer.start_span(
                "webhook",
                self._api.set_span_in_context(parent or self._api.INVALID_SPAN),
                self._api.SpanKind.SERVER,
                {**_named(facts), "adapter.event": event_id},
                start_time=time.time_ns() - round(seconds * 1e9),
            )
        finally:
            _next_ids.reset(token)
        span.end()

    @contextlib.contextmanager
    def step(self, name: str, key: bytes, event_id: int, facts: Facts) -> Iterator[None]:
        """Record a step as a child of the root span in an event's trace."""
        root = self._api.NonRecordingSpan(self._root(ids_of(key, event_id)))
        with self._span(name, self._api.SpanKind.CONSUMER, facts, root):
            yield

    @contextlib.contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Record a call to another system as a child of the current step, if there is one."""
        if not self._api.get_current_span().is_recording():
            yield
            return
        with self._span(name, self._api.SpanKind.CLIENT, {}):
            yield

    @contextlib.contextmanager
    def _span(self, name: str, kind: Any, facts: Facts, parent: Any = None) -> Iterator[None]:
        context = self._api.set_span_in_context(parent) if parent is not None else None
        # An exception's text may contain personal data.
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            _named(facts),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as exc:
                span.set_attribute("error.type", type(exc).__name__)
                span.set_status(self._api.StatusCode.ERROR)
                raise

    def _root(self, ids: tuple[int, int]) -> "SpanContext":
        """Return a trace's root span context, with the receiving process's sampling decision."""
        decision = self.provider.sampler.should_sample(None, ids[0], "webhook").decision
        flags = self._api.TraceFlags(decision is not self._dropped)
        return self._api.SpanContext(*ids, is_remote=True, trace_flags=flags)


def _named(facts: Facts) -> dict[str, str | int]:
    return {f"adapter.{name}": value for name, value in facts.items()}


def _id_generator() -> "IdGenerator":
    """Return an ID generator that uses the IDs in ``_next_ids`` first, and then random IDs."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Generator(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            ids = _next_ids.get()
            return ids[0] if ids else super().generate_trace_id()

        def generate_span_id(self) -> int:
            ids = _next_ids.get()
            return ids[1] if ids else super().generate_span_id()

        def is_trace_id_random(self) -> bool:
            return False

    return Generator()


def _logged(exporter: "SpanExporter") -> "SpanExporter":
    """Wrap an exporter so that it logs when the collector starts failing and when it recovers."""
    from opentelemetry.sdk.trace.export import SpanExportResult

    export, failing = exporter.export, False

    def exported(spans: Any) -> SpanExportResult:
        nonlocal failing
        result = export(spans)
        has_failed = result is not SpanExportResult.SUCCESS
        if has_failed and not failing:
            log.warning("traces_not_delivered")
        elif failing and not has_failed:
            log.info("traces_delivered")
        failing = has_failed
        return result

    exporter.export = exported  # type: ignore[method-assign]
    return exporter
