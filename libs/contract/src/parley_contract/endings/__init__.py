"""Has somebody finished, by the last words of what they said so far? Rules per language; pure.

Asked by the gateway's endpointer and by the agent, of transcripts that end in a pause. The text comes from Whisper,
which puts a full stop nearly everywhere: words decide, punctuation is weak. Not here: what the answer is worth, beside
how it sounded and how long the pause is.
"""

import re
from typing import Final, Literal

from parley_contract.endings import english, korean

Ending = Literal["complete", "open", "unclear"]
"""`complete`: could be all. `open`: something is missing that has to follow. `unclear`: nothing speaks for either."""

_GOES_ON: Final = re.compile(r"(?:\.{2,}|…|[,;:，、–—-])[\"'”’)\]\s]*$")
"""What Whisper writes where it hears that somebody breaks off."""
_ASKS: Final = re.compile(r"[?？][\"'”’)\]\s]*$")
_SPOKEN: Final = re.compile(r"\w")
_SENTENCE: Final = re.compile(r"[.?!。？！][\"'”’)\]]* (?=[^.?!。？！]*\w)")
"""What stands before another sentence."""
_JUDGED_CHARS: Final = 400
"""Longer sentences are judged by their ends: patterns take time that grows with the square of the length."""


def ending(text: str, language: str) -> Ending:
    """Say whether a text could be all that somebody wanted to say.

    Args:
        text: what was said so far, with any punctuation.
        language: ISO 639 code, perhaps with a region; of others than English and Korean only punctuation is judged.
    """
    text = " ".join(text.split())
    if not _SPOKEN.search(text):
        return "unclear"
    if _GOES_ON.search(text):
        return "open"
    asks = _ASKS.search(text) is not None
    begins = max((found.end() for found in _SENTENCE.finditer(text)), default=0)
    sentence = text[begins:][-_JUDGED_CHARS:]
    match language.partition("-")[0]:
        case "en":
            return english.ending(sentence.lower().replace("’", "'"), asks=asks)
        case "ko":
            return korean.ending(sentence, asks=asks)
        case _:
            return "complete" if asks else "unclear"
