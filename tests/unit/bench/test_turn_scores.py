"""What is made of what a caller observed: latency, false cut-offs, replies taken back, late endpoints, waste."""

import _scores
import _turn_figures
import msgspec
import pytest
from _scores import Delta, Evidence, Observed, Sound, TurnScore

from parley_contract.messages import Stages, TurnReport
from parley_contract.messages.gateway import Endpoint

ENDED_AT = 1000.0
REPORT = TurnReport(
    session="s",
    epoch=1,
    turn=1,
    revision=0,
    speaker="web",
    outcome="answered",
    started_at=ENDED_AT - 2.0,
    speech_ms=2000.0,
    stages=Stages(endpoint_ms=300.0, asr_ms=50.0, llm_ttft_ms=50.0),
    e2ft_ms=400.0,
)
PLAIN = Observed(
    dialogue="paris",
    kind="pause",
    voice="joe",
    noisy=False,
    text="One two, three.",
    pauses_ms=((-1200.0, -500.0),),
    ended_at=ENDED_AT,
    deltas=(Delta(410.0, 1, 0), Delta(430.0, 1, 1)),
    sounds=(Sound(600.0, 1), Sound(2600.0, 1)),
    transcripts=("one two three",),
    reports=(REPORT,),
)
EARLY = (Delta(-600.0, 1, 0), Delta(-580.0, 1, 1))


def observed(**changes: object) -> Observed:
    return msgspec.structs.replace(PLAIN, **changes)


def report(**changes: object) -> TurnReport:
    return msgspec.structs.replace(REPORT, **changes)


def verdict(score: TurnScore) -> tuple[bool, bool, bool]:
    return score.is_cut_off, score.is_taken_back, score.was_interrupted_aloud


class TestLatency:
    def test_a_plain_turn_is_timed_from_the_annotated_end(self) -> None:
        score = _scores.judged(PLAIN)

        assert (score.e2ft_ms, score.e2fa_ms) == (410.0, 600.0)
        assert verdict(score) == (False, False, False)

    def test_a_turn_without_a_reply_has_no_times_and_no_answer(self) -> None:
        score = _scores.judged(observed(deltas=(), sounds=(), reports=(report(outcome="empty"),)))

        assert (score.e2ft_ms, score.e2fa_ms, score.decided_ms, score.is_answered) == (None, None, None, False)

    def test_sound_of_another_turn_is_not_the_replys(self) -> None:
        assert _scores.judged(observed(sounds=(Sound(100.0, 7), Sound(600.0, 1)))).e2fa_ms == 600.0

    def test_of_replies_that_began_after_the_end_the_one_that_stood_counts(self) -> None:
        deltas = (*PLAIN.deltas, Delta(900.0, 1, 0), Delta(920.0, 1, 1))

        assert _scores.judged(observed(deltas=deltas)).e2ft_ms == 900.0

    def test_a_later_turn_does_not_make_a_reply_late(self) -> None:
        assert _scores.judged(observed(deltas=(*PLAIN.deltas, Delta(5000.0, 2, 0)))).e2ft_ms == 410.0

    @pytest.mark.parametrize("e2ft_ms, late", [(1560.0, False), (1640.0, True)])
    def test_an_endpoint_is_late_by_when_it_was_decided_not_by_what_came_after(
        self, *, e2ft_ms: float, late: bool
    ) -> None:
        score = _scores.judged(observed(deltas=(Delta(e2ft_ms, 1, 0),)))

        assert score.decided_ms == e2ft_ms - 100.0
        assert score.is_late == late


class TestCutOffs:
    def test_a_token_inside_the_sentence_is_a_false_cutoff_and_the_turn_has_no_latency(self) -> None:
        next_turn = (Delta(300.0, 2, 0),)

        score = _scores.judged(observed(deltas=(*EARLY, *next_turn), reports=(report(), report(turn=2))))

        assert verdict(score) == (True, False, False)
        assert score.e2ft_ms is None

    def test_sound_inside_the_sentence_is_a_false_cutoff_too(self) -> None:
        assert _scores.judged(observed(sounds=(Sound(-100.0, 1),), deltas=())).is_cut_off

    def test_a_reply_that_began_anew_after_the_end_was_taken_back(self) -> None:
        score = _scores.judged(observed(deltas=(*EARLY, *PLAIN.deltas), reports=(report(taken_back=1),)))

        assert verdict(score) == (False, True, False)
        assert score.e2ft_ms == 410.0

    def test_what_was_heard_of_it_is_told(self) -> None:
        deltas, sounds = (*EARLY, *PLAIN.deltas), (Sound(-400.0, 1), *PLAIN.sounds)

        score = _scores.judged(observed(deltas=deltas, sounds=sounds, reports=(report(taken_back=1),)))

        assert verdict(score) == (False, True, True)
        assert score.e2fa_ms == 600.0

    def test_a_reply_taken_back_before_anything_of_it_came_is_counted_by_the_report(self) -> None:
        assert verdict(_scores.judged(observed(reports=(report(taken_back=1),)))) == (False, True, False)

    def test_taking_back_one_reply_does_not_excuse_the_next(self) -> None:
        second = (Delta(-100.0, 1, 0),)

        score = _scores.judged(observed(deltas=(*EARLY, *second), sounds=(), reports=(report(taken_back=1),)))

        assert verdict(score) == (True, False, False)

    def test_a_withdrawn_reply_that_got_none_in_its_place_is_no_cutoff(self) -> None:
        score = _scores.judged(observed(deltas=EARLY, sounds=(), reports=(report(taken_back=1, outcome="empty"),)))

        assert verdict(score) == (False, True, False)
        assert not score.is_answered


