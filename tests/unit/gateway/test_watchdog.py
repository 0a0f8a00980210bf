"""Nobody sits in silence: what is said while it takes long and when it went wrong, on virtual time."""

import struct

import pytest

from parley_contract import door
from parley_contract.frames import Flag, Frame
from parley_contract.messages import (
    FinalTranscript,
    PhraseReady,
    ReplyDelta,
    ReplyEnded,
    ReplyStarted,
    TurnDismissed,
    TurnReport,
)
from parley_gateway import turns
from parley_gateway.canned import Canned, Kind
from parley_gateway.cues import FrameArrived, TimePassed
from parley_gateway.turn_events import (
    ClientInterrupted,
    Conclude,
    Effect,
    Event,
    ListenerJoined,
    ListenerLeft,
    Play,
    Record,
    SpeechBegan,
    SpeechEnded,
    Tell,
)
from parley_gateway.turn_state import TurnRules, Turns, due

SESSION = "0123456789ab"
MARKS: dict[Kind, int] = {"hold": 1000, "apology": 2000, "refusal": 3000}
REPLY = 5000
LENGTH = 50
"""Frames of each canned phrase: one second."""


def loud(mark: int) -> bytes:
    return struct.pack("<320h", *[mark] * 320)


CANNED = {kind: Canned(kind.upper(), (loud(mark),) * LENGTH) for kind, mark in MARKS.items()}


class Listener:
    """Somebody who asked, at second 0 of their silence, and what they hear from then on."""

    def __init__(self, canned: dict[Kind, Canned] = CANNED) -> None:
        self.now = 100.0
        rules = TurnRules(hold_after_s=4, fail_after_s=12)
        self.state = Turns(rules=rules, session=SESSION, epoch=1, unix_offset_s=0, next_turn=1, canned=canned)
        self.log: list[tuple[float, Effect]] = []
        self.ask()
        self.asked_at = self.now

    def send(self, *events: Event) -> None:
        for event in events:
            self.state, effects = turns.step(self.state, event, self.now)
            self.log += [(self.now, effect) for effect in effects]

    def ask(self) -> None:
        self.send(SpeechBegan(speaker="user", voiced_at=self.now))
        self.wait(1)
        self.send(
            SpeechEnded(speaker="user", last_seq=74, voiced_seq=49, voiced_until=self.now - 0.5, reason="endpoint")
        )

    def wait(self, duration_s: float) -> None:
        until = self.now + duration_s
        while (deadline := due(self.state)) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.send(TimePassed())
        self.now = until

    def reply(self, *, revision: int = 0, turn: int = 1, ends: bool = True) -> None:
        """One phrase of half a second."""
        asked = self.state.turns.get(turn)
        utterance = asked.utterances[-1] if asked else "1-0"
        self.send(
            ReplyStarted(session=SESSION, epoch=1, turn=turn, revision=revision, utterance=utterance, covers_seq=74),
            ReplyDelta(session=SESSION, epoch=1, turn=turn, revision=revision, index=0, text="Yes."),
            PhraseReady(session=SESSION, epoch=1, turn=turn, revision=revision, phrase=0, text="Yes."),
        )
        for n in range(25):
            frame = Frame(sequence=n, media_samples=0, pcm=loud(REPLY), epoch=1, revision=revision)
            self.send(FrameArrived(turn, 0, frame))
        end = Frame(sequence=25, media_samples=0, pcm=b"", epoch=1, revision=revision, flags=Flag.END)
        self.send(FrameArrived(turn, 0, end))
        if ends:
            self.send(ReplyEnded(session=SESSION, epoch=1, turn=turn, revision=revision, phrases=1, outcome="complete"))

    @property
    def heard(self) -> list[tuple[int, int]]:
        """The sound as (mark, frames), in order."""
        runs: list[tuple[int, int]] = []
        for _, effect in self.log:
            if isinstance(effect, Play):
                mark = struct.unpack_from("<h", effect.pcm)[0]
                count = runs.pop()[1] + 1 if runs and runs[-1][0] == mark else 1
                runs.append((mark, count))
        return runs

    def heard_at(self, mark: int) -> float:
        """When a sound began, in seconds after the endpoint."""
        first = next(at for at, effect in self.log if isinstance(effect, Play) and effect.pcm == loud(mark))
        return round(first - self.asked_at, 3)

    @property
    def told(self) -> list[door.Event]:
        return [effect.event for _, effect in self.log if isinstance(effect, Tell)]

    @property
    def reports(self) -> list[TurnReport]:
        return [effect.report for _, effect in self.log if isinstance(effect, Conclude)]


