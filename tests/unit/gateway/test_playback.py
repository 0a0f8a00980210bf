"""Playback on virtual time: order, pacing, attempts, fences, positions, and what an interrupt leaves."""

import random
import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley_contract.frames import Flag, Frame
from parley_gateway.cues import (
    Action,
    Cue,
    Cut,
    FrameArrived,
    Pause,
    PhraseAnnounced,
    PhraseBegan,
    PhraseLost,
    PhraseOver,
    PlaybackRules,
    PositionReported,
    RanDry,
    ReplyComplete,
    ReplyOver,
    Resume,
    Send,
    Sounded,
    Stop,
    TimePassed,
)
from parley_gateway.playback import step
from parley_gateway.playback_state import Playback, due

RULES = PlaybackRules(ahead_ms=100, stall_s=6)


def pcm(mark: int, sequence: int) -> bytes:
    """A loud frame that can be told from all others."""
    return struct.pack("<2h", 1000 + mark, 1000 + sequence) + bytes(636)


def frames(  # a test's builder: each word is a header field
    count: int, *, turn: int = 1, phrase: int = 0, revision: int = 0, attempt: int = 1, mark: int | None = None
) -> list[FrameArrived]:
    """A whole phrase with its end; `mark` names its sound, by default the phrase's number."""
    made = [
        FrameArrived(
            turn,
            phrase,
            Frame(
                sequence=n,
                media_samples=n * 320,
                pcm=pcm(phrase if mark is None else mark, n),
                revision=revision,
                attempt=attempt,
            ),
        )
        for n in range(count)
    ]
    end = Frame(sequence=count, media_samples=count * 320, pcm=b"", revision=revision, attempt=attempt, flags=Flag.END)
    return [*made, FrameArrived(turn, phrase, end)]


class Listener:
    """Drives the reducer as `sessions` does: cues as they come, TimePassed whenever it is due."""

    def __init__(self, rules: PlaybackRules = RULES) -> None:
        self.rules = rules
        self.now = 100.0
        self.state = Playback()
        self.log: list[tuple[float, Action]] = []

    def send(self, *cues: Cue) -> None:
        for cue in cues:
            self.state, actions = step(self.state, cue, self.now, self.rules)
            self.log += [(round(self.now - 100, 3), action) for action in actions]

    def wait(self, duration_s: float) -> None:
        until = self.now + duration_s
        while (deadline := due(self.state, self.rules)) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.send(TimePassed())
        self.now = until

    def of(self, *kinds: type[Action]) -> list[tuple[float, Action]]:
        return [(at, action) for at, action in self.log if isinstance(action, kinds)]

    @property
    def heard(self) -> list[tuple[int, int]]:
        """Every frame sent, as (mark, sequence)."""
        sent = [struct.unpack_from("<2h", action.pcm) for _, action in self.log if isinstance(action, Send)]
        return [(mark - 1000, sequence - 1000) for mark, sequence in sent]


def test_phrases_are_played_in_order_whatever_order_they_come_in() -> None:
    listener = Listener()

    listener.send(*frames(3, phrase=1), *frames(2, phrase=0), ReplyComplete(1, 0, 2))
    listener.wait(1)

    assert listener.heard == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]


def test_frames_of_a_phrase_are_played_by_sequence() -> None:
    listener = Listener()
    first, *others = frames(5)
    random.Random(7).shuffle(others)

    listener.send(first, *others)
    listener.wait(1)

    assert listener.heard == [(0, n) for n in range(5)]


def test_never_more_than_100_ms_are_under_way() -> None:
    listener = Listener()

    listener.send(*frames(100))
    listener.wait(3)

    sent_at = [at for at, _ in listener.of(Send)]
    assert sent_at[:5] == [0.0] * 5
    assert sent_at[5:] == pytest.approx([(n - 4) * 0.02 for n in range(5, 100)])


def test_a_reply_is_over_when_its_last_frame_was_heard_not_when_it_was_sent() -> None:
    listener = Listener()

    listener.send(*frames(50), ReplyComplete(1, 0, 1))
    listener.wait(3)

    assert listener.log[-2:] == [
        (1.0, PhraseOver(1, 0, 0, played_ms=1000, whole=True, at_ms=1000)),
        (1.0, ReplyOver(1, 1000, is_complete=True)),
    ]