class TestSpeculation:
    def test_hits_are_a_share_of_the_turns_that_were_replied_to(self) -> None:
        reports = (
            report(speculation="hit", output_tokens=20),
            report(speculation="miss", output_tokens=20, wasted_tokens=10, unreleased_tokens=4),
            report(outcome="interrupted", output_tokens=20),
            report(outcome="empty", wasted_tokens=10, unreleased_tokens=10),
        )

        spoken = _scores.speculations([observed(reports=(each,)) for each in reports])

        assert spoken.hit_rate == pytest.approx(1 / 3)
        assert spoken.waste == pytest.approx(14 / 80)
        assert spoken.dropped == pytest.approx(20 / 80)

    def test_without_a_turn_there_is_no_rate(self) -> None:
        spoken = _scores.speculations([])

        assert (spoken.hit_rate, spoken.waste, spoken.dropped) == (None, None, None)


class TestPauses:
    def test_the_last_silence_is_the_end_and_carries_what_the_endpointer_knew(self) -> None:
        endpoint = Endpoint(wait_ms=300.0, audio=0.9, ending="complete", own_pause_ms=700.0)

        inner, last = _scores.pauses(observed(reports=(report(endpoint=endpoint),)))

        assert (inner.length_ms, inner.decided, inner.evidence) == (700.0, False, Evidence())
        assert (last.length_ms, last.decided, last.wait_ms, last.own_pause_ms) == (None, True, 300.0, 700.0)
        assert last.evidence == Evidence(audio=0.9, ending="complete")

    def test_a_decision_inside_the_line_belongs_to_its_pause(self) -> None:
        cut = report(started_at=ENDED_AT - 2.0, speech_ms=830.0, endpoint=Endpoint(wait_ms=300.0, audio=0.7))

        inner, last = _scores.pauses(observed(reports=(cut, report(turn=2))))

        assert (inner.decided, inner.evidence.audio) == (True, 0.7)
        assert (last.decided, last.evidence.audio) == (True, None)


class TestFigures:
    def test_they_bear_the_names_of_the_issue(self) -> None:
        figures = _turn_figures.figures([PLAIN])

        assert figures["turns_e2ft_p50_ms"] == figures["turns_e2ft_p95_ms"] == 410.0
        assert figures["turns_e2fa_p50_ms"] == 600.0
        assert [
            figures[name]
            for name in ("false_cutoff_rate", "taken_back_rate", "late_endpoint_rate", "speculation_hit_rate")
        ] == [0.0] * 4
        assert figures["speculation_waste"] is None
        assert figures["turns_wer"] == 0.0

    def test_rates_are_shares_of_all_lines(self) -> None:
        cut = observed(deltas=EARLY, sounds=())

        figures = _turn_figures.figures([PLAIN, PLAIN, PLAIN, cut])

        assert (figures["false_cutoff_rate"], figures["turns_answered"], figures["unanswered_rate"]) == (0.25, 3, 0.0)

    def test_every_kind_that_was_said_has_its_own(self) -> None:
        figures = _turn_figures.figures([PLAIN, observed(kind="question", noisy=True)])

        assert figures["turns_count_pause"] == figures["turns_count_question"] == figures["turns_count_noisy"] == 1
        assert "turns_count_number" not in figures

    def test_a_peers_have_its_name(self) -> None:
        figures = _turn_figures.of_person([_scores.judged(PLAIN)], "peer_pipecat_")

        assert figures["peer_pipecat_e2ft_p50_ms"] == 410.0
        assert figures["peer_pipecat_false_cutoff_rate"] == 0.0

    def test_ours_are_compared_with_a_peers_at_the_median(self) -> None:
        slow = _scores.judged(observed(deltas=(Delta(820.0, 1, 0),)))

        figures = _turn_figures.compared([_scores.judged(PLAIN)], [slow])

        assert figures == {"e2ft_share_of_pipecat": 0.5, "e2fa_share_of_pipecat": 1.0}

    def test_the_curve_has_a_point_for_every_delay(self) -> None:
        figures = _turn_figures.curve({300: [PLAIN], 700: [PLAIN, PLAIN]})

        assert (figures["curve_turns_count_300"], figures["curve_turns_count_700"]) == (1, 2)
        assert figures["curve_turns_e2ft_p50_ms_700"] == 410.0

    def test_pauses_are_written_a_line_each(self) -> None:
        lines = _turn_figures.labelled_pauses([PLAIN, PLAIN]).splitlines()

        assert [msgspec.json.decode(line)["length_ms"] for line in lines] == [700.0, None] * 2
