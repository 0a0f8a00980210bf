"""Utterances on virtual time: endpoints on two clocks, cuts, pre-roll, and what holds under any input."""

import itertools
from typing import cast, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_contract.endings import Ending
from parley_contract.messages import Endpoint
from parley_gateway.endpointing import SmartRules
from parley_gateway.segments import WINDOW_SAMPLES, SegmentRules, SpeechWindow
from parley_gateway.utterance_events import (
    Began,
    DoorClosed,
    Ended,
    Event,
    FrameHeard,
    Happening,
    Paused,
    Resumed,
    SoundJudged,
    TimePassed,
    WordsJudged,
)
from parley_gateway.utterance_state import Hearing, UtteranceRules, due
from parley_gateway.utterances import step

RULES = UtteranceRules(
    segments=SegmentRules(min_speech_ms=128, hangover_ms=100),
    endpoint_ms=500,
    pre_roll_ms=300,
    max_utterance_s=10,
    stall_ms=800,
)
SMART = msgspec.structs.replace(RULES, smart=SmartRules())
LOUD, QUIET = (-20.0,) * 4, (-80.0,) * 4


class Room:
    """A speaker on virtual time; remembers when what happened."""

    def __init__(self, rules: UtteranceRules = RULES) -> None:
        self.rules = rules
        self.now = 0.0
        self.state = Hearing()
        self.log: list[tuple[float, Happening]] = []
        self._samples = 0

    def send(self, event: Event) -> None:
        self.state, happened = step(self.state, event, self.now, self.rules)
        self.log += [(round(self.now, 3), thing) for thing in happened]

    def hear(self, duration_s: float, *, voice: bool) -> None:
        """Send frames in real time."""
        for _ in range(round(duration_s * 50)):
            self.now += 0.02
            before, self._samples = self._samples, self._samples + 320
            ends = range(before // WINDOW_SAMPLES + 1, self._samples // WINDOW_SAMPLES + 1)
            self.send(
                FrameHeard(
                    tuple(
                        SpeechWindow(end * WINDOW_SAMPLES, 0.95 if voice else 0.02, LOUD if voice else QUIET)
                        for end in ends
                    )
                )
            )

    def wait(self, duration_s: float) -> None:
        """Let time pass without frames, as the timer of `inbound` does."""
        until = self.now + duration_s
        while (deadline := due(self.state, self.rules)) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.send(TimePassed())
        self.now = until

    def judge(self, audio: float | None = None, ending: Ending | None = None, *, until: int | None = None) -> None:
        """Bring in evidence of the latest pause, or of the one after a position."""
        if until is None:
            until = self.state.running.last_voiced if self.state.running else 0
        if audio is not None:
            self.send(SoundJudged(until, audio))
        if ending is not None:
            self.send(WordsJudged(until, ending))

    @property
    def ended(self) -> list[tuple[float, Ended]]:
        return [(at, thing) for at, thing in self.log if isinstance(thing, Ended)]

    @property
    def happened(self) -> list[Happening]:
        return [thing for _, thing in self.log]


def test_silence_on_the_media_clock_ends_an_utterance() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.hear(1.0, voice=False)

    began, paused, ended = room.happened
    assert isinstance(began, Began)
    assert isinstance(paused, Paused)
    assert isinstance(ended, Ended)
    assert ended.reason == "endpoint"
    ended_at = room.log[-1][0]
    assert ended_at == pytest.approx(ended.last_voiced / 16_000 + 0.5, abs=0.02)


def test_an_utterance_carries_the_sound_before_its_first_voiced_sample() -> None:
    room = Room()

    room.hear(1.92, voice=False)
    room.hear(0.5, voice=True)

    assert room.happened == [Began(first_frame=(1920 - 300) // 20, first_voiced=1920 * 16)]


@pytest.mark.parametrize("quiet_frames", range(96, 104))
def test_somebody_is_noticed_within_200_ms_of_their_first_voiced_sample(quiet_frames: int) -> None:
    room = Room()

    room.hear(quiet_frames * 0.02, voice=False)
    room.hear(0.2, voice=True)

    assert [type(thing) for thing in room.happened] == [Began]


def test_a_pause_is_told_at_once_with_the_last_voiced_frame() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)

    told_at, paused = room.log[-1]
    assert paused == Paused(last_seq=47, last_voiced=960 * 16)
    assert told_at <= 0.96 + 0.1 + 0.04


def test_a_pause_shorter_than_the_endpoint_stays_within_the_utterance() -> None:
    room = Room()

    room.hear(1.0, voice=True)
    room.hear(0.4, voice=False)
    room.hear(1.0, voice=True)
    room.hear(0.4, voice=False)

    assert [type(thing) for thing in room.happened] == [Began, Paused, Resumed, Paused]
    # Certain after 128 ms of voice, with the frame that completes the fourth window of it.
    assert room.happened[2] == Resumed(latest_seq=75, first_voiced=43 * WINDOW_SAMPLES)


def test_speech_that_resumes_just_before_the_endpoint_holds_it() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.hear(0.44, voice=False)
    room.hear(0.6, voice=True)

    assert not any(isinstance(thing, Ended) for thing in room.happened)


def test_a_click_in_the_last_silence_delays_the_endpoint_only_until_it_is_known_as_one() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.hear(0.44, voice=False)
    room.hear(0.06, voice=True)
    room.hear(0.3, voice=False)

    ended_at, ended = room.log[-1]
    assert isinstance(ended, Ended)
    assert ended.last_voiced == pytest.approx(0.96 * 16_000, abs=WINDOW_SAMPLES)
    assert ended_at < 1.7


def test_a_door_that_falls_silent_in_a_pause_reaches_the_endpoint_on_the_wall_clock() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.wait(5)

    ended_at, ended = room.log[-1]
    assert isinstance(ended, Ended)
    assert ended.reason == "endpoint"
    assert ended_at == pytest.approx(ended.last_voiced / 16_000 + 0.5, abs=0.001)


def test_a_network_that_stalls_in_a_word_gets_longer() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.wait(0.7)
    room.hear(0.5, voice=True)

    assert not any(isinstance(thing, Ended) for thing in room.happened)


def test_a_door_that_dies_in_a_word_ends_the_utterance_all_the_same() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.wait(5)

    ended_at, ended = room.log[-1]
    assert isinstance(ended, Ended)
    assert ended_at == pytest.approx(0.96 + 0.8, abs=0.04)


def test_no_timer_runs_while_nobody_speaks() -> None:
    room = Room()

    room.hear(3, voice=False)

    assert due(room.state, RULES) is None


def test_a_closed_door_ends_the_utterance_with_that_reason() -> None:
    room = Room()

    room.hear(1.0, voice=True)
    room.send(DoorClosed())

    assert room.happened[-1] == Ended(last_seq=49, voiced_seq=49, last_voiced=31 * WINDOW_SAMPLES, reason="closed")


def test_a_closed_door_in_silence_is_nothing() -> None:
    room = Room()

    room.hear(1.0, voice=False)
    room.send(DoorClosed())

    assert room.happened == []


def test_a_long_utterance_is_cut_at_a_pause_and_goes_on_without_a_hole() -> None:
    room = Room()

    room.hear(8.5, voice=True)
    room.hear(0.3, voice=False)
    room.hear(1.0, voice=True)
    room.hear(0.6, voice=False)

    first, _, cut, second, _, _, ended = room.happened
    assert isinstance(first, Began)
    assert isinstance(cut, Ended)
    assert isinstance(second, Began)
    assert isinstance(ended, Ended)
    assert cut.reason == "max_length"
    assert second.continues
    assert second.first_frame == first.first_frame + cut.last_seq + 1
    assert second.first_frame * 320 > cut.last_voiced
    assert ended.reason == "endpoint"


def test_a_speaker_without_pauses_is_cut_at_the_longest_utterance() -> None:
    room = Room()

    room.hear(25, voice=True)

    cuts = [thing for thing in room.happened if isinstance(thing, Ended)]
    assert [(cut.reason, cut.last_seq) for cut in cuts] == [("max_length", 499), ("max_length", 499)]


def test_a_cut_in_the_final_pause_still_ends_by_an_endpoint_that_measures_from_the_last_voice() -> None:
    room = Room()

    room.hear(8.5, voice=True)
    room.hear(1.0, voice=False)

    ended_at, ended = room.log[-1]
    assert isinstance(ended, Ended)
    assert ended.reason == "endpoint"
    assert ended.last_voiced == pytest.approx(8.5 * 16_000, abs=WINDOW_SAMPLES)
    assert ended_at == pytest.approx(9.0, abs=0.04)


def test_nothing_voiced_is_in_two_utterances_though_the_pre_roll_reaches_back_into_it() -> None:
    room = Room(msgspec.structs.replace(RULES, endpoint_ms=200))

    room.hear(0.96, voice=True)
    room.hear(0.24, voice=False)
    room.hear(0.96, voice=True)

    first, _, ended, second = room.happened
    assert isinstance(first, Began)
    assert isinstance(ended, Ended)
    assert isinstance(second, Began)
    assert second.first_frame * 320 >= ended.last_voiced
    assert not second.continues


def test_silence_alone_says_how_long_it_was() -> None:
    room = Room()

    room.hear(0.96, voice=True)
    room.hear(1.0, voice=False)

    [(_, ended)] = room.ended
    assert ended.endpoint is not None
    assert ended.endpoint.wait_ms == pytest.approx(500, abs=20)
    assert ended.endpoint == Endpoint(wait_ms=ended.endpoint.wait_ms)


def test_where_silence_decides_evidence_makes_no_difference() -> None:
    plain, told = Room(), Room()

    for room in (plain, told):
        room.hear(0.96, voice=True)
        room.hear(0.2, voice=False)
        if room is told:
            room.judge(audio=0.99, ending="complete")
        room.hear(1.0, voice=False)

    assert told.log == plain.log


# With `smart`: evidence on virtual time. Speech ends at 0.96 s; `wait` is the timer, `hear` the media clock.


def test_without_evidence_in_time_the_endpoint_holds() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.5, voice=False)
    room.judge(audio=0.01, ending="open", until=0)
    room.wait(3)

    [(at, _)] = room.ended
    assert at == pytest.approx(0.96 + 0.5, abs=0.04)


@pytest.mark.parametrize("is_silent_door", [True, False])
def test_a_complete_sentence_is_over_sooner_on_both_clocks(*, is_silent_door: bool) -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.14, voice=False)
    room.judge(audio=0.97)
    room.hear(0.06, voice=False)
    room.judge(ending="complete")
    if is_silent_door:
        room.wait(3)
    else:
        room.hear(3, voice=False)

    [(at, ended)] = room.ended
    assert at == pytest.approx(0.96 + 0.25, abs=0.04)
    assert ended.endpoint is not None
    assert ended.endpoint.wait_ms == pytest.approx(250, abs=20)
    assert (ended.endpoint.audio, ended.endpoint.ending, ended.endpoint.own_pause_ms) == (0.97, "complete", None)


