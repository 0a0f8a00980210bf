"""A WebSocket of the emulator's side: what is said on it goes out in order, and it can break as a network breaks it."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

BROKEN: Final = 1006
"""The code that a client sees of a connection that ended without one (RFC 6455, 7.1.5)."""


class Socket:
    """One of them; `serve` is its life."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        """Speak on a socket that was just prepared."""
        self.closed_with: int | None = None
        """The code it ended with, by either side; None while it is open."""
        self._socket = socket
        self._request = request
        self._outgoing: asyncio.Queue[str | bytes | int] = asyncio.Queue()

    def say(self, message: str | bytes) -> None:
        """Send a message after those that were said before."""
        self._outgoing.put_nowait(message)

    def close(self, code: int) -> None:
        """Hang up after what was said before; `BROKEN` ends the connection at once and without a word."""
        if self.closed_with is not None:
            return
        self.closed_with = code
        if code == BROKEN and self._request.transport is not None:
            self._request.transport.abort()
        self._outgoing.put_nowait(code)

    async def receive(self) -> str | bytes | None:
        """Return the next message; None at the end."""
        message = await self._socket.receive()
        return message.data if message.type in (WSMsgType.TEXT, WSMsgType.BINARY) else None

    async def serve(self, take: Callable[[str | bytes], None]) -> None:
        """Give what comes to `take`, and send what is said, until either side hangs up."""
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write())
            while (message := await self.receive()) is not None:
                take(message)
            writing.cancel()
        if self.closed_with is None:
            self.closed_with = self._socket.close_code or BROKEN

    async def _write(self) -> None:
        while True:
            message = await self._outgoing.get()
            try:
                if isinstance(message, int):
                    await self._socket.close(code=message)
                    return
                await (self._socket.send_str(message) if isinstance(message, str) else self._socket.send_bytes(message))
            except (ConnectionError, RuntimeError):  # aiohttp's word for "closed already" is either
                return
