"""Who may call the transcription API, and how much they may send: decided before anything of a request is read.

Wrapped around the whole app by `add_api`. Health, metrics and status stay open: probes and scrapers have no secret.
"""

import secrets
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parley_asr.api.refusals import Refusal, answer, too_large

_GUARDED: Final = ("/transcribe", "/v1/")
_REFUSED_SOCKET: Final = 1008
"""Close code of RFC 6455: a policy was violated."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, secret: str, max_bytes: int) -> None:
        """Stand before `app`; an empty secret lets everybody in."""
        self._app = app
        self._secret = secret
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] not in {"http", "websocket"} or not scope["path"].startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        if not self._knows_secret(scope):
            await self._turn_away(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            await answer(too_large(self._max_bytes), scope["path"])(scope, receive, send)
            return
        await self._app(scope, self._bounded(receive), send)

    def _knows_secret(self, scope: Scope) -> bool:
        if not self._secret:
            return True
        scheme, _, bearer = Headers(scope=scope).get("authorization", "").partition(" ")
        # What a header holds are bytes, which Starlette shows as Latin-1.
        token = bearer.encode("latin-1")
        if scheme.lower() != "bearer":
            # A browser's WebSocket cannot send headers.
            token = (
                QueryParams(scope["query_string"]).get("token", "").encode() if scope["type"] == "websocket" else b""
            )
        return secrets.compare_digest(token, self._secret.encode())

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _REFUSED_SOCKET, "reason": "Send the secret."})
            return
        sentence = "Send the service's secret (WORKER_SHARED_SECRET) as `Authorization: Bearer …`."
        await answer(Refusal(HTTPStatus.UNAUTHORIZED, "unauthorized", sentence), scope["path"])(scope, receive, send)

    def _bounded(self, receive: Receive) -> Receive:
        """Count what comes, because a length need not be declared, or true."""
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if message["type"] == "http.request" and received > self._max_bytes:
                raise too_large(self._max_bytes)
            return message

        return bounded
