"""Everybody in a session: when the sound of a pause is judged."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from parley_contract.frames import FRAME_BYTES, Frame
from parley_gateway.endpointing import SmartRules
from parley_gateway.gathering import GATHER_S, Gathering
from parley_gateway.segments import BLOCK_SAMPLES, WINDOW_SAMPLES, SpeechWindow
from parley_gateway.speakers import Hearing, Speakers
from parley_gateway.turn_judges import TurnJudge
from parley_gateway.utterance_events import Ended
from parley_gateway.utterance_state import UtteranceRules

VOICE, SILENCE = b"\x01" * FRAME_BYTES, bytes(FRAME_BYTES)
PAUSE_FRAMES = 8

pytestmark = pytest.mark.looptime


class Plain:
    """A voice model to which silence is zeros; it judges a window per frame."""

    def detector(self) -> Iterator[int]:
        return itertools.count(1)

    def judge(self, feeds: Sequence[tuple[Iterator[int], bytes]]) -> list[tuple[SpeechWindow, ...]]:
        return [(self._window(next(windows), is_voice=pcm == VOICE),) for windows, pcm in feeds]

    def _window(self, number: int, *, is_voice: bool) -> SpeechWindow:
        level = -20.0 if is_voice else -80.0
        levels = (level,) * (WINDOW_SAMPLES // BLOCK_SAMPLES)
        return SpeechWindow(number * WINDOW_SAMPLES, 0.95 if is_voice else 0.0, levels)


class Sure:
    """A turn model to which everything sounds finished."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def judge(self, pcm: bytes) -> float:
        self.asked.set()
        return 0.9


class Judge(TurnJudge):
    """Counts how often it is asked."""

    asked = 0

    def ask(self, pcm: bytes, tell: Callable[[float], None]) -> asyncio.Future[float] | None:
        self.asked += 1
        return super().ask(pcm, tell)


class Ears:
    """Has every pause judged."""

    def __init__(self) -> None:
        self.speakers: Speakers | None = None
        self.paused_at_seq: int | None = None
        self.ended: Ended | None = None

    def speech_began(self, speaker: str, voiced_at: float, *, continues: bool, reopens: bool) -> str:
        return "1-0"

    def speech_paused(self, speaker: str, last_seq: int, voiced_until: float) -> None:
        self.paused_at_seq = last_seq
        assert self.speakers
        self.speakers.judge_pause(speaker)

    def speech_resumed(self, speaker: str, latest_seq: int, voiced_at: float) -> None:
        assert self.speakers
        self.speakers.pause_over(speaker)

    def speech_ended(self, speaker: str, ended: Ended, voiced_until: float) -> None:
        self.ended = ended

    def utterance_frame(self, utterance: str, frame: Frame) -> None:
        """See Ears."""


async def pausing(judge: TurnJudge) -> tuple[Speakers, Ears, int]:
    """Return somebody in the middle of a pause, and the last frame that they voiced."""
    ears = Ears()
    rules = UtteranceRules(smart=SmartRules())
    gathering = Gathering(Plain(), asyncio.get_running_loop().time)
    speakers = ears.speakers = Speakers(Hearing(gathering, rules, judge), ears, lambda: None, epoch=1)
    for pcm in [VOICE] * 20 + [SILENCE] * PAUSE_FRAMES:
        speakers.hear("ada", pcm)
    await asyncio.sleep(2 * GATHER_S)  # so many at once are taken for a crowd
    assert ears.paused_at_seq is not None
    return speakers, ears, ears.paused_at_seq


async def test_the_sound_of_a_pause_is_judged_once_its_words_are_there() -> None:
    model = Sure()
    with Judge(model) as judge:
        speakers, _, last_seq = await pausing(judge)
        await asyncio.sleep(0.05)
        asked_before = judge.asked

        speakers.words_judged("ada", "1-0", last_seq, "unclear")

        assert await asyncio.to_thread(model.asked.wait, 10)
        assert (asked_before, judge.asked) == (0, 1)


async def test_the_sound_of_a_pause_whose_words_stay_away_is_judged_all_the_same() -> None:
    model = Sure()
    with Judge(model) as judge:
        await pausing(judge)

        assert await asyncio.to_thread(model.asked.wait, 10)
        assert judge.asked == 1


async def test_a_pause_that_is_over_is_not_judged_any_more() -> None:
    with Judge(Sure()) as judge:
        speakers, _, last_seq = await pausing(judge)

        for _ in range(5):
            speakers.hear("ada", VOICE)
        await asyncio.sleep(2 * GATHER_S)
        speakers.words_judged("ada", "1-0", last_seq, "unclear")
        await asyncio.sleep(0.3)

    assert judge.asked == 0


async def test_what_has_ended_is_not_judged_any_more() -> None:
    with Judge(Sure()) as judge:
        speakers, ears, _ = await pausing(judge)
        speakers.hear("ada", SILENCE)
        speakers.leave("ada", 0.0)
        await asyncio.sleep(0.3)

    assert ears.ended
    assert ears.ended.reason == "closed"
    assert judge.asked == 0
