"""A proxy before the API server, in which requests fail, watches break and somebody counts the writes.

Plain HTTP on loopback: whoever shall meet misfortunes is told its URL in place of the API server's, and shows the token
that it shows there.
"""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import aiohttp
import yarl
from aiohttp import web

from parley_cli.launches import LOOPBACK
from parley_testkit.control_plane.access import trusting
from parley_testkit.control_plane.plane import ControlPlane

_WRITES: Final = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "transfer-encoding", "content-encoding", "host"})
_REASONS: Final = {409: "Conflict", 429: "TooManyRequests"}
_START_S: Final = 10.0

Matches = Callable[[str, str], bool]
"""Whether a request is meant, by its method and path."""


@dataclass
class _Misfortune:
    matches: Matches
    times: int
    status: int
    retry_after_s: int


class ApiProxy:
    """One proxy; `running_proxy` is the way in. What is public may be used from any thread."""

    def __init__(self, plane: ControlPlane) -> None:
        """Stand before this control plane."""
        self.url = ""
        self.writes: Final[list[tuple[str, str]]] = []
        """Method and path of every write that the API server has answered, the oldest first."""
        self.failed: Final[list[tuple[str, str, float]]] = []
        """Method, path and time (monotonic seconds) of every request that met a misfortune."""
        self.after_write: Callable[[int], None] = lambda _: None
        """Called with the number of writes so far, before whoever wrote hears of it."""
        self._plane = plane
        self._misfortunes: list[_Misfortune] = []
        self._watches: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def fail(self, matches: Matches, *, times: int, status: int, retry_after_s: int = 0) -> None:
        """Let the next requests that match meet a misfortune.

        Args:
            matches: which.
            times: how many.
            status: what is answered in the API server's place; 0 breaks the connection after it has answered.
            retry_after_s: told with it; 0 for nothing.
        """
        self._misfortunes.append(_Misfortune(matches, times, status, retry_after_s))

    def cut(self) -> int:
        """Break all watches; return how many there were."""
        assert self._loop is not None  # noqa: S101  # it runs
        broken: Future[int] = Future()
        self._loop.call_soon_threadsafe(lambda: broken.set_result(sum(watch.cancel() for watch in self._watches)))
        return broken.result(timeout=5)

    async def serve(self, listening: threading.Event, stop: threading.Event) -> None:
        """Listen until told to stop."""
        self._loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusting(self._plane.authority), limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as upstream:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", functools.partial(self._pass_on, upstream))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, 0).start()
            self.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}"
            listening.set()
            await asyncio.to_thread(stop.wait)
            await runner.cleanup()

    async def _pass_on(self, upstream: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        misfortune = self._misfortune_of(request)
        if misfortune is not None:
            self.failed.append((request.method, request.path, time.monotonic()))
            if misfortune.status:
                return _refusal(misfortune)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        url = yarl.URL(f"{self._plane.url}{request.rel_url}", encoded=True)
        body = await request.read() or None
        async with upstream.request(request.method, url, headers=headers, data=body) as answer:
            if request.method in _WRITES:
                return await self._pass_back(request, answer, is_broken=misfortune is not None)
            return await self._stream_back(request, answer)

    async def _pass_back(
        self, request: web.Request, answer: aiohttp.ClientResponse, *, is_broken: bool
    ) -> web.StreamResponse:
        body = await answer.read()
        self.writes.append((request.method, request.path))
        await asyncio.to_thread(self.after_write, len(self.writes))
        if is_broken and request.transport is not None:
            request.transport.close()
        return web.Response(status=answer.status, body=body, headers=_end_to_end(answer))

    async def _stream_back(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        back = web.StreamResponse(status=answer.status, headers=_end_to_end(answer))
        back.enable_chunked_encoding()
        await back.prepare(request)
        task = asyncio.current_task()
        if task is not None and "watch" in request.query:
            self._watches.add(task)
        try:
            async for chunk in answer.content.iter_any():
                await back.write(chunk)
            await back.write_eof()
        finally:
            if task is not None:
                self._watches.discard(task)
        return back

    def _misfortune_of(self, request: web.Request) -> _Misfortune | None:
        for each in self._misfortunes:
            if each.times > 0 and each.matches(request.method, request.path):
                each.times -= 1
                return each
        return None


@contextlib.contextmanager
def running_proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    """Run a proxy while the block lasts.

    Raises:
        TimeoutError: it did not listen in time.
    """
    proxy = ApiProxy(plane)
    listening, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve(listening, stop)), name="api-proxy")
    thread.start()
    try:
        if not listening.wait(_START_S):
            raise TimeoutError(f"the proxy did not listen within {_START_S:g} s")
        yield proxy
    finally:
        stop.set()
        thread.join()


def _refusal(misfortune: _Misfortune) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "a misfortune of the test",
        "reason": _REASONS.get(misfortune.status, "InternalError"),
        "code": misfortune.status,
    }
    headers = {"Retry-After": str(misfortune.retry_after_s)} if misfortune.retry_after_s else {}
    return web.json_response(status, status=misfortune.status, headers=headers)


def _end_to_end(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