def test_after_four_seconds_of_silence_somebody_says_that_it_takes_a_moment() -> None:
    listener = Listener()

    listener.wait(6)

    assert listener.heard == [(MARKS["hold"], LENGTH)]
    assert listener.heard_at(MARKS["hold"]) == 4.0
    assert [event for event in listener.told if isinstance(event, door.Canned)] == [
        door.Canned(turn=1, kind="hold", text="HOLD", at_ms=0)
    ]


def test_a_reply_in_time_is_preceded_by_nothing() -> None:
    listener = Listener()

    listener.wait(3.9)
    listener.reply()
    listener.wait(10)

    assert listener.heard == [(REPLY, 25)]


def test_a_reply_that_comes_while_it_is_said_waits_for_its_end() -> None:
    listener = Listener()

    listener.wait(4.3)
    listener.reply()
    listener.wait(5)

    assert listener.heard == [(MARKS["hold"], LENGTH), (REPLY, 25)]
    assert listener.reports[0].outcome == "answered"


def test_a_later_revision_of_the_reply_does_not_cut_it_either() -> None:
    listener = Listener()

    listener.wait(4.3)
    listener.reply(revision=1)
    listener.wait(5)

    assert listener.heard == [(MARKS["hold"], LENGTH), (REPLY, 25)]


def test_what_was_said_while_waiting_is_no_part_of_the_reply() -> None:
    listener = Listener()

    listener.wait(8)
    listener.reply()
    listener.wait(5)

    [report] = listener.reports
    assert (report.played_ms, report.phrases, report.underruns) == (500, 1, 0)
    assert report.e2fa_ms == pytest.approx(8500)
    recorded = [effect.message for _, effect in listener.log if isinstance(effect, Record)]
    assert all(getattr(message, "phrase", 0) == 0 for message in recorded)


def test_it_is_said_once_however_long_it_takes() -> None:
    listener = Listener()

    listener.wait(11.9)

    assert listener.heard == [(MARKS["hold"], LENGTH)]


def test_after_twelve_seconds_the_turn_has_failed_and_that_is_said() -> None:
    listener = Listener()

    listener.wait(20)

    assert listener.heard == [(MARKS["hold"], LENGTH), (MARKS["apology"], LENGTH)]
    assert listener.heard_at(MARKS["apology"]) == 12.0
    assert [(report.outcome, report.reason) for report in listener.reports] == [("failed", "no_transcript")]


def test_tokens_that_trickle_without_a_sound_do_not_put_it_off() -> None:
    listener = Listener()

    for index in range(20):
        listener.wait(1)
        listener.send(ReplyDelta(session=SESSION, epoch=1, turn=1, index=index, text="a"))
    listener.wait(5)

    assert listener.heard_at(MARKS["apology"]) == 12.0


def test_a_failure_that_is_known_early_is_said_early() -> None:
    listener = Listener()

    listener.send(
        FinalTranscript(
            session=SESSION, epoch=1, turn=1, utterance="1-0", speaker="user", outcome="failed", last_seq=74
        ),
        TurnDismissed(
            session=SESSION, epoch=1, turn=1, outcome="failed", reason="transcript_failed", detail="4 attempts"
        ),
    )
    listener.wait(3)

    assert listener.heard == [(MARKS["apology"], LENGTH)]
    assert [(report.reason, report.detail) for report in listener.reports] == [("transcript_failed", "4 attempts")]


