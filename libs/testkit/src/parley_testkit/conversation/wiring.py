"""Who listens to what, and what comes in order: only what one sender says on one subscription. Used by `world`."""

from typing import Final

from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    InterruptTurn,
    Message,
    PhraseFailed,
    PhrasePlayed,
    PhraseSynthesized,
    PlaybackStarted,
    SpeechMessage,
    TurnMessage,
    TurnReport,
)

Key = tuple[str, ...]

LISTENERS: Final = {
    "speech": ("agent",),
    "transcript": ("agent", "gateway"),
    "reply": ("gateway", "tts"),
    "outcome": ("agent", "gateway"),
    "playback": ("agent",),
    "turn": ("agent",),
    "interrupt": ("agent",),
}


def subscription(message: Message) -> Key:
    """Say where it is heard, and which of several workers may have said it: they are ordered among none."""
    match message:
        case InterruptTurn():
            return ("interrupt",)
        case TurnReport():
            return ("turn",)
        case FinalTranscript() | CandidateTranscript():
            return "transcript", message.utterance
        case SpeechMessage():
            return ("speech",)
        case PhraseSynthesized() | PhraseFailed():
            return "outcome", str(message.turn), str(message.phrase)
        case PlaybackStarted() | PhrasePlayed():
            return ("playback",)
        case TurnMessage():
            return ("reply",)
        case _:
            raise TypeError(message)
