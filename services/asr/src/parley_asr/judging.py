"""Judges what an engine decoded: speech, silence, or nothing that anybody said. Pure; called by `hearing`.

Not here: finding loops (`loops`), deciding what an utterance amounts to (`hearing`).
"""

from typing import Final, Literal

import msgspec

from parley_asr.engines import Decoded
from parley_asr.loops import unloop

Verdict = Literal["speech", "silence", "looping"]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One window, judged. `text` is empty unless the verdict is speech."""

    verdict: Verdict
    text: str = ""
    language: str = ""
    no_speech_prob: float = 0.0
    had_loop: bool = False
    """A loop was cut out of the text; a safer decode might say more."""


_NOTHING: Final = ""


def judge(decoded: Decoded, *, no_speech_threshold: float) -> Heard:
    """Decide what a decoded window is worth.

    `no_speech_prob` decides alone: on tiny.en it is at least 0.77 for silence, hum and noise and at most 0.2 for
    speech, while the stock rule, which also wants a low log-probability, lets "you" and ". . ." through.
    """

    def heard(verdict: Verdict, text: str = _NOTHING, *, had_loop: bool = False) -> Heard:
        return Heard(
            verdict=verdict,
            text=text,
            language=decoded.language,
            no_speech_prob=decoded.no_speech_prob,
            had_loop=had_loop,
        )

    if decoded.no_speech_prob > no_speech_threshold or not any(map(str.isalnum, decoded.text)):
        return heard("silence")
    unlooped = unloop(decoded.text)
    if unlooped.is_refused:
        return heard("looping", had_loop=True)
    return heard("speech", unlooped.text, had_loop=unlooped.had_loop)
