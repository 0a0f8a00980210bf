"""What a peer's turns are in the words of our web door, so that the same person can talk to both. Pure, no imports.

`_peer_pipecat` calls this from inside the peer's own environment, where nothing of Parley is installed; what comes out
are the door's events as dictionaries, and a test decodes them with the contract.

A peer has no notion of a reply that is taken back. If somebody goes on speaking before anything of a reply was heard,
nothing of it is left in the peer's history either: that is counted as taken back, within the same turn. Once something
was heard, the reply is interrupted and another turn begins.
"""

import time
from typing import Any, Final

Event = dict[str, Any]

_REASONS: Final = {"answered": "", "interrupted": "speech", "empty": "silence"}
_FRAME: Final = {"rate_hz": 16000, "frame_ms": 20, "frame_bytes": 640}


class Ledger:
    """All turns of one connection."""

    def __init__(self, peer: str) -> None:
        """Begin with none."""
        self.greeting: Final[Event] = {
            "event": "session",
            "session": peer,
            "resume": "",
            "resumed": False,
            "assistant": peer,
            "language": "en",
            **_FRAME,
        }
        self._peer = peer
        self._number = 0
        self._is_open = False
        self._utterances = 0
        self._taken_back = 0
        self._index = 0
        self._is_understood = False
        """Whether anything was since the turn before was over."""
        self._early = list[str]()
        """What was understood while no turn was open."""
        self._has_text = False
        self._has_sounded = False
        self._is_sounding = False
        self._phrases = 0

    def user_started(self) -> list[Event]:
        """Somebody began to speak, or goes on after all."""
        said = list[Event]()
        if self._is_open and self._has_sounded:
            said = [{"event": "cut", "turn": self._number, "at_ms": 0, "next_ms": 0}, self._over("interrupted")]
        if self._is_open:
            self._taken_back += self._has_text
        else:
            self._number += 1
            self._utterances = self._taken_back = self._phrases = 0
        self._is_open, self._has_text, self._has_sounded, self._is_sounding = True, False, False, False
        said.append({"event": "speech_started", "turn": self._number, "utterance": self._utterance})
        early, self._early = self._early, []
        return said + [event for text in early for event in self.transcribed(text)]

    def transcribed(self, text: str) -> list[Event]:
        """A segment of speech was understood; it may begin a turn by itself, if nobody was heard to speak."""
        self._is_understood = True
        if not self._is_open:
            self._early.append(text)
            return []
        transcript = {
            "event": "transcript",
            "turn": self._number,
            "utterance": self._utterance,
            "outcome": "speech",
            "text": text.strip(),
        }
        self._utterances += 1
        return [transcript]

    def user_stopped(self) -> list[Event]:
        """The peer has decided that they have finished; if nothing was understood, there will be no reply."""
        return [] if self._is_understood or not self._is_open else [self._over("empty")]

    def reply_started(self) -> list[Event]:
        """The model was asked."""
        self._index, self._has_text = 0, False
        return []

    def token(self, text: str) -> list[Event]:
        """The model wrote something."""
        delta = {"event": "delta", "turn": self._number, "index": self._index, "text": text}
        self._index += 1
        self._has_text = True
        return [delta]

    def sounds(self) -> list[Event]:
        """Sound of the reply is about to be sent."""
        if self._is_sounding:
            return []
        mark = {"event": "mark", "turn": self._number, "phrase": self._phrases, "edge": "begin", "at_ms": 0}
        self._is_sounding = self._has_sounded = True
        self._phrases += 1
        return [mark]

    def bot_stopped(self) -> list[Event]:
        """The reply was played to its end."""
        self._is_sounding = False
        return [self._over("answered")] if self._is_open and self._has_sounded else []

    @property
    def _utterance(self) -> str:
        return f"{self._number}-{self._utterances}"

    def _over(self, outcome: str) -> Event:
        self._is_open = self._is_understood = False
        report = {
            "type": "TurnReport",
            "session": self._peer,
            "epoch": 1,
            "turn": self._number,
            "revision": 0,
            "speaker": "web",
            "outcome": outcome,
            "reason": _REASONS[outcome],
            "started_at": time.time(),
            "speech_ms": 0,
            "taken_back": self._taken_back,
        }
        return {"event": "turn", "report": report}
