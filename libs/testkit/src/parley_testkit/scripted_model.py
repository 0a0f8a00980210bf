"""A language model that says what it was told to: the fake of `parley_agent.engines`, on virtual time.

It records every prompt. Not for judging answers: that takes a real model.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Literal

from parley_agent.engines import Chunk, ModelUnavailableError, Residency, Usage
from parley_agent.history import ChatMessage


class ScriptedModel:
    """Answers each prompt with the next script, word by word."""

    def __init__(self, *scripts: str, token_s: float = 0.01, ends: Literal["stop", "length"] = "stop") -> None:
        """Prepare the answers; the last one repeats. `token_s` passes before each word."""
        self.prompts: list[tuple[ChatMessage, ...]] = []
        self.warmed: list[tuple[ChatMessage, ...]] = []
        self.cancelled = 0
        self.fails_after: int | None = None
        """Words after which the server goes away; None for a server that stays."""
        self.hangs = False
        """Whether the server takes what is asked from now on, and says nothing to it."""
        self._scripts = list(scripts) or ["Yes."]
        self._token_s = token_s
        self._ends = ends
        self._is_loaded = False

    @property
    def name(self) -> str:
        """See LanguageModel."""
        return "scripted"

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """See LanguageModel."""
        self.warmed.append(tuple(messages))
        if self.hangs:
            await asyncio.Future()
        self._is_loaded = True

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Chunk, None]:
        """See LanguageModel."""
        self.prompts.append(tuple(messages))
        if self.hangs:
            await asyncio.Future()
        self._is_loaded = True
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        words = script.split(" ")
        try:
            for number, word in enumerate(words):
                if self.fails_after is not None and number >= self.fails_after:
                    raise ModelUnavailableError("the scripted server went away")
                await asyncio.sleep(self._token_s)
                yield Chunk(word if number == 0 else f" {word}")
            yield Chunk(
                "", self._ends, Usage(input_tokens=sum(len(m.content) for m in messages), output_tokens=len(words))
            )
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    async def residency(self) -> Residency | None:
        """See LanguageModel."""
        return Residency(self.name, 1, 0, 2048) if self._is_loaded else None

    async def aclose(self) -> None:
        """See LanguageModel."""
