"""Turns on virtual time: from speech to the report, under everything that may be late, early, twice or never."""

import struct
from collections.abc import Callable, Mapping
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley_contract import door
from parley_contract.frames import Flag, Frame
from parley_contract.messages import (
    CandidateTranscript,
    FinalTranscript,
    InterruptTurn,
    Message,
    PartialTranscript,
    PhraseFailed,
    PhrasePlayed,
    PhraseReady,
    PlaybackStarted,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    SegmentEnded,
    SegmentStarted,
    TranscribeUtterance,
    TurnDismissed,
    TurnFields,
    TurnInterrupted,
    TurnReport,
    UtteranceEnded,
    UtteranceStarted,
)
from parley_gateway import turns
from parley_gateway.canned import Canned
from parley_gateway.cues import FrameArrived, TimePassed
from parley_gateway.reports import Moments
from parley_gateway.turn_events import (
    ClientInterrupted,
    Conclude,
    Effect,
    Event,
    Forget,
    ListenerJoined,
    ListenerLeft,
    Play,
    Record,
    Say,
    SessionClosed,
    SpeechBegan,
    SpeechEnded,
    SpeechPaused,
    SpeechResumed,
    Tell,
)
from parley_gateway.turn_state import TurnRules, Turns, due

SESSION = "0123456789ab"
"""After so long it is another turn."""
LOUD = struct.pack("<320h", *[3000] * 320)


def fenced(turn: int = 1, epoch: int = 2, revision: int = 0) -> TurnFields:
    return TurnFields(session=SESSION, epoch=epoch, turn=turn, revision=revision)