def test_a_phrase_is_announced_with_its_place_in_the_stream() -> None:
    listener = Listener()

    listener.send(*frames(10), *frames(10, phrase=1))
    listener.wait(3)

    assert listener.of(PhraseBegan) == [(0.0, PhraseBegan(1, 0, 0, 0)), (0.12, PhraseBegan(1, 0, 1, 200))]


def test_the_first_audible_sample_has_its_own_time() -> None:
    listener = Listener()
    quiet = Frame(sequence=0, media_samples=0, pcm=bytes(640), attempt=1)
    late = Frame(sequence=1, media_samples=320, pcm=bytes(320) + struct.pack("<160h", *[900] * 160), attempt=1)

    listener.send(FrameArrived(1, 0, quiet), FrameArrived(1, 0, late))
    listener.wait(1)

    assert [action.at for _, action in listener.log if isinstance(action, Sounded)] == [pytest.approx(100.03)]


def test_a_reply_that_runs_dry_is_counted_once_and_goes_on() -> None:
    listener = Listener()
    first, *rest = frames(20)

    listener.send(first)
    listener.wait(1)
    listener.send(*rest, ReplyComplete(1, 0, 1))
    listener.wait(3)

    assert len(listener.of(RanDry)) == 1
    assert listener.heard == [(0, n) for n in range(20)]
    assert listener.log[-1] == (1.38, ReplyOver(1, 400, is_complete=True))


def test_the_newest_attempt_replaces_one_that_was_not_heard() -> None:
    listener = Listener()

    listener.send(*frames(5))
    listener.send(*frames(3, phrase=1, mark=7)[:2], *frames(4, phrase=1, attempt=2, mark=8))
    listener.wait(1)

    assert listener.heard[5:] == [(8, 0), (8, 1), (8, 2), (8, 3)]


def test_a_redelivered_phrase_that_was_partly_heard_goes_on_with_the_next() -> None:
    listener = Listener()

    listener.send(*frames(10)[:4])
    listener.wait(0.05)
    listener.send(*frames(10, attempt=2, mark=9), *frames(2, phrase=1), ReplyComplete(1, 0, 2))
    listener.wait(1)

    assert listener.heard == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    assert [(a.phrase, a.whole) for _, a in listener.log if isinstance(a, PhraseOver)] == [(0, False), (1, True)]


def test_an_older_attempt_is_not_heard_after_a_newer_one() -> None:
    listener = Listener()

    listener.send(*frames(3, attempt=2, mark=8), *frames(9, attempt=1, mark=7))
    listener.wait(1)

    assert listener.heard == [(8, 0), (8, 1), (8, 2)]


def test_a_zombie_that_still_speaks_is_listened_to_to_the_end() -> None:
    listener = Listener()
    first, second, *rest = frames(6)

    listener.send(first, second, *frames(6, attempt=2, mark=9), *rest)
    listener.wait(1)

    assert listener.heard == [(0, n) for n in range(6)]


def test_a_failed_phrase_is_skipped() -> None:
    listener = Listener()

    listener.send(PhraseLost(1, 0, 0), *frames(2, phrase=1), ReplyComplete(1, 0, 2))
    listener.wait(1)

    assert listener.heard == [(1, 0), (1, 1)]
    assert PhraseOver(1, 0, 0, played_ms=0, whole=False, at_ms=0) in [action for _, action in listener.log]


def test_a_short_loss_is_bridged_by_silence() -> None:
    listener = Listener()
    made = frames(10)

    listener.send(*made[:6], *made[8:])
    listener.wait(1)

    assert listener.heard == [(0, n) for n in range(6)] + [(-1000, -1000)] * 2 + [(0, 8), (0, 9)]


def test_a_long_loss_ends_the_phrase() -> None:
    listener = Listener()
    made = frames(40)

    listener.send(*made[:6], *made[30:], *frames(1, phrase=1))
    listener.wait(1)

    assert listener.heard == [*((0, n) for n in range(6)), (1, 0)]


def test_a_phrase_whose_last_frames_were_lost_ends_without_waiting() -> None:
    listener = Listener()
    made = frames(6)

    listener.send(*made[:4], made[-1], *frames(1, phrase=1))
    listener.wait(1)

    assert listener.heard == [*((0, n) for n in range(4)), (1, 0)]


