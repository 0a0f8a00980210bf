"""What all messages share: the fences of design section 2. Imported by the producers' files beside this one."""

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Anything said on the bus. The tag is the class's name; unknown fields are ignored."""


class SessionMessage(Message, frozen=True, kw_only=True):
    """A message about one session. Receivers drop what is of an older `epoch` than they know."""

    session: str
    """One stay of the assistant in one channel; a subject token, so letters and digits only."""
    epoch: int
    """Raised when the session moves to another process."""
    attempt: int = 1
    """Which delivery of a work item this message comes from."""


class TurnMessage(SessionMessage, frozen=True, kw_only=True):
    """A message about one turn."""

    turn: int
    """Minted by the gateway, rising within a session."""
    revision: int = 0
    """Raised by the agent alone; what is older is dropped."""


class SpeechMessage(TurnMessage, frozen=True, kw_only=True):
    """A message about one utterance of one speaker."""

    utterance: str
    """`<epoch>-<n>`: unique in its session even after the gateway was restarted."""
    speaker: str