class Stage:
    """A session on virtual time: events as they come, TimePassed whenever it is due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.state = Turns(
            rules=TurnRules(max_utterance_s=30, fail_after_s=12),
            session=SESSION,
            epoch=2,
            unix_offset_s=1_000_000,
            next_turn=1,
        )
        self.effects: list[Effect] = []

    def send(self, *events: Event) -> None:
        for event in events:
            self.state, effects = turns.step(self.state, event, self.now)
            self.effects += effects

    def wait(self, duration_s: float) -> None:
        until = self.now + duration_s
        while (deadline := due(self.state)) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.send(TimePassed())
        self.now = until

    # What people and services do.

    def speak(self, duration_s: float = 1.0, *, after_s: float = 0.0, reopens: bool = False) -> None:
        """Say something, fall silent, and wait for the endpoint, 500 ms later."""
        self.wait(after_s)
        began_at = self.now
        self.send(SpeechBegan(speaker="user", voiced_at=began_at, reopens=reopens))
        self.fall_silent(duration_s)
        self.wait(0.4)
        self.end_speech(began_at + duration_s)

    def fall_silent(self, after_s: float) -> None:
        """Speak on for so long, then pause; that is noticed 100 ms later."""
        voiced_until = self.now + after_s
        self.wait(after_s + 0.1)
        self.send(SpeechPaused(speaker="user", last_seq=49, voiced_until=voiced_until))

    def end_speech(self, voiced_until: float) -> None:
        self.send(SpeechEnded(speaker="user", last_seq=74, voiced_seq=49, voiced_until=voiced_until, reason="endpoint"))

    def transcribe(self, utterance: str = "2-0", turn: int = 1, text: str = "hello") -> None:
        self.send(
            FinalTranscript(
                session=SESSION,
                epoch=2,
                turn=turn,
                utterance=utterance,
                speaker="user",
                outcome="speech",
                text=text,
                last_seq=74,
            )
        )

    def answer(self, turn: int = 1, revision: int = 0, utterance: str = "", covers_seq: int = 74) -> None:
        """Say that the model was asked; usually about all that was said."""
        if (asked := self.state.turns.get(turn)) is not None:
            fence, utterance = fenced(turn, revision=revision), utterance or asked.utterances[-1]
            early = not asked.is_committed
            self.send(ReplyStarted(**fence, utterance=utterance, covers_seq=covers_seq, early=early))

    def write(self, *phrases: str, turn: int = 1, revision: int = 0) -> None:
        self.answer(turn, revision)
        fence = fenced(turn, revision=revision)
        for number, text in enumerate(phrases):
            self.send(ReplyDelta(**fence, index=number, text=text), PhraseReady(**fence, phrase=number, text=text))
        self.send(ReplyEnded(**fence, phrases=len(phrases), outcome="complete"))

    def voice(self, count: int, phrase: int = 0, turn: int = 1, revision: int = 0) -> None:
        for n in range(count):
            frame = Frame(sequence=n, media_samples=320 * n, pcm=LOUD, epoch=2, revision=revision)
            self.send(FrameArrived(turn, phrase, frame))
        end = Frame(sequence=count, media_samples=0, pcm=b"", epoch=2, revision=revision, flags=Flag.END)
        self.send(FrameArrived(turn, phrase, end))

    # What came of it.

    @property
    def reports(self) -> list[TurnReport]:
        return [effect.report for effect in self.effects if isinstance(effect, Conclude)]

    def moments(self, turn: int) -> Moments:
        [moments] = [e.moments for e in self.effects if isinstance(e, Conclude) and e.report.turn == turn]
        return moments

    @property
    def recorded(self) -> list[Message]:
        return [effect.message for effect in self.effects if isinstance(effect, Record)]

    @property
    def said(self) -> list[Message]:
        return [effect.message for effect in self.effects if isinstance(effect, Say)]

    @property
    def told(self) -> list[door.Event]:
        return [effect.event for effect in self.effects if isinstance(effect, Tell)]

    @property
    def played(self) -> int:
        return sum(isinstance(effect, Play) for effect in self.effects)


def test_an_utterance_is_announced_to_all_and_given_to_a_worker() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=99.8))

    started, work = stage.recorded
    assert started == UtteranceStarted(session=SESSION, epoch=2, turn=1, utterance="2-0", speaker="user")
    assert isinstance(work, TranscribeUtterance)
    assert work.life_s == 30 + 12
    assert stage.told == [door.SpeechStarted(turn=1, utterance="2-0")]


def test_what_is_said_again_from_the_record_is_shown_once() -> None:
    stage = Stage()
    stage.speak()
    stage.transcribe()
    stage.write("Hello.", "How are you?")

    stage.transcribe()
    stage.send(*(PhraseReady(**fenced(), phrase=number, text=text) for number, text in enumerate(("Hello.", "How …"))))

    told = [effect.event for effect in stage.effects if isinstance(effect, Tell)]
    assert [event.phrase for event in told if isinstance(event, door.Phrase)] == [0, 1]
    assert len([event for event in told if isinstance(event, door.Transcript)]) == 1


def test_an_utterance_that_goes_on_stays_in_its_turn() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=100))
    stage.send(SpeechEnded(speaker="user", last_seq=1499, voiced_seq=49, voiced_until=129, reason="max_length"))
    stage.send(SpeechBegan(speaker="user", voiced_at=100, continues=True))

    again = stage.recorded[-2]
    assert isinstance(again, UtteranceStarted)
    assert (again.turn, again.utterance, again.continues) == (1, "2-1", "2-0")


def test_each_turn_has_its_own_number() -> None:
    stage = Stage()

    stage.speak()
    stage.speak()

    started = [message for message in stage.recorded if isinstance(message, UtteranceStarted)]
    assert [(message.turn, message.utterance) for message in started] == [(1, "2-0"), (2, "2-1")]


def test_pauses_and_ends_are_recorded_with_their_sequence() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=100))
    stage.send(SpeechPaused(speaker="user", last_seq=49, voiced_until=101))
    stage.send(SpeechEnded(speaker="user", last_seq=74, voiced_seq=49, voiced_until=101, reason="endpoint"))

    paused, ended = stage.recorded[-2:]
    assert isinstance(paused, SegmentEnded)
    assert isinstance(ended, UtteranceEnded)
    assert (paused.last_seq, ended.last_seq, ended.reason) == (49, 74, "endpoint")


def test_speech_that_goes_on_is_said_at_once_with_the_frame_by_which_that_is_certain() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=100))
    stage.send(SpeechPaused(speaker="user", last_seq=49, voiced_until=101))
    stage.send(SpeechResumed(speaker="user", latest_seq=71, voiced_at=101.3))

    assert stage.said == [
        SegmentStarted(session=SESSION, epoch=2, turn=1, utterance="2-0", speaker="user", latest_seq=71)
    ]


def test_an_answered_turn_is_reported_with_every_stage() -> None:
    stage = Stage()

    stage.speak()
    stage.wait(0.1)
    stage.transcribe()
    stage.wait(0.06)
    stage.write("Hello there.")
    stage.wait(0.1)
    stage.voice(50)
    stage.wait(2)

    [report] = stage.reports
    assert (report.outcome, report.turn, report.epoch) == ("answered", 1, 2)
    assert report.e2ft_ms == pytest.approx(660)
    assert report.e2fa_ms == pytest.approx(760)
    assert (report.played_ms, report.phrases, report.underruns) == (1000, 1, 0)
    assert report.speech_ms == pytest.approx(1000)
    assert stage.played == 50


def test_the_agent_gets_credit_when_a_phrase_begins_and_history_when_it_was_heard() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("One.", "Two.")
    stage.voice(10, phrase=0)
    stage.voice(10, phrase=1)
    stage.wait(1)

    playback = [message for message in stage.recorded if isinstance(message, PlaybackStarted | PhrasePlayed)]
    assert [(type(message).__name__, message.phrase) for message in playback] == [
        ("PlaybackStarted", 0),
        ("PlaybackStarted", 1),
        ("PhrasePlayed", 0),
        ("PhrasePlayed", 1),
    ]


def test_the_client_is_told_what_is_understood_written_and_played() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=100))
    stage.send(PartialTranscript(**fenced(), utterance="2-0", speaker="user", number=0, text="hel", covers_seq=10))
    stage.send(SpeechEnded(speaker="user", last_seq=74, voiced_seq=49, voiced_until=101, reason="endpoint"))
    stage.transcribe()
    stage.write("Hi.")
    stage.voice(5)
    stage.wait(1)

    assert [type(event).__name__ for event in stage.told] == [
        "SpeechStarted",
        "Partial",
        "Transcript",
        "Delta",
        "Phrase",
        "Mark",
        "Mark",
    ]


def test_frames_are_kept_until_the_transcript_is_there() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.transcribe()

    assert [effect for effect in stage.effects if isinstance(effect, Forget)] == [Forget("2-0")]


@pytest.mark.parametrize("outcome", ["empty", "not_addressed", "failed"])
def test_a_dismissed_turn_ends_with_the_agents_outcome(outcome: Literal["empty", "not_addressed", "failed"]) -> None:
    stage = Stage()

    stage.speak()
    stage.send(TurnDismissed(**fenced(), outcome=outcome, reason="because"))

    assert [(report.outcome, report.reason) for report in stage.reports] == [(outcome, "because")]


def test_a_dismissed_turn_leaves_the_reply_of_an_older_one_alone() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("A long answer.")
    stage.voice(300)
    stage.speak(0.2, after_s=1)
    stage.send(TurnDismissed(**fenced(turn=2), outcome="empty"))
    stage.wait(10)

    assert [(report.turn, report.outcome, report.played_ms) for report in stage.reports] == [
        (2, "empty", 0),
        (1, "answered", 6000),
    ]


def test_a_client_that_interrupts_hears_nothing_more_and_the_agent_learns_what_was_heard() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("One.", "Two.")
    stage.voice(10, phrase=0)
    stage.voice(50, phrase=1)
    stage.wait(0.5)
    stage.send(ClientInterrupted())
    played = stage.played
    stage.voice(50, phrase=2)
    stage.wait(5)

    assert stage.played == played
    [said] = stage.said
    assert isinstance(said, InterruptTurn)
    assert (said.reason, said.phrase, said.played_ms, said.phrase_ms) == ("client", 1, 300, 1000)
    assert [(report.outcome, report.reason, report.played_ms) for report in stage.reports] == [
        ("interrupted", "client", 500)
    ]
    assert door.Cut(turn=1, at_ms=500, next_ms=600) in stage.told


def test_a_sound_that_was_cut_on_its_way_was_not_heard() -> None:
    stage = Stage()
    quiet_then_loud = bytes(640) + LOUD

    stage.speak()
    stage.transcribe()
    stage.answer()
    for n in range(2):
        pcm = quiet_then_loud[640 * n : 640 * (n + 1)]
        stage.send(FrameArrived(1, 0, Frame(sequence=n, media_samples=320 * n, pcm=pcm, epoch=2)))
    stage.wait(0.01)
    stage.send(ClientInterrupted())

    assert [report.e2fa_ms for report in stage.reports] == [None]


def test_an_interrupt_before_the_first_sound_ends_the_turn_too() -> None:
    stage = Stage()

    stage.speak()
    stage.send(ClientInterrupted())

    [said] = stage.said
    assert isinstance(said, InterruptTurn)
    assert said.phrase == -1
    assert [report.outcome for report in stage.reports] == ["interrupted"]


def test_an_interrupt_does_not_end_a_turn_that_is_still_being_spoken() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=100))
    stage.send(ClientInterrupted())

    assert stage.reports == []
    assert stage.said == []


def test_the_agents_interrupt_ends_the_reply() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("A long answer.")
    stage.voice(300)
    stage.wait(1)
    stage.send(TurnInterrupted(**fenced(revision=1), reason="a newer turn"))
    played = stage.played
    stage.wait(5)

    assert stage.played == played
    assert [(report.outcome, report.reason, report.revision) for report in stage.reports] == [
        ("interrupted", "a newer turn", 1)
    ]
    assert stage.said == []


def test_a_newer_turns_reply_ends_an_older_one_even_if_nobody_said_so() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("A long answer.")
    stage.voice(300)
    stage.speak(0.2, after_s=1)
    stage.write("Short.", turn=2)
    stage.wait(TurnRules().take_up_after_s)
    stage.voice(10, turn=2)
    stage.wait(1)

    assert [(report.turn, report.outcome) for report in stage.reports] == [(1, "interrupted"), (2, "answered")]
    [said] = stage.said
    assert isinstance(said, InterruptTurn)
    assert (said.turn, said.phrase, said.played_ms) == (1, 0, 1000)


@pytest.mark.parametrize(
    "progress, reason",
    [
        ((), "no_transcript"),
        (("transcribe",), "no_reply"),
        (("transcribe", "write"), "no_voice"),
    ],
)
def test_a_turn_without_a_sound_fails_and_says_what_it_was_waiting_for(progress: tuple[str, ...], reason: str) -> None:
    stage = Stage()

    stage.speak()
    for service in progress:
        match service:
            case "transcribe":
                stage.transcribe()
            case _:
                stage.answer()
                stage.send(ReplyDelta(**fenced(), index=0, text="H"))
    stage.wait(30)

    assert [(report.outcome, report.reason) for report in stage.reports] == [("failed", reason)]


def test_neither_a_hold_phrase_nor_a_lost_phrase_puts_off_the_failure() -> None:
    stage = Stage()
    stage.state = replace(stage.state, canned={"hold": Canned("One moment.", (LOUD,))})

    stage.speak()
    decided_at = stage.now
    stage.transcribe()
    stage.wait(5)
    stage.answer()
    stage.send(PhraseReady(**fenced(), phrase=0, text="H."))
    while not stage.reports:
        stage.wait(0.1)

    assert stage.now - decided_at == pytest.approx(12, abs=0.2)


def test_a_phrase_longer_than_the_patience_is_no_failure() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("A very long phrase.")
    stage.voice(1000)
    stage.wait(30)

    assert [report.outcome for report in stage.reports] == ["answered"]


def test_a_reply_that_stops_in_the_middle_fails() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.answer()
    stage.send(
        ReplyDelta(**fenced(), index=0, text="H"),
        PhraseReady(**fenced(), phrase=0, text="H."),
    )
    stage.voice(50)
    stage.wait(30)

    assert [(report.outcome, report.reason, report.played_ms) for report in stage.reports] == [
        ("failed", "reply_stopped", 1000)
    ]


def test_a_failed_phrase_is_skipped_and_the_turn_is_answered() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("One.", "Two.")
    stage.send(PhraseFailed(**fenced(), phrase=0, reason="broken"))
    stage.voice(10, phrase=1)
    stage.wait(1)

    assert [(report.outcome, report.phrases) for report in stage.reports] == [("answered", 1)]


def test_a_reply_of_which_nothing_could_be_spoken_has_failed() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("One.")
    stage.send(PhraseFailed(**fenced(), phrase=0, reason="broken"))

    assert [(report.outcome, report.reason) for report in stage.reports] == [("failed", "voice_failed")]


def test_a_model_that_fails_after_its_first_phrase_is_heard_and_reported() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.answer()
    stage.send(
        PhraseReady(**fenced(), phrase=0, text="One."),
        ReplyEnded(**fenced(), phrases=1, outcome="failed", reason="model_failed"),
    )
    stage.voice(10)
    stage.wait(1)

    assert [(report.outcome, report.reason, report.played_ms) for report in stage.reports] == [
        ("failed", "model_failed", 200)
    ]


def test_a_reply_waits_for_a_listener_who_comes_back() -> None:
    stage = Stage()

    stage.speak()
    stage.transcribe()
    stage.write("A long answer.")
    stage.voice(100)
    stage.wait(0.5)
    stage.send(ListenerLeft())
    stage.wait(20)
    stage.send(ListenerJoined())
    stage.wait(3)

    assert [(report.outcome, report.played_ms) for report in stage.reports] == [("answered", 2000)]


def test_a_closed_session_leaves_no_turn_open() -> None:
    stage = Stage()

    stage.speak()
    stage.wait(1)
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.send(SessionClosed())

    assert [(report.turn, report.outcome, report.reason) for report in stage.reports] == [
        (1, "interrupted", "closed"),
        (2, "interrupted", "closed"),
    ]
    assert due(stage.state) is None


@pytest.mark.parametrize("fence", [{"epoch": 1}, {"turn": 7}, {"revision": -1}])
def test_what_is_older_or_unknown_is_dropped(fence: dict[str, int]) -> None:
    stage = Stage()

    stage.speak()
    before = len(stage.effects)
    stage.send(TurnInterrupted(**fenced(**fence), reason="x"))

    assert len(stage.effects) == before


def test_frames_of_another_epoch_are_not_played() -> None:
    stage = Stage()

    stage.speak()
    stage.answer()
    stage.send(FrameArrived(1, 0, Frame(sequence=0, media_samples=0, pcm=LOUD, epoch=1)))

    assert stage.played == 0


def test_a_reply_to_a_turn_that_is_still_being_spoken_is_dropped() -> None:
    stage = Stage()

    stage.send(SpeechBegan(speaker="user", voiced_at=100))
    stage.voice(10)

    assert stage.played == 0


# Replies that were begun before their speaker had finished.


def guess(stage: Stage, text: str = "hello", *, covers_seq: int = 60, revision: int = 0, turn: int = 1) -> None:
    """What comes in a pause: the candidate, and a reply to it with its first sound."""
    utterance = stage.state.turns[turn].utterances[-1]
    stage.send(
        CandidateTranscript(**fenced(turn), utterance=utterance, speaker="user", text=text, covers_seq=covers_seq)
    )
    stage.answer(turn, revision, covers_seq=covers_seq)
    stage.send(
        ReplyDelta(**fenced(turn, revision=revision), index=0, text="Hi."),
        PhraseReady(**fenced(turn, revision=revision), phrase=0, text="Hi."),
    )
    stage.voice(10, turn=turn, revision=revision)


def test_a_reply_begun_early_is_noticed_by_nobody_until_its_speaker_has_finished_and_then_at_once() -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)

    guess(stage)
    told, played = len(stage.told), stage.played
    stage.wait(0.2)
    stage.end_speech(stage.now - 0.3)

    assert (told, played) == (1, 0)
    assert [type(event).__name__ for event in stage.told[told:]][:3] == ["Transcript", "Delta", "Phrase"]
    assert stage.played > 0
    stage.send(ReplyEnded(**fenced(), phrases=1, outcome="complete", output_tokens=3, wasted_tokens=4))
    stage.wait(1)
    [report] = stage.reports
    assert (report.outcome, report.speculation) == ("answered", "hit")
    assert (report.output_tokens, report.wasted_tokens) == (3, 4)
    assert report.e2ft_ms == pytest.approx(300)


def test_who_speaks_on_never_hears_the_reply_to_half_of_it() -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)

    guess(stage, covers_seq=40)
    stage.wait(1)
    stage.end_speech(stage.now - 0.5)
    early = stage.played
    stage.transcribe(text="hello there")
    stage.write("Good day.", revision=1)
    stage.voice(20, revision=1)
    stage.wait(1)

    assert early == 0
    assert [(report.outcome, report.speculation, report.played_ms) for report in stage.reports] == [
        ("answered", "miss", 400)
    ]
    assert [(report.unreleased_tokens, report.wasted_tokens) for report in stage.reports] == [(1, 1)]


def test_a_reply_that_needed_no_change_after_a_noise_is_a_hit_once_the_agent_says_so() -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)

    guess(stage, covers_seq=40)
    stage.wait(0.5)
    stage.end_speech(stage.now - 0.5)
    early = stage.played
    stage.answer(covers_seq=74)
    stage.wait(0.5)

    assert early == 0
    assert stage.played == 10


def test_a_candidate_that_covers_all_is_the_transcript_and_the_final_only_frees_the_frames() -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)

    guess(stage)
    stage.end_speech(stage.now - 0.1)
    transcripts = [event for event in stage.told if isinstance(event, door.Transcript)]
    kept = [effect for effect in stage.effects if isinstance(effect, Forget)]
    stage.transcribe(text="hallo")

    assert [transcript.text for transcript in transcripts] == ["hello"]
    assert kept == []
    assert [effect for effect in stage.effects if isinstance(effect, Forget)] == [Forget("2-0")]
    assert [event for event in stage.told if isinstance(event, door.Transcript)] == transcripts


def test_a_model_that_fails_while_its_reply_is_held_is_noticed_by_nobody_once_it_was_asked_again() -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)

    guess(stage)
    stage.answer(revision=1, covers_seq=60)
    stage.end_speech(stage.now - 0.1)
    early = stage.played
    stage.write("Another answer.", revision=1)
    stage.voice(20, revision=1)
    stage.wait(1)

    assert early == 0
    [report] = stage.reports
    assert (report.outcome, report.played_ms, report.unreleased_tokens) == ("answered", 400, 1)


# Going on after the endpoint.


def answered(stage: Stage) -> None:
    """Ask something, and hear the first of a long reply."""
    stage.speak()
    stage.transcribe()
    stage.write("A long answer.")
    stage.voice(300)
    stage.wait(0.3)


def test_who_goes_on_within_the_reopen_window_goes_on_in_the_same_turn_and_the_reply_is_taken_back() -> None:
    stage = Stage()
    answered(stage)

    stage.speak(1.0, reopens=True)
    quiet_from = stage.played
    stage.transcribe("2-1", text="and tomorrow")
    stage.wait(0.1)
    stage.answer(revision=1)
    stage.wait(0.3)
    assert stage.played == quiet_from
    stage.write("Another answer.", revision=1)
    stage.voice(20, revision=1)
    stage.wait(1)

    started = [message for message in stage.recorded if isinstance(message, UtteranceStarted)]
    assert [(message.turn, message.utterance, message.continues) for message in started] == [
        (1, "2-0", None),
        (1, "2-1", "2-0"),
    ]
    [report] = stage.reports
    assert (report.outcome, report.taken_back, report.revision, report.played_ms) == ("answered", 1, 1, 400)
    assert report.e2ft_ms == pytest.approx(900)
    assert report.unreleased_tokens == 0
    [(let_out, went_on)] = stage.moments(turn=1).taken_back
    assert went_on - let_out == pytest.approx(0.3)


def test_a_noise_within_the_reopen_window_only_holds_the_reply_up() -> None:
    stage = Stage()
    answered(stage)

    stage.speak(0.2, reopens=True)
    stage.answer(utterance="2-1")
    stage.wait(7)

    [report] = stage.reports
    assert (report.outcome, report.revision, report.played_ms) == ("answered", 0, 6000)


def test_who_goes_on_in_the_very_moment_of_the_endpoint_hears_nothing_of_what_was_let_out() -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)
    guess(stage)

    stage.end_speech(stage.now - 0.3)
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now, reopens=True))
    stage.fall_silent(after_s=1)
    stage.end_speech(stage.now - 0.1)
    stage.transcribe("2-1", text="there")
    stage.write("Another answer.", revision=1)
    stage.voice(20, revision=1)
    stage.wait(1)

    assert [event.at_ms for event in stage.told if isinstance(event, door.Cut)] == [0]
    [report] = stage.reports
    assert (report.outcome, report.revision, report.taken_back, report.played_ms) == ("answered", 1, 1, 400)


def test_who_goes_on_after_their_turn_is_over_begins_another_although_an_older_one_waits() -> None:
    stage = Stage()
    stage.speak()
    stage.transcribe()
    stage.speak(0.2)
    stage.send(TurnDismissed(**fenced(turn=2), outcome="empty"))

    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now, reopens=True))

    assert sorted(stage.state.turns) == [1, 3]


def test_a_client_that_wants_quiet_while_somebody_goes_on_still_gets_the_answer_to_that() -> None:
    stage = Stage()
    answered(stage)
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now, reopens=True))
    stage.fall_silent(after_s=1)

    stage.send(ClientInterrupted())
    stage.wait(0.4)
    stage.end_speech(stage.now - 0.5)
    stage.transcribe("2-1")
    stage.write("Another answer.", revision=1)
    stage.voice(20, revision=1)
    stage.wait(1)

    assert [(report.outcome, report.played_ms) for report in stage.reports] == [("answered", 400)]


# Speaking over a reply.


def test_a_reply_gives_way_as_soon_as_somebody_speaks_and_is_over_when_they_speak_on() -> None:
    stage = Stage()
    answered(stage)
    stage.wait(1)

    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now - 0.13))
    played = stage.played
    assert any(isinstance(event, door.Cut) for event in stage.told)
    stage.wait(0.3)
    assert stage.reports == []
    stage.wait(0.2)

    assert stage.played == played
    assert [(report.turn, report.outcome, report.reason) for report in stage.reports] == [(1, "interrupted", "speech")]
    [said] = stage.said
    assert isinstance(said, InterruptTurn)
    assert (said.turn, said.reason, said.phrase, said.played_ms) == (1, "speech", 0, 1300)


def test_a_cough_holds_a_reply_up_and_nothing_of_it_is_lost() -> None:
    stage = Stage()
    answered(stage)
    stage.wait(1)

    stage.speak(0.2)
    stage.send(TurnDismissed(**fenced(turn=2), outcome="empty"))
    stage.wait(10)

    assert [(report.turn, report.outcome, report.played_ms) for report in stage.reports] == [
        (2, "empty", 0),
        (1, "answered", 6000),
    ]
    # From when they were noticed until it was said that there were no words: the cough and the endpoint.
    [(start, end)] = stage.moments(turn=1).gave_way
    assert end - start == pytest.approx(0.7)


def test_one_short_word_is_enough_to_end_a_reply() -> None:
    stage = Stage()
    answered(stage)
    stage.wait(1)

    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=0.2)
    stage.send(CandidateTranscript(**fenced(turn=2), utterance="2-1", speaker="user", text="Stop.", covers_seq=20))

    assert [(report.turn, report.outcome, report.reason) for report in stage.reports] == [(1, "interrupted", "speech")]


def test_a_reply_that_gave_way_goes_on_by_itself_where_nobody_says_what_was_heard() -> None:
    stage = Stage()
    answered(stage)
    stage.wait(1)

    stage.speak(0.2)
    played = stage.played
    stage.wait(TurnRules().take_up_after_s - 0.1)
    assert stage.played == played
    stage.wait(0.3)

    assert stage.played > played


def test_a_pause_between_two_short_sounds_does_not_make_them_longer() -> None:
    stage = Stage()
    answered(stage)
    stage.wait(1)

    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=0.2)
    stage.wait(0.2)
    stage.send(SpeechResumed(speaker="user", latest_seq=60, voiced_at=stage.now))
    stage.fall_silent(after_s=0.15)
    stage.wait(0.4)

    assert stage.reports == []


@pytest.mark.parametrize("is_speech_first", [False, True])
def test_speech_in_the_moment_of_the_first_frame_ends_the_reply_with_nothing_heard(*, is_speech_first: bool) -> None:
    stage = Stage()
    stage.speak()
    stage.transcribe()
    stage.write("A long answer.")

    if is_speech_first:
        stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.voice(100)
    if not is_speech_first:
        stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.wait(1)

    assert [event.at_ms for event in stage.told if isinstance(event, door.Cut)] == ([] if is_speech_first else [0])
    [interrupt] = [said for said in stage.said if isinstance(said, InterruptTurn)]
    assert interrupt.played_ms == 0
    assert [(report.outcome, report.reason, report.played_ms, report.e2fa_ms) for report in stage.reports] == [
        ("interrupted", "speech", 0, None)
    ]


@pytest.mark.parametrize("is_interrupt_first, outcome, played_ms", [(True, "answered", 200), (False, "interrupted", 0)])
def test_of_an_interrupt_and_an_endpoint_in_one_moment_the_first_decides_whom_the_interrupt_is_about(
    *, is_interrupt_first: bool, outcome: str, played_ms: int
) -> None:
    stage = Stage()
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.fall_silent(after_s=1)
    guess(stage)

    if is_interrupt_first:
        stage.send(ClientInterrupted())
    stage.end_speech(stage.now - 0.1)
    if not is_interrupt_first:
        stage.send(ClientInterrupted())
    stage.send(ReplyEnded(**fenced(), phrases=1, outcome="complete"))
    stage.wait(1)

    assert [(report.outcome, report.played_ms) for report in stage.reports] == [(outcome, played_ms)]


def test_nothing_is_said_to_somebody_who_speaks_although_it_is_ready() -> None:
    stage = Stage()
    stage.speak()
    stage.transcribe()
    stage.wait(1)

    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))
    stage.write("Too late.")
    stage.voice(20)
    stage.wait(0.4)

    assert stage.played == 0


def begin(stage: Stage) -> None:
    if "user" not in stage.state.speaking:
        stage.send(SpeechBegan(speaker="user", voiced_at=stage.now))


def cut(stage: Stage) -> None:
    stage.send(SpeechEnded(speaker="user", last_seq=9, voiced_seq=8, voiced_until=stage.now, reason="max_length"))
    stage.send(SpeechBegan(speaker="user", voiced_at=stage.now, continues=True))


def end(stage: Stage) -> None:
    stage.send(SpeechEnded(speaker="user", last_seq=9, voiced_seq=8, voiced_until=stage.now, reason="endpoint"))


ANYTHING: Mapping[str, Callable[[Stage, int, int], None]] = {
    "begin": lambda stage, *_: begin(stage),
    "cut": lambda stage, *_: cut(stage),
    "end": lambda stage, *_: end(stage),
    "transcribe": lambda stage, turn, _: stage.transcribe(f"2-{turn - 1}", turn),
    "answer": lambda stage, turn, n: stage.answer(turn, covers_seq=9 * n),
    "delta": lambda stage, turn, _: stage.send(ReplyDelta(**fenced(turn), index=0, text="x")),
    "phrase": lambda stage, turn, n: stage.send(PhraseReady(**fenced(turn), phrase=n, text="x")),
    "voice": lambda stage, turn, n: stage.voice(20, n, turn),
    "ended": lambda stage, turn, n: stage.send(ReplyEnded(**fenced(turn), phrases=n, outcome="complete")),
    "failed": lambda stage, turn, n: stage.send(ReplyEnded(**fenced(turn), phrases=n, outcome="failed")),
    "dismissed": lambda stage, turn, _: stage.send(TurnDismissed(**fenced(turn), outcome="empty")),
    "interrupted": lambda stage, turn, _: stage.send(TurnInterrupted(**fenced(turn, revision=1), reason="x")),
    "lost": lambda stage, turn, n: stage.send(PhraseFailed(**fenced(turn), phrase=n, reason="x")),
    "client": lambda stage, *_: stage.send(ClientInterrupted()),
    "left": lambda stage, *_: stage.send(ListenerLeft()),
    "joined": lambda stage, *_: stage.send(ListenerJoined()),
}
SERVICES = st.lists(
    st.tuples(st.sampled_from(sorted(ANYTHING)), st.integers(1, 3), st.integers(0, 1), st.floats(0, 3)), max_size=50
)


def run(script: list[tuple[str, int, int, float]]) -> Stage:
    stage = Stage()
    for what, turn, phrase, pause_s in script:
        ANYTHING[what](stage, turn, phrase)
        stage.wait(pause_s)
    return stage


@settings(max_examples=200)
@given(SERVICES)
def test_under_any_input_every_turn_has_exactly_one_outcome(script: list[tuple[str, int, int, float]]) -> None:
    stage = run(script)

    stage.send(
        ListenerJoined(), SpeechEnded(speaker="user", last_seq=9, voiced_seq=8, voiced_until=stage.now, reason="closed")
    )
    stage.wait(60)

    minted = {message.turn for message in stage.recorded if isinstance(message, UtteranceStarted)}
    assert sorted(report.turn for report in stage.reports) == sorted(minted)
    assert due(stage.state) is None


@settings(max_examples=200)
@given(SERVICES)
def test_under_any_input_frames_are_forgotten_exactly_once(script: list[tuple[str, int, int, float]]) -> None:
    stage = run(script)

    stage.send(SessionClosed())

    forgotten = [effect.utterance for effect in stage.effects if isinstance(effect, Forget)]
    begun = [message.utterance for message in stage.recorded if isinstance(message, UtteranceStarted)]
    assert sorted(forgotten) == sorted(begun)


@settings(max_examples=200)
@given(SERVICES)
def test_under_any_input_an_answered_turn_was_heard(script: list[tuple[str, int, int, float]]) -> None:
    stage = run(script)

    answered = [report for report in stage.reports if report.outcome == "answered"]
    assert all(report.played_ms > 0 and report.e2fa_ms is not None for report in answered)
