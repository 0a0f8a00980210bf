"""What is said where turns are measured, and how it is laid out as sound."""

import itertools
from collections import Counter

import _corpus
import _kokoro
import _loudness
import _rendering
import _room
import numpy as np
import pytest
from _corpus import Choice, Line
from _loudness import Samples

from parley_contract.frames import FRAME_BYTES, RATE_HZ

DIALOGUES = _corpus.read()
LINES = [line for dialogue in DIALOGUES for line in dialogue.turns]


def tone(duration_s: float, *, silence_s: tuple[float, float] = (0.0, 0.0), level: float = 0.3) -> Samples:
    before, after = (np.zeros(round(s * RATE_HZ), dtype=np.float32) for s in silence_s)
    positions = np.arange(round(duration_s * RATE_HZ))
    sound = (level * np.sin(2 * np.pi * 440 * positions / RATE_HZ)).astype(np.float32)
    return np.concatenate((before, sound, after))


class TestText:
    def test_there_are_at_least_120_turns_and_each_kind_is_in_both_halves(self) -> None:
        kinds = Counter((dialogue.half, line.kind) for dialogue in DIALOGUES for line in dialogue.turns)

        assert len(LINES) >= 120
        assert min(kinds[half, kind] for half in ("training", "test") for kind in _corpus.KINDS) >= 6

    def test_no_dialogue_is_in_both_halves_and_no_line_is_said_twice(self) -> None:
        names = Counter(dialogue.name for dialogue in DIALOGUES)
        texts = Counter(line.words for line in LINES)

        assert names.most_common(1)[0][1] == texts.most_common(1)[0][1] == 1

    def test_every_voice_speaks_clean_and_in_noise_in_both_halves(self) -> None:
        spoken = {(dialogue.half, dialogue.voice, dialogue.noisy) for dialogue in DIALOGUES}
        voices = {dialogue.voice for dialogue in DIALOGUES}

        assert spoken == set(itertools.product(("training", "test"), voices, (False, True)))

    def test_every_dialogue_has_several_turns(self) -> None:
        assert min(len(dialogue.turns) for dialogue in DIALOGUES) >= 3

    @pytest.mark.parametrize("line", LINES, ids=lambda line: line.words)
    def test_pauses_are_those_of_people_and_lie_between_words(self, line: Line) -> None:
        *inner, last = line.parts

        assert all(_corpus.SHORTEST_PAUSE_S <= part.pause_s <= _corpus.LONGEST_PAUSE_S for part in inner)
        assert last.pause_s == 0
        assert all(part.text and "{" not in part.text for part in line.parts)

    @pytest.mark.parametrize("line", LINES, ids=lambda line: line.words)
    def test_a_kind_says_what_a_line_is(self, line: Line) -> None:
        pauses = len(line.parts) - 1
        conjunctions = {"and", "or", "but", "so", "because", "if", "that"}
        words = [part.text.rstrip(",.").split() for part in line.parts]

        match line.kind:
            case "one_word":
                assert len(line.words.split()) == 1
            case "pause" | "filler":
                assert pauses >= 1
            case "monologue":
                assert pauses >= 2
                assert len(line.words.split()) >= 20
            case "conjunction":
                # Right after one, at its clause's beginning, or the whole line leaves it at that.
                assert conjunctions & {words[0][-1], *(part[0] for part in words[1:]), words[-1][-1]}
            case "question":
                assert line.words.endswith("?")
            case "statement" | "command" | "number":
                assert line.words[-1] in ".?"

    def test_a_line_is_cut_at_its_pauses(self) -> None:
        line = Line("pause", "I want {0.7} two, {0.5} or three.")

        assert line.parts == (("I want", 0.7), ("two,", 0.5), ("or three.", 0.0))
        assert line.words == "I want two, or three."

    def test_a_choice_takes_whole_dialogues_and_cuts_the_last(self) -> None:
        few = _corpus.chosen(DIALOGUES, Choice(half="test", turns=6))

        assert [len(dialogue.turns) for dialogue in few] == [4, 2]
        assert {dialogue.half for dialogue in few} == {"test"}

    def test_a_choice_of_a_kind_has_nothing_else(self) -> None:
        some = _corpus.chosen(DIALOGUES, Choice(half="all", kind="number"))

        assert {line.kind for dialogue in some for line in dialogue.turns} == {"number"}


