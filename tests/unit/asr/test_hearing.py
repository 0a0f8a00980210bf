"""An utterance of any length comes out whole, each settled window decoded once."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from parley_asr.engines import Decoded, Decoding, Samples, Segment
from parley_asr.hearing import Hearing, Listening, hear
from parley_asr.loops import unloop
from parley_asr.windows import limits
from parley_contract.frames import RATE_HZ
from parley_testkit.toy_speech import WORDS, ToyTranscriber, speak

VERSE = "the river flows to the city and the city sleeps by the river in the evening and the river flows; "
HOW = Listening(limits=limits(encoder_window_s=10, overlap_ms=300), beam_size=3)


class Engine:
    """A transcriber behind the asynchronous call that `Hearing` makes."""

    def __init__(self) -> None:
        self.toy = ToyTranscriber(window_s=10)

    async def decode(self, samples: Samples, how: Decoding) -> Decoded:
        return self.toy.transcribe([samples], how)[0]


def text_of(count: int) -> str:
    return " ".join(WORDS[index * 7 % len(WORDS)] for index in range(count))


async def test_a_short_utterance_is_one_decode_with_the_configured_beam() -> None:
    engine = Engine()

    understood = await Hearing(HOW).final(speak("alpha bravo"), engine.decode)

    assert (understood.verdict, understood.text, understood.language) == ("speech", "alpha bravo", "en")
    assert [how for _, how in engine.toy.told] == [Decoding(beam_size=3)]


PAUSE = np.zeros(RATE_HZ // 2, dtype=np.float32)
TWO_SENTENCES = np.concatenate((speak("alpha bravo charlie"), PAUSE, speak("delta echo foxtrot")))


async def test_sentences_with_a_pause_between_are_one_decode_with_timestamps() -> None:
    engine = Engine()

    understood = await Hearing(HOW).final(TWO_SENTENCES, engine.decode)

    assert understood.text == "alpha bravo charlie delta echo foxtrot"
    assert [how.timing for _, how in engine.toy.told] == ["segments"]


async def test_what_the_decoder_left_out_after_a_pause_is_decoded_by_itself() -> None:
    engine = Engine()
    engine.toy.stops_for = 1

    understood = await Hearing(HOW).final(TWO_SENTENCES, engine.decode)

    whole_s, first_s, second_s = (seconds for seconds, _ in engine.toy.told)
    assert understood.text == "alpha bravo charlie delta echo foxtrot"
    assert first_s + second_s == pytest.approx(whole_s)


async def test_the_segments_of_what_was_decoded_by_itself_stand_where_they_were_said() -> None:
    engine = Engine()
    engine.toy.stops_for = 1

    heard = await hear(TWO_SENTENCES, Decoding(timing="segments"), HOW, engine.decode, is_careful=True)

    first, second = heard.segments
    assert [first.text, second.text] == ["alpha bravo charlie", "delta echo foxtrot"]
    assert [first.start_s, second.start_s] == pytest.approx([0.0, 2.0])


async def test_silence_before_sentences_is_not_decoded_and_their_times_are_as_with_it() -> None:
    engine, silence = Engine(), np.zeros(RATE_HZ, dtype=np.float32)
    samples = np.concatenate((silence, TWO_SENTENCES))

    heard = await hear(samples, Decoding(timing="segments"), HOW, engine.decode, is_careful=True)

    [(seconds, _)] = engine.toy.told
    assert seconds == pytest.approx(len(samples) / RATE_HZ - 0.8)
    assert heard.segments[0].start_s == pytest.approx(1.0)


async def test_silence_before_one_sentence_is_decoded_with_it() -> None:
    engine, silence = Engine(), np.zeros(RATE_HZ, dtype=np.float32)
    samples = np.concatenate((silence, speak("alpha bravo charlie")))

    await hear(samples, Decoding(), HOW, engine.decode, is_careful=True)

    assert [seconds for seconds, _ in engine.toy.told] == [len(samples) / RATE_HZ]


async def test_a_partial_that_left_something_out_is_left_as_it_is() -> None:
    engine = Engine()
    engine.toy.stops_for = 1

    understood = await Hearing(HOW).partial(TWO_SENTENCES, engine.decode)

    assert understood.text == "alpha bravo charlie"
    assert len(engine.toy.told) == 1


async def test_what_is_no_more_when_heard_in_two_parts_stays_as_it_was_heard_in_one() -> None:
    engine = Engine()
    engine.toy.stops_for = 3

    understood = await Hearing(HOW).final(TWO_SENTENCES, engine.decode)

    assert understood.text == "alpha bravo charlie"


async def test_a_partial_is_decoded_with_beam_one() -> None:
    engine = Engine()

    understood = await Hearing(HOW).partial(speak("alpha bravo"), engine.decode)

    assert understood.text == "alpha bravo"
    assert [how.beam_size for _, how in engine.toy.told] == [1]


@pytest.mark.parametrize("beam_size, more_s, decodes", [(1, 0, 1), (3, 0, 2), (1, 0.3, 2)])
async def test_a_final_of_what_the_partial_heard_in_the_same_way_costs_nothing(
    beam_size: int, more_s: float, decodes: int
) -> None:
    engine, hearing = Engine(), Hearing(structs.replace(HOW, beam_size=beam_size))
    said, more = speak("alpha bravo"), np.full(round(more_s * RATE_HZ), 0.001, dtype=np.float32)

    await hearing.partial(said, engine.decode)
    understood = await hearing.final(np.concatenate((said, more)), engine.decode)

    assert understood.text == "alpha bravo"
    assert len(engine.toy.told) == decodes


async def test_a_doubtful_partial_is_decoded_again_with_care() -> None:
    engine, hearing = Engine(), Hearing(structs.replace(HOW, beam_size=1))
    engine.toy.loops_for = 1

    await hearing.partial(speak("alpha bravo"), engine.decode)
    understood = await hearing.final(speak("alpha bravo"), engine.decode)

    assert understood.text == "alpha bravo"


async def test_digital_silence_costs_no_decode() -> None:
    engine = Engine()

    understood = await Hearing(HOW).final(np.zeros(RATE_HZ, dtype=np.float32), engine.decode)

    assert (understood.verdict, understood.text) == ("silence", "")
    assert engine.toy.told == []


async def test_what_is_longer_than_the_window_comes_out_whole() -> None:
    text = text_of(100)

    understood = await Hearing(HOW).final(speak(text), Engine().decode)

    assert understood.text == text


async def test_speech_without_pauses_comes_out_whole() -> None:
    text = text_of(100)

    understood = await Hearing(HOW).final(speak(text, pause_s=0.0), Engine().decode)

    assert understood.text == text


async def test_a_running_utterance_decodes_each_settled_window_once() -> None:
    engine, hearing = Engine(), Hearing(HOW)
    samples = speak(text_of(60))

    for second in range(1, len(samples) // RATE_HZ):
        await hearing.partial(samples[: second * RATE_HZ], engine.decode)
    final = await hearing.final(samples, engine.decode)

    careful_s = [seconds for seconds, how in engine.toy.told if how.beam_size == HOW.beam_size]
    assert final.text == text_of(60)
    assert sum(careful_s) == pytest.approx(len(samples) / RATE_HZ)


async def test_partials_of_a_long_utterance_only_grow() -> None:
    hearing = Hearing(HOW)
    samples = speak(text_of(60))

    lengths = [
        len((await hearing.partial(samples[: second * RATE_HZ], Engine().decode)).text)
        for second in range(1, len(samples) // RATE_HZ)
    ]

    assert lengths == sorted(lengths)


async def test_a_window_that_loops_is_decoded_again_in_safe_mode_for_a_final() -> None:
    engine = Engine()
    engine.toy.loops_for = 1

    understood = await Hearing(HOW).final(speak("alpha bravo"), engine.decode)

    assert understood.text == "alpha bravo"
    assert [how.is_safe for _, how in engine.toy.told] == [False, True]


async def test_a_sentence_in_silence_is_heard_again_in_safe_mode() -> None:
    async def decode(_: Samples, how: Decoding) -> Decoded:
        no_speech_prob = 0.2 if how.is_safe else 0.61
        return Decoded(text="turn on the light", language="en", no_speech_prob=no_speech_prob, tokens=4)

    understood = await Hearing(HOW).final(speak("alpha"), decode)

    assert (understood.verdict, understood.text) == ("speech", "turn on the light")


async def test_an_engine_without_another_mode_is_asked_once() -> None:
    engine = Engine()
    engine.toy.loops_for = 1

    understood = await Hearing(structs.replace(HOW, has_safe_mode=False)).final(speak("alpha"), engine.decode)

    assert understood.text == "bravo"
    assert len(engine.toy.told) == 1


async def test_a_partial_that_loops_is_only_cut() -> None:
    engine = Engine()
    engine.toy.loops_for = 1

    understood = await Hearing(HOW).partial(speak("alpha bravo"), engine.decode)

    assert understood.text == "bravo"
    assert len(engine.toy.told) == 1


async def test_what_repeats_itself_in_any_mode_is_looping() -> None:
    async def decode(_: Samples, how: Decoding) -> Decoded:
        return Decoded(text=VERSE * 3, language="en", no_speech_prob=0.1, tokens=200)

    understood = await Hearing(HOW).final(speak("alpha"), decode)

    assert (understood.verdict, understood.text) == ("looping", "")


@pytest.mark.parametrize("configured, asked", [("", ["", "ko", "ko"]), ("en", ["en", "en", "en"])])
async def test_an_utterance_keeps_to_the_language_of_its_first_window(configured: str, asked: list[str]) -> None:
    languages: list[str] = []

    async def decode(_: Samples, how: Decoding) -> Decoded:
        languages.append(how.language)
        return Decoded(text="안녕", language=how.language or "ko", no_speech_prob=0.1, tokens=2)

    how = Listening(limits=limits(encoder_window_s=10, overlap_ms=120), language=configured)
    await Hearing(how).final(speak(text_of(50)), decode)

    assert languages == asked


@settings(max_examples=40)
@given(
    words=st.lists(st.sampled_from(WORDS), max_size=60),
    pause_s=st.sampled_from([0.2, 0.3, 0.5]),
    window_s=st.sampled_from([3.0, 5.0, 10.0]),
)
async def test_no_word_is_lost_or_doubled_at_any_border(words: list[str], pause_s: float, window_s: float) -> None:
    text = " ".join(words)
    assume(not unloop(text).had_loop)
    how = Listening(limits=limits(encoder_window_s=window_s, overlap_ms=120))

    understood = await Hearing(how).final(speak(text, pause_s=pause_s), Engine().decode)

    assert understood.text == text


@pytest.mark.parametrize(
    "text, configured, asked",
    [("alpha", "", "ko"), ("alpha bravo charlie delta echo foxtrot golf hotel", "", ""), ("alpha", "es", "es")],
    ids=["too little speech to tell", "enough speech to tell", "a configured language"],
)
async def test_the_language_heard_before_helps_where_there_is_too_little_speech_to_tell(
    text: str, configured: str, asked: str
) -> None:
    engine = Engine()

    await Hearing(structs.replace(HOW, language=configured), likely="ko").final(speak(text), engine.decode)

    assert [how.language for _, how in engine.toy.told] == [asked]


@pytest.mark.parametrize(
    "segments, heard",
    [
        pytest.param(((0, 1, "Hello."), (1, 2, "Hello.")), "Hello.", id="said into the pause"),
        pytest.param(((0, 1, "Hello."), (1, 1.5, "hello"), (1.5, 2, "Hello.")), "Hello.", id="more than once"),
        pytest.param(((0, 0.5, "Hello."), (0.5, 1, "Hello.")), "Hello. Hello.", id="said twice"),
        pytest.param(((0, 0.9, "Hello."), (0.9, 1, "Hello.")), "Hello.", id="faster than anybody speaks"),
        pytest.param(((0, 1, "Hello."), (1, 2, "Bye."), (2, 2, "Hello. Bye.")), "Hello. Bye.", id="after the end"),
        pytest.param(((0, 1, "Hello."), (1, 2, "Bye.")), "Hello. Bye.", id="something else"),
    ],
)
async def test_what_is_said_again_where_nobody_speaks_was_said_once(
    segments: tuple[tuple[float, float, str], ...], heard: str
) -> None:
    second_of_speech = np.concatenate((speak("alpha bravo")[:RATE_HZ], np.zeros(RATE_HZ, dtype=np.float32)))
    made = tuple(Segment(text=text, start_s=start_s, end_s=end_s) for start_s, end_s, text in segments)

    async def decode(samples: Samples, how: Decoding) -> Decoded:
        del samples, how
        text = " ".join(segment.text for segment in made)
        return Decoded(text=text, language="en", no_speech_prob=0.0, tokens=9, segments=made)

    assert (await hear(second_of_speech, Decoding(), HOW, decode, is_careful=True)).text == heard
