"""Frames of many speakers, judged together: everybody's in order, nobody waiting while few speak; on virtual time."""

import asyncio
from collections.abc import Sequence

import pytest

from parley_gateway.gathering import CROWD_FRAMES, GATHER_S, Gathering, Place
from parley_gateway.segments import SpeechWindow

Detector = list[bytes]


class Model:
    """Judges a frame by the number of frames its speaker has sent, and remembers who was judged together."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detector(self) -> Detector:
        return []

    def judge(self, feeds: Sequence[tuple[Detector, bytes]]) -> list[tuple[SpeechWindow, ...]]:
        self.batches.append(len(feeds))
        for detector, pcm in feeds:
            detector.append(pcm)
        return [(SpeechWindow(len(detector), 0.0, ()),) for detector, _ in feeds]


class Speaker:
    """Somebody who keeps what comes back: frames, and the number each was judged to be."""

    def __init__(self, gathering: Gathering[Detector]) -> None:
        self.place: Place[Detector] = gathering.join(self._take)
        self.heard: list[tuple[bytes, int]] = []

    def _take(self, pcm: bytes, windows: tuple[SpeechWindow, ...], arrived_at: float) -> None:
        self.heard.append((pcm, windows[0].end))


@pytest.fixture
def model() -> Model:
    return Model()


def crowd(model: Model) -> list[Speaker]:
    """A gathering that has just had enough frames to be a crowd."""
    gathering = Gathering(model, asyncio.get_running_loop().time)
    speakers = [Speaker(gathering) for _ in range(CROWD_FRAMES)]
    for speaker in speakers:
        speaker.place.hear(b"first")
    return speakers


@pytest.mark.looptime
async def test_while_few_speak_a_frame_comes_back_at_once(model: Model) -> None:
    speaker = Speaker(Gathering(model, asyncio.get_running_loop().time))

    speaker.place.hear(b"a")

    assert speaker.heard == [(b"a", 1)]


@pytest.mark.looptime
async def test_in_a_crowd_frames_wait_a_moment_and_are_judged_together(model: Model) -> None:
    speakers = crowd(model)
    model.batches.clear()

    for speaker in speakers[:-1]:
        speaker.place.hear(b"second")
    await asyncio.sleep(GATHER_S)

    # The first frame of the last speaker, which made it a crowd, waited for the second ones of the others.
    assert model.batches == [CROWD_FRAMES]
    assert all(speaker.heard[-1] == (b"second", 2) for speaker in speakers[:-1])
    assert speakers[-1].heard == [(b"first", 1)]


@pytest.mark.looptime
async def test_a_burst_of_one_speaker_comes_back_in_order_and_judged_one_after_the_other(model: Model) -> None:
    speakers = crowd(model)
    await asyncio.sleep(GATHER_S)

    for pcm in (b"second", b"third", b"fourth"):
        speakers[0].place.hear(pcm)
    speakers[1].place.hear(b"other")
    await asyncio.sleep(GATHER_S)

    assert speakers[0].heard == [(b"first", 1), (b"second", 2), (b"third", 3), (b"fourth", 4)]
    assert speakers[1].heard == [(b"first", 1), (b"other", 2)]


@pytest.mark.looptime
async def test_who_leaves_gets_everything_back_first(model: Model) -> None:
    speakers = crowd(model)

    speakers[0].place.hear(b"last words")
    speakers[0].place.settle()

    assert speakers[0].heard[-1] == (b"last words", 2)


@pytest.mark.looptime
async def test_one_speakers_defect_leaves_the_others_their_frames(model: Model) -> None:
    gathering = Gathering(model, asyncio.get_running_loop().time)

    def break_down(pcm: bytes, windows: tuple[SpeechWindow, ...], arrived_at: float) -> None:
        raise ZeroDivisionError

    broken, speakers = gathering.join(break_down), [Speaker(gathering) for _ in range(CROWD_FRAMES)]
    for speaker in speakers:
        speaker.place.hear(b"first")
        broken.hear(b"first")
    await asyncio.sleep(GATHER_S)

    assert all(speaker.heard == [(b"first", 1)] for speaker in speakers)
