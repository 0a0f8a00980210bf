"""What agents say of their assistants reaches the status."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from parley_testkit.control_plane.access import Object
from parley_testkit.control_plane.assistants import ASSISTANTS, assistant, until_says
from parley_testkit.control_plane.namespaces import Namespace
from parley_testkit.control_plane.operators import running_operator
from parley_testkit.control_plane.plane import ControlPlane


@contextlib.contextmanager
def agents_that_say(said: Object) -> Iterator[str]:
    """Have agents that answer with this, and return their address."""

    class Agent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{{namespace}}/{{name}}"
        server.shutdown()
        thread.join()


def test_what_the_agent_says_is_in_the_status_and_a_missed_objective_is_no_reason_to_restart(
    plane: ControlPlane, namespace: Namespace, operator_account: None
) -> None:
    said = {
        "sessions": 2,
        "e2ft": {"p50_ms": 900.4, "p95_ms": 2100.0, "turns": 30},
        "model": {"name": "smollm2:135m", "loaded": True, "size_bytes": 1, "vram_bytes": 0},
        "streams": {"healthy": False, "problem": "WORK is missing"},
    }
    with agents_that_say(said) as address, running_operator(plane, namespaces=namespace.name, agents=address):
        namespace.apply(assistant())

        missed = until_says(namespace, "SLOMet", "Missed")
        assert missed["status"] == "False"
        assert "the aim is 1500 ms" in missed["message"]
        assert until_says(namespace, "StreamsReady", "StreamsUnhealthy")["message"] == "WORK is missing"
        status = namespace.get(ASSISTANTS, "libra")["status"]
        assert (status["sessions"], status["e2ft"]) == (2, {"p50Ms": 900, "p95Ms": 2100, "turns": 30})
