"""Phoneme ids as Piper has them, and latents in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley_tts.pieces import LARGEST_FRAMES, Piece, phoneme_ids, pieces

IDS = {"_": (0,), "^": (1,), "$": (2,), " ": (3,), "a": (14,), "ð": (41, 42)}


@pytest.mark.parametrize(
    "sentence, expected",
    [
        ("", [1, 0, 2]),
        ("a", [1, 0, 14, 0, 2]),
        ("a ð", [1, 0, 14, 0, 3, 0, 41, 42, 0, 2]),
        ("xa안", [1, 0, 14, 0, 2]),
    ],
)
def test_ids_have_a_beginning_an_end_and_a_pad_behind_each_phoneme_that_is_known(
    sentence: str, expected: list[int]
) -> None:
    assert phoneme_ids(sentence, IDS) == expected


@pytest.mark.parametrize(
    "frames, expected",
    [
        (0, []),
        (1, [Piece(0, 1, 0, 1)]),
        (32, [Piece(0, 32, 0, 32)]),
        (47, [Piece(0, 47, 0, 47)]),
        (48, [Piece(0, 42, 0, 32), Piece(22, 48, 10, 16)]),
        (127, [Piece(0, 42, 0, 32), Piece(22, 127, 10, 95)]),
        (128, [Piece(0, 42, 0, 32), Piece(22, 106, 10, 64), Piece(86, 128, 10, 32)]),
    ],
)
def test_a_latent_begins_with_a_short_piece_and_ends_with_no_tiny_one(frames: int, expected: list[Piece]) -> None:
    assert list(pieces(frames, context=10)) == expected


@given(frames=st.integers(0, 2000), context=st.integers(0, 40))
def test_every_frame_is_kept_once_with_all_its_neighbours(frames: int, context: int) -> None:
    at = 0
    for piece in pieces(frames, context=context):
        assert piece.begin + piece.skip == at
        assert piece.begin == max(0, at - context)
        assert piece.end == min(frames, at + piece.keep + context)
        assert piece.keep < 1.5 * LARGEST_FRAMES
        at += piece.keep
    assert at == frames
