"""The fake voice keeps the same promises as the real ones."""

import pytest

from parley_testkit.synthesizer_suite import SynthesizerSuite
from parley_testkit.toy_voice import ToySynthesizer
from parley_tts.engines import Synthesizer


class TestToyVoice(SynthesizerSuite):
    @pytest.fixture
    def synthesizer(self) -> Synthesizer:
        return ToySynthesizer()
