"""Frames of all speakers, judged together: a voice detector sees to eight windows in the time of four.

Sessions put their frames in and get them back with what the detector made of them, each speaker's in order. While few
speak nothing waits; in a crowd a frame waits `GATHER_S` for others, which costs everybody that much of the endpoint
and gives back far more: 135 us of a core for a window by itself, 65 us for one among eight (measured, AMD EPYC).
Nothing here knows what a window means.
"""

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import structlog

from parley_gateway.segments import SpeechWindow

log: Final = structlog.get_logger()

D = TypeVar("D")

Take = Callable[[bytes, tuple[SpeechWindow, ...], float], None]
"""Is given a frame, the windows that it completed, and monotonic seconds of its arrival."""

GATHER_S: Final = 0.005
CROWD_FRAMES: Final = 16
CROWD_S: Final = 0.025
"""So many frames in so long are a crowd: 640 a second, thirteen people, whether one by one or in bursts 10 ms apart, as
the Discord door reads them."""


class VoiceModel(Protocol[D]):
    """What judges frames; it keeps a detector per speaker."""

    def detector(self) -> D:
        """Begin to listen to one more speaker."""
        ...

    def judge(self, feeds: Sequence[tuple[D, bytes]]) -> Sequence[tuple[SpeechWindow, ...]]:
        """Take the next frame of some speakers, none of them twice, and return the windows that each completes."""
        ...


class Place(Generic[D]):
    """One speaker among the others."""

    def __init__(self, gathering: "Gathering[D]", detector: D, take: Take) -> None:
        """Stand there; `Gathering.join` is the way in."""
        self.detector: Final = detector
        self.take: Final = take
        self._gathering = gathering

    def hear(self, pcm: bytes) -> None:
        """Put in the next 20 ms; they come back through `take`, now or a little later."""
        self._gathering.put(self, pcm)

    def settle(self) -> None:
        """Let everything that waits come back now."""
        self._gathering.settle()


class _Waiting(NamedTuple, Generic[D]):
    place: Place[D]
    pcm: bytes
    arrived_at: float


class Gathering(Generic[D]):
    """All speakers of this process."""

    def __init__(self, model: VoiceModel[D], clock: Callable[[], float] = time.monotonic) -> None:
        """Judge by `model`; made where an event loop runs. `clock` gives monotonic seconds."""
        self._model = model
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting[D]] = []
        self._arrivals: deque[float] = deque(maxlen=CROWD_FRAMES)
        self._timer: asyncio.TimerHandle | None = None

    def join(self, take: Take) -> Place[D]:
        """Make a place for one more speaker, whose frames come back through `take`."""
        return Place(self, self._model.detector(), take)

    def put(self, place: Place[D], pcm: bytes) -> None:
        """Take a frame in; see `Place.hear`."""
        now = self._clock()
        self._waiting.append(_Waiting(place, pcm, now))
        self._arrivals.append(now)
        if self._timer is not None:
            return
        if len(self._arrivals) == CROWD_FRAMES and now - self._arrivals[0] < CROWD_S:
            self._timer = self._loop.call_later(GATHER_S, self.settle)
        else:
            self.settle()

    def settle(self) -> None:
        """Judge all that waits and give it back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            # A detector judges its windows one after the other, so a speaker's second frame is for the next round.
            batch: dict[int, _Waiting[D]] = {}
            later = [each for each in self._waiting if batch.setdefault(id(each.place), each) is not each]
            self._waiting = later
            judged = self._model.judge([(each.place.detector, each.pcm) for each in batch.values()])
            for each, windows in zip(batch.values(), judged, strict=True):
                _give_back(each, windows)


def _give_back(waiting: _Waiting[D], windows: tuple[SpeechWindow, ...]) -> None:
    """One speaker's defect must not take the frames of the others with it."""
    try:
        waiting.place.take(waiting.pcm, windows, waiting.arrived_at)
    except Exception as error:  # noqa: BLE001  # reported, and the next frame may be heard again
        where = traceback.format_tb(error.__traceback__)[-1]
        log.error("a frame was not heard", error=type(error).__name__, where=where)
