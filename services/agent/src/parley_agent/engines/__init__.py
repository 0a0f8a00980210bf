"""Language models behind one Protocol; each vendor's client has one file in this folder."""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from parley_agent.history import ChatMessage
from parley_contract.errors import PermanentError, RetryableError


class ModelUnavailableError(RetryableError):
    """The model's server is away, busy or failed; it may answer later."""


class ModelMissingError(PermanentError):
    """The server does not have the model."""


class Usage(NamedTuple):
    """What a reply cost, in tokens."""

    input_tokens: int = 0
    output_tokens: int = 0


class Chunk(NamedTuple):
    """A piece of a reply; `ended` and `usage` are set on the last one."""

    text: str
    ended: Literal["stop", "length"] | None = None
    usage: Usage = Usage()


class Residency(msgspec.Struct, frozen=True):
    """Where the model's weights are right now."""

    model: str
    size_bytes: int
    vram_bytes: int
    context_length: int


class LanguageModel(Protocol):
    """A chat model that streams. One set of options for its whole life, so that the server never reloads it."""

    @property
    def name(self) -> str:
        """The model's name, for spans and reports."""
        ...

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """Load the model if need be and fill its prefix cache with these messages.

        Raises:
            ModelUnavailableError, ModelMissingError: saying what to do.
        """
        ...

    def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Chunk, None]:
        """Stream a reply; closing the generator stops the generation.

        Raises:
            ModelUnavailableError, ModelMissingError: at the first chunk or in the middle.
        """
        ...

    async def residency(self) -> Residency | None:
        """Return where the model is; None if it is not loaded.

        Raises:
            ModelUnavailableError: the server does not answer.
        """
        ...

    async def aclose(self) -> None:
        """Let go of the server."""
        ...
