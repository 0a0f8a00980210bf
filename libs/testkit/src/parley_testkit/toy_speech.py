"""Speech that a test can read back: words as tones of known loudness, and the transcriber that understands them.

For tests of the asr service on virtual time. A frame that is lost, doubled or out of place changes the text, so what
comes out proves what went in. `ToyTranscriber` is a fake `Transcriber`: it passes the suite of the real one, records
what it was told, and can be told to fail. Not for judging recognition: that takes a real model and real speech.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

import numpy as np

from parley_asr.engines import Decoded, Decoding, Engine, Samples, Segment, Word
from parley_contract.frames import FRAME_SAMPLES, RATE_HZ, Flag, Frame

WORDS: Final = (
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"),
    *("india", "juliett", "kilo", "lima", "mike", "november", "oscar", "papa"),
)
WORD_S: Final = 0.3
_LOUDNESS_STEP: Final = 0.02
"""Of full scale; the first word has five of them, so that every word is far above silence."""
_QUIETEST_STEP: Final = 5


def speak(text: str, *, pause_s: float = 0.2) -> Samples:
    """Say words of `WORDS`, 0.3 s each, with a pause after each."""
    silence = np.zeros(round(pause_s * RATE_HZ), dtype=np.float32)
    parts = [
        part
        for word in text.split()
        for part in (
            np.full(round(WORD_S * RATE_HZ), (WORDS.index(word) + _QUIETEST_STEP) * _LOUDNESS_STEP, dtype=np.float32),
            silence,
        )
    ]
    return np.concatenate(parts) if parts else silence[:0]


def frames_of(samples: Samples, *, epoch: int = 1) -> list[Frame]:
    """Cut samples into the frames of one utterance, the closing frame included."""
    pcm = np.round(samples * 32767).astype("<i2").tobytes()
    size = 2 * FRAME_SAMPLES
    chunks = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    frames = [
        Frame(sequence=sequence, media_samples=sequence * FRAME_SAMPLES, pcm=chunk, epoch=epoch)
        for sequence, chunk in enumerate(chunks)
    ]
    end = Frame(sequence=len(frames), media_samples=len(frames) * FRAME_SAMPLES, pcm=b"", epoch=epoch, flags=Flag.END)
    return [*frames, end]


class ToyTranscriber:
    """Understands what `speak` says, and nothing else. Implements `parley_asr.engines.Transcriber`."""

    def __init__(self, *, window_s: float = 10.0) -> None:
        self.told: list[tuple[float, Decoding]] = []
        """Every window: seconds of sound and how to decode it."""
        self.batches: list[int] = []
        """How many windows each call was given."""
        self.failures: list[Exception] = []
        """Raised one by one instead of decoding."""
        self.loops_for: int = 0
        """How many short-window decodes fall into a loop, as Whisper's do."""
        self.stops_for: int = 0
        """How many decodes end after half of the words, as tiny.en's may where a pause follows."""
        self._engine = Engine(model="toy", device="cpu", compute_type="float32", window_s=window_s, languages=("en",))

    @property
    def engine(self) -> Engine:
        """What is loaded."""
        return self._engine

    def transcribe(self, windows: Sequence[Samples], how: Decoding) -> list[Decoded]:
        """Read the words; a word of which less than half can be heard is not understood."""
        self.batches.append(len(windows))
        if self.failures:
            raise self.failures.pop(0)
        return [self._understand(samples, how) for samples in windows]

    def _understand(self, samples: Samples, how: Decoding) -> Decoded:
        self.told.append((len(samples) / RATE_HZ, how))
        if self.loops_for and not how.is_safe:
            self.loops_for -= 1
            return Decoded(text="bravo " * 40, language="en", no_speech_prob=0.1, tokens=40)
        window_s = 30.0 if how.is_safe else self._engine.window_s
        steps = np.round(samples[: round(window_s * RATE_HZ)] / _LOUDNESS_STEP).astype(int)
        words, at = list[Word](), 0
        for step, run in groupby(steps.tolist()):
            length = len(list(run))
            for number in range(round(length / RATE_HZ / WORD_S) if step >= _QUIETEST_STEP else 0):
                start_s = at / RATE_HZ + number * WORD_S
                spoken = WORDS[step - _QUIETEST_STEP]
                words.append(Word(text=spoken, start_s=start_s, end_s=start_s + WORD_S, probability=0.9))
            at += length
        if self.stops_for:
            self.stops_for -= 1
            words = words[: len(words) // 2]
        text = " ".join(word.text for word in words)
        segment = Segment(
            text=text,
            start_s=words[0].start_s if words else 0.0,
            end_s=min(words[-1].end_s, len(samples) / RATE_HZ) if words else 0.0,
            words=tuple(words) if how.timing == "words" else (),
        )
        return Decoded(
            text=text,
            language="en",
            no_speech_prob=0.05 if words else 0.95,
            tokens=len(words),
            avg_logprob=-0.1,
            segments=(segment,) if words and how.timing != "none" else (),
        )
