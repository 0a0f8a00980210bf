"""What turns sound into text: the seam between this service and whatever model it runs.

Called by `decoder` (in its one thread) through `Transcriber`; the engines live one per file beside this one.
Not here: utterances, windows, the bus. An engine sees at most one window of samples and forgets it.

Errors an engine raises, and what they mean for the work item:

    DecodeFailedError(RetryableError)     this decode failed (out of memory, a device that went away)
    ModelUnusableError(PermanentError)    the model cannot be loaded as configured; no retry helps
"""

from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from parley_contract.errors import PermanentError, RetryableError

Samples = npt.NDArray[np.float32]
"""(n,) float32 at 16 kHz mono, in [-1, 1]."""


class DecodeFailedError(RetryableError):
    """A decode broke inside the engine; the same samples may go through later or elsewhere."""


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
    is_multilingual: bool


class Decoding(msgspec.Struct, frozen=True, kw_only=True):
    """How one window is to be decoded."""

    beam_size: int = 1
    language: str = ""
    """ISO 639-1; empty lets a multilingual model detect it."""
    is_safe: bool = False
    """Encode the full 30 s instead of the short window: slower, and where a short one loops, steadier."""


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine made of one window, before anything was judged."""

    text: str
    """As decoded, only stripped; may be a hallucination or a loop."""
    language: str
    no_speech_prob: float
    tokens: int


class Transcriber(Protocol):
    """A loaded model. Not thread-safe: one caller at a time."""

    @property
    def engine(self) -> Engine:
        """What is loaded."""

    def transcribe(self, samples: Samples, how: Decoding) -> Decoded:
        """Decode at most `engine.window_s` of speech (longer input is cut); blocks for the whole decode.

        Raises:
            DecodeFailedError: the engine broke; the samples may be tried again.
        """
