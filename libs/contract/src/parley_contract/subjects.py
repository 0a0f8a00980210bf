"""The only place where a subject is spelled.

Every argument is one subject token, or `ANY` to subscribe to all of them. `docs/decisions/` says why
outcomes of phrases stand one token below the reply: so that tts may publish those and nothing else.
"""

from typing import Final, Literal

import msgspec

from parley_contract.services import Service

ANY: Final = "*"
CANNED: Final = "canned"
"""Stands for a session where a gateway has its canned phrases spoken; the turn is then the gateway's own number."""
Token = str | int


class Subjects(msgspec.Struct, frozen=True):
    """The subjects of one assistant, all below `parley.<assistant>`."""

    assistant: str
    """As `assistant_key` makes it."""

    def _of(self, *tokens: Token) -> str:
        return ".".join(("parley", self.assistant, *map(str, tokens)))

    def audio(self, session: Token, utterance: Token) -> str:
        """Microphone frames of an utterance: gateway to asr."""
        return self._of("audio", session, utterance)

    def voice(self, session: Token, turn: Token, phrase: Token) -> str:
        """Frames of a phrase: tts to gateway."""
        return self._of("voice", session, turn, phrase)

    def utterance_work(self, session: Token, utterance: Token) -> str:
        """TranscribeUtterance, for one asr worker."""
        return self._of("work", "utterance", session, utterance)

    def phrase_work(self, session: Token, turn: Token) -> str:
        """SynthesizePhrase, for one tts worker; the agent purges a turn's, the gateway fills those of `CANNED`."""
        return self._of("work", "phrase", session, turn)

    def speech(self, session: Token, utterance: Token) -> str:
        """UtteranceStarted, SegmentEnded, SegmentStarted, UtteranceEnded: gateway to all."""
        return self._of("speech", session, utterance)

    def transcript(self, session: Token, utterance: Token) -> str:
        """PartialTranscript, FinalTranscript: asr to agent and gateway."""
        return self._of("transcript", session, utterance)

    def reply(self, session: Token, turn: Token) -> str:
        """ReplyDelta, PhraseReady, ReplyEnded, TurnDismissed, TurnInterrupted: agent to gateway and tts."""
        return self._of("reply", session, turn)

    def phrase_outcome(self, session: Token, turn: Token, phrase: Token) -> str:
        """PhraseSynthesized, PhraseFailed: tts to gateway and agent."""
        return self._of("reply", session, turn, phrase)

    def playback(self, session: Token, turn: Token) -> str:
        """PlaybackStarted, PhrasePlayed: gateway to agent."""
        return self._of("playback", session, turn)

    def turn(self, session: Token, turn: Token) -> str:
        """TurnReport: gateway to all; the agent's for a gateway that died."""
        return self._of("turn", session, turn)

    def open_session(self) -> str:
        """OpenSession, ResumeSession, FindSessions: requests of the gateway to any agent."""
        return self._of("control", "open")

    def heartbeat(self, session: Token) -> str:
        """Heartbeat, CloseSession: gateway to agent."""
        return self._of("control", session, "heartbeat")

    def interrupt(self, session: Token) -> str:
        """InterruptTurn: gateway to agent."""
        return self._of("control", session, "interrupt")

    def resend(self, session: Token) -> str:
        """ResendFrames: asr to gateway."""
        return self._of("control", session, "resend")

    def voice_ready(self) -> str:
        """VoiceReady: tts to gateway."""
        return self._of("control", "voice")

    def door(self) -> str:
        """DoorReported: gateway to agents."""
        return self._of("control", "door")

    def dead(self, service: Service | Literal["*"]) -> str:
        """DeadLetter: what a service could not read."""
        return self._of("dead", service)


def session_events(assistant: str, session: str) -> str:
    """Return what matches everything that the stream of events has about one session."""
    return f"parley.{assistant}.*.{session}.>"


def turn_and_phrase(voice_subject: str) -> tuple[int, int] | None:
    """Return which turn and phrase the frames on a `voice` subject belong to; None if the subject does not say."""
    turn, _, phrase = voice_subject.partition(".voice.")[2].partition(".")[2].partition(".")
    return (int(turn), int(phrase)) if turn.isdecimal() and phrase.isdecimal() else None
