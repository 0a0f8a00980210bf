"""Engines in turn, off the event loop, and stopped when nobody listens any more."""

import asyncio
import contextlib
import threading

import numpy as np
import pytest

from parley_tts.engines import CannotSpeakError, Samples, Speech, SynthesisFailedError, Take, Voice
from parley_tts.speaking import NobodySpokeError, Speaker

HELLO = Speech(text="hello", language="en")
PIECE = np.full(320, 0.5, dtype=np.float32)


class ToySynthesizer:
    """Says `pieces` times 20 ms, then breaks if told to. Records what it was told; a fake that is a `Synthesizer`."""

    def __init__(self, engine: str, *, pieces: int = 3, error: Exception | None = None) -> None:
        self.voice = Voice(engine=engine, name="toy", rate_hz=16_000)
        self.told: list[Speech] = []
        self.taken = 0
        self.thread_names: set[str] = set()
        self._pieces = pieces
        self._error = error

    def speak(self, speech: Speech, take: Take) -> None:
        self.told.append(speech)
        self.thread_names.add(threading.current_thread().name)
        for _ in range(self._pieces):
            if not take(self.sound()):
                return
            self.taken += 1
        if self._error:
            raise self._error

    def sound(self) -> Samples:
        return PIECE


class GatedSynthesizer(ToySynthesizer):
    """Waits before every piece but the first until it is let go on."""

    def __init__(self) -> None:
        super().__init__("gated", pieces=100)
        self.gate = threading.Event()

    def sound(self) -> Samples:
        if self.taken:
            assert self.gate.wait(10)
        return PIECE


async def say(speaker: Speaker, *, avoid_first: bool = False) -> list[str]:
    return [voice.engine async for voice, _ in speaker.say(HELLO, avoid_first=avoid_first)]


async def test_the_first_engine_speaks() -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")

    with Speaker([first, second]) as speaker:
        spoke = await say(speaker)

    assert spoke == ["first"] * 3
    assert (first.told, second.told) == ([HELLO], [])


async def test_engines_work_in_a_thread_of_their_own() -> None:
    engine = ToySynthesizer("first")

    with Speaker([engine]) as speaker:
        await say(speaker)

    assert engine.thread_names == {"speaker_0"}


@pytest.mark.parametrize("error", [SynthesisFailedError("died"), CannotSpeakError("other language")])
async def test_the_next_engine_speaks_when_the_first_made_no_sound(error: Exception) -> None:
    first, second = ToySynthesizer("first", pieces=0, error=error), ToySynthesizer("second")

    with Speaker([first, second]) as speaker:
        spoke = await say(speaker)

    assert spoke == ["second"] * 3


async def test_an_engine_that_says_nothing_and_does_not_complain_is_passed_over() -> None:
    with Speaker([ToySynthesizer("first", pieces=0), ToySynthesizer("second")]) as speaker:
        spoke = await say(speaker)

    assert spoke == ["second"] * 3


async def test_no_other_voice_takes_over_in_mid_word() -> None:
    first, second = ToySynthesizer("first", error=SynthesisFailedError("died")), ToySynthesizer("second")

    with Speaker([first, second]) as speaker, pytest.raises(SynthesisFailedError):
        await say(speaker)

    assert second.told == []


async def test_when_nobody_can_speak_every_reason_is_told() -> None:
    engines = [ToySynthesizer(name, pieces=0, error=CannotSpeakError(f"{name} is mute")) for name in ("one", "two")]

    with Speaker(engines) as speaker, pytest.raises(NobodySpokeError, match=r"one: one is mute; two: two is mute"):
        await say(speaker)


async def test_an_engine_under_suspicion_is_passed_over() -> None:
    with Speaker([ToySynthesizer("first"), ToySynthesizer("second")]) as speaker:
        spoke = await say(speaker, avoid_first=True)

    assert set(spoke) == {"second"}


async def test_the_only_engine_speaks_even_under_suspicion() -> None:
    with Speaker([ToySynthesizer("first")]) as speaker:
        spoke = await say(speaker, avoid_first=True)

    assert set(spoke) == {"first"}


async def test_leaving_the_loop_stops_the_engine_at_its_next_piece() -> None:
    engine = GatedSynthesizer()

    with Speaker([engine]) as speaker:
        async with contextlib.aclosing(speaker.say(HELLO)) as sound:
            await anext(sound)
        engine.gate.set()

    assert engine.taken == 1


async def test_cancelling_the_listener_stops_the_engine_at_its_next_piece() -> None:
    engine = GatedSynthesizer()

    with Speaker([engine]) as speaker:
        async with contextlib.aclosing(speaker.say(HELLO)) as sound:
            await anext(sound)
            waiting = asyncio.ensure_future(anext(sound))
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            engine.gate.set()

    assert engine.taken == 1


async def test_the_loop_turns_while_an_engine_works() -> None:
    engine = GatedSynthesizer()

    with Speaker([engine]) as speaker:
        async with contextlib.aclosing(speaker.say(HELLO)) as sound:
            await anext(sound)
            waiting = asyncio.ensure_future(anext(sound))
            await asyncio.sleep(0)
            is_waiting = not waiting.done()
            engine.gate.set()
            await waiting

    assert is_waiting
