"""What goes into a Piper voice: a breath as phoneme ids, and its latent in pieces. Pure; `engines.piper` calls it.

The decoder of a voice makes the same sound of a piece of the latent as of all of it, as long as the piece has some of
its neighbours on both sides, whose sound is then thrown away. So a breath can be heard while it is being made. Not
here: where a text is cut into breaths (`clauses`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from parley_runtime.piper_voices import BEGIN, END, PAD

FIRST_FRAMES: Final = 32
"""Of the latent: 370 ms at 22.05 kHz. Less is no sooner, for it needs as many neighbours, and the next piece would have
to be there sooner."""
LARGEST_FRAMES: Final = 64
"""740 ms. Neighbours cost more the shorter pieces are; longer ones keep an interrupt waiting and take memory."""


class Piece(NamedTuple):
    """Some frames of a latent, to be decoded at once."""

    begin: int
    end: int
    """One past the last frame that the decoder is given, neighbours among them."""
    skip: int
    """How many of these frames, from the first, come before what is wanted."""
    keep: int
    """How many are wanted."""


def pieces(frames: int, *, context: int) -> Iterator[Piece]:
    """Cut a latent into pieces, a short one first.

    Args:
        frames: of the latent.
        context: how many frames before and behind it the sound of a frame depends on.
    """
    at, size = 0, FIRST_FRAMES
    while at < frames:
        left = frames - at
        # What is less than half a piece does not pay for neighbours of its own.
        keep = left if left < size + size // 2 else size
        begin = max(0, at - context)
        yield Piece(begin, min(frames, at + keep + context), at - begin, keep)
        at, size = at + keep, LARGEST_FRAMES


def phoneme_ids(sentence: Iterable[str], ids: Mapping[str, Sequence[int]]) -> list[int]:
    """Return what Piper's own `phonemes_to_ids` does; phonemes that the voice does not know are passed over.

    Args:
        sentence: phonemes, a character each.
        ids: the voice's, those of `BEGIN`, `PAD` and `END` among them.
    """
    result = [*ids[BEGIN], *ids[PAD]]
    for phoneme in sentence:
        if phoneme in ids:
            result += [*ids[phoneme], *ids[PAD]]
    return [*result, *ids[END]]