def test_evidence_that_comes_when_the_silence_is_long_enough_already_ends_the_utterance_at_once() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.4, voice=False)
    room.judge(audio=0.97, ending="complete")

    [(at, _)] = room.ended
    assert at == pytest.approx(0.96 + 0.4, abs=0.001)


@pytest.mark.parametrize("is_silent_door", [True, False])
def test_open_words_wait_on_and_at_most_two_seconds(*, is_silent_door: bool) -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.judge(audio=0.02, ending="open")
    if is_silent_door:
        room.wait(4)
    else:
        room.hear(4, voice=False)

    [(at, _)] = room.ended
    assert at == pytest.approx(0.96 + 2.0, abs=0.04)


def test_who_goes_on_after_open_words_is_heard_in_the_same_utterance_and_teaches_how_long_pauses_are() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.judge(ending="open")
    room.hear(0.8, voice=False)
    room.hear(0.96, voice=True)
    room.hear(0.6, voice=False)

    [(_, ended)] = room.ended
    assert [type(thing) for thing in room.happened] == [Began, Paused, Resumed, Paused, Ended]
    assert ended.endpoint is not None
    assert ended.endpoint.own_pause_ms == pytest.approx(700, abs=20)


def test_a_pause_is_as_long_as_it_was_also_where_the_door_sends_nothing_in_it() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.judge(ending="open")
    room.wait(0.8)
    room.hear(0.96, voice=True)

    assert [type(thing) for thing in room.happened] == [Began, Paused, Resumed]
    assert room.state.own_pause_ms == pytest.approx(700, abs=20)


