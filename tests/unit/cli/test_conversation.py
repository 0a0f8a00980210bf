"""The door's events become turns."""

import pytest

from parley_cli.conversation import Conversation, Playhead
from parley_contract.door import Canned, Cut, Delta, Mark, Phrase, SpeechStarted, Transcript
from parley_contract.door import Turn as TurnOver
from parley_contract.frames import FRAME_BYTES, faded
from parley_contract.messages import TurnReport

ONE, TWO = b"\1" * FRAME_BYTES, b"\2" * FRAME_BYTES


def report(turn: int) -> TurnReport:
    return TurnReport(
        session="0" * 12, epoch=1, turn=turn, speaker="you", outcome="answered", started_at=0, speech_ms=900
    )


def transcript(turn: int, utterance: str, text: str) -> Transcript:
    return Transcript(turn=turn, utterance=utterance, outcome="speech", text=text)


def begin(turn: int, phrase: int, at_ms: int) -> Mark:
    return Mark(turn=turn, phrase=phrase, edge="begin", at_ms=at_ms)


def test_a_turn_is_open_until_it_is_reported() -> None:
    conversation = Conversation()

    conversation.take(SpeechStarted(turn=1, utterance="1-0"))
    was_open = conversation.is_open
    conversation.take(TurnOver(report=report(1)))

    assert (was_open, conversation.is_open) == (True, False)
    assert conversation.turns[1].report == report(1)


def test_utterances_of_a_turn_make_one_transcript_and_silence_adds_nothing() -> None:
    conversation = Conversation()

    conversation.take(transcript(1, "1-0", " Good morning. "))
    conversation.take(Transcript(turn=1, utterance="1-1", outcome="silence", text="you"))
    conversation.take(transcript(1, "1-2", "How are you?"))

    assert conversation.turns[1].transcript == "Good morning. How are you?"


def test_the_reply_is_the_phrases_whose_sound_came() -> None:
    conversation = Conversation()
    conversation.take(Delta(turn=1, index=0, text="One. Two. Three."))
    for number, text in enumerate(("One.", "Two.", "Three.")):
        conversation.take(Phrase(turn=1, phrase=number, text=text))

    conversation.take(begin(1, 0, 0))
    conversation.take(begin(1, 1, 20))

    assert conversation.turns[1].reply == "One. Two."


def test_sound_belongs_to_the_turn_whose_phrase_began() -> None:
    conversation = Conversation()

    conversation.take(begin(1, 0, 0))
    conversation.hear(ONE)
    conversation.take(begin(2, 0, 20))
    conversation.hear(TWO)

    assert conversation.turns[1].sound == ONE
    assert conversation.turns[2].sound == TWO


def test_a_reply_that_is_cut_dies_away_in_a_frame_and_what_follows_is_no_part_of_it() -> None:
    conversation = Conversation()
    conversation.take(begin(1, 0, 0))
    for _ in range(5):
        conversation.hear(ONE)

    conversation.take(Cut(turn=1, at_ms=40, next_ms=120))

    assert conversation.turns[1].sound == 2 * ONE + faded(ONE)
    assert conversation.received_ms == 120


def test_a_reply_that_gave_way_goes_on_behind_where_it_died_away() -> None:
    conversation = Conversation()
    conversation.take(begin(1, 0, 0))
    for _ in range(5):
        conversation.hear(ONE)
    conversation.take(Cut(turn=1, at_ms=40, next_ms=100))

    for _ in range(2):
        conversation.hear(TWO)
    conversation.take(Cut(turn=1, at_ms=120, next_ms=140))

    assert conversation.turns[1].sound == 2 * ONE + faded(ONE) + TWO + faded(TWO)


def test_a_cut_of_what_was_all_played_adds_nothing() -> None:
    conversation = Conversation()
    conversation.take(begin(1, 0, 0))
    conversation.hear(ONE)

    conversation.take(Cut(turn=1, at_ms=20, next_ms=20))

    assert conversation.turns[1].sound == ONE


def test_sound_that_nobody_announced_belongs_to_nobody() -> None:
    conversation = Conversation()

    conversation.hear(ONE)

    assert conversation.turns == {}
    assert conversation.received_ms == 20


def test_turns_remember_what_was_spoken_when_they_began() -> None:
    conversation = Conversation()
    conversation.source = "a.wav"
    conversation.take(SpeechStarted(turn=1, utterance="1-0"))
    conversation.source = "b.wav"
    conversation.take(transcript(1, "1-0", "late"))
    conversation.take(SpeechStarted(turn=2, utterance="1-0"))

    assert {number: turn.source for number, turn in conversation.turns.items()} == {1: "a.wav", 2: "b.wav"}


def test_sound_is_played_as_time_passes() -> None:
    playhead = Playhead()
    for _ in range(5):
        playhead.arrived(ONE, now=10.0)

    positions_ms = [playhead.position_ms(now) for now in (10.0, 10.05, 10.1, 99.0)]

    assert positions_ms == pytest.approx([0, 50, 100, 100], abs=1e-6)


def test_a_frame_after_a_gap_is_played_when_it_comes() -> None:
    playhead = Playhead()
    playhead.arrived(ONE, now=10.0)
    playhead.arrived(ONE, now=20.0)

    assert playhead.position_ms(20.0) == pytest.approx(20)
    assert playhead.position_ms(20.02) == pytest.approx(40)


def test_after_a_cut_the_next_frame_counts_from_where_the_door_says() -> None:
    playhead = Playhead()
    for _ in range(5):
        playhead.arrived(ONE, now=10.0)

    playhead.cut(140, now=10.04)
    playhead.arrived(ONE, now=11.0)

    assert playhead.position_ms(10.5) <= 160
    assert playhead.position_ms(11.02) == pytest.approx(160)


def test_what_the_gateway_says_itself_is_in_no_reply() -> None:
    conversation = Conversation()

    conversation.take(begin(1, 0, 0))
    conversation.hear(ONE)
    conversation.take(Canned(turn=2, kind="hold", text="One moment.", at_ms=20))
    conversation.hear(TWO)
    conversation.take(begin(2, 0, 40))
    conversation.hear(ONE)

    assert conversation.turns[1].sound == ONE
    assert conversation.turns[2].sound == ONE
    assert conversation.received_ms == 60
