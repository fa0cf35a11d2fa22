"""OpenTelemetry traces, from the header of a Kafka record to its prediction, and of requests.

The context comes and goes as W3C Trace Context, in the header `traceparent`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stream.config import Traces as Settings
from stream.errors import MissingExtra
from stream.logs import TRACEPARENT, Lines
from stream.types import Prediction, Record

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

Headers = tuple[tuple[str, bytes], ...]
Answered = Callable[[str, int], None]

_FLUSH_S = 2.0
_SENT_ON = 512  # spans exported together at most; what a slow collector does not take is dropped


class Traces:
    """Makes spans and sends them on in a thread of its own.

    Parameters
    ----------
    settings
        With an endpoint.
    exporter
        Where spans go instead of there.

    Raises
    ------
    MissingExtra
        The packages are not installed.
    """

    def __init__(self, settings: Settings, exporter: SpanExporter | None = None) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise MissingExtra("traces.endpoint", "traces") from error
        self._all = settings.share > 0
        self._trace = trace
        self._context = TraceContextTextMapPropagator()
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.share),
            resource=Resource.create({"service.name": "braidstream"}),
            shutdown_on_exit=False,
        )
        if exporter is None:
            exporter = OTLPSpanExporter(endpoint=settings.endpoint)
        self._exporter = exporter
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_export_batch_size=_SENT_ON)
        )
        Lines.span = staticmethod(trace.get_current_span)
        self._tracer = self._provider.get_tracer("braidstream")

    def predicted(
        self, made: Prediction, record: Record, begun_s: float, ended_s: float
    ) -> Headers:
        """A span for a prediction, as a child of the record's; the headers that it goes out with.

        `begun_s` and `ended_s` are seconds since the epoch, of the micro-batch.
        """
        found = carried(record)
        if not (found or self._all):
            return ()
        span = self._tracer.start_span(
            "predict",
            context=self._context.extract(
                {name: value.decode("ascii", "replace") for name, value in found}
            ),
            kind=self._trace.SpanKind.CONSUMER,
            start_time=int(begun_s * 1e9),
            attributes={
                "messaging.system": "kafka",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "braid.event.id": made.id,
                "braid.position": made.position,
                "braid.late": made.late,
            },
        )
        span.end(int(ended_s * 1e9))
        return self._headers(span)

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Answered]:
        """A span around an HTTP request; call what it yields with the route and the status."""
        context = self._context.extract({TRACEPARENT: headers.get(TRACEPARENT, "")})
        kind = self._trace.SpanKind.SERVER
        attributes = {"http.request.method": method}
        with self._tracer.start_as_current_span(
            method, context=context, kind=kind, attributes=attributes
        ) as span:

            def answered(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": status})
                if status >= 500:
                    span.set_status(self._trace.StatusCode.ERROR)

            yield answered

    def close(self) -> None:
        """Send what is left within two seconds, and end the thread."""
        giving_up = threading.Timer(_FLUSH_S, self._exporter.shutdown)
        giving_up.start()
        self._provider.shutdown()
        giving_up.cancel()
        Lines.span = None

    def _headers(self, span: Any) -> Headers:
        carrier: dict[str, str] = {}
        self._context.inject(carrier, context=self._trace.set_span_in_context(span))
        return tuple((name, value.encode()) for name, value in carrier.items())


def begun(settings: Settings) -> Traces | None:
    """Traces where a collector is named."""
    return Traces(settings) if settings.endpoint else None


def carried(record: Record) -> Headers:
    """The trace context of a record."""
    return tuple(
        (name, value) for name, value in record.headers if name in {TRACEPARENT, "tracestate"}
    )
