"""Piper voices, heard while they are made: their model in two halves (decision 0016), phonemes from espeak-ng.

`app` loads it. The first half makes a latent of a whole breath, in a third of the time; the second makes sound of the
latent piece by piece, and is left alone when nobody wants more. Not here: the files of a voice
(`parley_runtime.piper_voices`), ids and pieces (`pieces`).
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from parley_runtime import piper_voices
from parley_runtime.piper_voices import CONTEXT_FRAMES, HOP_SAMPLES, Halves, PiperVoice
from parley_tts.clauses import Breath, breaths
from parley_tts.engines import CannotSpeakError, EngineUnusableError, Samples, Speech, SynthesisFailedError, Take, Voice
from parley_tts.engines.espeak import Phonemizer, find_espeak
from parley_tts.pieces import phoneme_ids, pieces

Latent = npt.NDArray[np.float32]
"""(1, channels, frames) float32; a frame becomes `hop_samples` of sound, mostly 256."""
_FIRST_SPEAKER: Final = 0


def load(folder: Path, *, threads: int = 1) -> "PiperSynthesizer":
    """Load a Piper voice from its folder; blocks for about a second, and three more if its model is still whole.

    Args:
        folder: with `<voice>.onnx` and `<voice>.onnx.json`; the model's halves are made if they are not there yet.
        threads: of the model. One is best on shared cores: two on two busy cores take twice as long.

    Raises:
        EngineUnusableError: espeak-ng is missing, or the voice does not load.
        VoiceUnusableError: the folder holds no Piper voice, or one whose model cannot be cut in two.
    """
    program = find_espeak()
    piper = piper_voices.read_voice(folder)
    halves = piper_voices.derived(folder)
    if piper_voices.is_derived(piper, halves):
        return PiperSynthesizer(PiperModel(piper, halves, threads), program)
    # The folder is somebody else's and may be read-only; once loaded the files are not needed any more.
    with tempfile.TemporaryDirectory(prefix="parley-tts-") as scratch:
        halves = piper_voices.derived(Path(scratch))
        piper_voices.derive(piper, halves)
        return PiperSynthesizer(PiperModel(piper, halves, threads), program)


class PiperModel:
    """The two halves of a voice's model."""

    def __init__(self, piper: PiperVoice, halves: Halves, threads: int) -> None:
        """Load them; once loaded the files are not needed any more.

        Raises:
            EngineUnusableError: they do not load.
        """
        self.piper: Final = piper
        self._encoder = _session(piper, halves.encoder, threads)
        self._decoder = _session(piper, halves.decoder, threads)
        facts = self._decoder.get_modelmeta().custom_metadata_map
        self.hop_samples: Final = int(facts[HOP_SAMPLES])
        self.context_frames: Final = int(facts[CONTEXT_FRAMES])
        self._latent, *speaker = [each.name for each in self._decoder.get_inputs()]
        # Voices of several speakers ask both halves who speaks, the others neither.
        self._speaker: Mapping[str, object] = {name: np.array([_FIRST_SPEAKER], np.int64) for name in speaker}

    def encode(self, ids: Sequence[int], *, speed: float) -> Latent:
        """Return the latent of a breath; it differs each time, as the voice's configuration says.

        Args:
            ids: of its phonemes.
            speed: 1 is the voice's own pace, 2 twice as fast.

        Raises:
            SynthesisFailedError: onnxruntime broke.
        """
        how = self.piper.config.inference
        latent: Latent = _run(
            self._encoder,
            {
                "input": np.array([ids], np.int64),
                "input_lengths": np.array([len(ids)], np.int64),
                "scales": np.array([how.noise_scale, how.length_scale / speed, how.noise_w], np.float32),
                **self._speaker,
            },
        )
        return latent

    def decode(self, latent: Latent) -> Samples:
        """Return the sound of a latent, `hop_samples` for each of its frames.

        Raises:
            SynthesisFailedError: onnxruntime broke.
        """
        samples: Samples = _run(self._decoder, {self._latent: latent, **self._speaker}).ravel()
        return samples

    def decode_in_pieces(self, latent: Latent) -> Iterator[Samples]:
        """Yield the same sound, each piece of it as soon as it is made.

        Raises:
            SynthesisFailedError: onnxruntime broke.
        """
        for piece in pieces(latent.shape[-1], context=self.context_frames):
            samples = self.decode(latent[:, :, piece.begin : piece.end])
            # A copy: what is kept of it shall not keep the neighbours' sound.
            yield samples[piece.skip * self.hop_samples : (piece.skip + piece.keep) * self.hop_samples].copy()


class PiperSynthesizer:
    """One Piper voice."""

    def __init__(self, model: PiperModel, espeak: str) -> None:
        """Use what `load` loaded."""
        self._model = model
        self._config = model.piper.config
        self._phonemizer = Phonemizer(espeak, model.piper.config.espeak.voice)
        self._phonemizer.prepare()
        self._voice = Voice(engine="piper", name=model.piper.name, rate_hz=self._config.audio.sample_rate)

    @property
    def voice(self) -> Voice:
        """See Synthesizer."""
        return self._voice

    def speak(self, speech: Speech, take: Take) -> None:
        """See Synthesizer."""
        accent = self._config.espeak.voice
        own = accent.partition("-")[0]
        if speech.language.partition("-")[0] != own:
            raise CannotSpeakError(f"{self._voice.name} speaks {own}, not {speech.language}")
        try:
            self._speak(speech, take)
        finally:
            self._phonemizer.prepare()

    def _speak(self, speech: Speech, take: Take) -> None:
        said = breaths(speech.text)
        clauses = iter(self._phonemizer.phonemes([clause.words for breath in said for clause in breath]))
        heard = False
        for breath in said:
            sentence = _sentence(breath, [next(clauses) for _ in breath])
            if not any(phoneme in self._config.phoneme_id_map for phoneme in sentence if phoneme.isalpha()):
                continue
            latent = self._model.encode(phoneme_ids(sentence, self._config.phoneme_id_map), speed=speech.speed)
            for samples in self._model.decode_in_pieces(latent):
                heard = True
                if not take(samples):
                    return
        if not heard:
            raise CannotSpeakError("no phonemes in this text")


def _sentence(breath: Breath, spoken: list[str]) -> str:
    """Put clauses together as Piper's own phonemizer does: punctuation behind the clause, then a space."""
    return " ".join(f"{sounds}{clause.ending}" for clause, sounds in zip(breath, spoken, strict=True) if sounds)


def _session(piper: PiperVoice, half: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The planner keeps memory for every length it has seen, and there is no end of lengths.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(str(half), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors have no ancestor but this
        raise EngineUnusableError(f"{piper.name} does not load: {error}") from error


def _run(session: onnxruntime.InferenceSession, given: Mapping[str, object]) -> Any:  # noqa: ANN401  # as onnxruntime has it
    """Return the one thing that a half makes."""
    try:
        return session.run(None, given)[0]
    except Exception as error:  # as in `_session`
        raise SynthesisFailedError(f"onnxruntime failed: {type(error).__name__}") from error
