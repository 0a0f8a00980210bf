"""What one utterance has been understood as so far, window by window. No I/O: decoding is passed in.

`worker` keeps one `Hearing` per utterance and asks it for a partial or the final. Settled windows are decoded once,
as well as the final needs them; only the open one at the end is decoded anew each time, so that the final of a long
utterance costs no more than that of a short one. Not here: which frames are there (`utterances`), who is served
first (`decoder`).
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

import msgspec
import numpy as np

from parley_asr.engines import Decoded, Decoding, Samples
from parley_asr.judging import Heard, Verdict, judge
from parley_asr.stitching import stitch
from parley_asr.timelines import left_out_s, needless_start, needs_timestamps, said, text_of
from parley_asr.windows import SILENCE_DBFS, Limits, Window, levels_dbfs, longest_pause, plan, speech_s
from parley_contract.frames import RATE_HZ

Decode = Callable[[Samples, Decoding], Awaitable[Decoded]]

ENOUGH_SPEECH_S: Final = 2.0
"""From so much speech on a detected language is believed. Whisper base over nine languages: 37 % wrong after 0.5 s,
23 % after 1 s, 15 % after 1.5 s, 6 % after 2 s."""
_LEFT_OUT_S: Final = 0.6
"""So much speech after the last timestamp is a word or more: ends of words err by less."""
_SILENT: Final = Heard(verdict="silence", no_speech_prob=1.0)


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """How to listen; the settings of the same names say why."""

    limits: Limits
    beam_size: int = 1
    language: str = ""
    no_speech_threshold: float = 0.6
    has_safe_mode: bool = True
    """Whether the engine's safe mode is another than its usual one."""


class Understood(NamedTuple):
    """What an utterance, or its beginning, amounts to."""

    verdict: Verdict
    text: str
    language: str
    no_speech_prob: float
    """Of the window that was likeliest speech."""


async def hear(samples: Samples, decoding: Decoding, how: Listening, decode: Decode, *, is_careful: bool) -> Heard:
    """Understand one window.

    With care, a doubtful one is decoded once more in the engine's safe mode, and one of which the decoder left out
    speech once more in two parts, cut at its longest pause.
    """
    start = needless_start(samples)
    heard = await _hear_all(samples[start:], decoding, how, decode, is_careful=is_careful)
    return _later(heard, start / RATE_HZ) if start else heard


async def _hear_all(samples: Samples, decoding: Decoding, how: Listening, decode: Decode, *, is_careful: bool) -> Heard:
    heard = await _hear(samples, decoding, how, decode, is_careful=is_careful)
    if not is_careful or left_out_s(samples, heard.segments) < _LEFT_OUT_S:
        return heard
    pause = longest_pause(samples)
    if pause is None:
        return heard
    parts = [
        await _hear(samples[start:end], decoding, how, decode, is_careful=True)
        for start, end in ((0, pause.middle), (pause.middle, len(samples)))
    ]
    apart = _put_together(parts, pause.middle / RATE_HZ)
    return apart if len(apart.text) > len(heard.text) else heard


async def _hear(samples: Samples, decoding: Decoding, how: Listening, decode: Decode, *, is_careful: bool) -> Heard:
    if levels_dbfs(samples).max(initial=-np.inf) < SILENCE_DBFS:
        return _SILENT
    heard = judge(said(await decode(samples, decoding), samples), no_speech_threshold=how.no_speech_threshold)
    if not (heard.is_doubtful and is_careful and how.has_safe_mode):
        return heard
    again = said(await decode(samples, msgspec.structs.replace(decoding, is_safe=True)), samples)
    safe = judge(again, no_speech_threshold=how.no_speech_threshold)
    return heard if safe.is_doubtful else safe


def _put_together(parts: Sequence[Heard], second_at_s: float) -> Heard:
    """Make one window of two that were heard apart, of which the second begins at `second_at_s`."""
    first, second = parts
    spoken = [part for part in parts if part.verdict == "speech"]
    if not spoken:
        return first
    segments = (*first.segments, *_later(second, second_at_s).segments)
    return msgspec.structs.replace(
        spoken[0],
        text=text_of(segments),
        segments=segments,
        no_speech_prob=min(part.no_speech_prob for part in spoken),
        avg_logprob=min(part.avg_logprob for part in spoken),
    )


def _later(heard: Heard, by_s: float) -> Heard:
    return msgspec.structs.replace(heard, segments=tuple(segment.moved(by_s) for segment in heard.segments))


class _Latest(NamedTuple):
    """The last decode of the open window."""

    window: Window
    decoding: Decoding
    heard: Heard


class Hearing:
    """The texts of one utterance's windows."""

    def __init__(self, how: Listening, *, likely: str = "") -> None:
        """Begin with nothing heard.

        Args:
            how: how to listen.
            likely: the language that was heard before, for where there is too little speech to detect one.
        """
        self._how = how
        self._likely = likely
        self._settled: list[tuple[Window, Heard]] = []
        self._open = Window(0, 0)
        self._latest: _Latest | None = None

    async def partial(self, samples: Samples, decode: Decode) -> Understood:
        """Understand the first samples of an utterance that goes on; a quick decode of the open window."""
        return await self._understand(samples, decode, is_final=False)

    async def final(self, samples: Samples, decode: Decode) -> Understood:
        """Understand the whole utterance, and doubtful windows once more in the engine's safe mode."""
        return await self._understand(samples, decode, is_final=True)

    async def _understand(self, samples: Samples, decode: Decode, *, is_final: bool) -> Understood:
        limits = self._how.limits
        planned = plan(samples, limits, start=self._open.start, shares_start=self._open.shares_start)
        last = _SILENT
        for window, successor in zip_longest(planned, planned[1:]):
            is_settled = successor is not None
            last = await self._hear(samples, window, decode, is_careful=is_final or is_settled)
            if is_settled:
                self._settled.append((window, last))
                self._open = successor
        return self._joined([*self._settled, (self._open, last)])

    async def _hear(self, samples: Samples, window: Window, decode: Decode, *, is_careful: bool) -> Heard:
        """Understand a window, unless the latest decode was of the very same: nothing came since to change it."""
        sound = samples[window.start : window.end]
        likely = self._likely if speech_s(sound) < ENOUGH_SPEECH_S else ""
        decoding = Decoding(
            beam_size=self._how.beam_size if is_careful else 1,
            language=self._how.language or self._detected_language() or likely,
            timing="segments" if needs_timestamps(sound) else "none",
        )
        latest = self._latest
        if latest is None or latest[:2] != (window, decoding) or (latest.heard.is_doubtful and is_careful):
            latest = _Latest(window, decoding, await hear(sound, decoding, self._how, decode, is_careful=is_careful))
        self._latest = latest
        return latest.heard

    def _detected_language(self) -> str:
        """The language of the first window that had speech in it: an utterance keeps to one."""
        return next((heard.language for _, heard in self._settled if heard.verdict == "speech"), "")

    def _joined(self, windows: list[tuple[Window, Heard]]) -> Understood:
        text = ""
        for window, heard in windows:
            shared = self._how.limits.overlap if window.shares_start else 0
            text = stitch(text, heard.text, shared_s=shared / RATE_HZ)
        verdicts = {heard.verdict for _, heard in windows}
        return Understood(
            verdict="speech" if text else "looping" if "looping" in verdicts else "silence",
            text=text,
            language=next((heard.language for _, heard in windows if heard.text), self._how.language),
            no_speech_prob=min(heard.no_speech_prob for _, heard in windows),
        )