def test_an_announced_phrase_that_never_comes_is_given_up() -> None:
    listener = Listener()

    listener.send(PhraseAnnounced(1, 0, 0), *frames(1, phrase=1), ReplyComplete(1, 0, 2))
    listener.wait(10)

    assert [(at, a.phrase, a.whole) for at, a in listener.log if isinstance(a, PhraseOver)] == [
        (6.0, 0, False),
        (6.02, 1, True),
    ]


def test_nothing_is_waited_for_that_was_not_announced() -> None:
    listener = Listener()

    listener.send(*frames(2))
    listener.wait(60)

    assert due(listener.state, RULES) is None
    assert listener.of(ReplyOver) == []


def test_after_a_stop_nothing_of_the_turn_is_played() -> None:
    listener = Listener()

    listener.send(*frames(50))
    listener.wait(0.2)
    listener.send(Stop(1))
    played = len(listener.heard)
    listener.send(*frames(50, phrase=1), *frames(50, revision=1), ReplyComplete(1, 1, 2))
    listener.wait(5)

    assert len(listener.heard) == played


def test_a_stop_tells_how_much_was_heard() -> None:
    listener = Listener()

    listener.send(*frames(10), *frames(50, phrase=1))
    listener.wait(0.5)
    listener.send(Stop(1))

    assert [action for _, action in listener.log[-3:]] == [
        Cut(1, at_ms=500, next_ms=600),
        PhraseOver(1, 0, 1, played_ms=300, whole=False, at_ms=500),
        ReplyOver(1, 500, is_complete=False, phrase=1, phrase_played_ms=300, phrase_ms=1000),
    ]


def test_a_stop_between_phrases_names_the_phrase_heard_last() -> None:
    listener = Listener()

    listener.send(*frames(10))
    listener.wait(0.5)
    listener.send(Stop(1))

    assert listener.log[-1] == (
        0.5,
        ReplyOver(1, 200, is_complete=False, phrase=0, phrase_played_ms=200, phrase_ms=200),
    )


def test_a_stop_tells_no_length_of_a_phrase_that_is_not_all_here() -> None:
    listener = Listener()

    listener.send(*frames(50)[:20])
    listener.wait(0.3)
    listener.send(Stop(1))

    [(_, over)] = listener.of(ReplyOver)
    assert isinstance(over, ReplyOver)
    assert (over.phrase_played_ms, over.phrase_ms) == (300, 0)


def test_a_phrase_of_an_old_revision_is_never_played() -> None:
    listener = Listener()

    listener.send(*frames(50))
    listener.wait(0.2)
    listener.send(PhraseAnnounced(1, 1, 0), *frames(50, phrase=1), *frames(3, revision=1, mark=8))
    listener.wait(2)

    assert listener.heard[-3:] == [(8, 0), (8, 1), (8, 2)]
    assert len(listener.heard) == 15 + 3
    assert listener.of(Cut) == [(0.2, Cut(1, at_ms=200, next_ms=300))]


def test_a_newer_turn_ends_the_reply_of_the_older() -> None:
    listener = Listener()

    listener.send(*frames(50))
    listener.wait(0.2)
    listener.send(*frames(2, turn=2, mark=8), *frames(9, phrase=1))
    listener.wait(2)

    assert [(a.turn, a.is_complete) for _, a in listener.log if isinstance(a, ReplyOver)] == [(1, False)]
    assert listener.heard[-2:] == [(8, 0), (8, 1)]


def test_a_pause_takes_back_what_was_not_heard_and_goes_on_from_there() -> None:
    listener = Listener()

    listener.send(*frames(10), *frames(20, phrase=1), ReplyComplete(1, 0, 2))
    listener.wait(0.15)
    listener.send(Pause())
    listener.wait(3)
    paused = len(listener.heard)
    listener.send(Resume())
    listener.wait(3)

    assert listener.of(Cut) == [(0.15, Cut(1, at_ms=140, next_ms=240))]
    assert listener.heard[paused:] == [(0, 7), (0, 8), (0, 9), *((1, n) for n in range(20))]
    assert listener.of(RanDry) == []
    assert listener.log[-1] == (3.15 + 0.46, ReplyOver(1, 600, is_complete=True))


