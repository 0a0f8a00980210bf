"""What every `Synthesizer` must do, as tests: the real voices and the fake inherit `SynthesizerSuite` and pass it.

A subclass gives the fixture `synthesizer`: loaded, and speaking English.
"""

import numpy as np
import pytest

from parley_tts.engines import CannotSpeakError, Samples, Speech, Synthesizer

SHORT = "Hello there."
QUIETEST_PEAK = 0.1
"""-20 dB of full scale: quieter speech is hard to follow."""
CLEARLY = 1.3
"""Twice the speed is not half the time for every engine: the shortest sounds cannot get shorter."""
LONG = "The weather is lovely today, so let us take a walk along the river. Would you like to come with me?"


def spoken(synthesizer: Synthesizer, text: str, *, language: str = "en", speed: float = 1.0) -> Samples:
    """Say a text and return all of its sound."""
    pieces: list[Samples] = []

    def take(samples: Samples) -> bool:
        pieces.append(samples)
        return True

    synthesizer.speak(Speech(text=text, language=language, speed=speed), take)
    return np.concatenate(pieces)


class SynthesizerSuite:
    """Inherit, and give `synthesizer`."""

    def test_speech_is_audible_and_within_full_scale(self, synthesizer: Synthesizer) -> None:
        samples = spoken(synthesizer, SHORT)

        assert samples.dtype == np.float32
        assert samples.ndim == 1
        assert QUIETEST_PEAK < np.abs(samples).max() <= 1

    def test_a_longer_text_takes_longer(self, synthesizer: Synthesizer) -> None:
        assert len(spoken(synthesizer, LONG)) > 3 * len(spoken(synthesizer, SHORT))

    def test_the_pace_follows_the_speed(self, synthesizer: Synthesizer) -> None:
        slow, usual, fast = (len(spoken(synthesizer, LONG, speed=speed)) for speed in (0.5, 1, 2))

        assert slow > CLEARLY * usual > CLEARLY * CLEARLY * fast

    def test_it_stops_when_no_more_is_wanted_and_speaks_again_after_that(self, synthesizer: Synthesizer) -> None:
        heard: list[Samples] = []

        def enough(samples: Samples) -> bool:
            heard.append(samples)
            return False

        synthesizer.speak(Speech(text=LONG, language="en"), enough)
        again = spoken(synthesizer, SHORT)

        assert len(heard) == 1
        assert len(again) > 0

    @pytest.mark.parametrize("nothing", ["", "."])
    def test_a_text_with_nothing_to_say_is_refused(self, synthesizer: Synthesizer, nothing: str) -> None:
        with pytest.raises(CannotSpeakError):
            spoken(synthesizer, nothing)

    def test_a_language_it_has_no_voice_for_is_refused(self, synthesizer: Synthesizer) -> None:
        with pytest.raises(CannotSpeakError):
            spoken(synthesizer, SHORT, language="xx")
