"""OpenTelemetry spans, exported as its standard environment variables say (extra `otel`).

Loaded only where one of those variables is set.
"""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sensorium.core.dispatch import Caller
from sensorium.core.version import VERSION


class OpenTelemetryTracer:
    """A span for each call; the caller's `traceparent` makes it part of the caller's trace."""

    def __init__(self) -> None:
        resource = Resource.create({"service.name": "sensorium", "service.version": VERSION})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("sensorium", VERSION)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, operation: str, caller: Caller) -> Span:
        """Begin a call's span."""
        parent = None
        if caller.trace_parent:
            parent = self._propagator.extract({"traceparent": caller.trace_parent})
        attributes = {
            "rpc.system": "sensorium",
            "rpc.method": operation,
            "sensorium.door": caller.door,
            "sensorium.request_id": caller.request_id,
        }
        return self._tracer.start_span(
            operation, context=parent, kind=SpanKind.SERVER, attributes=attributes
        )

    def end(self, span: Span, code: str) -> None:
        """End it with the code that the call ended with, or `ok`."""
        span.set_attribute("sensorium.code", code)
        if code != "ok":
            span.set_status(Status(StatusCode.ERROR, code))
        span.end()

    def stop(self) -> None:
        """Export what is left."""
        self._provider.shutdown()
