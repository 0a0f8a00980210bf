"""What a tts worker says about itself and about a phrase; its sound travels as frames."""

from parley_contract.messages.base import Count, Message, Number, PhraseNumber, TurnMessage


class VoiceReady(Message, frozen=True, kw_only=True):
    """A worker can speak from now on: who keeps canned phrases has them spoken anew."""

    engine: str
    voice: str


class PhraseSynthesized(TurnMessage, frozen=True, kw_only=True):
    """All frames of a phrase were published."""

    phrase: PhraseNumber
    frames: Count
    engine: str
    first_audio_s: Number
    synthesis_s: Number


class PhraseFailed(TurnMessage, frozen=True, kw_only=True):
    """No engine could speak this phrase; the reply goes on with the next."""

    phrase: PhraseNumber
    reason: str
