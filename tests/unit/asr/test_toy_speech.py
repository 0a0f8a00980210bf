"""The toy that the worker's tests listen with keeps to the Protocol, and its frames to the wire."""

import pytest

from parley_contract.frames import decode_frame, encode_frame
from parley_testkit.toy_speech import ToyTranscriber, frames_of, speak
from parley_testkit.transcriber_suite import Spoken, TranscriberSuite


class TestToyTranscriber(TranscriberSuite):
    @pytest.fixture
    def transcriber(self) -> ToyTranscriber:
        return ToyTranscriber()

    @pytest.fixture
    def spoken(self) -> Spoken:
        return Spoken(speak("alpha papa bravo"), "alpha papa bravo")


def test_the_frames_of_toy_speech_survive_the_wire() -> None:
    for frame in frames_of(speak("alpha papa")):
        assert decode_frame(encode_frame(frame)) == frame
