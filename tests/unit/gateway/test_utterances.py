"""Utterances on virtual time: endpoints on two clocks, cuts, pre-roll, and what holds under any input."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_gateway.segments import WINDOW_SAMPLES, SegmentRules, SpeechWindow
from parley_gateway.utterances import (
    Began,
    DoorClosed,
    Ended,
    Event,
    FrameHeard,
    Happening,
    Hearing,
    Paused,
    Resumed,
    TimePassed,
    UtteranceRules,
    due,
    step,
)

RULES = UtteranceRules(
    segments=SegmentRules(min_speech_ms=128, hangover_ms=100),
    endpoint_ms=500,
    pre_roll_ms=300,
    max_utterance_s=10,
    stall_ms=800,
)
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


PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("voice"), st.floats(0.02, 4)),
        st.tuples(st.just("silence"), st.floats(0.02, 2)),
        st.tuples(st.just("wait"), st.floats(0.0, 2)),
        st.tuples(st.just("close"), st.just(0.0)),
    ),
    max_size=25,
)


def listen(pieces: list[tuple[str, float]]) -> Room:
    room = Room(msgspec.structs.replace(RULES, max_utterance_s=3))
    for kind, duration_s in pieces:
        if kind == "wait":
            room.wait(duration_s)
        elif kind == "close":
            room.send(DoorClosed())
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
