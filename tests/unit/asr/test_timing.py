"""Tokens tied to the sound: what the timestamps say, and what they say wrongly."""

import pytest

from parley_asr.engines import timing
from parley_asr.engines.timing import Piece

FIRST = 1000
TEXTS = {1: " one", 2: " two", 3: ".", 4: " "}


def stamp(seconds: float) -> int:
    return FIRST + round(seconds / timing.TIMESTAMP_S)


def text(tokens: list[int]) -> str:
    return "".join(TEXTS[token] for token in tokens)


@pytest.mark.parametrize(
    "tokens, expected",
    [
        ([], []),
        ([stamp(0), stamp(1)], []),
        ([stamp(0.5), 1, 2, stamp(1.5)], [Piece([1, 2], 0.5, 1.5)]),
        ([stamp(0), 1, stamp(1), stamp(1.2), 2, 3, stamp(2)], [Piece([1], 0, 1), Piece([2, 3], 1.2, 2)]),
        ([1, 2], [Piece([1, 2], 0, 3)]),
        ([stamp(0), 1, stamp(1), stamp(1), 2], [Piece([1], 0, 1), Piece([2], 1, 3)]),
        ([stamp(2), 1, stamp(1), stamp(0.5), 2, stamp(9)], [Piece([1], 2, 2), Piece([2], 2, 3)]),
    ],
    ids=["nothing", "silence", "one", "two", "no stamps", "no end", "backwards and beyond the sound"],
)
def test_text_is_cut_at_timestamps(tokens: list[int], expected: list[Piece]) -> None:
    found = timing.pieces(tokens, first_timestamp=FIRST, audio_s=3)

    assert [piece.tokens for piece in found] == [piece.tokens for piece in expected]
    assert [time for piece in found for time in piece[1:]] == pytest.approx(
        [time for piece in expected for time in piece[1:]]
    )


def test_a_piece_without_text_is_no_segment() -> None:
    found = [Piece([1], 0, 1), Piece([4], 1, 2), Piece([2, 3], 2, 3)]

    assert [segment.text for segment in timing.segments(found, text)] == ["one", "two."]


def test_words_go_to_their_pieces_and_stay_inside_of_the_sound() -> None:
    found = [Piece([1], 0.4, 1), Piece([2, 3], 2, 3)]
    alignment = [
        {"word": " one", "tokens": [1], "start": 0.0, "end": 0.9, "probability": 0.8},
        {"word": " two.", "tokens": [2, 3], "start": 2.1, "end": 3.4, "probability": 0.7},
        {"word": "", "tokens": [], "start": 3.4, "end": 3.4, "probability": 0.1},
    ]

    first, second = timing.segments_of_words(found, alignment, text, audio_s=3)

    assert [(word.text, word.start_s, word.end_s) for word in first.words] == [("one", 0.4, 0.9)]
    assert [(word.text, word.start_s, word.end_s) for word in second.words] == [("two.", 2.1, 3)]
    assert (first.start_s, first.end_s, second.text) == (0.4, 0.9, "two.")
