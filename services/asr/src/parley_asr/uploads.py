"""A file becomes a transcript: read bit by bit, cut into windows at pauses, decoded one window at a time.

The transcription API's worker, as `transcription` is that of utterances. Memory stays that of a few windows however
long the file is, and every window is a decode of its own: a live final waits for one of them at most. Not here: HTTP
(`api`), who is served first (`decoder`), what a window amounts to (`hearing`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from parley_asr.engines import Decoding, Samples, Segment
from parley_asr.hearing import ENOUGH_SPEECH_S, Decode, Listening, hear
from parley_asr.judging import Heard
from parley_asr.stitching import stitch, without_doubles
from parley_asr.windows import Window, plan, speech_s
from parley_contract.errors import PermanentError
from parley_contract.frames import RATE_HZ
from parley_runtime.sounds import Readable, read_pcm

_BLOCK_S: Final = 10.0
"""Read at a time, in a thread."""


class TooLongError(PermanentError):
    """The sound goes on for longer than is allowed."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one window added to the transcript."""

    segments: tuple[Segment, ...]
    """Times are from the beginning of the file."""
    until_s: float
    """How much of it has been decoded."""
    language: str = ""


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """All pieces so far."""

    text: str = ""
    language: str = ""
    duration_s: float = 0.0
    segments: tuple[Segment, ...] = ()

    def joined(self, piece: Piece) -> "Transcript":
        """Return the transcript with one piece more."""
        text = self.text
        for segment in piece.segments:
            text = stitch(text, segment.text, shared_s=0)
        return Transcript(
            text=text,
            language=self.language or piece.language,
            duration_s=piece.until_s,
            segments=(*self.segments, *piece.segments),
        )


async def samples_of(source: Path | Readable, name: str, *, longest_s: float) -> AsyncGenerator[Samples]:
    """Read sound in blocks of ten seconds, off the event loop.

    Raises:
        UnreadableSoundError: it is none.
        TooLongError: it is longer than `longest_s`; nothing beyond that is read.
    """
    blocks, read_s = _blocks(source, name), 0.0
    while True:
        reading = asyncio.ensure_future(asyncio.to_thread(next, blocks, None))
        try:
            block = await asyncio.shield(reading)
        except asyncio.CancelledError:
            # The file may be closed only when nobody reads it any more.
            await asyncio.wait({reading})
            raise
        if block is None:
            return
        read_s += len(block) / RATE_HZ
        if read_s > longest_s:
            raise TooLongError(f"{name} is longer than {longest_s:.0f} s: send it in parts, or raise MAX_AUDIO_S")
        yield block


def _blocks(source: Path | Readable, name: str) -> Iterator[Samples]:
    waiting, size = bytearray(), round(2 * RATE_HZ * _BLOCK_S)
    for pcm in read_pcm(source, name):
        waiting += pcm
        while len(waiting) >= size:
            yield _samples(waiting[:size])
            del waiting[:size]
    if waiting:
        yield _samples(waiting)


def _samples(pcm: bytearray) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


async def transcribe(
    sound: AsyncIterator[Samples], how: Listening, decoding: Decoding, decode: Decode
) -> AsyncGenerator[Piece]:
    """Decode sound of any length, a window at a time.

    Args:
        sound: in blocks of any size.
        how: how to listen.
        decoding: how to decode each window; its `timing` is at least segments, and an empty language is filled in by
            the first window with enough speech to tell.
        decode: one window, when its turn comes.

    Raises:
        DecodeFailedError: from the engine.
    """
    waiting: Piece | None = None
    likely = ""
    async for window, samples, shares_end in _windows(sound, how):
        is_enough = speech_s(samples) >= ENOUGH_SPEECH_S
        language = decoding.language or ("" if is_enough else likely)
        heard = await hear(samples, replace(decoding, language=language), how, decode, is_careful=True)
        piece = _piece(window, heard)
        likely = piece.language or likely
        if is_enough:
            decoding = replace(decoding, language=decoding.language or piece.language)
        if waiting is not None:
            waiting, piece = _without_doubles(waiting, piece, how.limits.overlap / RATE_HZ)
            yield waiting
        waiting = piece if shares_end else None
        if waiting is None:
            yield piece


async def _windows(sound: AsyncIterator[Samples], how: Listening) -> AsyncGenerator[tuple[Window, Samples, bool]]:
    """Cut sound as `windows.plan` does, holding no more of it than a window and a block.

    Yields:
        a window, counted from the beginning of the sound, its samples, and whether the next one shares its end.
    """
    held, begin, shares_start = np.zeros(0, dtype=np.float32), 0, False
    async for block in sound:
        held = np.concatenate((held, block))
        planned = plan(held, how.limits, shares_start=shares_start)
        for window, successor in pairwise(planned):
            yield _moved(window, begin), held[window.start : window.end], successor.shares_start
        if planned:
            last = planned[-1]
            held, begin, shares_start = held[last.start :], begin + last.start, last.shares_start
    if len(held):
        yield Window(begin, begin + len(held), shares_start), held, False


def _moved(window: Window, by: int) -> Window:
    return window._replace(start=window.start + by, end=window.end + by)


def _piece(window: Window, heard: Heard) -> Piece:
    return Piece(
        segments=tuple(_placed(segment, window.start / RATE_HZ, heard) for segment in heard.segments),
        until_s=window.end / RATE_HZ,
        language=heard.language if heard.verdict == "speech" else "",
    )


def _placed(segment: Segment, by_s: float, heard: Heard) -> Segment:
    """Move a segment to its place in the file."""
    return replace(segment.moved(by_s), avg_logprob=heard.avg_logprob, no_speech_prob=heard.no_speech_prob)


def _without_doubles(before: Piece, after: Piece, shared_s: float) -> tuple[Piece, Piece]:
    """Take words that two windows heard out of one of them, and out of its segment."""
    if not before.segments or not after.segments:
        return before, after
    last, first = before.segments[-1], after.segments[0]
    last_text, first_text = without_doubles(last.text, first.text, shared_s=shared_s)
    last = _shortened(last, last_text, from_end=True)
    first = _shortened(first, first_text, from_end=False)
    return (
        replace(before, segments=tuple(each for each in (*before.segments[:-1], last) if each.text)),
        replace(after, segments=tuple(each for each in (first, *after.segments[1:]) if each.text)),
    )


def _shortened(segment: Segment, text: str, *, from_end: bool) -> Segment:
    """Give a segment the part of its text that is left, and as many words as that has."""
    if text == segment.text or not segment.words:
        return replace(segment, text=text)
    gone = len(segment.text.split()) - len(text.split())
    words = segment.words[: len(segment.words) - gone] if from_end else segment.words[gone:]
    if not words:
        return replace(segment, text=text, words=())
    return replace(segment, text=text, words=words, start_s=words[0].start_s, end_s=words[-1].end_s)
