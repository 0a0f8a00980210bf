"""What an asr worker says: transcripts, and which frames it is missing."""

from typing import Literal

from parley_contract.messages.base import Count, Number, Sequence, SpeechMessage


class PartialTranscript(SpeechMessage, frozen=True, kw_only=True):
    """A running utterance so far; a later one with a higher `number` replaces it."""

    number: Count
    text: str
    covers_seq: Sequence
    """Sequence of the last frame this text is made from."""


class CandidateTranscript(SpeechMessage, frozen=True, kw_only=True):
    """What was said up to a pause, decoded in the silence: if nothing voiced follows, it is the final."""

    text: str
    language: str = ""
    covers_seq: Sequence
    """Sequence of the last frame this text is made from."""


class FinalTranscript(SpeechMessage, frozen=True, kw_only=True):
    """The one outcome of an utterance. Per utterance the first final wins."""

    outcome: Literal["speech", "silence", "failed"]
    text: str = ""
    language: str = ""
    last_seq: Sequence
    """Sequence of the last frame this text is made from; -1 if no frame arrived."""
    reason: str = ""
    """Why it failed, in words for an operator; never what was said."""
    missing_frames: Count = 0
    """Frames that never arrived although they were asked for again."""
    audio_s: Number = 0.0
    decode_s: Number = 0.0
    no_speech_prob: Number = 0.0


class ResendFrames(SpeechMessage, frozen=True, kw_only=True):
    """Asks the gateway to publish frames of an utterance again."""

    from_seq: Count
    to_seq: Count | None = None
    """Last wanted sequence; None for all there are."""