def test_a_reply_that_breaks_off_is_followed_by_the_apology() -> None:
    listener = Listener()

    listener.reply(ends=False)
    listener.send(
        ReplyEnded(session=SESSION, epoch=1, turn=1, phrases=1, outcome="failed", reason="model_failed", detail="500")
    )
    listener.wait(5)

    assert listener.heard == [(REPLY, 25), (MARKS["apology"], LENGTH)]


def test_silence_and_interrupts_need_no_apology() -> None:
    dismissed, interrupted = Listener(), Listener()

    dismissed.send(TurnDismissed(session=SESSION, epoch=1, turn=1, outcome="empty", reason="silence"))
    dismissed.wait(20)
    interrupted.send(ClientInterrupted())
    interrupted.wait(20)

    assert dismissed.heard == interrupted.heard == []


def test_what_arrives_after_the_apology_is_not_heard() -> None:
    listener = Listener()

    listener.wait(12.5)
    listener.reply(revision=3)
    listener.wait(5)

    assert listener.heard[1:] == [(MARKS["apology"], LENGTH)]


def test_the_reply_to_the_next_question_ends_the_apology() -> None:
    listener = Listener()

    listener.wait(12.2)
    listener.send(SpeechBegan(speaker="user", voiced_at=listener.now))
    listener.wait(0.3)
    listener.send(SpeechEnded(speaker="user", last_seq=9, voiced_seq=8, voiced_until=listener.now, reason="endpoint"))
    listener.reply(turn=2)
    listener.wait(5)

    assert [mark for mark, _ in listener.heard] == [MARKS["hold"], MARKS["apology"], REPLY]
    assert listener.heard[1][1] < LENGTH
    assert [report.outcome for report in listener.reports] == ["failed", "answered"]


def test_who_speaks_over_an_apology_waits_for_nothing_but_the_reply() -> None:
    listener = Listener()

    listener.wait(12.2)
    listener.ask()
    asked_at = listener.now
    listener.reply(turn=2)

    assert REPLY in [mark for mark, _ in listener.heard]
    assert listener.now == asked_at


def test_who_speaks_again_is_not_talked_over_with_an_apology() -> None:
    listener = Listener()

    listener.wait(11.5)
    listener.ask()
    listener.reply(turn=2)
    listener.wait(5)

    assert [mark for mark, _ in listener.heard] == [MARKS["hold"], REPLY]
    assert [(report.turn, report.outcome) for report in listener.reports] == [(1, "failed"), (2, "answered")]


def test_a_listener_who_wants_quiet_hears_no_more_of_it() -> None:
    listener = Listener()

    listener.wait(12.3)
    listener.send(ClientInterrupted())
    listener.wait(5)

    mark, frames = listener.heard[-1]
    assert mark == MARKS["apology"]
    assert frames <= 20
    assert isinstance(listener.told[-1], door.Cut)


def test_while_nobody_is_there_no_time_counts() -> None:
    listener = Listener()

    listener.send(ListenerLeft())
    listener.wait(20)
    listener.send(ListenerJoined())
    listener.wait(3.9)
    before = listener.heard
    listener.wait(0.2)

    assert before == []
    assert listener.heard != []


def test_what_is_being_said_goes_on_where_a_listener_left_it() -> None:
    listener = Listener()

    listener.wait(4.4)
    listener.send(ListenerLeft())
    listener.wait(2)
    listener.send(ListenerJoined())
    listener.wait(3)

    [(mark, frames)] = listener.heard
    assert mark == MARKS["hold"]
    assert LENGTH <= frames <= LENGTH + 5


def test_without_a_voice_the_turn_fails_all_the_same() -> None:
    listener = Listener(canned={})

    listener.wait(20)

    assert listener.heard == []
    assert [report.reason for report in listener.reports] == ["no_transcript"]
