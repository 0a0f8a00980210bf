"""What everybody in a session says: their microphones' news become events of its turns, and their frames go to the bus.

Made by `sessions`, one per session; the `Ears` of all its `speakers`. It knows how they are called. Not here: when
somebody has finished (`utterances`), and what follows from it (`turns`).
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from parley_contract.endings import ending
from parley_contract.frames import Frame
from parley_contract.messages import CandidateTranscript, ResendFrames, SessionOpened
from parley_gateway import turn_events
from parley_gateway.outbox import Outbox
from parley_gateway.speakers import Hearing, Speakers
from parley_gateway.surroundings import Surroundings
from parley_gateway.turn_keeping import TurnKeeping
from parley_gateway.utterance_events import Ended


class SessionEars:
    """All who speak in one session."""

    def __init__(
        self,
        around: Surroundings,
        opened: SessionOpened,
        outbox: Outbox,
        turns: TurnKeeping,
        wake: Callable[[], None],
    ) -> None:
        """Begin with nobody.

        Args:
            around: what every session uses.
            opened: the session.
            outbox: the way of its frames.
            turns: told what is said.
            wake: called when something is due earlier than it was.
        """
        settings = around.settings
        self._settings = settings
        self._subjects = around.bus.subjects
        self._session = opened.session
        self._epoch = opened.epoch
        self._outbox = outbox
        self._turns = turns
        self._names: Mapping[str, str] = {}
        hearing = Hearing(around.gathering, settings.utterance_rules, around.turn_judge)
        self.speakers: Final = Speakers(hearing, self, wake, epoch=opened.epoch)

    def know(self, names: Mapping[str, str]) -> None:
        """Learn who is there, by speaker, and how they are called; who is not among them any more has left."""
        for gone in self._names.keys() - names.keys():
            self.speakers.leave(gone, time.monotonic())
        self._names = names

    # What a microphone tells.

    def speech_began(self, speaker: str, voiced_at: float, *, continues: bool, reopens: bool) -> str:
        """See Ears."""
        name = self._names.get(speaker, "") if len(self._names) > 1 else ""
        began = turn_events.SpeechBegan(
            speaker=speaker, voiced_at=voiced_at, continues=continues, reopens=reopens, name=name
        )
        self._turns.decide(began)
        return self._turns.utterance_of(speaker)

    def speech_paused(self, speaker: str, last_seq: int, voiced_until: float) -> None:
        """See Ears."""
        self._turns.decide(turn_events.SpeechPaused(speaker=speaker, last_seq=last_seq, voiced_until=voiced_until))
        self.speakers.judge_pause(speaker)

    def speech_resumed(self, speaker: str, latest_seq: int, voiced_at: float) -> None:
        """See Ears."""
        self._turns.decide(turn_events.SpeechResumed(speaker=speaker, latest_seq=latest_seq, voiced_at=voiced_at))
        self.speakers.pause_over(speaker)

    def speech_ended(self, speaker: str, ended: Ended, voiced_until: float) -> None:
        """See Ears."""
        self._turns.decide(
            turn_events.SpeechEnded(
                speaker=speaker,
                last_seq=ended.last_seq,
                voiced_seq=ended.voiced_seq,
                voiced_until=voiced_until,
                reason=ended.reason,
                endpoint=ended.endpoint,
            )
        )

    def utterance_frame(self, utterance: str, frame: Frame) -> None:
        """See Ears."""
        self._outbox.frame(self._subjects.audio(self._session, utterance), frame)

    # What comes back.

    def read(self, candidate: CandidateTranscript) -> None:
        """Let the words of a pause say whether it is the end."""
        if self._settings.endpointing == "smart" and candidate.epoch == self._epoch:
            how = ending(candidate.text, candidate.language or self._settings.language)
            self.speakers.words_judged(candidate.speaker, candidate.utterance, candidate.covers_seq, how)

    def send_again(self, asked: ResendFrames) -> None:
        """Send what somebody missed, as far as it is kept."""
        if asked.epoch == self._epoch:
            for frame in self.speakers.again(asked.utterance, asked.from_seq, asked.to_seq):
                self.utterance_frame(asked.utterance, frame)

    def send_all_again(self) -> None:
        """Send all that is still being transcribed: nobody may have it any more."""
        for utterance in self.speakers.kept:
            for frame in self.speakers.again(utterance, 0, None):
                self.utterance_frame(utterance, frame)
