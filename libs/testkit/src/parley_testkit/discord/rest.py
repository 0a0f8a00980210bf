"""Discord's REST API, as far as a voice bot uses it, and the faults that a test orders.

`resources` and `callbacks` answer; here is what is common to all requests: who asks, faults, and the record of it.
"""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from aiohttp import web

from parley_testkit.discord.answers import ApiError, answer
from parley_testkit.discord.callbacks import Callbacks
from parley_testkit.discord.gateway import Gateway
from parley_testkit.discord.resources import Handler, Resources
from parley_testkit.discord.world import World

PREFIX: Final = "/api/v10"
_MAX_BYTES: Final = 32 * 1024 * 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(NamedTuple):
    """What a request is answered with instead."""

    method: str
    path: str
    """A part of it, such as `/callback`."""
    status: int
    code: int = 0
    """Discord's own."""
    retry_after_s: float | None = None
    """With 429."""


class Asked(NamedTuple):
    """A request that came."""

    at_s: float
    method: str
    path: str
    status: int


class Rest:
    """The API; `faults` is the test's."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        """Serve this world."""
        self.faults: Final[list[Fault]] = []
        """Each is used once, by the first request that it fits."""
        self.asked: Final[list[Asked]] = []
        self.callbacks: Final = Callbacks()
        self._resources = Resources(world, gateway)
        self._world = world
        self._gateway = gateway

    def application(self) -> web.Application:
        """Make what serves it, and the main gateway beside it."""
        app = web.Application(middlewares=[self._guard], client_max_size=_MAX_BYTES)
        for path in ("/gateway", "/gateway/"):  # clients differ in what they append the query to
            app.router.add_get(path, self._gateway.accept)
        for method, path, handler in self._resources.routes:
            app.router.add_route(method, PREFIX + path, self._authenticated(handler))
        self.callbacks.add_to(app.router, PREFIX)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not request.path.startswith(PREFIX):
            return await handler(request)
        fault = next((f for f in self.faults if f.method == request.method and f.path in request.path), None)
        try:
            if fault:
                self.faults.remove(fault)
                response: web.StreamResponse = _failure(fault)
            else:
                response = await handler(request)
        except ApiError as error:
            response = answer({"message": str(error), "code": error.code}, error.status)
        except web.HTTPNotFound:
            response = answer({"message": "404: Not Found", "code": 0}, HTTPStatus.NOT_FOUND)
        self.asked.append(Asked(time.monotonic(), request.method, request.path, response.status))
        return response

    def _authenticated(self, handler: Handler) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            bot = self._world.bot_of(request.headers.get("Authorization", "").removeprefix("Bot "))
            if bot is None:
                raise ApiError(HTTPStatus.UNAUTHORIZED, 0, "401: Unauthorized")
            content = await handler(request, bot)
            return answer(content) if content is not None else web.Response(status=HTTPStatus.NO_CONTENT)

        return handle


def _failure(fault: Fault) -> web.Response:
    words = HTTPStatus(fault.status).phrase
    body: dict[str, object] = {"message": words, "code": fault.code}
    if fault.retry_after_s is None:
        return answer(body, fault.status)
    headers = {"Retry-After": str(round(fault.retry_after_s)), "Via": "1.1 parley", "X-RateLimit-Scope": "user"}
    return answer(body | {"retry_after": fault.retry_after_s, "global": False}, fault.status, headers)
