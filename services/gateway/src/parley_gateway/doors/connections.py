"""One WebSocket of a listener, as a Door: what waits to be sent to it, in order, and how it ends.

Made by `web` for each client. What is sent is bounded: a client that cannot keep up is told so, and goes. Not here: who
may come in, and what a client sends.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from fastapi import WebSocketDisconnect

from parley_contract import door as events
from parley_contract import telemetry as words
from parley_runtime.telemetry import Telemetry

CLOSE_CODES: Final = {
    "bad_frame": 1003,
    "bad_event": 1007,
    "unauthorized": 1008,
    "forbidden_origin": 1008,
    "too_slow": 1008,
    "too_fast": 1008,
    "replaced": 1008,
    "internal": 1011,
    "draining": 1012,
    "too_many_sessions": 1013,
    "agent_unavailable": 1013,
}
"""Close code of RFC 6455 and its registry by the code of the fatal error that goes before."""
_NORMAL: Final = 1000
OUTGOING_LIMIT: Final = 512
"""Frames and events that may wait for a slow client: five seconds of both, and a reply's burst of text."""
_CLOSE_S: Final = 5.0
"""How long a client may take to receive the last that is said to it; one that reads nothing receives it never."""


class Socket(Protocol):
    """What a door needs of a WebSocket to send; starlette's fits."""

    async def send_text(self, data: str) -> None:
        """Send a text message; wait while the client takes nothing."""
        ...

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message, as above."""
        ...

    async def close(self, code: int) -> None:
        """Close with a code of RFC 6455."""
        ...


class WebDoor:
    """One connection, as a Door."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Nothing is sent before somebody runs `send_all`."""
        self._telemetry = telemetry
        self._waiting: deque[bytes | str] = deque()
        self._changed = asyncio.Event()
        self._close_code: int | None = None
        self._sending: asyncio.Timeout | None = None

    @property
    def is_closing(self) -> bool:
        """Whether nothing more is taken in either direction."""
        return self._close_code is not None

    def play(self, pcm: bytes) -> None:
        """See Door."""
        self._put(pcm)

    def tell(self, event: events.Event) -> None:
        """See Door."""
        if isinstance(event, events.Cut):
            # What waits here was cut with the rest; the client learns from `next_ms` that it never comes.
            self._waiting = deque(item for item in self._waiting if isinstance(item, str))
        self._put(events.encode(event))

    def close(self, why: events.Error | None) -> None:
        """See Door."""
        if self.is_closing:
            return
        if why is not None:
            self._waiting.clear()
            self._waiting.append(events.encode(why))
        self._close_code = CLOSE_CODES[why.code] if why else _NORMAL
        self._changed.set()
        if self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time() + _CLOSE_S)

    async def send_all(self, socket: Socket) -> None:
        """Send until the door is closed from this side, then close the socket.

        Returns at once if the client is gone, and soon if it takes nothing any more.
        """
        try:
            async with asyncio.timeout(_CLOSE_S if self.is_closing else None) as sending:
                self._sending = sending
                await self._send_until_closed(socket)
        except (WebSocketDisconnect, TimeoutError):
            return
        finally:
            self._sending = None

    async def _send_until_closed(self, socket: Socket) -> None:
        while self._waiting or self._close_code is None:
            while self._waiting:
                item = self._waiting.popleft()
                await (socket.send_text(item) if isinstance(item, str) else socket.send_bytes(item))
            if self._close_code is None:
                self._changed.clear()
                await self._changed.wait()
        await socket.close(self._close_code)

    def _put(self, item: bytes | str) -> None:
        if self.is_closing:
            return
        if len(self._waiting) >= OUTGOING_LIMIT:
            self._telemetry.record(words.FRAMES_DROPPED, len(self._waiting), reason="slow client")
            self.close(
                error("too_slow", "The connection takes less than it is sent. Reconnect with resume on a better one.")
            )
            return
        self._waiting.append(item)
        self._changed.set()


def error(code: str, sentence: str) -> events.Error:
    """Make a fatal error; its code is one of CLOSE_CODES."""
    return events.Error(code=code, sentence=sentence, fatal=True)
