"""The record that `demo --json` writes."""

import os
from pathlib import Path

import msgspec
import pytest

from parley_cli.conversation import Conversation, Turn
from parley_cli.demo_command import all_answered
from parley_cli.reports import demo_record, percentile, turn_record, unheard_record
from parley_contract.door import Mark, Phrase, Transcript
from parley_contract.door import Turn as TurnOver
from parley_contract.messages import Stages, TurnReport


def answered() -> Turn:
    conversation = Conversation()
    conversation.take(Transcript(turn=1, utterance="1-0", outcome="speech", text="What do bees make?"))
    conversation.take(Phrase(turn=1, phrase=0, text="Bees make honey."))
    conversation.take(Mark(turn=1, phrase=0, edge="begin", at_ms=0))
    stages = Stages(
        endpoint_ms=500.04, asr_ms=90, llm_ttft_ms=60, first_phrase_ms=70, tts_first_audio_ms=80, playback_wait_ms=1
    )
    report = TurnReport(
        session="0" * 12,
        epoch=1,
        turn=1,
        speaker="you",
        outcome="answered",
        started_at=0,
        speech_ms=900,
        stages=stages,
        e2ft_ms=650.04,
        e2fa_ms=801,
    )
    conversation.take(TurnOver(report=report))
    return conversation.turns[1]


def test_a_turn_is_written_in_the_shape_that_scripts_read() -> None:
    record = turn_record(answered(), wav="bees.wav", expected=None, reply_wav=Path("out/bees.reply.wav"))

    assert msgspec.to_builtins(record) == {
        "wav": "bees.wav",
        "expected": None,
        "transcript": "What do bees make?",
        "reply": "Bees make honey.",
        "reply_wav": "out/bees.reply.wav",
        "e2ft_ms": 650.0,
        "e2fa_ms": 801,
        "stages": {
            "endpoint_ms": 500.0,
            "asr_ms": 90,
            "llm_ttft_ms": 60,
            "first_phrase_ms": 70,
            "tts_first_audio_ms": 80,
        },
    }


def test_the_summary_counts_answers_and_takes_percentiles_of_what_was_measured() -> None:
    turn = turn_record(answered(), wav="bees.wav", expected=None, reply_wav=Path("out/bees.reply.wav"))
    silent = unheard_record(wav="silence.wav", expected=None)

    summary = demo_record([turn, silent], Path("out")).summary

    assert msgspec.to_builtins(summary) == {
        "turns": 2,
        "answered": 1,
        "e2ft_p50_ms": 650.0,
        "e2ft_p95_ms": 650.0,
        "e2fa_p50_ms": 801,
        "e2fa_p95_ms": 801,
        "replies": "out",
    }


def test_a_file_is_answered_if_one_of_its_turns_is() -> None:
    turn = turn_record(answered(), wav="bees.wav", expected=None, reply_wav=Path("out/bees.reply.wav"))
    cut_off = turn_record(answered(), wav="bees.wav", expected=None, reply_wav=None)
    other = unheard_record(wav="silence.wav", expected=None)

    assert all_answered(demo_record([cut_off, turn], Path("out")))
    assert not all_answered(demo_record([turn, other], Path("out")))


@pytest.mark.parametrize(
    "values,share,expected",
    [
        ([], 0.5, None),
        ([None, None], 0.95, None),
        ([7.0], 0.95, 7.0),
        ([3.0, 1.0, None, 2.0], 0.5, 2.0),
        ([float(value) for value in range(1, 31)], 0.5, 15.0),
        ([float(value) for value in range(1, 31)], 0.95, 29.0),
    ],
)
def test_percentiles_are_values_that_were_measured(
    values: list[float | None], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected


def test_a_file_whose_name_is_no_text_has_a_place_in_the_record() -> None:
    name = os.fsdecode(b"caf\xe9.wav")

    record = turn_record(answered(), wav=name, expected=None, reply_wav=Path(name))

    written = msgspec.json.decode(msgspec.json.encode(record))
    assert (written["wav"], written["reply_wav"]) == (r"caf\xe9.wav", r"caf\xe9.wav")
