"""What the tts service is told; `parley_contract.components` fills it."""

from typing import Annotated, Literal

import msgspec

from parley_runtime.settings import Port, ServiceSettings

EngineName = Literal["piper", "espeak"]


class TtsSettings(ServiceSettings, frozen=True, kw_only=True, rename="upper"):
    """The resource's `spec.tts`."""

    port: Port = 5007
    language: str = "en"
    tts_engine: EngineName = "piper"
    """Who speaks."""
    tts_voice: str = ""
    """A voice of the catalogue or a folder for piper; a voice of espeak-ng, or empty for the language, for espeak."""
    tts_speed: Annotated[float, msgspec.Meta(ge=0.5, le=2)] = 1.0
    """1 is the voice's own pace."""
    tts_fallbacks: tuple[EngineName, ...] = ()
    """Who speaks a phrase that the engines before could not."""
    tts_threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """CPU threads of the voice; more than one is slower on cores that are busy (measured)."""
