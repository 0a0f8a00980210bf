"""Somebody who talks to an assistant over the web door, in a closed loop, and notes what comes when.

Speaks the lines of a dialogue in real time through an open microphone, each some hundred ms after the reply to the one
before was heard to its end, as people do. What is noted of a line is an `Observed`; nothing is judged here. Whatever
speaks the door's language can be talked to: an assistant of ours, or a peer behind `_peer_pipecat.py`.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from _corpus import Dialogue
from _rendering import Annotation, Rendered
from _room import Microphone, room_of
from _scores import Delta, Observed, Sound
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley_contract import door
from parley_contract.errors import RetryableError
from parley_contract.frames import FRAME_MS, FRAME_SAMPLES, RATE_HZ

AUDIBLE: Final = 0.01
"""-40 dB of full scale: a little later than the assistant's own E2FA, which has -50 dB, and above any peer's noise."""
_FRAME_S: Final = FRAME_MS / 1000
_ADMISSION_S: Final = 30.0
_ROOM_S: Final = 1.5
"""How long only the room is heard before the first line: a voice detector learns its noise."""
_REACTION_S: Final = (0.4, 0.9)
"""Between the end of a reply and the next line; gaps between speakers are mostly below half a second, and a person who
talks to a machine takes a little longer."""
_SETTLE_S: Final = 1.2
"""After the last word a door needs this long at most to say that it hears somebody."""
_PATIENCE_S: Final = 20.0
"""After so long a person goes on although the assistant has not finished."""


class Place(NamedTuple):
    """Where an assistant is."""

    url: str
    """WebSocket address of its door."""
    assistant: str
    """What it calls itself: `<namespace>_<name>`."""


class NotAnsweredError(RetryableError):
    """Nobody of whom we want something is at the door, or they hung up."""


class Caller:
    """One open conversation; `calling` is the way in."""

    def __init__(self, socket: ClientConnection, microphone: Microphone) -> None:
        """Wrap an admitted connection."""
        self._socket = socket
        self._microphone = microphone
        self._sent_at = list[float]()
        self._events = list[tuple[float, door.Event]]()
        self._sounds = list[tuple[float, int]]()
        self._open = set[int]()
        self._sounding: int | None = None
        self._heard_until = 0.0

    async def speak(self, dialogue: Dialogue, rendered: Rendered) -> Observed:
        """Say a line, wait until all that it provoked is over, and return what was observed.

        Raises:
            NotAnsweredError: the assistant hung up.
        """
        annotation = rendered.annotation
        events, sounds = len(self._events), len(self._sounds)
        first = self._microphone.say(rendered.samples)
        while self._microphone.is_speaking:
            await self._tick()
        ended_at = self._spoken_at(first, annotation.end)
        while time.monotonic() < ended_at + _PATIENCE_S and not self._is_over(ended_at):
            await self._tick()
        return _observed(dialogue, annotation, ended_at, self._events[events:], self._sounds[sounds:])

    async def wait(self, duration_s: float) -> None:
        """Say nothing for some time.

        Raises:
            NotAnsweredError: the assistant hung up.
        """
        until = time.monotonic() + duration_s
        while time.monotonic() < until:
            await self._tick()

    async def keep_open(self) -> None:
        """Send the microphone's frames in real time, until cancelled."""
        began_at = time.monotonic()
        while True:
            frame = self._microphone.frame()
            self._sent_at.append(time.monotonic())
            await self._socket.send(frame)
            await asyncio.sleep(began_at + self._microphone.frames * _FRAME_S - time.monotonic())

    async def listen(self) -> None:
        """Note what comes, until the connection closes."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                now = time.monotonic()
                if isinstance(message, bytes):
                    self._hear(message, now)
                elif (event := door.decode_event(message)) is not None:
                    self._take(event, now)

    def _hear(self, pcm: bytes, now: float) -> None:
        """Play a frame behind those that are still being played, and note the first audible sample of a phrase."""
        plays_at = max(self._heard_until, now)
        self._heard_until = plays_at + len(pcm) / 2 / RATE_HZ
        if self._sounding is None:
            return
        audible = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2")) > AUDIBLE * 32768)
        if audible.size:
            self._sounds.append((plays_at + float(audible[0]) / RATE_HZ, self._sounding))
            self._sounding = None

    def _take(self, event: door.Event, now: float) -> None:
        self._events.append((now, event))
        match event:
            case door.SpeechStarted():
                self._open.add(event.turn)
            case door.Mark(edge="begin"):
                self._sounding = event.turn
            case door.Canned():
                self._sounding = None
            case door.Cut():
                self._sounding, self._heard_until = None, now
            case door.Turn():
                self._open.discard(event.report.turn)
            case _:
                pass

    def _is_over(self, ended_at: float) -> bool:
        now = time.monotonic()
        return not self._open and now > self._heard_until and now > ended_at + _SETTLE_S

    def _spoken_at(self, first: int, sample: int) -> float:
        """Return when a sample of a line was spoken: a microphone sends a frame when its last sample is there."""
        frame, within = divmod(sample - 1, FRAME_SAMPLES)
        return self._sent_at[first + frame] - (FRAME_SAMPLES - 1 - within) / RATE_HZ

    async def _tick(self) -> None:
        if self._socket.close_code is not None:
            raise NotAnsweredError(f"the assistant hung up: {self._socket.close_code} {self._socket.close_reason}")
        await asyncio.sleep(_FRAME_S)


async def speak(place: Place, dialogue: Dialogue, lines: Sequence[Rendered]) -> AsyncGenerator[Observed, None]:
    """Hold a dialogue, in a session of its own, and yield what was observed of each line.

    Args:
        place: whom to talk to.
        dialogue: whose lines these are.
        lines: their sound.

    Raises:
        NotAnsweredError: nobody lets us in, or the assistant hung up.
    """
    reaction = random.Random(dialogue.name)  # noqa: S311  # the same in every run
    async with calling(place, dialogue) as caller:
        await caller.wait(_ROOM_S)
        for line in lines:
            yield await caller.speak(dialogue, line)
            await caller.wait(reaction.uniform(*_REACTION_S))


@contextlib.asynccontextmanager
async def calling(place: Place, dialogue: Dialogue) -> AsyncIterator[Caller]:
    """Be connected while the block lasts, with the microphone open.

    Raises:
        NotAnsweredError: nobody lets us in, or somebody else answers.
    """
    microphone = Microphone(room_of(dialogue))
    # Nothing is compressed in either direction; a ping that is answered late must not end a measurement.
    async with connect(place.url, proxy=None, compression=None, ping_interval=None) as socket:
        async with asyncio.timeout(_ADMISSION_S):
            greeting = door.decode_event(await socket.recv())
        if not isinstance(greeting, door.Session):
            raise NotAnsweredError(f"not admitted: {greeting}")
        # Two that start at once may be given the same port; whose figures would these be?
        if greeting.assistant != place.assistant:
            raise NotAnsweredError(f"{greeting.assistant} answers at {place.url} instead of {place.assistant}")
        caller = Caller(socket, microphone)
        tasks = [asyncio.ensure_future(caller.listen()), asyncio.ensure_future(caller.keep_open())]
        try:
            yield caller
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(ConnectionClosed):
                await socket.send(door.encode(door.Bye()))


def _observed(
    dialogue: Dialogue,
    annotation: Annotation,
    ended_at: float,
    events: Sequence[tuple[float, door.Event]],
    sounds: Sequence[tuple[float, int]],
) -> Observed:
    def ms(at: float) -> float:
        return round((at - ended_at) * 1000, 1)

    spans = annotation.spans
    gaps = [(this.end, following.begin) for this, following in pairwise(spans)]
    # What is left of a turn that outlasted a person's patience belongs to the line before.
    begun = {event.turn for _, event in events if isinstance(event, door.SpeechStarted)}
    transcripts = dict[str, str]()
    for _, event in events:
        if isinstance(event, door.Transcript) and event.outcome == "speech" and event.turn in begun:
            transcripts[event.utterance] = event.text
    return Observed(
        dialogue=dialogue.name,
        kind=annotation.line.kind,
        voice=dialogue.voice,
        noisy=dialogue.noisy,
        text=annotation.line.words,
        pauses_ms=tuple((_before(annotation, begin), _before(annotation, end)) for begin, end in gaps),
        ended_at=time.time() + ended_at - time.monotonic(),
        deltas=tuple(
            Delta(ms(at), event.turn, event.index)
            for at, event in events
            if isinstance(event, door.Delta) and event.turn in begun
        ),
        sounds=tuple(Sound(ms(at), turn) for at, turn in sounds if turn in begun),
        transcripts=tuple(transcripts.values()),
        reports=tuple(
            event.report for _, event in events if isinstance(event, door.Turn) and event.report.turn in begun
        ),
    )


def _before(annotation: Annotation, sample: int) -> float:
    """Return where a sample lies, in ms after the end of speech."""
    return (sample - annotation.end) * 1000 / RATE_HZ
