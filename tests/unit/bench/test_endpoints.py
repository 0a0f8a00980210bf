"""What the benchmark of endpoints makes of a line's pauses."""

from pathlib import Path

import endpoints
import numpy as np
import pytest
from _corpus import Dialogue, Line
from _loudness import Samples
from _rendering import Annotation, Rendered, Span

from parley_contract.frames import RATE_HZ
from parley_gateway.endpointing import learned

LINE = Line("pause", "I would like {0.5} some tea.")
SPANS = (Span(1600, 17_600), Span(25_600, 41_600))
RENDERED = Rendered(
    np.zeros(48_000, dtype=np.float32), Annotation(line=LINE, voice="joe", spans=SPANS), Path("line.wav")
)
DIALOGUE = Dialogue("tea", "joe", noisy=False, half="test", turns=(LINE, LINE))


class Ears:
    """Implements `TurnModel`, hears words too, and remembers how much it was given."""

    def __init__(self) -> None:
        self.judged_s: list[float] = []
        self.understood_s: list[float] = []

    def judge(self, pcm: bytes) -> float:
        self.judged_s.append(len(pcm) / 2 / RATE_HZ)
        return 0.75

    def words(self, samples: Samples) -> str:
        self.understood_s.append(len(samples) / RATE_HZ)
        return "I would like" if len(self.understood_s) % 2 else "I would like some tea."


def test_every_pause_is_judged_with_a_tenth_of_a_second_of_its_silence() -> None:
    ears = Ears()

    list(endpoints.labelled(DIALOGUE, [RENDERED], endpoints.Judges(ears, ears.words)))

    assert ears.judged_s == ears.understood_s == [1.2, 2.7]


def test_a_pause_inside_a_line_has_its_length_and_the_last_one_none() -> None:
    ears = Ears()

    inner, last = endpoints.labelled(DIALOGUE, [RENDERED], endpoints.Judges(ears, ears.words))

    assert (inner.length_ms, inner.evidence.audio, inner.evidence.ending) == (500.0, 0.75, "open")
    assert (last.length_ms, last.evidence.ending) == (None, "complete")


def test_what_is_learned_of_a_speakers_pauses_holds_for_the_next_line() -> None:
    ears = Ears()

    found = list(endpoints.labelled(DIALOGUE, [RENDERED, RENDERED], endpoints.Judges(ears, ears.words)))

    first, second = learned(None, 500.0), learned(learned(None, 500.0), 500.0)
    assert [pause.own_pause_ms for pause in found] == [None, *(pytest.approx(ms) for ms in (first, first, second))]
