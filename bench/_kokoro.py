"""Kokoro's Japanese voices speaking English: a voice for test sound that is not the assistant's own.

The model and its voices come from the catalogue (`kokoro-ja`), the phonemes from espeak-ng. Implements
`parley_tts.engines.Synthesizer`. Not for the product: it is eight times as slow as Piper.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from parley_tts.clauses import breaths
from parley_tts.engines import CannotSpeakError, Speech, Take, Voice
from parley_tts.engines.espeak import Phonemizer, find_espeak

_RATE_HZ: Final = 24_000
_ACCENT: Final = "en-us"
_ALPHABET: Final[Mapping[str, str]] = {
    "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "O", "ɔɪ": "Y", "tʃ": "ʧ", "dʒ": "ʤ",
    "ɜː": "ɜɹ", "ɚɹ": "əɹ", "ɚ": "əɹ", "ɝ": "ɜɹ", "əl": "ᵊl", "ɐ": "ə", "ɾ": "T", "e": "A", "ː": "",
}  # fmt: skip
"""What Kokoro writes otherwise than espeak-ng: diphthongs and affricates are one letter, US vowels have no length. Read
off its vocabulary and the phonemes that its own English is trained with; longer keys come first."""


def load(folder: Path, name: str, *, threads: int = 1) -> "KokoroSynthesizer":
    """Load the model, for one of its voices (`jf_alpha`, `jm_kumo`, …); blocks for about a second.

    Raises:
        KeyError: it has no such voice.
        EngineUnusableError: espeak-ng is missing.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    [model] = folder.glob("*.onnx")
    # Its decoder draws noise: with a seed it draws the same in every process. The name tells voices apart.
    onnxruntime.set_seed(zlib.crc32(name.encode()))
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    vocabulary = json.loads((folder / "vocab.json").read_text())["vocab"]
    with np.load(folder / "voices_ja.npz") as voices:
        return KokoroSynthesizer(session, vocabulary, voices[name], Voice(engine="kokoro", name=name, rate_hz=_RATE_HZ))


class KokoroSynthesizer:
    """One voice."""

    def __init__(self, session: Any, vocabulary: Mapping[str, int], styles: Any, voice: Voice) -> None:  # noqa: ANN401  # as onnxruntime and numpy have it
        """Use what `load` loaded; `styles`: (510, 1, 256) float32, one for each number of phonemes."""
        self._session = session
        self._vocabulary = vocabulary
        self._styles = styles
        self._voice = voice
        self._phonemizer = Phonemizer(find_espeak(), _ACCENT)

    @property
    def voice(self) -> Voice:
        """See Synthesizer."""
        return self._voice

    def speak(self, speech: Speech, take: Take) -> None:
        """See Synthesizer."""
        for breath in breaths(speech.text):
            sounds = self._phonemizer.phonemes([clause.words for clause in breath])
            text = " ".join(f"{in_kokoro(s)}{clause.ending}" for clause, s in zip(breath, sounds, strict=True))
            tokens = [self._vocabulary[letter] for letter in text if letter in self._vocabulary]
            if not tokens:
                raise CannotSpeakError("no phonemes in this text")
            style = self._styles[min(len(tokens), len(self._styles)) - 1]
            [sound] = self._session.run(
                ["audio"],
                {
                    "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
                    "style": np.asarray(style, dtype=np.float32).reshape(1, -1),
                    "speed": np.array([speech.speed], dtype=np.float32),
                },
            )
            if not take(np.asarray(sound, dtype=np.float32).ravel()):
                return


def in_kokoro(ipa: str) -> str:
    """Write espeak-ng's phonemes in Kokoro's alphabet."""
    for theirs in sorted(_ALPHABET, key=len, reverse=True):
        ipa = ipa.replace(theirs, _ALPHABET[theirs])
    return ipa
