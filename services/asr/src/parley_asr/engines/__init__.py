"""What turns sound into text: the seam between this service and whatever model it runs.

Called by `decoder` (in its one thread) through `Transcriber`; the engines live one per file beside this one.
Not here: utterances, windows, the bus. An engine sees at most one window of samples and forgets it.

Errors an engine raises, and what they mean for the work item:

    DecodeFailedError(RetryableError)     this decode failed (a device that went away)
    └── OutOfMemoryError                  the device has no room for it; fewer windows at once may go through
    ModelUnusableError(PermanentError)    the model cannot be loaded as configured; no retry helps
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from parley_contract.errors import PermanentError, RetryableError

Samples = npt.NDArray[np.float32]
"""(n,) float32 at 16 kHz mono, in [-1, 1]."""


class DecodeFailedError(RetryableError):
    """A decode broke inside the engine; the same samples may go through later or elsewhere."""


class OutOfMemoryError(DecodeFailedError):
    """The device has no memory left for a decode; the sentence says what to change."""


class ModelUnusableError(PermanentError):
    """The model and the settings do not fit together; the sentence says what to change."""


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What is loaded, for `/status`, spans and metrics."""

    model: str
    device: str
    """`cpu` or `cuda`; never `auto`."""
    compute_type: str
    """What really runs; differs from the setting where the device cannot do that."""
    window_s: float
    languages: tuple[str, ...]
    """ISO 639-1 of those it understands."""

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows more than one; only such a model translates."""
        return len(self.languages) > 1


Task = Literal["transcribe", "translate"]
Timing = Literal["none", "segments", "words"]
"""How closely a text is to be tied to the sound. Segments cost a few tokens, words another pass over all of them."""


class Decoding(msgspec.Struct, frozen=True, kw_only=True):
    """How one window is to be decoded."""

    beam_size: int = 1
    language: str = ""
    """ISO 639-1; empty lets a multilingual model detect it."""
    is_safe: bool = False
    """Encode the full 30 s instead of the short window: slower, and where a short one loops, steadier."""
    task: Task = "transcribe"
    """`translate` gives English, from multilingual models alone."""
    prompt: str = ""
    """Text as if it had been said before, for its spelling and style; comes before the hotwords of the settings."""
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    timing: Timing = "none"


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """One word and when it was said, in seconds from the window's first sample."""

    text: str
    """With its marks, without spaces around it."""
    start_s: float
    end_s: float
    probability: float


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of text and when it was said, in seconds from the window's first sample."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()
    """Empty unless words were asked for."""
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    """These two are its window's."""

    def moved(self, by_s: float) -> "Segment":
        """Return it so much later."""
        words = tuple(replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s) for word in self.words)
        return replace(self, start_s=self.start_s + by_s, end_s=self.end_s + by_s, words=words)


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine made of one window, before anything was judged."""

    text: str
    """As decoded, only stripped; may be a hallucination or a loop."""
    language: str
    no_speech_prob: float
    tokens: int
    avg_logprob: float = 0.0
    """Mean natural logarithm of the tokens' probabilities."""
    segments: tuple[Segment, ...] = ()
    """The same text in order of time; empty unless timing was asked for."""


class Transcriber(Protocol):
    """A loaded model. Two threads may call it at the same time."""

    @property
    def engine(self) -> Engine:
        """What is loaded."""

    def transcribe(self, windows: Sequence[Samples], how: Decoding) -> list[Decoded]:
        """Decode windows of at most `engine.window_s` of speech (longer ones are cut); blocks until all are done.

        Several at once take less time than one after the other; what comes of each is the same.

        Raises:
            OutOfMemoryError: there is no room for so many.
            DecodeFailedError: the engine broke; the samples may be tried again.
        """
