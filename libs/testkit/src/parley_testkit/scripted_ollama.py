"""A server that answers as Ollama does, with the lines it was told, right or wrong: for agents as real processes.

The model is always there and loaded. It records every question. Not for judging answers: that takes a real Ollama.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MODEL: Final = "scripted:1b"


def answer(text: str) -> list[bytes]:
    """Return the lines of a whole answer, a word each."""
    words = [{"message": {"role": "assistant", "content": f"{word} "}, "done": False} for word in text.split()]
    end = {
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 1,
        "eval_count": len(words),
    }
    return [json.dumps({"model": MODEL, **line}).encode() for line in (*words, end)]


class ScriptedOllama:
    """A running server; `running_scripted_ollama` is the way in."""

    def __init__(self, url: str) -> None:
        """Begin with a short answer to everything."""
        self.url: Final = url
        self.lines: list[bytes] = answer("Yes.")
        """What a question is answered with, a line each; nothing promises that they can be read."""
        self.status = 200
        """The status that it is answered with."""
        self.questions: list[dict[str, Any]] = []
        """Every question, as Ollama's API has it."""


@contextlib.contextmanager
def running_scripted_ollama() -> Iterator[ScriptedOllama]:
    """Answer on a free loopback port while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the base class's name
            loaded = {"model": MODEL, "name": MODEL, "size": 1, "size_vram": 0, "context_length": 2048}
            self._answer(200, json.dumps({"models": [loaded]}).encode())

        def do_POST(self) -> None:  # the base class's name
            server.questions.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(server.status, b"\n".join(server.lines) + b"\n")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = ScriptedOllama(f"http://127.0.0.1:{listening.server_port}")
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