def test_who_goes_on_right_after_an_endpoint_had_only_paused_and_teaches_it_too() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.9, voice=False)
    room.hear(0.96, voice=True)
    room.hear(1.9, voice=False)
    room.hear(0.96, voice=True)

    first, second, third = (thing for thing in room.happened if isinstance(thing, Began))
    assert (first.reopens, second.reopens, third.reopens) == (False, True, False)
    assert room.state.own_pause_ms == pytest.approx(650, abs=20)


def test_the_audio_model_alone_makes_nobody_wait_longer() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.judge(audio=0.0)
    room.hear(2, voice=False)

    [(at, _)] = room.ended
    assert at == pytest.approx(0.96 + 0.5, abs=0.04)


def test_evidence_of_a_pause_that_is_over_is_no_evidence_of_the_next() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    before = room.state.running
    room.hear(0.96, voice=True)
    room.hear(0.3, voice=False)
    assert before is not None
    room.judge(audio=0.97, ending="complete", until=before.last_voiced + 3200)
    room.hear(2, voice=False)

    [(at, ended)] = room.ended
    assert at == pytest.approx(2.12 + 0.5, abs=0.05)
    assert ended.endpoint is not None
    assert (ended.endpoint.audio, ended.endpoint.ending) == (None, "")


def test_evidence_of_a_pause_is_forgotten_when_speech_goes_on() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.judge(ending="open")
    room.hear(0.96, voice=True)
    room.hear(2, voice=False)

    [(at, _)] = room.ended
    assert at == pytest.approx(2.12 + 0.5, abs=0.05)


