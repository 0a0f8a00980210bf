"""Piper voices through sherpa-onnx; its only importer. Phonemes come from an espeak-ng process.

From 2.0 sherpa-onnx has no phonemizer inside and takes phonemes as code points per sentence, to which it adds the
voice's own begin, end and padding. `app` loads it. Not here: the files of a voice (`parley_runtime.piper_voices`).
"""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import sherpa_onnx

from parley_runtime import piper_voices
from parley_runtime.piper_voices import PiperVoice, SherpaFiles
from parley_tts.clauses import Breath, breaths
from parley_tts.engines import CannotSpeakError, EngineUnusableError, Samples, Speech, SynthesisFailedError, Take, Voice
from parley_tts.engines.espeak import find_espeak, phonemes

_ONNX_OPTIONS: Final = Path(__file__).with_name("onnxruntime.conf")


def load(folder: Path, *, threads: int = 1) -> "SherpaSynthesizer":
    """Load a Piper voice from its folder; blocks for about a second.

    Args:
        folder: with `<voice>.onnx` and `<voice>.onnx.json`; what sherpa-onnx needs is derived if it is not there yet.
        threads: of the model. One is best on shared cores: two on two busy cores take twice as long.

    Raises:
        EngineUnusableError: espeak-ng is missing, or the voice does not load.
        VoiceUnusableError: the folder holds no Piper voice.
    """
    program = find_espeak()
    piper = piper_voices.read_voice(folder)
    files = piper_voices.derived(folder)
    if piper_voices.is_derived(piper, files):
        return SherpaSynthesizer(_load(piper, files, threads), piper, program)
    # The folder is somebody else's and may be read-only; once loaded the files are not needed any more.
    with tempfile.TemporaryDirectory(prefix="parley-tts-") as scratch:
        files = piper_voices.derived(Path(scratch))
        piper_voices.derive(piper, files)
        return SherpaSynthesizer(_load(piper, files, threads), piper, program)


def _load(piper: PiperVoice, files: SherpaFiles, threads: int) -> sherpa_onnx.OfflineTts:
    inference = piper.config.inference
    config = sherpa_onnx.OfflineTtsConfig(
        model=sherpa_onnx.OfflineTtsModelConfig(
            vits=sherpa_onnx.OfflineTtsVitsModelConfig(
                model=str(files.model),
                tokens=str(files.tokens),
                noise_scale=inference.noise_scale,
                noise_scale_w=inference.noise_w,
                length_scale=inference.length_scale,
            ),
            num_threads=threads,
            provider=f"cpu:{_ONNX_OPTIONS}",
        ),
    )
    if not config.validate():
        raise EngineUnusableError(f"sherpa-onnx refuses the files of {piper.name}; its message stands in the log")
    try:
        return sherpa_onnx.OfflineTts(config)
    except RuntimeError as error:
        raise EngineUnusableError(f"{piper.name} does not load: {error}") from error


class SherpaSynthesizer:
    """One Piper voice."""

    def __init__(self, tts: sherpa_onnx.OfflineTts, piper: PiperVoice, espeak: str) -> None:
        """Use what `load` loaded."""
        self._tts = tts
        self._piper = piper
        self._espeak = espeak
        self._voice = Voice(engine="sherpa", name=piper.name, rate_hz=tts.sample_rate)

    @property
    def voice(self) -> Voice:
        """See Synthesizer."""
        return self._voice

    def speak(self, speech: Speech, take: Take) -> None:
        """See Synthesizer."""
        own = self._piper.config.espeak.voice.partition("-")[0]
        if speech.language.partition("-")[0] != own:
            raise CannotSpeakError(f"{self._voice.name} speaks {own}, not {speech.language}")
        said = breaths(speech.text)
        clauses = iter(phonemes(self._espeak, self._piper.config.espeak.voice, [c.words for b in said for c in b]))
        heard = False
        for breath in said:
            for samples in self._voiced(_sentence(breath, [next(clauses) for _ in breath]), speech.speed):
                heard = True
                if not take(samples):
                    return
        if not heard:
            raise CannotSpeakError("no phonemes in this text")

    def _voiced(self, sentence: str, speed: float) -> list[Samples]:
        if not any(phoneme in self._piper.config.phoneme_id_map for phoneme in sentence if phoneme.isalpha()):
            return []
        how = sherpa_onnx.GenerationConfig()
        how.phoneme_codepoints = [[ord(phoneme) for phoneme in sentence]]
        how.speed = speed
        # Its default cuts pauses to a fifth, so that sentences run into each other.
        how.silence_scale = 1.0
        pieces: list[Samples] = []

        def collect(samples: Samples, _progress: float) -> int:
            # The buffer dies with this call; and `GeneratedAudio.samples` would be a list of Python floats.
            pieces.append(np.array(samples, dtype=np.float32))
            return 1

        try:
            self._tts.generate("", how, collect)
        except RuntimeError as error:
            raise SynthesisFailedError(f"sherpa-onnx failed: {type(error).__name__}") from error
        if not any(len(piece) for piece in pieces):
            raise SynthesisFailedError("sherpa-onnx made no sound of phonemes that it knows")
        return pieces


def _sentence(breath: Breath, spoken: list[str]) -> str:
    """Put clauses together as Piper's own phonemizer does: punctuation behind the clause, then a space."""
    return " ".join(f"{sounds}{clause.ending}" for clause, sounds in zip(breath, spoken, strict=True) if sounds)
