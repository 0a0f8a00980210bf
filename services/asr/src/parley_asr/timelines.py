"""Lays what a decoder says it heard, and when, beside the loudness of the sound. Pure; called by `hearing`.

With several sentences and pauses between them in one short window, tiny.en without timestamps leaves out whole
sentences, or says the last ones again. With timestamps, and without the silence before the first, it hardly does: what
it repeats it puts after the end of the sound, or into a pause, and where it stopped early speech follows
(`docs/decisions/0013`). Not here: loops inside of a text (`loops`), decoding.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Final

from msgspec.structs import replace

from parley_asr.engines import Decoded, Samples, Segment
from parley_asr.loops import normalized
from parley_asr.stitching import stitch
from parley_asr.windows import is_pause, longest_pause, speech_begins, speech_s
from parley_contract.frames import RATE_HZ

_PAUSE_S: Final = 0.3
"""Between sentences people pause for so long, inside of them rarely."""
_LEAD_S: Final = 0.2
"""Silence that may stay before speech. After half a second of it the first of several sentences is left out one time in
eight, after 0.3 s and less one time in 300."""
_LETTERS_PER_S: Final = 25
"""Fast English, as in `stitching`."""


def needs_timestamps(samples: Samples) -> bool:
    """Whether there is a pause between speech, as there is between sentences: a short utterance has none."""
    pause = longest_pause(samples)
    return pause is not None and pause.length >= _PAUSE_S * RATE_HZ


def needless_start(samples: Samples) -> int:
    """How many samples of silence before speech are better not decoded; none where there is no pause in it."""
    return max(0, speech_begins(samples) - round(_LEAD_S * RATE_HZ)) if needs_timestamps(samples) else 0


def said(decoded: Decoded, samples: Samples) -> Decoded:
    """Take out what nobody said: text after the sound's end, and a sentence said again where it was not."""
    segments = decoded.segments
    while len(segments) > 1 and (
        segments[-1].start_s >= len(samples) / RATE_HZ or _echoes(segments[-1], segments[-2], samples)
    ):
        segments = segments[:-1]
    return decoded if segments == decoded.segments else replace(decoded, segments=segments, text=text_of(segments))


def text_of(segments: Sequence[Segment]) -> str:
    """Join the texts of segments."""
    return reduce(lambda text, segment: stitch(text, segment.text, shared_s=0), segments, "")


def left_out_s(samples: Samples, segments: Sequence[Segment]) -> float:
    """Return how many seconds of speech, by loudness, lie after the last segment; all timestamps before err freely."""
    if not segments:
        return 0.0
    return speech_s(samples) - speech_s(samples, until_s=segments[-1].end_s)


def _echoes(last: Segment, before: Segment, samples: Samples) -> bool:
    """Whether a segment is the one before once more, in a pause, or faster than anybody speaks."""
    text = normalized(last.text)
    is_too_fast = len(text) > (last.end_s - last.start_s) * _LETTERS_PER_S
    return text == normalized(before.text) and (is_too_fast or is_pause(samples, last.start_s, last.end_s))