def test_evidence_that_comes_while_speech_goes_on_ends_nothing() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.24, voice=False)
    pause = room.state.running
    room.hear(0.1, voice=True)
    assert pause is not None
    room.judge(audio=0.97, ending="complete", until=pause.last_voiced)
    room.hear(0.5, voice=True)

    assert room.ended == []


def test_a_click_in_the_pause_does_not_take_its_evidence_away() -> None:
    room = Room(SMART)

    room.hear(0.96, voice=True)
    room.hear(0.2, voice=False)
    room.judge(ending="open")
    room.hear(0.06, voice=True)
    room.hear(0.6, voice=False)

    assert room.ended == []


def test_evidence_just_before_the_endpoint_counts_and_just_after_it_does_not() -> None:
    before, after = Room(SMART), Room(SMART)
    for room in (before, after):
        room.hear(0.96, voice=True)
        room.hear(0.2, voice=False)
    deadline = due(before.state, SMART)
    assert deadline is not None

    for room, first in ((before, "evidence"), (after, "time")):
        room.now = deadline
        if first == "evidence":
            room.judge(ending="open")
        room.send(TimePassed())
        room.judge(ending="open")
        room.wait(5)

    assert [at for at, _ in after.ended] == [pytest.approx(deadline, abs=0.001)]
    assert [at for at, _ in before.ended] == [pytest.approx(0.96 + 1.54, abs=0.1)]


