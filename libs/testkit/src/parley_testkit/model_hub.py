"""A model hub on loopback that answers as the real one does, and can be cut or held up in the middle of a file.

For tests of pulls: the client is the real one, pointed here by `HF_ENDPOINT` as people point it at a mirror.
"""

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, NamedTuple

REVISION: Final = "1" * 40
_BLOCK_BYTES: Final = 256 * 1024


class Asked(NamedTuple):
    """One download that was asked for."""

    path: str
    """In the repository."""
    start: int
    """First byte that was wanted."""


class ModelHub:
    """The hub; `model_hub` runs one."""

    def __init__(self, files: Mapping[str, bytes | Path]) -> None:
        """Offer these files, by their path in the repository, in whatever repository and revision is asked for."""
        self.files: Final = dict(files)
        self.asked: Final[list[Asked]] = []
        self.url = ""
        self.knows_ranges = True
        """Some mirrors give the whole file to whoever asks for its rest."""
        self.cut_after: int | None = None
        """Bytes of a file after which the connection breaks off; None for whole files."""
        self.cuts: int | None = None
        """How often it does so; None for always."""
        self.held_after: int | None = None
        """Bytes of a file after which nothing comes until `go_on` is set; None for whole files."""
        self.is_held: Final = threading.Event()
        self.go_on: Final = threading.Event()

    def content(self, path: str) -> bytes:
        """Return the bytes of a file."""
        content = self.files[path]
        return content.read_bytes() if isinstance(content, Path) else content


class _Handler(http.server.BaseHTTPRequestHandler):
    """`/<owner>/<repo>/resolve/<revision>/<path>`, with ranges and the headers that the hub's client looks for."""

    hub: ModelHub

    def do_HEAD(self) -> None:
        self.answer(is_head=True)

    def do_GET(self) -> None:
        self.answer(is_head=False)

    def answer(self, *, is_head: bool) -> None:
        path = self.path.partition("/resolve/")[2].partition("/")[2]
        if path not in self.hub.files:
            self.send_response(HTTPStatus.NOT_FOUND)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.hub.content(path)
        wanted = self.headers.get("Range", "bytes=0-") if self.hub.knows_ranges else "bytes=0-"
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if not is_head:
            self.hub.asked.append(Asked(path, start))
            with contextlib.suppress(ConnectionError):
                self.send(body, start)

    def send(self, body: bytes, start: int) -> None:
        end = self.end_of(body)
        held_at = self.hub.held_after
        for at in range(start, end, _BLOCK_BYTES):
            if held_at is not None and at >= held_at:
                self.hub.is_held.set()
                self.hub.go_on.wait()
                held_at = None
            self.wfile.write(body[at : min(at + _BLOCK_BYTES, end)])

    def end_of(self, body: bytes) -> int:
        """Return how much of a file is sent this time."""
        if self.hub.cut_after is None or self.hub.cuts == 0:
            return len(body)
        if self.hub.cuts is not None:
            self.hub.cuts -= 1
        return min(len(body), self.hub.cut_after)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def model_hub(files: Mapping[str, bytes | Path]) -> Iterator[ModelHub]:
    """Run a hub while the block lasts."""
    hub = ModelHub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        serving.join()
        server.server_close()
