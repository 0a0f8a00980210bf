"""Engines in turn, off the event loop, and stopped when nobody listens any more."""

import asyncio
import contextlib
import threading

import pytest

from parley_testkit.toy_voice import ToySynthesizer
from parley_tts.engines import CannotSpeakError, Speech, SynthesisFailedError
from parley_tts.speaking import NobodySpokeError, Speaker

HELLO = Speech(text="hello", language="en")


async def say(speaker: Speaker, *, avoid_first: bool = False) -> list[str]:
    return [voice.engine async for voice, _ in speaker.say(HELLO, avoid_first=avoid_first)]


async def test_the_first_engine_speaks() -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")

    with Speaker([first, second]) as speaker:
        spoke = await say(speaker)

    assert spoke == ["first"] * 5
    assert (first.told, second.told) == ([HELLO], [])


async def test_engines_work_in_a_thread_of_their_own() -> None:
    engine = ToySynthesizer()

    with Speaker([engine]) as speaker:
        await say(speaker)
        await say(speaker)

    assert engine.threads == {"speaker_0"}


@pytest.mark.parametrize("error", [SynthesisFailedError, CannotSpeakError])
async def test_the_next_engine_speaks_when_the_first_made_no_sound(error: type[Exception]) -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")
    first.failures = [error("for once")]

    with Speaker([first, second]) as speaker:
        spoke = await say(speaker)

    assert spoke == ["second"] * 5


async def test_no_other_voice_takes_over_in_mid_word() -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")
    first.failures, first.breaks_after = [SynthesisFailedError("died")], 2

    with Speaker([first, second]) as speaker, pytest.raises(SynthesisFailedError):
        await say(speaker)

    assert second.told == []


async def test_when_nobody_can_speak_every_reason_is_told() -> None:
    first, second = ToySynthesizer("first"), ToySynthesizer("second")
    first.failures, second.failures = [CannotSpeakError("is mute")], [SynthesisFailedError("died")]

    with Speaker([first, second]) as speaker, pytest.raises(NobodySpokeError, match="first: is mute; second: died"):
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
    engine = ToySynthesizer()
    engine.gate = threading.Event()

    with Speaker([engine]) as speaker:
        async with contextlib.aclosing(speaker.say(HELLO)) as sound:
            await anext(sound)
        engine.gate.set()

    assert engine.taken == 1


async def test_cancelling_the_listener_stops_the_engine_at_its_next_piece() -> None:
    engine = ToySynthesizer()
    engine.gate = threading.Event()

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
    engine = ToySynthesizer()
    engine.gate = threading.Event()

    with Speaker([engine]) as speaker:
        async with contextlib.aclosing(speaker.say(HELLO)) as sound:
            await anext(sound)
            waiting = asyncio.ensure_future(anext(sound))
            await asyncio.sleep(0)
            is_waiting = not waiting.done()
            engine.gate.set()
            await waiting

    assert is_waiting
