"""An OTLP/HTTP receiver on a free loopback port that keeps every span it is sent, for tests of whole traces."""

import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class ReceivedSpan(NamedTuple):
    """A span as a backend would see it; ids in hex, `parent_id` empty for a root, times in Unix nanoseconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, str]


class OtlpReceiver:
    """A running receiver; `running_otlp_receiver` is the way in."""

    def __init__(self, url: str) -> None:
        """Begin with no spans."""
        self.url: Final = url
        self.bodies: list[bytes] = []
        """All that was exported, traces and metrics, as it came: what no reading of it can overlook."""
        self._spans: list[ReceivedSpan] = []
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        """Keep the spans of one export."""
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            ReceivedSpan(
                service=next((a.value.string_value for a in group.resource.attributes if a.key == "service.name"), ""),
                name=span.name,
                trace_id=span.trace_id.hex(),
                span_id=span.span_id.hex(),
                parent_id=span.parent_span_id.hex(),
                start_ns=span.start_time_unix_nano,
                end_ns=span.end_time_unix_nano,
                attributes={a.key: str(a.value).strip() for a in span.attributes},
            )
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._spans += spans

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """Return the spans of one trace, by start."""
        with self._lock:
            return sorted((span for span in self._spans if span.trace_id == trace_id), key=lambda span: span.start_ns)

    def until(self, trace_id: str, names: set[str], timeout_s: float) -> list[ReceivedSpan]:
        """Wait until a trace has spans of all these names and return it; services export once a second.

        Raises:
            TimeoutError: naming what is missing.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.trace(trace_id)
            missing = names - {span.name for span in found}
            if not missing:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"no span {sorted(missing)}; there are {[(s.service, s.name) for s in found]}")
            time.sleep(0.1)


@contextlib.contextmanager
def running_otlp_receiver() -> Iterator[OtlpReceiver]:
    """Receive while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.bodies.append(body)
            if self.path == "/v1/traces":
                receiver.take(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = OtlpReceiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
