"""What all messages share: the fences of design section 2. Imported by the producers' files beside this one."""

from typing import Annotated, TypedDict

import msgspec

Token = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
"""What becomes a token of a subject. Anything else could address all subjects, or break a connection."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""A number of something, or the number that something has."""
PhraseNumber = Annotated[int, msgspec.Meta(ge=0, le=4095)]
"""A phrase of a reply, or how many there are. The longest reply has 2048 tokens, and playback goes through them all."""
LastPhrase = Annotated[int, msgspec.Meta(ge=-1, le=4095)]
"""The latest of some phrases; -1 where there was none."""
Sequence = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
"""The last of something that is numbered from 0; -1 where there was none."""
Number = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
"""A measured value. NaN and infinity, which MessagePack knows and JSON does not, are none."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Anything said on the bus. The tag is the class's name; unknown fields are ignored."""


class SessionMessage(Message, frozen=True, kw_only=True):
    """A message about one session. Receivers drop what is of an older `epoch` than they know."""

    session: Token
    """One stay of the assistant in one channel; a subject token, so letters and digits only."""
    epoch: Count
    """Raised when the session moves to another process."""
    attempt: Count = 1
    """Which delivery of a work item this message comes from."""


class TurnMessage(SessionMessage, frozen=True, kw_only=True):
    """A message about one turn."""

    turn: Count
    """Minted by the gateway, rising within a session."""
    revision: Count = 0
    """Raised by the agent alone; what is older is dropped."""


class TurnFields(TypedDict):
    """The fences of a turn: what every message about it has, to be passed on whole."""

    session: str
    epoch: int
    turn: int
    revision: int


class SpeechFields(TurnFields):
    """What every message about an utterance has."""

    utterance: str
    speaker: str


class SpeechMessage(TurnMessage, frozen=True, kw_only=True):
    """A message about one utterance of one speaker."""

    utterance: Token
    """`<epoch>-<n>`: unique in its session even after the gateway was restarted."""
    speaker: str
