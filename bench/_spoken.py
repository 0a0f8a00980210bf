"""Speech whose words are known: recordings, spoken questions, and sentences in a real voice. Used by `asr`."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from _sentences import SENTENCES

from parley_asr.engines import Samples
from parley_cli.questions import sample_questions
from parley_contract.catalogue import find_model
from parley_runtime.models import ModelStore
from parley_runtime.pulls import pull
from parley_runtime.sounds import read_pcm
from parley_tts.engines import Samples as Sound
from parley_tts.engines import Speech, piper
from parley_tts.shaping import Shaper
from parley_tts.speakable import speakable

_VOICE: Final = "en_US-joe-medium"
_RECORDED: Final = {
    "hello_world": "Hello world.",
    "quick_brown_fox": "The quick brown fox jumps over the lazy dog.",
}


class Spoken(NamedTuple):
    """Speech and what is said in it."""

    samples: Samples
    text: str


def corpus(store: ModelStore) -> list[Spoken]:
    """Return the recorded samples, the spoken questions of the samples, and the sentences of this folder."""
    samples = pull(store, find_model("audioeval")) / "en"
    recorded = [Spoken(_read(samples / f"{name}.wav"), text) for name, text in _RECORDED.items()]
    asked = [Spoken(_read(question.wav), question.expected or "") for question in sample_questions()]
    voice = piper.load(pull(store, find_model(_VOICE)))
    return [*recorded, *asked, *(Spoken(_said(voice, text), text) for text in SENTENCES)]


def _read(path: Path) -> Samples:
    pcm = b"".join(read_pcm(path, path.name))
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


def _said(voice: piper.PiperSynthesizer, text: str) -> Samples:
    sound, shaper = list[Sound](), Shaper(voice.voice.rate_hz)

    def take(piece: Sound) -> bool:
        sound.append(piece)
        return True

    voice.speak(Speech(text=speakable(text, "en"), language="en"), take)
    pcm = b"".join([*shaper.feed(np.concatenate(sound)), *shaper.finish()])
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