def test_speech_that_goes_on_in_the_very_moment_of_the_endpoint_is_taken_by_what_comes_first() -> None:
    frame_first, time_first = Room(SMART), Room(SMART)
    for room in (frame_first, time_first):
        room.hear(0.96, voice=True)
        room.hear(0.16, voice=False)
        room.judge(audio=0.97, ending="complete")
        room.now = due(room.state, SMART) or 0.0

    frame_first.hear(0.2, voice=True)
    time_first.send(TimePassed())
    time_first.hear(0.2, voice=True)

    assert [type(thing) for thing in frame_first.happened] == [Began, Paused, Resumed]
    assert [type(thing) for thing in time_first.happened] == [Began, Paused, Ended, Began]


def test_evidence_after_the_end_changes_nothing() -> None:
    room = Room(SMART)
    room.hear(0.96, voice=True)
    room.hear(1, voice=False)
    state = room.state

    room.judge(audio=0.97, ending="open", until=100_000)

    assert room.state == state


def test_a_cut_in_a_pause_keeps_what_is_known_of_it() -> None:
    room = Room(SMART)

    room.hear(8.5, voice=True)
    room.hear(0.2, voice=False)
    room.judge(ending="open")
    room.hear(3, voice=False)

    cut, end = (ended for _, ended in room.ended)
    assert (cut.reason, cut.endpoint) == ("max_length", None)
    assert end.endpoint is not None
    assert end.endpoint.wait_ms == pytest.approx(1540, abs=100)


PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("voice"), st.floats(0.02, 4)),
        st.tuples(st.just("silence"), st.floats(0.02, 2)),
        st.tuples(st.just("wait"), st.floats(0.0, 2)),
        st.tuples(st.just("close"), st.just(0.0)),
        st.tuples(st.sampled_from(["complete", "open", "unclear"]), st.floats(0, 1)),
    ),
    max_size=25,
)


def listen(pieces: list[tuple[str, float]]) -> Room:
    room = Room(msgspec.structs.replace(SMART, max_utterance_s=3))
    for kind, duration_s in pieces:
        if kind == "wait":
            room.wait(duration_s)
        elif kind == "close":
            room.send(DoorClosed())
        elif kind in get_args(Ending):
            room.judge(audio=duration_s, ending=cast("Ending", kind))
        else:
            room.hear(duration_s, voice=kind == "voice")
    room.send(DoorClosed())
    return room


@settings(max_examples=60)
@given(PIECES)
def test_every_utterance_ends_exactly_once_before_the_next_begins(pieces: list[tuple[str, float]]) -> None:
    room = listen(pieces)

    kinds = [type(thing) for thing in room.happened if not isinstance(thing, Paused | Resumed)]
    assert kinds == [Began, Ended] * (len(kinds) // 2)


@settings(max_examples=60)
@given(PIECES)
def test_frames_of_utterances_are_in_order_and_never_shared(pieces: list[tuple[str, float]]) -> None:
    room = listen(pieces)

    edges: list[int] = []
    for thing in room.happened:
        match thing:
            case Began(first_frame):
                edges.append(first_frame)
            case Ended(last_seq):
                edges.append(edges[-1] + last_seq)
    voiced = list(zip(edges[::2], edges[1::2], strict=True))
    assert all(first <= last + 1 for first, last in voiced)
    assert [first for first, _ in voiced] == sorted(first for first, _ in voiced)


@settings(max_examples=60)
@given(PIECES)
def test_only_a_cut_is_continued_and_every_cut_is(pieces: list[tuple[str, float]]) -> None:
    room = listen(pieces)

    edges = [thing for thing in room.happened if not isinstance(thing, Paused | Resumed)]
    for thing, following in itertools.pairwise(edges):
        match thing, following:
            case Ended(reason=reason), Began(continues=continues):
                assert (reason == "max_length") is continues


@settings(max_examples=60)
@given(PIECES)
def test_no_utterance_is_longer_than_allowed(pieces: list[tuple[str, float]]) -> None:
    room = listen(pieces)

    assert all(thing.last_seq < 3 * 50 + 50 for thing in room.happened if isinstance(thing, Ended))
