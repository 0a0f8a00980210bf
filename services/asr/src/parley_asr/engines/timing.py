"""Ties decoded tokens to the sound: Whisper's timestamp tokens make segments, an alignment makes words. Pure.

Used by `whisper`. Times are seconds from the window's first sample; whatever the model says, they stay inside of the
sound and never run backwards.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from parley_asr.engines import Segment, Word

TIMESTAMP_S: Final = 0.02
"""What one timestamp token counts (OpenAI Whisper, `time_precision`)."""

Text = Callable[[list[int]], str]
"""Makes text of tokens."""


class Piece(NamedTuple):
    """The text tokens between two timestamps."""

    tokens: list[int]
    start_s: float
    end_s: float


def pieces(tokens: Sequence[int], *, first_timestamp: int, audio_s: float) -> list[Piece]:
    """Cut at timestamps, which are the tokens from `first_timestamp` on; a text without an end lasts to the sound's."""
    found: list[Piece] = []
    text: list[int] = []
    start_s = latest_s = 0.0
    for token in tokens:
        if token < first_timestamp:
            text.append(token)
            continue
        at_s = min(audio_s, max(latest_s, (token - first_timestamp) * TIMESTAMP_S))
        if text:
            found.append(Piece(text, start_s, at_s))
            text = []
        start_s = latest_s = at_s
    if text:
        found.append(Piece(text, start_s, audio_s))
    return found


def segments(found: Sequence[Piece], text: Text) -> tuple[Segment, ...]:
    """Make segments without words; pieces that are no text are left out."""
    made = (Segment(text=text(piece.tokens).strip(), start_s=piece.start_s, end_s=piece.end_s) for piece in found)
    return tuple(segment for segment in made if segment.text)


def segments_of_words(
    found: Sequence[Piece], alignment: Sequence[Mapping[str, Any]], text: Text, *, audio_s: float
) -> tuple[Segment, ...]:
    """Make segments with words.

    Args:
        found: pieces in order.
        alignment: faster-whisper's for all their tokens: `word`, `tokens`, `start`, `end`, `probability`.
        text: see `Text`.
        audio_s: how long the sound is.
    """
    words, made = iter(alignment), list[Segment]()
    for piece in found:
        own = tuple(_words(words, piece, audio_s))
        content = text(piece.tokens).strip()
        if not content:
            continue
        start_s, end_s = (own[0].start_s, own[-1].end_s) if own else (piece.start_s, piece.end_s)
        made.append(Segment(text=content, start_s=start_s, end_s=end_s, words=own))
    return tuple(made)


def _words(alignment: Iterator[Mapping[str, Any]], piece: Piece, audio_s: float) -> Iterator[Word]:
    """Take the words of a piece; marks were merged into their neighbours, whose text is then empty.

    The alignment gives the silence before a piece to its first word; the timestamp knows better.
    """
    taken = 0
    while taken < len(piece.tokens) and (aligned := next(alignment, None)) is not None:
        taken += len(aligned["tokens"])
        word = str(aligned["word"]).strip()
        if word:
            start_s = min(audio_s, max(piece.start_s, float(aligned["start"])))
            end_s = min(audio_s, max(start_s, float(aligned["end"])))
            yield Word(text=word, start_s=start_s, end_s=end_s, probability=float(aligned["probability"]))
