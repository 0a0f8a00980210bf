"""Many listeners at once on the web door, cheap enough to run beside what they measure. Used by the benchmarks.

Each sends a frame every 20 ms for as long as it is there, as an open microphone does: a recorded question, then the
noise of a quiet room until the answer was heard and a moment has passed, then the question again. Of what they hear
they keep counts, never sound. Speech is not compared with anything here: that is what tests do.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley_contract import door
from parley_contract.catalogue import find_model
from parley_contract.frames import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, RATE_HZ
from parley_contract.messages import TurnReport
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull

_ROOM_DB: Final = -60.0
"""Loudness of the room between questions, of full scale. Digital silence would be easier on a voice detector."""
_PAUSES_FRAMES: Final = (25, 50, 75)
"""Between an answer and the next question; different ones, so that sessions do not fall into step."""
_PATIENCE_FRAMES: Final = 750
"""After so much of the room without an answer, 15 s, the question is asked again."""
_CYCLE_S: Final = 3.5
"""About what a question, its answer and a pause take."""
_ADMISSION_S: Final = 30.0
_FRAME_S: Final = FRAME_MS / 1000


class Answer(msgspec.Struct, frozen=True):
    """A turn that is over, and what was heard of it."""

    report: TurnReport
    frames: int
    """How many came while it was open."""
    heard_at: float | None
    """Unix seconds at which the first of them was here."""


class Sound(msgspec.Struct, frozen=True):
    """What is said into the microphones, cut into frames."""

    question: Sequence[bytes]
    room: Sequence[bytes]


def recorded_sound() -> Sound:
    """Return a recorded question of 1.1 s and two seconds of a quiet room; pulls the recording if it is not here."""
    recording = (pull(ModelStore.at(), find_model("audioeval")) / "en/hello_world.wav").read_bytes()
    question = np.frombuffer(recording[recording.index(b"data") + 8 :], "<f4")
    noise = np.random.default_rng(1).normal(0, 10 ** (_ROOM_DB / 20), 2 * RATE_HZ)
    return Sound(_frames(question), _frames(noise))


def _frames(samples: NDArray[np.floating]) -> list[bytes]:
    whole = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES]
    pcm = np.round(np.clip(whole, -1, 1) * 32767).astype("<i2").tobytes()
    return [pcm[start : start + FRAME_BYTES] for start in range(0, len(pcm), FRAME_BYTES)]


class Listener:
    """One connection."""

    def __init__(self, socket: ClientConnection, number: int) -> None:
        """Wrap an open connection; `number` sets it apart from the others in time."""
        self.answers: Final[list[Answer]] = []
        self.sent = 0
        """Frames sent."""
        self.unanswered = 0
        """Questions that were given up."""
        self._socket = socket
        self._number = number
        self._frames = 0
        self._heard_at: float | None = None
        self._is_answered = False

    async def be_admitted(self) -> None:
        """Wait for the first event.

        Raises:
            ConnectionError: it is no greeting.
        """
        async with asyncio.timeout(_ADMISSION_S):
            greeting = door.decode_event(await self._socket.recv())
        if not isinstance(greeting, door.Session):
            raise ConnectionError(f"not admitted: {greeting}")

    async def listen(self) -> None:
        """Count what comes, until the connection closes."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                if isinstance(message, bytes):
                    self._frames += 1
                    self._heard_at = self._heard_at or time.time()
                elif isinstance(event := door.decode_event(message), door.Turn):
                    self.answers.append(Answer(event.report, self._frames, self._heard_at))
                    self._frames, self._heard_at, self._is_answered = 0, None, True

    async def speak(self, sound: Sound, *, begins_after_s: float) -> None:
        """Send frames in real time until cancelled; the first question comes after some seconds of the room."""
        began_at = time.monotonic()
        for frame in self._microphone(sound, round(begins_after_s / _FRAME_S)):
            await self._socket.send(frame)
            self.sent += 1
            await asyncio.sleep(began_at + self.sent * _FRAME_S - time.monotonic())

    def _microphone(self, sound: Sound, first: int) -> Iterator[bytes]:
        """Yield frames for ever, in an order that depends on what is heard meanwhile."""
        room, pause = itertools.cycle(sound.room), first
        for number in itertools.count(self._number):
            yield from itertools.islice(room, pause)
            self._is_answered = False
            yield from sound.question
            for frame in itertools.islice(room, _PATIENCE_FRAMES):
                if self._is_answered:
                    break
                yield frame
            else:
                self.unanswered += 1
            pause = _PAUSES_FRAMES[number % len(_PAUSES_FRAMES)]

    async def leave(self) -> None:
        """Say goodbye; `listen` ends when the gateway has closed the connection."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(door.encode(door.Bye()))


class Crowd:
    """All listeners."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        """Wrap them; `crowd` is the way in."""
        self._listeners: Final = listeners

    @property
    def sent(self) -> int:
        """Frames that they have sent together."""
        return sum(listener.sent for listener in self._listeners)

    @property
    def unanswered(self) -> int:
        """Questions that got no answer in time."""
        return sum(listener.unanswered for listener in self._listeners)

    def answers(self, *, since: float = 0.0) -> list[Answer]:
        """Return the turns that are over and began after `since`, in Unix seconds."""
        every = itertools.chain.from_iterable(listener.answers for listener in self._listeners)
        return [answer for answer in every if answer.report.started_at >= since]


@contextlib.asynccontextmanager
async def crowd(url: str, size: int, sound: Sound | None) -> AsyncIterator[Crowd]:
    """Let `size` listeners be there while the block lasts; without a `sound` they send nothing.

    Args:
        url: the gateway's HTTP address.
        size: how many.
        sound: what they say; the first questions are spread over as much time as one question and answer take.

    Raises:
        ConnectionError: somebody is not let in.
    """
    async with contextlib.AsyncExitStack() as connections, asyncio.TaskGroup() as tasks:
        listeners, speaking = list[Listener](), list[asyncio.Task[None]]()
        for number in range(size):
            # Nothing is compressed in either direction; a ping that is answered late must not end a measurement.
            socket = await connections.enter_async_context(
                connect(f"{url.replace('http', 'ws', 1)}/v1/talk", proxy=None, compression=None, ping_interval=None)
            )
            listener = Listener(socket, number)
            await listener.be_admitted()
            listeners.append(listener)
            tasks.create_task(listener.listen())
            if sound is not None:
                begins_after_s = _CYCLE_S * number / size
                speaking.append(tasks.create_task(listener.speak(sound, begins_after_s=begins_after_s)))
        try:
            yield Crowd(listeners)
        finally:
            for task in speaking:
                task.cancel()
            for listener in listeners:
                await listener.leave()
