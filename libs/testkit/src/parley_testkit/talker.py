"""A client of the web door for tests: speaks in real time, keeps every event and every frame with its time.

A real WebSocket, the real protocol. Not a player: what it hears it only keeps.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley_contract.frames import FRAME_BYTES, FRAME_MS
from parley_testkit.waiting import PATIENCE_S

Event = dict[str, Any]
_SILENCE: Final = bytes(FRAME_BYTES)


class Talker:
    """One connection; make it with `talking`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket: Final = socket
        self.events: list[Event] = []
        """Every event, with the time of its arrival as `_at` and the number of frames before it as `_frames`."""
        self.sound: list[tuple[float, bytes]] = []
        """Every frame, with the time of its arrival."""
        self.spoken: list[bytes] = []
        """Every frame sent."""
        self._changed = asyncio.Condition()
        self._is_over = False

    @property
    def session(self) -> Event:
        """The first event."""
        return self.events[0]

    async def listen(self) -> None:
        """Keep what comes until the connection closes."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self.socket:
                now = time.monotonic()
                if isinstance(message, bytes):
                    self.sound.append((now, message))
                else:
                    self.events.append({**json.loads(message), "_at": now, "_frames": len(self.sound)})
                async with self._changed:
                    self._changed.notify_all()
        async with self._changed:
            self._is_over = True
            self._changed.notify_all()

    async def say(self, pcm: bytes, *, then_silence_s: float = 0.0) -> None:
        """Send sound in real time, and silence after it."""
        frames = [pcm[n : n + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for n in range(0, len(pcm), FRAME_BYTES)]
        frames += [_SILENCE] * round(then_silence_s * 1000 / FRAME_MS)
        began_at = time.monotonic()
        for number, frame in enumerate(frames):
            await asyncio.sleep(began_at + number * FRAME_MS / 1000 - time.monotonic())
            self.spoken.append(frame)
            await self.socket.send(frame)

    async def send(self, **event: object) -> None:
        """Send an event."""
        await self.socket.send(json.dumps(event))

    async def until(self, kind: str, *, count: int = 1, timeout_s: float = PATIENCE_S) -> Event:
        """Wait until there are `count` events of a kind, those that came already included, and return that one.

        Raises:
            TimeoutError: none came in time.
            EOFError: the connection closed without one.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            while True:
                if len(found := self.of(kind)) >= count:
                    return found[count - 1]
                if self._is_over:
                    raise EOFError(f"closed with {self.socket.close_code} before {kind}")
                await self._changed.wait()

    async def closed(self) -> None:
        """Wait until the gateway has closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            await self.socket.wait_closed()

    def of(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if event["event"] == kind]


@contextlib.asynccontextmanager
async def talking(
    url: str, *, query: str = "", headers: dict[str, str] | None = None, wait: bool = True
) -> AsyncIterator[Talker]:
    """Connect to a gateway's HTTP address while the block lasts.

    Args:
        url: `http://host:port`.
        query: after the question mark.
        headers: of the handshake.
        wait: for the first event.
    """
    address = f"{url.replace('http', 'ws', 1)}/v1/talk?{query}"
    async with connect(
        address, additional_headers=headers, proxy=None, max_size=2**20, open_timeout=PATIENCE_S
    ) as socket:
        talker = Talker(socket)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(talker.listen())
            if wait:
                await talker.until("session")
            try:
                yield talker
            finally:
                await socket.close()
                listening.cancel()
