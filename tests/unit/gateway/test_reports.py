"""Reports: stages that add up, whatever was missing or overtook something else."""

import pytest

from parley_gateway.reports import Guessed, Identity, Moments, Played, Verdict, report

WHOSE = Identity(session="0123456789ab", epoch=1, turn=3, revision=0, speaker="user")
WHOLE = Moments(
    began_at=100.0,
    voiced_until=102.0,
    decided_at=102.5,
    transcribed_at=102.6,
    first_token_at=102.66,
    first_phrase_at=102.7,
    first_frame_at=102.8,
    played_from=102.8,
    sounded_at=102.85,
)


def test_a_whole_turn_is_accounted_for() -> None:
    made = report(
        WHOSE, WHOLE, Played(played_ms=1200, phrases=2), Guessed(), Verdict("answered", ""), unix_offset_s=1_000_000
    )

    assert made.started_at == 1_000_100
    assert made.speech_ms == 2000
    assert made.e2ft_ms == 660
    assert made.e2fa_ms == 850
    assert made.stages.endpoint_ms == 500
    assert made.stages.asr_ms == 100
    assert made.stages.llm_ttft_ms == 60
    assert made.stages.first_phrase_ms == 40
    assert made.stages.tts_first_audio_ms == 100
    assert made.stages.playback_wait_ms == 50


def test_the_first_three_stages_are_e2ft_and_all_are_e2fa_also_when_messages_overtake_each_other() -> None:
    late = Moments(
        began_at=100.0,
        voiced_until=102.0,
        decided_at=102.5,
        transcribed_at=102.68,
        first_token_at=102.66,
        first_phrase_at=102.9,
        first_frame_at=102.8,
        sounded_at=102.85,
    )

    made = report(WHOSE, late, Played(), Guessed(), Verdict("answered", ""), unix_offset_s=0)

    stages = made.stages
    first_three = (stages.endpoint_ms or 0) + (stages.asr_ms or 0) + (stages.llm_ttft_ms or 0)
    rest = (stages.first_phrase_ms or 0) + (stages.tts_first_audio_ms or 0) + (stages.playback_wait_ms or 0)
    assert first_three == pytest.approx(made.e2ft_ms)
    assert first_three + rest == pytest.approx(made.e2fa_ms)
    assert stages.llm_ttft_ms == 0


def test_a_transcript_that_was_there_before_the_decision_cost_nothing() -> None:
    early = Moments(began_at=100.0, voiced_until=102.0, decided_at=102.5, transcribed_at=102.2, first_token_at=102.6)

    made = report(WHOSE, early, Played(), Guessed(), Verdict("answered", ""), unix_offset_s=0)

    assert (made.stages.endpoint_ms, made.stages.asr_ms, made.stages.llm_ttft_ms) == (500, 0, 100)


def test_what_never_happened_has_no_figure() -> None:
    made = report(
        WHOSE,
        Moments(began_at=100.0, voiced_until=101.0, decided_at=101.5),
        Played(),
        Guessed(),
        Verdict("empty", "silence"),
        unix_offset_s=0,
    )

    assert (made.e2ft_ms, made.e2fa_ms, made.stages.asr_ms) == (None, None, None)
    assert made.stages.endpoint_ms == 500
