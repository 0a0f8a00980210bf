"""Judges what an engine decoded: speech, silence, or nothing that anybody said. Pure; called by `hearing`.

Not here: finding loops (`loops`), deciding what an utterance amounts to (`hearing`).
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from parley_asr.engines import Decoded, Segment
from parley_asr.loops import WORDS, normalized, unloop

Verdict = Literal["speech", "silence", "looping"]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One window, judged. `text` is empty unless the verdict is speech."""

    verdict: Verdict
    text: str = ""
    language: str = ""
    no_speech_prob: float = 0.0
    avg_logprob: float = 0.0
    segments: tuple[Segment, ...] = ()
    """Of the text, where timing was asked for; one for all of it where a loop was cut out."""
    is_doubtful: bool = False
    """A loop was cut, silence came with a whole sentence, or one sentence twice: a safer decode may say otherwise."""


_SENTENCE_WORDS: Final = 4
"""From so many words on, silence is doubted: a window full of dense speech once had 0.61. Silence that hallucinates
says "you" or a mark; if it does say a sentence, the safe decode finds silence again (at least 0.79)."""


def judge(decoded: Decoded, *, no_speech_threshold: float) -> Heard:
    """Decide what a decoded window is worth.

    `no_speech_prob` decides alone: on tiny.en it is at least 0.65 for silence, hum and noise and below 0.6 for speech
    (0.2 for short speech), while the stock rule, which also wants a low log-probability, lets "you" through.
    """

    def heard(verdict: Verdict, text: str = "", *, is_doubtful: bool = False) -> Heard:
        return Heard(
            verdict=verdict,
            text=text,
            language=decoded.language,
            no_speech_prob=decoded.no_speech_prob,
            avg_logprob=decoded.avg_logprob,
            segments=_segments(decoded, text),
            is_doubtful=is_doubtful,
        )

    words = [normalized(word) for word in WORDS.findall(decoded.text) if any(map(str.isalnum, word))]
    if decoded.no_speech_prob > no_speech_threshold or not words:
        return heard("silence", is_doubtful=len(words) >= _SENTENCE_WORDS)
    unlooped = unloop(decoded.text)
    if unlooped.is_refused:
        return heard("looping", is_doubtful=True)
    return heard("speech", unlooped.text, is_doubtful=unlooped.had_loop or _is_doubled(words))


def _is_doubled(words: Sequence[str]) -> bool:
    """Whether a text is one sentence said twice: tiny.en with timestamps and a prompt does that on a short window."""
    half = len(words) // 2
    return half >= _SENTENCE_WORDS and words[:half] == words[half:]


def _segments(decoded: Decoded, text: str) -> tuple[Segment, ...]:
    segments = decoded.segments
    if not text or not segments or text == decoded.text:
        return segments if text else ()
    return (Segment(text=text, start_s=segments[0].start_s, end_s=segments[-1].end_s),)