def test_a_new_connection_counts_from_zero() -> None:
    listener = Listener()

    listener.send(*frames(10))
    listener.wait(0.1)
    listener.send(Pause(), Resume(is_new_stream=True), *frames(2, phrase=1))
    listener.wait(1)

    assert listener.of(PhraseBegan)[-1][1] == PhraseBegan(1, 0, 1, 100)


def test_a_listener_that_is_behind_has_heard_less() -> None:
    listener = Listener()

    listener.send(*frames(100))
    listener.wait(0.5)
    listener.send(PositionReported(350))
    listener.wait(0.2)
    listener.send(Stop(1))

    assert [action.played_ms for _, action in listener.log if isinstance(action, ReplyOver)] == [540]


def test_a_reply_without_phrases_is_over_at_once() -> None:
    listener = Listener()

    listener.send(ReplyComplete(1, 0, 0))

    assert listener.log == [(0.0, ReplyOver(1, 0, is_complete=True))]


CUES = st.lists(
    st.tuples(
        st.one_of(
            st.builds(
                lambda turn, phrase, sequence, revision, attempt: FrameArrived(
                    turn,
                    phrase,
                    Frame(
                        sequence=sequence,
                        media_samples=0,
                        pcm=b"" if sequence == 6 else pcm(100 * turn + 10 * phrase + revision, sequence),
                        flags=Flag.END if sequence == 6 else Flag.NONE,
                        revision=revision,
                        attempt=attempt,
                    ),
                ),
                st.integers(1, 3),
                st.integers(0, 2),
                st.integers(0, 6),
                st.integers(0, 1),
                st.integers(1, 2),
            ),
            st.builds(PhraseAnnounced, st.integers(1, 3), st.integers(0, 1), st.integers(0, 2)),
            st.builds(PhraseLost, st.integers(1, 3), st.integers(0, 1), st.integers(0, 2)),
            st.builds(ReplyComplete, st.integers(1, 3), st.integers(0, 1), st.integers(0, 3)),
            st.builds(Stop, st.integers(1, 3)),
            st.just(Pause()),
            st.builds(Resume, st.booleans()),
            st.builds(PositionReported, st.floats(0, 500)),
        ),
        st.floats(0, 0.2),
    ),
    max_size=60,
)


def play(cues: list[tuple[Cue, float]]) -> Listener:
    listener = Listener(msgspec.structs.replace(RULES, stall_s=0.5))
    for cue, pause_s in cues:
        listener.send(cue)
        listener.wait(pause_s)
    listener.wait(5)
    return listener


@settings(max_examples=150)
@given(CUES)
def test_under_any_input_nothing_of_a_stopped_turn_is_heard(cues: list[tuple[Cue, float]]) -> None:
    listener = Listener(msgspec.structs.replace(RULES, stall_s=0.5))
    over: set[int] = set()
    for cue, pause_s in cues:
        listener.send(cue)
        over |= {cue.turn} if isinstance(cue, Stop) else set()
        before = len(listener.heard)
        listener.wait(pause_s)

        assert all(mark < 0 or mark // 100 not in over for mark, _ in listener.heard[before:])


@settings(max_examples=150)
@given(CUES)
def test_under_any_input_a_turns_reply_is_over_at_most_once_and_no_turn_comes_back(
    cues: list[tuple[Cue, float]],
) -> None:
    listener = play(cues)

    over = [action.turn for _, action in listener.log if isinstance(action, ReplyOver)]
    marks = [(mark // 100, mark % 10) for mark, _ in listener.heard if mark >= 0]
    assert len(over) == len(set(over))
    order = list(dict.fromkeys(turn for turn, _ in marks))
    assert marks == sorted(marks, key=lambda mark: (order.index(mark[0]), mark[1]))


@settings(max_examples=150)
@given(CUES)
def test_under_any_input_at_most_100_ms_are_under_way(cues: list[tuple[Cue, float]]) -> None:
    listener = play([(cue, pause_s) for cue, pause_s in cues if not isinstance(cue, Pause | Resume | Stop)])

    sent_at = [at for at, _ in listener.of(Send)]
    assert all(later - earlier > 0.019 for earlier, later in zip(sent_at, sent_at[5:], strict=False))


@settings(max_examples=150)
@given(CUES)
def test_under_any_input_time_does_not_stand_still(cues: list[tuple[Cue, float]]) -> None:
    listener = play(cues)

    deadline = due(listener.state, listener.rules)
    assert deadline is None or deadline > listener.now
