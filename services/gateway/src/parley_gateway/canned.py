"""What the gateway can say without anybody's help: the words, and their sound once tts has spoken them.

Used by `turns` (the watchdog) and by the doors. Pure; `canned_voice` has them spoken. A language without words of its
own here hears English ones.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

Kind = Literal["hold", "apology", "refusal"]
"""While it takes long; when it went wrong; when there is no place."""


class Canned(msgspec.Struct, frozen=True):
    """One phrase."""

    text: str
    frames: tuple[bytes, ...]
    """PCM of 20 ms each: s16le at 16 kHz mono."""


_TEXTS: Final[Mapping[str, Mapping[Kind, str]]] = {
    "en": {
        "hold": "One moment, please.",
        "apology": "Sorry, something went wrong. Please try again.",
        "refusal": "Sorry, all places are taken. Please try again later.",
    },
    "ko": {
        "hold": "잠시만 기다려 주세요.",
        "apology": "죄송해요, 문제가 생겼어요. 다시 말씀해 주세요.",
        "refusal": "죄송해요, 지금은 자리가 없어요. 나중에 다시 시도해 주세요.",
    },
}


def texts(language: str) -> Mapping[Kind, str]:
    """Return the words of each kind in a language (ISO 639-1)."""
    return _TEXTS.get(language, _TEXTS["en"])
