"""What every `Transcriber` must do, as tests: the real one and the toy inherit `TranscriberSuite` and pass it.

A subclass gives two fixtures: `transcriber`, and `spoken`, a few seconds of speech that it understands.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from parley_asr.engines import Decoding, Samples, Timing, Transcriber
from parley_contract.frames import RATE_HZ


class Spoken(NamedTuple):
    """Speech and what is said in it."""

    samples: Samples
    text: str


class TranscriberSuite:
    """Inherit, and give `transcriber` and `spoken`."""

    def test_the_engine_says_what_it_runs_on(self, transcriber: Transcriber) -> None:
        assert transcriber.engine.device in {"cpu", "cuda"}
        assert 8 <= transcriber.engine.window_s <= 30  # noqa: PLR2004  # what the settings allow

    @pytest.mark.parametrize(
        "how",
        [
            Decoding(),
            Decoding(beam_size=3),
            Decoding(language="en"),
            Decoding(is_safe=True),
            Decoding(temperature=0.2),
            Decoding(prompt="Somebody greets the others."),
            Decoding(timing="segments"),
            Decoding(timing="words", beam_size=3),
        ],
        ids=str,
    )
    def test_speech_is_understood(self, transcriber: Transcriber, spoken: Spoken, how: Decoding) -> None:
        [decoded] = transcriber.transcribe([spoken.samples], how)

        assert decoded.text.strip(" .").lower() == spoken.text
        assert decoded.no_speech_prob < 0.5  # noqa: PLR2004  # well below any threshold
        assert decoded.language == "en"
        assert decoded.tokens > 0

    @pytest.mark.parametrize("timing", ["segments", "words"])
    def test_text_is_tied_to_the_sound(self, transcriber: Transcriber, spoken: Spoken, timing: Timing) -> None:
        silence = np.zeros(2 * RATE_HZ, dtype=np.float32)
        samples = np.concatenate((silence, spoken.samples))
        first, last = np.flatnonzero(np.abs(samples) > samples.max() / 5)[[0, -1]] / RATE_HZ

        [decoded] = transcriber.transcribe([samples], Decoding(timing=timing))

        segments = decoded.segments
        assert " ".join(segment.text for segment in segments) == decoded.text
        assert segments[0].start_s == pytest.approx(first, abs=0.5)
        assert segments[-1].end_s == pytest.approx(last, abs=0.5)
        assert all(before.end_s <= after.start_s for before, after in pairwise(segments))
        for segment in segments:
            assert segment.start_s < segment.end_s <= len(samples) / RATE_HZ
            assert " ".join(word.text for word in segment.words) == (segment.text if timing == "words" else "")
            assert all(word.start_s <= word.end_s <= segment.end_s for word in segment.words)

    def test_without_timing_there_are_no_segments(self, transcriber: Transcriber, spoken: Spoken) -> None:
        [decoded] = transcriber.transcribe([spoken.samples], Decoding())

        assert decoded.segments == ()

    @pytest.mark.parametrize("timing", ["none", "segments", "words"])
    def test_several_windows_are_understood_as_one_by_one(
        self, transcriber: Transcriber, spoken: Spoken, timing: Timing
    ) -> None:
        silence = np.zeros(RATE_HZ, dtype=np.float32)
        windows = [spoken.samples, silence, np.concatenate((silence, spoken.samples))]
        how = Decoding(timing=timing)

        together = transcriber.transcribe(windows, how)
        apart = [decoded for samples in windows for decoded in transcriber.transcribe([samples], how)]

        assert [decoded.text for decoded in (together[0], together[2])] == [apart[0].text, apart[2].text]
        assert [decoded.no_speech_prob > 0.6 for decoded in together] == [False, True, False]  # noqa: PLR2004  # as above
        assert [len(decoded.segments) for decoded in together] == [len(decoded.segments) for decoded in apart]

    def test_silence_is_likely_no_speech(self, transcriber: Transcriber) -> None:
        [decoded] = transcriber.transcribe([np.zeros(2 * RATE_HZ, dtype=np.float32)], Decoding())

        assert decoded.no_speech_prob > 0.6  # noqa: PLR2004  # the default threshold

    @pytest.mark.parametrize("count", [0, 1, 100, 320])
    def test_hardly_any_sound_is_decoded_like_any_other(self, transcriber: Transcriber, count: int) -> None:
        [decoded] = transcriber.transcribe([np.zeros(count, dtype=np.float32)], Decoding())

        assert decoded.no_speech_prob > 0.6  # noqa: PLR2004  # the default threshold

    def test_what_is_longer_than_the_window_is_cut(self, transcriber: Transcriber, spoken: Spoken) -> None:
        silence = np.zeros(round(transcriber.engine.window_s * RATE_HZ), dtype=np.float32)

        [decoded] = transcriber.transcribe([np.concatenate((silence, spoken.samples))], Decoding())

        assert decoded.no_speech_prob > 0.6  # noqa: PLR2004  # the default threshold

    def test_a_decode_leaves_the_samples_and_the_next_decode_alone(
        self, transcriber: Transcriber, spoken: Spoken
    ) -> None:
        before = spoken.samples.copy()

        first = transcriber.transcribe([spoken.samples], Decoding())
        transcriber.transcribe([spoken.samples[::2]], Decoding())
        again = transcriber.transcribe([spoken.samples], Decoding())

        assert np.array_equal(spoken.samples, before)
        assert again == first
