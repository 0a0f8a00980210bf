"""Everything that is ever said on the bus, a file per producer; `encode` and `decode` are the only way on and off it.

MessagePack on the wire, tagged by class name. Unknown fields are ignored, so that a newer process may add some.
"""

from typing import Final

import msgspec

from parley_contract.errors import MalformedMessageError, UnknownMessageError
from parley_contract.messages.agent import (
    FoundSession,
    PhraseReady,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    SessionOpened,
    SessionRefused,
    SessionsFound,
    SynthesizePhrase,
    TurnDismissed,
    TurnInterrupted,
)
from parley_contract.messages.asr import CandidateTranscript, FinalTranscript, PartialTranscript, ResendFrames
from parley_contract.messages.base import Message, SessionMessage, SpeechFields, SpeechMessage, TurnFields, TurnMessage
from parley_contract.messages.gateway import (
    CloseSession,
    DoorReported,
    Endpoint,
    FindSessions,
    Heartbeat,
    InterruptTurn,
    OpenSession,
    PhrasePlayed,
    PlaybackStarted,
    ResumeSession,
    SegmentEnded,
    SegmentStarted,
    Stages,
    TranscribeUtterance,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_contract.messages.runtime import DeadLetter
from parley_contract.messages.tts import PhraseFailed, PhraseSynthesized, VoiceReady
from parley_contract.reading import read

__all__ = [
    "ALL",
    "CandidateTranscript",
    "CloseSession",
    "DeadLetter",
    "DoorReported",
    "Endpoint",
    "FinalTranscript",
    "FindSessions",
    "FoundSession",
    "Heartbeat",
    "InterruptTurn",
    "Message",
    "OpenSession",
    "PartialTranscript",
    "PhraseFailed",
    "PhrasePlayed",
    "PhraseReady",
    "PhraseSynthesized",
    "PlaybackStarted",
    "ReplyDelta",
    "ReplyEnded",
    "ReplyStarted",
    "ResendFrames",
    "ResumeSession",
    "SegmentEnded",
    "SegmentStarted",
    "SessionMessage",
    "SessionOpened",
    "SessionRefused",
    "SessionsFound",
    "SpeechFields",
    "SpeechMessage",
    "Stages",
    "SynthesizePhrase",
    "TranscribeUtterance",
    "TurnDismissed",
    "TurnFields",
    "TurnInterrupted",
    "TurnMessage",
    "TurnReport",
    "UtteranceEnded",
    "UtteranceStarted",
    "VoiceReady",
    "decode",
    "encode",
]

ALL: Final[tuple[type[Message], ...]] = (
    CandidateTranscript,
    CloseSession,
    DeadLetter,
    DoorReported,
    FinalTranscript,
    FindSessions,
    Heartbeat,
    InterruptTurn,
    OpenSession,
    PartialTranscript,
    PhraseFailed,
    PhrasePlayed,
    PhraseReady,
    PhraseSynthesized,
    PlaybackStarted,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    ResendFrames,
    ResumeSession,
    SegmentEnded,
    SegmentStarted,
    SessionOpened,
    SessionRefused,
    SessionsFound,
    SynthesizePhrase,
    TranscribeUtterance,
    TurnDismissed,
    TurnInterrupted,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
    VoiceReady,
)
"""Every message there is."""


class _Tag(msgspec.Struct):
    type: str


_BY_TAG: Final = {message.__name__: msgspec.msgpack.Decoder(message) for message in ALL}
_TAG: Final = msgspec.msgpack.Decoder(_Tag)


def encode(message: Message) -> bytes:
    """Put a message on the wire."""
    return msgspec.msgpack.encode(message)


def decode(data: bytes) -> Message:
    """Read a message.

    Raises:
        UnknownMessageError: the tag is none of ours, so a newer process speaks; ignore and count it.
        MalformedMessageError: anything else; `path` says where, and nothing says what stood there.
    """
    try:
        tag = read(data, _TAG).type
    except MalformedMessageError:
        raise MalformedMessageError("not a tagged MessagePack map", path="$.type") from None
    if tag not in _BY_TAG:
        raise UnknownMessageError("a message of a kind this version does not know")
    return read(data, _BY_TAG[tag])
