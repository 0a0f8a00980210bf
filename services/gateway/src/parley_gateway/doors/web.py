"""The web door: one WebSocket per listener at `/v1/talk`, sound as binary frames and events as JSON, both ways.

Added to the gateway's HTTP surface by `app`. `docs/reference/web-door.md` is its contract. It lets in and refuses, and
checks what comes in; what goes out is `connections`', and what any of it means is the session's business.
"""

import asyncio
import contextlib
import secrets
import time
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from parley_contract import door as events
from parley_contract.errors import MalformedMessageError
from parley_contract.frames import FRAME_BYTES, FRAME_MS, RATE_HZ
from parley_gateway.admissions import AdmissionError, Admissions
from parley_gateway.doors.connections import CLOSE_CODES, Socket, WebDoor, error
from parley_gateway.doors.pace import Pace
from parley_gateway.sessions import Session
from parley_gateway.settings import GatewaySettings
from parley_runtime.telemetry import Telemetry

PATH: Final = "/v1/talk"
_SPOKEN_REFUSALS: Final = 8
"""Who is refused is told aloud as long as no more than these are told so at once; a crowd reads it."""
_REFUSAL_SLACK_S: Final = 5.0
"""How much longer than its sound a refusal may take, for a client that does not listen."""
_FRAMES_HZ: Final = 1.02 * 1000 / FRAME_MS
"""Real time, and a little more: a client's clock may be fast."""
_FRAMES_AT_ONCE: Final = 10 * 1000 // FRAME_MS
"""Ten seconds: after a stall of the network a client sends what it has kept."""
_EVENTS_HZ: Final = 50.0
_EVENTS_AT_ONCE: Final = 500
"""As many as in ten seconds, for the same reason."""
_HURRIED_S: Final = 1.0
"""Further ahead than this, a client's messages are taken in turns with everybody else's."""


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
