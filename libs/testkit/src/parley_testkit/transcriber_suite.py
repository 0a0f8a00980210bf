"""What every `Transcriber` must do, as tests: the real one and the toy inherit `TranscriberSuite` and pass it.

A subclass gives two fixtures: `transcriber`, and `spoken`, a few seconds of speech that it understands.
"""

from typing import NamedTuple

import numpy as np
import pytest

from parley_asr.engines import Decoding, Samples, Transcriber
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
        "how", [Decoding(), Decoding(beam_size=3), Decoding(language="en"), Decoding(is_safe=True)], ids=str
    )
    def test_speech_is_understood(self, transcriber: Transcriber, spoken: Spoken, how: Decoding) -> None:
        decoded = transcriber.transcribe(spoken.samples, how)

        assert decoded.text.strip(" .").lower() == spoken.text
        assert decoded.no_speech_prob < 0.5  # noqa: PLR2004  # well below any threshold
        assert decoded.language == "en"
        assert decoded.tokens > 0

    def test_silence_is_likely_no_speech(self, transcriber: Transcriber) -> None:
        decoded = transcriber.transcribe(np.zeros(2 * RATE_HZ, dtype=np.float32), Decoding())

        assert decoded.no_speech_prob > 0.6  # noqa: PLR2004  # the default threshold

    @pytest.mark.parametrize("count", [0, 1, 100, 320])
    def test_hardly_any_sound_is_decoded_like_any_other(self, transcriber: Transcriber, count: int) -> None:
        decoded = transcriber.transcribe(np.zeros(count, dtype=np.float32), Decoding())

        assert decoded.no_speech_prob > 0.6  # noqa: PLR2004  # the default threshold

    def test_what_is_longer_than_the_window_is_cut(self, transcriber: Transcriber, spoken: Spoken) -> None:
        silence = np.zeros(round(transcriber.engine.window_s * RATE_HZ), dtype=np.float32)

        decoded = transcriber.transcribe(np.concatenate((silence, spoken.samples)), Decoding())

        assert decoded.no_speech_prob > 0.6  # noqa: PLR2004  # the default threshold

    def test_a_decode_leaves_the_samples_and_the_next_decode_alone(
        self, transcriber: Transcriber, spoken: Spoken
    ) -> None:
        before = spoken.samples.copy()

        first = transcriber.transcribe(spoken.samples, Decoding())
        transcriber.transcribe(spoken.samples[::2], Decoding())
        again = transcriber.transcribe(spoken.samples, Decoding())

        assert np.array_equal(spoken.samples, before)
        assert again == first
