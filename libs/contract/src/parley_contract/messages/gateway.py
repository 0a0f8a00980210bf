"""What the gateway says: speech as it is heard, playback as it is heard, and the report of each turn."""

from typing import Literal

import msgspec

from parley_contract.messages.base import (
    Count,
    LastPhrase,
    Message,
    Number,
    PhraseNumber,
    Sequence,
    SessionMessage,
    SpeechMessage,
    Token,
    TurnMessage,
)


class OpenSession(Message, frozen=True, kw_only=True):
    """Asks the agent for a new session; answered by SessionOpened or SessionRefused."""

    door: Literal["web", "discord"]
    channel: str
    """Where the session lives behind its door; for the web door, an opaque client id, for Discord `guild/channel`."""
    token_hash: str
    """SHA-256 (hex) of the resume token; the token itself never leaves the gateway and the client."""


class ResumeSession(Message, frozen=True, kw_only=True):
    """Asks the agent to go on with a session after its gateway died; answered as OpenSession, with the next epoch."""

    session: Token
    token_hash: str


class FindSessions(Message, frozen=True, kw_only=True):
    """Asks which sessions of a door live that a resume token opens; answered by SessionsFound.

    For a door without clients who would bring their tokens back: its token is made of what the door knows anyhow.
    """

    door: Literal["web", "discord"]
    token_hash: str
    """As in OpenSession."""


class CloseSession(SessionMessage, frozen=True, kw_only=True):
    """Ends a session whose last participant has gone."""

    reason: str


class Heartbeat(SessionMessage, frozen=True, kw_only=True):
    """Says every few seconds that a session lives; 30 s without one ends it."""


class TranscribeUtterance(SpeechMessage, frozen=True, kw_only=True):
    """Work for one asr worker, sent when speech starts: follow the frames, answer with one FinalTranscript."""

    life_s: Number = 60.0
    """How long a transcript is of use: the broker forgets the work then, and a worker's outcome is `failed`."""


class UtteranceStarted(SpeechMessage, frozen=True, kw_only=True):
    """Somebody began to speak; frames follow on the audio subject, pre-roll first."""

    continues: Token | None = None
    """The utterance of the same turn that this one goes on from (cut by `maxUtteranceS`, or reopened)."""
    name: str = ""
    """How its speaker is called, where more than one person is there; empty otherwise."""


class SegmentEnded(SpeechMessage, frozen=True, kw_only=True):
    """Unbroken speech stopped; it may go on within the same utterance."""

    last_seq: Sequence
    """Sequence of the last voiced frame."""


class SegmentStarted(SpeechMessage, frozen=True, kw_only=True):
    """Speech goes on within the same utterance after a pause: what was understood up to then is not all."""

    latest_seq: Sequence
    """Sequence of the latest frame when that was certain, some 150 ms after it was so."""


class UtteranceEnded(SpeechMessage, frozen=True, kw_only=True):
    """The endpointer decided. Only `endpoint` (or a closed door) commits the turn; `max_length` goes on in another."""

    last_seq: Sequence
    """Sequence of the last audio frame; the closing frame follows it."""
    voiced_seq: Sequence | None = None
    """Sequence of the last voiced frame, -1 if there was none: a candidate that covers it is the final transcript."""
    reason: Literal["endpoint", "max_length", "closed"]


class PlaybackStarted(TurnMessage, frozen=True, kw_only=True):
    """The first frame of a phrase was sent to the listener: credit for the next phrases."""

    phrase: PhraseNumber


class PhrasePlayed(TurnMessage, frozen=True, kw_only=True):
    """A phrase was played to its end or, with `whole` false, cut or lost; what was heard goes into history."""

    phrase: PhraseNumber
    played_ms: Count
    whole: bool


class InterruptTurn(TurnMessage, frozen=True, kw_only=True):
    """Asks the agent to stop a reply. Playback has stopped already; this says how much of it was heard."""

    reason: Literal["client", "speech", "closed"]
    phrase: LastPhrase
    """The phrase that was playing; -1 if nothing was heard."""
    played_ms: Count
    """How much of that phrase was heard."""
    phrase_ms: Count
    """How long that phrase is; 0 while not all of it has arrived."""


class DoorReported(Message, frozen=True, kw_only=True):
    """How a door fares with what lies behind it, said every few seconds and whenever it changes."""

    door: Literal["discord"]
    is_connected: bool
    reason: str = ""
    """Why not, in one word that programs may compare."""
    sentence: str = ""
    """Why not, and what to do."""


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a turn went, in ms on the gateway's clock; None where the turn never got there.

    The first three add up to E2FT, all of them and `playback_wait_ms` to E2FA.
    """

    endpoint_ms: Number | None = None
    """Last voiced sample to the decision that the speaker has finished."""
    asr_ms: Number | None = None
    """That decision to the final transcript."""
    llm_ttft_ms: Number | None = None
    """Final transcript to the model's first token."""
    first_phrase_ms: Number | None = None
    """First token to the first phrase that can be spoken."""
    tts_first_audio_ms: Number | None = None
    """First phrase to its first frame."""
    playback_wait_ms: Number | None = None
    """First frame to the first audible sample sent."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpointer decided by that the speaker had finished."""

    wait_ms: Number
    """The silence that it took."""
    audio: Number | None = None
    """How complete the speech sounded to the audio turn model, in [0, 1]; None if it was not asked, or too late."""
    ending: Literal["", "complete", "open", "unclear"] = ""
    """What the transcript's last words say; empty if there was none in time."""
    own_pause_ms: Number | None = None
    """How long this speaker's pauses within turns are, long ones counting more; None while there was none."""


class TurnReport(TurnMessage, frozen=True, kw_only=True):
    """One turn, accounted for: the record behind E2FT, the waterfall and the metrics. Never what was said."""

    speaker: str
    outcome: Literal["answered", "not_addressed", "empty", "interrupted", "failed"]
    reason: str = ""
    """Why, where the outcome is not `answered`: a code of `reasons`."""
    detail: str = ""
    """The same in the words of whoever failed; never what was said."""
    trace_id: str = ""
    started_at: Number
    """Unix seconds of the first voiced sample."""
    speech_ms: Number
    """First to last voiced sample."""
    stages: Stages = Stages()
    e2ft_ms: Number | None = None
    """Last voiced sample to the model's first token."""
    e2fa_ms: Number | None = None
    """Last voiced sample to the first audible sample of the reply."""
    played_ms: Number = 0.0
    phrases: Count = 0
    underruns: Count = 0
    """How often playback ran dry inside the reply."""
    endpoint: Endpoint | None = None
    """None where nobody decided: the speaker never finished."""
    speculation: Literal["", "hit", "miss"] = ""
    """Whether the reply had been begun before its speaker had finished (`hit`), or it had and was of no use."""
    taken_back: Count = 0
    """How often the speaker went on after the endpoint, and what had been written or said was taken back."""
    output_tokens: Count = 0
    wasted_tokens: Count = 0
    """Written by the model for this turn and dropped, because its speaker went on."""
    unreleased_tokens: Count = 0
    """Those of them that were never let out; the others were seen or heard, and taken back."""
