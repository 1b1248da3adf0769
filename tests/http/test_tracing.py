"""Spans reach an OpenTelemetry collector."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import serving

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_calls_become_spans_of_the_callers_trace() -> None:
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{collector.server_port}"
    with serving(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as server:
        with server.client() as http:
            parent = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "x-request-id": "traced"}
            http.post("/v1/system/echo", json={"text": "a"}, headers=parent)
            http.post("/v1/system/echo", json={"text": 1})
        assert server.stop() == 0
    collector.shutdown()
    collector.server_close()
    thread.join()
    spans = [
        span
        for body in received
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    echoes = [span for span in spans if span.name == "system.echo"]
    codes = [
        a.value.string_value for s in echoes for a in s.attributes if a.key == "sensorium.code"
    ]
    assert codes == ["ok", "invalid_input"]
    assert echoes[0].trace_id.hex() == TRACE
