"""Ollama, by its own client. The only importer of `ollama`.

Facts this relies on (Ollama 0.34): options that differ from the last request's reload the model, so they never
change; the prefix cache needs nothing but an unchanged prefix; `num_predict` 0 generates without bound, so warming
asks for one token; closing the stream ends the generation, but a prefill is paid to its end.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Literal

import httpx
import ollama

from parley_agent.engines import Chunk, ModelMissingError, ModelUnavailableError, Residency, Usage
from parley_agent.history import ChatMessage
from parley_agent.settings import AgentSettings
from parley_contract.errors import PermanentError

_READ_TIMEOUT_S: Final = 60.0
"""Longest silence of the server: loading a large model from disk fits, a hung server does not last."""
_PS_TIMEOUT_S: Final = 5.0
"""What is loaded is told at once, also while a reply is generated."""
_LONGEST_CHUNK: Final = 100_000
"""Characters. A token has a few, and what is said on the bus has to fit into a message of it (1 MiB)."""
_NOT_FOUND: Final = 404
_NONSENSE: Final = (ValueError, TypeError, AttributeError, RecursionError)
"""What the client raises for an answer that is not as Ollama's: it reads without checking, and quotes what it read."""


class AddressError(PermanentError):
    """What was given as the server's address is none."""


class OllamaModel:
    """A LanguageModel on an Ollama server."""

    def __init__(self, settings: AgentSettings) -> None:
        """Connect lazily: the server may start after us.

        Raises:
            AddressError: there can be no server at the address.
        """
        timeout = httpx.Timeout(_READ_TIMEOUT_S, connect=2.0)
        try:
            self._client = ollama.AsyncClient(host=settings.ollama_url, timeout=timeout)
        except (ValueError, httpx.InvalidURL) as error:
            raise AddressError(f"OLLAMA_URL {settings.ollama_url} is no address: {error}") from error
        self._name = settings.llm_model
        self._url = settings.ollama_url
        self._num_predict = settings.llm_num_predict
        self._keep_alive: str | int = -1 if settings.keep_alive == "-1" else settings.keep_alive
        self._options = {
            "num_ctx": settings.num_ctx,
            "temperature": settings.temperature,
            **({} if settings.num_thread is None else {"num_thread": settings.num_thread}),
        }

    @property
    def name(self) -> str:
        """See LanguageModel."""
        return self._name

    async def warm(self, messages: Sequence[ChatMessage]) -> None:
        """See LanguageModel."""
        async with contextlib.aclosing(self._chat(messages, num_predict=1)) as chunks:
            async for _ in chunks:
                pass

    async def reply(self, messages: Sequence[ChatMessage]) -> AsyncGenerator[Chunk, None]:
        """See LanguageModel."""
        async with contextlib.aclosing(self._chat(messages, num_predict=self._num_predict)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _chat(self, messages: Sequence[ChatMessage], *, num_predict: int) -> AsyncGenerator[Chunk, None]:
        try:
            stream = await self._client.chat(
                model=self._name,
                messages=[message._asdict() for message in messages],
                stream=True,
                options={**self._options, "num_predict": num_predict},
                keep_alive=self._keep_alive,
            )
            async for part in stream:
                yield _chunk(part)
        except ollama.ResponseError as error:
            raise self._translate(error) from error
        except (httpx.HTTPError, ConnectionError) as error:
            raise ModelUnavailableError(f"Ollama at {self._url} does not answer: {type(error).__name__}") from error
        except _NONSENSE as error:
            raise ModelUnavailableError(self._nonsense(error)) from None

    async def residency(self) -> Residency | None:
        """See LanguageModel."""
        try:
            async with asyncio.timeout(_PS_TIMEOUT_S):
                loaded = (await self._client.ps()).models
        except TimeoutError as error:
            raise ModelUnavailableError(f"Ollama at {self._url} hangs: no answer in {_PS_TIMEOUT_S:.0f} s") from error
        except (ollama.ResponseError, httpx.HTTPError, ConnectionError) as error:
            raise ModelUnavailableError(f"Ollama at {self._url} does not answer: {type(error).__name__}") from error
        except _NONSENSE as error:
            raise ModelUnavailableError(self._nonsense(error)) from None
        for model in loaded:
            if self._name in (model.model, (model.model or "").removesuffix(":latest")):
                return Residency(
                    model=self._name,
                    size_bytes=int(model.size or 0),
                    vram_bytes=int(model.size_vram or 0),
                    context_length=model.context_length or 0,
                )
        return None

    async def aclose(self) -> None:
        """See LanguageModel."""
        await self._client.close()  # type: ignore[no-untyped-call]  # untyped in ollama 0.6

    def _nonsense(self, error: Exception) -> str:
        return f"what answers at {self._url} cannot be read, is it Ollama? ({type(error).__name__})"

    def _translate(self, error: ollama.ResponseError) -> ModelMissingError | ModelUnavailableError:
        if error.status_code == _NOT_FOUND:
            return ModelMissingError(
                f"Ollama at {self._url} has no model {self._name}: run `parley models pull {self._name}`"
            )
        return ModelUnavailableError(f"Ollama at {self._url} answered {error.status_code}")


def _chunk(part: ollama.ChatResponse) -> Chunk:
    text = part.message.content or ""
    if len(text) > _LONGEST_CHUNK:
        raise ValueError("too long")
    if not part.done:
        return Chunk(text)
    ended: Literal["stop", "length"] = "length" if part.done_reason == "length" else "stop"
    return Chunk(text, ended, Usage(part.prompt_eval_count or 0, part.eval_count or 0))
