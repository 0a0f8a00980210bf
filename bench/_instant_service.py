"""A service as it is in production, but its engine answers at once: `python bench/_instant_service.py asr`.

Started by `_instant_assistant` in place of `python -m parley_asr` and the like. Everything but the engine is real, so
what is measured is what our own processes cost. The gateway has no engine to replace: its voice detector is real.
"""

import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import numpy as np

from parley_agent.app import Agent
from parley_agent.engines import Chunk, Residency, Usage
from parley_agent.history import ChatMessage
from parley_agent.settings import AgentSettings
from parley_asr.app import App as Asr
from parley_asr.engines import Decoded, Decoding, Engine
from parley_asr.engines import Samples as Heard
from parley_asr.settings import AsrSettings
from parley_contract.frames import RATE_HZ
from parley_runtime.lifecycle import Runtime, run_service
from parley_tts.app import App as Tts
from parley_tts.engines import Samples, Speech, Take, Voice
from parley_tts.settings import TtsSettings

PHRASES: Final = ("I hear you well.", "And I answer at once.")
"""What is replied to everything."""
PHRASE_FRAMES: Final = 25
"""How long each of them is, half a second: as long as a short answer, and nobody waits for its end."""


class InstantTranscriber:
    """Implements `parley_asr.engines.Transcriber`."""

    engine: Final = Engine(model="instant", device="cpu", compute_type="none", window_s=10.0, languages=("en",))

    def transcribe(self, windows: Sequence[Heard], how: Decoding) -> list[Decoded]:
        """Understand the same in every sound."""
        del how
        return [Decoded(text="Do you hear me?", language="en", no_speech_prob=0.0, tokens=4) for _ in windows]


class InstantModel:
    """Implements `parley_agent.engines.LanguageModel`."""

    name: Final = "instant"

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """See LanguageModel; there is nothing to load."""

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Chunk, None]:
        """Say the same to everything."""
        del messages
        for number, phrase in enumerate(PHRASES):
            yield Chunk(f" {phrase}" if number else phrase)
        yield Chunk("", "stop", Usage(input_tokens=1, output_tokens=len(PHRASES)))

    async def residency(self) -> Residency:
        """See LanguageModel; it is always there."""
        return Residency(self.name, 1, 0, 2048)

    async def aclose(self) -> None:
        """See LanguageModel."""


class InstantVoice:
    """Implements `parley_tts.engines.Synthesizer`; audible from its first sample, so that no silence is measured."""

    voice: Final = Voice(engine="instant", name="tone", rate_hz=RATE_HZ)

    def __init__(self) -> None:
        positions = np.arange(PHRASE_FRAMES * RATE_HZ // 50)
        self._sound: Samples = (0.3 * np.cos(2 * np.pi * 440 * positions / RATE_HZ)).astype(np.float32)

    def speak(self, speech: Speech, take: Take) -> None:
        """Hand over the same tone for every text."""
        del speech
        take(self._sound)


async def asr(runtime: Runtime[AsrSettings]) -> None:
    """Run the asr service."""
    await Asr(runtime, lambda _: InstantTranscriber()).run()


async def agent(runtime: Runtime[AgentSettings]) -> None:
    """Run the agent."""
    await Agent(runtime, InstantModel()).run()


async def tts(runtime: Runtime[TtsSettings]) -> None:
    """Run the tts service."""
    await Tts(runtime, lambda _: (InstantVoice(),)).run()


def main(service: str) -> None:
    """Run one service until told to stop, and exit."""
    match service:
        case "asr":
            run_service("asr", AsrSettings, asr)
        case "agent":
            run_service("agent", AgentSettings, agent)
        case "tts":
            run_service("tts", TtsSettings, tts)
        case _:
            sys.exit(f"no service {service!r} has an engine; there are asr, agent, tts")


if __name__ == "__main__":
    main(*sys.argv[1:])
