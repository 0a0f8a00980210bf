"""Sound of any length becomes pieces: the same windows as ever, with little of it in memory, and no word twice."""

import asyncio
import contextlib
import io
import wave
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_asr.engines import Decoded, Decoding, Samples, Segment, Word
from parley_asr.hearing import Listening
from parley_asr.uploads import Piece, TooLongError, Transcript, samples_of, transcribe
from parley_asr.windows import limits, plan
from parley_contract.frames import RATE_HZ
from parley_runtime.sounds import UnreadableSoundError
from parley_testkit.toy_speech import WORDS, ToyTranscriber, speak

LISTENING = Listening(limits=limits(encoder_window_s=10, overlap_ms=400))
SENTENCE = " ".join(WORDS)


async def blocks(samples: Samples, *sizes: int) -> AsyncGenerator[Samples]:
    start = 0
    for size in (*sizes, len(samples)):
        if start < len(samples):
            yield samples[start : start + size]
            start += size


async def pieces_of(
    samples: Samples, *sizes: int, decoding: Decoding | None = None, toy: ToyTranscriber | None = None
) -> list[Piece]:
    transcriber = toy or ToyTranscriber()

    async def decode(window: Samples, how: Decoding) -> Decoded:
        return transcriber.transcribe([window], how)[0]

    how = decoding or Decoding(timing="segments")
    return [piece async for piece in transcribe(blocks(samples, *sizes), LISTENING, how, decode)]


def joined(pieces: Sequence[Piece]) -> Transcript:
    transcript = Transcript()
    for piece in pieces:
        transcript = transcript.joined(piece)
    return transcript


def wav(samples: Samples, rate_hz: int = RATE_HZ) -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    file.seek(0)
    return file


async def test_a_long_file_becomes_one_text_in_order_of_time() -> None:
    samples = speak(f"{SENTENCE} {SENTENCE} {SENTENCE}")

    transcript = joined(await pieces_of(samples))

    assert transcript.text == f"{SENTENCE} {SENTENCE} {SENTENCE}"
    assert transcript.language == "en"
    assert transcript.duration_s == pytest.approx(len(samples) / RATE_HZ)
    assert all(before.end_s <= after.start_s for before, after in pairwise(transcript.segments))
    assert transcript.segments[-1].end_s == pytest.approx(transcript.duration_s - 0.2, abs=0.05)


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 20 * RATE_HZ), max_size=12), pause_s=st.sampled_from([0.0, 0.05, 0.3]))
def test_in_whatever_blocks_it_comes_the_windows_are_the_same(sizes: list[int], pause_s: float) -> None:
    samples = speak(f"{SENTENCE} {SENTENCE}", pause_s=pause_s)
    toy = ToyTranscriber()

    asyncio.run(_all(samples, sizes, toy))

    planned = plan(samples, LISTENING.limits)
    assert [seconds for seconds, _ in toy.told] == [(window.end - window.start) / RATE_HZ for window in planned]


async def _all(samples: Samples, sizes: list[int], toy: ToyTranscriber) -> None:
    await pieces_of(samples, *sizes, toy=toy)


async def test_a_piece_is_given_as_soon_as_nothing_can_change_it() -> None:
    samples = speak(f"{SENTENCE} {SENTENCE}")
    toy, given_after = ToyTranscriber(), list[int]()

    async def decode(window: Samples, how: Decoding) -> Decoded:
        return toy.transcribe([window], how)[0]

    async for _ in transcribe(blocks(samples), LISTENING, Decoding(timing="segments"), decode):
        given_after.append(len(toy.told))

    assert given_after == list(range(1, len(given_after) + 1))
    assert len(given_after) > 1


@pytest.mark.parametrize("timing", ["segments", "words"])
async def test_words_that_two_windows_heard_stand_in_one_segment(timing: str) -> None:
    def heard(text: str) -> Decoded:
        words = tuple(
            Word(text=word, start_s=float(number), end_s=number + 0.9, probability=0.9)
            for number, word in enumerate(text.split())
        )
        segment = Segment(text=text, start_s=0, end_s=5, words=words if timing == "words" else ())
        return Decoded(text=text, language="en", no_speech_prob=0.1, tokens=5, segments=(segment,))

    answers = iter([heard("one two three"), heard("three four five")])

    async def decode(window: Samples, how: Decoding) -> Decoded:
        return next(answers)

    hum = np.full(12 * RATE_HZ, 0.1, dtype=np.float32)
    made = [piece async for piece in transcribe(blocks(hum), LISTENING, Decoding(timing="words"), decode)]

    assert joined(made).text == "one two three four five"
    assert [word.text for piece in made for segment in piece.segments for word in segment.words] == (
        ["one", "two", "three", "four", "five"] if timing == "words" else []
    )


async def test_a_language_that_was_detected_once_holds_for_the_rest() -> None:
    toy = ToyTranscriber()

    await pieces_of(speak(f"{SENTENCE} {SENTENCE}"), toy=toy)

    assert [how.language for _, how in toy.told] == ["", *["en"] * (len(toy.told) - 1)]


async def test_a_language_is_not_believed_before_there_was_enough_speech() -> None:
    toy, pause = ToyTranscriber(), np.zeros(9 * RATE_HZ, dtype=np.float32)
    samples = np.concatenate((speak("alpha"), pause, speak(SENTENCE), pause, speak("bravo")))

    await pieces_of(samples, toy=toy)

    languages = [how.language for _, how in toy.told]
    assert languages[:2] == ["", ""]
    assert set(languages[2:]) == {"en"}


async def test_silence_is_an_empty_text_of_some_length() -> None:
    transcript = joined(await pieces_of(np.zeros(25 * RATE_HZ, dtype=np.float32)))

    assert (transcript.text, transcript.segments, transcript.duration_s) == ("", (), 25)


async def test_no_sound_at_all_is_an_empty_text() -> None:
    assert joined(await pieces_of(np.zeros(0, dtype=np.float32))) == Transcript()


async def test_sound_is_read_in_blocks_at_16_khz() -> None:
    samples = speak(SENTENCE, pause_s=1)

    read = [block async for block in samples_of(wav(samples[::2], RATE_HZ // 2), "x.wav", longest_s=60)]

    assert [len(block) for block in read[:-1]] == [10 * RATE_HZ] * (len(read) - 1)
    assert sum(map(len, read)) == pytest.approx(len(samples), abs=RATE_HZ // 100)
    assert all(np.abs(block).max() <= 1 for block in read)


async def test_sound_that_is_too_long_is_read_no_further() -> None:
    reading = samples_of(wav(np.zeros(60 * RATE_HZ, dtype=np.float32)), "x.wav", longest_s=15)

    async with contextlib.aclosing(reading):
        await anext(reading)
        with pytest.raises(TooLongError, match=r"x\.wav is longer than 15 s"):
            await anext(reading)


@pytest.mark.parametrize("data", [b"", b"no sound", b"ffconcat version 1.0\nfile 'other.wav'\n"])
async def test_what_is_no_sound_is_said_by_name(data: bytes) -> None:
    with pytest.raises(UnreadableSoundError, match=r"x\.wav cannot be read as sound"):
        await anext(samples_of(io.BytesIO(data), "x.wav", longest_s=15))
