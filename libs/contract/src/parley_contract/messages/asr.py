"""What an asr worker says: transcripts, and which frames it is missing."""

from typing import Literal

from parley_contract.messages.base import SpeechMessage


class PartialTranscript(SpeechMessage, frozen=True, kw_only=True):
    """A running utterance so far; a later one with a higher `number` replaces it."""

    number: int
    text: str
    covers_seq: int
    """Sequence of the last frame this text is made from."""


class FinalTranscript(SpeechMessage, frozen=True, kw_only=True):
    """The one outcome of an utterance. Per utterance the first final wins."""

    outcome: Literal["speech", "silence", "failed"]
    text: str = ""
    language: str = ""
    last_seq: int
    """Sequence of the last frame this text is made from; -1 if no frame arrived."""
    reason: str = ""
    """Why it failed, in words for an operator; never what was said."""
    missing_frames: int = 0
    """Frames that never arrived although they were asked for again."""
    audio_s: float = 0.0
    decode_s: float = 0.0
    no_speech_prob: float = 0.0


class ResendFrames(SpeechMessage, frozen=True, kw_only=True):
    """Asks the gateway to publish frames of an utterance again."""

    from_seq: int
    to_seq: int | None = None
    """Last wanted sequence; None for all there are."""
