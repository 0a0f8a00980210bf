"""Sound as it is said, over a WebSocket at `/v1/listen`: partials while somebody speaks, a final at each pause.

For clients that want no assistant, only text. The client sends s16le PCM at 16 kHz mono in messages of any size, and
`{"event": "end"}` when it is done; it gets `partial`, `final` and, at last, `done`. How a gateway's speech is heard is
`transcription`'s business: there the endpoint is the gateway's.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

import msgspec
import numpy as np
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from msgspec.structs import replace

from parley_asr.api.desk import Account, Desk, Wish
from parley_asr.api.refusals import Refusal
from parley_asr.decoder import Priority
from parley_asr.engines import Samples
from parley_asr.hearing import Hearing, Listening, Understood
from parley_asr.windows import is_pause, levels_dbfs
from parley_contract.frames import FRAME_MS, FRAME_SAMPLES, RATE_HZ

PATH: Final = "/v1/listen"
_PAUSE_S: Final = 0.8
"""A pause that ends what is said; people pause for half a second inside of sentences."""
_SPEECH_DBFS: Final = -45.0
_SPEECH_FRAMES: Final = 160 // FRAME_MS
"""Somebody speaks once it has been louder than that for so long; Whisper then has the last word on it."""
_PRE_ROLL_FRAMES: Final = 300 // FRAME_MS
"""Of the silence before, so that a soft beginning is not cut off."""
_LONGEST_S: Final = 60.0
"""Without a pause for so long, what was said so far is final."""
_UNREAD: Final = 256
"""Messages that may wait for the decoder; no more are read, so that a client is slowed down by its own connection."""
_CLOSE_CODES: Final = {HTTPStatus.BAD_REQUEST: 1007, HTTPStatus.SERVICE_UNAVAILABLE: 1013}
_POLICY: Final = 1008
_DONE: Final = 1000
_DIGITS: Final = 3


def add_route(app: FastAPI, desk: Desk) -> None:
    """Open the route on `app`."""

    @app.websocket(PATH)
    async def listen(socket: WebSocket) -> None:
        await socket.accept()
        try:
            async with desk.accounted("listen") as account:
                await _Listening(socket, desk, account, socket.query_params.get("language", "")).run()
        except WebSocketDisconnect:
            return
        except Refusal as refusal:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                error = {"event": "error", "code": refusal.code, "sentence": refusal.sentence}
                await socket.send_text(msgspec.json.encode(error).decode())
                await socket.close(_CLOSE_CODES.get(refusal.status, _POLICY))


class _Held:
    """Sound since the last final."""

    def __init__(self, how: Listening, *, begins_at: int) -> None:
        self.hearing: Final = Hearing(how)
        self.begins_at = begins_at
        """Samples before it."""
        self.samples: Samples = np.zeros(0, dtype=np.float32)
        self.has_speech = False
        self.partial_at = 0
        """How many samples the latest partial was made of."""

    def add(self, came: Samples) -> None:
        """Take more; of the silence before speech only the last moment is kept."""
        self.samples = np.concatenate((self.samples, came))
        if self.has_speech:
            return
        levels = levels_dbfs(self.samples)
        self.has_speech = int(np.count_nonzero(levels > _SPEECH_DBFS)) >= _SPEECH_FRAMES
        if not self.has_speech and (gone := len(levels) - _PRE_ROLL_FRAMES) > 0:
            self.samples = self.samples[gone * FRAME_SAMPLES :]
            self.begins_at += gone * FRAME_SAMPLES

    @property
    def is_over(self) -> bool:
        """Whether its speaker pauses, or has gone on for too long."""
        seconds = len(self.samples) / RATE_HZ
        return seconds > _LONGEST_S or (seconds > _PAUSE_S and is_pause(self.samples, seconds - _PAUSE_S, seconds))


class _Listening:
    """One connection."""

    def __init__(self, socket: WebSocket, desk: Desk, account: Account, language: str) -> None:
        decoding = desk.decoding(Wish(language=language))
        self._socket = socket
        self._account = account
        self._longest_s = desk.settings.max_audio_s
        self._how = replace(desk.opened().listening, language=decoding.language)
        self._decode_partial = desk.decode_for(account, Priority.PARTIAL)
        self._decode_final = desk.decode_for(account, Priority.UPLOAD)
        self._partial_every = round(desk.settings.window_s * RATE_HZ)
        self._came: asyncio.Queue[Samples | None] = asyncio.Queue(_UNREAD)
        self._held = _Held(self._how, begins_at=0)

    async def run(self) -> None:
        """Listen until the client has said all, or leaves."""
        receiving = asyncio.ensure_future(self._receive())
        understanding = asyncio.ensure_future(self._understand())
        try:
            await asyncio.wait({receiving, understanding}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in (receiving, understanding):
                task.cancel()
            await asyncio.wait({receiving, understanding})
        for task in (receiving, understanding):
            if not task.cancelled():
                task.result()
        await self._say({"event": "done", "duration_s": round(self._account.audio_s, _DIGITS)})
        await self._socket.close(_DONE)

    async def _receive(self) -> None:
        """Read until the end is announced; a sample that is cut in two waits for its other half."""
        rest = b""
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            pcm = message.get("bytes")
            if pcm is None:
                _check_end(message.get("text") or "")
                await self._came.put(None)
                return
            pcm = rest + pcm
            whole = len(pcm) // 2 * 2
            rest = pcm[whole:]
            await self._came.put(np.frombuffer(pcm[:whole], "<i2").astype(np.float32) / np.float32(32768))
        raise WebSocketDisconnect(message.get("code", _DONE))

    async def _understand(self) -> None:
        while (came := await self._came.get()) is not None:
            await self._take(came)
        if self._held.has_speech:
            await self._conclude()

    async def _take(self, came: Samples) -> None:
        self._account.audio_s += len(came) / RATE_HZ
        if self._account.audio_s > self._longest_s:
            sentence = f"The sound is longer than {self._longest_s:.0f} s: connect anew, or raise MAX_AUDIO_S."
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_long", sentence)
        held = self._held
        held.add(came)
        if not held.has_speech:
            return
        if held.is_over:
            await self._conclude()
        elif len(held.samples) - held.partial_at >= self._partial_every and self._came.empty():
            held.partial_at = len(held.samples)
            await self._tell("partial", await held.hearing.partial(held.samples, self._decode_partial))

    async def _conclude(self) -> None:
        held = self._held
        await self._tell("final", await held.hearing.final(held.samples, self._decode_final))
        self._held = _Held(self._how, begins_at=held.begins_at + len(held.samples))

    async def _tell(self, event: str, understood: Understood) -> None:
        """Send what was understood, if that is anything."""
        if not understood.text:
            return
        begin, end = self._held.begins_at, self._held.begins_at + len(self._held.samples)
        await self._say(
            {
                "event": event,
                "text": understood.text,
                "language": understood.language,
                "start_s": round(begin / RATE_HZ, _DIGITS),
                "end_s": round(end / RATE_HZ, _DIGITS),
            }
        )

    async def _say(self, event: Mapping[str, Any]) -> None:
        await self._socket.send_text(msgspec.json.encode(event).decode())


class _Request(msgspec.Struct, frozen=True):
    event: Literal["end"]


def _check_end(text: str) -> None:
    try:
        msgspec.json.decode(text, type=_Request)
    except msgspec.DecodeError as error:
        sentence = 'A text message is {"event": "end"}; sound comes in binary messages of s16le at 16 kHz mono.'
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad_event", sentence) from error
