"""The operator's own HTTP: whether it lives and watches, and its metrics. Nothing here changes anything."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import structlog
from aiohttp import web

from parley_operator.metrics import Metrics

STUCK_S: Final = 600.0
"""An assistant that waits so long for a look, though it is due, waits for ever: then a restart is the better try."""
_LOG: Final = structlog.get_logger()


@contextlib.asynccontextmanager
async def served(
    host: str,
    ports: tuple[int, int],
    metrics: Metrics,
    oldest_s: Callable[[], float],
    is_ready: Callable[[], bool],
    lacking: Mapping[str, str],
) -> AsyncIterator[None]:
    """Answer while the block lasts.

    Args:
        host: address to listen on.
        ports: of health and of metrics; 0 for free ones.
        metrics: what is told.
        oldest_s: for how long the assistant that waits longest has been due.
        is_ready: whether the operator watches.
        lacking: namespaces that it cannot watch at the moment, and why.
    """

    async def healthz(_: web.Request) -> web.Response:
        waited_s = oldest_s()
        if waited_s > STUCK_S:
            return web.Response(status=503, text=f"an assistant has been due for {waited_s:.0f} s\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        said = ["ok" if is_ready() else "not watching yet"]
        said += [f"cannot watch {namespace or 'assistants'}: {why}" for namespace, why in lacking.items()]
        return web.Response(status=200 if is_ready() else 503, text="".join(f"{line}\n" for line in said))

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async with contextlib.AsyncExitStack() as stack:
        routes = (
            ("health", ports[0], {"/healthz": healthz, "/readyz": readyz}),
            ("metrics", ports[1], {"/metrics": page}),
        )
        for name, port, pages in routes:
            app = web.Application()
            for path, answer in pages.items():
                app.router.add_get(path, answer)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, host, port).start()
            _LOG.info("listening", what=name, port=runner.addresses[0][1])
        yield
