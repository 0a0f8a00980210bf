"""Ollama's models: is one there, and if not, make it from the catalogue's file or have Ollama pull it itself.

Used by `up` before the agent starts. The conversation with a model is the agent's; this speaks Ollama's management
API only (version, tags, blobs, create, pull).
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from parley_contract.catalogue import Model
from parley_contract.errors import PermanentError

_BLOCK_BYTES: Final = 1024 * 1024
_SILENCE_S: Final = 120.0
"""Between two lines of a pull or create; hashing gigabytes on a slow disk is silent for that long."""

Advance = Callable[[str, int, int], None]
"""Told what is being done, and how many bytes of how many."""


class LanguageModelError(PermanentError):
    """Ollama cannot give or make a model; the message is Ollama's."""


class _Version(msgspec.Struct):
    version: str = ""


class _Tag(msgspec.Struct):
    name: str = ""


class _Tags(msgspec.Struct):
    models: list[_Tag] = []


class _Line(msgspec.Struct):
    """One line of a pull or create."""

    status: str = ""
    error: str = ""
    completed: int = 0
    total: int = 0


async def ollama_version(url: str) -> tuple[int, ...] | None:
    """Return the version of the Ollama that answers at `url`; None if none does within half a second."""
    try:
        _ = urlsplit(url).port  # which httpx would not look at before it connects
        async with httpx.AsyncClient(trust_env=False, timeout=0.5) as client:
            answer = await client.get(f"{url}/api/version")
        version = msgspec.json.decode(answer.content, type=_Version).version
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3]) or None


class LanguageModels:
    """The models of one Ollama."""

    def __init__(self, url: str) -> None:
        """Speak to the Ollama at `url`."""
        self._url: Final = url

    async def has(self, name: str) -> bool:
        """Whether a model of this name is there; a name without a tag means `latest`.

        Raises:
            LanguageModelError: Ollama does not say.
        """
        async with self._client() as client:
            answer = await client.get("/api/tags")
        wanted = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
        try:
            return any(tag.name == wanted for tag in msgspec.json.decode(answer.content, type=_Tags).models)
        except msgspec.DecodeError as error:
            raise LanguageModelError(f"Ollama at {self._url} does not list its models: {error}") from error

    async def make(self, model: Model, folder: Path, advance: Advance) -> None:
        """Make a model from the one GGUF file of a catalogue entry.

        Args:
            model: the entry; its `chat` says how to hold a conversation with it.
            folder: where its files are.
            advance: told of progress.

        Raises:
            LanguageModelError: Ollama refuses.
        """
        if model.chat is None:
            raise LanguageModelError(
                f"{model.name} has no chat template in the catalogue, so no model can be made of it"
            )
        (file,) = model.files
        digest = f"sha256:{file.sha256}"
        async with self._client() as client:
            if (await client.head(f"/api/blobs/{digest}")).status_code != HTTPStatus.OK:
                sent = await client.post(
                    f"/api/blobs/{digest}", content=_blocks(folder / file.path, file.size, advance)
                )
                if sent.is_error:
                    raise LanguageModelError(f"Ollama refuses the file of {model.name}: {sent.text}")
        wish = {
            "model": model.name,
            "files": {file.path: digest},
            "template": model.chat.template,
            "parameters": {"stop": list(model.chat.stops)},
        }
        await self._follow("/api/create", wish, f"cannot make {model.name}", advance)

    async def pull(self, name: str, advance: Advance) -> None:
        """Have Ollama fetch a model from where it gets its models.

        Raises:
            LanguageModelError: it cannot.
        """
        await self._follow("/api/pull", {"model": name}, f"cannot pull {name}", advance)

    async def _follow(self, path: str, wish: Mapping[str, object], failure: str, advance: Advance) -> None:
        async with self._client() as client, client.stream("POST", path, json=wish) as answer:
            async for text in answer.aiter_lines():
                line = msgspec.json.decode(text, type=_Line)
                if line.error:
                    raise LanguageModelError(f"Ollama {failure}: {line.error}")
                advance(line.status, line.completed, line.total)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        try:
            async with httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=_SILENCE_S) as client:
                yield client
        except httpx.HTTPError as error:
            raise LanguageModelError(f"Ollama at {self._url} stopped answering ({type(error).__name__})") from error


async def _blocks(path: Path, size: int, advance: Advance) -> AsyncIterator[bytes]:
    done = 0
    with await asyncio.to_thread(path.open, "rb") as data:
        while block := await asyncio.to_thread(data.read, _BLOCK_BYTES):
            yield block
            done += len(block)
            advance("copying into Ollama", done, size)