class TestSound:
    def test_a_voice_is_found_within_a_block_of_where_it_is(self) -> None:
        found = _loudness.voiced(tone(0.5, silence_s=(0.2, 0.3)))

        assert found == (round(0.2 * RATE_HZ), round(0.7 * RATE_HZ))

    def test_an_echo_36_db_below_is_no_voice_and_a_fricative_25_db_below_is(self) -> None:
        fading = np.concatenate((tone(0.5), tone(0.1, level=0.3 * 10 ** (-25 / 20)), tone(0.1, level=0.3 / 63.1)))

        assert _loudness.voiced(fading).end == round(0.6 * RATE_HZ)

    def test_silence_is_refused(self) -> None:
        with pytest.raises(ValueError, match="nothing can be heard"):
            _loudness.voiced(np.zeros(1600, dtype=np.float32))

    def test_parts_are_as_far_apart_as_the_line_says_whatever_silence_their_voice_adds(self) -> None:
        line = Line("pause", "One {0.7} two {0.4} three.")
        parts = [tone(0.5, silence_s=(0.1, 0.6)), tone(0.3, silence_s=(0.05, 0.0)), tone(0.2)]

        _, spans = _rendering.laid_out(line, parts)

        gaps = [(after.begin - before.end) / RATE_HZ for before, after in itertools.pairwise(spans)]
        assert gaps == [0.7, 0.4]
        assert [(span.end - span.begin) / RATE_HZ for span in spans] == [0.5, 0.3, 0.2]

    def test_what_was_laid_out_is_heard_where_the_spans_say(self) -> None:
        line = Line("pause", "One {0.4} two.")

        samples, spans = _rendering.laid_out(line, [tone(0.5, silence_s=(0.1, 0.1)), tone(0.3, silence_s=(0.2, 0.2))])

        assert _loudness.voiced(samples) == (spans[0].begin, spans[-1].end)
        assert not samples[spans[0].end : spans[1].begin].any()

    def test_speech_is_equally_loud_whoever_says_it_and_pauses_do_not_count(self) -> None:
        quiet = np.concatenate((tone(0.5, level=0.02), np.zeros(RATE_HZ, dtype=np.float32), tone(0.5, level=0.02)))

        levels = [_loudness.speech_rms(_rendering.as_loud_as_speech(sound)) for sound in (quiet, tone(0.5, level=0.9))]

        assert levels == pytest.approx([10 ** (_loudness.SPEECH_DB / 20)] * 2, rel=0.01)


class TestKokoro:
    @pytest.mark.parametrize(
        "ipa, letters",
        [("tʃˈɑːɹdʒ", "ʧˈɑɹʤ"), ("ɡˈoʊ", "ɡˈO"), ("bˈɑːɾəl", "bˈɑTᵊl"), ("hˈaɪɚ", "hˈIəɹ"), ("bˈɜːd", "bˈɜɹd")],
    )
    def test_phonemes_are_written_in_its_alphabet(self, ipa: str, letters: str) -> None:
        assert _kokoro.in_kokoro(ipa) == letters


class TestRoom:
    def test_noise_is_as_loud_as_said_and_the_same_each_time(self) -> None:
        once, again = _room.noise("paris", -35.0), _room.noise("paris", -35.0)

        assert 20 * np.log10(np.sqrt(np.mean(once**2))) == pytest.approx(-35.0, abs=0.1)
        assert np.array_equal(once, again)
        assert not np.array_equal(once, _room.noise("moon", -35.0))

    def test_a_microphone_gives_the_room_and_mixes_in_what_is_said(self) -> None:
        room = np.full(400, 0.01, dtype=np.float32)
        microphone = _room.Microphone(room)

        before = microphone.frame()
        first = microphone.say(np.full(330, 0.1, dtype=np.float32))
        spoken = [np.frombuffer(microphone.frame(), "<i2") / 32767 for _ in range(3)]

        assert len(before) == FRAME_BYTES
        assert first == 1
        assert not microphone.is_speaking
        assert np.concatenate(spoken)[[0, 329, 330, -1]] == pytest.approx([0.11, 0.11, 0.01, 0.01], abs=1e-4)
