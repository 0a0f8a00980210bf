"""The web door: one WebSocket per listener at `/v1/talk`, sound as binary frames and events as JSON, both ways.

Added to the gateway's HTTP surface by `app`. `docs/reference/web-door.md` is its contract. It checks what comes in and
bounds what goes out; what any of it means is the session's business.
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from typing import Final, Protocol
from urllib.parse import urlsplit

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from parley_contract import door as events
from parley_contract import telemetry as words
from parley_contract.errors import MalformedMessageError
from parley_contract.frames import FRAME_BYTES, FRAME_MS, RATE_HZ
from parley_gateway.admissions import AdmissionError, Admissions
from parley_gateway.doors.pace import Pace
from parley_gateway.sessions import Session
from parley_gateway.settings import GatewaySettings
from parley_runtime.telemetry import Telemetry

PATH: Final = "/v1/talk"
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
_SPOKEN_REFUSALS: Final = 8
"""Who is refused is told aloud as long as no more than these are told so at once; a crowd reads it."""
_REFUSAL_SLACK_S: Final = 5.0
"""How much longer than its sound a refusal may take, for a client that does not listen."""
_CLOSE_S: Final = 5.0
"""How long a client may take to receive the last that is said to it; one that reads nothing receives it never."""
_FRAMES_HZ: Final = 1.02 * 1000 / FRAME_MS
"""Real time, and a little more: a client's clock may be fast."""
_FRAMES_AT_ONCE: Final = 10 * 1000 // FRAME_MS
"""Ten seconds: after a stall of the network a client sends what it has kept."""
_EVENTS_HZ: Final = 50.0
_EVENTS_AT_ONCE: Final = 500
"""As many as in ten seconds, for the same reason."""
_HURRIED_S: Final = 1.0
"""Further ahead than this, a client's messages are taken in turns with everybody else's."""


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


def add_web_door(app: FastAPI, admissions: Admissions, settings: GatewaySettings, telemetry: Telemetry) -> None:
    """Open the door on `app`."""
    speaking = asyncio.Semaphore(_SPOKEN_REFUSALS)

    @app.websocket(PATH)
    async def talk(socket: WebSocket) -> None:
        # Accepted first, refused afterwards: a browser shows nothing of a refused handshake, but reads an event.
        await socket.accept()
        door = WebDoor(telemetry)
        try:
            _check(socket, settings)
            session, resumed = await admissions.admit(socket.query_params.get("resume", ""))
        except AdmissionError as refusal:
            await _refuse(socket, refusal, speaking)
            return
        door.tell(_greeting(session, settings, resumed=resumed))
        session.join(door)
        try:
            await _converse(socket, door, session)
        finally:
            session.leave(door)


def _check(socket: WebSocket, settings: GatewaySettings) -> None:
    """Let in who knows the secret, and no page of another site: a browser would carry its visitor's access to us.

    Raises:
        AdmissionError: refused.
    """
    origin = socket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != socket.headers.get("host"):
        raise AdmissionError("forbidden_origin", "A page may only talk to the gateway that it was loaded from.")
    if not settings.worker_shared_secret:
        return
    scheme, _, bearer = socket.headers.get("authorization", "").partition(" ")
    # What a header holds are bytes, which Starlette shows as Latin-1.
    in_header = scheme.lower() == "bearer"
    token = bearer.encode("latin-1") if in_header else socket.query_params.get("token", "").encode()
    if not secrets.compare_digest(token, settings.worker_shared_secret.encode()):
        raise AdmissionError(
            "unauthorized", "Send the assistant's token as `Authorization: Bearer …` or as `?token=…`."
        )


async def _refuse(socket: Socket, refusal: AdmissionError, speaking: asyncio.Semaphore) -> None:
    """Say why not: as an event, then aloud in real time where there are words for it and few are told so now."""
    frames = refusal.spoken.frames if refusal.spoken and not speaking.locked() else ()
    with contextlib.suppress(WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(len(frames) * FRAME_MS / 1000 + _REFUSAL_SLACK_S):
            await socket.send_text(events.encode(error(refusal.code, str(refusal))))
            if frames:
                async with speaking:
                    for pcm in frames:
                        await socket.send_bytes(pcm)
                        await asyncio.sleep(FRAME_MS / 1000)
            await socket.close(CLOSE_CODES[refusal.code])


def _greeting(session: Session, settings: GatewaySettings, *, resumed: bool) -> events.Session:
    return events.Session(
        session=session.id,
        resume=f"{session.id}.{session.secret}",
        resumed=resumed,
        assistant=settings.assistant,
        language=settings.language,
        rate_hz=RATE_HZ,
        frame_ms=FRAME_MS,
        frame_bytes=FRAME_BYTES,
    )


async def _converse(socket: WebSocket, door: WebDoor, session: Session) -> None:
    """Send and receive until one side ends it."""
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(door.send_all(socket))
        receiving = tasks.create_task(_receive_all(socket, door, session))
        sending.add_done_callback(lambda _: receiving.cancel())
        receiving.add_done_callback(lambda _: sending.cancel())


async def _receive_all(socket: WebSocket, door: WebDoor, session: Session) -> None:
    """Hand on what the client sends, until it leaves; what comes after a mistake is not listened to."""
    began_at = time.monotonic()
    sound = Pace(rate_hz=_FRAMES_HZ, burst=_FRAMES_AT_ONCE, now=began_at)
    said = Pace(rate_hz=_EVENTS_HZ, burst=_EVENTS_AT_ONCE, now=began_at)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if door.is_closing:
            continue
        pcm = message.get("bytes")
        pace = said if pcm is None else sound
        if not pace.allows(time.monotonic()):
            door.close(error("too_fast", "Send sound in real time, 50 frames a second, and fewer events than frames."))
        elif pcm is None:
            _take_event(message.get("text", ""), door, session)
        elif len(pcm) == FRAME_BYTES:
            session.hear(pcm)
        else:
            door.close(error("bad_frame", f"A binary message is one frame of {FRAME_BYTES} bytes, not {len(pcm)}."))
        if pace.ahead_s > _HURRIED_S:
            # Messages that are here already are received without a pause, and the others would wait for all of them.
            await asyncio.sleep(0)


def _take_event(text: str, door: WebDoor, session: Session) -> None:
    try:
        request = events.decode_request(text)
    except MalformedMessageError:
        door.close(error("bad_event", "A text message is JSON with `event`: interrupt, position (with at_ms) or bye."))
        return
    match request:
        case events.Interrupt():
            session.interrupt()
        case events.Position(at_ms=at_ms):
            session.position(at_ms)
        case events.Bye():
            session.close(door)
